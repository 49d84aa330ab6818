"""Data sets of histories: what was seen is derived again byte for byte, in whole or in windows, and damage is told."""

import contextlib
import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_rooms import TinyRooms, env_config

from xworld import ConfigError, Env
from xworld.base.digest import digest
from xworld.base.lines import LineWriter
from xworld.histories import (
    Dataset,
    DatasetHeader,
    DatasetWriter,
    Recorded,
    derive_windows,
    draw_windows,
    read_windows,
    rearrange_trials,
)
from xworld.tasks import TaskSet, config_for, parse, save

TWO = '''
goal = "hold(agent, black cube)"
rules = ["hold(agent, purple ball) -> black cube"]
trial_length = 7
num_trials = 3
map = """
#####
#0b1#
#.b.#
#####
"""
[legend]
b = "purple ball"
'''
ROOMS = TinyRooms(side=5, trial_length=6, num_trials=3)
NUM_EPISODES, NUM_STEPS = 12, 18  # of one player
ACTIONS = [0, 0, 1, 2, 3, 3, 4, 5, 6]


def one_player():
    tasks = TaskSet(jax.vmap(ROOMS.sample)(jax.random.split(jax.random.key(1), 4)))
    return Env(env_config(5)), tasks, NUM_STEPS


def two_players():
    config = config_for(TWO)
    return Env(config), TaskSet.from_tasks([parse(TWO, config)] * 4), 21


def play(env, tasks, index, seeds, actions):
    """The timesteps [T + 1, B, ...] by `Env.reset` and `Env.step` themselves."""

    @jax.jit
    @partial(jax.vmap, in_axes=(0, 0, 1), out_axes=1)
    def run(task, seed, actions):
        state, first = env.reset_from_seed(seed, task)
        _, after = jax.lax.scan(env.step, state, actions)
        return jax.tree.map(lambda one, many: jnp.concatenate([one[None], many]), first, after)

    picked = jax.tree.map(lambda leaf: leaf[index], tasks.tasks)
    return jax.device_get(run(picked, jnp.asarray(seeds), jnp.asarray(actions)))


