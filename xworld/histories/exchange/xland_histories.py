"""Histories of XLand-MiniGrid, read from files with the layout of XLand-100B: stored, not derived again."""

from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import numpy as np

from xworld.base.checks import check_whole
from xworld.base.errors import ConfigError
from xworld.base.files import as_path, reason_of
from xworld.core.step.actions import NOOP
from xworld.core.types import Observation, Task
from xworld.histories.dataset.derive import Windows
from xworld.histories.exchange.codes import decode_views

_NAMES = ("states", "actions", "rewards", "dones")


class XLandHistories:
    """A file of histories that is open for reading: N tasks with H streams of T steps each. A context.

    What was seen is stored: a view, and nothing of what is in the hand, which way the agent faces, or how much time is
    left. The simulator cannot make it again, and does not play by quite the same rules.
    """

    def __init__(self, path: str | Path) -> None:
        """Opens it; nothing is read yet but shapes.

        Raises:
          ConfigError: it cannot be read, or has another layout.
        """
        import h5py

        self.path = as_path(path)
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be read: {reason_of(error)}. Name an HDF5 file.") from error
        first = self._file.get("0")
        if first is None or not all(name in first for name in _NAMES) or first["states"].ndim != 4:
            self.close()
            raise ConfigError(
                f"{self.path} has not the layout of XLand-100B: groups 0, 1, ... with {', '.join(_NAMES)}."
            )
        self.num_tasks = len(self._file)
        self.num_streams, self.length, self.view_size = first["states"].shape[:3]

    def close(self) -> None:
        """Closes it."""
        self._file.close()

    def __enter__(self) -> "XLandHistories":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def about(self, task: int) -> dict[str, Any]:
        """What is said of a task: `env-id`, `benchmark-id`, `ruleset-id`."""
        return dict(self._file[str(task)].attrs)

    def read(self, task: int, stream: int, start: int, length: int) -> dict[str, np.ndarray]:
        """Steps of a stream as they are stored, [length, ...] by name. Only the file's chunks with them are read.

        Raises:
          ConfigError: there are none of these.
        """
        if not (0 <= task < self.num_tasks and 0 <= stream < self.num_streams and 0 <= start <= self.length - length):
            raise ConfigError(
                f"{self.path} has {self.num_tasks} tasks with {self.num_streams} streams of {self.length} steps; there "
                f"are no {length} steps from {start} on in stream {stream} of task {task}."
            )
        group = self._file[str(task)]
        names = [name for name in (*_NAMES, "expert_actions") if name in group]
        return {name: group[name][stream, start : start + length] for name in names}

    def draw_windows(
        self, generator: np.random.Generator, num_windows: int, length: int, task: Task, among: np.ndarray | None = None
    ) -> Windows:
        """B windows of L steps at random, as those of a data set, for imitation.

        What is not stored is as at reset: hand, direction, time. Where the expert was asked, `labels` have
        "expert_action".

        Args:
          generator: the chance.
          num_windows: B.
          length: L; a window does not begin with a stream's first step, whose step before is not known.
          task: of which the agent is told: the same for all, since the file has no tasks that are known here.
          among: [n] numbers of the tasks that are drawn from; by default all.

        Raises:
          ConfigError: no stream is so long.
        """
        check_whole("num_windows", num_windows, 1)
        check_whole("length", length, 1, self.length - 1)
        tasks = (
            generator.integers(self.num_tasks, size=num_windows)
            if among is None
            else generator.choice(among, num_windows)
        )
        streams = generator.integers(self.num_streams, size=num_windows)
        starts = generator.integers(self.length - length, size=num_windows)
        read = [
            self.read(*one, length + 1) for one in zip(tasks.tolist(), streams.tolist(), starts.tolist(), strict=True)
        ]
        steps = {name: np.stack([one[name] for one in read], axis=1) for name in read[0]}  # [L + 1, B, ...]
        return _windows(steps, jax.tree.map(lambda leaf: np.asarray(leaf)[None], task))


def _windows(steps: dict[str, np.ndarray], tasks: Task) -> Windows:
    """Windows of all steps but the first, whose action and reward the second one sees."""
    before, shape = {name: values[:-1] for name, values in steps.items()}, steps["actions"][1:].shape
    now = {name: values[1:] for name, values in steps.items()}
    actions = np.minimum(before["actions"], NOOP)
    zeros, no = np.zeros(shape, np.int32), np.zeros((*shape, 1), np.uint8)
    fields: dict[str, Any] = {
        "view": decode_views(now["states"])[:, :, None],
        "held": no,
        "direction": no,
        "last_action": actions.astype(np.uint8)[..., None],
        "last_reward": before["rewards"].astype(np.float32)[..., None],
        "trial": zeros,
        "trials_left": zeros,
        "time_left": zeros,
        "trial_length": zeros + int(np.asarray(tasks.trial_length)[0]),
    }
    labels = {"expert_action": now["expert_actions"][..., None]} if "expert_actions" in now else {}
    windows: dict[str, Any] = {
        "tasks": tasks,
        "piece": zeros,
        "is_start": np.zeros(shape[1], bool),
        "num_kept": np.full(shape[1], shape[0], np.int32),
        "observation": Observation(**fields),
        "is_first": np.zeros(shape, bool),
        "is_trial_first": before["dones"],
        "action": now["actions"].astype(np.int32)[..., None],
        "reward": now["rewards"].astype(np.float32)[..., None],
        "discount": np.ones(shape, np.float32),
        "event": zeros,
        "labels": labels,
    }
    return Windows(**windows)
