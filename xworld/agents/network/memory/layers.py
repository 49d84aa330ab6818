"""Parts of memories: gated feed-forward, a convolution over the last steps, reading from states that were kept."""

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


class Reader(nnx.Module):
    """Attention of hidden states to hidden states that were kept, normed both, with a learned bias by their age."""

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """Each head reads whole activations. What is read starts at 0."""
        size, num_heads, dtype = config.memory_size, config.num_heads, config.compute_dtype
        self.num_heads, self.dtype = num_heads, dtype
        self.norm = nnx.LayerNorm(size, dtype=dtype, rngs=rngs)
        self.query = Linear(size, num_heads * size, use_bias=False, dtype=dtype, rngs=rngs)
        zeros = nnx.initializers.zeros_init()
        self.output = Linear(num_heads * size, size, dtype=dtype, kernel_init=zeros, rngs=rngs)
        self.age_bias = nnx.Param(jnp.zeros((config.num_kept, num_heads), jnp.float32))

    def read(self, hidden: jax.Array, entries: jax.Array, age: jax.Array) -> jax.Array:
        """[..., T, M] what normed hidden states read from the entries whose age is not negative."""
        weights = self.weights(hidden, entries, age)
        found = jnp.einsum("...thk,...km->...thm", weights.astype(self.dtype), entries)
        return self.output(found.reshape(*hidden.shape[:-1], -1))

    def weights(self, hidden: jax.Array, entries: jax.Array, age: jax.Array) -> jax.Array:
        """[..., T, H, K] float32 how much [..., T, M] hidden states look at [..., K, M] entries of [..., T, K] ages."""
        size = hidden.shape[-1]
        query = self.query(hidden).reshape(*hidden.shape[:-1], self.num_heads, size)
        scores = jnp.einsum("...thm,...km->...thk", query, entries, preferred_element_type=jnp.float32) * size**-0.5
        bias = jnp.take(self.age_bias[...], jnp.maximum(age, 0), axis=0)  # [..., T, K, H]
        scores = jnp.where((age >= 0)[..., None, :], scores + jnp.swapaxes(bias, -1, -2), -jnp.inf)
        nothing = jnp.zeros((*scores.shape[:-1], 1), scores.dtype)  # to read nothing is always possible
        return jax.nn.softmax(jnp.concatenate([scores, nothing], axis=-1), axis=-1)[..., :-1]
