"""Reading a data set: its arrays are mapped into memory, so that only what is asked for is read."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.digest import digest
from xworld.base.errors import ConfigError
from xworld.base.files import as_path
from xworld.base.lines import to_line
from xworld.core.env import Env
from xworld.core.step.actions import NOOP
from xworld.core.types import Task, TimeStep
from xworld.histories.dataset.derive import derive
from xworld.histories.dataset.header import HEADER, TASKS, DatasetHeader, read_header
from xworld.histories.dataset.parts import Part, is_there, is_whole, map_rows, read_parts
from xworld.histories.dataset.stored_tasks import StoredTasks, UniverseTasks
from xworld.tasks import TaskSet, load

_BLOCK = 1 << 20  # episodes that are looked at in one go, where all are


@dataclass(frozen=True)
class Episodes:
    """B episodes on the host, filled up with noops to the longest of them."""

    tasks: Task  # [B, ...]
    seed: np.ndarray  # [B] uint32
    length: np.ndarray  # [B] int64 steps
    action: np.ndarray  # [T, B, A] uint8, noop from an episode's end on
    labels: dict[str, np.ndarray]  # [T, B, A], [T, B] or [B] by name; 0 from an episode's end on

    def derive(self, env: Env) -> TimeStep:
        """Their timesteps, [T + 1, B, ...] on the device; those after an episode's last step are to be ignored."""
        return _derive(env, jax.tree.map(jnp.asarray, self.tasks), jnp.asarray(self.seed), jnp.asarray(self.action))


