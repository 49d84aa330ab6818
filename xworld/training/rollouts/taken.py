"""What was done in a rollout, for whoever records it: with its task and its seed it decides all of an episode."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from xworld.core.step.actions import NOOP
from xworld.core.vector import VectorState
from xworld.training.rollouts.episodes import task_ids
from xworld.training.rollouts.rollout import Steps, is_present


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Taken:
    """T steps of B environments. The first episode of each began before or with them, and all others are alike."""

    action: jax.Array  # [T, B, A] uint8, of all agents
    log_probability: jax.Array  # [T, B, A] float32, that the learner gave to it; NaN in seats that others play
    is_last: jax.Array  # [T, B] bool, whether the episode ended after it
    seed: jax.Array  # [2, B] uint32, of the episode before the first step, and of those that begin later
    task_id: jax.Array  # [2, B, 2] int32, likewise


def take(before: VectorState, after: VectorState, steps: Steps) -> Taken:
    """What was done between two states of the environments."""
    episodes = before.current, after.prepared  # what was prepared is refilled before the first step
    return Taken(
        action=jnp.where(is_present(steps.observation) > 0, steps.action, NOOP).astype(jnp.uint8),
        log_probability=jnp.where(steps.weight > 0, steps.log_probability, jnp.nan),
        is_last=steps.discount == 0,
        seed=jnp.stack([episode.seed for episode in episodes]),
        task_id=jnp.stack([task_ids(episode.task) for episode in episodes]),
    )
