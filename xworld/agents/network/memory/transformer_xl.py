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
from xworld.agents.network.memory.layers import TAPS, Convolution, FeedForward

_NEVER = -1e30  # added to the score of what cannot be looked at
_SLOPES = (0.0, 0.1, 0.5, 2.0)  # of heads: how much less they look back at first, times the logarithm of the distance
_SCALE = 0.1  # of what a layer adds, to begin with
_BLOCK = 48  # timesteps of an unroll that look back at once
_NUM_EXACT, _NUM_BUCKETS = 8, 16  # distances that are told apart, and groups of them in all


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Cache:
    """What a `TransformerXL` remembers: rings, so that a step of acting writes one place of each and copies nothing."""

    activations: tuple[jax.Array, ...]  # for each layer [..., C, D], what it looked at in the last C steps
    recent: tuple[jax.Array, ...]  # for each layer [..., 3, D], of the last steps, for the convolution; newest last
    oldest: jax.Array  # [...] int32, the place of the oldest of them, which the next step takes
    num_steps: jax.Array  # [...] int32, of this episode


_Look = Callable[[jax.Array], tuple[jax.Array, jax.Array]]  # what is found, and what is cached then
_Unrolled = tuple[jax.Array, Cache]  # [N, T, D] values, and what is remembered


