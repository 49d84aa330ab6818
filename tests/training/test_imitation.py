"""Imitation: what is learned from in a window, an agent that does what was recorded, and what is refused."""

import dataclasses
import json
import shutil
import signal
import sys
import tempfile
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from imitate_worker import imitate_on_devices
from tiny_rooms import SMALL_AGENT, TinyRooms, env_config

from xworld import ConfigError, Env
from xworld.agents import Searcher, has_reached, load, make_agent, make_learner
from xworld.apps.commands.main import main
from xworld.evaluation import record_tasks, sample_tasks
from xworld.histories import Dataset, DatasetHeader, DatasetWriter, Recorded, derive_windows, draw_windows, read_windows
from xworld.tasks import TaskSet
from xworld.training.imitation.config import ImitateConfig, imitator
from xworld.training.imitation.ends import derive_trials, find_ends
from xworld.training.imitation.imitate import _go_on, _Run, imitate
from xworld.training.imitation.kept import Kept, Progress, kept_in
from xworld.training.imitation.learner import ImitationConfig
from xworld.training.imitation.windows import as_rollout
from xworld.training.learners.learner import Trained

ENV = Env(env_config(5))
TRIAL_LENGTH, NUM_TRIALS, NUM_TASKS = 8, 3, 96
SMALL = ["--window", "24", "--reach", "24", "--size", "32", "--num-layers", "1"]


def make_data(folder, policy, num_tasks, num_trials, num_candidates=1):
    rooms = TinyRooms(side=5, num_candidates=num_candidates, trial_length=TRIAL_LENGTH, num_trials=num_trials)
    tasks = jax.device_get(sample_tasks(rooms, jax.random.key(0), num_tasks))
    tasks = dataclasses.replace(tasks, agent_facing=np.zeros((num_tasks, 1), np.uint8))
    return record_tasks(folder, DatasetHeader(ENV.config), tasks, policy, jax.random.key(1))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("searcher") / "data", Searcher(), NUM_TASKS, NUM_TRIALS)


def test_what_is_learned_from_in_a_window(data):
    pieces = read_windows(data, np.array([0, 1, 2]), np.array([0, 3, 10]), 12)
    rollouts = {}
    for forgets in (False, True):
        agent = make_agent(dataclasses.replace(SMALL_AGENT, clear_memory_at_trials=forgets), ENV.config)

        @jax.jit
        def make(pieces, agent=agent):
            windows = derive_windows(ENV, pieces)
            return as_rollout(ENV, agent, windows, windows.action, 5)

        rollouts[forgets] = jax.device_get(make(pieces).steps)
    time = np.arange(12)
    remembers, forgets = rollouts[False], rollouts[True]
    assert ([time >= 0, time >= 5, time >= 5] == remembers.weight[..., 0].T).all()
    assert ([time == 0, time < 0, time < 0] == remembers.is_reset.T).all()
    # Trials begin at steps 0, 8 and 16 of a stream.
    assert ([(time == 0) | (time == 8), time == 5, time == 6] == forgets.is_reset.T).all()
    assert ([time >= 0, time >= 5, time >= 6] == forgets.weight[..., 0].T).all()
    assert (remembers.action[:, 1] == data.episodes([1]).action[3:15, 0]).all()
    assert (remembers.task_id == -1).all() and not remembers.is_next_task.any()


