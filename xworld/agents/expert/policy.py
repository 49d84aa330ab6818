"""The expert as a policy: it plays its plans in the loop of the evaluation."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from xworld.agents.expert.expert import Expert
from xworld.base.hashing import hash_words
from xworld.core.step.actions import NOOP
from xworld.core.step.goals import goal_id
from xworld.core.types import Briefing, State, Task, TimeStep
from xworld.tasks import TaskSet


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ExpertMemory:
    """Which plan is being played."""

    task: jax.Array  # [] int32, its number, or -1 for one that there are no plans for
    way: jax.Array  # [] int32, in which way the trial began
    time: jax.Array  # [] int32, steps since then


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ExpertPolicy:
    """Plays the plans of n tasks, those for the way in which a trial begins. Waits in tasks that it has none for.

    A task is known again by a hash of what decides its trials.
    """

    hashes: jax.Array  # [n] uint32
    goal_ids: jax.Array  # [D] uint8, which goal a trial has, in each of D ways
    directions: jax.Array  # [D, A] uint8, how the agents face then; absent agents' are not compared
    actions: jax.Array  # [n, D, T, A] uint8

    def start(self, key: jax.Array, state: State, briefing: Briefing) -> ExpertMemory:
        """Finds the task."""
        is_it = self.hashes == task_hash(state.task)
        number = jnp.where(is_it.any(), is_it.argmax(), -1).astype(jnp.int32)
        return ExpertMemory(number, jnp.int32(0), jnp.int32(0))

    def act(
        self, memory: ExpertMemory, key: jax.Array, state: State, timestep: TimeStep
    ) -> tuple[ExpertMemory, jax.Array]:
        """[A] actions, the next of the plan."""
        is_absent = state.agent_position[:, 0] < 0
        is_way = ((self.directions == state.agent_direction) | is_absent).all(axis=1)  # [D]
        is_way &= self.goal_ids == goal_id(state.task, state.seed, state.trial)
        way = jnp.where(timestep.is_trial_first, is_way.argmax(), memory.way).astype(jnp.int32)
        time = jnp.where(timestep.is_trial_first, 0, memory.time)
        planned = self.actions[memory.task, way, jnp.minimum(time, self.actions.shape[2] - 1)]
        actions = jnp.where(memory.task >= 0, planned, NOOP)
        return ExpertMemory(memory.task, way, time + 1), actions


def task_hash(task: Task) -> jax.Array:
    """[] uint32: equal for tasks whose trials are equal, whatever their number and what is hidden."""
    parts = (
        task.terrain,
        task.door_position,
        task.door_state,
        task.agent_position,
        task.agent_facing,
        task.object_kind,
        task.object_position,
        task.object_frozen,
        *jax.tree.leaves((task.goals, task.rules)),
        task.trial_length[None],
    )
    words = jnp.concatenate([part.reshape(-1).astype(jnp.uint32) for part in parts])
    return hash_words(words, jnp.arange(words.size)).sum(dtype=jnp.uint32)


def make_expert_policy(
    expert: Expert, tasks: Task | TaskSet, report: Callable[[int], None] | None = None
) -> ExpertPolicy:
    """Plans for stacked tasks, to be played. Args and errors are those of `Expert.plan_all`."""
    table = expert.plan_all(tasks, report)
    stacked = tasks.tasks if isinstance(tasks, TaskSet) else tasks
    hashes = jax.jit(jax.vmap(task_hash))(stacked)
    return ExpertPolicy(hashes, *map(jnp.asarray, (table.goal_ids, table.directions, table.actions)))
