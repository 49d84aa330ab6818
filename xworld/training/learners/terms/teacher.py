"""`Teacher`: the student's policy is pulled towards a teacher's along the student's own history (kickstarting)."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from xworld.agents import Agent, Output, Params
from xworld.training.rollouts.rollout import Rollout, Steps, unroll


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Teacher:
    """weight * KL(teacher || student), with the weight falling linearly to 0 over a share of the run.

    The teacher sees what the student sees, and has a memory of its own. Memory and sizes may differ from the student's.
    Source: Schmitt et al. 2018, "Kickstarting deep reinforcement learning".
    """

    params: Params
    agent: Agent = field(metadata={"static": True})
    weight: float = field(default=1.0, metadata={"static": True})  # at the start of the run
    share: float = field(default=0.5, metadata={"static": True})  # of the run, after which the weight is 0
    name: str = field(default="teacher", metadata={"static": True})

    def init(self, key: jax.Array, output: Output) -> tuple[()]:
        """Nothing of its own is trained."""
        return ()

    def start(self, num_envs: int) -> Any:
        """The teacher's empty memory."""
        return self.agent.start_memory(num_envs)

    def follow(self, carry: Any, rollout: Rollout) -> tuple[Any, jax.Array]:
        """The teacher's memory after the rollout, and its logits [T, B, A, 7] along it."""
        output = unroll(self.agent, self.params, rollout, memory=carry)
        return output.memory, output.logits

    def loss(self, own: tuple[()], output: Output, steps: Steps, extra: jax.Array, progress: jax.Array) -> jax.Array:
        """[T, B, A] weighted divergences."""
        weight = self.weight * jnp.clip(1 - progress / self.share, 0, 1)
        return weight * divergence(extra, output.logits)


def divergence(logits: jax.Array, others: jax.Array) -> jax.Array:
    """[...] KL(p || q) of the distributions that [..., 7] logits and others stand for."""
    log_p, log_q = jax.nn.log_softmax(logits), jax.nn.log_softmax(others)
    return (jnp.exp(log_p) * (log_p - log_q)).sum(-1)
