"""`Curriculum`: a task source to which flows back what became of its tasks.

A curriculum is arrays on the device: an archive of tasks with scores, running moments, a clock. It is part of the
carry of the compiled chunk, replicated on all devices, and saved with the run. In an update, after learning, it

- sees what was played where the agent is trained: `follow` on each device, `update` with what all devices saw;
- if it is `Searching`, has tasks of its choice (`propose`) tried out in environments of their own, and sees what became
  of these (`judge`). How many steps that takes is `RunConfig.search`, fixed before the run begins, so that
  `RunConfig.steps_per_update`, and with it every axis and the budget, has them.

Then environments whose next task was used draw a new one (`sample`).
"""

from typing import Any, Protocol, runtime_checkable

import jax

from xworld.core.types import Task
from xworld.training.rollouts.episodes import Episodes
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
          rollout: what was played. `Steps.weight` is 0 in seats that are not the learner's, and there only.
          signals: [T, B, A] each, what the learner says of each step (`Report.signals`).

        Returns:
          The next carry, and what was seen, arrays [B, ...].
        """
        ...

    def update(self, key: jax.Array, seen: Any) -> "Curriculum":
        """The curriculum after what was seen in all environments, arrays [num_envs, ...]; same shapes as before."""
        ...


@runtime_checkable
class Searching(Protocol):
    """What a curriculum has besides whose configuration asks for a `Search`."""

    def propose(self, key: jax.Array) -> Task:
        """A task to try out, for a JAX key."""
        ...

    def judge(self, key: jax.Array, tried: Episodes) -> "Curriculum":
        """The curriculum after what was tried out since the last update: arrays [search.num_envs, 2, ...].

        Environments of one row (`Search.num_episodes`) are in step: their episodes end together, in equal tasks.
        """
        ...


@runtime_checkable
class Telling(Protocol):
    """What a curriculum has besides that says how it stands: it becomes columns of the run's files."""

    def age(self, task_id: jax.Array) -> jax.Array:
        """[...] float32 for [..., 2] ids: updates since it found the task; 0 for a new one."""
        ...

    def metrics(self) -> dict[str, jax.Array]:
        """[] float32 each, by name; NaN where there is nothing to say."""
        ...


@runtime_checkable
class Keeping(Protocol):
    """What a curriculum has besides that keeps tasks: some of them are written to the run's folder as it goes."""

    def best(self, number: int) -> tuple[Task, jax.Array]:
        """[number, ...] tasks that it keeps, the first in line first; and [] int32, how many of them there are."""
        ...
