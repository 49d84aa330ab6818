"""Tasks by name, the same in every command: of an environment, a test set, the probes, a file, or a training run."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol, cast

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.checks import check_seed, check_whole
from xworld.base.configs import from_json
from xworld.base.digest import digest
from xworld.base.errors import ConfigError, did_you_mean, located
from xworld.base.files import as_path, parse_json, printable, read_text
from xworld.core import kinds
from xworld.core.config import EnvConfig
from xworld.core.env import Env
from xworld.core.types import NUM_RELATIONS, Task
from xworld.tasks.language.files import read_task
from xworld.tasks.sets.fixed import VERSIONS, test_set_universe, test_set_with_info
from xworld.tasks.sets.named import environment_names, make, make_universe
from xworld.tasks.sets.probes import GROUPS, SHAPES, Probe, probe, probes
from xworld.tasks.sets.starters.starters import starters
from xworld.tasks.sets.storage import has_task_set, load, load_config
from xworld.tasks.sets.task_set import TaskSet
from xworld.tasks.universe.config import SPLITS, UniverseConfig
from xworld.tasks.universe.universe import TaskInfo, Universe
from xworld.tasks.variants.anatomy import task_info

NUM_SAMPLED = 512  # by default, of tasks without end
_MOST_SAMPLED = 1_000_000
PROBES = "probes"
_STARTERS = ":starters"

# What scores are broken down by, of what a generator knows; of tasks that it did not make, what the arrays say.
GENERATED_FEATURES = ("num_firings", "num_hidden_rules", "num_distractors", "num_dead_ends")
AGENTS_ASKED = "agents_asked"  # of tasks in environments for several agents

_RUN = "config.json"  # in the folder of a training run
# A universe by its name or a run's folder, then maybe a split, then maybe the two ids of a task.
_OF_UNIVERSE = re.compile(
    r"(?P<whose>.+?)"  # an environment's name or a run's folder
    rf"(:(?P<split>{'|'.join(SPLITS)}))?"
    r"(:(?P<world>\d{1,10}):(?P<game>\d{1,10}))?"
)


@dataclass(frozen=True)
class TaskCollection:
    """Stacked tasks, and the environment they are for."""

    name: str
    env: Env
    tasks: Task  # leaves [num_tasks, ...]
    task_names: tuple[str, ...] | None = None  # of tasks that have one
    info: TaskInfo | None = None  # stacked; of generated tasks

    def first(self, num_tasks: int) -> "TaskCollection":
        """The first `num_tasks` of them.

        Raises:
          ConfigError: there are not so many.
        """
        size = len(self.tasks.trial_length)
        if not 1 <= num_tasks <= size:
            raise ConfigError(f"The number of tasks is {num_tasks}; {self.name} has {size}: write 1 to {size}.")
        tasks, info = jax.tree.map(lambda leaf: leaf[:num_tasks], (self.tasks, self.info))
        names = None if self.task_names is None else self.task_names[:num_tasks]
        return TaskCollection(self.name, self.env, tasks, names, info)

    @cached_property
    def content_hash(self) -> str:
        """Of the tasks, whatever the set is called."""
        return digest(self.tasks)

    @cached_property
    def features(self) -> dict[str, np.ndarray]:
        """By name, [num_tasks] int64: what scores are broken down by.

        In environments for several agents `AGENTS_ASKED` is among them: 2 for a task whose goal and rules ask something
        of both agents whichever way it is done, 1 for any other task for two, and 0 for a task for one. Whether one
        agent alone gets everywhere in the world is not looked at.
        """
        if self.info is not None:
            found = {name: np.asarray(getattr(self.info, name), np.int64) for name in GENERATED_FEATURES}
        else:
            found = {
                "num_rules": (np.asarray(self.tasks.rules.relation) != 0).sum(axis=1),
                "num_hidden_rules": _num_hidden_rules(self.env, self.tasks),
                "num_objects": (np.asarray(self.tasks.object_kind) != kinds.NOTHING).sum(axis=1),
            }
        if self.env.config.num_agents > 1:
            info = jax.jit(jax.vmap(task_info))(self.tasks) if self.info is None else self.info
            asked = np.where(np.asarray(info.needs_both), 2, 1)
            found[AGENTS_ASKED] = np.where(np.asarray(info.num_players) > 1, asked, 0)
        return found


class NamedTasks(Protocol):
    """What a name stands for: tasks in a row. They are made when they are asked for."""

    def task(self, number: int) -> tuple[Env, Task, str] | None:
        """The environment, the task of this number (from 0), and its name; None if there are not so many."""
        ...

    def collect(self, num_tasks: int | None = None) -> TaskCollection:
        """The first `num_tasks` stacked; by default all, of tasks without end `NUM_SAMPLED`.

        Raises:
          ConfigError: there are not so many, or they are for several environments.
        """
        ...


def tasks_by_name(name: str, seed: int = 0) -> NamedTasks:
    """The tasks called `name`; docs/evaluation.md lists the names.

    Args:
      name: `ENVIRONMENT` or the folder of a training run, for tasks of its test split; `ENVIRONMENT:train`,
        `:validation` or `:all` for those of another split; `ENVIRONMENT:WORLD:GAME`, with or without a split, for one
        task; `ENVIRONMENT:starters`, for 256 training tasks that come with the package; the version of a test set,
        such as `v2`; `probes`, `probes:GROUP`, `probes:SHAPE`, or the name of one probe; or a file, of one task or of
        a set that `xworld.tasks.save` wrote.
      seed: decides what is sampled.

    Raises:
      ConfigError: there are none of that name, or a file has a mistake.
    """
    check_seed(seed)
    path = as_path(name)
    if path.suffix in (".toml", ".npz"):
        return Stacked(_in_file(path))
    if name in VERSIONS:
        tasks, info = test_set_with_info(name)
        return Stacked(TaskCollection(name, Env(test_set_universe(name).env_config), tasks.tasks, info=info))
    if name == PROBES or name.startswith(f"{PROBES}:"):
        return ProbeTasks(name, _probes_of(name))
    if name in {one.name for one in probes()}:
        return ProbeTasks(name, (probe(name),))
    if name.endswith(_STARTERS):
        return Stacked(_starters(name))
    match = _OF_UNIVERSE.fullmatch(name)
    universe = match and _universe(match["whose"])
    if match is None or universe is None:
        raise ConfigError(f"No tasks are called {name!r}. {_hint(name)}")
    sampled = Sampled(printable(match["whose"]), universe.with_split(cast(Any, match["split"] or "test")), seed)
    return sampled if match["world"] is None else Stacked(sampled.by_ids(int(match["world"]), int(match["game"])))


@dataclass(frozen=True)
class Stacked:
    """Tasks that are there already."""

    collection: TaskCollection

    def task(self, number: int) -> tuple[Env, Task, str] | None:
        """One of them."""
        found = self.collection
        if number >= len(found.tasks.trial_length):
            return None
        name = f"{found.name}-{number}" if found.task_names is None else found.task_names[number]
        return found.env, jax.tree.map(lambda leaf: leaf[number], found.tasks), name

    def collect(self, num_tasks: int | None = None) -> TaskCollection:
        """All of them, or the first."""
        return self.collection if num_tasks is None else self.collection.first(num_tasks)


@dataclass(frozen=True)
class ProbeTasks:
    """Probe tasks, maybe for different environments."""

    name: str
    probes: Sequence[Probe]

    def task(self, number: int) -> tuple[Env, Task, str] | None:
        """One of them."""
        if number >= len(self.probes):
            return None
        one = self.probes[number]
        return Env(one.config), one.task(), one.name

    def collect(self, num_tasks: int | None = None) -> TaskCollection:
        """All of them, or the first, if they are for one environment."""
        config, *others = dict.fromkeys(one.config for one in self.probes)
        if others:
            shapes = ", ".join(f"{PROBES}:{shape}" for shape in SHAPES)
            raise ConfigError(f"{self.name} are for {1 + len(others)} environments. Write one of: {shapes}.")
        stacked = TaskSet.from_tasks([one.task() for one in self.probes]).tasks
        found = TaskCollection(self.name, Env(config), stacked, tuple(one.name for one in self.probes))
        return found if num_tasks is None else found.first(num_tasks)


@dataclass(frozen=True)
class Sampled:
    """Tasks of a universe's split, without end. Task i is the same whatever the number of tasks."""

    whose: str  # an environment's name, or a folder
    universe: Universe
    seed: int

    def task(self, number: int) -> tuple[Env, Task, str] | None:
        """The sampled one."""
        one = jax.tree.map(lambda leaf: leaf[0], self._sample(jnp.array([number]))[0])
        return Env(self.universe.env_config), one, f"{self._name}:{one.world_id}:{one.game_id}"

    def collect(self, num_tasks: int | None = None) -> TaskCollection:
        """The first."""
        num_tasks = NUM_SAMPLED if num_tasks is None else num_tasks
        check_whole("The number of tasks", num_tasks, 1, _MOST_SAMPLED)
        tasks, info = self._sample(jnp.arange(num_tasks))
        split = {"test": "held-out"}.get(self.universe.config.split, self.universe.config.split)
        name = f"{self.whose}, {num_tasks} {split} tasks of seed {self.seed}"
        return TaskCollection(name, Env(self.universe.env_config), tasks, info=info)

    def part(self, first: int, end: int) -> Task:
        """The tasks from number `first` to before `end`, leaves [end - first, ...] in the host's memory."""
        return jax.device_get(self._sample(jnp.arange(first, end))[0])

    def by_ids(self, world_id: int, game_id: int) -> TaskCollection:
        """The one task with these ids."""
        if max(world_id, game_id) >= 2**31:
            raise ConfigError(f"The ids are {world_id} and {game_id}; write whole numbers below 2^31.")
        made = self.universe.stacked(np.array([world_id]), np.array([game_id]))
        tasks, info = jax.tree.map(jnp.asarray, made)
        name = f"{self._name}:{world_id}:{game_id}"
        return TaskCollection(name, Env(self.universe.env_config), tasks, (name,), info)

    def _sample(self, numbers: jax.Array) -> tuple[Task, TaskInfo]:
        """The tasks of [n] numbers, stacked, and what is known about them."""
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.key(self.seed), numbers)
        return jax.tree.map(jnp.asarray, self.universe.sample_stacked(keys))

    @property
    def _name(self) -> str:
        split = self.universe.config.split
        return self.whose if split == "test" else f"{self.whose}:{split}"


