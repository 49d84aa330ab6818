"""No game and no world is in two splits, and a game is the same game however it is written."""

import dataclasses
import importlib
import sys
from pathlib import Path

import jax
import numpy as np
import oracle
import pytest

import xworld
from xworld import ConfigError, EnvConfig
from xworld.core.step.relations import ALL_DIRECTIONS, HOLD, NEAR, ON, SEE, TOUCH
from xworld.tasks import TaskPool, Universe, UniverseConfig, WorldConfig, starters
from xworld.tasks.sets.named import PRESETS
from xworld.tasks.universe.config import split_range
from xworld.tasks.universe.games import game_hash

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
splits = importlib.import_module("benchmarks.checks.splits")

ENV = EnvConfig(num_agents=2)
VARIED = UniverseConfig(
    split="all",
    negated_goal_percent=30,
    pair_percent=70,
    direction_percent=60,
    num_dead_ends=(0, 2),
    num_decoys=(0, 1),
    max_products=3,
    two_player_percent=30,
)
hash_games = jax.jit(jax.vmap(game_hash))


@pytest.fixture(scope="module")
def games():
    return jax.device_get(splits._draw(Universe(ENV, VARIED)._draw_game, np.arange(4000)))


def mirrored(conditions, is_mirrored):
    """Conditions, or rules, with some of their operands and directions the other way round."""
    opposite = np.array([int(f"{side:04b}"[2:] + f"{side:04b}"[:2], 2) for side in range(16)], np.uint8)
    return dataclasses.replace(
        conditions,
        first=np.where(is_mirrored, conditions.second, conditions.first),
        second=np.where(is_mirrored, conditions.first, conditions.second),
        directions=np.where(is_mirrored, opposite[conditions.directions], conditions.directions),
    )


def is_mutual(conditions):
    """Bool: touch, near, and see between two objects."""
    are_objects = np.maximum(conditions.first, conditions.second) < 15 * 16
    return np.isin(conditions.relation, (TOUCH, NEAR)) | (conditions.relation == SEE) & are_objects


def test_a_game_written_the_other_way_round_is_the_same_game(games):
    random, expected = np.random.default_rng(0), hash_games(games)
    for _ in range(10):
        changed = [is_mutual(part) & (random.random(part.first.shape) < 0.5) for part in (games.goals, games.rules)]
        for is_changed, part in zip(changed, (games.goals, games.rules), strict=True):
            assert all((part.relation[is_changed] == relation).sum() > 50 for relation in (TOUCH, NEAR, SEE))
        products = random.permuted(games.rules.products, axis=2)
        rules = dataclasses.replace(mirrored(games.rules, changed[1]), products=products)
        order = random.permutation(rules.first.shape[1])
        rules = jax.tree.map(lambda leaf, order=order: leaf[:, order], rules)
        written = dataclasses.replace(games, goals=mirrored(games.goals, changed[0]), rules=rules)
        np.testing.assert_array_equal(hash_games(written), expected)
        np.testing.assert_array_equal(splits.canonical_games(written), splits.canonical_games(games))


def test_what_is_not_mutual_is_another_game_the_other_way_round(games):
    goal, expected = games.goals, np.asarray(hash_games(games))
    turned = np.asarray(hash_games(dataclasses.replace(games, goals=mirrored(goal, True))))
    assert ((turned == expected) == is_mutual(goal)[:, 0]).all()
    for relation, by_agent in ((HOLD, True), (SEE, True), (ON, False), (NEAR, True), (TOUCH, False)):
        assert ((goal.relation == relation) & ((goal.first >= 15 * 16) == by_agent)).sum() > 20
    # Operands that change sides while the directions stay: the same only where each direction's opposite is asked for.
    swapped = dataclasses.replace(goal, first=goal.second, second=goal.first)
    turned = np.asarray(hash_games(dataclasses.replace(games, goals=swapped)))
    is_touch = (goal.relation == TOUCH)[:, 0]
    is_even = np.isin(goal.directions, (5, 10, ALL_DIRECTIONS))[:, 0]
    assert ((turned == expected)[is_touch] == is_even[is_touch]).all() and 100 < is_even[
        is_touch
    ].sum() < is_touch.sum()


