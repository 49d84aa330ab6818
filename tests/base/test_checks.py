"""Checks of configuration fields: what is taken, what it becomes, and what is said of the rest."""

import dataclasses
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from xworld import ConfigError, EnvConfig, VectorEnv, make
from xworld.agents import AgentConfig
from xworld.base.checks import check_bool, check_fields, check_number, check_range, check_set, check_whole, check_word
from xworld.base.configs import from_json, to_json
from xworld.tasks import UniverseConfig, WorldConfig


@dataclass(frozen=True)
class Config:
    """Checked as RunConfig may be."""

    num_envs: int = 1
    total_steps: int = 1
    discount: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, ("num_envs", "total_steps"), partial(check_whole, low=1), "Config")
        check_fields(self, ["discount"], partial(check_number, low=0, high=1, excludes_high=True), "Config")


def test_fields_become_plain_python():
    config = Config(np.int64(3), np.uint8(4), np.float32(0.5))
    assert [type(value) for value in dataclasses.astuple(config)] == [int, int, float]
    assert config == Config(3, 4, 0.5) and hash(config) == hash(Config(3, 4, 0.5))
    assert from_json(Config, to_json(config)) == config
    with pytest.raises(ConfigError, match=r"^Config.num_envs is 0; write a whole number of at least 1\.$"):
        Config(num_envs=np.int64(0))
    with pytest.raises(ConfigError, match=r"^Config.discount is 1.0; write a number from 0 to below 1\.$"):
        Config(discount=1)


@pytest.mark.parametrize("value", [True, np.True_, 2.0, np.float64(2), "2", None, 0, 4, np.int8(-1)])
def test_what_is_no_whole_number_within_the_bounds(value):
    with pytest.raises(ConfigError, match="^n is .*; write a whole number from 1 to 3.$"):
        check_whole("n", value, 1, 3)


@pytest.mark.parametrize(
    ("value", "bounds", "words"),
    [
        (True, dict(low=0), "of at least 0"),
        (np.False_, dict(low=0), "of at least 0"),
        ("1", dict(low=0, high=1), "from 0 to 1"),
        (float("nan"), dict(low=0), "of at least 0"),
        (-0.1, dict(low=0), "of at least 0"),
        (0, dict(low=0, excludes_low=True), "above 0"),
        (np.float32(1.5), dict(low=0, high=1), "from 0 to 1"),
        (1, dict(low=0.5, high=1, excludes_high=True), "from 0.5 to below 1"),
        (0, dict(low=0, high=1, excludes_low=True), "from above 0 to 1"),
    ],
)
def test_what_is_no_number_within_the_bounds(value, bounds, words):
    with pytest.raises(ConfigError, match=f"^x is .*; write a number {words}.$"):
        check_number("x", value, **bounds)


def test_numbers_within_the_bounds():
    numbers = [check_number("x", value, 0) for value in (0, np.int32(2), np.float16(0.5), float("inf"))]
    assert numbers == [0.0, 2.0, 0.5, float("inf")] and {type(number) for number in numbers} == {float}
    assert check_number("x", 1, 0, 1) == 1.0


def test_words_and_sets_are_the_known_ones():
    assert type(check_word("word", np.str_("a"), ("a", "b"))) is str
    assert [type(number) for number in check_set("rooms", [np.int64(1), 2.0], (1, 2, 4))] == [int, int]
    for value in ((True,), (3,), (np.int64(1), 1), 4, ()):
        with pytest.raises(ConfigError, match="^rooms"):
            check_set("rooms", value, (1, 2, 4))
    assert check_bool("push", np.True_) is True
    with pytest.raises(ConfigError, match="^push is 1; write True or False.$"):
        check_bool("push", 1)
    assert check_range("length", [np.int8(1), 3], 0, 5) == (1, 3)
    with pytest.raises(ConfigError, match=r"lowest above highest; write \(1, 3\)"):
        check_range("length", (np.int64(3), 1), 0, 5)


def test_the_configurations_take_numpy_numbers():
    env = EnvConfig(height=np.int64(9), push=np.True_, relations=[np.str_("hold")])
    world = WorldConfig(rooms=(np.int64(1),), kinds=["rooms", "maze"], kind_weights=np.arange(1, 3).tolist())
    universe = UniverseConfig(world=world, chain_length=[np.int64(0), 2], hide_percent=np.uint8(50))
    agent = AgentConfig(memory_size=np.int32(64))
    for config in (env, universe, agent):
        assert from_json(type(config), to_json(config)) == config and isinstance(hash(config), int)
    assert env == EnvConfig(height=9, relations=("hold",)) and agent == AgentConfig(memory_size=64)
    assert universe.world == WorldConfig(rooms=(1,), kinds=("rooms", "maze"), kind_weights=(1, 2))
    assert VectorEnv(make("trivial"), np.int64(2)) == VectorEnv(make("trivial"), 2)
