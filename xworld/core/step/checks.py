"""Checks of what comes into the simulator, by its shapes: these are known when it is traced, so a step pays nothing."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.errors import ConfigError
from xworld.core.config import EnvConfig
from xworld.core.step.actions import NOOP, NUM_ACTIONS
from xworld.core.types import Task

T = TypeVar("T")


def as_actions(actions: Any, shape: tuple[int, ...], axes: str) -> jax.Array:
    """The actions as an array of integers, in which those outside 0-6 are outside it still.

    Args:
      actions: an array of any kind, or a list.
      shape: that they have to have.
      axes: what the shape means, for the message, such as "[A]".

    Raises:
      ConfigError: another shape, or no integers.
    """
    if not isinstance(actions, jax.Array):
        try:
            actions = np.asarray(actions)
        except ValueError:  # a list of lists that are not of one length
            raise ConfigError(f"The actions are {actions!r}; give integers of the shape {axes}.") from None
    is_integer = jnp.issubdtype(actions.dtype, jnp.integer)
    if actions.shape != shape or not is_integer:
        raise ConfigError(
            f"The actions are {actions.dtype}{list(actions.shape)}; give integers of the shape {axes}, which is "
            f"{list(shape)} here."
        )
    if isinstance(actions, np.ndarray) and actions.dtype.itemsize > 4:  # to cast 2^32 would make it 0
        actions = np.where((actions >= 0) & (actions < NUM_ACTIONS), actions, NOOP).astype(np.int32)
    return jnp.asarray(actions)


def check_task(config: EnvConfig, task: Task) -> None:
    """Makes sure that a task is for environments of `config`; batch axes may come last.

    Raises:
      ConfigError: its sizes are others.
    """
    height, width = task.terrain.shape[:2]
    several = task.goals.relation.shape[:1] if task.has_several_goals else ()
    clauses, literals = task.goals.relation.shape[len(several) + 1 :][:2]
    sizes = {
        "height": height,
        "width": width,
        "num_agents": task.agent_position.shape[0],
        "max_objects": task.object_kind.shape[0],
        "max_rules": task.rules.relation.shape[0],
        "max_doors": task.door_state.shape[0],
        "max_goals": several[0] if several else 1,
        "goal_clauses": clauses,
        "goal_literals": literals,
    }
    for name, size in sizes.items():
        if size != getattr(config, name):
            raise ConfigError(
                f"The task is for another environment: its {name} is {size}, EnvConfig.{name} is "
                f"{getattr(config, name)}. Make both with the same EnvConfig."
            )


def unshared(tree: T) -> T:
    """The same with buffers of its own, so that it can be donated; what is traced has no buffers yet."""
    return jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.core.Tracer) else jnp.array(leaf, copy=True), tree)