class Dataset:
    """A data set that is read. Episodes are numbered from 0, in the order in which they were added."""

    def __init__(self, folder: str | Path, *, only_whole: bool = False) -> None:
        """Opens it; nothing but its header, its stored tasks and the list of its parts is read yet.

        Args:
          folder: of the data set.
          only_whole: whether to read all of it now, and to leave parts out that are cut off or were changed.

        Raises:
          ConfigError: there is no data set, or it is damaged. Without `only_whole` what was changed is not found, but
            by `check`.
        """
        self.folder = as_path(folder)
        self.header: DatasetHeader = read_header(self.folder)
        parts, faults = read_parts(self.folder, self.header)
        if only_whole:
            parts = [part for part in parts if is_whole(self.folder, self.header, part)]
        else:
            faults += [f"{_name(part)} are cut off" for part in parts if not is_there(self.folder, self.header, part)]
            self._complain(faults)
        self._parts = parts
        self._rows = {column.name: map_rows(self.folder, column) for column in self.header.columns}
        self._first = np.array([part.first_episode for part in parts], np.int64)  # [P], in the files
        self._ends = np.array([part.first_step + part.num_steps for part in parts], np.int64)  # [P]
        self._counts = np.array([part.num_episodes for part in parts], np.int64)  # [P]
        self._before = self._counts.cumsum() - self._counts  # [P] episodes of earlier parts that are read
        self.num_episodes = int(self._counts.sum())
        self.num_steps = sum(part.num_steps for part in parts)
        self._tasks: StoredTasks | UniverseTasks = self._find_tasks()

    @property
    def env(self) -> Env:
        """The environment that was played in."""
        return Env(self.header.env)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of what it is of and of the hashes of all its parts: two data sets that have one are the same."""
        total = hashlib.sha256(self.header.to_json().encode())
        for part in self._parts:
            total.update(to_line(part.to_json()))
        return total.hexdigest()

    def check(self) -> None:
        """Reads all of it, and makes sure that it is as it was written.

        Raises:
          ConfigError: something was changed; the line says which file or which episodes it is in.
        """
        if read_header(self.folder).to_json() != self.header.to_json():
            raise ConfigError(f"{self.folder / HEADER} is of another data set than was opened. Open it again.")
        self._find_tasks()
        faults = [f"{_name(part)} were changed" for part in self._parts if not is_whole(*self._place, part)]
        self._complain(faults)

    def lengths(self, episodes: np.ndarray) -> np.ndarray:
        """[n] int64 steps of episodes with [n] numbers."""
        return self._extent(episodes)[1]

    def tasks(self, episodes: np.ndarray) -> Task:
        """The tasks of [n] episodes, leaves [n, ...] on the host."""
        return self._tasks.take(self._rows["task"][self._extent(episodes)[2]])

    def task_ids(self, episodes: np.ndarray) -> np.ndarray:
        """[n, 2] int32 world and game ids, or [n, 1] numbers of stored tasks, of [n] episodes."""
        return np.asarray(self._rows["task"][self._extent(episodes)[2]])

    def seeds(self, episodes: np.ndarray) -> np.ndarray:
        """[n] uint32 of [n] episodes."""
        return np.asarray(self._rows["seed"][self._extent(episodes)[2]])

    def episodes(self, episodes: Sequence[int] | np.ndarray, end: int | None = None) -> Episodes:
        """Episodes with [B] numbers, or their steps before step `end`.

        Raises:
          ConfigError: there are none of these numbers.
        """
        numbers = np.asarray(episodes, np.int64)
        _, length, rows = self._extent(numbers)
        length = length if end is None else np.minimum(length, end)
        first, size = np.zeros(len(numbers), np.int64), int(length.max(initial=0))
        labels = {name: self.read(name, numbers, first, length, size) for name in self.header.labels}
        return Episodes(
            tasks=self._tasks.take(self._rows["task"][rows]),
            seed=np.asarray(self._rows["seed"][rows]),
            length=length,
            action=self.read("action", numbers, first, length, size, NOOP),
            labels=labels,
        )

    def read(
        self, name: str, episodes: np.ndarray, first: np.ndarray, length: np.ndarray, size: int, filling: int = 0
    ) -> np.ndarray:
        """[size, n, ...] rows of a column: of each of [n] episodes `length` steps from its step `first` on.

        What a column has of an episode, and not of each step, comes as [n]. The rest is filled up.
        """
        begin, _, rows = self._extent(episodes)
        column = next(column for column in self.header.columns if column.name == name)
        if not column.is_of_steps:
            return np.asarray(self._rows[name][rows])
        times = np.arange(size)[:, None]
        is_asked = times < length  # [size, n]
        values = np.asarray(self._rows[name][np.where(is_asked, begin + first + times, begin)])
        is_asked = is_asked.reshape(*is_asked.shape, *(1,) * (values.ndim - 2))
        return np.where(is_asked, values, values.dtype.type(filling))

    @cached_property
    def longest(self) -> int:
        """Steps of the longest episode, or stream where episodes have the label "stream"."""
        if "stream" in self.header.labels:
            return max((int(self.stream_lengths(stream).sum()) for stream in range(self.num_streams)), default=0)
        blocks = (np.arange(start, min(start + _BLOCK, self.num_episodes)) for start in self._block_starts)
        return max((int(self.lengths(block).max()) for block in blocks), default=0)

    @property
    def num_streams(self) -> int:
        """How many streams there are: episodes in a row of one learner. Without the label, each episode is one."""
        return max(len(self._streams[1]) - 1, 0) if "stream" in self.header.labels else self.num_episodes

    def stream(self, number: int) -> np.ndarray:
        """[n] int64 numbers of the episodes of a stream, in their order."""
        if "stream" not in self.header.labels:
            return np.array([number])
        order, starts = self._streams
        return order[starts[number] : starts[number + 1]]

    def stream_lengths(self, number: int) -> np.ndarray:
        """[n] int64 steps of the episodes of a stream."""
        return self.lengths(self.stream(number))

    @cached_property
    def _streams(self) -> tuple[np.ndarray, np.ndarray]:
        """All episodes, stream by stream, and [num_streams + 1] where each begins among them."""
        labels = self._rows["stream"][self._extent(np.arange(self.num_episodes))[2]]
        order = np.argsort(labels, kind="stable")
        starts = np.flatnonzero(np.diff(labels[order], prepend=np.int64(-1), append=np.int64(-1)))
        return order, starts

    @property
    def _block_starts(self) -> range:
        return range(0, self.num_episodes, _BLOCK)

    @property
    def _place(self) -> tuple[Path, DatasetHeader]:
        return self.folder, self.header

    def _extent(self, episodes: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """[n] each: the first step of episodes in the files, how many they have, and their rows in the files."""
        numbers = np.asarray(episodes, np.int64)
        if numbers.size and not (numbers.min() >= 0 and numbers.max() < self.num_episodes):
            raise ConfigError(f"{self.folder} has episodes 0 to {self.num_episodes - 1}; ask for some of these.")
        part = np.searchsorted(self._before, numbers, side="right") - 1
        rows = numbers - self._before[part] + self._first[part]
        starts = self._rows["start"]
        begin = starts[rows].astype(np.int64)
        is_last = rows + 1 == self._first[part] + self._counts[part]
        following = starts[np.minimum(rows + 1, max(len(starts) - 1, 0))].astype(np.int64)
        return begin, np.where(is_last, self._ends[part], following) - begin, rows

    def _find_tasks(self) -> "StoredTasks | UniverseTasks":
        if self.header.universe is not None:
            return UniverseTasks(self.header)
        stored: TaskSet = load(self.folder / TASKS, self.header.env)
        if digest(stored.tasks) != self.header.tasks_hash:
            raise ConfigError(
                f"{self.folder / TASKS} has other tasks than {HEADER} says (tasks_hash). Put back those that were "
                "recorded, or record the data set again."
            )
        return StoredTasks(jax.device_get(stored.tasks))

    def _complain(self, faults: list[str]) -> None:
        if faults:
            more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
            raise ConfigError(
                f"{self.folder} is damaged: {faults[0]}{more}. Record it again, or read what is whole by "
                "Dataset(folder, only_whole=True)."
            )


def _name(part: Part) -> str:
    return f"episodes {part.first_episode} to {part.first_episode + part.num_episodes - 1}"


_derive = partial(jax.jit, static_argnums=0)(derive)
