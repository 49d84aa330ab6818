"""What the searcher would do if it knew which object is the right one: labels for whatever somebody else does."""

import jax
import jax.numpy as jnp
import numpy as np

from xworld.agents.scripted.searcher import Searcher, SearcherMemory
from xworld.base.errors import ConfigError
from xworld.core import kinds
from xworld.core.step.relations import HOLD
from xworld.core.types import NOWHERE, State, Task, TimeStep

_AGENT = kinds.agent_kind(0)


def advise(state: State, timestep: TimeStep) -> jax.Array:
    """[A] actions: the next step on the shortest way to an object that pays when it is held, from wherever one is.

    What is wrongly held is put down; who is paid waits. It depends on the state alone, not on who got there or how.
    """
    is_wrong = ~right_slots(state.task)
    none = jnp.int32(-1)
    known = SearcherMemory(none, none, is_wrong, became=jnp.zeros(is_wrong.shape, jnp.uint8))
    return Searcher().act(known, jax.random.key(0), state, timestep)[1]


def right_slots(task: Task) -> jax.Array:
    """[N] bool: whether the first agent's goal holds once it holds the object, by the first rule about that.

    All are False where the goal is anything but `hold(agent, X)` or may change from trial to trial, and where there are
    doors, which the searcher does not open.
    """
    kind, goals, rules = task.object_kind, task.goals, task.rules
    if task.has_several_goals:
        return jnp.zeros(kind.shape, bool)
    relation, second = goals.relation[0], goals.second[0]  # [C, L]
    is_asked = (relation == HOLD) & (goals.first[0] == _AGENT) & (goals.negated[0] == 0)
    is_only_one = ((relation != 0).sum() == 1) & is_asked.any()
    wanted = jnp.where(is_asked, second, 0).max()
    is_about_it = (rules.relation == HOLD) & (rules.first == _AGENT) & (rules.second == kind[:, None])  # [N, R]
    made = jnp.where(is_about_it.any(1), rules.products[is_about_it.argmax(1), 0], kind)
    has_doors = (task.door_position != NOWHERE).any()
    return (made == wanted) & (kind != kinds.NOTHING) & is_only_one & ~has_doors


def check_advised(tasks: Task, names: np.ndarray) -> None:
    """Makes sure that tasks are such that `advise` knows what to do.

    Args:
      tasks: [n, ...].
      names: [n, ...] by which they are told.

    Raises:
      ConfigError: in one of them no object pays as soon as it is held.
    """
    is_known = np.asarray(jax.vmap(right_slots)(jax.tree.map(jnp.asarray, tasks))).any(axis=1)
    if not is_known.all():
        raise ConfigError(
            f"Task {names[is_known.argmin()].tolist()} asks for more than to hold the right object, or has doors; the "
            "label expert_action is not made for that. Record the expert itself, other tasks, or without the label."
        )
