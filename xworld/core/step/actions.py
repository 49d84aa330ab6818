"""What the agents' actions do to the scene (the first part of a step)."""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from xworld.base.xla.fusion import apart
from xworld.core import kinds
from xworld.core.config import EnvConfig
from xworld.core.step.slots import combine_slots
from xworld.core.step.terrain import can_hold_object, next_cell, read_cells, terrain_type
from xworld.core.types import HAND, HAND_STEP, NOWHERE, Scene, Task

FORWARD, TURN_RIGHT, TURN_LEFT, PICK_UP, PUT_DOWN, TOGGLE, NOOP = range(7)
NUM_ACTIONS = 7
ACTION_NAMES = ("forward", "turn right", "turn left", "pick up", "put down", "toggle", "noop")


def legal_actions(scene: Scene, actions: jax.Array) -> jax.Array:
    """[A] uint8 actions: noop for what is outside 0-6 and for absent agents.

    The range is checked before the cast to a byte, so that 256 is not taken for 0.
    """
    is_legal = (actions >= 0) & (actions < NUM_ACTIONS) & (scene.agent_row != NOWHERE)
    return jnp.where(is_legal, actions, NOOP).astype(jnp.uint8)


def act(config: EnvConfig, task: Task, scene: Scene, actions: jax.Array) -> Scene:
    """The scene after all agents acted in index order, each on what the ones before it left."""
    if config.num_agents == 1:
        return _act_one(config, task, 0, scene, actions)
    # A loop and not an unrolled chain: XLA would fuse the chain and compute the first agents again for every output.
    return jax.lax.fori_loop(
        0, config.num_agents, lambda agent, scene: _act_one(config, task, agent, scene, actions), scene
    )


def _act_one(config: EnvConfig, task: Task, agent: jax.Array | int, scene: Scene, actions: jax.Array) -> Scene:
    action = actions[agent]
    row, column, direction = scene.agent_row[agent], scene.agent_column[agent], scene.agent_direction[agent]
    hand = jnp.asarray(HAND + HAND_STEP * agent, jnp.uint8)
    ahead = _look_ahead(config, task, scene, row, column, direction, hand)
    moves = _decide(action, row, column, direction, hand, ahead)
    is_ahead, is_held = _is_at(scene, ahead.row, ahead.column), scene.object_row == hand  # [N, ...]
    return dataclasses.replace(
        scene,
        agent_row=scene.agent_row.at[agent].set(moves.agent_row),
        agent_column=scene.agent_column.at[agent].set(moves.agent_column),
        agent_direction=scene.agent_direction.at[agent].set(moves.agent_direction),
        object_row=jnp.where(is_ahead, moves.ahead_row, jnp.where(is_held, moves.held_row, scene.object_row)),
        object_column=jnp.where(
            is_ahead, moves.ahead_column, jnp.where(is_held, moves.held_column, scene.object_column)
        ),
        door_state=_toggle(task, scene.door_state, ahead, action == TOGGLE),
    )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Ahead:
    """The cell before an agent, and what the agent could do about it."""

    row: jax.Array  # [...] uint8
    column: jax.Array  # [...] uint8
    is_walkable: jax.Array  # [...] bool, floor or an open door
    is_empty: jax.Array  # [...] bool, no object and no agent there
    is_loose: jax.Array  # [...] bool, an object there that is not frozen
    can_push: jax.Array  # [...] bool
    can_put: jax.Array  # [...] bool, an object may be put there
    is_hand_full: jax.Array  # [...] bool
    has_key: jax.Array  # [...] bool, the key in the hand would open a door of that cell's colour