def test_mutual_relations_hold_both_ways():
    """As the oracle of the tests has them: touch with mirrored directions, near, and see between two objects."""
    config, tasks = xworld.make("ada-two-player").config, jax.device_get(starters("ada-two-player").tasks)
    counts = dict.fromkeys((TOUCH, NEAR, SEE), 0)
    num_one_sided = 0
    for index in np.flatnonzero((tasks.agent_position[:, :, 0] < 192).all(axis=1))[:40]:  # with both players
        world = oracle.start(config, jax.tree.map(lambda leaf, index=index: leaf[index], tasks), [0, 0])
        present = sorted({slot.kind for slot in world.slots if slot.kind})
        for first in (240, 241, *present):
            for second in (240, 241, *present):
                for relation, there, back in ((NEAR, 0, 0), (SEE, 0, 0), (TOUCH, 1, 4), (TOUCH, 2, 8), (TOUCH, 3, 12)):
                    pairs = oracle.satisfying_pairs(world, relation, there, first, second)
                    others = [(i, j) for j, i in oracle.satisfying_pairs(world, relation, back, second, first)]
                    if relation == SEE and max(first, second) >= 240:
                        num_one_sided += sorted(pairs) != sorted(others)
                    else:
                        assert sorted(pairs) == sorted(others)
                        counts[relation] += len(pairs)
    assert num_one_sided > 50 and min(counts.values()) > 10


@pytest.mark.slow  # quicker: `test_presets_split_by_content`, which does so by hashes
@pytest.mark.parametrize("what", ["games", "worlds"])
def test_splits_share_nothing(what):
    """By content, of 16,000 that are drawn, whatever hash the generator goes by."""
    draw, contents = {"games": splits.draw_games, "worlds": splits.draw_worlds}[what], {}
    for split, number in (("train", 8_000), ("validation", 4_000), ("test", 4_000)):
        colours = ("red", "blue", "white", "cyan")
        world = WorldConfig(door_colours=colours)
        percents = {"test_percent": 30, "validation_percent": 20}
        universe = Universe(ENV, UniverseConfig(split=split, **percents, colours=colours, world=world))
        contents[split] = {row.tobytes() for row in draw(universe, np.arange(number))[0]}
    assert len(contents["train"]) > 4_000 and min(map(len, contents.values())) > 1_000
    train, validation, test = contents.values()
    assert not train & validation and not train & test and not validation & test


QUICK = ("s",)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in PRESETS]
)
def test_presets_split_by_content(name):
    """No game and no world is in two splits; `python -m benchmarks.checks.splits` looks at a million."""
    universe = PRESETS[name]
    found = [splits.check(universe, splits.draw_games, 30_000)]
    if universe.config.world.rooms != (1,):  # which differ in their rugs only, so that they are few
        found.append(splits.check(universe, splits.draw_worlds, 10_000))
    for part in found:
        assert part["num_in_two_splits"] == 0 and min(part["num_different"].values()) > 100
        for split, share in part["share"].items():
            first, end = split_range(universe.with_split(split).config)
            assert abs(share - (end - first) / 100) < 0.02


def test_hashes_part_what_is_different(games):
    """As well as 32 bits can: of 40,000 games no more than a few share a hash."""
    contents, hashes = splits.draw_games(Universe(ENV, VARIED), np.arange(40_000))
    num_contents, num_hashes = len(np.unique(contents, axis=0)), len(np.unique(hashes))
    assert num_contents - 5 <= num_hashes <= num_contents and num_contents > 35_000


def test_the_three_splits_are_all_there_is():
    config = UniverseConfig(test_percent=30, validation_percent=20)
    ranges = {split: split_range(dataclasses.replace(config, split=split)) for split in (*splits.SPLITS, "all")}
    assert ranges == {"test": (0, 30), "validation": (30, 50), "train": (50, 100), "all": (0, 100)}
    pool = TaskPool(Universe(ENV, config), 10, 20).with_split("validation")
    assert (pool.universe.config.split, pool.num_worlds, pool.num_games) == ("validation", 10, 20)
    with pytest.raises(ConfigError, match="validation_percent is 0; write a whole number from 1 to 98"):
        UniverseConfig(validation_percent=0)
    with pytest.raises(ConfigError, match="test_percent is 60 and validation_percent 40, together more than 99"):
        UniverseConfig(test_percent=60, validation_percent=40)
    # About a hundred worlds: 85 % of them are surely some, 5 % are not.
    small = EnvConfig(height=6, width=6)
    world = WorldConfig(rooms=(1,), floor_colours=("black", "grey"))
    few = {"world": world, "chain_length": (0, 0), "num_distractors": (1, 1), "num_dead_ends": (0, 0)}
    Universe(small, UniverseConfig(**few, split="train"))  # is not refused
    with pytest.raises(ConfigError, match="too few to be sure that any are in the validation split, which has 5%"):
        Universe(small, UniverseConfig(**few, split="validation"))
