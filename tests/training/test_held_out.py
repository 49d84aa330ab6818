"""What a run is evaluated on while it trains: tasks kept apart, scored alike, in columns that say what they are."""

import dataclasses
import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from seams import Favourites
from tiny_rooms import SANITY_TASKS, SMALL_AGENT, sanity_config

from xworld import ConfigError, EnvConfig
from xworld.agents import make_agent
from xworld.base.configs import to_json
from xworld.tasks import TaskPool, TaskSet, Universe, parse, tasks_by_name
from xworld.training import PRESETS, RunConfig
from xworld.training.run.checkpoint import save_config
from xworld.training.run.finetune import why_seen
from xworld.training.run.given import Given
from xworld.training.run.held_out import make_evaluator

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
splits = importlib.import_module("benchmarks.checks.splits")

# With a number of trials that differs from task to task, but in evaluations.
SMOKE = PRESETS["smoke"]()
SMOKE = dataclasses.replace(SMOKE, universe=dataclasses.replace(SMOKE.universe, num_trials=(2, 9)))
ENV = EnvConfig(height=1, width=3, num_agents=2, max_objects=1, max_rules=1, max_doors=1)
HALF = """
goals = ["near(agent0, red ball)", "not near(agent1, red ball)"]
trial_length = {length}
num_trials = {trials}
map = "0b1"
[legend]
b = "frozen red ball"
"""


def test_tasks_for_other_environments_are_refused_at_once():
    task = parse(HALF.format(length=3, trials=1), ENV)
    stacked = jax.tree.map(lambda leaf: np.asarray(leaf)[None], task)
    with pytest.raises(ConfigError, match="its height is 1, EnvConfig.height is 7"):
        make_evaluator(SMOKE, None, None, stacked)
    with pytest.raises(ConfigError, match="no leading axis"):
        make_evaluator(RunConfig(env=ENV), None, None, task)


def evaluate(texts):
    """The row of an agent that has learned nothing, on tasks that are given."""
    config = RunConfig(env=ENV, agent=SMALL_AGENT)
    agent = make_agent(config.agent, ENV)
    tasks = TaskSet.from_tasks([parse(text, ENV) for text in texts]).tasks
    evaluator = make_evaluator(config, agent, None, tasks)
    return evaluator(jax.jit(agent.init)(jax.random.key(0)))


@pytest.mark.slow
def test_a_fixed_share_of_every_trial_is_the_score_whatever_the_lengths():
    """One of two agents is paid at every step, whatever they do: the return is half of the trial's length."""
    row = evaluate([HALF.format(length=length, trials=trials) for length, trials in ((3, 1), (40, 2), (7, 3))])
    assert row.pop("validation_last_trial") == pytest.approx(0.5)
    assert [row[f"validation_trial_{trial}"] for trial in (1, 2, 3)] == pytest.approx([0.5] * 3)
    assert list(row) == [f"validation_trial_{trial}" for trial in range(1, 7)] and np.isnan(row["validation_trial_4"])


def test_every_column_is_over_all_tasks():
    """Also over those that have fewer trials in training."""
    whole = HALF.replace('"not near', '"near')
    row = evaluate([HALF.format(length=5, trials=1), whole.format(length=5, trials=3)])
    assert [row[f"validation_trial_{trial}"] for trial in (1, 2, 3)] == pytest.approx([0.75] * 3)
    assert row["validation_last_trial"] == pytest.approx(0.75)


def test_tasks_come_from_the_validation_split():
    """Of the universe, of a pool, and of the configuration's universe where a curriculum chooses what is trained on."""
    universe, agent = Universe(SMOKE.env, SMOKE.universe), make_agent(SMOKE.agent, SMOKE.env)
    pool = TaskPool(universe, 10, 10)
    for source in (None, pool, Favourites.start_with(universe, 4)):
        evaluator = make_evaluator(SMOKE, agent, source, None)
        assert evaluator.columns[-1] == "validation_last_trial"
        tasks = evaluator.make_tasks()
        assert len(tasks.num_trials) == SMOKE.num_evaluation_tasks
        assert set(tasks.num_trials.tolist()) == {9}
        assert (max(tasks.world_id.max(), tasks.game_id.max()) < 10) == (source is pool)
        again, _ = universe.with_split("validation").stacked(tasks.world_id, tasks.game_id)
        assert len(set(again.num_trials.tolist())) > 3
        for name in ("terrain", "rules", "goals", "object_kind", "trial_length"):
            for one, other in zip(*(jax.tree.leaves(getattr(t, name)) for t in (tasks, again)), strict=True):
                np.testing.assert_array_equal(one, other)


