"""A GRU with attention, as AdA's: what it reads from hidden states that were kept goes into its next step."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from xworld.agents.network.config import AgentConfig
from xworld.agents.network.linear import Linear, kernel_gradient
from xworld.agents.network.memory.gru import GRU, gated
from xworld.agents.network.memory.reading import Entries, Reader, find, look, put


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Shelf:
    """What a `GRUAttention` remembers."""

    hidden: jax.Array  # [..., M] float32, of the GRU
    read: jax.Array  # [..., M] float32, what was read at the last step
    activations: jax.Array  # [..., S, M] kept ones, a ring
    num_steps: jax.Array  # [...] int32, of this episode


class GRUAttention(nnx.Module):
    """A GRU whose step takes what the last one read, and whose output is what it is plus what it reads.

    It looks at normed hidden states: every `keep_every`-th of an episode is kept, from the next step on, until
    `num_kept` newer ones are. What is read goes back into the recurrence, so an unroll goes step by step. The
    activations that the unroll starts from are constants.
    """

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """It begins as a plain GRU: what is read starts at 0."""
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
        is_reset = is_reset.reshape(length, -1)
        plan = self.reader.timetable(memory.num_steps, is_reset.T)
        steps = _Steps(
            prepared=self.gru.prepare(inputs).reshape(length, -1, 3 * memory.hidden.shape[-1]),
            is_first=is_reset[..., None],
            age_bias=self.reader.bias(jnp.swapaxes(plan.age, 0, 1)),
            is_kept=jnp.swapaxes(plan.is_kept, 0, 1),
        )
        old = jax.lax.stop_gradient(memory.activations)
        norm, norm_params = nnx.split(self.reader.norm)
        hidden, read, kept = _recur(norm, self._weights(norm_params), (memory.hidden, memory.read), old, steps)
        memory = Shelf(hidden[-1], read[-1], put(old, kept, plan.source), plan.num_steps)
        restored = jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), memory)
        return (hidden + read).reshape(length, *batch, -1), restored

    def attention(self, memory: Shelf, inputs: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Where one timestep looks: [..., 1, H, S] weights and [..., S] int32 how many steps back, in no order.

        The same arguments as of `unroll`, without the axis of time. What is not there has a weight of 0.
        """
        norm, norm_params = nnx.split(self.reader.norm)
        state, prepared = (memory.hidden, memory.read), self.gru.prepare(inputs)
        _, activation, _ = _move(norm, self._weights(norm_params), state, prepared, is_reset[..., None])
        num_steps = jnp.where(is_reset, 0, memory.num_steps)
        return self.reader.attention(activation, memory.activations, num_steps)

    def _weights(self, norm_params: Any) -> "_Weights":
        kernel, bias = self.gru.weights()
        layers = {"again": self.again, "query": self.reader.query, "output": self.reader.output}
        kernels = {name: layer.kernel[...].astype(kernel.dtype) for name, layer in layers.items()}
        assert self.reader.output.bias is not None
        biases = {"recurrent": bias, "query": jnp.zeros((), kernel.dtype), "output": self.reader.output.bias[...]}
        return _Weights({"recurrent": kernel, **kernels}, biases, norm_params)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Weights:
    kernels: dict[str, jax.Array]  # [I, O] each, in the type that products are computed in
    biases: dict[str, jax.Array]  # [O] or [N, O] each, or a scalar, of all but `again`
    norm: Any  # parameters

    def multiply(self, name: str, values: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The product of [..., I] values with the kernel of this name, and the values in its type."""
        given = values.astype(self.kernels[name].dtype)
        return given @ self.kernels[name], given


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Steps:
    prepared: jax.Array  # [T, N, 3 M] float32, the input's share of the gates
    is_first: jax.Array  # [T, N, 1] bool, whether what is remembered is forgotten first
    age_bias: jax.Array  # [T, N, H, S + K] float32, what the scores of old and new entries have more
    is_kept: jax.Array  # [T, N, K] bool, whether the step's activation becomes the k-th new entry


_State = tuple[jax.Array, jax.Array]  # [..., M] float32 the hidden state and what was read


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _recur(
    norm: Any, weights: _Weights, start: _State, old: jax.Array, steps: _Steps
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """[T, N, M] hidden states and what each step reads, and the [N, K, M] activations that are kept.

    Its gradient is written out. JAX's would store all entries once for each step, and add up each kernel's gradient
    step by step. But an entry, once made, stays as it is, and before that nothing looks at it: so all steps back may
    see the entries that there are in the end. And they end at what the layers give: a kernel's gradient is one product
    of matrices over all steps.

    Args:
      norm: definition of the norm of activations.
      weights: of all layers.
      start: the state before the first step.
      old: [N, S, M] the entries that there were before, constants.
      steps: what the steps are made of.
    """

    def advance(carry: tuple[_State, jax.Array], step: _Steps) -> tuple[tuple[_State, jax.Array], _State]:
        state, kept = carry
        (hidden, read, new), _ = _advance(norm, weights, state, (old, kept), step)
        kept = jnp.where(step.is_kept[..., None], new[:, None], kept)
        return ((hidden, read), kept), (hidden, read)

    kept = jnp.zeros((*steps.is_kept.shape[1:], old.shape[-1]), old.dtype)
    (_, kept), (hidden, read) = jax.lax.scan(advance, (start, kept), steps, unroll=len(steps.prepared) == 1)
    return hidden, read, kept


def _advance(
    norm: Any, weights: _Weights, state: _State, entries: Entries, step: _Steps
) -> tuple[tuple[jax.Array, jax.Array, jax.Array], dict[str, jax.Array]]:
    """The state after a step and the [N, M] activation of it, and what each layer was given."""
    hidden, new, seen = _move(norm, weights, state, step.prepared, step.is_first)
    asked, seen["query"] = weights.multiply("query", new)
    query = (asked + weights.biases["query"]).reshape(len(new), 1, -1, new.shape[-1])
    found = find(look(query, entries, step.age_bias[:, None]), entries)
    read, seen["output"] = weights.multiply("output", found.reshape(len(new), -1))
    return (hidden, read.astype(jnp.float32) + weights.biases["output"], new), seen


def _move(
    norm: Any, weights: _Weights, state: _State, prepared: jax.Array, is_first: jax.Array
) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
    """The hidden state after a step, its activation, and what each layer was given; [..., M], before anything is read.

    Args:
      norm: definition of the norm of activations.
      weights: of all layers.
      state: before the step.
      prepared: [..., 3 M] float32, the input's share of the gates.
      is_first: [..., 1] bool, whether what is remembered is forgotten first.
    """
    hidden, read = (jnp.where(is_first, 0.0, leaf) for leaf in state)
    from_read, given_read = weights.multiply("again", read)
    recurrent, given_hidden = weights.multiply("recurrent", hidden)
    prepared = prepared + from_read.astype(jnp.float32)
    hidden, _ = gated(hidden, prepared, recurrent.astype(jnp.float32) + weights.biases["recurrent"])
    return hidden, nnx.merge(norm, weights.norm)(hidden), {"again": given_read, "recurrent": given_hidden}


def _recur_forward(
    norm: Any, weights: _Weights, start: _State, old: jax.Array, steps: _Steps
) -> tuple[tuple[jax.Array, jax.Array, jax.Array], tuple[Any, ...]]:
    found = _recur(norm, weights, start, old, steps)
    return found, (weights, start, old, steps, *found)


def _recur_backward(norm: Any, saved: tuple[Any, ...], gradient: tuple[jax.Array, ...]) -> tuple[Any, ...]:
    weights, start, old, steps, *after, kept = saved
    *to_after, to_kept = gradient
    before = tuple(jnp.concatenate([first[None], state[:-1]]) for first, state in zip(start, after, strict=True))
    # One for each episode, so that their gradients are those of what the layers give.
    biases = {
        name: jnp.broadcast_to(bias, (len(old), weights.kernels[name].shape[-1]))
        for name, bias in weights.biases.items()
    }

    def retreat(later: tuple[_State, jax.Array, Any], now: Any) -> tuple[Any, Any]:
        (state, step, to_state), (for_state, for_kept, for_norm) = now, later

        def advance(step: _Steps, biases: Any, norm_params: Any, state: _State, kept: jax.Array) -> tuple[Any, Any]:
            return _advance(norm, _Weights(weights.kernels, biases, norm_params), state, (old, kept), step)

        _, back, seen = jax.vjp(advance, step, biases, weights.norm, state, kept, has_aux=True)
        to_new = jnp.where(step.is_kept[..., None], for_kept, 0).sum(axis=1)
        for_step, for_layers, *for_rest = back((*jax.tree.map(jnp.add, to_state, for_state), to_new))
        more_norm, for_state, more_kept = for_rest
        later = for_state, for_kept + more_kept, jax.tree.map(jnp.add, for_norm, more_norm)
        return later, (for_step.prepared, for_step.age_bias, for_layers, seen)

    nothing = jax.tree.map(jnp.zeros_like, (start, weights.norm))
    (for_start, _, for_norm), (for_prepared, for_age_bias, for_layers, seen) = jax.lax.scan(
        retreat, (nothing[0], to_kept, nothing[1]), (before, steps, tuple(to_after)), reverse=True
    )
    for_layers["again"] = for_prepared
    for_kernels = {name: kernel_gradient(seen[name], for_layers[name].astype(seen[name].dtype)) for name in seen}
    for_biases = {name: for_layers[name].sum((0, 1)) for name in ("recurrent", "output")}
    for_biases["query"] = jnp.zeros_like(weights.biases["query"])
    for_weights = _Weights(for_kernels, for_biases, for_norm)
    return for_weights, for_start, None, _Steps(for_prepared, None, for_age_bias, None)  # type: ignore[arg-type]


_recur.defvjp(_recur_forward, _recur_backward)
