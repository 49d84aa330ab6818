"""Data sets in the files of other projects: XLand-100B's layout, with h5py."""

import filecmp

import jax
import numpy as np
import pytest
from tiny_rooms import TinyRooms, env_config

from xworld import ConfigError, Env
from xworld.apps.commands.main import main
from xworld.core import kinds
from xworld.histories import Dataset, DatasetHeader, DatasetWriter, Recorded, XLandHistories
from xworld.histories.exchange.codes import decode_views, encode_views
from xworld.tasks import TaskSet

ENV = Env(env_config(5))
ROOMS = TinyRooms(side=5, trial_length=6, num_trials=3)
NUM_TASKS, NUM_STEPS = 3, 18
LABELS = ("log_probability", "expert_action", "update", "stream")


def write(folder, labels=(), lengths=(NUM_STEPS,) * 2 * NUM_TASKS):
    """Two episodes of each task. With the label "stream" they follow each other in one stream."""
    tasks = TaskSet(jax.vmap(ROOMS.sample)(jax.random.split(jax.random.key(1), NUM_TASKS)))
    chance, total, number = np.random.default_rng(0), sum(lengths), len(lengths)
    every = {
        "log_probability": chance.random((total, 1), np.float32),
        "expert_action": chance.integers(7, size=(total, 1)),
        "update": np.arange(total),
        "stream": np.arange(number) % NUM_TASKS,
    }
    with DatasetWriter(folder, DatasetHeader(ENV.config, labels=labels, about={"by": "chance"}), tasks) as writer:
        actions = chance.choice([0, 0, 1, 2, 3, 3, 4], size=(total, 1))
        recorded = np.arange(number)[:, None] % NUM_TASKS, np.arange(number) + 7, np.array(lengths), actions
        writer.append(Recorded(*recorded, {name: every[name] for name in labels}))
    return Dataset(folder)


def is_same(one, other):
    names = [path.name for path in one.iterdir() if path.suffix in (".bin", ".json")]
    return len(names) >= 5 and not any(map(len, filecmp.cmpfiles(one, other, names, shallow=False)[1:]))


@pytest.fixture(scope="module")
def h5py():
    return pytest.importorskip("h5py")


@pytest.mark.parametrize("labels", [(), LABELS])
def test_what_is_exported_comes_back(tmp_path, h5py, labels, capsys):
    data = write(tmp_path / "data", labels)
    assert main(["export", str(data.folder), "--format", "hdf5", "--output", str(tmp_path / "file.hdf5")]) == 0
    assert ("3 streams with 36" if labels else "6 streams with 18") in capsys.readouterr().out
    assert main(["import", str(tmp_path / "file.hdf5"), "--output", str(tmp_path / "back")]) == 0
    assert is_same(data.folder, tmp_path / "back") and Dataset(tmp_path / "back").content_hash == data.content_hash
    with h5py.File(tmp_path / "file.hdf5", "r+") as file:
        assert list(file) == ["0", "1", "2"] and file["2"].attrs["ruleset-id"] == 2
        shape = (1, 36) if labels else (2, 18)
        forms = {
            name: (file["0"][name].dtype, file["0"][name].shape) for name in ("states", "actions", "rewards", "dones")
        }
        assert forms == {
            "states": ("u1", (*shape, 5, 5)),
            "actions": ("u1", shape),
            "rewards": ("f2", shape),
            "dones": ("?", shape),
        }
        assert ("expert_actions" in file["0"]) == bool(labels)
        file["1/rewards"][0, 3] += 1
    assert main(["import", str(tmp_path / "file.hdf5"), "--output", str(tmp_path / "again")]) == 2
    assert "Task 1 of" in capsys.readouterr().err and not (tmp_path / "again").exists()


def test_what_a_stored_file_shows_is_what_was_seen(tmp_path, h5py):
    """Streams of several lengths: the shortest decides, and each has a group."""
    lengths = (18, 18, 12, 18, 18)
    data = write(tmp_path / "data", lengths=lengths)
    assert main(["export", str(data.folder), "--format", "hdf5", "--output", str(tmp_path / "file.hdf5")]) == 0
    timesteps = jax.device_get(data.episodes(np.arange(5)).derive(ENV))
    with XLandHistories(tmp_path / "file.hdf5") as found:
        assert (found.num_tasks, found.num_streams, found.length, found.view_size) == (5, 1, 12, 5)
        for episode in range(5):
            steps = found.read(episode, 0, 2, 10)
            view = timesteps.observation.view[2:12, episode, 0]
            np.testing.assert_array_equal(decode_views(steps["states"])[..., :2], view[..., :2])
            np.testing.assert_array_equal(steps["rewards"], timesteps.reward[3:13, episode, 0])
            np.testing.assert_array_equal(steps["dones"], timesteps.is_trial_first[3:13, episode])
        task = ROOMS.sample(jax.random.key(0))
        windows = found.draw_windows(np.random.default_rng(0), 4, 8, task)
        assert windows.observation.view.shape == (8, 4, 1, 5, 5, 3) and windows.action.shape == (8, 4, 1)
        assert (windows.observation.last_action[1:] == windows.action[:-1]).all()
        assert (windows.observation.last_reward[1:] == windows.reward[:-1]).all()
        with pytest.raises(ConfigError, match="there are no 10 steps from 3 on"):
            found.read(0, 0, 3, 10)


def test_codes():
    chance = np.random.default_rng(0)
    codes = chance.permutation(
        np.array([12 * tile + colour for tile in (1, 3, 4, 5, 7, 9, 12) for colour in range(1, 12)])
    )
    assert (encode_views(decode_views(codes)) == codes).all()
    assert (encode_views(decode_views(np.array([0, 30]))) == [0, 30]).all()  # void and a wall
    for cell in ([kinds.COUNTER * 16, 0, 0], [kinds.BLACK_FLOOR, 15 * 16, 0], [kinds.FLOOR * 16 + 11, 0, 0]):
        with pytest.raises(ConfigError, match="that XLand-MiniGrid has not"):
            encode_views(np.array(cell, np.uint8))
    with pytest.raises(ConfigError, match="no tile of the code 156"):
        decode_views(np.array([156], np.uint8))


def test_files_of_others_are_told(tmp_path, h5py, capsys):
    with h5py.File(tmp_path / "theirs.hdf5", "w") as file:
        file.create_group("0")
    (tmp_path / "text").write_text("no HDF5")
    for name, words in (
        ("theirs.hdf5", "was not exported by xworld"),
        ("text", "cannot be read"),
        ("no", "There is no"),
    ):
        assert main(["import", str(tmp_path / name), "--output", str(tmp_path / "data")]) == 2
        complaint = capsys.readouterr().err
        assert words in complaint and complaint.count("\n") == 1
    with pytest.raises(ConfigError, match="has not the layout of XLand-100B"):
        XLandHistories(tmp_path / "theirs.hdf5")
