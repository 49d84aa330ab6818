"""The sets of tasks to evaluate on, by name: held-out tasks of an environment, a test set, probes, or a file."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jax
import numpy as np

from xworld.base.digest import digest
from xworld.base.errors import ConfigError, did_you_mean
from xworld.core import kinds
from xworld.core.env import Env
from xworld.core.types import NUM_RELATIONS, Task
from xworld.tasks import TaskInfo, TaskSet, Universe, load, load_config, probes
from xworld.tasks.language.files import read_task
from xworld.tasks.sets.fixed import VERSIONS, test_set_universe, test_set_with_info
from xworld.tasks.sets.named import environment_names, make_universe
from xworld.tasks.sets.probes import GROUPS, SHAPES
from xworld.tasks.sets.storage import has_task_set

NUM_HELD_OUT = 512

# What scores are broken down by, of what a generator knows; of tasks that it did not make, what the arrays say.
GENERATED_FEATURES = ("num_firings", "num_hidden_rules", "num_distractors", "num_dead_ends")


@dataclass(frozen=True)
class TaskCollection:
    """Tasks to evaluate on, and the environment they are for."""

    name: str
    env: Env
    tasks: Task  # stacked, leaves [num_tasks, ...]
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
        """By name, [num_tasks] int64: what scores are broken down by."""
        if self.info is not None:
            return {name: np.asarray(getattr(self.info, name), np.int64) for name in GENERATED_FEATURES}
        return {
            "num_rules": (np.asarray(self.tasks.rules.relation) != 0).sum(axis=1),
            "num_hidden_rules": _num_hidden_rules(self.env, self.tasks),
            "num_objects": (np.asarray(self.tasks.object_kind) != kinds.NOTHING).sum(axis=1),
        }


def find_task_set(name: str, num_tasks: int | None = None, seed: int = 0) -> TaskCollection:
    """The tasks called `name`.

    Args:
      name: an environment's, for held-out tasks of its universe; `test_set:` and a version; `probes:` and a shape or a
        group of probe tasks; or a file's: of one task, or of a set that `xworld.tasks.save` wrote.
      num_tasks: how many are sampled; of a set that is fixed, only the first so many.
      seed: decides what is sampled.

    Raises:
      ConfigError: there are none of that name, or the file cannot be read.
    """
    if name in environment_names():
        return held_out(make_universe(name), name, num_tasks, seed)
    kind, _, rest = name.partition(":")
    if kind == "probes":
        collection = probe_set(rest)
    elif kind == "test_set":
        tasks, info = test_set_with_info(rest)
        collection = TaskCollection(name, Env(test_set_universe(rest).env_config), tasks.tasks, info=info)
    elif Path(name).suffix in (".toml", ".npz"):
        collection = tasks_in_file(Path(name))
    else:
        known = (
            *environment_names(),
            *(f"test_set:{version}" for version in VERSIONS),
            *(f"probes:{shape}" for shape in SHAPES),
        )
        raise ConfigError(
            f"No set of tasks is called {name!r}. {did_you_mean(name, known)} Or name a .toml or .npz file of tasks."
        )
    return collection if num_tasks is None else collection.first(num_tasks)


def probe_set(name: str) -> TaskCollection:
    """The probe tasks of a shape, such as `one_player`, or of a group, such as `crafting`.

    Raises:
      ConfigError: there is no such shape or group.
    """
    if name in SHAPES:
        chosen = [probe for probe in probes() if probe.config == SHAPES[name]]
    elif name in GROUPS:
        chosen = list(probes(name))
    else:
        raise ConfigError(f"No probe tasks are called {name!r}. {did_you_mean(name, (*SHAPES, *GROUPS))}")
    stacked = TaskSet.from_tasks([probe.task() for probe in chosen]).tasks
    return TaskCollection(f"probes:{name}", Env(chosen[0].config), stacked, tuple(probe.name for probe in chosen))


def tasks_in_file(path: Path) -> TaskCollection:
    """The task in a task file, or the tasks in a file that `xworld.tasks.save` wrote.

    Raises:
      ConfigError: the file cannot be read, or has a mistake.
    """
    if has_task_set(path):
        config = load_config(path)
        return TaskCollection(path.name, Env(config), load(path, config).tasks)
    config, task = read_task(path)
    return TaskCollection(path.name, Env(config), TaskSet.from_tasks([task]).tasks, (path.stem,))


def held_out(universe: Universe, name: str, num_tasks: int | None, seed: int) -> TaskCollection:
    """Tasks of the universe's test split, `NUM_HELD_OUT` if no number is given.

    Raises:
      ConfigError: `num_tasks` is below 1.
    """
    num_tasks = NUM_HELD_OUT if num_tasks is None else num_tasks
    if num_tasks < 1:
        raise ConfigError(f"The number of tasks is {num_tasks}; write a whole number of at least 1.")
    test = dataclasses.replace(universe, config=dataclasses.replace(universe.config, split="test"))
    keys = jax.random.split(jax.random.key(seed), num_tasks)
    tasks, info = jax.jit(jax.vmap(test.sample_with_info))(keys)
    return TaskCollection(
        f"{name}, {num_tasks} held-out tasks of seed {seed}", Env(universe.env_config), tasks, info=info
    )


def _num_hidden_rules(env: Env, tasks: Task) -> np.ndarray:
    """[num_tasks] rules of which anything is hidden from agent 0."""
    rules = np.asarray(jax.jit(jax.vmap(env.briefing))(tasks).rules)[:, 0]  # [num_tasks, R, 7]
    is_masked = (rules[..., 0] > NUM_RELATIONS) | (rules[..., 2:] >> 4 == kinds.PLACEHOLDER).any(axis=-1)
    return is_masked.sum(axis=1)
