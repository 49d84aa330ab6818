"""A Transformer-XL as the agent's memory: attention over this episode's last activations (Dai et al. 2019)."""

import functools
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from xworld.agents.config import AgentConfig
from xworld.agents.recurrence import count_steps


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Cache:
    """What a `TransformerXL` remembers: rings, so that a step of acting writes one place of each and copies nothing."""

    activations: tuple[jax.Array, ...]  # for each layer [..., C, D], what it attended to in the last C steps
    oldest: jax.Array  # [...] int32, the place of the oldest of them, which the next step takes
    num_steps: jax.Array  # [...] int32, of this episode


class TransformerXL(nnx.Module):
    """Pre-norm layers of attention, with relative positions, and of gated feed-forward (Shazeer 2020).

    A timestep attends to itself and to the `cache_size` timesteps before it, as far as they are of its episode. An
    unroll goes in segments of `window` timesteps; what one is given from before it starts is constant.
    """

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """Inputs are projected to the size of the layers."""
        self.window, self.cache_size = config.window, config.cache_size
        self.input = nnx.Linear(config.encoder_size, config.memory_size, dtype=config.compute_dtype, rngs=rngs)
        self.layers = nnx.List([Layer(config, rngs) for _ in range(config.num_layers)])
        self.norm = nnx.LayerNorm(config.memory_size, dtype=jnp.float32, rngs=rngs)

    @staticmethod
    def empty(config: AgentConfig, *batch: int) -> Cache:
        """Nothing cached."""
        layer = jnp.zeros((*batch, config.cache_size, config.memory_size), config.compute_dtype)
        none = jnp.zeros(batch, jnp.int32)
        return Cache(activations=(layer,) * config.num_layers, oldest=none, num_steps=none)

    def unroll(self, memory: Cache, inputs: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, Cache]:
        """[T, ..., D] outputs and the memory after them, from [T, ..., E] inputs and [T, ...] bool."""
        values, is_reset = jnp.moveaxis(self.input(inputs), 0, -2), jnp.moveaxis(is_reset, 0, -1)
        outputs = []
        for start in range(0, values.shape[-2], self.window):
            segment = slice(start, start + self.window)
            output, memory = self._unroll_segment(memory, values[..., segment, :], is_reset[..., segment])
            outputs.append(output)
        return jnp.moveaxis(jnp.concatenate(outputs, axis=-2), -2, 0), memory

    def _unroll_segment(self, memory: Cache, values: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, Cache]:
        """[..., T, D] outputs of a segment."""
        count, num_steps = count_steps(memory.num_steps, is_reset)
        length, cache_size = values.shape[-2], self.cache_size
        cached, oldest = jax.lax.stop_gradient(memory.activations), memory.oldest
        if length > 1:
            cached, oldest = tuple(_roll(layer, -oldest, axis=-2) for layer in cached), jnp.zeros_like(oldest)
        # Keys are the cached timesteps, the oldest first, and then the segment's own.
        distance = cache_size + np.arange(length)[:, None] - np.arange(cache_size + length)  # [T, C + T]
        in_reach = jnp.asarray((distance >= 0) & (distance <= cache_size))
        is_visible = in_reach & (distance <= count[..., None])  # [..., T, C + T]
        after = []
        for layer, activations in zip(self.layers, cached, strict=True):
            values, attended = layer(values, activations, oldest, is_visible)
            after.append(_append(activations, attended, oldest))
        oldest = (oldest + length) % cache_size if length == 1 else oldest
        return self.norm(values), Cache(tuple(after), oldest, num_steps)


