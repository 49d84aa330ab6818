"""Where episodes come from: tasks by name or from a source, and automatic reset that costs only where episodes end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap

from xworld.base.checks import check_whole
from xworld.base.errors import ConfigError
from xworld.core.env import Env, select
from xworld.core.types import Briefing, Observation, State, Task, TaskSource
from xworld.core.vector import VectorEnv, VectorState, VectorTimeStep
from xworld.tasks.sets.by_name import tasks_by_name
from xworld.tasks.sets.named import environment_names, make, make_universe
from xworld.tasks.sets.task_set import TaskSet, check_tasks
from xworld.tasks.universe.universe import Universe

_AT_ONCE = 16  # episodes that are made together; more would be wasted where few end in a step
_REFILL_SHARE = 4  # new tasks are prepared when a fourth of the environments have used theirs


def tasks_for(tasks: str | TaskSource | Task, env: Env | None = None) -> tuple[Env, TaskSource]:
    """The environment, and where its tasks come from.

    Args:
      tasks: the name of an environment, for training tasks without end; another name that `tasks_by_name` knows, for
        those tasks; a source, or one task.
      env: the environment. It may be left out where `tasks` is a name.

    Raises:
      ConfigError: a name that there is not, a source without an environment, or tasks for another environment.
    """
    source: TaskSource
    if isinstance(tasks, str):
        if tasks in environment_names():
            env = env or make(tasks)
            source = Universe(env.config, make_universe(tasks).config)
        else:
            collection = tasks_by_name(tasks).collect()
            env, source = env or collection.env, TaskSet(collection.tasks)
    elif isinstance(tasks, Task):
        source = TaskSet(jax.tree.map(lambda leaf: leaf[None], tasks))
    elif callable(getattr(tasks, "sample", None)):
        source = tasks
    else:
        raise ConfigError(f"tasks is {tasks!r}; write a name such as 'trivial', a task, or what has sample(key).")
    if env is None:
        raise ConfigError("Tasks without a name need their environment too: env=xworld.Env(config).")
    # A universe is checked by its configuration: to trace its sampler takes seconds.
    if isinstance(source, Universe):
        if source.env_config != env.config:
            raise ConfigError("The universe is for another EnvConfig. Write env=xworld.Env(universe.env_config).")
    else:
        check_tasks(env, jax.eval_shape(jax.vmap(source.sample), jax.random.split(jax.random.key(0), 1)))
    return env, source


def check_own_task(env: Env, task: Any) -> Task:
    """The task under "task" in options of `reset`; raises a `ConfigError` unless it is one for the environment."""
    if not isinstance(task, Task):
        raise ConfigError(f"options['task'] is a {type(task).__name__}; write a task, as xworld.tasks.parse gives it.")
    check_tasks(env, jax.tree.map(lambda leaf: leaf[None], task))
    return task


def check_action(name: str, action: Any) -> int:
    """The action as an int; raises a `ConfigError` unless it is one whole number from 0 to 6."""
    return check_whole(name, action.item() if isinstance(action, np.ndarray) and action.size == 1 else action, 0, 6)


def check_alone(env: Env, instead: str) -> None:
    """Raises a `ConfigError` for an environment of several agents; `instead` is the module that takes it."""
    if env.config.num_agents > 1:
        raise ConfigError(f"This environment is for {env.config.num_agents} agents; use {instead}, or num_agents=1.")


def start_where(make: Callable[[jax.Array, Any], Any]) -> Callable[[jax.Array, jax.Array, Any, Any], Any]:
    """A function (is_over, key, given, ended) that is `make(key, given)` where `is_over`, else `ended`.

    Under `vmap`, `make` runs only for those environments where `is_over`, a few at a time; a `jax.lax.cond` would
    become a selection, and make a new episode for every environment in every step.
    """

    @custom_vmap
    def start(is_over: jax.Array, key: jax.Array, given: Any, ended: Any) -> Any:
        return jax.lax.cond(is_over, lambda: make(key, given), lambda: ended)

    @start.def_vmap
    def start_many(size: int, is_batched: Any, *arguments: Any) -> tuple[Any, Any]:
        over_flag, key_flag, given_flags, ended_flags = is_batched
        is_over, keys, given, ended = arguments
        is_over, keys = _spread(is_over, over_flag, size), _spread(keys, key_flag, size)
        result = _start_some(make, is_over, keys, given, given_flags, _spread(ended, ended_flags, size))
        return result, jax.tree.map(lambda _: True, result)

    return start


def _spread(tree: Any, is_batched: Any, size: int) -> Any:
    """The tree with a leading axis of `size` also where a leaf has none yet."""
    return jax.tree.map(
        lambda leaf, flag: leaf if flag else jnp.broadcast_to(leaf, (size, *leaf.shape)), tree, is_batched
    )


def _start_some(
    make: Callable[[jax.Array, Any], Any], is_over: jax.Array, keys: jax.Array, given: Any, flags: Any, ended: Any
) -> Any:
    """`start_where` for a batch: a round for each few environments where it is over."""
    size = is_over.shape[0]
    at_once = min(_AT_ONCE, size)
    over = jnp.nonzero(is_over, size=-(-size // at_once) * at_once, fill_value=size)[0]
    axes = jax.tree.map(lambda flag: 0 if flag else None, flags)

    def make_some(carry: tuple[jax.Array, Any]) -> tuple[jax.Array, Any]:
        done, current = carry
        index = jax.lax.dynamic_slice_in_dim(over, done, at_once)
        read = jnp.minimum(index, size - 1)
        of_these = jax.tree.map(lambda leaf, flag: leaf[read] if flag else leaf, given, flags)
        fresh = jax.vmap(make, in_axes=(0, axes))(keys[read], of_these)
        return done + at_once, jax.tree.map(lambda old, new: old.at[index].set(new, mode="drop"), current, fresh)

    num_over = is_over.sum()
    return jax.lax.while_loop(lambda carry: carry[0] < num_over, make_some, (jnp.int32(0), ended))[1]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Batch:
    """States of a `VectorEnv`, and what the agents are told."""

    vector: VectorState
    briefing: Briefing  # [num_envs, ...] of the tasks that are played


@dataclass(frozen=True)
class Batches:
    """A `VectorEnv` that prepares new tasks by itself."""

    vec: VectorEnv

    def start(self, key: jax.Array, tasks: TaskSource) -> tuple[Batch, VectorTimeStep]:
        """`VectorEnv.reset`."""
        vector, timestep = self.vec.reset(key, tasks)
        return Batch(vector, self.vec.briefings(vector)[0]), timestep

    def step(self, batch: Batch, actions: jax.Array, key: jax.Array, tasks: TaskSource) -> tuple[Batch, VectorTimeStep]:
        """`VectorEnv.step`, and before it `VectorEnv.refill` with `key` if a fourth of the prepared tasks are used.

        An environment whose episode ends twice before that plays the same task again.
        """
        ready = self._refill(batch.vector, key, tasks)
        vector, timestep = self.vec.step(ready, actions)

        def brief(carry: tuple[jax.Array, Briefing]) -> tuple[jax.Array, Briefing]:
            (is_over, current), task = jax.lax.optimization_barrier((carry, ready.prepared.task))
            following = jax.vmap(self.vec.env.briefing)(task)
            return jnp.zeros_like(is_over), jax.vmap(select)(is_over, following, current)

        briefing = jax.lax.while_loop(lambda carry: carry[0].any(), brief, (timestep.is_last, batch.briefing))[1]
        return Batch(vector, briefing), timestep

    def _refill(self, vector: VectorState, key: jax.Array, tasks: TaskSource) -> VectorState:
        enough = -(-self.vec.num_envs // _REFILL_SHARE)

        def replace(changed: tuple[State, Observation, jax.Array]) -> VectorState:
            prepared, observation, is_ready = changed
            return VectorState(vector.current, prepared, observation, is_ready)

        def refill(changed: tuple[State, Observation, jax.Array]) -> tuple[State, Observation, jax.Array]:
            new = self.vec.refill(replace(changed), key, tasks)
            return new.prepared, new.first_observation, new.is_ready

        # A loop that runs once at most, of what it changes: that is updated in place, where a branch would copy it.
        changed = vector.prepared, vector.first_observation, vector.is_ready
        return replace(jax.lax.while_loop(lambda changed: (~changed[2]).sum() >= enough, refill, changed))
