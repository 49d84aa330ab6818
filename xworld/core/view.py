"""The square of cells an agent looks at, in its own frame: forward is up, and it stands in the middle of the last row."""

from functools import cache

import jax
import jax.numpy as jnp

from xworld.core import kinds
from xworld.core.config import EnvConfig
from xworld.core.terrain import read_cells, select_direction, terrain_type
from xworld.core.types import Task


def look(
    config: EnvConfig, task: Task, door_state: jax.Array, row: jax.Array, column: jax.Array, direction: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The terrain an agent has before it, and which of these cells it can see.

    Returns:
      [V, V] uint8 terrain with door states in the type (5 open, 6 closed, 7 locked), not yet masked;
      [V, V] bool, whether the cell is visible and inside the grid.
    """
    size = config.view_size
    forward = jnp.broadcast_to(jnp.arange(size, dtype=jnp.uint8)[::-1, None], (size, size))
    right = jnp.broadcast_to(jnp.arange(size, dtype=jnp.uint8)[None, :] - jnp.uint8(size // 2), (size, size))
    cell_row = row + select_direction(direction, (-forward, right, forward, -right))
    cell_column = column + select_direction(direction, (right, forward, -right, -forward))
    cells = read_cells(task.terrain, cell_row, cell_column)

    is_door = place_in_view(config, row, column, direction, task.door_position[:, 0], task.door_position[:, 1])
    cells += jnp.where(is_door, door_state << 4, 0).sum(-1, dtype=jnp.uint8)  # at most one door in a cell

    is_visible = terrain_type(cells) != kinds.VOID
    if not config.see_through_walls:
        is_visible &= _in_sight(config, cells)
    return cells, is_visible


def place_in_view(
    config: EnvConfig,
    row: jax.Array,
    column: jax.Array,
    direction: jax.Array,
    thing_row: jax.Array,
    thing_column: jax.Array,
) -> jax.Array:
    """[V, V, X] bool: which of X things is in which cell of the view of an agent at (row, column)."""
    south, east = thing_row - row, thing_column - column  # wrap: 255 is one less
    forward = select_direction(direction, (-south, east, south, -east))
    right = select_direction(direction, (east, south, -east, -south))
    size = config.view_size
    view_row = (jnp.uint8(size - 1) - forward)[None, None, :]
    view_column = (right + jnp.uint8(size // 2))[None, None, :]
    index = jnp.arange(size, dtype=jnp.uint8)
    return (index[:, None, None] == view_row) & (index[None, :, None] == view_column)


def _in_sight(config: EnvConfig, cells: jax.Array) -> jax.Array:
    """[V, V] bool: every cell strictly between the agent and this one can be seen through."""
    size = config.view_size
    kind = terrain_type(cells)
    is_clear = (
        (kind == kinds.FLOOR) | (kind == kinds.COUNTER) | (kind == kinds.WATER) | (kind == kinds.DOOR)
    )  # a closed door's type is higher by its state
    rows = []
    for view_row in range(size):
        row = []
        for view_column in range(size):
            visible = jnp.ones((), bool)
            for between in cells_between(size - 1 - view_row, view_column - size // 2):
                visible &= is_clear[size - 1 - between[0], between[1] + size // 2]
            row.append(visible)
        rows.append(jnp.stack(row))
    return jnp.stack(rows)


@cache
def cells_between(forward: int, right: int) -> tuple[tuple[int, int], ...]:
    """Offsets (forward, right) of the cells that can hide the cell at this offset from the agent.

    With n the longer of the two distances these are (f * s / n, r * s / n) for s in 1..n-1, rounded to the nearest,
    halves toward zero.
    """
    n = max(forward, abs(right))
    return tuple((_round(forward * s, n), _round(right * s, n)) for s in range(1, n))


def _round(numerator: int, denominator: int) -> int:
    """numerator / denominator to the nearest integer, halves toward zero."""
    magnitude = -((denominator - 2 * abs(numerator)) // (2 * denominator))  # ceil(|x| - 1/2)
    return magnitude if numerator >= 0 else -magnitude
