"""Generated tasks of several chains, and of goals that change from trial to trial."""

import dataclasses
import functools
import importlib
import itertools
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from universe_checks import check_form, check_reach, rules_that_hold, start_worlds, take, to_host

from xworld import ConfigError, Env, EnvConfig
from xworld.agents import Expert
from xworld.core.step.goals import num_goals
from xworld.core.step.relations import HOLD
from xworld.tasks import Universe, UniverseConfig, WorldConfig, parse, to_text
from xworld.tasks.universe.games import game_hash
from xworld.tasks.variants.anatomy import task_info
from xworld.tasks.variants.edits import edit
from xworld.training import PRESETS, AccelConfig
from xworld.training.curriculum.sizes import Sizes

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
splits = importlib.import_module("benchmarks.checks.splits")

NUM_TASKS = 256
# What the preset has, smaller: rules of one firing each, which are all that there is.
RECALL = Universe(
    EnvConfig(height=7, width=7, max_objects=5, max_rules=5, max_doors=1, max_goals=6, push=False, relations=("hold",)),
    UniverseConfig(
        world=WorldConfig(rooms=(1,), floor_colours=("black", "grey")),
        negated_goal_percent=0,
        chain_length=(1, 1),
        num_chains=(3, 5),
        goal_per_trial=True,
        num_distractors=(0, 0),
        num_dead_ends=(0, 0),
        frozen_task_percent=0,
        hide_percent=100,
        hidden_ways=("rule",),
        hide="all",
        trial_length=(20, 20),
        num_trials=(4, 4),
    ),
)
# Everything else that games can have, beside each other.
RICH = Universe(
    EnvConfig(height=13, width=13, num_agents=2, max_objects=20, max_rules=10, max_doors=4, max_goals=3),
    UniverseConfig(
        split="all",
        world=WorldConfig(rooms=(1, 2)),
        goal_relations=("touch", "near", "hold", "see"),
        rule_relations=("touch", "near", "hold"),
        negated_goal_percent=0,
        chain_length=(0, 2),
        num_chains=(1, 3),
        goal_per_trial=True,
        num_dead_ends=(0, 2),
        num_decoys=(0, 1),
        max_products=2,
        two_player_percent=40,
        together_percent=40,
    ),
)


@functools.cache
def maker(universe):
    return jax.jit(jax.vmap(universe.task_with_info))


def generate(universe, number=NUM_TASKS):
    ids = np.arange(number, dtype=np.int32)
    return to_host(maker(universe)(ids, ids))


def assert_known(tasks, infos):
    """What is read off tasks is what the generator knows."""
    jax.tree.map(np.testing.assert_array_equal, to_host(jax.jit(jax.vmap(task_info))(tasks)), infos)


@pytest.fixture(scope="module")
def recall():
    return generate(RECALL)


@pytest.mark.slow
def test_every_goal_has_a_hidden_rule_of_its_own(recall):
    tasks, infos = recall
    check_form(RECALL.env_config, tasks, infos)
    assert set(infos.num_goals.tolist()) == {3, 4, 5}
    assert (np.asarray(jax.vmap(num_goals)(tasks)) == infos.num_goals).all()
    assert (infos.num_firings == 1).all() and (infos.num_distractors == 0).all() and (infos.num_decoys == 0).all()
    for index in range(NUM_TASKS):
        task, number = take(tasks, index), int(infos.num_goals[index])
        things, made = set(task.object_kind[task.object_kind > 0]), task.rules.products[:number, 0].tolist()
        assert len(things) == number and len(set(made)) == number and not things & set(made)
        assert set(task.rules.second[:number]) == things and (task.rules.relation[:number] == HOLD).all()
        assert set(task.goals.second[:number, 0, 0, 0]) == set(made), "a goal for each rule"
        assert (task.goals.relation[:number] == HOLD).all() and not task.goals.relation[number:].any()
        assert not task.goals.negated.any() and task.hidden.rules[0, :number].all()
    # The rules are shuffled, so that an index says nothing about the goals.
    is_first = tasks.rules.products[:, 0, 0] == tasks.goals.second[:, 0, 0, 0, 0]
    assert 0.15 < is_first.mean() < 0.4


def test_what_is_read_off_tasks_is_what_the_generator_knows(recall):
    assert_known(*recall)
    tasks = jax.tree.map(lambda leaf: leaf[:64], recall[0])
    assert jax.jit(jax.vmap(RECALL.has_game))(tasks).all()
    assert not jax.jit(jax.vmap(RECALL.with_split("test").has_game))(tasks).any()


