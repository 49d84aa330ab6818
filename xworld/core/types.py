"""The pytrees of the simulator: what a task is, what changes while it runs, and what an agent is handed.

Shapes use A agents, N object slots, R rules, D doors, an H x W grid, C clauses of L literals, G goals where a task may
have several, and a V x V view. They are those of one environment; `Env.step` takes a batch as well, whose axes come
last in everything ([N, B]).
All bytes are uint8. Coordinates are (row, column); a thing that is in no cell has a row that no cell has.
"""

from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

NOWHERE = 192  # row and column of what is absent
HAND = 200  # row of what agent 0 holds; agent a's is HAND + HAND_STEP * a
HAND_STEP = 8  # more than 2, so that things in different hands are not near each other
MAX_HIDDEN_KINDS = 16  # placeholders have four bits
NUM_RELATIONS = 5
RANDOM_FACING = 4  # in `Task.agent_facing`: the direction is drawn anew in every trial


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Rules:
    """The production rules of a game, padded with relation `never` (0)."""

    relation: jax.Array  # [R] uint8, code of a relation
    directions: jax.Array  # [R] uint8, for touch: bit d is set when b may be in direction d of a; else 0
    first: jax.Array  # [R] uint8, kind of a
    second: jax.Array  # [R] uint8, kind of b
    products: jax.Array  # [R, 3] uint8, kinds that take their places, 0 for none


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Goals:
    """One goal per agent: an OR over clauses of an AND over literals.

    A padding clause is literals that are never true (all 0); a padding literal is "not never" (negated 1, the rest 0).
    Where a task may have several, `EnvConfig.max_goals` above 1, there is an axis G in front: every trial has one of
    them, of the same number for all agents. Goals behind the last are padding clauses only.
    """

    relation: jax.Array  # [A, C, L] uint8, or [G, A, C, L], like the others
    directions: jax.Array  # [A, C, L] uint8
    first: jax.Array  # [A, C, L] uint8
    second: jax.Array  # [A, C, L] uint8
    negated: jax.Array  # [A, C, L] uint8, 1 when the literal says that no pair satisfies the relation


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Hidden:
    """What each agent is not told about the rules. The goal is never hidden."""

    rules: jax.Array  # [A, R] bool, whole rules
    kinds: jax.Array  # [A, 16] uint8, kinds hidden in all rules, the n-th as placeholder n; 0 for none
    relations: jax.Array  # [A, 5] uint8, codes of relations hidden in all rules, likewise


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Task:
    """A game placed in a world, with the length and number of its trials. Built by `make_task`, `parse`, `Universe`."""

    terrain: jax.Array  # [H, W] uint8
    door_position: jax.Array  # [D, 2] uint8, NOWHERE for padding
    door_state: jax.Array  # [D] uint8, at the start of a trial: open 0, closed 1, locked 2
    agent_position: jax.Array  # [A, 2] uint8, NOWHERE for an absent agent
    agent_facing: jax.Array  # [A] uint8, direction at the start of a trial, or RANDOM_FACING
    object_kind: jax.Array  # [N] uint8, 0 for an empty slot
    object_position: jax.Array  # [N, 2] uint8, NOWHERE for an empty slot
    object_frozen: jax.Array  # [N] uint8, 1 when it can be neither picked up nor pushed
    goals: Goals
    rules: Rules
    hidden: Hidden
    trial_length: jax.Array  # [] uint16, steps
    num_trials: jax.Array  # [] uint16
    world_id: jax.Array  # [] int32, -1 for a task without an id
    game_id: jax.Array  # [] int32, likewise

    @property
    def is_present(self) -> jax.Array:
        """[A] bool, whether the agent is there."""
        return self.agent_position[..., 0] < NOWHERE

    @property
    def has_several_goals(self) -> bool:
        """Whether the goals have the axis G; also of a batch of tasks, wherever its axes are."""
        return self.goals.relation.ndim == self.terrain.ndim + 2