class TransformerXL(nnx.Module):
    """Pre-norm layers of attention, with biases by distance, and of gated feed-forward (Shazeer 2020).

    A timestep looks at the last `cache_size` timesteps, itself among them, as far as they are of its episode. What it
    looks at and asks with is convolved over four steps. An unroll goes in segments of `window` timesteps; what one is
    given from before it starts is constant.
    """

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """Inputs are projected to the size of the layers."""
        self.cache_size = config.cache_size
        self.input = Linear(config.input_size, config.memory_size, dtype=config.compute_dtype, rngs=rngs)
        self.layers = nnx.List([Layer(config, rngs) for _ in range(config.num_layers)])
        self.norm = nnx.LayerNorm(config.memory_size, dtype=jnp.float32, rngs=rngs)

    @staticmethod
    def empty(config: AgentConfig, *batch: int) -> Cache:
        """Nothing cached."""
        layer, recent = (
            jnp.zeros((*batch, length, config.memory_size), config.compute_dtype)
            for length in (config.cache_size, TAPS - 1)
        )
        none = jnp.zeros(batch, jnp.int32)
        return Cache((layer,) * config.num_layers, (recent,) * config.num_layers, oldest=none, num_steps=none)

    def unroll(self, memory: Cache, inputs: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, Cache]:
        """[T, ..., D] outputs and the memory after them, from [T, ..., E] inputs and [T, ...] bool."""
        length, *batch = is_reset.shape
        # With one batch axis N: with more, XLA moves keys and scores around before it multiplies them.
        memory = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[len(batch) :]), memory)
        # float32 whatever is computed in: what a layer adds is small beside what it is added to.
        values = self.input(inputs.reshape(length, -1, inputs.shape[-1])).astype(jnp.float32)
        values = jnp.swapaxes(values, 0, 1)  # [N, T, D]
        advance = self._step if length == 1 else self._unroll
        values, memory = advance(memory, values, is_reset.reshape(length, -1).T)
        outputs = jnp.swapaxes(self.norm(values), 0, 1).reshape(length, *batch, -1)
        return outputs, jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), memory)

    def attention(self, memory: Cache, inputs: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Where one timestep looks: [..., L, H, C] weights and [..., C] int32 how many steps back, in no order.

        The same arguments as of `unroll`, without the axis of time.
        """
        batch = is_reset.shape
        memory = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[len(batch) :]), memory)
        values = self.input(inputs.reshape(-1, 1, inputs.shape[-1])).astype(jnp.float32)
        is_reset = is_reset.reshape(-1, 1)
        count, _ = count_steps(memory.num_steps, is_reset)
        distance = (memory.oldest[:, None] - np.arange(self.cache_size)) % self.cache_size
        of_layers = []
        for layer, ring, recent in zip(self.layers, memory.activations, memory.recent, strict=True):
            ring_of = {"ring": ring, "place": memory.oldest, "is_visible": distance <= count}
            prepared, _ = layer.prepare(values, recent, is_reset)
            of_layers.append(layer.weights_in_ring(prepared, **ring_of)[0])
            values, _, _ = layer(values, recent, is_reset, functools.partial(layer.look_into_ring, **ring_of))
        weights = jnp.stack(of_layers, axis=1).astype(jnp.float32)
        return weights.reshape(*batch, *weights.shape[1:]), distance.reshape(*batch, -1)

    def _step(self, memory: Cache, values: jax.Array, is_reset: jax.Array) -> _Unrolled:
        """One timestep: what is cached stays where it is, but for the oldest."""
        count, num_steps = count_steps(memory.num_steps, is_reset)
        place = memory.oldest
        distance = (place[:, None] - np.arange(self.cache_size)) % self.cache_size  # [N, C]
        rings, recent = [], []
        for layer, ring, last in zip(self.layers, memory.activations, memory.recent, strict=True):
            look = functools.partial(layer.look_into_ring, ring=ring, place=place, is_visible=distance <= count)
            values, ring, last = layer(values, last, is_reset, look)
            rings.append(ring)
            recent.append(last)
        return values, Cache(tuple(rings), tuple(recent), (place + 1) % self.cache_size, num_steps)

    def _unroll(self, memory: Cache, values: jax.Array, is_reset: jax.Array) -> _Unrolled:
        """Several timesteps. Afterwards the rings begin at 0."""
        count, num_steps = count_steps(memory.num_steps, is_reset)
        rings, recent = [], []
        for layer, ring, last in zip(
            self.layers, *jax.lax.stop_gradient((memory.activations, memory.recent)), strict=True
        ):
            look = functools.partial(layer.look_back, cached=_turn(ring, memory.oldest), count=count)
            values, ring, last = layer(values, last, is_reset, look)
            rings.append(ring)
            recent.append(last)
        return values, Cache(tuple(rings), tuple(recent), jnp.zeros_like(memory.oldest), num_steps)


class DistanceBias(nnx.Module):
    """What is added to the scores by how far back something is, for each head.

    Distances up to 7 have a number of their own; larger ones share theirs with others, on a logarithmic scale. Heads
    start with different slopes: some look at what is near, one in four, or the only one, at all alike.
    """

    def __init__(self, num_heads: int, num_distances: int):
        """For distances below `num_distances`."""
        self.num_distances = num_distances
        first = np.array([np.flatnonzero(self.bucket == bucket).min() for bucket in range(self.bucket.max() + 1)])
        slopes = np.array(_SLOPES)[np.arange(num_heads) * len(_SLOPES) // num_heads]
        self.table = nnx.Param(jnp.asarray(-np.log1p(first)[:, None] * slopes, jnp.float32))  # [buckets, H]

    @property
    def bucket(self) -> np.ndarray:
        """[distances] which number each has."""
        distance = np.arange(self.num_distances)
        octaves = np.log(max(self.num_distances, _NUM_EXACT + 1) / _NUM_EXACT)
        share = np.log(np.maximum(distance, _NUM_EXACT) / _NUM_EXACT) / octaves
        far = _NUM_EXACT + (share * (_NUM_BUCKETS - _NUM_EXACT)).astype(int)
        _, number = np.unique(np.where(distance < _NUM_EXACT, distance, far), return_inverse=True)
        return number

    def __call__(self, distance: jax.Array | np.ndarray) -> jax.Array:
        """[..., H] float32 of [...] distances in range."""
        return jnp.take(self.table[...], jnp.asarray(self.bucket)[distance], axis=0)


class Layer(nnx.Module):
    """One layer: attention, then feed-forward, each added to what comes in."""

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """Of width D = `memory_size`. What is added starts small, so that deep stacks start near the identity."""
        size, self.dtype = config.memory_size, config.compute_dtype
        self.num_heads, self.head_size = config.num_heads, size // config.num_heads
        self.window = config.window
        small = nnx.initializers.variance_scaling(1 / (2 * config.num_layers), "fan_in", "truncated_normal")
        linear = functools.partial(Linear, dtype=self.dtype, rngs=rngs)
        self.attention_norm = nnx.LayerNorm(size, dtype=self.dtype, rngs=rngs)  # statistics are float32
        self.query = linear(size, size)
        self.key = linear(size, size, use_bias=False)
        self.value = linear(size, size, use_bias=False)
        self.attention_output = linear(size, size, use_bias=False, kernel_init=small)
        # To begin with, half of the channels also see the step before.
        self.convolution = Convolution(jnp.zeros((TAPS, size), jnp.float32).at[0].set(1).at[1, : size // 2].set(0.5))
        self.distance_bias = DistanceBias(self.num_heads, config.cache_size)
        self.feed_forward = FeedForward(config, small, rngs)
        self.attention_scale, self.feed_forward_scale = (
            nnx.Param(jnp.full(size, _SCALE, jnp.float32)) for _ in range(2)
        )

    def prepare(self, values: jax.Array, recent: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[N, T, D] what is looked at and asked with, and the last [N, 3, D] of what that is made of."""
        normed, parts = jnp.swapaxes(self.attention_norm(values), 0, 1), []
        for start in range(0, len(normed), self.window):
            part, recent = slice(start, start + self.window), jax.lax.stop_gradient(recent)
            mixed, recent = self.convolution(normed[part], recent, is_reset.T[part])
            parts.append(mixed)
        return jnp.swapaxes(jnp.concatenate(parts), 0, 1).astype(self.dtype), recent

    def __call__(
        self, values: jax.Array, recent: jax.Array, is_reset: jax.Array, look: _Look
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """[N, T, D] values after the layer, and its share of the memory then: [N, C, D] and [N, 3, D].

        Args:
          values: [N, T, D] float32.
          recent: [N, 3, D], from before them.
          is_reset: [N, T] bool.
          look: `look_back` or `look_into_ring`, with what `prepare` gives.
        """
        prepared, recent = self.prepare(values, recent, is_reset)
        found, cached = look(prepared)
        values = values + self.attention_scale[...] * self.attention_output(found)
        return values + self.feed_forward_scale[...] * self.feed_forward(values), cached, recent

    def look_back(self, prepared: jax.Array, cached: jax.Array, count: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[N, T, D] what timesteps find in themselves and in those before, and the last [N, C, D] of all of them.

        What is before a timestep's window is a constant. A block of timesteps at a time is compared with what the first
        and the last of them can reach, which is less than all.

        Args:
          prepared: [N, T, D].
          cached: [N, C, D], of the timesteps before, the oldest first.
          count: [N, T] int32, how many steps of its episode came before each timestep.
        """
        num_cached, length = cached.shape[1], prepared.shape[1]
        entries = jnp.concatenate([cached, prepared], axis=1)
        last_window = (length - 1) // self.window * self.window
        before = self._keys_and_values(jax.lax.stop_gradient(entries[:, : num_cached + last_window]))
        within = self._keys_and_values(prepared)
        asked, found = self._heads(self.query(prepared)) * self.head_size**-0.5, []
        for window in range(0, length, self.window):
            for start in range(window, min(window + self.window, length), _BLOCK):
                end = min(start + _BLOCK, window + self.window, length)
                old, new = slice(start + 1, num_cached + window), slice(max(window, start + 1 - num_cached), end)
                keys, values = (
                    jnp.concatenate([early[:, old], late[:, new]], axis=1)
                    for early, late in zip(before, within, strict=True)
                )
                distance = num_cached - 1 + np.arange(end - start)[:, None] - np.arange(keys.shape[1])
                in_reach = jnp.asarray((distance >= 0) & (distance < num_cached))
                is_visible = in_reach & (distance <= count[:, start:end, None])
                found.append(self._attend(asked[:, start:end], keys, values, distance, is_visible))
        return jnp.concatenate(found, axis=1).reshape(prepared.shape), entries[:, -num_cached:]

    def _attend(
        self, asked: jax.Array, keys: jax.Array, values: jax.Array, distance: np.ndarray, is_visible: jax.Array
    ) -> jax.Array:
        """[N, T, H, K] what is found, by [N, T, H, K] queries in [N, S, H, K] keys and values at [T, S] distances."""
        distance = np.clip(distance, 0, self.distance_bias.num_distances - 1)
        scores = jnp.einsum("nthk,nshk->nhts", asked, keys, preferred_element_type=jnp.float32)
        scores += jnp.moveaxis(self.distance_bias(distance), -1, 0) + jnp.where(is_visible, 0, _NEVER)[:, None]
        weights = jnp.exp(scores - jax.lax.stop_gradient(scores.max(axis=-1, keepdims=True)))
        total = jnp.swapaxes(weights.sum(axis=-1), 1, 2)[..., None]
        found = jnp.einsum("nhts,nshk->nthk", weights.astype(self.dtype), values, preferred_element_type=jnp.float32)
        return (found / total).astype(self.dtype)  # fewer divisions than of the weights

    def _keys_and_values(self, entries: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[N, S, H, K] each, of [N, S, D]."""
        return self._heads(self.key(entries)), self._heads(self.value(entries))

    def look_into_ring(
        self, prepared: jax.Array, ring: jax.Array, place: jax.Array, is_visible: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """[N, 1, D] what one timestep finds, as by `look_back`, and the [N, C, D] ring with it in the oldest's place.

        Few ask, so they ask in the space of what is cached, and read there: that is less than to make keys and values.

        Args:
          prepared: [N, 1, D].
          ring: [N, C, D], of the timesteps before.
          place: [N] int32, of the oldest.
          is_visible: [N, C] bool, which places the timestep can look at, its own included.
        """
        weights, ring = self.weights_in_ring(prepared, ring, place, is_visible)
        found = jnp.einsum("nhc,ncd->nhd", weights, ring)
        return jnp.einsum("nhd,dhk->nhk", found, self._kernel_of(self.value)).reshape(prepared.shape), ring

    def weights_in_ring(
        self, prepared: jax.Array, ring: jax.Array, place: jax.Array, is_visible: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """[N, H, C] how much one timestep looks at each place, and the ring with it; arguments of `look_into_ring`."""
        in_float32 = functools.partial(jnp.einsum, preferred_element_type=jnp.float32)
        # Before anything is read, so that it is written in place.
        ring = jax.vmap(functools.partial(jax.lax.dynamic_update_slice_in_dim, axis=0))(ring, prepared, place)
        asked = self._heads(self.query(prepared[:, 0])) * self.head_size**-0.5
        asked = jnp.einsum("nhk,dhk->nhd", asked, self._kernel_of(self.key))
        distance = (place[:, None] - np.arange(ring.shape[1])) % ring.shape[1]
        scores = in_float32("nhd,ncd->nhc", asked, ring) + jnp.swapaxes(self.distance_bias(distance), 1, 2)
        return jax.nn.softmax(jnp.where(is_visible[:, None], scores, _NEVER)).astype(self.dtype), ring

    def _kernel_of(self, linear: nnx.Linear) -> jax.Array:
        """[D, H, K] in the type that is computed in."""
        return linear.kernel[...].astype(self.dtype).reshape(-1, self.num_heads, self.head_size)

    def _heads(self, values: jax.Array) -> jax.Array:
        """[..., H, K] from [..., D]."""
        return values.reshape(*values.shape[:-1], self.num_heads, self.head_size)


def _turn(ring: jax.Array, oldest: jax.Array) -> jax.Array:
    """[N, C, D] a ring from its oldest place on."""
    places = (oldest[:, None] + np.arange(ring.shape[1])) % ring.shape[1]
    return jnp.take_along_axis(ring, places[..., None], axis=1)