def _universe(whose: str) -> Universe | None:
    """The universe of a named environment, or of the training run in a folder; None if it is neither."""
    if whose in environment_names():
        return make_universe(whose)
    folder = as_path(whose)
    if not folder.is_dir():
        return None
    path = folder / _RUN
    try:
        values = parse_json(read_text(path))
        parts = json.dumps(values["env"]), json.dumps(values["universe"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{whose} is a folder without a training run: {_RUN} in it is missing or damaged.") from error
    with located(str(path)):
        return Universe(from_json(EnvConfig, parts[0]), from_json(UniverseConfig, parts[1]))


def _in_file(path: Path) -> TaskCollection:
    """The task in a task file, or the tasks in a file that `xworld.tasks.save` wrote."""
    if has_task_set(path):
        config = load_config(path)
        return TaskCollection(printable(path.name), Env(config), load(path, config).tasks)
    config, task = read_task(path)
    names = (printable(path.stem),)
    return TaskCollection(printable(path.name), Env(config), TaskSet.from_tasks([task]).tasks, names)


def _starters(name: str) -> TaskCollection:
    """The tasks of an environment that come with the package."""
    environment = name.removesuffix(_STARTERS)
    tasks = starters(environment).tasks
    ids = zip(np.asarray(tasks.world_id), np.asarray(tasks.game_id), strict=True)
    names = tuple(f"{environment}:train:{world_id}:{game_id}" for world_id, game_id in ids)
    return TaskCollection(name, make(environment), tasks, names)


def _probes_of(name: str) -> tuple[Probe, ...]:
    """All probes, or those of a shape or a group."""
    _, _, rest = name.partition(":")
    if name == PROBES:
        return probes()
    if rest in SHAPES:
        return tuple(one for one in probes() if one.config == SHAPES[rest])
    if rest in GROUPS:
        return probes(rest)
    raise ConfigError(f"No probe tasks are called {rest!r}. {did_you_mean(rest, (*SHAPES, *GROUPS))}")


def _hint(name: str) -> str:
    """What to write instead of a name that there is not."""
    whose, _, rest = name.partition(":")
    if rest and whose in environment_names():
        return f"Write {whose}, {whose}:train, or {whose}:WORLD:GAME with two whole numbers, as {whose}:3:14."
    near = did_you_mean(name, _known_names())
    if near.startswith("Did"):
        return near
    return (
        f"Write an environment, such as {environment_names()[0]}; a test set ({', '.join(VERSIONS)}); probes, "
        "probes:GROUP or a probe's name; a .toml or .npz file; or the folder of a training run."
    )


@cache
def _probe_names() -> tuple[str, ...]:
    return (PROBES, *(f"{PROBES}:{one}" for one in (*SHAPES, *GROUPS)), *(one.name for one in probes()))


def _known_names() -> tuple[str, ...]:
    return (*environment_names(), *VERSIONS, *_probe_names())


def _num_hidden_rules(env: Env, tasks: Task) -> np.ndarray:
    """[num_tasks] rules of which anything is hidden from agent 0."""
    rules = np.asarray(jax.jit(jax.vmap(env.briefing))(tasks).rules)[:, 0]  # [num_tasks, R, 7]
    is_masked = (rules[..., 0] > NUM_RELATIONS) | (rules[..., 2:] >> 4 == kinds.PLACEHOLDER).any(axis=-1)
    return is_masked.sum(axis=1)