def episode_lengths(tasks: Task) -> np.ndarray:
    """[...] int64, steps in an episode of each of [...] tasks, counted on the host: they may need more than 32 bits."""
    return np.asarray(tasks.trial_length, np.int64) * np.asarray(tasks.num_trials, np.int64)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Scene:
    """All that changes within a trial. A held object's row says whose hand it is in."""

    agent_row: jax.Array  # [A] uint8, NOWHERE when absent
    agent_column: jax.Array  # [A] uint8
    agent_direction: jax.Array  # [A] uint8, 0 north, 1 east, 2 south, 3 west
    object_kind: jax.Array  # [N] uint8, 0 for an empty slot
    object_row: jax.Array  # [N] uint8, NOWHERE when absent, HAND + HAND_STEP * a in agent a's hand
    object_column: jax.Array  # [N] uint8, NOWHERE when not on the ground
    object_frozen: jax.Array  # [N] uint8
    door_state: jax.Array  # [D] uint8


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """The state of one environment."""

    task: Task
    sight_lines: jax.Array  # [H, W] uint16, how far things in a cell see, made of the terrain; [1, 1] if never asked
    scene: Scene
    trial: jax.Array  # [] uint16, 0-based
    time: jax.Array  # [] uint16, steps taken in this trial
    seed: jax.Array  # [] uint32, of the episode; decides directions at the start of trials, and which goal each has
    last_action: jax.Array  # [A] uint8, noop at reset
    last_reward: jax.Array  # [A] float32, 0 at reset

    @property
    def is_over(self) -> jax.Array:
        """[] bool, whether the last trial has ended."""
        return (self.trial + 1 == self.task.num_trials) & (self.time == self.task.trial_length)

    @property
    def agent_position(self) -> jax.Array:
        """[A, 2] int32 row and column, (-1, -1) when absent."""
        return _ground_position(self.scene.agent_row, self.scene.agent_column)

    @property
    def agent_direction(self) -> jax.Array:
        """[A] uint8: 0 north, 1 east, 2 south, 3 west."""
        return self.scene.agent_direction

    @property
    def agent_held(self) -> jax.Array:
        """[A] int32 slot of what each agent holds, or -1."""
        hands = HAND + HAND_STEP * jnp.arange(self.scene.agent_row.shape[-1], dtype=jnp.uint8)
        is_held = self.scene.object_row[..., None, :] == hands[:, None]
        return jnp.where(is_held.any(-1), is_held.argmax(-1), -1).astype(jnp.int32)

    @property
    def object_kind(self) -> jax.Array:
        """[N] uint8, 0 for an empty slot."""
        return self.scene.object_kind

    @property
    def object_position(self) -> jax.Array:
        """[N, 2] int32 row and column, (-1, -1) when held or absent."""
        return _ground_position(self.scene.object_row, self.scene.object_column)

    @property
    def object_frozen(self) -> jax.Array:
        """[N] uint8, 1 when it can be neither picked up nor pushed."""
        return self.scene.object_frozen

    @property
    def door_state(self) -> jax.Array:
        """[D] uint8: open 0, closed 1, locked 2; 0 for padding."""
        return self.scene.door_state


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Observation:
    """What the agents see and feel; what they are told is in the `Briefing`."""

    view: jax.Array  # [A, V, V, 3] uint8: terrain, thing, detail of the thing
    held: jax.Array  # [A] uint8, kind in the hand, 0 for none
    direction: jax.Array  # [A] uint8
    last_action: jax.Array  # [A] uint8
    last_reward: jax.Array  # [A] float32
    trial: jax.Array  # [] int32, 0-based
    trials_left: jax.Array  # [] int32, after this one
    time_left: jax.Array  # [] int32, steps left in this trial
    trial_length: jax.Array  # [] int32
    goal: jax.Array | None = None  # [A, C, L, 5] uint8, of this trial, as in a `Briefing`; None where that has it


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Briefing:
    """What each agent is told; constant through an episode."""

    goal: jax.Array | None  # [A, C, L, 5] uint8: relation, directions, first, second, negated; None where it may change
    rules: jax.Array  # [A, R, 7] uint8: relation, directions, first, second, three products; masked
    agent_id: jax.Array  # [A] uint8


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TimeStep:
    """What the environment hands out after `reset` or `step`."""

    observation: Observation
    reward: jax.Array  # [A] float32, of the step just taken
    discount: jax.Array  # [] float32, 0 when the episode is over, else 1; trials do not end it
    is_first: jax.Array  # [] bool, at reset
    is_trial_first: jax.Array  # [] bool, at the first view of a trial
    is_last: jax.Array  # [] bool, when the episode is over
    event: jax.Array  # [] int32, 1 + the rule that fired, or 0; for logs, never for agents


def _ground_position(row: jax.Array, column: jax.Array) -> jax.Array:
    position = jnp.stack([row, column], axis=-1).astype(jnp.int32)
    return jnp.where(position[..., :1] < NOWHERE, position, -1)


class TaskSource(Protocol):
    """Anything tasks come from: a pytree with a pure `sample`."""

    def sample(self, key: jax.Array) -> Task:
        """A task, for a JAX key."""
        ...
