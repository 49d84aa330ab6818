"""Players by name: folders with any signs in them, and networks and players of the user's own."""

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import habit_network
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluation_tasks import CONFIG, make_room
from evaluation_tasks import ENV as SMALL_ENV

from xworld import ConfigError, Env, EnvConfig
from xworld.agents import AgentConfig, LoadedAgent, make_agent, save
from xworld.agents.players import PRETRAINED, PRETRAINED_DUO, agent_folder, check_can_play, own_network, player_by_name
from xworld.agents.saved import saved
from xworld.base.configs import class_name


@pytest.mark.parametrize(
    "name", ["runs/12:30", "./a:b", r"C:\\runs\\x", "C:/runs/x", "runs/mine", "a:b:c", "with-dash:x"]
)
def test_a_path_may_have_a_colon(name):
    assert agent_folder(name) == Path(name)


@pytest.mark.parametrize("name", ["my_module:player", "a.b:c", "random", "noop", "expert", "searcher"])
def test_no_folder_is_meant(name):
    assert agent_folder(name) is None


def test_a_folder_that_is_there_is_meant(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("a:b").mkdir()
    assert agent_folder("a:b") == Path("a:b")
    assert agent_folder(PRETRAINED) == saved.PRETRAINED and agent_folder(PRETRAINED_DUO) == saved.PRETRAINED_DUO
    monkeypatch.setenv("HOME", str(tmp_path))
    assert agent_folder("~/mine") == tmp_path / "mine"


@dataclass(frozen=True)
class Network:
    """As little as a network needs."""

    size: int = 3

    def init(self):
        """Not called."""

    start_memory = is_reset = encode_briefing = step = unroll = init


class Unhashable(Network):
    """Has no hash."""

    __hash__ = None


class Unfinished:
    """Has one method."""

    def init(self):
        """Not called."""


ENV = Env(EnvConfig(height=4, width=5))


@pytest.fixture
def module(monkeypatch):
    module = ModuleType("mine")
    module.network = lambda env: Network(env.config.width)
    module.unhashable = lambda env: Unhashable()
    module.unfinished = lambda env: Unfinished()
    module.broken = lambda env: 1 / 0
    monkeypatch.setitem(sys.modules, "mine", module)


def test_a_network_is_made_for_its_environment(module):
    assert own_network("mine:network", ENV) == Network(5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mine:unhashable", "has no hash: make it a frozen dataclass"),
        ("mine:unfinished", "is no network: it has no start_memory, is_reset, encode_briefing, step, unroll"),
        ("mine:broken", "ZeroDivisionError"),
        ("mine:nothing", "AttributeError"),
        ("no_module_of_that_name:f", "ModuleNotFoundError"),
        ("mine", "write module:function"),
        ("mine.py:network()", "write module:function"),
    ],
)
def test_what_is_no_network_is_said(module, name, words):
    with pytest.raises(ConfigError, match=words):
        own_network(name, ENV)