@pytest.mark.parametrize(
    ("universe", "name"),
    [
        (RECALL, "EnvConfig.max_goals allows 6"),
        (
            Universe(EnvConfig(max_objects=20), UniverseConfig(num_chains=(1, 2), negated_goal_percent=0)),
            "num_chains allows 2",
        ),
    ],
)
def test_edits_of_several_goals_or_chains_are_refused(universe, name):
    sizes = Sizes(num_envs=4, num_groups=1, rollout_length=8, trial_length=(20, 20), num_trials=(4, 4))
    with pytest.raises(ConfigError, match=f"Edits are for tasks of one goal and one chain, but .*{name}. Lower it"):
        AccelConfig().make(universe, sizes)
    with pytest.raises(ConfigError, match=name):
        edit(universe, jax.eval_shape(universe.sample, jax.random.key(0)), jax.random.key(0))


def test_worlds_are_as_ever_and_nothing_happens_at_the_start(recall):
    tasks, _ = recall
    for index in range(40):
        for world in start_worlds(RECALL.env_config, take(tasks, index)):
            assert rules_that_hold(world) == []
        check_reach(world)
    single = dataclasses.replace(RECALL.config, num_chains=(1, 1), goal_per_trial=False)
    others = generate(Universe(dataclasses.replace(RECALL.env_config, max_goals=1), single), 8)[0]
    np.testing.assert_array_equal(others.terrain, tasks.terrain[:8])


def test_ids_decide_all_of_it(recall):
    ids = np.arange(NUM_TASKS, dtype=np.int32)[::-1]
    again = to_host(maker(RECALL)(ids, ids))
    jax.tree.map(np.testing.assert_array_equal, again, jax.tree.map(lambda leaf: leaf[::-1], recall))


def test_text_and_back(recall):
    for index in range(8):
        task = take(recall[0], index)
        text = to_text(task)
        assert text.startswith("goal = [\n")
        jax.tree.map(np.testing.assert_array_equal, to_host(parse(text, RECALL.env_config)), task)


@pytest.mark.slow  # quicker: the goals that change, above
def test_the_goal_can_stay_and_the_other_chains_are_decoys_then():
    config = dataclasses.replace(RECALL.config, goal_per_trial=False)
    universe = Universe(dataclasses.replace(RECALL.env_config, max_goals=1), config)
    tasks, infos = generate(universe)
    check_form(universe.env_config, tasks, infos)
    assert (infos.num_goals == 1).all() and set(infos.num_decoys.tolist()) == {2, 3, 4}
    assert (infos.num_distractors == infos.num_decoys).all() and (infos.num_objects == 1 + infos.num_decoys).all()
    made = np.where(tasks.goals.second[:, 0, 0, 0, None] == tasks.rules.products[:, :, 0], tasks.rules.second, 0)
    assert ((made > 0).sum(axis=1) == 1).all()
    assert_known(tasks, infos)


def test_the_expert_reaches_every_goal(recall):
    tasks = jax.tree.map(lambda leaf: leaf[:12], recall[0])
    table = Expert(Env(RECALL.env_config)).plan_all(tasks)
    assert table.is_found.all(), [reason for reason in table.reasons if reason]
    assert (table.can_occur.sum(axis=1) == 4 * recall[1].num_goals[:12]).all()


@pytest.mark.slow
def test_the_expert_solves_the_preset():
    config = PRESETS["memory-recall"]()
    tasks, _ = generate(Universe(config.env, config.universe), 500)
    table = Expert(Env(config.env)).plan_all(tasks)
    assert table.is_found.mean() >= 0.99
    assert 0.4 < (table.mean_returns / 20).mean() < 0.9


@pytest.mark.slow
def test_chains_of_all_kinds_lie_beside_each_other():
    tasks, infos = generate(RICH, 400)
    check_form(RICH.env_config, tasks, infos)
    assert {1, 2, 3} == set(infos.num_goals.tolist())
    assert (infos.num_dead_ends > 0).any() and infos.needs_both.any() and (infos.num_players == 2).any()
    for index in range(60):
        for world in start_worlds(RICH.env_config, take(tasks, index)):
            assert rules_that_hold(world) == []
        check_reach(world)
    # Trials are long enough for nearly all of them.
    assert_known(tasks, infos)
    table = Expert(Env(RICH.env_config)).plan_all(jax.tree.map(lambda leaf: leaf[:60], tasks))
    assert table.is_found.mean() >= 0.95


