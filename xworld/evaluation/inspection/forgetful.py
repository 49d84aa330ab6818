"""An agent that remembers its last trials only: what is its memory of the earlier ones worth?"""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from xworld.agents import Agent, Params, distribution
from xworld.core.types import Briefing, State, TimeStep


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Forgetful:
    """A trained agent whose memory begins anew: it knows of this trial and of the `num_trials` - 1 before it.

    It keeps that many memories. They are emptied in turn, one at the start of every trial, and the one that was emptied
    longest ago decides. With one it is `AgentPolicy` with `clear_memory_at_trials`.
    """

    params: Params
    agent: Agent = field(metadata={"static": True})
    num_trials: int = field(metadata={"static": True})

    def start(self, key: jax.Array, state: State, briefing: Briefing) -> tuple[jax.Array, tuple[Any, ...]]:
        """The encoded briefing and empty memories."""
        memories = tuple(self.agent.start_memory() for _ in range(self.num_trials))
        return self.agent.encode_briefing(self.params, briefing), memories

    def act(
        self, memory: tuple[jax.Array, tuple[Any, ...]], key: jax.Array, state: State, timestep: TimeStep
    ) -> tuple[tuple[jax.Array, tuple[Any, ...]], jax.Array]:
        """[A] actions, drawn by the logits."""
        told, memories = memory
        turn = timestep.observation.trial % self.num_trials
        is_reset = self.agent.is_reset(timestep)
        outputs = [
            self.agent.step(
                self.params,
                timestep.observation,
                told,
                one,
                is_reset | timestep.is_trial_first & (turn == number),
            )
            for number, one in enumerate(memories)
        ]
        logits = jnp.stack([output.logits for output in outputs])[(turn + 1) % self.num_trials]
        return (told, tuple(output.memory for output in outputs)), distribution.sample(key, logits)
