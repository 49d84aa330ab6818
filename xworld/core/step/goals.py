"""Goals: whether each agent's predicate holds now (the third part of a step)."""

import jax

from xworld.core.step.relations import Aftermath, find_any, make_patterns
from xworld.core.types import NOWHERE, Scene, Task


def judge(task: Task, scene: Scene, aftermath: Aftermath) -> jax.Array:
    """[A, ...] bool: whose goal holds. An OR over clauses of an AND over literals, each maybe negated.

    An absent agent's goal never holds.
    """
    goals = task.goals
    fields = (goals.relation, goals.directions, goals.first, goals.second)
    patterns = make_patterns(*(jax.lax.collapse(field, 0, 3) for field in fields))  # [A * C * L, ...]
    is_true = find_any(aftermath, patterns).reshape(goals.relation.shape)
    return (is_true ^ (goals.negated == 1)).all(axis=2).any(axis=1) & (scene.agent_row != NOWHERE)
