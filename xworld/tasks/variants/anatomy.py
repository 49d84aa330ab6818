"""What the parts of a task are for, read off the task itself: which rules lead to the goal, and which lead away."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from xworld.core import kinds
from xworld.core.step.goals import num_goals
from xworld.core.step.relations import NEVER
from xworld.core.types import Goals, Rules, Task
from xworld.tasks.universe.hiding import is_rule_hidden
from xworld.tasks.universe.team import AGENT, is_agent
from xworld.tasks.universe.universe import TaskInfo

_NUM_KINDS = 256


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Anatomy:
    """What rules and objects of a task are for."""

    is_chain: jax.Array  # [R] bool, rules that make what the goal needs; or take away what it must be rid of
    is_dead_end: jax.Array  # [R] bool, other rules that consume what the goal needs
    is_decoy: jax.Array  # [R] bool, rules that do neither
    is_needed: jax.Array  # [256] bool, kinds of objects that the goal or a rule of the chain asks for
    is_key: jax.Array  # [N] bool, objects that open a locked door
    is_distractor: jax.Array  # [N] bool, objects that are neither needed nor keys


def anatomy(task: Task) -> Anatomy:
    """The parts of a task.

    Of a generated task it is what the generator knows of it. Of one made by hand, in which a kind may be made in
    several ways or be there from the start, it says what could be of use. Of several goals, of any of them.
    """
    rules = task.rules
    asked = jnp.stack([rules.first, rules.second])  # [2, R]
    is_chain, is_needed = (part.any(0) for part in _chains(task))
    is_rule = rules.relation != NEVER
    is_dead_end = is_rule & ~is_chain & is_needed[asked].any(0)
    door = task.door_position.astype(jnp.int32)
    is_locked = task.door_state == kinds.LOCKED
    row, column = (jnp.where(is_locked, door[:, axis], 0) for axis in range(2))
    key_of = jnp.where(is_locked, kinds.KEY * 16 + task.terrain[row, column] % 16, 0)
    is_object = task.object_kind != kinds.NOTHING
    is_key = is_object & (task.object_kind[:, None] == key_of).any(-1)
    return Anatomy(
        is_chain=is_chain,
        is_dead_end=is_dead_end,
        is_decoy=is_rule & ~is_chain & ~is_dead_end,
        is_needed=is_needed,
        is_key=is_key,
        is_distractor=is_object & ~is_key & ~is_needed[task.object_kind],
    )


def task_info(task: Task) -> TaskInfo:
    """What `Universe.task_with_info` knows of its tasks, of any task; of several goals, the longest chain's firings."""
    parts, rules = anatomy(task), task.rules
    is_hidden = is_rule_hidden(rules, task.hidden)[0]
    is_chain, _ = _chains(task)  # [G, R]
    goals = _goals_in_front(task)
    is_literal = goals.relation != NEVER  # [G, A, C, L]
    number = num_goals(task)
    is_goal = jnp.arange(is_chain.shape[0]) < number
    needs_both = jnp.asarray(True)
    for agent in range(2):
        is_asked = (is_literal & (goals.first == AGENT + agent)).any((1, 2, 3))
        needs_both &= ((is_chain & (rules.first == AGENT + agent)).any(1) | is_asked | ~is_goal).all()
    return TaskInfo(
        num_goals=number.astype(jnp.int32),
        num_firings=is_chain.sum(1, dtype=jnp.int32).max(),
        num_dead_ends=parts.is_dead_end.sum(dtype=jnp.int32),
        num_decoys=parts.is_decoy.sum(dtype=jnp.int32),
        num_hidden_rules=(parts.is_chain & is_hidden).sum(dtype=jnp.int32),
        num_hidden_dead_ends=(parts.is_dead_end & is_hidden).sum(dtype=jnp.int32),
        num_distractors=parts.is_distractor.sum(dtype=jnp.int32),
        num_objects=(task.object_kind != kinds.NOTHING).sum(dtype=jnp.int32),
        num_players=task.is_present.sum(dtype=jnp.int32),
        needs_both=needs_both,
    )


def _chains(task: Task) -> tuple[jax.Array, jax.Array]:
    """[G, R] bool the rules of each goal's chain, and [G, 256] bool the kinds that it or its chain asks for."""
    return jax.vmap(lambda goals: _chain(task.rules, goals))(_goals_in_front(task))


def _goals_in_front(task: Task) -> Goals:
    """[G, A, C, L] the goals, also where there can be one only."""
    return task.goals if task.has_several_goals else jax.tree.map(lambda field: field[None], task.goals)


def _chain(rules: Rules, goals: Goals) -> tuple[jax.Array, jax.Array]:
    """[R] and [256] of [A, C, L] goals, as `_chains` has them of each."""
    is_rule = rules.relation != NEVER
    is_goal = (goals.relation != NEVER).reshape(-1)
    of_goal = jnp.stack([goals.first, goals.second]).reshape(2, -1)
    goal_kinds = _mark(jnp.where(is_goal, of_goal, 0))
    is_negated = is_goal & (goals.negated.reshape(-1) == 1)
    undone_kinds = _mark(jnp.where(is_negated, of_goal, 0))
    asked = jnp.stack([rules.first, rules.second])  # [2, R]

    takes_away = is_rule & undone_kinds[asked].any(0)

    def go_back(_: int, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        is_chain, is_needed = carry
        is_chain = is_chain | (is_rule & is_needed[rules.products].any(-1))
        return is_chain, is_needed | _mark(jnp.where(is_chain, asked, 0))

    start = takes_away, goal_kinds | _mark(jnp.where(takes_away, asked, 0))
    return jax.lax.fori_loop(0, is_rule.shape[0], go_back, start)


def _mark(found: jax.Array) -> jax.Array:
    """[256] bool: the kinds of objects among these; nothing, agents and floors are none."""
    is_object = (found != kinds.NOTHING) & ~is_agent(found) & (found >> 4 < kinds.FLOOR_SHAPE)
    place = jnp.where(is_object, found.astype(jnp.int32), _NUM_KINDS)
    return jnp.zeros(_NUM_KINDS, bool).at[place].set(True, mode="drop")
