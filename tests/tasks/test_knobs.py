"""What the generator's knobs do to games, and that its presets meet what they are for."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import xworld
from xworld import ConfigError, EnvConfig
from xworld.core.step.relations import TOUCH
from xworld.tasks import TaskPool, Universe, UniverseConfig, WorldConfig, chance
from xworld.tasks.sets.named import PRESETS
from xworld.tasks.universe.hiding import draw_hidden, is_rule_hidden

NUM_GAMES = 3000
QUICK = {"xla_backend_optimization_level": 0}  # compiling costs more than running
ENV = EnvConfig(num_agents=2, max_objects=24)
BASE = UniverseConfig(
    split="all",
    chain_length=(1, 2),
    num_distractors=(1, 3),
    num_dead_ends=(0, 1),
    num_decoys=(0, 0),
    two_player_percent=30,
    hide_percent=50,
)


@cache
def measure(config, env_config=ENV):
    """Means over games, whose worlds and places do not matter here."""
    universe = Universe(env_config, config)

    def draw(game_id):
        game, _ = chance.first_right(lambda attempt: universe._draw_game(game_id, attempt), 4096)
        hidden = draw_hidden(env_config, config, game.rules, game.cards, game.are_two, game_id)
        is_hidden = is_rule_hidden(game.rules, hidden)[0]
        is_rule = game.rules.relation != 0
        return {
            "firings": game.is_chain.sum(),
            "dead ends": game.is_dead_end.sum(),
            "decoys": (is_rule & ~game.is_chain & ~game.is_dead_end).sum(),
            "distractors": game.num_distractors,
            "objects": (game.cast.kind != 0).sum(),
            "frozen": game.cast.is_frozen.sum(),
            "hidden rules that matter": (is_hidden & game.is_chain).sum(),
            "hidden dead ends": (is_hidden & game.is_dead_end).sum(),
            "products": (game.rules.products != 0).sum(),
            "negated goals": game.is_goal_negated,
            "pairs": (is_rule & game.is_chain & (game.rules.first < 224)).sum(),
            "touches from some sides": ((game.rules.relation == TOUCH) & (game.rules.directions != 15)).sum(),
            "players": game.are_two,
            "games that need both": game.needs_both,
            "steps": game.trial_length,
            "trials": game.num_trials,
        }

    compiled = jax.jit(jax.vmap(draw), compiler_options=QUICK)
    return {name: float(np.mean(value)) for name, value in compiled(np.arange(NUM_GAMES, dtype=np.int32)).items()}


@pytest.mark.parametrize(
    ("fields", "raised"),
    [
        ({"chain_length": (2, 4)}, ["firings", "hidden rules that matter", "objects"]),
        (
            {"no_chain_percent": 60, "num_distractors": (4, 6), "trial_length": (200, 400)},
            ["-firings", "-hidden rules that matter", "distractors", "objects", "steps"],
        ),
        (
            {"num_dead_ends": (1, 2), "num_decoys": (1, 2), "hide": "all", "direction_percent": 80},
            ["dead ends", "decoys", "products", "hidden rules that matter", "touches from some sides"],
        ),
        (
            {"hide_percent": 100, "num_trials": (4, 8), "pair_percent": 100},
            ["hidden rules that matter", "trials", "pairs", "objects"],
        ),
        ({"max_products": 3, "frozen_percent": 70}, ["products", "frozen"]),
        ({"negated_goal_percent": 60}, ["negated goals", "frozen", "-dead ends"]),
        (
            {"two_player_percent": 80, "together_percent": 60, "frozen_task_percent": 100},
            ["players", "games that need both", "frozen"],
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_knobs_do_what_they_say(fields, raised):
    """Knobs that have nothing to do with each other are turned together, since each setting is compiled."""
    before, after = measure(BASE), measure(dataclasses.replace(BASE, **fields))
    for name in raised:
        low, high = (after, before) if name.startswith("-") else (before, after)
        name = name.removeprefix("-")
        assert low[name] + 0.05 < high[name] and 1.1 * low[name] < high[name], (name, before[name], after[name])


def test_shares_are_what_the_knobs_say():
    means = measure(BASE)
    assert abs(means["players"] - 0.3) < 0.03 and abs(means["firings"] - 1.5) < 0.03
    assert abs(means["negated goals"] - 0.1) < 0.02 and abs(means["steps"] - 187.5) < 3
    both = measure(dataclasses.replace(BASE, two_player_percent=100, together_percent=100))
    assert both["games that need both"] == both["players"] == 1 and both["negated goals"] == 0


@pytest.mark.parametrize("name", ["ada", pytest.param("ada-two-player", marks=pytest.mark.slow)])  # quicker: the other
def test_ada_is_calibrated(name):
    """To AdA's means within 10 %; `benchmarks/checks/calibration.py` has the table."""
    universe = xworld.tasks.preset(name)
    means = measure(universe.config, universe.env_config)
    for value, expected in (
        (means["firings"] + means["dead ends"] + means["decoys"], 3.35),
        (means["firings"], 1.77),
        (means["hidden rules that matter"], 1.12),
        (means["dead ends"], 0.81),
        (means["hidden dead ends"], 0.45),
        (means["distractors"], 3.6),
    ):
        assert abs(value / expected - 1) < 0.1