def test_windows_fit_into_streams_that_are_learned_from(data, tmp_path, monkeypatch):
    config = ImitateConfig(agent=imitator(8, 4), learner=ImitationConfig(window=12), held_out_percent=50)
    seen, lengths = set(_Run(data, config).seen.tolist()), data.stream_lengths
    monkeypatch.setattr(data, "stream_lengths", lambda stream: lengths(stream) // (4 if stream in seen else 1))
    with pytest.raises(ConfigError, match="the longest stream in .* has 6"):
        imitate(data, config, tmp_path / "agent")
    assert not (tmp_path / "agent").exists()


def test_what_is_not_kept_has_no_weight(data):
    """Windows of a stream whose end comes early begin with it, and go on beyond."""
    ends = np.where(np.arange(NUM_TASKS) % 2, 9, 10**6)
    pieces = draw_windows(data, np.random.default_rng(0), 64, 12, 0.5, ends=ends)
    windows = jax.device_get(jax.jit(lambda pieces: derive_windows(ENV, pieces))(pieces))
    is_cut = windows.num_kept < 12
    assert (
        is_cut.any() and not is_cut.all() and (windows.num_kept[is_cut] == 9).all() and windows.is_start[is_cut].all()
    )
    agent = make_agent(SMALL_AGENT, ENV.config)
    weight = as_rollout(ENV, agent, windows, windows.action, 0).steps.weight[..., 0]
    np.testing.assert_array_equal(weight, np.arange(12)[:, None] < windows.num_kept)


def test_a_stream_ends_when_its_last_five_trials_earned_the_level():
    returns = np.array([0, 9, 0, 3, 3, 0, 3, 3, 3])
    assert np.flatnonzero(has_reached(returns, 3)).tolist() == [4, 5]
    assert np.flatnonzero(has_reached(returns, 2)).tolist() == [4, 5, 7, 8]
    assert not has_reached(returns[:4], 1).any()


def test_the_ends_of_streams(tmp_path):
    data = make_data(tmp_path / "data", Searcher(), 12, 7)
    reward = np.asarray(data.episodes(np.arange(12)).derive(ENV).reward)[1:, :, 0]
    returns = reward.reshape(7, TRIAL_LENGTH, 12).sum(1)
    level = np.median(returns[:5].mean(0))
    ends = find_ends(data, level)
    first = returns[:5].mean(0) >= level
    assert (ends[first] == 5 * TRIAL_LENGTH).all() and (ends[~first] > 5 * TRIAL_LENGTH).all()
    assert first.any() and not first.all()
    assert (find_ends(data, 1e6) == 7 * TRIAL_LENGTH).all()
    with pytest.raises(ConfigError, match="stop_at"):
        ImitateConfig(stop_at="much")


def test_an_agent_that_is_not_there_halves_no_return():
    reward = np.zeros((7, 2, 2))  # [T + 1, episodes, agents]
    reward[1:, :, 0] = [[1, 2]] * 6
    reward[1:, 1, 1] = 4
    tasks = SimpleNamespace(trial_length=np.array([3, 2]), is_present=np.array([[True, False], [True, True]]))
    episodes = SimpleNamespace(
        tasks=tasks, length=np.array([6, 5]), derive=lambda env: SimpleNamespace(reward=jnp.asarray(reward))
    )
    steps, returns = derive_trials(SimpleNamespace(num_episodes=2, env=None, episodes=lambda numbers: episodes))
    assert [one.tolist() for one in steps] == [[3, 3], [2, 2, 1]]
    assert [one.tolist() for one in returns] == [[3, 3], [6, 6, 3]]


@pytest.mark.parametrize("field", ["sees_things", pytest.param("sees_trial_number", marks=pytest.mark.slow)])
def test_what_an_agent_does_not_see_changes_nothing(field):
    state, timestep = jax.jit(lambda *keys: ENV.reset(keys[0], TinyRooms(side=5).sample(keys[1])))(
        *jax.random.split(jax.random.key(0))
    )
    seen = timestep.observation
    view = seen.view.at[..., 1:].add(1)
    changed = {
        "sees_trial_number": dataclasses.replace(seen, trial=jnp.int32(2), trials_left=jnp.int32(1)),
        "sees_things": dataclasses.replace(seen, view=view),
    }
    for sees in (True, False):
        agent = make_agent(dataclasses.replace(SMALL_AGENT, **{field: sees}), ENV.config)

        @jax.jit
        def features(observation, agent=agent):
            params = jax.tree.map(lambda leaf: leaf + 0.1, agent.init(jax.random.key(0)))  # counts begin at 0
            told = agent.encode_briefing(params, ENV.briefing(state.task))
            return agent.step(params, observation, told, agent.start_memory(), jnp.asarray(False)).features

        assert (features(changed[field]) == features(seen)).all() == (not sees)


def test_an_imitation_that_diverges_stops_and_says_so(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.modules[imitate.__module__], "_update", lambda *of: (of[-4], of[-3], {
        "loss": jnp.float32(jnp.nan), "gradient_norm": jnp.float32(1)
    }))  # fmt: skip
    command = ["imitate", str(data.folder), "--method", "ad", *SMALL, "--start-share", "1", "--num-updates", "20"]
    assert main([*command, "--output", str(tmp_path / "agent")]) == 1
    error = capsys.readouterr().err
    assert "xworld: Imitation diverged before update 2: the loss is nan, the gradient's norm 1. What was kept" in error
    assert (tmp_path / "agent" / "checkpoint-0").is_dir() and not (tmp_path / "agent" / "agent.json").exists()


def test_it_starts_with_the_parameters_that_are_given(data, tmp_path):
    agent = make_agent(SMALL_AGENT, ENV.config)
    params = jax.tree.map(lambda leaf: leaf + 1, jax.jit(agent.init)(jax.random.key(7)))
    run = _Run(data, CLONE, params)
    run.check()
    with kept_in(tmp_path / "agent", agent, CLONE, data.content_hash) as kept:
        found = run.begin(kept).trained.agent
    assert all(map(np.array_equal, *map(jax.tree.leaves, (found, params))))
    other = make_agent(dataclasses.replace(SMALL_AGENT, memory_size=16), ENV.config).init(jax.random.key(0))
    optimiser = dataclasses.replace(CLONE.learner.optimiser, frozen=("head",))
    frozen = dataclasses.replace(CLONE, learner=dataclasses.replace(CLONE.learner, optimiser=optimiser))
    for config, start, message in ((CLONE, other, "params are not those"), (frozen, None, "frozen has 'head'")):
        with pytest.raises(ConfigError, match=message):
            imitate(data, config, tmp_path / "other", params=start)
    assert not (tmp_path / "other").exists()


CLONE = ImitateConfig(
    method="bc",
    agent=SMALL_AGENT,
    learner=ImitationConfig(window=24, batch_size=32, num_updates=90, learning_rate=1e-2),
    held_out_percent=30,
    num_evaluations=3,
    num_played=16,
)


@pytest.fixture(scope="module")
def cloned(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone")
    return folder / "agent", imitate(data, CLONE, folder / "agent", show_progress=False)


def test_an_imitator_does_what_was_recorded(cloned):
    folder, content = cloned
    assert json.loads((folder / "imitation.json").read_text()) == content
    rows = content["evaluations"]
    assert [row["update"] for row in rows] == [30, 60, 90] and rows[-1]["loss"] < 0.7 * rows[0]["loss"]
    assert content["update"] == max(rows, key=lambda row: row["last_return"])["update"]
    assert set(content["returns"]) == {"held_out", "seen"}
    returns = content["returns"]["seen"]
    assert set(returns) == {"sampled", "greedy"} and len(returns["greedy"]) == NUM_TRIALS
    assert np.mean(returns["sampled"]) > 1.2  # more than twice what random actions earn
    loaded = load(folder)
    assert loaded.config.clear_memory_at_trials
    assert content["num_tasks"] == {"choice": 10, "held_out": 10, "seen": 16}  # 20 tasks are held out


@pytest.mark.parametrize(("percent", "streams"), [(30, [3, 5, 8, 9]), (30, [3]), (0, [])])
def test_an_agent_is_reported_on_other_tasks_and_chance_than_chose_it(data, monkeypatch, percent, streams):
    played = []

    def evaluate(env, tasks, policy, key):
        assert isinstance(policy.params["of one device"], np.ndarray)  # it may be played on several
        bodies = zip(*(np.asarray(leaf) for leaf in jax.tree.leaves(tasks)), strict=True)
        played.append(({b"".join(leaf.tobytes() for leaf in body) for body in bodies}, int(jax.random.bits(key))))
        return SimpleNamespace(returns=np.zeros((len(tasks.trial_length), NUM_TRIALS)))

    monkeypatch.setattr("xworld.training.imitation.imitate.evaluate", evaluate)
    run = _Run(data, dataclasses.replace(CLONE, held_out_percent=percent))
    vars(run)["held_out"] = np.array(streams, int)
    params = {"of one device": jnp.zeros(2)}
    run.play(params, "choice")
    assert set(run.report(params)["returns"]) == ({"held_out", "seen"} if percent else {"seen"})
    (choosing, key), *reported = played
    assert all(other != key for _, other in reported)
    assert all(choosing.isdisjoint(tasks) for tasks, _ in reported) == (len(streams) != 1)


@pytest.mark.slow  # quicker: the test above
def test_an_imitator_is_judged_on_more_devices_than_its_batch_is_shared_out_to(data, tmp_path):
    learner = dataclasses.replace(CLONE.learner, num_updates=1)
    config = dataclasses.replace(CLONE, learner=learner, num_evaluations=1, num_played=3)
    report = imitate_on_devices(3, data.folder, config, tmp_path / "agent")
    assert report["update"] == 1


class Killed(Exception):
    pass


def test_who_is_stopped_and_killed_goes_on_bit_for_bit(data, cloned, tmp_path, monkeypatch):
    """Stopped in update 36, killed in the 62nd, where the checkpoint of the 60th is the newest, and at the very end."""
    number, finish = 0, Kept.finish

    def finish_and_die(*args):
        finish(*args)
        raise Killed

    def draw(*args, **options):
        nonlocal number
        number += 1
        if number == 1 + 36:  # the first is drawn to see whether there are windows
            signal.raise_signal(signal.SIGTERM)
        if number == 1 + 36 + 1 + 26:
            raise Killed
        return draw_windows(*args, **options)

    monkeypatch.setattr("xworld.training.imitation.imitate.draw_windows", draw)
    folder = tmp_path / "agent"
    with pytest.raises(KeyboardInterrupt):
        imitate(data, CLONE, folder, show_progress=False)
    assert [path.name for path in folder.glob("checkpoint-*")] == ["checkpoint-36"]
    notes = folder / "notes.txt"
    notes.write_text("mine")
    with pytest.raises(ConfigError, match="holds notes.txt"):
        imitate(data, CLONE, folder)
    notes.rename(tmp_path / "notes.txt")
    with pytest.raises(Killed):
        imitate(data, CLONE, folder, show_progress=False)
    assert load(folder).config.clear_memory_at_trials  # what was kept is an agent too
    with pytest.raises(ConfigError, match=r"has not ended, of something else \(seed: 0 -> 1\)"):
        imitate(data, dataclasses.replace(CLONE, seed=1), folder)
    monkeypatch.setattr(Kept, "finish", finish_and_die)
    with pytest.raises(Killed):
        imitate(data, CLONE, folder, show_progress=False)
    assert json.loads((folder / "imitation.json").read_text()) == cloned[1]
    assert {path.name for path in folder.iterdir()} == {path.name for path in cloned[0].iterdir()}
    for leaf, expected in zip(*(jax.tree.leaves(load(one).params) for one in (folder, cloned[0])), strict=True):
        np.testing.assert_array_equal(leaf, expected)


def test_an_agent_that_was_there_stays_until_another_is_finished(cloned, tmp_path):
    folder, agent = tmp_path / "agent", make_agent(CLONE.agent_config, ENV.config)
    shutil.copytree(cloned[0], folder)
    expected = load(folder).params
    for _ in range(2):  # the second goes on with the first
        with kept_in(folder, agent, CLONE, "hash of the data") as kept:
            (folder / "checkpoint-0").mkdir(exist_ok=True)
        assert json.loads((folder / "imitation.json").read_text()) == cloned[1]
        for leaf, was in zip(*map(jax.tree.leaves, (load(folder).params, expected)), strict=True):
            np.testing.assert_array_equal(leaf, was)
    kept.finish(Trained(expected, ()), {})
    assert {path.name for path in folder.iterdir()} == {"agent.json", "manifest.json", "params"}


def test_a_signal_while_all_is_kept_waits_for_the_next_update(monkeypatch):
    written, signals = [], iter([False, True, True])
    monkeypatch.setattr("xworld.training.imitation.imitate._update", lambda *args: (None, None, {"loss": 0.0}))
    run = SimpleNamespace(
        config=SimpleNamespace(learner=SimpleNamespace(num_updates=3), num_evaluations=1),
        fixed=(),
        terms=(),
        draw=lambda: None,
        chance=np.random.default_rng(0),
    )
    kept = SimpleNamespace(write=lambda progress: written.append(progress.update))
    with pytest.raises(KeyboardInterrupt):
        _go_on(run, kept, Progress(None, None, {}, {}), lambda: next(signals), False)
    assert written == [2]


def test_folders_that_are_not_written_to(data, cloned, tmp_path, monkeypatch):
    shutil.copytree(cloned[0], tmp_path / "agent")
    for folder in (tmp_path / "new", tmp_path / "agent"):
        folder.mkdir(exist_ok=True)
        (folder / "notes.txt").write_text("mine")
        before = sorted(folder.rglob("*"))
        with pytest.raises(ConfigError, match=r"holds notes\.txt, which is no part of a saved agent and would be lost"):
            imitate(data, CLONE, folder)
        assert sorted(folder.rglob("*")) == before
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(cloned[0])
    with pytest.raises(ConfigError, match="is where you are"):
        imitate(data, CLONE, cloned[0])
    make_file = tempfile.TemporaryFile

    def refuse(dir):
        if dir == tmp_path:  # by what it says, not by its mode: the tests may run as root
            raise PermissionError(13, "Permission denied")
        return make_file(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(ConfigError, match=rf"^{tmp_path} cannot be written to: Permission denied"):
        imitate(data, CLONE, tmp_path / "empty")


@pytest.mark.slow  # compiles more; what it prints and saves
def test_the_command_imitates(data, tmp_path, capsys):
    command = ["imitate", str(data.folder), "--method", "bc", *SMALL, "--output", str(tmp_path / "agent")]
    assert main([*command, "--num-updates", "120", "--num-evaluations", "3", "--held-out-percent", "30"]) == 0
    assert "held-out tasks, greedy actions" in capsys.readouterr().out
    content = json.loads((tmp_path / "agent" / "imitation.json").read_text())
    assert np.mean(content["returns"]["seen"]["sampled"]) > 1.2
    loaded = load(tmp_path / "agent")
    assert loaded.config.memory == "transformer_xl" and not loaded.config.sees_trial_number


@pytest.mark.slow  # minutes; the parts are tested above
def test_an_imitator_of_learners_gets_better_from_trial_to_trial(tmp_path):
    learner = make_learner("q-learner", ENV.config, TRIAL_LENGTH)
    lives = make_data(tmp_path / "lives", learner, 1024, 100, num_candidates=3)
    config = ImitateConfig(learner=ImitationConfig(num_updates=600), num_evaluations=2, num_played=64)
    content = imitate(lives, config, tmp_path / "ad", show_progress=False)
    returns = np.array(content["returns"]["held_out"]["sampled"])
    assert returns[-20:].mean() > 2 * returns[:4].mean()


def test_what_cannot_be_imitated_is_told(data, tmp_path, capsys):
    rows = {
        ("--method", "dpt"): "has no label expert_action, which dpt imitates",
        ("--method", "ad", "--window", "25", "--reach", "8"): "the longest stream in",
        ("--method", "ad", "--window", "20", "--reach", "20", "--keep", "0.5"): "12 that are kept",
        ("--method", "ad", "--window", "20", "--reach", "21"): "Make windows longer",
        ("--method", "ad", "--held-out-percent", "100"): "held_out_percent is 100",
        ("--method", "ad", "--keep", "0"): "ImitateConfig.keep is 0",
        ("--method", "ad", "--window", "16", "--reach", "8", "--num-trials", "0"): "num_trials is 0",
    }
    for arguments, words in rows.items():
        assert main(["imitate", str(data.folder), *arguments, "--output", str(tmp_path / "agent")]) == 2
        complaint = capsys.readouterr().err
        assert words in complaint and complaint.count("\n") == 1, complaint
    assert main(["imitate", str(tmp_path), "--method", "ad", "--output", str(tmp_path / "agent")]) == 2
    assert "holds no data set" in capsys.readouterr().err
    forgets = dataclasses.replace(imitator(), clear_memory_at_trials=True)
    for change, words in (
        ({"method": "da"}, "Write one of: ad, dpt, bc"),
        ({"start_share": 2}, "start_share is 2"),
        ({"agent": forgets}, "remembers earlier trials"),
    ):
        with pytest.raises(ConfigError, match=words):
            ImitateConfig(**change)
    short = {"agent": dataclasses.replace(forgets, window=20, cache_size=21), "learner": ImitationConfig(window=20)}
    assert ImitateConfig(method="bc", **short).agent_config.clear_memory_at_trials  # nothing fills a memory
    with pytest.raises(ConfigError, match="schedule is 'cos'"):
        ImitationConfig(schedule="cos")


@pytest.mark.parametrize("num_trials", [None, 5])
def test_all_tasks_are_played_for_equally_many_trials(data, monkeypatch, num_trials):
    """A task of fewer trials would earn 0 in those that it has not."""
    tasks_of = data.tasks

    def of_three_and_four(episodes):
        tasks = tasks_of(episodes)
        return dataclasses.replace(tasks, num_trials=3 + np.asarray(episodes).astype(np.uint16) // NUM_TRIALS % 2)

    monkeypatch.setattr(data, "tasks", of_three_and_four)
    tasks = _Run(data, dataclasses.replace(CLONE, num_trials=num_trials)).tasks
    assert {int(number) for some in tasks.values() for number in some.num_trials} == {num_trials or 4}
    assert {int(number) for number in of_three_and_four(np.arange(2 * NUM_TRIALS)).num_trials} == {3, 4}


def test_streams_are_of_one_task(tmp_path):
    tasks = TaskSet(jax.vmap(TinyRooms(side=5).sample)(jax.random.split(jax.random.key(0), 2)))
    header = DatasetHeader(ENV.config, labels=("stream",))
    with DatasetWriter(tmp_path / "data", header, tasks) as writer:
        actions = np.zeros((20, 1), np.uint8)
        writer.append(Recorded(np.array([[0], [1]]), np.arange(2), np.full(2, 10), actions, {"stream": np.zeros(2)}))
    config = ImitateConfig(agent=imitator(8, 4), learner=ImitationConfig(window=8), held_out_percent=0)
    with pytest.raises(ConfigError, match="streams of several tasks"):
        imitate(Dataset(tmp_path / "data"), config, tmp_path / "agent")
