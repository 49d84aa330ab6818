"""The recurrence of the agent's memory: a GRU whose hidden state lives through an episode."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from xworld.agents.network.config import AgentConfig
from xworld.agents.network.linear import Linear, kernel_gradient


class GRU(nnx.Module):
    """A gated recurrent unit (Cho et al. 2014), the input's share computed apart from the recurrence.

    What it remembers is its hidden state, [..., M] float32, which is also its output: only products of matrices are
    computed in a shorter type, or small changes of the state would be lost.
    """

    def __init__(self, config: AgentConfig, rngs: nnx.Rngs):
        """Orthogonal recurrent weights, zero biases."""
        size, self.dtype = config.memory_size, config.compute_dtype
        orthogonal = nnx.initializers.orthogonal()
        self.input = Linear(config.input_size, 3 * size, dtype=self.dtype, rngs=rngs)
        self.recurrent = Linear(size, 3 * size, kernel_init=orthogonal, rngs=rngs)

    @staticmethod
    def empty(config: AgentConfig, *batch: int) -> jax.Array:
        """[*batch, M] zeros."""
        return jnp.zeros((*batch, config.memory_size), jnp.float32)

    def unroll(self, memory: jax.Array, inputs: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[T, ..., M] hidden states and the last of them, from [T, ..., E] inputs and [T, ...] bool."""
        outputs = recur(*self.weights(), memory, self.prepare(inputs), is_reset[..., None])
        return outputs, outputs[-1]

    def prepare(self, inputs: jax.Array) -> jax.Array:
        """[..., 3 M] float32 the inputs' share of the gates: it has no recurrence in it, so it is made at once."""
        return self.input(inputs).astype(jnp.float32)

    def weights(self) -> tuple[jax.Array, jax.Array]:
        """[M, 3 M] kernel, in the type that is computed in, and [3 M] float32 bias of the recurrence."""
        kernel, bias = self.recurrent.kernel, self.recurrent.bias
        assert bias is not None
        return kernel[...].astype(self.dtype), bias[...]


@jax.custom_vjp
def recur(kernel: jax.Array, bias: jax.Array, memory: jax.Array, prepared: jax.Array, is_reset: jax.Array) -> jax.Array:
    """[T, ..., M] float32 hidden states of a GRU.

    Its gradient is written out, so that the steps back do no more than they must: what does not depend on later steps
    is computed for all steps at once, and so is the kernel's gradient, as one product of matrices.

    Args:
      kernel: [M, 3 M], in the type that products are computed in; for the reset gate, the update gate and what is new.
      bias: [3 M] float32.
      memory: [..., M] float32, the hidden state before the first step.
      prepared: [T, ..., 3 M] float32, the input's share of the three.
      is_reset: [T, ..., 1] bool, whether the last hidden state is forgotten first.
    """
    return _scan(kernel, bias, memory, prepared, is_reset)[0]


Gates = tuple[jax.Array, ...]  # [..., M] reset gate, update gate, what is new, and the hidden state's share of that


def _scan(
    kernel: jax.Array, bias: jax.Array, memory: jax.Array, prepared: jax.Array, is_reset: jax.Array
) -> tuple[jax.Array, Gates]:
    """[T, ..., M] hidden states and gates."""

    def advance(memory: jax.Array, step: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, tuple[jax.Array, Gates]]:
        memory, gates = advance_once(kernel, bias, memory, *step)
        return memory, (memory, gates)

    return jax.lax.scan(advance, memory, (prepared, is_reset), unroll=len(prepared) == 1)[1]


def advance_once(
    kernel: jax.Array, bias: jax.Array, memory: jax.Array, prepared: jax.Array, is_reset: jax.Array
) -> tuple[jax.Array, Gates]:
    """[..., M] the hidden state after a step, and the step's gates; arguments as of `recur`, of one timestep."""
    memory = jnp.where(is_reset, 0.0, memory)
    return gated(memory, prepared, (memory.astype(kernel.dtype) @ kernel).astype(jnp.float32) + bias)


def gated(memory: jax.Array, prepared: jax.Array, recurrent: jax.Array) -> tuple[jax.Array, Gates]:
    """[..., M] the hidden state after a step, and its gates, from the [..., 3 M] shares of input and hidden state."""
    reset_in, update_in, new_in = jnp.split(prepared, 3, axis=-1)
    reset_memory, update_memory, new_memory = jnp.split(recurrent, 3, axis=-1)
    reset, update = jax.nn.sigmoid(reset_in + reset_memory), jax.nn.sigmoid(update_in + update_memory)
    new = jnp.tanh(new_in + reset * new_memory)
    return (1 - update) * new + update * memory, (reset, update, new, new_memory)


def _recur_forward(
    kernel: jax.Array, bias: jax.Array, memory: jax.Array, prepared: jax.Array, is_reset: jax.Array
) -> tuple[jax.Array, tuple[Any, ...]]:
    outputs, gates = _scan(kernel, bias, memory, prepared, is_reset)
    return outputs, (kernel, memory, is_reset, outputs, gates)


def _recur_backward(saved: tuple[Any, ...], gradient: jax.Array) -> tuple[jax.Array | None, ...]:
    kernel, first, is_reset, outputs, (reset, update, new, new_memory) = saved
    memory = jnp.where(is_reset, 0.0, jnp.concatenate([first[None], outputs[:-1]]))
    # What a change of the hidden state after a step means for each of the three sums in it.
    to_new = (1 - update) * (1 - jnp.square(new))
    to_gates = [to_new * new_memory * reset * (1 - reset), (memory - new) * update * (1 - update)]
    to_recurrent = jnp.concatenate([*to_gates, to_new * reset], axis=-1)

    def retreat(later: jax.Array, step: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        gradient, to_recurrent, update, is_reset = step
        change = gradient + later
        through = (_three(change) * to_recurrent).astype(kernel.dtype) @ kernel.T
        return jnp.where(is_reset, 0.0, update * change + through.astype(jnp.float32)), change

    steps = gradient, to_recurrent, update, is_reset
    for_first, change = jax.lax.scan(retreat, jnp.zeros_like(first), steps, reverse=True)
    for_prepared = _three(change) * jnp.concatenate([*to_gates, to_new], axis=-1)
    for_recurrent = _three(change) * to_recurrent
    for_kernel = kernel_gradient(memory.astype(kernel.dtype), for_recurrent.astype(kernel.dtype))
    return for_kernel, for_recurrent.reshape(-1, kernel.shape[-1]).sum(0), for_first, for_prepared, None


recur.defvjp(_recur_forward, _recur_backward)


def _three(values: jax.Array) -> jax.Array:
    """[..., 3 M], the same three times."""
    return jnp.concatenate([values] * 3, axis=-1)


def count_steps(num_steps: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, jax.Array]:
    """How many steps of its episode came before each timestep, and before the one after the last.

    Args:
      num_steps: [...] int32, before the first timestep, if that is of the same episode.
      is_reset: [..., T] bool, whether an episode begins with a timestep.

    Returns:
      [..., T] and [...] int32.
    """
    time = jnp.arange(is_reset.shape[-1], dtype=jnp.int32)
    begin = jax.lax.cummax(jnp.where(is_reset, time, -1), axis=is_reset.ndim - 1)  # of the episode, -1 if before
    count = jnp.where(begin < 0, num_steps[..., None] + time, time - begin)
    return count, count[..., -1] + 1