@pytest.mark.slow
def test_the_test_set_is_like_ada_s():
    tasks, info = xworld.tasks.test_set_with_info("v2")
    assert abs(np.mean(info.num_objects) / 7.5 - 1) < 0.1  # keys are among them, so worlds matter
    lengths, trials = np.asarray(tasks.tasks.trial_length), np.asarray(tasks.tasks.num_trials)
    assert lengths.min() < 80 and lengths.max() > 295 and set(trials.tolist()) == set(range(1, 7))


def test_presets_become_harder():
    def most(name):
        config = PRESETS[name].config
        return config.chain_length[1], config.num_distractors[1], config.num_dead_ends[1] + config.num_decoys[1]

    sizes = [most(name) for name in ("trivial", "small", "medium", "high")]
    assert all(all(np.less(easier, harder)) for easier, harder in zip(sizes, sizes[1:], strict=False))
    for name, universe in PRESETS.items():
        assert xworld.make(name).config == universe.env_config
        assert xworld.make_universe(name, split="test") == universe.with_split("test")


@pytest.mark.slow  # quicker: `test_plain_universe_in_a_pool`
def test_pool():
    universe = Universe(
        EnvConfig(height=5, width=5, max_objects=4, max_rules=1, max_doors=1, relations=("hold",)),
        UniverseConfig(
            world=WorldConfig(rooms=(1,), floor_colours=("black", "grey", "red", "blue")),
            chain_length=(0, 1),
            num_distractors=(0, 2),
            num_dead_ends=(0, 0),
        ),
    )
    largest = TaskPool(universe, 50_000, 500_000)
    assert len(largest) == 25_000_000_000 and jax.tree.leaves(largest) == []
    small = TaskPool(universe, 3, 5)

    tasks, _ = small.sample_stacked(jax.random.split(jax.random.key(0), 400))
    drawn = set(zip(tasks.world_id.tolist(), tasks.game_id.tolist(), strict=True))
    assert drawn == {(world, game) for world in range(3) for game in range(5)}
    same = [small.task(world, game) for world, game in ((2, 4), (5, -1), (-1, 14))]
    assert {(int(task.world_id), int(task.game_id)) for task in same} == {(2, 4)}
    first = [index for index in range(400) if (tasks.world_id[index], tasks.game_id[index]) == (2, 4)][0]
    for task in same:
        jax.tree.map(lambda leaf, all_: np.testing.assert_array_equal(leaf, all_[first]), task, tasks)
    assert small.with_split("test").universe.config.split == "test" and len(small.with_split("test")) == 15
    other = TaskPool(universe, 3, 5, first=7)
    tasks, _ = other.sample_stacked(jax.random.split(jax.random.key(0), 400))
    drawn = set(zip(tasks.world_id.tolist(), tasks.game_id.tolist(), strict=True))
    assert drawn == {(world, game) for world in range(7, 10) for game in range(7, 12)}
    assert (int(other.task(5, -1).world_id), int(other.task(5, -1).game_id)) == (9, 11)
    assert other.with_split("test").first == 7
    with pytest.raises(ConfigError, match="TaskPool.first is 2147483643; write a whole number from 0 to 2147483642"):
        TaskPool(universe, 3, 5, first=2**31 - 5)
    for fields in ((0, 5), (3, 2**31)):
        with pytest.raises(ConfigError, match="write a whole number from 1 to 2147483647"):
            TaskPool(universe, *fields)


def test_ids_outside_of_the_pool_and_of_the_universe(monkeypatch):
    monkeypatch.setattr(Universe, "task", lambda self, world, game: (world, game))
    pool = TaskPool(PRESETS["trivial"], 3, 5, first=7)
    assert pool.task(2**40, -1) == (7 + 2**40 % 3, 7 + 4)
    for array in (jnp.int32(-5), jnp.uint32(2**32 - 5)):
        assert chance.as_id("world_id", array) == 2**31 - 5, "the highest bit is left out"
