"""Shortest ways over poses: how many actions an agent that stands somewhere and faces somewhere needs.

A pose is (row, column, direction). Arrays over poses are [..., H, W, 4]; arrays over cells are [..., H, W].
"""

import jax
import jax.numpy as jnp

from xworld.core import kinds
from xworld.core.step.terrain import can_hold_object, terrain_type
from xworld.core.types import Task

FAR = 60_000  # more actions than any way takes; fits uint16 with room for a sum


def pose_costs(is_walkable: jax.Array, finish: jax.Array) -> jax.Array:
    """[H, W, 4] uint16: the fewest actions from each pose to the end, `FAR` where there is no way.

    Turns and steps cost 1. Relaxed until nothing changes, which takes as many rounds as the longest way has actions.

    Args:
      is_walkable: [H, W] bool, cells that can be entered.
      finish: [H, W, 4] uint16, actions to the end from a pose without moving on, `FAR` where that is not possible.
    """

    def improve(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        costs, _ = carry
        better = jnp.minimum(costs, costs_after_moves(costs, is_walkable).min(axis=0) + 1)
        return better, (better != costs).any()

    return jax.lax.while_loop(lambda carry: carry[1], improve, (finish, jnp.asarray(True)))[0]


def costs_after_moves(costs: jax.Array, is_walkable: jax.Array) -> jax.Array:
    """[3, ..., H, W, 4]: what remains to be paid after action 0 forward, 1 turn right, 2 turn left."""
    enterable = jnp.where(is_walkable[..., None], costs, FAR).astype(costs.dtype)
    forward = jnp.stack([_ahead(enterable[..., d], d, FAR) for d in range(4)], axis=-1)
    return jnp.stack([forward, jnp.roll(costs, -1, axis=-1), jnp.roll(costs, 1, axis=-1)])


def in_front(cells: jax.Array) -> jax.Array:
    """[..., H, W, 4] bool: the value of a [..., H, W] bool array in the cell ahead of each pose; False outside."""
    return jnp.stack([_ahead(cells, direction, False) for direction in range(4)], axis=-1)


def _ahead(cells: jax.Array, direction: int, outside: int) -> jax.Array:
    """[..., H, W]: the value one cell further in `direction`, `outside` beyond the grid."""
    height, width = cells.shape[-2:]
    margin = [(0, 0)] * (cells.ndim - 2) + [(1, 1), (1, 1)]
    padded = jnp.pad(cells, margin, constant_values=outside)
    row, column = ((0, 1), (1, 2), (2, 1), (1, 0))[direction]
    return padded[..., row : row + height, column : column + width]


def cells_of(row: jax.Array, column: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """[..., H, W] bool: which cell of an H x W grid each thing is in; none when it is nowhere."""
    height, width = shape
    return (row[..., None, None] == jnp.arange(height)[:, None]) & (column[..., None, None] == jnp.arange(width))


def walkable_terrain(task: Task, door_state: jax.Array) -> jax.Array:
    """[H, W] bool: floor and open doors."""
    is_shut = door_state != kinds.OPEN
    doors = cells_of(task.door_position[:, 0], task.door_position[:, 1], task.terrain.shape)
    kind = terrain_type(task.terrain)
    return (kind == kinds.FLOOR) | ((kind == kinds.DOOR) & ~(doors & is_shut[:, None, None]).any(axis=0))


def storable_terrain(task: Task) -> jax.Array:
    """[H, W] bool: where an object can lie."""
    return can_hold_object(task.terrain)
