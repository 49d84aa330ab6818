"""A Transformer-XL as the agent's memory: attention over this episode's last activations (Dai et al. 2019)."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from xworld.agents.network.config import AgentConfig
from xworld.agents.network.linear import Linear
from xworld.agents.network.memory.gru import count_steps
from xworld.agents.network.memory.layers import FeedForward

_NEVER = -1e30  # added to the score of what cannot be looked at


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Cache:
    """What a `TransformerXL` remembers: rings, so that a step of acting writes one place of each and copies nothing."""

    activations: tuple[jax.Array, ...]  # for each layer [..., C, D], what it looked at in the last C steps
    oldest: jax.Array  # [...] int32, the place of the oldest of them, which the next step takes
    num_steps: jax.Array  # [...] int32, of this episode


_Unrolled = tuple[jax.Array, tuple[jax.Array, ...], jax.Array]  # [N, T, D] values, rings, and where these begin


class TransformerXL(nnx.Module):
    """Pre-norm layers of attention, with relative positions, and of gated feed-forward (Shazeer 2020).

    A timestep looks at the last `cache_size` timesteps, itself among them, as far as they are of its episode. An unroll
    goes in segments of `window` timesteps; what one is given from before it starts is constant.
    """

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """Inputs are projected to the size of the layers."""
        self.window, self.cache_size = config.window, config.cache_size
        self.input = Linear(config.encoder_size, config.memory_size, dtype=config.compute_dtype, rngs=rngs)
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
        length, *batch = is_reset.shape
        # With one batch axis N: with more, XLA moves keys and scores around before it multiplies them.
        memory = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[len(batch) :]), memory)
        # float32 whatever is computed in: what a layer adds is small beside what it is added to.
        values = self.input(inputs.reshape(length, -1, inputs.shape[-1])).astype(jnp.float32)
        values = jnp.swapaxes(values, 0, 1)  # [N, T, D]
        count, num_steps = count_steps(memory.num_steps, is_reset.reshape(length, -1).T)
        advance = self._step if length == 1 else self._unroll_segments
        values, activations, oldest = advance(memory, values, count)
        outputs = jnp.swapaxes(self.norm(values), 0, 1).reshape(length, *batch, -1)
        memory = Cache(activations, oldest, num_steps)
        return outputs, jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), memory)

    def attention(self, memory: Cache, inputs: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Where one timestep looks: [..., L, H, C] weights and [..., C] int32 how many steps back, in no order.

        The same arguments as of `unroll`, without the axis of time.
        """
        batch = is_reset.shape
        memory = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[len(batch) :]), memory)
        values = self.input(inputs.reshape(-1, 1, inputs.shape[-1])).astype(jnp.float32)
        count, _ = count_steps(memory.num_steps, is_reset.reshape(-1, 1))
        distance = (memory.oldest[:, None] - np.arange(self.cache_size)) % self.cache_size
        of_layers = []
        for layer, ring in zip(self.layers, memory.activations, strict=True):
            ring_of = {"ring": ring, "place": memory.oldest, "is_visible": distance <= count}
            of_layers.append(layer.weights_in_ring(layer.attention_norm(values), **ring_of)[0])
            values, _ = layer(values, functools.partial(layer.look_into_ring, **ring_of))
        weights = jnp.stack(of_layers, axis=1).astype(jnp.float32)
        return weights.reshape(*batch, *weights.shape[1:]), distance.reshape(*batch, -1)

    def _step(self, memory: Cache, values: jax.Array, count: jax.Array) -> _Unrolled:
        """One timestep: what is cached stays where it is, but for the oldest."""
        place = memory.oldest
        distance = (place[:, None] - np.arange(self.cache_size)) % self.cache_size  # [N, C]
        rings = []
        for layer, ring in zip(self.layers, memory.activations, strict=True):
            look = functools.partial(layer.look_into_ring, ring=ring, place=place, is_visible=distance <= count)
            values, ring = layer(values, look)
            rings.append(ring)
        return values, tuple(rings), (place + 1) % self.cache_size

    def _unroll_segments(self, memory: Cache, values: jax.Array, count: jax.Array) -> _Unrolled:
        """Several timesteps. Afterwards the rings begin at 0."""
        cached = tuple(_turn(ring, memory.oldest) for ring in memory.activations)
        outputs = []
        for start in range(0, values.shape[1], self.window):
            segment, counted = values[:, start : start + self.window], count[:, start : start + self.window]
            length = segment.shape[1]
            distance = self.cache_size + np.arange(length)[:, None] - np.arange(self.cache_size + length)  # [T, C + T]
            in_reach = jnp.asarray((distance >= 0) & (distance < self.cache_size))
            is_visible = in_reach & (distance <= counted[..., None])
            after = []
            for layer, entries in zip(self.layers, jax.lax.stop_gradient(cached), strict=True):
                look = functools.partial(layer.look_back, cached=entries, is_visible=is_visible)
                segment, entries = layer(segment, look)
                after.append(entries)
            outputs.append(segment)
            cached = tuple(after)
        return jnp.concatenate(outputs, axis=1), cached, jnp.zeros_like(memory.oldest)


