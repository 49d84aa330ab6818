"""What is recorded in training: whole episodes that can be played again, and who acted in them."""

import dataclasses
import signal
from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_rooms import TinyRooms, sanity_config

from xworld import ConfigError, Env
from xworld.agents import AgentPolicy
from xworld.apps.laboratory.experiments.byrnes_cut.worlds import SMALL_WORLD
from xworld.core.step.actions import NOOP
from xworld.evaluation import follow, sample_tasks
from xworld.histories import Dataset, DatasetHeader, DatasetWriter, Recorded
from xworld.tasks import TaskSet
from xworld.training import AccelConfig, PPOConfig, train
from xworld.training.devices.sharding import fetch
from xworld.training.logs.recorder import Recorder, open_recording
from xworld.training.rollouts.taken import take
from xworld.training.run import loop
from xworld.training.run.trainer import make_trainer

LENGTH = 8 * 3  # of an episode
# Rollouts in which episodes end two or three times: the third is the second again, since no other was prepared.
CONFIG = replace(
    sanity_config(),
    universe=SMALL_WORLD.universe,
    learner=PPOConfig(rollout_length=60, num_minibatches=4),
    updates_per_chunk=2,
    num_envs=32,
    total_steps=4 * 32 * 60,
)


def numbered_tasks(number=8):
    tasks = sample_tasks(TinyRooms(5, 1, 8, 3), jax.random.key(0), number)
    ids = {"world_id": jnp.zeros(number, jnp.int32), "game_id": jnp.arange(number, dtype=jnp.int32)}
    return TaskSet(dataclasses.replace(tasks, **ids))


class OfStoredTasks:
    """A writer that finds tasks by their game ids, which are their numbers."""

    def __init__(self, writer):
        self.writer = writer

    def append(self, recorded: Recorded):
        assert (recorded.task[:, 0] == 0).all()
        self.writer.append(replace(recorded, task=recorded.task[:, 1:]))


