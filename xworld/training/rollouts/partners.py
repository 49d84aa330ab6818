"""`Partners`: who plays the seats that the learner does not play."""

from typing import Any, Protocol

import jax

from xworld.core.types import Briefing, Observation


class Partners(Protocol):
    """Players of some of the agents in each environment. A pytree: their parameters are data.

    What they do is no step of the learner's: its `Steps.weight` is 0.
    """

    def start(self, num_envs: int) -> Any:
        """What they carry from step to step, arrays [num_envs, ...]: their memory, and who sits where."""
        ...

    def encode_briefing(self, briefing: Briefing) -> Any:
        """[B, ...] what they are told, from [B, ...] briefings; called once a rollout for this and the next task."""
        ...

    def act(
        self, carry: Any, keys: jax.Array, observation: Observation, told: Any, is_reset: jax.Array
    ) -> tuple[Any, jax.Array, jax.Array]:
        """One step.

        Args:
          carry: from `start` or the last step.
          keys: [B] random keys.
          observation: [B, ...], of all agents.
          told: from `encode_briefing`, of the tasks that are played.
          is_reset: [B] bool, whether an episode begins.

        Returns:
          The next carry, [B, A] int32 actions, and [B, A] bool, which seats are theirs.
        """
        ...
