"""Minds: policies that play in the window, with what they make of what they see."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.xla.jit_key import jit_key
from xworld.core.env import Env
from xworld.core.types import State, TimeStep

if TYPE_CHECKING:  # its package needs much that the window does not
    from xworld.agents import Policy


@dataclass(frozen=True)
class Thought:
    """What a mind would do at a timestep, and why, as far as it says so."""

    actions: np.ndarray  # [A] of all agents, also of those that others play
    probabilities: np.ndarray | None  # [A, 7] of the actions
    values: np.ndarray | None  # [A] discounted returns it expects, as its training normalised them


@dataclass(frozen=True)
class Mind:
    """A policy with a name. It keeps nothing itself, so that a session can go back."""

    name: str
    policy: "Policy"

    def start(self, env: Env, state: State) -> Any:
        """What it remembers at the start of an episode."""
        return _start(env, jit_key(self.policy), self.policy, state)

    def think(self, memory: Any, number: int, state: State, timestep: TimeStep) -> tuple[Any, Thought]:
        """What it remembers after timestep `number` of the episode, and what it thinks of it. Its chance is fixed."""
        arguments = jit_key(self.policy), self.policy, memory, jnp.int32(number), state, timestep
        memory, actions, probabilities, values = _think(*arguments)
        return memory, Thought(*jax.device_get((actions, probabilities, values)))


@partial(jax.jit, static_argnums=(0, 1))
def _start(env: Env, _key: tuple[Any, ...], policy: "Policy", state: State) -> Any:
    return policy.start(jax.random.key(state.seed), state, env.briefing(state.task))


@partial(jax.jit, static_argnums=0)
def _think(
    _key: tuple[Any, ...], policy: "Policy", memory: Any, number: jax.Array, state: State, timestep: TimeStep
) -> tuple[Any, jax.Array, jax.Array | None, jax.Array | None]:
    key = jax.random.fold_in(jax.random.key(state.seed), number)
    decide = getattr(policy, "decide", None)  # of policies that weigh their actions
    if decide is None:
        return *policy.act(memory, key, state, timestep), None, None
    memory, actions, logits, values = decide(memory, key, state, timestep)
    return memory, actions, jax.nn.softmax(logits), values
