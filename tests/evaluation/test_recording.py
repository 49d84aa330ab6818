"""Recording data sets: what is recorded is what is scored, `xworld record` goes on where it stopped, and bad input."""

import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluation_tasks import CONFIG, make_tasks
from pair_tasks import always
from tiny_rooms import TinyRooms, env_config

from xworld import ConfigError, Env
from xworld.agents import NoopPolicy, RandomPolicy, Searcher
from xworld.agents.players import plan_policy
from xworld.agents.scripted.adviser import advise
from xworld.apps.commands.main import main
from xworld.core.step.actions import TURN_LEFT, TURN_RIGHT
from xworld.evaluation import evaluate, recording, sample_tasks
from xworld.evaluation.recording import TaskRows, record_episodes, record_tasks
from xworld.histories import Dataset, DatasetHeader, DatasetWriter
from xworld.tasks import TaskSet, save

ENV = Env(env_config(5))
KEY = jax.random.key(3)
NUM_TASKS = 10


@pytest.fixture(scope="module")
def tasks():
    rooms = [TinyRooms(side=5, trial_length=6, num_trials=trials) for trials in (3, 2)]
    sampled = [jax.device_get(sample_tasks(one, KEY, NUM_TASKS // 2)) for one in rooms]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *sampled)


def test_what_is_recorded_is_what_is_scored(tasks, tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "_CHUNK", 4)  # which divides no length
    header = DatasetHeader(ENV.config, labels=("log_probability", "update", "stream"))
    labels = {"update": np.arange(NUM_TASKS), "stream": np.zeros(NUM_TASKS)}
    with DatasetWriter(tmp_path / "data", header, TaskSet(tasks)) as writer:
        rows = TaskRows(tasks, np.arange(NUM_TASKS)[:, None])
        record_episodes(writer, rows, RandomPolicy(), KEY, batch_size=4, labels=labels)
    data = Dataset(tmp_path / "data")
    data.check()
    episodes = data.episodes(np.arange(NUM_TASKS))
    assert (episodes.length == [18] * 5 + [12] * 5).all() and data.num_streams == 1
    rewards = np.asarray(episodes.derive(ENV).reward)[1:, :, 0]  # [18, 10], 0 after an episode's end
    returns = rewards.reshape(3, 6, NUM_TASKS).sum(1).T
    assert returns.any()
    assert (returns == evaluate(ENV, tasks, RandomPolicy(), KEY, batch_size=NUM_TASKS).returns).all()
    is_played = np.arange(18)[:, None] < episodes.length
    assert np.allclose(episodes.labels["log_probability"][is_played], -np.log(7))
    assert (
        episodes.labels["update"][is_played] == np.broadcast_to(np.arange(NUM_TASKS), is_played.shape)[is_played]
    ).all()


def test_who_does_not_say_how_likely_actions_are_is_refused(tasks, tmp_path):
    with (
        DatasetWriter(
            tmp_path / "data", DatasetHeader(ENV.config, labels=("log_probability",)), TaskSet(tasks)
        ) as writer,
        pytest.raises(ConfigError, match="NoopPolicy does not say how likely"),
    ):
        record_episodes(writer, TaskRows(tasks, np.arange(NUM_TASKS)[:, None]), NoopPolicy(), KEY)
    assert Dataset(tmp_path / "data").num_steps == 0


@pytest.fixture
def rooms(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("rooms.npz", TaskSet(jax.tree.map(lambda leaf: leaf[:3], make_tasks(3))), CONFIG)
    return ["--task-set", "rooms.npz", "--num-trials", "1"]


def test_the_command_goes_on_where_it_stopped(rooms, capsys, monkeypatch):
    command = ["record", "--agent", "random", *rooms, "--num-episodes", "3", "--batch-size", "2"]
    assert main([*command, "--output", "whole"]) == 0
    assert "9 episodes with 108 steps" in capsys.readouterr().out
    whole = Dataset("whole")
    assert whole.header.players == ("random",) and (whole.task_ids(np.arange(9))[:, 0] == [0, 1, 2] * 3).all()
    assert len(np.unique(whole.seeds(np.arange(9)))) == 9

    played = []

    def stop(*arguments, **options):
        played.append(1)
        if len(played) == 4:  # in the second episode of the tasks
            raise KeyboardInterrupt
        record_episodes(*arguments, **options)

    monkeypatch.setattr(recording, "record_episodes", stop)
    assert main([*command, "--output", "stopped"]) == 130
    assert "5 episodes are kept in stopped; the same command goes on" in capsys.readouterr().out
    assert main([*command, "--output", "stopped"]) == 0
    for name in ("action.bin", "seed.bin", "task.bin", "start.bin"):
        assert Path("stopped", name).read_bytes() == Path("whole", name).read_bytes()


def test_it_does_not_go_on_with_another_agent(rooms, capsys, monkeypatch):
    def files():
        return {path.name: path.read_bytes() for path in Path("data").iterdir()}

    command, action = ["record", "--agent", "mine:player", *rooms, "--output", "data"], [TURN_LEFT]
    monkeypatch.setitem(sys.modules, "mine", SimpleNamespace(player=lambda env: always(action[0])))
    assert main(command) == 0
    begun, action[0] = files(), TURN_RIGHT
    capsys.readouterr()
    assert main(command) == 2
    complaint = capsys.readouterr().err
    assert "data was begun with another agent than mine:player is now (digest " in complaint
    assert complaint.count("\n") == 1 and files() == begun
    action[0] = TURN_LEFT
    assert main(command) == 0  # nothing is left to play
    Path("mine.py").write_text("# what another player does")
    sys.modules["mine"].__file__ = "mine.py"
    assert main(command) == 2 and "begun with another agent than mine:player" in capsys.readouterr().err


def test_the_expert_plans_each_task_once_and_labels_its_actions(rooms, monkeypatch):
    planned = []

    def plan(env, tasks, **options):
        planned.append(len(tasks.trial_length))
        return plan_policy(env, tasks, **options)

    monkeypatch.setattr("xworld.agents.players.plan_policy", plan)
    command = ["record", "--agent", "expert", *rooms, "--num-episodes", "2", "--batch-size", "2"]
    assert main([*command, "--output", "data"]) == 0
    assert planned == [2, 1]
    data = Dataset("data")
    episodes = data.episodes(np.arange(6))
    assert (data.task_ids(np.arange(6))[:, 0] == [0, 1, 2] * 2).all()
    assert (episodes.labels["expert_action"] == episodes.action).all()
    assert (np.asarray(episodes.derive(data.env).reward).sum((0, 2)) >= 5).all()


def test_the_expert_is_asked_while_others_play(tasks, tmp_path):
    """Who does what the labels say, from wherever chance has led, is paid as soon as can be."""
    header = DatasetHeader(ENV.config, labels=("expert_action",))
    data = record_tasks(tmp_path / "data", header, tasks, RandomPolicy(), KEY, batch_size=4)
    episodes = data.episodes(np.arange(NUM_TASKS))
    actions, advice = episodes.action[..., 0], episodes.labels["expert_action"][..., 0]
    assert (actions != advice).mean() > 0.5 and set(np.unique(advice)) <= {0, 1, 2, 3, 4, 6}

    @jax.jit
    def advised(tasks):
        def step(carry, _):
            state, timestep = carry
            action = advise(state, timestep)
            return ENV.step(state, action), (action, timestep.reward)

        def play(task, seed):
            return jax.lax.scan(step, ENV.reset_from_seed(seed, task), length=12)[1]

        return jax.vmap(play)(tasks, jnp.asarray(episodes.seed))

    actions_of_adviser, rewards = jax.device_get(advised(jax.tree.map(jnp.asarray, tasks)))
    assert (advice[0] == actions_of_adviser[:, 0, 0]).all()  # all are in the same state then
    knows, searches = rewards[..., 0].sum(1), evaluate(ENV, tasks, Searcher(), KEY).returns[:, :2].sum(1)
    assert (knows >= searches - 2).all() and knows.mean() > 1.2 * searches.mean()


def test_tasks_that_nobody_advises_on_are_told(tmp_path, capsys):
    options = ["--task-set", "two_doors", "--output", str(tmp_path / "data"), "--expert-actions"]
    assert main(["record", "--agent", "random", *options]) == 2
    complaint = capsys.readouterr().err
    assert "or has doors; the label" in complaint and complaint.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_bad_input_is_told_in_a_line(rooms, capsys):
    rows = {
        ("noop", "--log-probabilities"): "noop does not say how likely its actions are",
        ("expert", "--log-probabilities"): "expert does not say how likely its actions are",
        ("random", "--which", "best"): "--which is for trained agents",
        ("random", "--log-probabilities", "--greedy"): "Leave one",
        ("random", "--which", "all"): "--which all is for training runs",
        ("rando",): "There is no folder 'rando'",
        ("random", "--num-episodes", "0"): "--num-episodes is 0; write a whole number",
        ("random", "--num-tasks", "4"): "write 1 to 3",
    }
    for arguments, words in rows.items():
        assert main(["record", "--agent", *arguments, *rooms, "--output", "data"]) == 2
        complaint = capsys.readouterr().err
        assert words in complaint and complaint.count("\n") == 1
        assert not Path("data").exists()
    assert main(["record", "--agent", "random", *rooms, "--num-tasks", "1", "--output", "data"]) == 0
    assert main(["record", "--agent", "random", *rooms, "--seed", "1", "--output", "data"]) == 2
    assert "holds a data set of something else" in capsys.readouterr().err


@pytest.mark.slow  # to compile the generator takes long; ids are drawn and made again
def test_tasks_of_a_universe_are_kept_by_their_ids(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["record", "--agent", "random", "--task-set", "rooms1-7x7:train", "--num-tasks", "3"]
    assert main([*command, "--num-trials", "1", "--output", "data"]) == 0
    data = Dataset("data")
    assert not (tmp_path / "data" / "tasks.npz").exists() and data.header.universe.split == "train"
    episodes = data.episodes([2, 0])
    assert (episodes.tasks.num_trials == 1).all() and (episodes.tasks.trial_length == episodes.length).all()
    assert (np.stack([episodes.tasks.world_id, episodes.tasks.game_id], 1) == data.task_ids([2, 0])).all()
    assert episodes.derive(data.env).is_last[episodes.length, [0, 1]].all()
