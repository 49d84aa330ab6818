"""The rooms in which teachers learn, and which layouts are held out."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from xworld.base.hashing import hash_words
from xworld.core.config import EnvConfig
from xworld.core.types import Task
from xworld.evaluation import sample_tasks
from xworld.evaluation.scores.statistics import interval
from xworld.tasks import Universe, UniverseConfig, WorldConfig

_HELD_OUT_PERCENT = 25  # of the layouts


@dataclass(frozen=True)
class World:
    """A room with as many free cells a side, things of which one turns into the goal's when it is held, and walls."""

    side: int = 3
    num_objects: int = 3
    trial_length: int = 8

    @property
    def env(self) -> EnvConfig:
        """Its environment."""
        size, most = self.side + 2, self.num_objects
        return EnvConfig(
            height=size, width=size, max_objects=most, max_rules=1, max_doors=1, push=False, relations=("hold",)
        )

    @property
    def universe(self) -> UniverseConfig:
        """Its tasks."""
        return UniverseConfig(
            split="all",
            world=WorldConfig(rooms=(1,), floor_colours=("black", "grey")),
            shapes=("ball", "cube"),
            colours=("red", "green", "blue"),
            negated_goal_percent=0,
            chain_length=(1, 1),
            num_distractors=(self.num_objects - 1,) * 2,
            num_dead_ends=(0, 0),
            frozen_task_percent=0,
            hide_percent=100,
            hidden_ways=("rule",),
            hide="all",
            trial_length=(self.trial_length,) * 2,
        )

    def tasks(self, split: str, seed: int, number: int, num_trials: int) -> Task:
        """Tasks on the host, of layouts for training or for tests, in which trials begin with the agent facing north.

        There are too few games to hold some of them out: a hash of where things lie decides, so that no teacher has had
        a layout of the test.
        """
        universe, key = Universe(self.env, self.universe), jax.random.key(seed)
        found: list[Task] = []
        while sum(len(tasks.trial_length) for tasks in found) < number:
            drawn = jax.device_get(sample_tasks(universe, jax.random.fold_in(key, len(found)), max(number, 64)))
            places = np.flatnonzero(_is_held_out(drawn) == (split == "test"))
            found.append(jax.tree.map(lambda leaf, places=places: leaf[places], drawn))
        tasks = jax.tree.map(lambda *leaves: np.concatenate(leaves)[:number], *found)
        always: dict[str, Any] = {
            "agent_facing": np.zeros_like(tasks.agent_facing),
            "num_trials": np.full_like(tasks.num_trials, num_trials),
        }
        return dataclasses.replace(tasks, **always)


SMALL_WORLD = World()


def interval_over_layouts(values: np.ndarray, tasks: Task) -> tuple[float, float]:
    """The 95 % interval of the mean of [num_tasks] values, for other layouts: all tasks of one are drawn together."""
    _, layout = np.unique(_cells(tasks), axis=0, return_inverse=True)
    sums, numbers = np.bincount(layout.ravel(), values), np.bincount(layout.ravel())
    return interval(np.arange(len(sums)), lambda drawn: sums[drawn].sum(-1) / numbers[drawn].sum(-1))


def _is_held_out(tasks: Task) -> np.ndarray:
    """[n] bool, by a hash of the cells of the agent and of the objects."""
    return np.asarray(hash_words(*_cells(tasks).T)) % 100 < _HELD_OUT_PERCENT


def _cells(tasks: Task) -> np.ndarray:
    """[n, X] uint8 where the agent and the objects are."""
    cells = np.concatenate([np.asarray(tasks.agent_position), np.asarray(tasks.object_position)], axis=1)
    return cells.reshape(len(cells), -1)
