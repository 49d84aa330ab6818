"""The experiment of three ways to agents that learn in context: its arms fit together, and a tiny run of each."""

import dataclasses

import jax
import numpy as np
import pytest
from tiny_rooms import TinyRooms, env_config

from xworld import ConfigError
from xworld.agents import load
from xworld.apps.laboratory import Job, run_experiment
from xworld.apps.laboratory.experiments import distil
from xworld.apps.laboratory.experiments.distil import ARMS, EXPERIMENT, NUM_TASKS, REACHES, SIZES, Sizes
from xworld.evaluation import sample_tasks
from xworld.histories import Dataset
from xworld.tasks import TaskSet
from xworld.training import PRESETS

TRIAL_LENGTH, _ = PRESETS["demo"]().universe.trial_length


@pytest.mark.parametrize("is_quick", [False, True])
def test_all_arms_have_one_network_and_room_for_their_windows(is_quick, tmp_path):
    sizes = SIZES[is_quick]
    for reach in REACHES:
        config = distil._config(sizes, reach)
        imitation = distil._imitation(Job("tasks-64", "ad-24", 0, tmp_path, is_quick), sizes, "ad", reach)
        agents = config.agent, imitation.agent
        sized = [(agent.memory_size, agent.num_layers, agent.sees_trial_number) for agent in agents]
        assert sized[0] == sized[1] and imitation.agent.reach == reach
        assert is_quick or config.agent.reach == reach
        assert imitation.learner.window <= sizes.num_trials * TRIAL_LENGTH
        assert config.learner.rollout_length == config.agent.window
    assert {arm.split("-")[0] for arm in ARMS} == {"ad", "dpt", "rl2", "rl2x4"}
    streams = sum(NUM_TASKS.values()) * sizes.num_trials * TRIAL_LENGTH
    assert is_quick or sizes.total_steps >= streams  # RL^2 has at least as much experience


def test_steps_are_not_asked_for(tmp_path):
    with pytest.raises(ConfigError, match="Leave --total-steps out"):
        run_experiment(EXPERIMENT, tmp_path, total_steps=5)


@pytest.mark.parametrize(("arm", "times"), [("rl2-24", 1), ("rl2x4-96", 4)])
def test_ppo_trains_on_the_same_tasks_for_as_long_as_its_name_says(arm, times, tmp_path, monkeypatch):
    rooms = TinyRooms(side=5, trial_length=TRIAL_LENGTH, num_trials=2)
    stored = TaskSet(jax.device_get(sample_tasks(rooms, jax.random.key(0), 4)))
    monkeypatch.setattr(distil, "_tasks", lambda job, sizes: stored)
    monkeypatch.setattr(distil, "train_to_end", lambda config, job, exam, tasks: (config, tasks))
    config, tasks = EXPERIMENT.run(Job("tasks-4096", arm, 0, tmp_path))
    assert config.total_steps == times * SIZES[False].total_steps
    assert config.agent.cache_size == int(arm.split("-")[1])
    assert (tasks.tasks.num_trials == SIZES[False].num_played).all()
    np.testing.assert_array_equal(tasks.tasks.object_kind, stored.tasks.object_kind)


@pytest.mark.slow  # compiles two learners, their players and a run of PPO
def test_a_tiny_run_of_each(tmp_path, monkeypatch):
    sizes = Sizes(1 / 8, 6, 2, 48, 4, 32 * 24, 2, 3)
    monkeypatch.setattr(distil, "SIZES", {True: sizes})
    rooms = TinyRooms(side=5, trial_length=TRIAL_LENGTH, num_trials=2)

    def tasks(job, sizes):  # the generator takes long to compile
        return TaskSet(jax.device_get(sample_tasks(rooms, jax.random.key(job.seed), 8)))

    class Played:
        def play(self, folder):
            return {2: np.ones((3, 2))}

    config = distil._config
    monkeypatch.setattr(distil, "_tasks", tasks)
    monkeypatch.setattr(distil, "_config", lambda *of: dataclasses.replace(config(*of), env=env_config(5)))
    monkeypatch.setattr(distil, "_exam", lambda sizes: Played())
    for arm in ("dpt-24", "ad-24"):
        job = Job("tasks-64", arm, 0, tmp_path / arm, is_quick=True)
        outcome = EXPERIMENT.run(job)
        assert outcome.numbers["recorded_steps"] == 8 * 6 * TRIAL_LENGTH and outcome.returns[2].shape == (3, 2)
        labels = Dataset(job.folder / "streams").episodes(np.arange(8)).labels
        assert set(np.unique(labels["expert_action"])) >= {0, 3}
    monkeypatch.setattr(distil, "imitate", None)  # it is done
    assert EXPERIMENT.run(job).numbers == outcome.numbers
    trained = EXPERIMENT.run(Job("tasks-64", "rl2-24", 0, tmp_path / "rl2-24", is_quick=True))
    imitator = load(tmp_path / "ad-24" / "agent")
    assert trained.numbers["parameters"] == sum(leaf.size for leaf in jax.tree.leaves(imitator.params))
