"""The recurrence of the agent's memory: a GRU whose hidden state lives through an episode."""

import jax
import jax.numpy as jnp
from flax import nnx

from xworld.agents.config import AgentConfig


class GRU(nnx.Module):
    """A gated recurrent unit (Cho et al. 2014), the input's share computed apart from the recurrence.

    What it remembers is its hidden state, [..., M] float32, which is also its output: only products of matrices are
    computed in a shorter type, or small changes of the state would be lost.
    """

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """Orthogonal recurrent weights, zero biases."""
        size, dtype = config.memory_size, config.compute_dtype
        orthogonal = nnx.initializers.orthogonal()
        self.input = nnx.Linear(config.encoder_size, 3 * size, dtype=dtype, rngs=rngs)
        self.recurrent = nnx.Linear(size, 3 * size, kernel_init=orthogonal, dtype=dtype, rngs=rngs)

    @staticmethod
    def empty(config: AgentConfig, *batch: int) -> jax.Array:
        """[*batch, M] zeros."""
        return jnp.zeros((*batch, config.memory_size), jnp.float32)

    def unroll(self, memory: jax.Array, inputs: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[T, ..., M] hidden states and the last of them, from [T, ..., E] inputs and [T, ...] bool."""
        prepared = self.input(inputs)  # has no recurrence in it, so it is done for all steps at once

        def advance(memory: jax.Array, step: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            memory = self._advance(memory, *step)
            return memory, memory

        memory, outputs = jax.lax.scan(advance, memory, (prepared, is_reset), unroll=inputs.shape[0] == 1)
        return outputs, memory

    def _advance(self, memory: jax.Array, prepared: jax.Array, is_reset: jax.Array) -> jax.Array:
        """The next hidden state; where [...] `is_reset`, the last is forgotten first."""
        memory = jnp.where(is_reset[..., None], 0.0, memory)
        reset_in, update_in, new_in = jnp.split(prepared.astype(jnp.float32), 3, axis=-1)
        recurrent = self.recurrent(memory).astype(jnp.float32)
        reset_memory, update_memory, new_memory = jnp.split(recurrent, 3, axis=-1)
        reset, update = jax.nn.sigmoid(reset_in + reset_memory), jax.nn.sigmoid(update_in + update_memory)
        new = jnp.tanh(new_in + reset * new_memory)
        return (1 - update) * new + update * memory


def count_steps(num_steps: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, jax.Array]:
    """How many steps of its episode came before each timestep, and before the one after the last.

    Args:
      num_steps: [...] int32, before the first timestep, if that is of the same episode.
      is_reset: [..., T] bool, whether an episode begins with a timestep.

    Returns:
      [..., T] and [...] int32.
    """
    time = jnp.arange(is_reset.shape[-1], dtype=jnp.int32)
    begin = jax.lax.cummax(jnp.where(is_reset, time, -1), axis=is_reset.ndim - 1)  # of the episode, -1 if before
    count = jnp.where(begin < 0, num_steps[..., None] + time, time - begin)
    return count, count[..., -1] + 1
