"""Attention to what an episode keeps of hidden states: where it lies, when each can be read, and how."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from xworld.agents.network.config import AgentConfig
from xworld.agents.network.linear import Linear
from xworld.agents.network.memory.gru import count_steps

Entries = tuple[jax.Array, ...]  # [N, ., Z] each, together E: what there is to look at


@dataclass(frozen=True)
class Timetable:
    """What an unroll of T steps can read, and keeps.

    Every `keep_every`-th activation of an episode is kept, to be read from the next step on, until S = `num_kept`
    newer ones are. The n-th of an episode lies in place n modulo S of the ring. T steps keep at most K, and read E
    entries: the ring's, then those that they keep, but for what only the last step may keep.
    """

    age: jax.Array  # [N, T, E] int32, how many were kept after each entry; -1: it cannot be read
    is_kept: jax.Array  # [N, T, K] bool, whether a step's activation is the k-th that the unroll keeps
    when_kept: jax.Array  # [N, K] int32, which step's that is; any step where the unroll keeps fewer
    source: jax.Array  # [N, S] int32, which of these a place holds afterwards; -1: what it held before
    num_steps: jax.Array  # [N] int32, of the episode, afterwards


class Reader(nnx.Module):
    """Attention of hidden states to what was kept of earlier ones, normed both, with a learned bias by their age.

    Z numbers of each are kept: all M, or `kept_size` that a linear layer makes of them (as the latent attention of
    DeepSeek-V2, arXiv 2405.04434), with which attention costs less.
    """

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """Each head reads all that is kept of a state. What is read starts at 0."""
        size, num_heads, dtype = config.memory_size, config.num_heads, config.compute_dtype
        kept_size = config.size_kept
        self.num_heads, self.num_kept, self.keep_every = num_heads, config.num_kept, config.keep_every
        self.norm = nnx.LayerNorm(size, dtype=dtype, rngs=rngs)
        self.shrink = Linear(size, kept_size, use_bias=False, dtype=dtype, rngs=rngs) if config.kept_size else None
        self.query = Linear(size, num_heads * kept_size, use_bias=False, dtype=dtype, rngs=rngs)
        zeros = nnx.initializers.zeros_init()
        self.output = Linear(num_heads * kept_size, size, dtype=dtype, kernel_init=zeros, rngs=rngs)
        self.age_bias = nnx.Param(jnp.zeros((config.num_kept, num_heads), jnp.float32))

    def keep(self, hidden: jax.Array, when: jax.Array) -> jax.Array:
        """[N, K, Z] what is kept of [T, N, M] normed hidden states, from the steps of the timetable's `when_kept`."""
        kept = jnp.take_along_axis(hidden, when.T[..., None], axis=0)
        return jnp.swapaxes(kept if self.shrink is None else self.shrink(kept), 0, 1)

    def read(self, hidden: jax.Array, entries: Entries, age: jax.Array) -> jax.Array:
        """[T, N, M] what normed hidden states read from the first E entries whose [N, T, E] age is not negative."""
        query = jnp.swapaxes(self.query(hidden), 0, 1)
        by_head = query.reshape(*query.shape[:-1], self.num_heads, -1)
        found = find(look(by_head, entries, self.bias(age)), entries)
        return self.output(jnp.swapaxes(found.reshape(query.shape), 0, 1))

    def bias(self, age: jax.Array) -> jax.Array:
        """[..., H, E] float32 what is added to the scores of entries of [..., E] ages; -inf where they are negative."""
        bias = jnp.take(self.age_bias[...], jnp.maximum(age, 0), axis=0)
        return jnp.where((age >= 0)[..., None, :], jnp.swapaxes(bias, -1, -2), -jnp.inf)

    def attention(self, hidden: jax.Array, ring: jax.Array, num_steps: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Where a step looks: [..., 1, H, S] weights and [..., S] int32 how many steps back, in no order.

        Of what is not there the weight is 0.

        Args:
          hidden: [..., M], normed.
          ring: [..., S, Z].
          num_steps: [...] int32, of the episode, before this one.
        """
        age = self._age(num_steps)
        query = self.query(hidden).reshape(-1, 1, self.num_heads, ring.shape[-1])
        bias = self.bias(age).reshape(-1, 1, self.num_heads, self.num_kept)
        weights = look(query, (ring.reshape(-1, *ring.shape[-2:]),), bias)
        number = (num_steps // self.keep_every)[..., None] - age  # of those up to the entry
        return weights.reshape(*age.shape[:-1], *weights.shape[1:]), num_steps[..., None] - number * self.keep_every + 1

    def timetable(self, num_steps: jax.Array, is_reset: jax.Array) -> Timetable:
        """From [N] steps of the episode before an unroll, and [N, T] bool, whether an episode begins with a step."""
        count, after = count_steps(num_steps, is_reset)
        length, num_kept, keep_every = is_reset.shape[1], self.num_kept, self.keep_every
        num_read, num_new = (-(-steps // keep_every) for steps in (length - 1, length))
        is_nth = count % keep_every == keep_every - 1
        nth = jnp.cumsum(is_nth, axis=1) - 1
        is_kept = is_nth[..., None] & (nth[..., None] == jnp.arange(num_new))  # [N, T, K]
        is_there, time = is_kept.any(axis=1), is_kept.argmax(axis=1)  # [N, K]; any time, where it is not there
        count_then = jnp.take_along_axis(count, time, axis=1)

        # In its episode, which began at a time, every entry has a number; one that was not kept has none.
        old_age = self._age(num_steps)
        old_number = jnp.where(old_age >= 0, (num_steps // keep_every - 1)[:, None] - old_age, -1)
        new_number = jnp.where(is_there, count_then // keep_every, -1)
        old_began = jnp.broadcast_to(-num_steps[:, None], old_age.shape)
        number = jnp.concatenate([old_number, new_number], axis=1)[:, None, : num_kept + num_read]
        began = jnp.concatenate([old_began, time - count_then], axis=1)[:, None, : num_kept + num_read]
        age = (count // keep_every)[..., None] - 1 - number
        is_same = (jnp.arange(length) - count)[..., None] == began
        can_be_read = is_same & (number >= 0) & (age >= 0) & (age < num_kept)

        is_at = is_there[:, None] & (new_number[:, None] % num_kept == jnp.arange(num_kept)[:, None])  # [N, S, K]
        source = jnp.where(is_at, jnp.arange(is_at.shape[-1]), -1).max(axis=-1)
        return Timetable(jnp.where(can_be_read, age, -1), is_kept, time, source, after)

    def _age(self, num_steps: jax.Array) -> jax.Array:
        """[..., S] how many were kept after what lies in each place, after so many steps; -1: nothing lies there."""
        num_kept = (num_steps // self.keep_every)[..., None]
        age = (num_kept - 1 - jnp.arange(self.num_kept)) % self.num_kept
        return jnp.where(age < num_kept, age, -1)


def put(ring: jax.Array, kept: jax.Array, source: jax.Array) -> jax.Array:
    """The [N, S, Z] ring after an unroll that kept [N, K, Z], by the timetable's `source`."""
    new = jnp.take_along_axis(kept, jnp.maximum(source, 0)[..., None], axis=1)
    return jnp.where((source >= 0)[..., None], new, ring)


def look(query: jax.Array, entries: Entries, bias: jax.Array) -> jax.Array:
    """[N, T, H, E] float32 how much each head's [N, T, H, Z] queries look at the first E entries, which all share.

    To look at nothing, with a score of 0, is always possible, so that the sum of a head's weights is at most 1.
    `bias`, [N, T, H, E] float32, is added to the scores.
    """
    # In this order a CPU multiplies fast, even if T is 1.
    parts = [
        jnp.einsum("nem,nthm->neth", one, query, preferred_element_type=jnp.float32)
        for one in _first(entries, bias.shape[-1])
    ]
    scores = jnp.concatenate([jnp.moveaxis(part, 1, -1) for part in parts], axis=-1) * query.shape[-1] ** -0.5 + bias
    most = jax.lax.stop_gradient(jnp.maximum(scores.max(axis=-1, keepdims=True), 0))
    shares = jnp.exp(scores - most)
    return shares / (shares.sum(axis=-1, keepdims=True) + jnp.exp(-most))


def find(weights: jax.Array, entries: Entries) -> jax.Array:
    """[N, T, H, Z] sums of the first E entries by [N, T, H, E] weights, in the entries' type."""
    found, first = jnp.zeros((), entries[0].dtype), 0
    for one in _first(entries, weights.shape[-1]):
        share = weights[..., first : first + one.shape[1]].astype(one.dtype)
        found, first = found + jnp.einsum("nthe,nem->nthm", share, one), first + one.shape[1]
    return found


def _first(entries: Entries, number: int) -> Entries:
    """The first of all, without what is empty."""
    first = []
    for one in entries:
        if number > 0:
            first.append(one[:, :number])
            number -= one.shape[1]
    return tuple(first)
