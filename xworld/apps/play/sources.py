"""What the window shows, by name: a task file, a probe, an environment, an id, a set of tasks, or a history."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import jax
import numpy as np

from xworld.base.errors import ConfigError, did_you_mean
from xworld.core.env import Env
from xworld.core.types import Task
from xworld.histories import SUFFIX, History, read_history
from xworld.tasks import Universe, probe, probes
from xworld.tasks.language.files import read_task
from xworld.tasks.sets.named import environment_names, make_universe
from xworld.tasks.sets.storage import has_task_set


class Source(Protocol):
    """Tasks in a row. They are made when they are asked for."""

    def task(self, number: int) -> tuple[Env, Task, str] | None:
        """The environment, the task of this number (from 0), and its name; None if there are not so many."""
        ...


@dataclass(frozen=True)
class Listed:
    """Tasks of one environment that are there already."""

    env: Env
    tasks: Sequence[Task]
    names: Sequence[str]

    def task(self, number: int) -> tuple[Env, Task, str] | None:
        """One of them."""
        return (self.env, self.tasks[number], self.names[number]) if number < len(self.tasks) else None


@dataclass(frozen=True)
class Probes:
    """A probe task, and those that follow it in the list of all."""

    first: str

    def task(self, number: int) -> tuple[Env, Task, str] | None:
        """A probe."""
        names = [one.name for one in probes()]
        place = names.index(self.first) + number
        if place >= len(names):
            return None
        one = probe(names[place])
        return Env(one.config), one.task(), one.name


@dataclass(frozen=True)
class Sampled:
    """Tasks of an environment's universe, without end."""

    name: str
    universe: Universe
    seed: int

    def task(self, number: int) -> tuple[Env, Task, str] | None:
        """A sampled one."""
        world_id, game_id = np.random.default_rng((self.seed, number)).integers(2**31, size=2).tolist()
        task = _make(self.universe, world_id, game_id)
        return Env(self.universe.env_config), task, f"{self.name}:{world_id}:{game_id}"


@dataclass(frozen=True)
class ById:
    """The task with these ids."""

    name: str
    universe: Universe
    world_id: int
    game_id: int

    def task(self, number: int) -> tuple[Env, Task, str] | None:
        """The one that there is."""
        if number:
            return None
        return Env(self.universe.env_config), _make(self.universe, self.world_id, self.game_id), self.name


def find_source(name: str, seed: int = 0) -> Source | History:
    """The tasks, or the history, that a name stands for.

    Args:
      name: a task file; a probe, which all others follow; an environment, of which tasks are sampled;
        `ENVIRONMENT:WORLD:GAME`, a task by its ids; or a set, as `xworld evaluate --task-set` takes it; or a
        file with a history.
      seed: decides what is sampled.

    Raises:
      ConfigError: there is nothing of that name, or a file has a mistake.
    """
    path = Path(name)
    if path.suffix == SUFFIX:
        return read_history(path)
    if path.suffix in (".toml", ".npz") and not has_task_set(path):
        config, task = read_task(path)
        return Listed(Env(config), [task], [path.stem])
    if name in {one.name for one in probes()}:
        return Probes(name)
    if name in environment_names():
        return Sampled(name, make_universe(name), seed)
    env_name, _, ids = name.partition(":")
    if env_name in environment_names():
        return _by_ids(name, env_name, ids)
    if ":" in name or path.suffix in (".toml", ".npz"):
        from xworld.evaluation.task_sets import find_task_set  # needs much that the window does not

        found = find_task_set(name)
        size = len(found.tasks.trial_length)
        names = found.task_names or [f"{found.name}-{number}" for number in range(size)]
        tasks = [jax.tree.map(lambda leaf, number=number: leaf[number], found.tasks) for number in range(size)]
        return Listed(found.env, tasks, names)
    known = (*(one.name for one in probes()), *environment_names())
    near = did_you_mean(name, known)
    hint = near if near.startswith("Did") else "See `xworld tasks probes` for probes, or name an environment."
    raise ConfigError(
        f"There is no task {name!r}: it is no task file, probe, environment or ENVIRONMENT:WORLD:GAME. {hint}"
    )


def _by_ids(name: str, env_name: str, ids: str) -> ById:
    numbers = ids.split(":")
    if len(numbers) != 2 or not all(number.isdecimal() and int(number) < 2**31 for number in numbers):
        raise ConfigError(
            f"{name!r} has no ids. Write {env_name}:WORLD:GAME with two whole numbers, as {env_name}:3:14."
        )
    return ById(name, make_universe(env_name), *map(int, numbers))


@partial(jax.jit, static_argnums=0)
def _make(universe: Universe, world_id: int, game_id: int) -> Task:
    return universe.task(world_id, game_id)
