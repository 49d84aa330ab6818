"""`TaskSet`: a fixed set of tasks, such as those to evaluate on, of which one is drawn at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.checks import check_whole
from xworld.base.digest import digest
from xworld.base.errors import ConfigError
from xworld.core.env import Env
from xworld.core.keys import as_key
from xworld.core.step.checks import check_task
from xworld.core.types import Task, TaskSource
from xworld.tasks.sets.pool import TaskPool
from xworld.tasks.universe.universe import Universe


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TaskSet:
    """Stacked tasks of one configuration. A pytree, so that it can be changed without a recompile."""

    tasks: Task  # leaves with a leading axis of all tasks

    def __len__(self) -> int:
        return self.tasks.trial_length.shape[0]

    @property
    def about(self) -> str:
        """What tells it from another: the digest of its tasks."""
        return f"tasks {digest(self.tasks)[:16]}"

    def task(self, index: jax.Array | int) -> Task:
        """The task with an index from 0 to len - 1; one outside gives the nearest."""

        def pick(leaf: jax.Array) -> jax.Array:
            return jnp.asarray(leaf).at[index].get(mode="clip", wrap_negative_indices=False)

        return jax.tree.map(pick, self.tasks)

    def sample(self, key: jax.Array) -> Task:
        """One of the tasks, uniformly."""
        return self.task(jax.random.randint(as_key(key), (), 0, len(self), jnp.int32))

    @classmethod
    def from_tasks(cls, tasks: Sequence[Task]) -> "TaskSet":
        """The set of given tasks.

        Raises:
          ConfigError: there are none, or they are of different configurations.
        """
        if not tasks:
            raise ConfigError("A TaskSet needs at least one task.")
        shapes = [[leaf.shape for leaf in jax.tree.leaves(task)] for task in tasks]
        for index, shape in enumerate(shapes):
            if shape != shapes[0]:
                raise ConfigError(
                    f"Tasks 0 and {index} have arrays of different shapes. Make all tasks of a set for one EnvConfig."
                )
        # On the host: to stack on the device is compiled anew for every number of tasks.
        return cls(jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *jax.device_get(list(tasks))))

    @classmethod
    def from_source(cls, source: TaskSource, key: jax.Array, num_tasks: int) -> "TaskSet":
        """`num_tasks` tasks sampled from a source, such as a `Universe`.

        Raises:
          ConfigError: `num_tasks` is below 1.
        """
        num_tasks = check_whole("num_tasks", num_tasks, 1)
        return cls(jax.tree.map(jnp.asarray, sample_stacked(source, jax.random.split(as_key(key), num_tasks))))


def sample_stacked(source: TaskSource, keys: jax.Array) -> Task:
    """The tasks that a source has for [n] keys, leaves [n, ...] in the host's memory. For calls outside of `jit`."""
    if isinstance(source, Universe | TaskPool):
        return source.sample_stacked(keys)[0]
    tasks: Task = jax.device_get(jax.jit(jax.vmap(source.sample))(keys))
    return tasks


def check_tasks(env: Env, tasks: Task) -> None:
    """Makes sure that `tasks` are stacked tasks for `env`.

    Raises:
      ConfigError: there is no leading axis, or the sizes are not those of `env.config`.
    """
    if tasks.terrain.ndim != 3 or tasks.terrain.shape[0] == 0:
        raise ConfigError("The tasks have no leading axis of at least 1. Stack them: jax.tree.map with jnp.stack.")
    check_task(env.config, jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), tasks))
