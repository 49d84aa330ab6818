"""The agent's memory: a GRU whose hidden state lives through an episode and is passed in and out."""

import jax
import jax.numpy as jnp
from flax import nnx


class GRU(nnx.Module):
    """A gated recurrent unit (Cho et al. 2014), the input's share computed apart from the recurrence.

    `prepare` has no recurrence in it, so an unroll does it for all steps at once and scans over `advance` alone.
    """

    def __init__(self, input_size: int, memory_size: int, rngs: nnx.Rngs):
        """Orthogonal recurrent weights, zero biases."""
        self.memory_size = memory_size
        self.input = nnx.Linear(input_size, 3 * memory_size, rngs=rngs)
        self.recurrent = nnx.Linear(memory_size, 3 * memory_size, kernel_init=nnx.initializers.orthogonal(), rngs=rngs)

    def prepare(self, inputs: jax.Array) -> jax.Array:
        """[..., 3 * memory_size] the input's share of the gates, from [..., input_size]."""
        return self.input(inputs)

    def advance(self, memory: jax.Array, prepared: jax.Array, is_reset: jax.Array) -> jax.Array:
        """The next memory [..., memory_size]; where [...] `is_reset`, what was in it is forgotten first."""
        memory = jnp.where(is_reset[..., None], 0.0, memory)
        reset_in, update_in, new_in = jnp.split(prepared, 3, axis=-1)
        reset_memory, update_memory, new_memory = jnp.split(self.recurrent(memory), 3, axis=-1)
        reset, update = jax.nn.sigmoid(reset_in + reset_memory), jax.nn.sigmoid(update_in + update_memory)
        new = jnp.tanh(new_in + reset * new_memory)
        return (1 - update) * new + update * memory
