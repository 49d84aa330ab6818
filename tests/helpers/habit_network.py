"""A network of one's own, as little as can be: it does the same whatever it sees."""

from dataclasses import dataclass

import jax.numpy as jnp

from xworld.agents import Output


@dataclass(frozen=True)
class Habit:
    """Learns how likely each action is."""

    def init(self, key):
        return {"logits": jnp.zeros(7), "value": jnp.zeros(())}

    def start_memory(self, *batch):
        return jnp.zeros((*batch, 1, 1))

    def is_reset(self, timestep):
        return timestep.is_first

    def encode_briefing(self, params, briefing):
        return jnp.zeros((*briefing.agent_id.shape, 1))

    def step(self, params, observation, told, memory, is_reset):
        shape = observation.held.shape
        logits, value = jnp.broadcast_to(params["logits"], (*shape, 7)), jnp.broadcast_to(params["value"], shape)
        return Output(logits, value, jnp.zeros((*shape, 1)), memory)

    unroll = step


def make(env):
    return Habit()
