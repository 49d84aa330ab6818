"""What the agents' actions do to the scene (the first part of a step)."""

import dataclasses

import jax
import jax.numpy as jnp

from xworld.core import kinds
from xworld.core.config import EnvConfig
from xworld.core.slots import any_slot, walk_slots
from xworld.core.terrain import can_hold_object, next_cell, read_cells, terrain_type
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
    ahead_row, ahead_column = next_cell(row, column, direction)
    ahead = read_cells(task.terrain, ahead_row, ahead_column)

    beyond_row, beyond_column = next_cell(ahead_row, ahead_column, direction)
    hand = jnp.asarray(HAND + HAND_STEP * agent, jnp.uint8)
    key = kinds.KEY * 16 + (ahead & 15)  # that would open a door ahead

    def survey(found: tuple[jax.Array, ...], thing: tuple[jax.Array, ...], _: jax.Array) -> tuple[jax.Array, ...]:
        kind, row, column, frozen = thing
        is_ahead = (row == ahead_row) & (column == ahead_column)
        is_beyond = (row == beyond_row) & (column == beyond_column)
        is_held = row == hand
        now = (is_ahead, is_ahead & (frozen == 0), is_beyond, is_held, is_held & (kind == key))
        return tuple(old | new for old, new in zip(found, now, strict=True))

    things: tuple[jax.Array, ...] = (
        scene.object_kind,
        scene.object_row,
        scene.object_column,
        scene.object_frozen,
    )
    nothing: tuple[jax.Array, ...] = (jnp.asarray(False),) * 5
    has_object, is_loose, has_object_beyond, is_hand_full, has_key = walk_slots(survey, nothing, things)
    is_ahead_empty = ~has_object & ~_has_agent(scene, ahead_row, ahead_column)

    is_door_ahead = (task.door_position[:, 0] == ahead_row) & (task.door_position[:, 1] == ahead_column)  # [D]
    is_door_open = ~any_slot(is_door_ahead & (scene.door_state != kinds.OPEN))
    ahead_type = terrain_type(ahead)
    is_walkable = (ahead_type == kinds.FLOOR) | ((ahead_type == kinds.DOOR) & is_door_open)

    does_walk = (action == FORWARD) & is_walkable & is_ahead_empty
    does_push = jnp.asarray(False)
    if config.push:
        is_beyond_free = can_hold_object(read_cells(task.terrain, beyond_row, beyond_column))
        is_beyond_free &= ~has_object_beyond & ~_has_agent(scene, beyond_row, beyond_column)
        does_push = (action == FORWARD) & is_walkable & is_loose & is_beyond_free
    does_move = does_walk | does_push
    turn = jnp.where(action == TURN_RIGHT, 1, jnp.where(action == TURN_LEFT, 3, 0)).astype(jnp.uint8)

    does_pick_up = (action == PICK_UP) & ~is_hand_full & is_loose
    does_put_down = (action == PUT_DOWN) & can_hold_object(ahead) & is_ahead_empty  # with an empty hand nothing moves
    is_ahead = (scene.object_row == ahead_row) & (scene.object_column == ahead_column)  # [N]
    is_taken, is_pushed = is_ahead & does_pick_up, is_ahead & does_push
    is_put = (scene.object_row == hand) & does_put_down

    def place(old: jax.Array, taken: jax.Array | int, pushed: jax.Array, put: jax.Array) -> jax.Array:
        return jnp.where(is_taken, jnp.uint8(taken), jnp.where(is_pushed, pushed, jnp.where(is_put, put, old)))

    return dataclasses.replace(
        scene,
        agent_row=scene.agent_row.at[agent].set(jnp.where(does_move, ahead_row, row)),
        agent_column=scene.agent_column.at[agent].set(jnp.where(does_move, ahead_column, column)),
        agent_direction=scene.agent_direction.at[agent].set((direction + turn) & 3),
        object_row=place(scene.object_row, hand, beyond_row, ahead_row),
        object_column=place(scene.object_column, NOWHERE, beyond_column, ahead_column),
        door_state=_toggle(scene.door_state, is_door_ahead & (action == TOGGLE), is_ahead_empty, has_key),
    )


def _has_agent(scene: Scene, row: jax.Array, column: jax.Array) -> jax.Array:
    return any_slot((scene.agent_row == row) & (scene.agent_column == column))


def _toggle(door_state: jax.Array, is_toggled: jax.Array, is_empty: jax.Array, has_key: jax.Array) -> jax.Array:
    """[D] door states: closed opens, open closes when nobody stands in it, locked opens for the right key."""
    toggled = jnp.where(
        door_state == kinds.OPEN,
        jnp.where(is_empty, kinds.CLOSED, kinds.OPEN),
        jnp.where((door_state == kinds.CLOSED) | has_key, kinds.OPEN, kinds.LOCKED),
    )
    return jnp.where(is_toggled, toggled.astype(jnp.uint8), door_state)
