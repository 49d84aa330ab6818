"""Goals: which one a trial has, and whether each agent's predicate holds now (the third part of a step)."""

import jax
import jax.numpy as jnp

from xworld.base.hashing import Word, below, hash_words
from xworld.core.step.relations import Aftermath, find_any, make_patterns
from xworld.core.step.slots import count_slots, pick_slot
from xworld.core.types import NOWHERE, Briefing, Goals, Observation, Scene, Task

_GOAL = 255  # in the hash in which directions have the agent's id


def judge(goals: Goals, scene: Scene, aftermath: Aftermath) -> jax.Array:
    """[A, ...] bool: whose goal holds, of a trial's [A, C, L, ...]: an OR over clauses of an AND over literals.

    An absent agent's goal never holds.
    """
    fields = (goals.relation, goals.directions, goals.first, goals.second)
    patterns = make_patterns(*(jax.lax.collapse(field, 0, 3) for field in fields))  # [A * C * L, ...]
    is_true = find_any(aftermath, patterns).reshape(goals.relation.shape)
    return (is_true ^ (goals.negated == 1)).all(axis=2).any(axis=1) & (scene.agent_row != NOWHERE)


def goals_of_trial(task: Task, seed: Word, trial: Word) -> Goals:
    """[A, C, L, ...] the goals that a trial of an episode has: all that the task has, or one of several."""
    if not task.has_several_goals:
        return task.goals
    number = goal_id(task, seed, trial)
    is_it = count_slots(task.goals.relation.shape[0], number) == number  # [G, ...]
    return jax.tree.map(lambda field: pick_slot(is_it[:, None, None, None], field), task.goals)


def goal_id(task: Task, seed: Word, trial: Word) -> jax.Array:
    """[...] uint8: which of the task's goals a trial has, each as likely, by a hash of the episode's seed and trial."""
    if not task.has_several_goals:
        return jnp.zeros(task.num_trials.shape, jnp.uint8)
    return below(hash_words(seed, trial, _GOAL), num_goals(task)).astype(jnp.uint8)


def num_goals(task: Task) -> jax.Array:
    """[...] uint8: how many goals the task has; what is behind the last is padding."""
    if not task.has_several_goals:
        return jnp.ones(task.num_trials.shape, jnp.uint8)
    is_used = (task.goals.relation | task.goals.negated) != 0  # [G, A, C, L, ...]
    return jnp.maximum(jax.lax.collapse(is_used, 1, 4).any(axis=1).sum(axis=0, dtype=jnp.uint8), 1)


def write_goal(goals: Goals) -> jax.Array:
    """[A, C, L, 5, ...] uint8 [A, C, L, ...] goals as agents are told them."""
    return jnp.stack([goals.relation, goals.directions, goals.first, goals.second, goals.negated], axis=3)


def told_goal(observation: Observation, briefing: Briefing) -> jax.Array:
    """[..., A, C, L, 5] uint8: the goal that agents have now, which one of the two says."""
    goal = briefing.goal if observation.goal is None else observation.goal
    assert goal is not None
    return goal
