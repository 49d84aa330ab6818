"""The square of cells an agent looks at, in its own frame: forward is up, it stands in the middle of the last row."""

import functools
import operator
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.xla.fusion import apart
from xworld.core import kinds
from xworld.core.config import EnvConfig
from xworld.core.step.slots import count_slots
from xworld.core.step.terrain import read_cells, select_direction, terrain_type
from xworld.core.types import Task

OUT_OF_VIEW = 255


@apart
def look(
    config: EnvConfig, task: Task, door_state: jax.Array, row: jax.Array, column: jax.Array, direction: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The terrain an agent has before it, and which of these cells it can see.

    Returns:
      [V * V, ...] uint8 terrain with door states in the type (5 open, 6 closed, 7 locked), not yet masked, row by row;
      [V * V, ...] bool, whether the cell is visible and inside the grid.
    """
    size = config.view_size
    shape = (size * size, *(1,) * row.ndim)
    forward = np.repeat(np.arange(size, dtype=np.uint8)[::-1], size).reshape(shape)
    right = np.tile(np.arange(size, dtype=np.uint8) - np.uint8(size // 2), size).reshape(shape)
    cell_row = row + select_direction(direction, (-forward, right, forward, -right))
    cell_column = column + select_direction(direction, (right, forward, -right, -forward))
    cells = read_cells(task.terrain, cell_row, cell_column)
    door_cell = view_cell(config, row, column, direction, task.door_position[:, 0], task.door_position[:, 1])
    cells = draw(cells, door_cell, door_state << 4)

    is_visible = terrain_type(cells) != kinds.VOID
    if not config.see_through_walls:
        is_visible &= _in_sight(config, cells)
    return cells, is_visible


def view_cell(
    config: EnvConfig,
    row: jax.Array,
    column: jax.Array,
    direction: jax.Array,
    thing_row: jax.Array,
    thing_column: jax.Array,
) -> jax.Array:
    """[X, ...] uint8: in which cell of the view of an agent at (row, column) X things are, row by row, or 255."""
    size = config.view_size
    south, east = thing_row - row, thing_column - column  # wrap: 255 is one less
    forward = select_direction(direction, (-south, east, south, -east))
    right = select_direction(direction, (east, south, -east, -south)) + jnp.uint8(size // 2)
    is_in_view = (forward < size) & (right < size)
    return jnp.where(is_in_view, (jnp.uint8(size - 1) - forward) * jnp.uint8(size) + right, OUT_OF_VIEW)


@apart
def draw(cells: jax.Array, thing_cell: jax.Array, thing_code: jax.Array) -> jax.Array:
    """[V * V, ...] uint8 `cells` with the codes of X things added in; at most one thing is in a cell."""
    index = count_slots(cells.shape[0], cells[0])
    for cell, code in zip(thing_cell, thing_code, strict=True):
        cells += jnp.where(index == cell, code, 0)
    return cells


def _in_sight(config: EnvConfig, cells: jax.Array) -> jax.Array:
    """[V * V, ...] bool: every cell strictly between the agent and this one can be seen through."""
    size = config.view_size
    kind = terrain_type(cells)
    # A closed or locked door's type is higher by its state.
    is_clear = (kind == kinds.FLOOR) | (kind == kinds.COUNTER) | (kind == kinds.WATER) | (kind == kinds.DOOR)

    def is_clear_to(view_row: int, view_column: int) -> jax.Array:
        between = cells_between(size - 1 - view_row, view_column - size // 2)
        clear = [is_clear[(size - 1 - forward) * size + right + size // 2] for forward, right in between]
        return functools.reduce(operator.and_, clear, jnp.ones_like(is_clear[0]))

    return jnp.stack([is_clear_to(row, column) for row in range(size) for column in range(size)])


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
