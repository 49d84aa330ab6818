"""The tasks of a data set: stored ones, or those of a universe, which are made again of their ids."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from xworld.core.types import Task
from xworld.histories.dataset.header import DatasetHeader
from xworld.tasks import Universe

_MOST = 1 << 14  # tasks of a universe that are kept after they were made


@dataclass(frozen=True)
class StoredTasks:
    """Tasks that are all there."""

    tasks: Task  # [n, ...] on the host

    def take(self, task: np.ndarray) -> Task:
        """The tasks with [B, 1] numbers."""
        return jax.tree.map(lambda leaf: leaf[task[:, 0]], self.tasks)


class UniverseTasks:
    """Tasks that are made when they are first asked for. The last ones made are kept."""

    def __init__(self, header: DatasetHeader) -> None:
        """Nothing is made yet."""
        assert header.universe is not None
        self._universe, self._num_trials = Universe(header.env, header.universe), header.num_trials
        self._places: dict[tuple[int, int], int] = {}
        self._made: Task | None = None

    def take(self, task: np.ndarray) -> Task:
        """The tasks with [B, 2] ids."""
        ids = [(int(world), int(game)) for world, game in task]
        missing = list(dict.fromkeys(one for one in ids if one not in self._places))
        if len(self._places) + len(missing) > _MOST:
            self._places, self._made, missing = {}, None, list(dict.fromkeys(ids))
        if missing:
            self._make(missing)
        places = np.array([self._places[one] for one in ids], np.int64)
        return jax.tree.map(lambda leaf: leaf[places], self._made)

    def _make(self, missing: list[tuple[int, int]]) -> None:
        worlds, games = np.array(missing, np.int64).T
        fresh: Task = self._universe.stacked(worlds, games)[0]
        if self._num_trials is not None:
            num_trials: Any = np.full_like(fresh.num_trials, self._num_trials)
            fresh = dataclasses.replace(fresh, num_trials=num_trials)
        first = len(self._places)
        self._places |= {one: first + number for number, one in enumerate(missing)}
        if self._made is not None:
            fresh = jax.tree.map(lambda *leaves: np.concatenate(leaves), self._made, fresh)
        self._made = fresh
