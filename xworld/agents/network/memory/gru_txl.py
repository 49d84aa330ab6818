"""A GRU, and on top of it one layer of a transformer, which looks back at hidden states that were kept."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from xworld.agents.network.config import AgentConfig
from xworld.agents.network.memory.gru import GRU
from xworld.agents.network.memory.layers import FeedForward
from xworld.agents.network.memory.reading import Reader, put


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Kept:
    """What a `GRUTransformer` remembers."""

    hidden: jax.Array  # [..., M] float32, of the GRU
    activations: jax.Array  # [..., S, Z] what is kept of some, a ring
    num_steps: jax.Array  # [...] int32, of this episode


class GRUTransformer(nnx.Module):
    """A GRU, whose hidden state one pre-norm layer of attention and of gated feed-forward adds to.

    It looks at normed hidden states: every `keep_every`-th of an episode is kept, or `kept_size` numbers made of it,
    from the next step on, until `num_kept` newer ones are. What is read does not go back into the recurrence, so an
    unroll reads for all steps at once. The activations that the unroll starts from are constants. It begins as a plain
    GRU: what the layer adds starts at 0.
    """

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """Each head reads whole activations."""
        self.gru = GRU(config, rngs)
        self.reader = Reader(config, rngs)
        self.feed_forward = FeedForward(config, nnx.initializers.zeros_init(), rngs)

    @staticmethod
    def empty(config: AgentConfig, *batch: int) -> Kept:
        """Nothing kept."""
        return Kept(
            hidden=GRU.empty(config, *batch),
            activations=jnp.zeros((*batch, config.num_kept, config.size_kept), config.compute_dtype),
            num_steps=jnp.zeros(batch, jnp.int32),
        )

    def unroll(self, memory: Kept, inputs: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, Kept]:
        """[T, ..., M] outputs and the memory after them, from [T, ..., E] inputs and [T, ...] bool."""
        length, *batch = is_reset.shape
        # With one batch axis N: with more, XLA moves entries and scores around before it multiplies them.
        memory = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[len(batch) :]), memory)
        inputs, is_reset = inputs.reshape(length, -1, inputs.shape[-1]), is_reset.reshape(length, -1)
        hidden, last = self.gru.unroll(memory.hidden, inputs, is_reset)
        new, plan = self.reader.norm(hidden), self.reader.timetable(memory.num_steps, is_reset.T)
        kept = self.reader.keep(new, plan.when_kept)
        # Where the ring is known to be empty when this is compiled, XLA's CPU code gave gradients that are NaN.
        old = jax.lax.optimization_barrier(jax.lax.stop_gradient(memory.activations))
        values = hidden + self.reader.read(new, (old, kept), plan.age)
        outputs = (values + self.feed_forward(values)).reshape(length, *batch, -1)
        memory = Kept(last, put(old, kept, plan.source), plan.num_steps)
        return outputs, jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), memory)

    def attention(self, memory: Kept, inputs: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Where one timestep looks: [..., 1, H, S] weights and [..., S] int32 how many steps back, in no order.

        The same arguments as of `unroll`, without the axis of time. What is not there has a weight of 0.
        """
        hidden, _ = self.gru.unroll(memory.hidden, inputs[None], is_reset[None])
        num_steps = jnp.where(is_reset, 0, memory.num_steps)
        return self.reader.attention(self.reader.norm(hidden[0]), memory.activations, num_steps)