@dataclass(frozen=True)
class Waves:
    """How far back something is, told by sines and cosines of F frequencies.

    A distance d gets the score a sin(w d) + b cos(w d), added up over frequencies w, by numbers (a, b) that are asked.
    With d = t - s that is the pair (a, b) turned by the angle w t, times (sin(w s), cos(w s)): a product of what is
    asked at time t and what lies at time s, as scores of contents are.
    """

    num_distances: int  # that are told from each other
    head_size: int  # K, numbers that are asked

    @property
    def num_frequencies(self) -> int:
        """F, one for two numbers."""
        return -(-self.head_size // 2)

    def at(self, times: jax.Array | np.ndarray) -> jax.Array:
        """[..., 2 F] float32 sines, then cosines, at [...] times."""
        wavelengths = np.geomspace(2 * np.pi, 4 * np.pi * self.num_distances, self.num_frequencies)
        angles = jnp.asarray(times, jnp.float32)[..., None] * (2 * np.pi / wavelengths).astype(np.float32)
        return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)

    def ask(self, query: jax.Array, waves: jax.Array) -> jax.Array:
        """[..., H, 2 F] the pairs of [..., H, K] queries, turned by the [..., 2 F] waves at their time."""
        odd = 2 * self.num_frequencies - self.head_size  # the last number has no other to make a pair with
        a, b = jnp.split(jnp.pad(query, [(0, 0)] * (query.ndim - 1) + [(0, odd)]), 2, axis=-1)
        sine, cosine = jnp.split(waves[..., None, :], 2, axis=-1)
        return jnp.concatenate([b * sine - a * cosine, a * sine + b * cosine], axis=-1)