def test_what_is_kept_of_a_step_is_the_learners_or_no_probability_at_all():
    """Of three environments of two agents: all the learner's, one seat a partner's, and one agent who is not there."""
    view = np.ones((1, 3, 2, 1, 1, 3), np.uint8)
    view[0, 2, 1] = 0
    steps = SimpleNamespace(
        observation=SimpleNamespace(view=jnp.asarray(view)),
        action=jnp.array([[[0, 1], [2, 3], [4, 5]]]),
        weight=jnp.array([[[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]]]),
        log_probability=jnp.array([[[-1.0, -2.0], [-3.0, -4.0], [-5.0, -6.0]]]),
        discount=jnp.array([[1.0, 0.0, 1.0]]),
    )
    now, following = (
        SimpleNamespace(
            seed=first + jnp.arange(3), task=SimpleNamespace(world_id=jnp.full(3, first), game_id=jnp.arange(3))
        )
        for first in (10, 20)
    )
    taken = take(SimpleNamespace(current=now), SimpleNamespace(prepared=following), steps)
    assert taken.action.dtype == jnp.uint8 and taken.action.tolist() == [[[0, 1], [2, 3], [4, NOOP]]]
    np.testing.assert_array_equal(taken.log_probability, [[[-1, -2], [np.nan, -4], [-5, np.nan]]])
    assert taken.is_last.tolist() == [[False, True, False]]
    assert taken.seed.tolist() == [[10, 11, 12], [20, 21, 22]]
    assert taken.task_id[1].tolist() == [[20, 0], [20, 1], [20, 2]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The data set of two chunks, the parameters of before each update, and how many episodes began in sight."""
    trainer, tasks = make_trainer(CONFIG, is_recorded=True), numbered_tasks()
    given, folder = trainer.given(tasks), tmp_path_factory.mktemp("recorded") / "data"
    state = trainer.start(given)
    before, num_ended = fetch(state.params), np.zeros(CONFIG.num_envs, int)
    header = DatasetHeader(CONFIG.env, labels=("log_probability", "update"))
    with DatasetWriter(folder, header, jax.device_get(tasks)) as writer:
        recorder = Recorder(OfStoredTasks(writer), CONFIG.num_envs)
        for chunk in range(2):
            state, given, _, taken = trainer.chunk(state, given)
            taken = jax.device_get(taken)
            recorder.add(taken, 2 * chunk)
            recorder.write()
            num_ended += taken.is_last.sum((0, 1))
        recorder.write()  # again: nothing is there twice
    return Dataset(folder), trainer.agent, before, num_ended


def test_whole_episodes_are_recorded_once(recorded):
    data, *_, num_ended = recorded
    assert data.num_episodes == (num_ended - 1).sum()  # but for each environment's first, which began before
    episodes = data.episodes(np.arange(data.num_episodes))
    assert (episodes.length == LENGTH).all()
    update = episodes.labels["update"]
    assert set(np.unique(update)) == {0, 1, 2, 3} and (np.diff(update, axis=0) >= 0).all()


def test_what_the_learner_saw_is_derived_from_it(recorded):
    """Else it would have given other probabilities."""
    data, agent, params, _ = recorded
    numbers = np.arange(data.num_episodes)
    of_first = numbers[(data.episodes(numbers).labels["update"] == 0).all(0)]
    episodes = data.episodes(of_first)
    assert len(of_first) >= 32
    pairs = {
        (int(seed), bytes(action)) for seed, action in zip(episodes.seed, episodes.action.swapaxes(0, 1), strict=True)
    }
    assert len(set(episodes.seed.tolist())) < len(pairs) == len(of_first)  # some episodes were played again, otherwise
    _, probabilities = follow(data.env, AgentPolicy(params, agent), episodes)
    np.testing.assert_allclose(probabilities, episodes.labels["log_probability"], atol=2e-5)


def test_a_run_records_and_goes_on(tmp_path, monkeypatch):
    tasks = numbered_tasks()
    monkeypatch.setattr(loop, "make_source", lambda config, _: tasks)  # the generator takes long to compile
    options = {"evaluation_tasks": tasks.tasks, "show_progress": False}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train(CONFIG, tmp_path / "run", record=whole, **options)
    stop = {"on_row": lambda row: signal.raise_signal(signal.SIGTERM)}
    assert not train(CONFIG, tmp_path / "other", record=parts, **options, **stop)
    assert train(CONFIG, tmp_path / "other", record=parts, resume=True, **options)
    found = [episodes_in(folder) for folder in (whole, parts)]
    assert found[1] < found[0]  # but for those that were under way
    assert len(found[0]) - len(found[1]) == CONFIG.num_envs


def episodes_in(folder):
    """Their ids, seeds, and what was done in them, without the tasks."""
    data = Dataset(folder)
    assert data.header.universe == CONFIG.universe and data.header.players == ("learner",)
    numbers = np.arange(data.num_episodes)
    columns = [data.read(name, numbers, 0 * numbers, LENGTH + 0 * numbers, LENGTH) for name in ("action", "update")]
    rows = zip(data.task_ids(numbers), data.seeds(numbers), *(column.swapaxes(0, 1) for column in columns), strict=True)
    return {(bytes(ids), int(seed), bytes(action), bytes(update)) for ids, seed, action, update in rows}


def test_what_cannot_be_recorded_is_said_before_anything_is_trained(tmp_path):
    folder = tmp_path / "data"
    with pytest.raises(ConfigError, match="accel plays edited tasks"):
        open_recording(folder, replace(CONFIG, curriculum=AccelConfig()), goes_on=False)
    with pytest.raises(ConfigError, match="record keeps tasks by their ids"):
        train(CONFIG, tmp_path / "run", tasks=numbered_tasks(), record=folder, show_progress=False)
    assert not folder.exists()
    open_recording(folder, CONFIG, goes_on=False).close()
    with pytest.raises(ConfigError, match="holds a data set already"):
        open_recording(folder, CONFIG, goes_on=False)
    longer = replace(CONFIG, total_steps=2 * CONFIG.total_steps)
    open_recording(folder, longer, goes_on=True).close()
    with pytest.raises(ConfigError, match="data set of something else"):
        open_recording(folder, replace(CONFIG, seed=5), goes_on=True)
    with pytest.raises(ConfigError, match="data set of something else"):
        open_recording(folder, CONFIG, "Demonstrators (share 0.5)", goes_on=True)
    assert Dataset(folder).num_episodes == 0 and Env(CONFIG.env) == Dataset(folder).env
