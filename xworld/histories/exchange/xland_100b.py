"""Data sets as HDF5 files with the layout of XLand-100B, and back.

A group for each task, "0", "1" and so on, with `states`, `actions`, `rewards` and `dones` of all its streams,
[H, T, ...]; where the expert was asked, `expert_actions`. Readers of that data set take it: they look at nothing else.
What a data set of ours has beside is in a group `xworld` of each group: nothing is lost where no stream was cut.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xworld.base.errors import ConfigError
from xworld.base.files import as_path, reason_of, write_atomically
from xworld.histories.dataset.derive import derive_windows
from xworld.histories.dataset.header import HEADER, TASKS, DatasetHeader, read_header
from xworld.histories.dataset.reader import Dataset
from xworld.histories.dataset.windows import read_windows
from xworld.histories.dataset.writer import DatasetWriter, Recorded
from xworld.histories.exchange.codes import encode_views
from xworld.histories.exchange.placing import placed
from xworld.tasks import TaskSet, load

CHUNK = 4096  # steps in a chunk of the file; what is derived and written at a time
_COMPRESSION: dict[str, Any] = {"compression": "gzip", "compression_opts": 6}
_OURS = "xworld"  # attribute of the file with our header, and the group within each group
_EXPERT_ACTION = "expert_action"
_BATCH = 1024  # episodes that are added at a time
_DTYPES = {"actions": "u1", "rewards": "f2", "dones": "?"}

Advance = Callable[[int], None]


def export_xland_100b(data: Dataset, path: str | Path, advance: Advance = lambda steps: None) -> tuple[int, int]:
    """Writes a data set of one agent into a file with the layout of XLand-100B.

    All streams become as long as the shortest, since the layout knows no others. Streams of a task share a group where
    every task has as many; else each has a group. `dones` says where trials end: XLand-MiniGrid's episodes.

    Args:
      data: of one agent.
      path: of the file, which is written when it is whole.
      advance: told how many steps were written.

    Returns:
      How many steps each stream has, and how many steps were left out in all.

    Raises:
      ConfigError: several agents, no episodes, something is seen that XLand-MiniGrid has not, or a full disk.
    """
    import h5py

    path = as_path(path)
    if data.header.env.num_agents != 1 or not data.num_episodes:
        raise ConfigError(f"{data.folder} has no episodes of one agent, which is all that the layout knows.")
    streams = np.arange(data.num_streams)
    lengths = np.array([data.stream_lengths(int(stream)).sum() for stream in streams])
    length = int(lengths.min())
    unfinished = path.with_name(f"unfinished-{path.name}")
    try:
        with h5py.File(unfinished, "w") as file:
            file.attrs[_OURS] = data.header.to_json()
            for number, group in enumerate(_groups(data, streams)):
                _write_group(file.create_group(str(number)), data, group, length, advance)
            if data.header.universe is None:
                content = np.frombuffer((data.folder / TASKS).read_bytes(), np.uint8)
                file["0"][_OURS].create_dataset("tasks", data=content)
        unfinished.replace(path)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {reason_of(error)}. Make room, or choose another path."
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return length, int((lengths - length).sum())


def import_xland_100b(path: str | Path, folder: str | Path, advance: Advance = lambda steps: None) -> Dataset:
    """The data set that `export_xland_100b` has written; what was seen is derived again and compared with the file's.

    Args:
      path: of the file.
      folder: of the new data set.
      advance: told how many steps were compared.

    Raises:
      ConfigError: the file cannot be read, is not of xworld, or was changed; or the folder cannot be written.
    """
    import h5py

    path = as_path(path)
    try:
        with h5py.File(path, "r") as file, placed(folder) as place:
            header, tasks = _read_header(file, path)
            episodes = _read_episodes(file)
            with DatasetWriter(place, header, tasks) as writer:
                for start in range(0, len(episodes), _BATCH):
                    writer.append(_recorded(file, header, episodes[start : start + _BATCH]))
            _compare(file, path, Dataset(place), advance)
    except (OSError, KeyError) as error:
        raise ConfigError(f"{path} cannot be read: {reason_of(error)}. Export it again.") from error
    return Dataset(folder)


def _groups(data: Dataset, streams: np.ndarray) -> list[np.ndarray]:
    """Numbers of the streams of each group."""
    first = np.array([data.stream(int(stream))[0] for stream in streams])
    _, of_task, counts = np.unique(data.task_ids(first), axis=0, return_inverse=True, return_counts=True)
    if len(set(counts.tolist())) > 1:
        return [streams[index : index + 1] for index in range(len(streams))]
    return [np.flatnonzero(of_task == task) for task in range(len(counts))]


def _write_group(group: Any, data: Dataset, streams: np.ndarray, length: int, advance: Advance) -> None:
    """A task and its streams."""
    tasks = data.task_ids(data.stream(int(streams[0]))[:1])
    group.attrs["env-id"] = "xworld"
    group.attrs["benchmark-id"] = data.content_hash
    group.attrs["ruleset-id"] = int(tasks[0, -1])
    rows: list[tuple[int, int, int]] = []
    for row, stream in enumerate(streams):
        ends = np.minimum(data.stream_lengths(int(stream)).cumsum(), length)
        kept = np.diff(ends, prepend=0)
        rows += [
            (row, int(number), int(one)) for number, one in zip(data.stream(int(stream)), kept, strict=True) if one
        ]
    ours = group.create_group(_OURS)
    numbers = np.array([number for _, number, _ in rows])
    for name, column in zip(("row", "episode", "length"), zip(*rows, strict=True), strict=True):
        ours.create_dataset(name, data=np.array(column, np.int64))
    ours.create_dataset("seed", data=data.seeds(numbers))
    ours.create_dataset("task", data=data.task_ids(numbers))
    if "stream" in data.header.labels:
        zeros = np.zeros(len(numbers), np.int64)
        ours.create_dataset("stream", data=data.read("stream", numbers, zeros, zeros, 0))
    for start, values in _pieces(data, streams, length):
        for name, value in values.items():
            if name not in group:
                shape = (len(streams), length, *value.shape[2:])
                chunks = (1, min(CHUNK, length), *value.shape[2:])
                group.create_dataset(name, shape, value.dtype, chunks=chunks, **_COMPRESSION)
            group[name][:, start : start + value.shape[1]] = value
        advance(len(streams) * values["actions"].shape[1])


def _pieces(data: Dataset, streams: np.ndarray, length: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """What the file has of streams, [H, n, ...] by name, with the first step; pieces may overlap at the end."""
    size = min(CHUNK, length)
    for start in range(0, length, size):
        start = min(start, length - size)  # so that one compiled function serves all
        pieces = read_windows(data, streams, np.full(len(streams), start), size)
        windows = jax.device_get(_derive(data.env, pieces))
        values = {
            "states": encode_views(windows.observation.view[:, :, 0]),
            "actions": windows.action[..., 0],
            "rewards": windows.reward[..., 0],
            "dones": windows.observation.time_left == 1,
        }
        values = {name: value.astype(_DTYPES.get(name, value.dtype)) for name, value in values.items()}
        for name, value in windows.labels.items():
            place = "expert_actions" if name == _EXPERT_ACTION else f"{_OURS}/{name}"
            values[place] = value[..., 0] if value.ndim > 2 else value
        yield start, {name: np.swapaxes(value, 0, 1) for name, value in values.items()}


@dataclass(frozen=True)
class _Episode:
    """Where an episode is in the file."""

    number: int
    group: str
    row: int
    first: int  # of its steps in the stream
    length: int
    seed: int
    task: np.ndarray  # [1 or 2]
    stream: int


def _read_header(file: Any, path: Path) -> tuple[DatasetHeader, TaskSet | None]:
    """What the data set is of.

    Raises:
      ConfigError: the file is none of ours.
    """
    if _OURS not in file.attrs:
        raise ConfigError(
            f"{path} was not exported by xworld, so that nothing in it can be derived again. Histories of "
            "XLand-MiniGrid are read as they are by xworld.histories.XLandHistories."
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_atomically(folder / HEADER, str(file.attrs[_OURS]).encode())
        header = read_header(folder)
        if header.universe is not None:
            return header, None
        write_atomically(folder / TASKS, file["0"][_OURS]["tasks"][()].tobytes())
        return header, load(folder / TASKS, header.env)


def _read_episodes(file: Any) -> list[_Episode]:
    """All episodes, in the order in which they were recorded."""
    found = []
    for group in file:
        ours = file[group][_OURS]
        columns = {name: ours[name][()] for name in ("row", "episode", "length", "seed", "task")}
        streams = ours["stream"][()] if "stream" in ours else np.zeros(len(columns["row"]), np.int64)
        before: dict[int, int] = {}
        for index, row in enumerate(columns["row"].tolist()):
            length, first = int(columns["length"][index]), before.get(row, 0)
            before[row] = first + length
            number, seed, task = (columns[name][index] for name in ("episode", "seed", "task"))
            found.append(_Episode(int(number), group, row, first, length, int(seed), task, int(streams[index])))
    return sorted(found, key=lambda one: one.number)


def _recorded(file: Any, header: DatasetHeader, episodes: list[_Episode]) -> Recorded:
    """Some episodes as they are added to a data set."""

    def steps(name: str) -> np.ndarray:
        parts = [file[one.group][name][one.row, one.first : one.first + one.length] for one in episodes]
        return np.concatenate(parts)

    labels: dict[str, np.ndarray] = {}
    for name in header.labels:
        if name == "stream":
            labels[name] = np.array([one.stream for one in episodes])
            continue
        values = steps("expert_actions" if name == _EXPERT_ACTION else f"{_OURS}/{name}")
        labels[name] = values if name == "update" else values[:, None]
    return Recorded(
        task=np.stack([one.task for one in episodes]),
        seed=np.array([one.seed for one in episodes], np.uint32),
        length=np.array([one.length for one in episodes], np.int64),
        action=steps("actions")[:, None],
        labels=labels,
    )


def _compare(file: Any, path: Path, data: Dataset, advance: Advance) -> None:
    """Raises ConfigError unless what is derived is what the file has."""
    for group, streams in zip(sorted(file, key=int), _groups(data, np.arange(data.num_streams)), strict=True):
        for start, values in _pieces(data, streams, file[group]["actions"].shape[1]):
            end = start + values["actions"].shape[1]
            if any(not np.array_equal(file[group][name][:, start:end], value) for name, value in values.items()):
                raise ConfigError(
                    f"Task {group} of {path} does not come out as it is in the file: the file was changed, or is of a "
                    "version of xworld with other rules. Export it again."
                )
            advance(len(streams) * (end - start))


_derive = partial(jax.jit, static_argnums=0)(derive_windows)
