"""A GRU, and on top of it one layer of a transformer, which looks back at hidden states that were kept."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from xworld.agents.network.config import AgentConfig
from xworld.agents.network.memory.gru import GRU, count_steps
from xworld.agents.network.memory.layers import FeedForward, Reader


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Kept:
    """What a `GRUTransformer` remembers."""

    hidden: jax.Array  # [..., M] float32, of the GRU
    activations: jax.Array  # [..., S, M] kept ones, the newest last; of this episode if there were so many
    num_steps: jax.Array  # [...] int32, of this episode


class GRUTransformer(nnx.Module):
    """A GRU, whose hidden state one pre-norm layer of attention and of gated feed-forward adds to.

    It looks at normed hidden states: every `keep_every`-th of an episode is kept, from the next step on, until
    `num_kept` newer ones are. What is read does not go back into the recurrence, so an unroll reads for all steps at
    once. The activations that the unroll starts from are constants. It begins as a plain GRU: what the layer adds
    starts at 0.
    """

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """Each head reads whole activations."""
        self.keep_every, self.dtype = config.keep_every, config.compute_dtype
        self.gru = GRU(config, rngs)
        self.reader = Reader(config, rngs)
        self.feed_forward = FeedForward(config, nnx.initializers.zeros_init(), rngs)

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
        new = self.reader.norm(jnp.swapaxes(hidden, 0, 1))  # [N, T, M]
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

        read = self.reader.read(new, entries, age(jnp.arange(length), count))
        at_end = age(jnp.array([length]), num_steps[:, None])  # [N, 1, S + K]
        source = (at_end == num_kept - 1 - jnp.arange(num_kept)[:, None]).argmax(-1)  # [N, S]; any, where there is none
        activations = jnp.take_along_axis(entries, source[..., None], axis=1)
        values = hidden + jnp.swapaxes(read, 0, 1)
        outputs = (values + self.feed_forward(values)).reshape(length, *batch, -1)
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
        query, entries = self.reader.norm(hidden[0])[..., None, :], memory.activations
        weights = self.reader.weights(query, entries, jnp.where(is_there, age, -1)[..., None, :])  # [..., 1, H, S]
        return weights, jnp.maximum(count - (number + 1) * self.keep_every + 1, 0)
