"""Seats: the learner has one of those that are taken in a task, drawn for each episode; partners have the others."""

import jax
import jax.numpy as jnp

from xworld.core.types import Observation
from xworld.training.rollouts.partners import Scene
from xworld.training.rollouts.rollout import is_present

_SEAT, _ACTION, _OTHER = 1, 2, 3  # what a step's key is folded with, for each draw


def sit_down(seat: jax.Array, keys: jax.Array, scene: Scene) -> jax.Array:
    """[B] int32, the learner's seat: a new one where an episode begins, of the agents that are there."""
    is_taken = is_present(scene.observation) > 0  # [B, A]
    drawn = jax.vmap(lambda key: jax.random.uniform(key, is_taken.shape[1:], jnp.float32))(fold(keys, _SEAT))
    return jnp.where(scene.is_first, jnp.where(is_taken, drawn, -1).argmax(-1), seat).astype(jnp.int32)


def is_of_partners(seat: jax.Array, observation: Observation) -> jax.Array:
    """[B, A] bool: all seats but the learner's where somebody is there."""
    is_taken = is_present(observation) > 0
    return is_taken & (jnp.arange(is_taken.shape[-1]) != seat[:, None])


def action_keys(keys: jax.Array) -> jax.Array:
    """[B] keys for actions."""
    return fold(keys, _ACTION)


def other_keys(keys: jax.Array) -> jax.Array:
    """[B] keys for what is drawn besides."""
    return fold(keys, _OTHER)


def fold(keys: jax.Array, number: int) -> jax.Array:
    """[B] keys of their own for one more draw."""
    return jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, number)
