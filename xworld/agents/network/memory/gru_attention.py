"""A GRU that looks back: attention over activations of its own, of which one in a few steps is kept."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from xworld.agents.network.config import AgentConfig
from xworld.agents.network.linear import Linear
from xworld.agents.network.memory.gru import GRU, count_steps


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Kept:
    """What a `GRUAttention` remembers."""

    hidden: jax.Array  # [..., M] float32, of the GRU
    activations: jax.Array  # [..., S, M] kept ones, the newest last; of this episode if there were so many
    num_steps: jax.Array  # [...] int32, of this episode


class GRUAttention(nnx.Module):
    """A GRU whose output is what it is plus what it reads from the hidden states it kept.

    Every `keep_every`-th hidden state of an episode is kept, from the next step on, until `num_kept` newer ones are.
    What is read does not go back into the recurrence, so an unroll reads for all steps at once. The activations that
    the unroll starts from are constants.
    """

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """Each head reads whole activations."""
        size, num_heads, dtype = config.memory_size, config.num_heads, config.compute_dtype
        self.num_heads, self.keep_every, self.dtype = num_heads, config.keep_every, dtype
        self.gru = GRU(config, rngs)
        self.query = Linear(size, num_heads * size, use_bias=False, dtype=dtype, rngs=rngs)
        self.output = Linear(num_heads * size, size, dtype=dtype, rngs=rngs)
        self.age_bias = nnx.Param(jnp.zeros((config.num_kept, num_heads), jnp.float32))

    @staticmethod
    def empty(config: AgentConfig, *batch: int) -> Kept:
        """Nothing kept."""
        return Kept(
            hidden=GRU.empty(config, *batch),
            activations=jnp.zeros((*batch, config.num_kept, config.memory_size), config.compute_dtype),
            num_steps=jnp.zeros(batch, jnp.int32),
        )

    def unroll(self, memory: Kept, inputs: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, Kept]:
        """[T, ..., M] outputs and the memory after them, from [T, ..., E] inputs and [T, ...] bool."""
        length, *batch = is_reset.shape
        # With one batch axis N: with more, XLA moves entries and scores around before it multiplies them.
        memory = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[len(batch) :]), memory)
        inputs, is_reset = inputs.reshape(length, -1, inputs.shape[-1]), is_reset.reshape(length, -1)
        hidden, last = self.gru.unroll(memory.hidden, inputs, is_reset)
        new = jnp.swapaxes(hidden, 0, 1).astype(self.dtype)  # [N, T, M]
        count, num_steps = count_steps(memory.num_steps, is_reset.T)  # [N, T], [N]
        num_kept = memory.activations.shape[1]

        # Of T new ones a few are kept, at the latest every `keep_every` steps.
        is_kept = count % self.keep_every == self.keep_every - 1
        nth = jnp.cumsum(is_kept, axis=1)[:, None] == 1 + jnp.arange(-(-length // self.keep_every))[:, None]
        nth &= is_kept[:, None]  # [N, K, T], whether it is the k-th kept one
        time = nth.argmax(axis=-1)  # [N, K]; any, where there is none
        kept = jnp.take_along_axis(new, time[..., None], axis=1)
        entries = jnp.concatenate([jax.lax.stop_gradient(memory.activations), kept], axis=1)  # [N, S + K, M]

        # In its episode every kept activation has a number. An entry of another episode, or one not kept, has none.
        count_then = jnp.take_along_axis(count, time, axis=1)
        old_number = (memory.num_steps // self.keep_every)[:, None] + jnp.arange(-num_kept, 0)
        number = jnp.concatenate(
            [old_number, jnp.where(nth.any(axis=-1), count_then // self.keep_every, -1)], axis=1
        )  # [N, S + K]
        began = jnp.concatenate([-memory.num_steps[:, None] + jnp.zeros_like(old_number), time - count_then], axis=1)

        def age(at: jax.Array, count: jax.Array) -> jax.Array:
            """[N, Q, S + K] how many were kept after each entry, at [Q] times; -1 where it cannot be read."""
            is_same = (at - count)[..., None] == began[:, None]  # the episode began at the same time
            age = (count // self.keep_every)[..., None] - 1 - number[:, None]
            is_there = is_same & (number >= 0)[:, None] & (age >= 0) & (age < num_kept)
            return jnp.where(is_there, age, -1)

        read = self._read(new, entries, age(jnp.arange(length), count))
        at_end = age(jnp.array([length]), num_steps[:, None])  # [N, 1, S + K]
        source = (at_end == num_kept - 1 - jnp.arange(num_kept)[:, None]).argmax(-1)  # [N, S]; any, where there is none
        activations = jnp.take_along_axis(entries, source[..., None], axis=1)
        outputs = (hidden + jnp.swapaxes(read, 0, 1)).reshape(length, *batch, -1)
        memory = Kept(last, activations, num_steps)
        return outputs, jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), memory)

    def attention(self, memory: Kept, inputs: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Where one timestep looks: [..., 1, H, S] weights and [..., S] int32 how many steps back, in no order.

        The same arguments as of `unroll`, without the axis of time. What is not there has a weight of 0.
        """
        hidden, _ = self.gru.unroll(memory.hidden, inputs[None], is_reset[None])
        count = jnp.where(is_reset, 0, memory.num_steps)[..., None]
        age = jnp.arange(memory.activations.shape[-2] - 1, -1, -1)  # the newest last
        number = count // self.keep_every - 1 - age
        is_there = (number >= 0) & ~is_reset[..., None]
        query, entries = hidden[0].astype(self.dtype)[..., None, :], memory.activations
        weights = self._weights(query, entries, jnp.where(is_there, age, -1)[..., None, :])  # [..., 1, H, S]
        return weights, jnp.maximum(count - (number + 1) * self.keep_every + 1, 0)

    def _read(self, hidden: jax.Array, entries: jax.Array, age: jax.Array) -> jax.Array:
        """[..., T, M] what hidden states read from the entries whose age is not negative."""
        weights = self._weights(hidden, entries, age)
        found = jnp.einsum("...thk,...km->...thm", weights.astype(self.dtype), entries)
        return self.output(found.reshape(*hidden.shape[:-1], -1))

    def _weights(self, hidden: jax.Array, entries: jax.Array, age: jax.Array) -> jax.Array:
        """[..., T, H, K] float32 how much [..., T, M] hidden states look at [..., K, M] entries of [..., T, K] ages."""
        size = hidden.shape[-1]
        query = self.query(hidden).reshape(*hidden.shape[:-1], self.num_heads, size)
        scores = jnp.einsum("...thm,...km->...thk", query, entries, preferred_element_type=jnp.float32) * size**-0.5
        bias = jnp.take(self.age_bias[...], jnp.maximum(age, 0), axis=0)  # [..., T, K, H]
        scores = jnp.where((age >= 0)[..., None, :], scores + jnp.swapaxes(bias, -1, -2), -jnp.inf)
        nothing = jnp.zeros((*scores.shape[:-1], 1), scores.dtype)  # to read nothing is always possible
        return jax.nn.softmax(jnp.concatenate([scores, nothing], axis=-1), axis=-1)[..., :-1]