class Layer(nnx.Module):
    """One layer: attention, then feed-forward, each added to what comes in."""

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """Of width D = `memory_size`. What is added starts small, so that deep stacks start near the identity."""
        size, self.dtype = config.memory_size, config.compute_dtype
        self.num_heads, self.head_size = config.num_heads, size // config.num_heads
        self.waves = Waves(num_distances=config.cache_size, head_size=self.head_size)
        small = nnx.initializers.variance_scaling(1 / (2 * config.num_layers), "fan_in", "truncated_normal")
        linear = functools.partial(Linear, dtype=self.dtype, rngs=rngs)
        self.attention_norm = nnx.LayerNorm(size, dtype=self.dtype, rngs=rngs)  # statistics are float32
        self.query = linear(size, size, use_bias=False)
        self.key = linear(size, size, use_bias=False)
        self.value = linear(size, size, use_bias=False)
        self.attention_output = linear(size, size, use_bias=False, kernel_init=small)
        self.content_bias = nnx.Param(jnp.zeros((self.num_heads, self.head_size), jnp.float32))
        self.position_bias = nnx.Param(jnp.zeros((self.num_heads, self.head_size), jnp.float32))
        self.feed_forward = FeedForward(config, small, rngs)

    def __call__(
        self, values: jax.Array, look: Callable[[jax.Array], tuple[jax.Array, jax.Array]]
    ) -> tuple[jax.Array, jax.Array]:
        """[N, T, D] values after the layer, and [N, C, D] what is cached then.

        Args:
          values: [N, T, D] float32.
          look: `look_back` or `look_into_ring`, with normed values.
        """
        found, cached = look(self.attention_norm(values))
        return self.feed_forward(values + self.attention_output(found)), cached

    def look_back(self, normed: jax.Array, cached: jax.Array, is_visible: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[N, T, D] what timesteps find in themselves and in those before, and the last [N, C, D] of all of them.

        Args:
          normed: [N, T, D].
          cached: [N, C, D], of the timesteps before, the oldest first.
          is_visible: [N, T, C + T] bool, which of the cached ones, and then of these, each timestep can look at.
        """
        entries = jnp.concatenate([cached, normed], axis=1)
        keys, values = self._heads(self.key(entries)), self._heads(self.value(entries))  # [N, C + T, H, K]
        waves = self.waves.at(np.arange(entries.shape[1]))
        content, position = self._queries(normed)
        position = self.waves.ask(position, waves[cached.shape[1] :])
        # Products of matrices with both, so that the scores are made at once.
        asked = jnp.concatenate([content, position], axis=-1).astype(self.dtype)
        waves = jnp.broadcast_to(waves[:, None].astype(self.dtype), (*keys.shape[:-1], waves.shape[-1]))
        keys = jnp.concatenate([keys, waves], axis=-1)
        scores = jnp.einsum("nthk,nshk->nhts", asked, keys, preferred_element_type=jnp.float32)
        scores += jnp.where(is_visible, 0, _NEVER)[:, None]
        weights = jnp.exp(scores - jax.lax.stop_gradient(scores.max(axis=-1, keepdims=True)))
        total = jnp.swapaxes(weights.sum(axis=-1), 1, 2)[..., None]
        found = jnp.einsum("nhts,nshk->nthk", weights.astype(self.dtype), values, preferred_element_type=jnp.float32)
        found = (found / total).astype(self.dtype)  # fewer divisions than of the weights
        return found.reshape(normed.shape), entries[:, -cached.shape[1] :]

    def look_into_ring(
        self, normed: jax.Array, ring: jax.Array, place: jax.Array, is_visible: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """[N, 1, D] what one timestep finds, as by `look_back`, and the [N, C, D] ring with it in the oldest's place.

        Few ask, so they ask in the space of what is cached, and read there: that is less than to make keys and values.

        Args:
          normed: [N, 1, D].
          ring: [N, C, D], of the timesteps before.
          place: [N] int32, of the oldest.
          is_visible: [N, C] bool, which places the timestep can look at, its own included.
        """
        weights, ring = self.weights_in_ring(normed, ring, place, is_visible)
        found = jnp.einsum("nhc,ncd->nhd", weights, ring)
        return jnp.einsum("nhd,dhk->nhk", found, self._kernel_of(self.value)).reshape(normed.shape), ring

    def weights_in_ring(
        self, normed: jax.Array, ring: jax.Array, place: jax.Array, is_visible: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """[N, H, C] how much one timestep looks at each place, and the ring with it; arguments of `look_into_ring`."""
        in_float32 = functools.partial(jnp.einsum, preferred_element_type=jnp.float32)
        # Before anything is read, so that it is written in place.
        ring = jax.vmap(functools.partial(jax.lax.dynamic_update_slice_in_dim, axis=0))(ring, normed, place)
        places = np.arange(ring.shape[1])
        content, position = self._queries(normed[:, 0])  # [N, H, K]
        asked = jnp.einsum("nhk,dhk->nhd", content.astype(self.dtype), self._kernel_of(self.key))
        # Up to its own place the ring holds timesteps of this lap, and from there on those of the lap before.
        laps = self.waves.at(jnp.stack([place, place + len(places)], axis=1))  # [N, 2, 2 F]
        by_lap = jnp.einsum("nlhf,cf->nlhc", self.waves.ask(position[:, None], laps), self.waves.at(places))
        is_this_lap = (places <= place[:, None])[:, None]
        scores = in_float32("nhd,ncd->nhc", asked, ring) + jnp.where(is_this_lap, by_lap[:, 0], by_lap[:, 1])
        return jax.nn.softmax(jnp.where(is_visible[:, None], scores, _NEVER)).astype(self.dtype), ring

    def _kernel_of(self, linear: nnx.Linear) -> jax.Array:
        """[D, H, K] in the type that is computed in."""
        return linear.kernel[...].astype(self.dtype).reshape(-1, self.num_heads, self.head_size)

    def _queries(self, normed: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[..., H, K] float32 what is asked of contents and of positions, scaled."""
        query = self._heads(self.query(normed)).astype(jnp.float32)
        scale = self.head_size**-0.5
        return (query + self.content_bias[...]) * scale, (query + self.position_bias[...]) * scale

    def _heads(self, values: jax.Array) -> jax.Array:
        """[..., H, K] from [..., D]."""
        return values.reshape(*values.shape[:-1], self.num_heads, self.head_size)


def _turn(ring: jax.Array, oldest: jax.Array) -> jax.Array:
    """[N, C, D] a ring from its oldest place on."""
    places = (oldest[:, None] + np.arange(ring.shape[1])) % ring.shape[1]
    return jnp.take_along_axis(ring, places[..., None], axis=1)