def test_tasks_without_splits_are_called_seen():
    config = sanity_config()
    agent = make_agent(config.agent, config.env)
    task_set = TaskSet.from_source(SANITY_TASKS, jax.random.key(0), 4)
    # The universe of this configuration does not fit its environment, so that a curriculum has nothing else either.
    for source in (task_set, SANITY_TASKS, Favourites(task_set, np.ones(4))):
        evaluator = make_evaluator(config, agent, source, None)
        assert evaluator.columns[0] == "seen_trial_1" and evaluator.columns[-1] == "seen_last_trial"
    row = make_evaluator(config, agent, task_set, None)(jax.jit(agent.init)(jax.random.key(0)))
    assert row["seen_last_trial"] == row["seen_trial_3"] < 0.3
    assert make_evaluator(config, agent, task_set, task_set.tasks).columns[-1] == "validation_last_trial"


def test_what_may_have_been_trained_on_is_known_afterwards(tmp_path):
    """By what was given to the run: `xworld evaluate --agent RUN` refuses where nothing is sure to be held out."""
    config = SMOKE
    universe, agent = Universe(config.env, config.universe), make_agent(config.agent, config.env)
    less = Universe(config.env, dataclasses.replace(config.universe, test_percent=5))
    shapes = jax.eval_shape(universe.sample, jax.random.key(0))
    task_set = TaskSet(jax.tree.map(lambda leaf: np.zeros((4, *leaf.shape), leaf.dtype), shapes))
    for source, reason in (
        (universe, None),
        (TaskPool(universe, 10, 10), None),
        (TaskPool(less, 10, 10), "was trained on tasks of other splits"),
        (task_set, "was trained on tasks of no universe: TaskSet (tasks "),
        (Favourites(task_set, np.ones(4)), "was trained on tasks of no universe: Favourites"),
    ):
        outside = Given(source).describe() | {"learner": "PPO", "network": type(agent).__qualname__}
        save_config(tmp_path, config, outside)
        found = why_seen(tmp_path, config)
        assert found is None if reason is None else found.startswith(reason)
    of_all = dataclasses.replace(config, universe=dataclasses.replace(config.universe, split="all"))
    assert why_seen(tmp_path, of_all) == "was trained on the split 'all' of its universe"
    (tmp_path / "given.json").unlink()
    with pytest.raises(ConfigError, match="does not say what was given to its run: given.json is missing or damaged"):
        why_seen(tmp_path, config)


def test_a_validation_split_that_is_too_small_is_refused():
    few = dataclasses.replace(SMOKE.universe, validation_percent=1)
    config = dataclasses.replace(SMOKE, universe=few)
    with pytest.raises(ConfigError, match="too few to be sure that any are in the validation split, which has 1%"):
        make_evaluator(config, make_agent(config.agent, config.env), None, None)


@pytest.mark.parametrize(
    "config", [SMOKE, pytest.param(PRESETS["memory"](), marks=pytest.mark.slow)], ids=["smoke", "memory"]
)
def test_trained_validated_and_tested_tasks_share_no_world_and_no_game(config, tmp_path):
    """Of 200 draws of each, by content; what is tested is what `xworld evaluate --agent RUN` plays."""
    config = dataclasses.replace(config, num_evaluation_tasks=200)
    universe = Universe(config.env, config.universe)
    trained, _ = universe.sample_stacked(jax.random.split(jax.random.key(config.seed), 200))
    validated = make_evaluator(config, make_agent(config.agent, config.env), None, None).make_tasks()
    (tmp_path / "config.json").write_text(to_json(config))
    tested = tasks_by_name(str(tmp_path), seed=0).collect(200).tasks
    parts = [contents(tasks) for tasks in (trained, validated, tested)]
    for worlds, games in parts:
        assert len(worlds) >= 5 and len(games) > 100
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not parts[one][0] & parts[other][0] and not parts[one][1] & parts[other][1]


def contents(tasks):
    """The different worlds, and the different games, of stacked tasks."""
    first = dataclasses.replace(tasks.goals, **{name: leaf[:, 0, 0] for name, leaf in vars(tasks.goals).items()})
    games = SimpleNamespace(goals=first, is_goal_negated=np.asarray(first.negated)[:, 0], rules=tasks.rules)
    rows = splits.canonical_games(games)
    return {world.tobytes() for world in np.asarray(tasks.terrain)}, {row.tobytes() for row in rows}