@pytest.mark.slow
def test_splits_part_games_by_all_of_their_goals():
    config = dataclasses.replace(RECALL.config, test_percent=30, validation_percent=20, shapes=("ball", "cube"))
    universes = (Universe(RECALL.env_config, dataclasses.replace(config, split=split)) for split in splits.SPLITS)
    drawn = [splits.draw_games(universe, np.arange(3000)) for universe in universes]
    contents = [{row.tobytes() for row in rows} for rows, _ in drawn]
    assert all(len(part) > 1000 for part in contents)
    assert not any(one & other for one, other in itertools.combinations(contents, 2))


def test_a_game_with_its_goals_in_another_order_is_the_same_game():
    games = jax.device_get(splits._draw(RECALL._draw_game, np.arange(500)))
    hashes = jax.jit(jax.vmap(game_hash))
    order = np.random.default_rng(0).permutation(5)
    turned = dataclasses.replace(games, goals=jax.tree.map(lambda leaf: leaf[:, order], games.goals))
    np.testing.assert_array_equal(hashes(turned), hashes(games))
    np.testing.assert_array_equal(splits.canonical_games(turned), splits.canonical_games(games))
    fewer = jax.tree.map(lambda leaf: np.where(np.arange(5) > 0, leaf, 0), games.goals)
    assert (np.asarray(hashes(dataclasses.replace(games, goals=fewer))) != np.asarray(hashes(games))).all()
    # With one goal it is the game that a universe of single chains has.
    one = jax.tree.map(lambda leaf: np.where(np.arange(5) > 0, 0, leaf), games.goals)
    alone = jax.tree.map(lambda leaf: leaf[:, :1], one)
    np.testing.assert_array_equal(
        hashes(dataclasses.replace(games, goals=one)), hashes(dataclasses.replace(games, goals=alone))
    )


def test_chains_may_take_all_kinds_that_there_are():
    two = dataclasses.replace(RECALL.config, num_chains=(2, 2), shapes=("ball",), split="all")
    colours = ("red", "blue", "green", "yellow")
    universe = Universe(RECALL.env_config, dataclasses.replace(two, colours=colours))
    task = universe.task(3, 14)
    kinds = {*task.object_kind[task.object_kind > 0].tolist(), *task.rules.products[:2, 0].tolist()}
    assert len(kinds) == 4
    with pytest.raises(ConfigError, match="are 3 kinds, but 2 chains"):
        Universe(RECALL.env_config, dataclasses.replace(two, colours=colours[:3]))


@pytest.mark.parametrize(
    ("fields", "env_fields", "message"),
    [
        ({"num_chains": (1, 1)}, {}, "goal_per_trial asks for several goals, but num_chains is (1, 1), and each has"),
        ({"negated_goal_percent": 10}, {}, "negated_goal_percent is 10, but num_chains is (3, 5): only one goal"),
        ({"num_chains": (5, 3)}, {}, "num_chains is (5, 3), lowest above highest; write (3, 5)."),
        ({"num_chains": (2, 33)}, {}, "An end of num_chains is 33; write a whole number from 1 to 32."),
        ({"goal_per_trial": 1}, {}, "goal_per_trial is 1; write True or False."),
        ({}, {"max_goals": 4}, "Up to 5 goals, one for each chain, do not fit: EnvConfig.max_goals is 4. Raise it"),
        ({}, {"max_rules": 4}, "5 chains of 1 rules each and 0 dead ends and decoys do not fit: EnvConfig.max_rules"),
        ({}, {"max_objects": 4}, "Up to 5 objects (chain, distractors and keys) do not fit: EnvConfig.max_objects"),
        ({"shapes": ("ball",), "colours": ("red", "blue")}, {}, "2 kinds, but 5 chains of 1 rules each and what"),
        (
            {"num_chains": (16, 16)},
            {"max_goals": 16, "max_rules": 16, "max_objects": 16, "height": 6, "width": 6},
            "may have room for only",
        ),
    ],
)
def test_what_cannot_be_is_one_line(fields, env_fields, message):
    env_config = dataclasses.replace(RECALL.env_config, **env_fields)
    with pytest.raises(ConfigError) as caught:
        Universe(env_config, dataclasses.replace(RECALL.config, **fields))
    assert message in str(caught.value) and "\n" not in str(caught.value)
