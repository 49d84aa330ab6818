"""Histories: what was seen is derived again byte for byte, a crash loses nothing, and damage is told."""

import contextlib
import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xworld import ConfigError, Env
from xworld.agents import Expert
from xworld.histories import (
    Header,
    History,
    HistoryWriter,
    Step,
    history_of,
    play_actions,
    read_history,
    replay,
    write_history,
)
from xworld.tasks import config_for, parse

TASK = '''
goal = "hold(agent, black cube)"
rules = ["hold(agent, purple ball) -> black cube"]
hidden = "all"
trial_length = 30
num_trials = 3
map = """
#####
#0.b#
#...#
#####
"""
[legend]
b = "purple ball"
'''
CONFIG = config_for(TASK)
ENV = Env(CONFIG)
TASK_ARRAYS = parse(TASK, CONFIG)
HEADER = Header(CONFIG, TASK_ARRAYS, seed=7, players=("somebody",), task_name="room")
ACTIONS = np.random.default_rng(0).choice([0, 0, 0, 1, 2, 3, 4, 6], (90, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def stepped():
    """States and timesteps of an episode, by `Env.reset` and `Env.step` themselves."""
    state, timestep = jax.jit(ENV.reset_from_seed)(jnp.uint32(7), TASK_ARRAYS)
    step, moments = jax.jit(ENV.step), [(state, timestep)]
    for actions in ACTIONS:
        moments.append(step(moments[-1][0], jnp.asarray(actions)))
    return jax.tree.map(lambda *leaves: np.stack(leaves), *jax.device_get(moments))


@pytest.fixture(scope="module")
def history(stepped):
    return history_of(ENV, *stepped, ["somebody"], "room")


def same_bytes(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() and a.dtype == b.dtype for a, b in pairs)


def test_what_was_seen_is_derived_again_byte_for_byte(stepped, history, tmp_path):
    assert history.rewards.any() and history.events.any()
    read = read_history(write_history(tmp_path / "episode.jsonl", history))
    states, timesteps = replay(read)
    assert same_bytes(timesteps.observation, stepped[1].observation)
    assert same_bytes((states, timesteps), stepped)


def test_a_writer_writes_what_a_whole_history_is(history, tmp_path):
    whole = write_history(tmp_path / "whole.jsonl", history)
    with contextlib.closing(HistoryWriter(tmp_path / "new" / "grown.jsonl", HEADER)) as writer:
        for step in history.steps:
            size = writer.path.stat().st_size
            writer.append(dataclasses.replace(step, event=9))
            assert writer.path.stat().st_size > size  # it is there at once
            writer.undo()
            assert writer.path.stat().st_size == size
            writer.append(step)
    assert writer.path.read_bytes() == whole.read_bytes()
    with pytest.raises(ConfigError, match="there already"):
        HistoryWriter(writer.path, HEADER)


def test_a_history_goes_on_where_its_writer_was_killed(history, tmp_path):
    whole = write_history(tmp_path / "whole.jsonl", history).read_bytes()
    path = tmp_path / "cut.jsonl"
    for num_bytes in (0, 30, whole.index(b"\n") + 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:num_bytes])
        with contextlib.closing(HistoryWriter(path, HEADER, goes_on=True)) as writer:
            assert writer.steps == history.steps[: len(writer.steps)]
            for step in history.steps[len(writer.steps) :]:
                writer.append(step)
        assert path.read_bytes() == whole
    with pytest.raises(ConfigError, match="of something else"):
        HistoryWriter(path, dataclasses.replace(HEADER, seed=8), goes_on=True)


def test_a_cut_last_line_is_left_out(history, tmp_path):
    path = write_history(tmp_path / "episode.jsonl", History(history.header, history.steps[:3]))
    lines = path.read_bytes().splitlines(keepends=True)
    for cut in (1, 20, len(lines[3]) - 1):
        path.write_bytes(b"".join(lines[:3]) + lines[3][:cut])
        read = read_history(path)
        assert read.steps == history.steps[:2]
        assert replay(read)[1].event.shape == (3,)
    path.write_bytes(lines[0][:50])
    with pytest.raises(ConfigError, match="no header"):
        read_history(path)


def test_an_episode_without_steps(tmp_path):
    HistoryWriter(tmp_path / "empty.jsonl", HEADER).close()
    read = read_history(tmp_path / "empty.jsonl")
    assert read.actions.shape == read.rewards.shape == (0, 1)
    assert replay(read)[0].trial.shape == (1,)


def test_what_comes_after_the_end_is_left_out(stepped, history):
    longer = jax.tree.map(lambda leaf: np.concatenate([leaf, leaf[-1:]]), stepped)
    assert history_of(ENV, *longer, ["somebody"], "room").steps == history.steps


def test_a_name_that_is_no_text_is_kept(history, tmp_path):
    header = dataclasses.replace(history.header, task_name="\udcff\0é")
    path = write_history(tmp_path / "a.jsonl", dataclasses.replace(history, header=header))
    assert read_history(path).header.task_name == "\udcff\0é"


def test_times_are_kept(history, tmp_path):
    steps = (dataclasses.replace(history.steps[0], time=1.25), history.steps[1])
    times = read_history(write_history(tmp_path / "timed.jsonl", History(history.header, steps))).times
    assert times[0] == 1.25 and np.isnan(times[1])


def test_a_plan_becomes_a_history():
    plan = Expert(ENV).plan(TASK_ARRAYS, [1])
    task = dataclasses.replace(TASK_ARRAYS, agent_facing=jnp.array([1], jnp.uint8), num_trials=jnp.uint16(1))
    history = history_of(ENV, *play_actions(ENV, task, 0, plan.actions), ["expert"])
    assert history.rewards.sum() == plan.return_ > 0
    assert tuple(history.events[history.events > 0] - 1) == plan.rules_fired


def test_histories_are_equal_by_their_content(tmp_path):
    history = History(HEADER, (Step((0,), (0.0,), 0),))
    again = read_history(write_history(tmp_path / "episode.jsonl", history))
    assert again == history and hash(again) == hash(history)
    longer = dataclasses.replace(HEADER, task=dataclasses.replace(TASK_ARRAYS, trial_length=jnp.uint16(31)))
    for other in (dataclasses.replace(HEADER, seed=8), longer):
        assert History(other, history.steps) != history


def change_line(path, number, **changes):
    lines = path.read_text().splitlines()
    lines[number] = json.dumps(json.loads(lines[number]) | changes)
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("number", "changes", "words"),
    [
        (0, {"format": "xworld history 9"}, "its format is 'xworld history 9'"),
        (0, {"seed": -1}, "its seed is -1"),
        (0, {"players": []}, "name one for each of the 1 agents"),
        (0, {"players": None}, "players is None; it is a list"),
        (0, {"config": {"height": 0}}, "height is 0"),
        (0, {"task": "goal = 3"}, "no map"),
        (2, {"actions": [7]}, r"line 3, is damaged: An action is 7"),
        (2, {"actions": [0, 0]}, "line 3, is damaged"),
        (2, {"actions": None}, "line 3, is damaged: actions is None; it is a list with one for each agent"),
        (2, {"rewards": []}, "line 3, is damaged"),
        (2, {"event": None}, "line 3, is damaged"),
        (2, {"time": "late"}, "line 3, is damaged"),
    ],
)
def test_damage_is_told(history, tmp_path, number, changes, words):
    path = write_history(tmp_path / "episode.jsonl", History(history.header, history.steps[:4]))
    change_line(path, number, **changes)
    with pytest.raises(ConfigError, match=words):
        read_history(path)