class Layer(nnx.Module):
    """One layer: attention, then feed-forward, each added to what comes in."""

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """Of width D = `memory_size`. What is added starts small, so that deep stacks start near the identity."""
        size, self.dtype = config.memory_size, config.compute_dtype
        self.num_heads, self.head_size = config.num_heads, size // config.num_heads
        small = nnx.initializers.variance_scaling(1 / (2 * config.num_layers), "fan_in", "truncated_normal")
        linear = functools.partial(nnx.Linear, dtype=self.dtype, rngs=rngs)
        norm = functools.partial(nnx.LayerNorm, size, dtype=self.dtype, rngs=rngs)  # statistics are float32
        self.attention_norm = norm()
        self.query = linear(size, size, use_bias=False)
        self.key = linear(size, size, use_bias=False)
        self.value = linear(size, size, use_bias=False)
        self.attention_output = linear(size, size, use_bias=False, kernel_init=small)
        self.content_bias = nnx.Param(jnp.zeros((self.num_heads, self.head_size)))
        self.position_bias = nnx.Param(jnp.zeros((self.num_heads, self.head_size)))
        # A gate halves what an ungated layer of this width could hold, so two thirds of it have as many parameters.
        hidden = 2 * config.feed_forward_size // 3
        self.feed_forward_norm = norm()
        self.gate = linear(size, hidden)
        self.up = linear(size, hidden)
        self.down = linear(hidden, size, kernel_init=small)

    def __call__(
        self, values: jax.Array, cached: jax.Array, oldest: jax.Array, is_visible: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """[..., T, D] values after the layer, and as many that were attended to beside the cached ones.

        Args:
          values: [..., T, D].
          cached: [..., C, D], a ring of what was attended to at the timesteps before.
          oldest: [...] where it begins; 0 if there are several timesteps.
          is_visible: [..., T, C + T] bool, which of them each timestep may attend to, the oldest first.
        """
        attended = self.attention_norm(values)
        values = values + self.attention_output(self._attend(attended, cached, oldest, is_visible))
        normed = self.feed_forward_norm(values)
        return values + self.down(jax.nn.gelu(self.gate(normed)) * self.up(normed)), attended

    def _attend(self, normed: jax.Array, cached: jax.Array, oldest: jax.Array, is_visible: jax.Array) -> jax.Array:
        """[..., T, D] what was found, heads side by side."""
        in_float32 = functools.partial(jnp.einsum, preferred_element_type=jnp.float32)
        query = self._heads(self.query(normed))  # [..., T, H, K]
        length, cache_size = query.shape[-3], cached.shape[-2]
        for_content = query + self.content_bias[...].astype(self.dtype)
        for_position = query + self.position_bias[...].astype(self.dtype)
        # Few queries: they are taken to the keys' space, instead of projecting all that is cached again.
        is_short = length <= self.head_size
        key_kernel, value_kernel = (
            linear.kernel[...].astype(self.dtype).reshape(-1, self.num_heads, self.head_size)
            for linear in (self.key, self.value)
        )
        positions = jnp.asarray(_sinusoids(cache_size, self.head_size), self.dtype)  # of distances C to 0
        by_place = _skew(in_float32("...thk,ck->...htc", for_position, positions))
        by_place = jnp.where(is_visible[..., None, :, :], by_place, -jnp.inf)
        if length == 1:  # what is cached stays where it is
            by_place = _roll_first(by_place, oldest, cache_size)
        if is_short:
            in_key_space = jnp.einsum("...thk,dhk->...thd", for_content, key_kernel)
            by_content = [in_float32("...thd,...sd->...hts", in_key_space, keys) for keys in (cached, normed)]
        else:
            keys = jnp.concatenate([cached, normed], axis=-2)
            by_content = [in_float32("...thk,...shk->...hts", for_content, self._heads(self.key(keys)))]
        scores = (jnp.concatenate(by_content, axis=-1) + by_place) * self.head_size**-0.5
        weights = jax.nn.softmax(scores, axis=-1).astype(self.dtype)
        if is_short:
            parts = weights[..., :cache_size], weights[..., cache_size:]
            old, own = (
                jnp.einsum("...hts,...sd->...thd", part, keys)
                for part, keys in zip(parts, (cached, normed), strict=True)
            )
            found = jnp.einsum("...thd,dhk->...thk", old + own, value_kernel)
        else:
            found = jnp.einsum("...hts,...shk->...thk", weights, self._heads(self.value(keys)))
        return found.reshape(*found.shape[:-2], -1)

    def _heads(self, values: jax.Array) -> jax.Array:
        """[..., H, K] from [..., D]."""
        return values.reshape(*values.shape[:-1], self.num_heads, self.head_size)


def _append(ring: jax.Array, new: jax.Array, oldest: jax.Array) -> jax.Array:
    """[..., C, D] a ring with [..., T, D] more in place of the oldest; of several, it begins at 0 before and after."""
    if new.shape[-2] > 1:
        return jnp.concatenate([ring, new], axis=-2)[..., -ring.shape[-2] :, :]
    flat = ring.reshape(-1, *ring.shape[-2:])
    write = jax.vmap(functools.partial(jax.lax.dynamic_update_slice_in_dim, axis=0))
    return write(flat, new.reshape(-1, *new.shape[-2:]), oldest.reshape(-1)).reshape(ring.shape)


def _roll(values: jax.Array, shift: jax.Array, axis: int) -> jax.Array:
    """Values moved along an axis of length C by [...] places, the last ones to the front."""
    size = values.shape[axis]
    source = (jnp.arange(size) - shift[..., None]) % size  # [..., C]
    source = source.reshape(*shift.shape, *(1,) * (values.ndim - shift.ndim - 1), size)
    return jnp.take_along_axis(values, jnp.moveaxis(source, -1, axis), axis=axis)


def _roll_first(scores: jax.Array, shift: jax.Array, size: int) -> jax.Array:
    """[..., H, T, C + T] scores of which the first `size` are moved as in `_roll`."""
    return jnp.concatenate([_roll(scores[..., :size], shift, axis=-1), scores[..., size:]], axis=-1)


def _sinusoids(furthest: int, size: int) -> np.ndarray:
    """[furthest + 1, size] float32: the distances `furthest`, ..., 1, 0 as sines and cosines of several lengths."""
    wavelengths = np.geomspace(2 * math.pi, 4 * math.pi * (furthest + 1), -(-size // 2))
    angles = 2 * math.pi * np.arange(furthest, -1, -1)[:, None] / wavelengths
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)[:, :size].astype(np.float32)


def _skew(scores: jax.Array) -> jax.Array:
    """[..., T, C + T] scores of keys, from [..., T, C + 1] scores of distances C to 0; garbage out of reach.

    Row t moves t places to the right: padded, flattened, and cut into rows that are one place shorter.
    """
    *batch, length, num_distances = scores.shape
    num_keys = num_distances - 1 + length
    padded = jnp.pad(scores, [(0, 0)] * (len(batch) + 1) + [(0, length)])  # rows of num_keys + 1
    return padded.reshape(*batch, -1)[..., : length * num_keys].reshape(*batch, length, num_keys)
