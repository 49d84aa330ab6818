"""`Curriculum`: a task source to which flows back what became of its tasks."""

from typing import Any, Protocol, runtime_checkable

import jax

from xworld.core.types import Task
from xworld.training.rollouts.rollout import Rollout


@runtime_checkable
class Curriculum(Protocol):
    """A source of tasks that changes with how it goes. A pytree: it may change at every update without a recompile.

    A task is known by its ids, [..., 2] int32 of world and game (`Steps.task_id`), never by the environment that
    happened to play it. Environments hold one prepared task each, so that a choice is played one episode later.
    """

    def sample(self, key: jax.Array) -> Task:
        """A task, for a JAX key."""
        ...

    def start(self, num_envs: int) -> Any:
        """What it carries along each environment from one rollout to the next: arrays [num_envs, ...]."""
        ...

    def is_learned_from(self, task_id: jax.Array) -> jax.Array:
        """[...] bool for [..., 2] ids: False where a task is only tried out."""
        ...

    def follow(self, carry: Any, rollout: Rollout, signals: dict[str, jax.Array]) -> tuple[Any, Any]:
        """Once a rollout, after learning, on each device's environments.

        Args:
          carry: from `start` or the last rollout.
          rollout: what was played.
          signals: [T, B, A] each, what the learner says of each step (`Report.signals`).

        Returns:
          The next carry, and what was seen, arrays [B, ...].
        """
        ...

    def update(self, key: jax.Array, seen: Any) -> "Curriculum":
        """The curriculum after what was seen in all environments, arrays [num_envs, ...]; same shapes as before."""
        ...
