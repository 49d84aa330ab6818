"""Parts of memories: gated feed-forward, and a convolution over the last steps."""

import jax
import jax.numpy as jnp
from flax import nnx

from xworld.agents.network.config import AgentConfig
from xworld.agents.network.linear import Linear

TAPS = 4  # steps that a convolution sees, the present one included


class FeedForward(nnx.Module):
    """A pre-norm gated feed-forward layer (GEGLU, Shazeer 2020)."""

    def __init__(self, config: AgentConfig, output_init: nnx.Initializer, rngs: nnx.Rngs):
        """Of width `memory_size`. A gate halves what a layer of this width could hold, so two thirds are as large."""
        size, hidden, dtype = config.memory_size, 2 * config.feed_forward_size // 3, config.compute_dtype
        self.norm = nnx.LayerNorm(size, dtype=dtype, rngs=rngs)  # statistics are float32
        self.gate = Linear(size, hidden, dtype=dtype, rngs=rngs)
        self.up = Linear(size, hidden, dtype=dtype, rngs=rngs)
        self.down = Linear(hidden, size, dtype=dtype, kernel_init=output_init, rngs=rngs)

    def __call__(self, values: jax.Array) -> jax.Array:
        """[..., D] what is to be added to the values."""
        hidden = self.norm(values)
        return self.down(jax.nn.gelu(self.gate(hidden)) * self.up(hidden))


class Convolution(nnx.Module):
    """A depthwise convolution over an episode's last steps: each channel sees itself, now and three times before."""

    def __init__(self, kernel: jax.Array):
        """By a [TAPS, X] kernel to begin with, the present step's weights first."""
        self.kernel = nnx.Param(kernel)

    def __call__(self, inputs: jax.Array, recent: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[T, N, X] float32 sums and the last [N, 3, X] inputs, from [T, N, X] inputs, those before and [T, N] bool."""
        length, before = len(inputs), TAPS - 1
        inputs = jnp.concatenate([jnp.swapaxes(recent, 0, 1), inputs])
        episode = jnp.pad(jnp.cumsum(is_reset, axis=0), ((before, 0), (0, 0)))  # [3 + T, N] numbered
        total = jnp.zeros((), jnp.float32)
        for lag in range(TAPS):
            then = slice(before - lag, before - lag + length)
            is_same = (episode[then] == episode[before:])[..., None]
            total += jnp.where(is_same, inputs[then], 0) * self.kernel[lag]
        is_of_last = (episode[-before:] == episode[-1])[..., None]
        return total, jnp.swapaxes(jnp.where(is_of_last, inputs[-before:], 0), 0, 1)
