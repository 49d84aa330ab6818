"""Writing a data set: batches of episodes are added to the files' ends, at the memory of one batch."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from xworld.base.digest import digest
from xworld.base.errors import ConfigError
from xworld.base.files import check_folder, locked, reason_of, write_atomically
from xworld.base.lines import LineWriter, to_line
from xworld.core.step.actions import NUM_ACTIONS
from xworld.histories.dataset.header import HEADER, PARTS, TASKS, Column, DatasetHeader, read_header
from xworld.histories.dataset.parts import Part, is_there, read_parts
from xworld.tasks import TaskSet, save


@dataclass(frozen=True)
class Recorded:
    """E episodes with S steps together, on the host. With its task and its seed, what was done decides everything."""

    task: np.ndarray  # [E, 2] int32 world and game ids of a universe; or [E, 1], numbers of stored tasks
    seed: np.ndarray  # [E] uint32, as `State.seed`
    length: np.ndarray  # [E] int64 steps, at least 1
    action: np.ndarray  # [S, A] uint8, one episode after the other
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)  # [S, A], [S] or [E] by name, see `LABELS`


class DatasetWriter:
    """Writes a data set. What `append` has returned from is there even if the process is killed."""

    def __init__(
        self, folder: str | Path, header: DatasetHeader, tasks: TaskSet | None = None, *, goes_on: bool = False
    ) -> None:
        """Makes the folder, or goes on with the data set in it.

        Args:
          folder: of the data set.
          header: what it is of.
          tasks: those that episodes are of, where they are of no universe.
          goes_on: whether a data set that is there already is gone on with.

        Raises:
          ConfigError: there is one that is not to be gone on with, or of another header, or damaged; another process
            writes it; the folder cannot be written; or there are tasks where there should be none, or none.
        """
        if (tasks is None) == (header.universe is None):
            raise ConfigError("A data set is of a universe's tasks or of stored ones: give either of them.")
        tasks_hash = None if tasks is None else digest(tasks.tasks)
        self.header, self._stack = dataclasses.replace(header, tasks_hash=tasks_hash), contextlib.ExitStack()
        self.folder = check_folder(folder)
        self._stack.enter_context(locked(self.folder))
        try:
            self._begin(tasks, goes_on)
            self._files = [self._stack.enter_context(self._open(column)) for column in header.columns]
            self._lines = LineWriter(self.folder / PARTS)
            self._stack.callback(self._lines.close)
        except BaseException:
            self.close()
            raise

    def append(self, recorded: Recorded) -> None:
        """Adds episodes.

        Raises:
          ConfigError: arrays that do not fit together or the header, or a full disk; the data set is as it was.
        """
        columns, part = self._columns_of(recorded), None
        counts = {"num_episodes": len(recorded.length), "num_steps": len(recorded.action)}
        try:
            hashes = {
                column.name: _write(file, columns[column.name])
                for column, file in zip(self.header.columns, self._files, strict=True)
            }
            part = Part(self.num_episodes, counts["num_episodes"], self.num_steps, counts["num_steps"], hashes)
            self._lines.write(part.to_json())
        except BaseException as error:
            with contextlib.suppress(OSError):
                if part is not None and self._has(part):  # stopped when all was written
                    self._count(part)
                else:
                    self._cut()
            if isinstance(error, OSError):
                raise ConfigError(f"{self.folder} cannot be written: {reason_of(error)}. Make room.") from error
            raise
        self._count(part)

    def close(self) -> None:
        """Closes the files, and lets others write."""
        self._stack.close()

    def __enter__(self) -> "DatasetWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _begin(self, tasks: TaskSet | None, goes_on: bool) -> None:
        """Writes the header and the tasks, or finds those that are there; and what was written before."""
        self.num_episodes = self.num_steps = 0
        self._most_steps = None if tasks is None else _num_steps(tasks)
        if not (self.folder / HEADER).exists():
            self._check_free()
            write_atomically(self.folder / PARTS, b"")
            if tasks is not None:
                save(self.folder / TASKS, tasks, self.header.env)
            write_atomically(self.folder / HEADER, self.header.to_json().encode())
            return
        if not goes_on:
            raise ConfigError(f"{self.folder} holds a data set already. Choose another folder, or remove it.")
        found = read_header(self.folder)
        if found.to_json() != self.header.to_json():
            raise ConfigError(f"{self.folder} holds a data set of something else. Choose another folder.")
        parts, faults = read_parts(self.folder, found)
        if faults or not all(is_there(self.folder, found, part) for part in parts):
            raise ConfigError(f"{self.folder} holds a damaged data set; nothing can be added. Choose another folder.")
        self.num_episodes = sum(part.num_episodes for part in parts)
        self.num_steps = sum(part.num_steps for part in parts)

    def _check_free(self) -> None:
        """Refuses a folder with files that a data set would replace: of one without its header, or somebody's own.

        A list of parts that is empty is what a writer leaves that was stopped before it wrote the header.
        """
        names = [PARTS, *(column.file_name for column in self.header.columns)]
        there = [name for name in names if (path := self.folder / name).exists() and path.stat().st_size]
        if (self.folder / TASKS).exists() and not (self.folder / PARTS).exists():
            there.append(TASKS)
        if there:
            raise ConfigError(
                f"{self.folder} has {there[0]}, which a data set would replace, and no {HEADER}. Choose another folder."
            )

    def _open(self, column: Column) -> "contextlib.AbstractContextManager":
        """The column's file, cut off where the last whole part ends."""
        try:
            file = (self.folder / column.file_name).open("a+b", buffering=0)
            file.truncate(self._num_rows(column) * column.row_bytes)
        except OSError as error:
            raise ConfigError(f"{self.folder} cannot be written: {reason_of(error)}. Choose another.") from error
        return file

    def _cut(self) -> None:
        """Takes away what was written of a part that is not whole."""
        for column, file in zip(self.header.columns, self._files, strict=True):
            file.truncate(self._num_rows(column) * column.row_bytes)

    def _has(self, part: Part) -> bool:
        """Whether the last line that was written is the part's."""
        return (self.folder / PARTS).read_bytes().endswith(to_line(part.to_json()))

    def _count(self, part: Part) -> None:
        self.num_episodes += part.num_episodes
        self.num_steps += part.num_steps

    def _num_rows(self, column: Column) -> int:
        return self.num_steps if column.is_of_steps else self.num_episodes

    def _columns_of(self, recorded: Recorded) -> dict[str, np.ndarray]:
        """The rows of every column, checked."""
        length = _as_type("length", recorded.length, np.dtype(np.int64))
        num_episodes, num_steps = len(length), int(length.sum())
        if not num_episodes or length.min() < 1:
            raise ConfigError("Episodes to be recorded have at least one step each, and there is at least one.")
        if set(recorded.labels) != set(self.header.labels):
            raise ConfigError(
                f"The episodes have the labels {sorted(recorded.labels)}, the data set {sorted(self.header.labels)}."
            )
        start = self.num_steps + np.concatenate([[0], length.cumsum()[:-1]])
        given = {"start": start, "task": recorded.task, "seed": recorded.seed, "action": recorded.action}
        given |= recorded.labels
        rows: dict[str, np.ndarray] = {}
        for column in self.header.columns:
            values = _as_type(column.name, given[column.name], column.dtype)
            expected = (num_steps if column.is_of_steps else num_episodes, *column.shape)
            if values.shape != expected:
                raise ConfigError(f"{column.name} has the shape {values.shape}, not {expected}. Give a row for each.")
            rows[column.name] = values
        for name in {"action", "expert_action"} & rows.keys():
            if rows[name].size and rows[name].max() >= NUM_ACTIONS:
                raise ConfigError(
                    f"{name} has numbers outside 0 to {NUM_ACTIONS - 1}. Write those as noop, which they are."
                )
        if self._most_steps is not None:
            self._check_tasks(rows["task"][:, 0], length)
        return rows

    def _check_tasks(self, task: np.ndarray, length: np.ndarray) -> None:
        """Raises ConfigError unless [E] numbers are of stored tasks, which are not over before the episodes end."""
        most_steps = self._most_steps
        assert most_steps is not None
        if not (task.min() >= 0 and task.max() < len(most_steps)):
            raise ConfigError(f"An episode is of a task outside 0 to {len(most_steps) - 1}, which are stored.")
        if (beyond := length > most_steps[task]).any():
            worst = int(beyond.argmax())
            raise ConfigError(
                f"An episode of {length[worst]} steps is of a task of {most_steps[task[worst]]}. Leave out what was "
                "done after its end."
            )


def _write(file: "contextlib.AbstractContextManager", values: np.ndarray) -> str:
    """Adds the bytes of an array to a file's end; gives their hash."""
    content = memoryview(values.reshape(-1).view(np.uint8))  # type: ignore[arg-type]  # it is a buffer
    left = content
    while left:  # a full disk may take a part
        left = left[file.write(left) :]  # type: ignore[attr-defined]
    return hashlib.sha256(content).hexdigest()


def _as_type(name: str, given: Any, dtype: np.dtype) -> np.ndarray:
    """The numbers in a type, in a row in memory; raises ConfigError where whole numbers become others."""
    values = np.asarray(given)
    with np.errstate(invalid="ignore"):
        found = np.asarray(values.astype(dtype, copy=False), order="C")
    if dtype.kind in "iu" and (is_other := found != values).any():
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        raise ConfigError(f"{name} has {values[is_other][0]}; write whole numbers from {low} to {high}.")
    return found


def _num_steps(tasks: TaskSet) -> np.ndarray:
    """[num_tasks] int64 steps of the episodes of all tasks: of all their trials."""
    return np.asarray(tasks.tasks.trial_length, np.int64) * np.asarray(tasks.tasks.num_trials, np.int64)