@pytest.fixture(scope="module", params=[one_player, two_players])
def played(request, tmp_path_factory):
    """A data set of three streams, its actions, and the timesteps as they came."""
    return record(request.param, tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Such a data set of one player, to be damaged, with its actions."""
    return record(one_player, tmp_path_factory.mktemp("data") / "set", is_played=False)


def record(setting, folder, is_played=True):
    """A data set of three streams, added in two parts, its environment and actions, and the timesteps as they came."""
    env, tasks, num_steps = setting()
    generator = np.random.default_rng(0)
    index, seeds = np.arange(NUM_EPISODES) % 4, generator.integers(0, 2**32, NUM_EPISODES, np.uint32)
    actions = generator.choice(ACTIONS, (num_steps, NUM_EPISODES, env.config.num_agents)).astype(np.uint8)
    header = DatasetHeader(env.config, players=("somebody",), labels=("update", "stream"))
    stream = np.arange(NUM_EPISODES, dtype=np.uint32) % 3
    for part in (slice(0, 5), slice(5, NUM_EPISODES)):
        with DatasetWriter(folder, header, tasks, goes_on=part.start > 0) as writer:
            numbers = np.arange(NUM_EPISODES)[part]
            together = np.swapaxes(actions[:, part], 0, 1).reshape(-1, env.config.num_agents)
            labels = {"update": np.repeat(numbers, num_steps), "stream": stream[part]}
            length = np.full(len(numbers), num_steps)
            writer.append(Recorded(index[part, None], seeds[part], length, together, labels))
    return folder, env, actions, play(env, tasks, index, seeds, actions) if is_played else None


def assert_same_bytes(one, other):
    for (path, a), b in zip(jax.tree.leaves_with_path(one), jax.tree.leaves(other), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes(), path


def test_what_was_seen_is_derived_again_byte_for_byte(played):
    folder, env, actions, timesteps = played
    assert timesteps.reward.any() and timesteps.event.any() and timesteps.is_trial_first[1:].any()
    data = Dataset(folder)
    data.check()
    assert (data.num_episodes, data.num_steps) == (NUM_EPISODES, NUM_EPISODES * len(actions))
    episodes = data.episodes(np.arange(NUM_EPISODES))
    assert_same_bytes(episodes.action, actions)
    assert_same_bytes(episodes.derive(data.env), timesteps)
    some = data.episodes([7, 2], end=9)
    assert (some.labels["update"] == [7, 2]).all()
    assert_same_bytes(some.action, actions[:9, [7, 2]])


@pytest.mark.slow  # the same of a million steps
@pytest.mark.parametrize("setting", [one_player, two_players])
def test_a_million_steps_are_derived_again(setting, tmp_path):
    env, tasks, num_steps = setting()
    num_episodes = 1_000_000 // num_steps + 1
    generator = np.random.default_rng(0)
    index, seeds = np.arange(num_episodes) % 4, generator.integers(0, 2**32, num_episodes, np.uint32)
    actions = generator.choice(ACTIONS, (num_episodes, num_steps, env.config.num_agents)).astype(np.uint8)
    with DatasetWriter(tmp_path / "data", DatasetHeader(env.config), tasks) as writer:
        flat = actions.reshape(-1, env.config.num_agents)
        writer.append(Recorded(index[:, None], seeds, np.full(num_episodes, num_steps), flat))
    found = Dataset(tmp_path / "data").episodes(np.arange(num_episodes)).derive(env)

    @jax.jit
    def live(task, seed, actions):
        """With the batch last, as `VectorEnv` steps."""
        state, first = env.reset_from_seed(seed, task)
        _, after = jax.lax.scan(env.step, state, actions)
        return first, after

    picked = jax.tree.map(lambda leaf: np.moveaxis(np.asarray(leaf)[index], 0, -1), tasks.tasks)
    first, after = jax.device_get(live(picked, seeds, np.moveaxis(actions, 0, -1)))
    found = jax.tree.map(lambda leaf: np.moveaxis(np.asarray(leaf), 1, -1), found)
    assert_same_bytes(jax.tree.map(lambda leaf: leaf[0], found), first)
    assert_same_bytes(jax.tree.map(lambda leaf: leaf[1:], found), after)


def test_windows_are_what_was_seen_across_trials_and_episodes(played):
    folder, env, actions, timesteps = played
    data = Dataset(folder)
    num_steps = len(actions)
    assert data.num_streams == 3 and data.longest == 4 * num_steps
    window = jax.jit(partial(derive_windows, data.env))
    streams = np.repeat([0, 1, 2], 30)
    starts = np.random.default_rng(1).integers(0, 3 * num_steps + 1, len(streams))
    starts[:5] = [0, num_steps - 1, num_steps, num_steps + 1, 3 * num_steps]
    found = jax.device_get(window(read_windows(data, streams, starts, num_steps)))
    steps = starts + np.arange(num_steps)[:, None]  # [L, B] of the stream
    episode, time = streams + 3 * (steps // num_steps), steps % num_steps
    assert_same_bytes(found.observation, jax.tree.map(lambda leaf: leaf[time, episode], timesteps.observation))
    for name in ("is_first", "is_trial_first"):
        assert_same_bytes(getattr(found, name), getattr(timesteps, name)[time, episode])
    for name in ("reward", "discount", "event"):
        assert_same_bytes(getattr(found, name), getattr(timesteps, name)[time + 1, episode])
    assert (found.action == actions[time, episode]).all()
    assert (found.labels["update"] == episode).all()
    assert_same_bytes(
        found.tasks.object_kind[found.piece], data.tasks(episode.reshape(-1)).object_kind.reshape(*episode.shape, -1)
    )


def test_windows_are_drawn_everywhere(alone, monkeypatch):
    data, generator = Dataset(alone[0]), np.random.default_rng(0)
    total = 4 * len(alone[2])
    drawn = draw_windows(data, generator, 200, total, 0.5)
    assert (drawn.time[0] == 0).all()  # there is one place only
    is_first = np.asarray(
        jax.jit(partial(derive_windows, data.env))(draw_windows(data, generator, 400, 5, 0.5)).is_first
    )
    assert 0.5 < is_first[0].mean() < 0.75
    with pytest.raises(ConfigError, match=f"the longest stream in .* has {total}"):
        draw_windows(data, generator, 2, total + 1)
    with pytest.raises(ConfigError, match=f"has {total // 2} that are kept"):
        draw_windows(data, generator, 2, total, keep=0.5)
    with monkeypatch.context() as patch:
        lengths = data.stream_lengths
        patch.setattr(data, "stream_lengths", lambda stream: lengths(stream)[: 1 if stream == 1 else None])
        with pytest.raises(ConfigError, match=f"the longest stream in .* has {total // 4} that are kept"):
            draw_windows(data, generator, 2, total, among=np.array([1]))
    some = draw_windows(data, generator, 50, 5, keep=0.25, among=np.array([1]))
    assert set(some.seed) == set(data.seeds(np.array([1]))) and not some.is_start.all()  # one episode of four


def test_windows_end_where_the_task_does(alone, tmp_path):
    folder = copy(alone[0], tmp_path)
    data = Dataset(folder)
    tasks = dataclasses.replace(data.tasks(np.arange(4)), num_trials=np.full(4, 2, np.uint16))
    save(folder / "tasks.npz", TaskSet(tasks), env_config(5))
    (folder / "header.json").write_text(dataclasses.replace(data.header, tasks_hash=digest(tasks)).to_json())
    data, stream = Dataset(folder), np.array([0])
    assert read_windows(data, stream, np.array([4]), 8).trial.tolist() == [0]
    with pytest.raises(ConfigError, match="Episode 0 of .* goes on after the 12 steps of its task"):
        read_windows(data, stream, np.array([5]), 8)


def test_trials_are_shuffled_and_show_what_they_showed(tmp_path):
    tasks = jax.device_get(jax.vmap(ROOMS.sample)(jax.random.split(jax.random.key(1), 4)))
    tasks = TaskSet(
        dataclasses.replace(tasks, agent_facing=np.zeros((4, 1), np.uint8), num_trials=np.full(4, 20, np.uint16))
    )
    header = DatasetHeader(env_config(5), labels=("update",))
    with DatasetWriter(tmp_path / "data", header, tasks) as writer:
        actions = np.random.default_rng(3).choice([0, 0, 1, 2, 3, 3], (4 * 120, 1)).astype(np.uint8)
        rows = np.arange(4)[:, None], np.arange(4), np.full(4, 120)
        writer.append(Recorded(*rows, actions, {"update": np.zeros(480)}))
    data = Dataset(tmp_path / "data")
    shuffle = np.random.default_rng(0).permutation
    shuffled = rearrange_trials(data, tmp_path / "shuffled", lambda num_trials: shuffle(num_trials // 2))
    assert (shuffled.num_steps, shuffled.header.labels) == (240, ())

    def trials(data):
        """[4, n] of each trial, what was done and earned in it."""
        episodes = data.episodes(range(4))
        done = np.concatenate([episodes.action, np.asarray(episodes.derive(data.env).reward)[1:]], axis=2)
        return [[trial.tobytes() for trial in done[:, one].reshape(-1, 6, 2)] for one in range(4)]

    before, after = [one[:10] for one in trials(data)], trials(shuffled)
    assert [sorted(one) for one in before] == [sorted(one) for one in after] and before != after
    assert np.asarray(shuffled.episodes(range(4)).derive(data.env).reward).any()


def test_trials_that_begin_in_several_ways_are_not_shuffled(alone, tmp_path):
    with pytest.raises(ConfigError, match="begin in several ways"):
        rearrange_trials(Dataset(alone[0]), tmp_path / "shuffled", np.arange)


def copy(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_what_was_cut_off_is_told_and_the_rest_can_be_read(alone, tmp_path):
    folder = copy(alone[0], tmp_path)
    path = folder / "action.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ConfigError, match=r"is damaged: episodes 5 to 11 are cut off\. Record it again, or read"):
        Dataset(folder)
    whole = Dataset(folder, only_whole=True)
    assert whole.num_episodes == 5
    assert_same_bytes(whole.episodes(range(5)).action, alone[2][:, :5])
    with pytest.raises(ConfigError, match="nothing can be added"):
        DatasetWriter(folder, whole.header, TaskSet(whole.tasks(np.arange(4))), goes_on=True)


def test_what_was_changed_is_found(alone, tmp_path):
    folder = copy(alone[0], tmp_path)
    path = folder / "seed.bin"
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is damaged: episodes 0 to 4 were changed"):
        Dataset(folder).check()
    whole = Dataset(folder, only_whole=True)
    assert whole.num_episodes == 7
    assert_same_bytes(whole.episodes(range(7)).action, alone[2][:, 5:])


def damage_header(folder, data):
    path = folder / "header.json"
    path.write_text(path.read_text().replace("somebody", "anybody"))


def exchange_header(folder, data):
    (folder / "header.json").write_text(dataclasses.replace(data.header, players=("anybody",)).to_json())


def exchange_tasks(folder, data):
    save(folder / "tasks.npz", TaskSet(data.tasks(np.array([1, 0, 2, 3]))), data.header.env)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (damage_header, r"header\.json is no header of a data set, or damaged: it was changed, as header_hash says"),
        (exchange_header, r"header\.json is of another data set than was opened"),
        (exchange_tasks, r"tasks\.npz has other tasks than header\.json says"),
    ],
)
def test_a_header_and_tasks_that_were_changed_are_found(alone, tmp_path, change, words):
    data = Dataset(copy(alone[0], tmp_path))
    data.check()
    change(tmp_path, data)
    with pytest.raises(ConfigError, match=words) as complaint:
        data.check()
    assert "\n" not in str(complaint.value)
    if change is not exchange_header:  # which fits together with all that the folder has
        with pytest.raises(ConfigError, match=words):
            Dataset(tmp_path)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("header.json", None, "holds no data set: there is no header.json"),
        ("header.json", b"[]", "no header of a data set, or damaged: it is not of format"),
        ("header.json", b'{"format": "xworld dataset 2"}', "header.json is damaged: there is no 'header_hash'"),
        ("header.json", b"\x80\x04\x95", "no header of a data set, or damaged"),
        ("parts.jsonl", None, "cannot be read"),
        ("parts.jsonl", b'{"first_episode": -1}\n', "is damaged: line 1 of parts.jsonl is damaged"),
        ("tasks.npz", b"PK", "is damaged, or no task set"),
        ("task.bin", None, "episodes 0 to 4 are cut off, and 1 more"),
    ],
)
def test_a_foreign_folder_is_told(alone, tmp_path, name, change, words):
    folder = copy(alone[0], tmp_path)
    (folder / name).unlink()
    if change is not None:
        (folder / name).write_bytes(change)
    with pytest.raises(ConfigError, match=words) as complaint:
        Dataset(folder)
    assert "\n" not in str(complaint.value)


def test_a_killed_writer_leaves_what_was_added(alone, tmp_path):
    folder = copy(alone[0], tmp_path)
    with (folder / "action.bin").open("ab") as file:
        file.write(b"123")  # of a part that never got its line
    with (folder / "parts.jsonl").open("ab") as file:
        file.write(b'{"first_epi')
    data = Dataset(folder)
    data.check()
    tasks = TaskSet(data.tasks(np.arange(4)))
    with DatasetWriter(folder, data.header, tasks, goes_on=True) as writer:
        assert writer.num_episodes == NUM_EPISODES
        action = np.zeros((2, data.header.env.num_agents), np.uint8)
        labels = {"update": np.zeros(2), "stream": np.array([9])}
        writer.append(Recorded(np.array([[3]]), np.array([5]), np.array([2]), action, labels))
    data = Dataset(folder)
    data.check()
    assert data.num_streams == 4 and data.lengths(np.array([NUM_EPISODES])) == [2]


def test_a_writer_that_is_stopped_when_all_was_written_has_it(alone, tmp_path, monkeypatch):
    folder = copy(alone[0], tmp_path)
    data = Dataset(folder)
    tasks = TaskSet(data.tasks(np.arange(4)))
    action = np.zeros((2, data.header.env.num_agents), np.uint8)
    part = Recorded(np.array([[3]]), np.array([5]), np.array([2]), action, {"update": [0, 0], "stream": [9]})
    write = LineWriter.write

    def stop(self, line):
        write(self, line)
        raise KeyboardInterrupt

    for stops, number in ((stop, 1), (write, 2)):
        with DatasetWriter(folder, data.header, tasks, goes_on=True) as writer:
            monkeypatch.setattr(LineWriter, "write", stops)
            with pytest.raises(KeyboardInterrupt) if stops is stop else contextlib.nullcontext():
                writer.append(part)
            assert writer.num_episodes == NUM_EPISODES + number
        Dataset(folder).check()


@pytest.mark.parametrize("name", ["action.bin", "parts.jsonl", "tasks.npz"])
def test_files_of_others_are_not_replaced(alone, tmp_path, name):
    data = Dataset(alone[0])
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(ConfigError, match=rf"has {name}, which a data set would replace, and no header.json"):
        DatasetWriter(tmp_path, data.header, TaskSet(data.tasks(np.arange(4))))
    assert (tmp_path / name).read_bytes() == b"mine"


def test_what_does_not_fit_is_refused(tmp_path):
    env, tasks, _ = one_player()
    header = DatasetHeader(env.config, labels=("expert_action",))
    good = {"task": [[0]], "seed": [1], "length": [3], "action": np.zeros((3, 1), np.uint8)}
    good["labels"] = {"expert_action": np.zeros((3, 1))}
    faults = {
        "there is at least one": {"length": [0], "action": np.zeros((0, 1), np.uint8)},
        r"action has the shape \(3, 2\), not \(3, 1\)": {"action": np.zeros((3, 2), np.uint8)},
        "seed has 4294967301; write whole numbers from 0 to 4294967295": {"seed": [2**32 + 5]},
        "task has 0.9; write whole numbers": {"task": [[0.9]]},
        "length has 3.5": {"length": [3.5]},
        "expert_action has -1; write whole numbers": {"labels": {"expert_action": np.full((3, 1), -1)}},
        "expert_action has numbers outside 0 to 6": {"labels": {"expert_action": np.full((3, 1), 7)}},
        "action has numbers outside 0 to 6": {"action": np.full((3, 1), 7, np.uint8)},
        "action has -1": {"action": np.full((3, 1), -1)},
        "a task outside 0 to 3": {"task": [[4]]},
        "of 19 steps is of a task of 18": {
            "length": [19],
            "action": np.zeros((19, 1), np.uint8),
            "labels": {"expert_action": np.zeros((19, 1))},
        },
        "have the labels": {"labels": {"update": np.zeros(3)}},
    }
    with DatasetWriter(tmp_path / "set", header, tasks) as writer:
        for words, change in faults.items():
            fields = {name: np.asarray(value) if name != "labels" else value for name, value in (good | change).items()}
            with pytest.raises(ConfigError, match=words):
                writer.append(Recorded(**fields))
        with pytest.raises(ConfigError, match="in use"):
            DatasetWriter(tmp_path / "set", header, tasks, goes_on=True)
    assert Dataset(tmp_path / "set").num_episodes == 0
    with pytest.raises(ConfigError, match="has episodes 0 to -1"):
        Dataset(tmp_path / "set").episodes([0])
    with pytest.raises(ConfigError, match="holds a data set already"):
        DatasetWriter(tmp_path / "set", header, tasks)
    with pytest.raises(ConfigError, match="of something else"):
        DatasetWriter(tmp_path / "set", DatasetHeader(env.config, labels=("update",)), tasks, goes_on=True)
    with pytest.raises(ConfigError, match="give either"):
        DatasetWriter(tmp_path / "other", header)
    with pytest.raises(ConfigError, match="'updates' is unknown. Did you mean 'update'"):
        DatasetHeader(env.config, labels=("updates",))
