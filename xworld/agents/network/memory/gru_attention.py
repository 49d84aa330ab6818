"""A GRU with attention, as AdA's: what it reads from hidden states that were kept goes into its next step."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from xworld.agents.network.config import AgentConfig
from xworld.agents.network.linear import Linear
from xworld.agents.network.memory.gru import GRU, advance_once
from xworld.agents.network.memory.layers import Reader


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Shelf:
    """What a `GRUAttention` remembers."""

    hidden: jax.Array  # [..., M] float32, of the GRU
    read: jax.Array  # [..., M] float32, what was read at the last step
    activations: jax.Array  # [..., S, M] kept ones, a ring: the n-th of an episode lies in place n modulo S
    num_steps: jax.Array  # [...] int32, of this episode


class GRUAttention(nnx.Module):
    """A GRU whose step takes what the last one read, and whose output is what it is plus what it reads.

    It looks at normed hidden states: every `keep_every`-th of an episode is kept, from the next step on, until
    `num_kept` newer ones are. What is read goes back into the recurrence, so an unroll goes step by step. The
    activations that the unroll starts from are constants.
    """

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """It begins as a plain GRU: what is read starts at 0."""
        self.keep_every, self.num_kept = config.keep_every, config.num_kept
        self.gru = GRU(config, rngs)
        self.reader = Reader(config, rngs)
        size, dtype = config.memory_size, config.compute_dtype
        self.again = Linear(size, 3 * size, use_bias=False, dtype=dtype, rngs=rngs)

    @staticmethod
    def empty(config: AgentConfig, *batch: int) -> Shelf:
        """Nothing kept."""
        return Shelf(
            hidden=GRU.empty(config, *batch),
            read=GRU.empty(config, *batch),
            activations=jnp.zeros((*batch, config.num_kept, config.memory_size), config.compute_dtype),
            num_steps=jnp.zeros(batch, jnp.int32),
        )

    def unroll(self, memory: Shelf, inputs: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, Shelf]:
        """[T, ..., M] outputs and the memory after them, from [T, ..., E] inputs and [T, ...] bool."""
        length, *batch = is_reset.shape
        memory = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[len(batch) :]), memory)
        memory = Shelf(memory.hidden, memory.read, jax.lax.stop_gradient(memory.activations), memory.num_steps)
        prepared = self.gru.prepare(inputs).reshape(length, -1, 3 * memory.hidden.shape[-1])

        def advance(memory: Shelf, step: tuple[jax.Array, jax.Array]) -> tuple[Shelf, jax.Array]:
            return self._step(memory, *step)

        memory, outputs = jax.lax.scan(advance, memory, (prepared, is_reset.reshape(length, -1)), unroll=length == 1)
        restored = jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), memory)
        return outputs.reshape(length, *batch, -1), restored

    def attention(self, memory: Shelf, inputs: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Where one timestep looks: [..., 1, H, S] weights and [..., S] int32 how many steps back, in no order.

        The same arguments as of `unroll`, without the axis of time. What is not there has a weight of 0.
        """
        hidden, count = self._recur(memory, self.gru.prepare(inputs), is_reset)
        age = self._age(count)
        weights = self.reader.weights(
            self.reader.norm(hidden)[..., None, :], memory.activations, age[..., None, :]
        )  # [..., 1, H, S]
        number = (count // self.keep_every)[..., None] - 1 - age
        return weights, jnp.maximum(count[..., None] - (number + 1) * self.keep_every + 1, 0)

    def _step(self, memory: Shelf, prepared: jax.Array, is_reset: jax.Array) -> tuple[Shelf, jax.Array]:
        """One timestep of [N] episodes: the memory after it, and its [N, M] output."""
        hidden, count = self._recur(memory, prepared, is_reset)
        new = self.reader.norm(hidden)
        read = self.reader.read(new[:, None], memory.activations, self._age(count)[:, None])[:, 0].astype(jnp.float32)
        place = count // self.keep_every % self.num_kept
        is_kept = count % self.keep_every == self.keep_every - 1
        is_place = (jnp.arange(self.num_kept) == place[:, None]) & is_kept[:, None]
        activations = jnp.where(is_place[..., None], new[:, None], memory.activations)
        return Shelf(hidden, read, activations, count + 1), hidden + read

    def _recur(self, memory: Shelf, prepared: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[..., M] the hidden state after a timestep, and [...] how many steps of its episode came before it."""
        is_first = is_reset[..., None]
        kernel, bias = self.gru.weights()
        prepared = prepared + self.again(jnp.where(is_first, 0.0, memory.read)).astype(jnp.float32)
        hidden, _ = advance_once(kernel, bias, memory.hidden, prepared, is_first)
        return hidden, jnp.where(is_reset, 0, memory.num_steps)

    def _age(self, count: jax.Array) -> jax.Array:
        """[..., S] how many were kept after what lies in each place of the ring; -1: nothing of the episode."""
        num_kept = (count // self.keep_every)[..., None]
        age = (num_kept - 1 - jnp.arange(self.num_kept)) % self.num_kept
        return jnp.where(age < num_kept, age, -1)
