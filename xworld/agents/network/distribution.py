"""The categorical distribution over actions, from logits [..., num_actions]."""

import jax
import jax.numpy as jnp


def sample(key: jax.Array, logits: jax.Array) -> jax.Array:
    """[...] int32 actions, drawn by the Gumbel trick."""
    return jnp.argmax(logits + jax.random.gumbel(key, logits.shape, logits.dtype), axis=-1).astype(jnp.int32)


def log_probability(logits: jax.Array, actions: jax.Array) -> jax.Array:
    """[...] float32 log-probabilities of [...] integer actions."""
    log_probabilities = jax.nn.log_softmax(logits)
    return jnp.take_along_axis(log_probabilities, actions[..., None].astype(jnp.int32), axis=-1)[..., 0]


def entropy(logits: jax.Array) -> jax.Array:
    """[...] float32 entropies in nats."""
    log_probabilities = jax.nn.log_softmax(logits)
    return -(jnp.exp(log_probabilities) * log_probabilities).sum(axis=-1)
