"""A head of a term's own on the agent's features: one hidden layer, and kinds as a shape and a colour."""

import jax
import jax.numpy as jnp

from xworld.agents.network.linear import multiply

_HIDDEN_SIZE = 64
_VALUES = 16  # of each half of a byte: a shape and a colour
KIND_LOGITS = 2 * _VALUES


def init_head(key: jax.Array, num_inputs: int, num_outputs: int) -> dict[str, jax.Array]:
    """Kernels [num_inputs, 64] and [64, num_outputs], which is zeros, and biases."""
    return {
        "hidden": jax.nn.initializers.lecun_normal()(key, (num_inputs, _HIDDEN_SIZE)),
        "hidden_bias": jnp.zeros(_HIDDEN_SIZE),
        "output": jnp.zeros((_HIDDEN_SIZE, num_outputs)),
        "output_bias": jnp.zeros(num_outputs),
    }


def apply_head(own: dict[str, jax.Array], inputs: jax.Array) -> jax.Array:
    """[..., num_outputs] of [..., num_inputs]."""
    hidden = jax.nn.relu(multiply(inputs, own["hidden"]) + own["hidden_bias"])
    return multiply(hidden, own["output"]) + own["output_bias"]


def kind_loss(logits: jax.Array, kind: jax.Array) -> jax.Array:
    """[...] cross-entropy in nats of the [...] kind's shape and colour, each said by itself by [..., 32] logits."""
    log_p = jax.nn.log_softmax(_halves(logits))
    halves = jnp.stack(jnp.divmod(kind.astype(jnp.int32), _VALUES), axis=-1)
    return -jnp.take_along_axis(log_p, halves[..., None], axis=-1)[..., 0].sum(-1)


def likeliest_kind(logits: jax.Array) -> jax.Array:
    """[...] int32, of the likeliest shape and the likeliest colour by [..., 32] logits."""
    shape, colour = jnp.moveaxis(jnp.argmax(_halves(logits), axis=-1), -1, 0)
    return _VALUES * shape + colour


def _halves(logits: jax.Array) -> jax.Array:
    return logits.reshape(*logits.shape[:-1], 2, _VALUES)
