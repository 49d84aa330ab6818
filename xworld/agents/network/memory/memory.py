"""What a memory of the agent is, the simplest one, and the choice between them.

A memory turns [T, ...] inputs into [T, ..., M] outputs that know of earlier inputs. What it knows is a pytree that is
passed in and out. It is emptied before a timestep whose `is_reset` is true.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx

from xworld.agents.network.config import AgentConfig
from xworld.agents.network.memory.gated_delta import GatedDeltaNet
from xworld.agents.network.memory.gru import GRU
from xworld.agents.network.memory.gru_attention import GRUAttention
from xworld.agents.network.memory.gru_txl import GRUTransformer
from xworld.agents.network.memory.transformer_xl import TransformerXL

Memory = Any  # a pytree of arrays [..., A, ...]: what an agent remembers


class MemoryModule(Protocol):
    """A network that remembers. Keeps parameters only."""

    def unroll(self, memory: Any, inputs: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, Any]:
        """[T, ..., M] outputs and the memory after them, from [T, ..., E] inputs and [T, ...] bool."""
        ...


def make_memory(config: AgentConfig, rngs: nnx.Rngs) -> MemoryModule:
    """The memory that the configuration asks for."""
    return _MODULES[config.memory](config, rngs)


def unroll_in_windows(
    module: MemoryModule, window: int | None, memory: Any, inputs: jax.Array, is_reset: jax.Array
) -> tuple[jax.Array, Any]:
    """As `module.unroll`, but what is remembered is a constant at the first step and at every `window`-th after it.

    So the gradient of a timestep goes back to the beginning of its window and no further, however long the unroll is.
    """
    length = len(is_reset)
    if window is None or length <= window:
        return module.unroll(memory, inputs, is_reset)
    num_windows, rest = divmod(length, window)

    def advance(memory: Any, steps: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        outputs, memory = module.unroll(jax.lax.stop_gradient(memory), *steps)
        return memory, outputs

    def windows(leaf: jax.Array) -> jax.Array:
        return leaf[: length - rest].reshape(num_windows, window, *leaf.shape[1:])

    memory, outputs = jax.lax.scan(advance, memory, (windows(inputs), windows(is_reset)))
    outputs = outputs.reshape(length - rest, *outputs.shape[2:])
    if rest:
        memory, last = advance(memory, (inputs[-rest:], is_reset[-rest:]))
        outputs = jnp.concatenate([outputs, last])
    return outputs, memory


def empty_memory(config: AgentConfig, *batch: int) -> Memory:
    """What there is to remember at the start of an episode."""
    return _MODULES[config.memory].empty(config, *batch)


_MODULES: dict[str, Any] = {
    "gru": GRU,
    "gru_attention": GRUAttention,
    "gru_txl": GRUTransformer,
    "transformer_xl": TransformerXL,
    "gated_delta": GatedDeltaNet,
}
