"""A recording of random play in tiny rooms, and small agents that are run along it."""

import dataclasses
import functools
from dataclasses import dataclass

import jax
import numpy as np
from tiny_rooms import SMALL_AGENT as SMALL
from tiny_rooms import TinyRooms, env_config

from xworld import Briefing, Env, TimeStep, VectorEnv
from xworld.agents import Agent, Params
from xworld.core.step.actions import NUM_ACTIONS

LENGTH, BATCH = 20, 6
TRIAL, EPISODE = 4, 8  # steps; so episodes begin at steps 0, 8 and 16, and trials at every fourth
TASKS = TinyRooms(trial_length=TRIAL, num_trials=EPISODE // TRIAL)

# Episodes are longer than what is cached or kept, and neither they nor the recording are whole windows.
CONFIGS = {
    "gru": dataclasses.replace(SMALL, modulates_view=True),
    "gru_attention": dataclasses.replace(SMALL, memory="gru_attention", num_heads=2, num_kept=2, keep_every=2),
    "gru_txl": dataclasses.replace(
        SMALL, memory="gru_txl", num_heads=2, num_kept=2, keep_every=2, kept_size=6, feed_forward_size=32
    ),
    "transformer_xl": dataclasses.replace(
        SMALL,
        memory="transformer_xl",
        memory_size=16,
        feed_forward_size=32,
        num_heads=4,
        window=7,
        cache_size=5,
        kinds_to_memory=True,
    ),
    "gated_delta": dataclasses.replace(SMALL, memory="gated_delta", memory_size=16, feed_forward_size=32, num_heads=2),
}


@dataclass(frozen=True)
class Recording:
    timestep: TimeStep  # [T, B, ...] of random play
    briefing: Briefing  # [B, ...] of the first episode's tasks


def record() -> Recording:
    vec = VectorEnv(Env(env_config()), BATCH)

    def play(key: jax.Array) -> tuple[TimeStep, Briefing]:
        first = vec.reset(key, TASKS)

        def step(carry, key):
            after = vec.step(carry[0], jax.random.randint(key, (BATCH, 1), 0, NUM_ACTIONS))
            return after, carry[1]

        return jax.lax.scan(step, first, jax.random.split(key, LENGTH))[1], vec.briefings(first[0])[0]

    timestep, briefing = jax.jit(play)(jax.random.key(0))
    np.testing.assert_array_equal(timestep.is_first[:, 0], np.arange(LENGTH) % EPISODE == 0)
    np.testing.assert_array_equal(timestep.is_trial_first[:, 0], np.arange(LENGTH) % TRIAL == 0)
    return Recording(timestep, briefing)


@functools.partial(jax.jit, static_argnums=0)
def fresh_params(agent: Agent) -> Params:
    return agent.init(jax.random.key(0))


def rough_params(agent: Agent) -> Params:
    """Parameters that make every part of the network matter: fresh biases are 0 and the policy head is small."""
    draw = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: leaf + 0.3 * draw.normal(size=leaf.shape).astype(np.float32), fresh_params(agent))


@functools.partial(jax.jit, static_argnums=0)
def unroll(agent: Agent, params: Params, timestep: TimeStep, briefing: Briefing):
    told, is_reset = agent.encode_briefing(params, briefing), agent.is_reset(timestep)
    memory = agent.start_memory(is_reset.shape[1])
    output = agent.unroll(params, timestep.observation, told, memory, is_reset)
    return output.logits, output.value, output.memory


def with_observation(timestep: TimeStep, **changes: object) -> TimeStep:
    return dataclasses.replace(timestep, observation=dataclasses.replace(timestep.observation, **changes))


def steps_that_differ(one, other) -> list[int]:
    """The timesteps at which logits or values are not exactly the same."""
    differs = (one[0] != other[0]).any((1, 2, 3)) | (one[1] != other[1]).any((1, 2))
    return [int(index) for index in np.flatnonzero(differs)]
