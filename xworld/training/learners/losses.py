"""The parts of PPO's loss, each as an array over timesteps."""

import jax
import jax.numpy as jnp


def clipped_surrogate(log_ratio: jax.Array, advantages: jax.Array, clip: float) -> jax.Array:
    """[...] losses: minus min(ratio * A, clip(ratio, 1 - clip, 1 + clip) * A). Source: Schulman et al. 2017, eq. 7.

    Args:
      log_ratio: [...], log-probability of the action taken, now minus when it was taken.
      advantages: [...], of that action.
      clip: how far the ratio may leave 1 before its gradient stops.
    """
    ratio = jnp.exp(log_ratio)
    return -jnp.minimum(ratio * advantages, jnp.clip(ratio, 1 - clip, 1 + clip) * advantages)


def value_loss(values: jax.Array, targets: jax.Array) -> jax.Array:
    """[...] half the squared errors."""
    return 0.5 * jnp.square(values - targets)