@apart
def _look_ahead(
    config: EnvConfig,
    task: Task,
    scene: Scene,
    row: jax.Array,
    column: jax.Array,
    direction: jax.Array,
    hand: jax.Array,
) -> Ahead:
    row, column = next_cell(row, column, direction)
    terrain = read_cells(task.terrain, row, column)
    is_ahead, is_held = _is_at(scene, row, column), scene.object_row == hand  # [N, ...]
    is_loose = combine_slots(is_ahead & (scene.object_frozen == 0))
    is_empty = ~combine_slots(is_ahead) & ~_has_agent(scene, row, column)

    is_open = ~combine_slots(_is_door_at(task, row, column) & (scene.door_state != kinds.OPEN))
    kind = terrain_type(terrain)
    is_walkable = (kind == kinds.FLOOR) | ((kind == kinds.DOOR) & is_open)
    can_push = jnp.zeros_like(is_loose)
    if config.push:
        beyond = next_cell(row, column, direction)
        can_push = is_walkable & is_loose & can_hold_object(read_cells(task.terrain, *beyond))
        can_push &= ~combine_slots(_is_at(scene, *beyond)) & ~_has_agent(scene, *beyond)
    key = kinds.KEY * 16 + (terrain & 15)
    return Ahead(
        row=row,
        column=column,
        is_walkable=is_walkable,
        is_empty=is_empty,
        is_loose=is_loose,
        can_push=can_push,
        can_put=can_hold_object(terrain) & is_empty,
        is_hand_full=combine_slots(is_held),
        has_key=combine_slots(is_held & (scene.object_kind == key)),
    )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Moves:
    """Where an action puts the agent, what lies before it, and what it holds."""

    agent_row: jax.Array  # [...] uint8
    agent_column: jax.Array  # [...] uint8
    agent_direction: jax.Array  # [...] uint8
    ahead_row: jax.Array  # [...] uint8
    ahead_column: jax.Array  # [...] uint8
    held_row: jax.Array  # [...] uint8
    held_column: jax.Array  # [...] uint8


@apart
def _decide(
    action: jax.Array, row: jax.Array, column: jax.Array, direction: jax.Array, hand: jax.Array, ahead: Ahead
) -> Moves:
    does_push = (action == FORWARD) & ahead.can_push
    does_move = does_push | ((action == FORWARD) & ahead.is_walkable & ahead.is_empty)
    does_pick_up = (action == PICK_UP) & ahead.is_loose & ~ahead.is_hand_full
    does_put_down = (action == PUT_DOWN) & ahead.can_put  # with an empty hand nothing moves
    turn = jnp.where(action == TURN_RIGHT, 1, jnp.where(action == TURN_LEFT, 3, 0)).astype(jnp.uint8)
    beyond_row, beyond_column = next_cell(ahead.row, ahead.column, direction)
    return Moves(
        agent_row=jnp.where(does_move, ahead.row, row),
        agent_column=jnp.where(does_move, ahead.column, column),
        agent_direction=(direction + turn) & 3,
        ahead_row=jnp.where(does_pick_up, hand, jnp.where(does_push, beyond_row, ahead.row)),
        ahead_column=jnp.where(does_pick_up, jnp.uint8(NOWHERE), jnp.where(does_push, beyond_column, ahead.column)),
        held_row=jnp.where(does_put_down, ahead.row, hand),
        held_column=jnp.where(does_put_down, ahead.column, jnp.uint8(NOWHERE)),
    )


def _is_at(scene: Scene, row: jax.Array, column: jax.Array) -> jax.Array:
    """[N, ...] bool: which objects are in a cell."""
    return (scene.object_row == row) & (scene.object_column == column)


def _is_door_at(task: Task, row: jax.Array, column: jax.Array) -> jax.Array:
    """[D, ...] bool: which doors are in a cell."""
    return (task.door_position[:, 0] == row) & (task.door_position[:, 1] == column)


def _has_agent(scene: Scene, row: jax.Array, column: jax.Array) -> jax.Array:
    return combine_slots((scene.agent_row == row) & (scene.agent_column == column))


def _toggle(task: Task, door_state: jax.Array, ahead: Ahead, does_toggle: jax.Array) -> jax.Array:
    """[D, ...] door states: closed opens, open closes when nobody stands in it, locked opens for the right key."""
    toggled = jnp.where(
        door_state == kinds.OPEN,
        jnp.where(ahead.is_empty, kinds.CLOSED, kinds.OPEN),
        jnp.where((door_state == kinds.CLOSED) | ahead.has_key, kinds.OPEN, kinds.LOCKED),
    )
    is_toggled = _is_door_at(task, ahead.row, ahead.column) & does_toggle
    return jnp.where(is_toggled, toggled.astype(jnp.uint8), door_state)