def test_a_module_may_be_in_the_working_folder(monkeypatch, tmp_path):
    (tmp_path / "module_of_this_folder.py").write_text("def network(env):\n    return 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    with pytest.raises(ConfigError, match="returns 3, which is no network"):
        own_network("module_of_this_folder:network", ENV)


OWN = """
import functools
from dataclasses import dataclass, field
from pathlib import Path

import habit_network
import jax
import jax.numpy as jnp


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Mine:
    weights: jax.Array
    words: object = field(metadata={"static": True})

    def start(self, key):
        return ()

    def act(self, key, memory, timestep):
        return 0, ()


@dataclass(frozen=True)
class Network(habit_network.Habit):
    words: object


def make(env):
    words = Path("words").read_text().split()
    return Mine(jnp.arange(3.0), (frozenset(words), functools.partial(make, words=lambda: 0)))


def network(env):
    return Network((frozenset(Path("words").read_text().split()), make, lambda: 0))
"""
ABOUT = """
import json, sys
import jax
from xworld import Env, EnvConfig
from xworld.agents.players import player_by_name
env = Env(EnvConfig(height=4, width=5))
players = player_by_name("own_code:make", env, None), player_by_name("agent", env, None, network="own_code:network")
print(json.dumps([[player.about, player.identity] for player in players]))
"""


@pytest.fixture
def own_code(monkeypatch, tmp_path):
    """Gives the own player and the agent with an own network, imported anew; in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "words").write_text("one two three four five six")
    source = tmp_path / "own_code.py"
    source.write_text(OWN)
    params = jax.device_get(habit_network.Habit().init(None))
    save(tmp_path / "agent", load_module("own_code").network(ENV), params, env_config=ENV.config)

    def found():
        load_module("own_code")
        players = (
            player_by_name("own_code:make", ENV, None),
            player_by_name("agent", ENV, None, network="own_code:network"),
        )
        return [[player.about, player.identity] for player in players]

    return found


def load_module(name):
    """The module, anew."""
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module(name)


def test_returns_of_ones_own_code_belong_to_the_code_and_its_static_fields(own_code, tmp_path):
    first = own_code()
    assert own_code() == first  # of other objects
    for about, identity in first:
        assert about["structure"] != about["source"] and identity != about["digest"]
    (tmp_path / "words").write_text("one two")
    for (before, was), (after, now) in zip(first, own_code(), strict=True):
        assert was != now and {name for name in before if before[name] != after[name]} == {"structure"}
    (tmp_path / "words").write_text("one two three four five six")
    (tmp_path / "own_code.py").write_text(OWN.replace("return 0, ()", "return 1 + 0, ()"))
    for (before, was), (after, now) in zip(first, own_code(), strict=True):
        assert was != now and {name for name in before if before[name] != after[name]} == {"source"}


def test_what_tells_own_code_apart_is_the_same_in_every_process(own_code, tmp_path):
    path = os.pathsep.join([str(Path(habit_network.__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "1234"}
    command = [sys.executable, "-c", ABOUT]
    found = subprocess.run(command, env=environment, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert json.loads(found) == json.loads(json.dumps(own_code()))


def test_a_network_is_for_trained_agents():
    with pytest.raises(ConfigError, match="--network is for trained agents"):
        player_by_name("random", ENV, None, network="mine:network")


def test_a_class_has_one_name_whether_its_file_was_run_or_imported(monkeypatch):
    here = class_name(Network())
    assert here.endswith("test_players.Network")
    main = ModuleType("__main__")
    main.__file__, main.__spec__ = "/somewhere/test_players.py", None
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(Network, "__module__", "__main__")
    assert class_name(Network()) == "test_players.Network"


ROOM = {"cells": "0x...|.....|.....|.....|.....", "goal": '"hold(agent, red ball)"', "rules": "[]"}


def test_an_agent_plays_in_environments_of_other_sizes():
    """The same task has the same probabilities where there is room for more, and in one with fewer relations."""
    agent = make_agent(AgentConfig(memory_size=8, encoder_size=8), CONFIG)
    params = jax.jit(agent.init)(jax.random.key(0))
    found = []
    for env in (SMALL_ENV, Env(dataclasses.replace(CONFIG, height=9, width=11, max_objects=9, max_rules=5))):
        check_can_play(LoadedAgent(agent, params), env.config)

        @jax.jit
        def logits(task, env=env):
            _, timestep = env.reset(jax.random.key(1), task)
            told = agent.encode_briefing(params, env.briefing(task))
            return agent.step(params, timestep.observation, told, agent.start_memory(), jnp.bool_(True)).logits

        found.append(logits(make_room(**ROOM, config=env.config)))
    np.testing.assert_array_equal(*found)
    fewer = dataclasses.replace(CONFIG, relations=CONFIG.relations[1:])
    check_can_play(LoadedAgent(agent, params), fewer)
    for name, value in {"push": not CONFIG.push, "view_size": 7, "num_agents": 2}.items():
        with pytest.raises(ConfigError, match=f"{name}: {getattr(CONFIG, name)} -> {value}"):
            check_can_play(LoadedAgent(agent, params), dataclasses.replace(CONFIG, **{name: value}))
    with pytest.raises(ConfigError, match="relations"):  # of which it knows nothing
        check_can_play(LoadedAgent(make_agent(AgentConfig(), fewer), params), CONFIG)


def test_a_network_of_ones_own_plays_in_its_own_environment():
    loaded = LoadedAgent(Network(), {}, env_config=CONFIG)
    with pytest.raises(ConfigError, match="height"):
        check_can_play(loaded, dataclasses.replace(CONFIG, height=9))
