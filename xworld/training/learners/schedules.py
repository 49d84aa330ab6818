"""Hyper-parameters that change over a run, as functions of its progress from 0 to 1."""

import jax
import jax.numpy as jnp

SHAPES = ("linear", "cosine")


def anneal(start: float, end: float, progress: jax.Array, shape: str) -> jax.Array:
    """[] the value on the way from `start` at progress 0 to `end` at progress 1; beyond, `end`.

    Args:
      start: the first value.
      end: the last value; equal to `start` for a constant one.
      progress: [] how much of the run is done.
      shape: "linear", or "cosine", which stays near both ends for longer (Loshchilov and Hutter 2017).
    """
    progress = jnp.clip(progress, 0.0, 1.0)
    if shape == "cosine":
        progress = (1 - jnp.cos(jnp.pi * progress)) / 2
    return start + (end - start) * progress


def warm_up(progress: jax.Array, share: float) -> jax.Array:
    """[] a factor that rises from near 0 to 1 in the first `share` of the run."""
    return jnp.clip(progress / share, 1e-3, 1.0) if share else jnp.ones_like(progress)
