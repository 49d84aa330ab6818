"""Gated DeltaNet as the agent's memory (Yang et al. 2025): a matrix of fixed size, and learning in parallel."""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from xworld.agents.network.config import AgentConfig
from xworld.agents.network.linear import Linear
from xworld.agents.network.memory import delta_rule
from xworld.agents.network.memory.layers import TAPS, Convolution, FeedForward


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class DeltaState:
    """What a `GatedDeltaNet` remembers. Zeros where there was nothing before, or another episode."""

    matrices: tuple[jax.Array, ...]  # for each layer [..., H, K, K] float32, values by key
    recent: tuple[jax.Array, ...]  # for each layer [..., 3, 3 D], of the last steps, for the convolution; newest last


class GatedDeltaNet(nnx.Module):
    """Pre-norm layers of the gated delta rule and of gated feed-forward (Shazeer 2020), then a norm.

    A step costs the same however long the episode is. It begins without a memory: what each layer adds starts at 0.
    """

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """Inputs are projected to the size of the layers."""
        self.input = Linear(config.input_size, config.memory_size, dtype=config.compute_dtype, rngs=rngs)
        self.layers = nnx.List([Layer(config, rngs) for _ in range(config.num_layers)])
        self.norm = nnx.LayerNorm(config.memory_size, dtype=jnp.float32, rngs=rngs)

    @staticmethod
    def empty(config: AgentConfig, *batch: int) -> DeltaState:
        """Nothing stored."""
        head_size = config.memory_size // config.num_heads
        matrix = jnp.zeros((*batch, config.num_heads, head_size, head_size), jnp.float32)
        recent = jnp.zeros((*batch, TAPS - 1, 3 * config.memory_size), config.compute_dtype)
        return DeltaState((matrix,) * config.num_layers, (recent,) * config.num_layers)

    def unroll(self, memory: DeltaState, inputs: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, DeltaState]:
        """[T, ..., D] outputs and the memory after them, from [T, ..., E] inputs and [T, ...] bool."""
        length, *batch = is_reset.shape
        memory = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[len(batch) :]), memory)
        inputs, is_reset = inputs.reshape(length, -1, inputs.shape[-1]), is_reset.reshape(length, -1)
        # float32 whatever is computed in: what a layer adds is small beside what it is added to.
        values = self.input(inputs).astype(jnp.float32)
        matrices, recent = [], []
        for layer, matrix, last in zip(self.layers, memory.matrices, memory.recent, strict=True):
            values, matrix, last = layer(values, matrix, last, is_reset)
            matrices.append(matrix)
            recent.append(last)
        memory = DeltaState(tuple(matrices), tuple(recent))
        outputs = self.norm(values).reshape(length, *batch, -1)
        return outputs, jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), memory)


class Layer(nnx.Module):
    """One layer: the gated delta rule, then feed-forward, each added to what comes in."""

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """Of width D = `memory_size`, in H heads of K = D / H numbers."""
        size, self.num_heads = config.memory_size, config.num_heads
        linear = functools.partial(Linear, dtype=config.compute_dtype, rngs=rngs)
        zeros = nnx.initializers.zeros_init()
        self.rule_norm = nnx.LayerNorm(size, dtype=jnp.float32, rngs=rngs)
        self.query_key_value = linear(size, 3 * size, use_bias=False)
        limit = TAPS**-0.5
        kernel = jax.random.uniform(rngs.params(), (TAPS, 3 * size), jnp.float32, -limit, limit)
        self.convolution = Convolution(kernel)
        self.decay = Linear(size, self.num_heads, bias_init=nnx.initializers.constant(4.0), rngs=rngs)
        self.strength = Linear(size, self.num_heads, rngs=rngs)
        self.gate = linear(size, size, use_bias=False)
        self.read_norm = nnx.RMSNorm(size // self.num_heads, dtype=jnp.float32, rngs=rngs)
        self.output = linear(size, size, use_bias=False, kernel_init=zeros)
        self.feed_forward = FeedForward(config, zeros, rngs)

    def __call__(
        self, values: jax.Array, matrix: jax.Array, recent: jax.Array, is_reset: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """[T, N, D] float32 values after the layer, and its share of the memory after them: [N, H, K, K], [N, 3, 3 D].

        Args:
          values: [T, N, D] float32.
          matrix: [N, H, K, K] float32.
          recent: [N, 3, 3 D].
          is_reset: [T, N] bool.
        """
        normed = self.rule_norm(values)
        mixed, recent = self.convolution(self.query_key_value(normed), recent, is_reset)
        query, key, value = (self._heads(part) for part in jnp.split(jax.nn.silu(mixed), 3, axis=-1))
        steps = delta_rule.Steps(
            query=_normalised(query),
            key=_normalised(key),
            value=value,
            log_decay=jax.nn.log_sigmoid(self.decay(normed)),
            strength=2 * jax.nn.sigmoid(self.strength(normed)),
            is_reset=is_reset,
        )
        if len(values) == 1:
            read, matrix = delta_rule.advance_once(matrix, jax.tree.map(lambda leaf: leaf[0], steps))
        else:
            read, matrix = delta_rule.unroll(matrix, steps)
        read = self.read_norm(read).reshape(values.shape) * jax.nn.silu(self.gate(normed))
        values = values + self.output(read)
        return values + self.feed_forward(values), matrix, recent

    def _heads(self, values: jax.Array) -> jax.Array:
        """[T, N, H, K] from [T, N, D]."""
        return values.reshape(*values.shape[:-1], self.num_heads, -1)


def _normalised(vectors: jax.Array) -> jax.Array:
    """[..., K] vectors of length 1, or shorter if there is almost nothing of them."""
    return vectors * jax.lax.rsqrt(jnp.square(vectors).sum(-1, keepdims=True) + 1e-6)