@pytest.mark.parametrize("text", ["", "hello\n", "[]\n", "{}\n"])
def test_other_files_are_no_histories(tmp_path, text):
    path = tmp_path / "episode.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match="is no history"):
        read_history(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_history(tmp_path / "nowhere.jsonl")


@pytest.mark.parametrize("changes", [{"rewards": (0.5,)}, {"event": 2}])
def test_another_outcome_is_told_by_its_step(history, changes):
    steps = list(history.steps)
    steps[70] = dataclasses.replace(steps[70], **changes)
    with pytest.raises(ConfigError, match="Step 71 has"):
        replay(History(history.header, tuple(steps)))


def test_what_cannot_be_written_is_refused(stepped, tmp_path):
    with pytest.raises(ConfigError, match="ends in .jsonl"):
        HistoryWriter(tmp_path / "episode.json", HEADER)
    with pytest.raises(ConfigError, match="stacked over time"):
        history_of(ENV, *jax.tree.map(lambda leaf: leaf[0], stepped), ["somebody"])
    with pytest.raises(ConfigError, match="name one for each of the 1 agents"):
        history_of(ENV, *stepped, ["somebody", "else"])
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        HistoryWriter(tmp_path / "file" / "episode.jsonl", HEADER)
    for change, words in (
        ({"actions": (7,)}, "An action is 7"),
        ({"actions": (0, 0)}, "one for each of 1 agents"),
        ({"rewards": (float("nan"),)}, "A reward is nan"),
        ({"event": -1}, "The event is -1"),
        ({"time": float("inf")}, "The time is inf"),
    ):
        step = dataclasses.replace(Step((0,), (0.0,), 0), **change)
        with pytest.raises(ConfigError, match=words):
            write_history(tmp_path / "bad.jsonl", History(HEADER, (step,)))
        writer = HistoryWriter(tmp_path / "some.jsonl", HEADER, goes_on=True)
        with contextlib.closing(writer), pytest.raises(ConfigError, match=words):
            writer.append(step)
    with pytest.raises(ConfigError, match="The seed of a history is -1"):
        write_history(tmp_path / "bad.jsonl", History(dataclasses.replace(HEADER, seed=-1), ()))
    assert not (tmp_path / "bad.jsonl").exists() and read_history(tmp_path / "some.jsonl").steps == ()
    odd = dataclasses.replace(TASK_ARRAYS, object_kind=TASK_ARRAYS.object_kind[::-1])
    with pytest.raises(ConfigError, match="cannot be written as text"):
        HistoryWriter(tmp_path / "odd.jsonl", dataclasses.replace(HEADER, task=odd))
