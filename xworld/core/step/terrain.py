"""What a cell is made of and what that allows; reading cells by coordinates that may lie outside the grid."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from xworld.core import kinds

# (rows, columns) of one cell in direction 0 north, 1 east, 2 south, 3 west; uint8 arithmetic wraps, so 255 is -1.
_DELTA_ROW = tuple(np.array([255, 0, 1, 0], np.uint8))
_DELTA_COLUMN = tuple(np.array([0, 1, 0, 255], np.uint8))


def select_direction(direction: jax.Array, cases: Sequence[jax.Array | np.ndarray | np.uint8]) -> jax.Array:
    """`cases[direction]`, as selects, which vectorise where a gather does not."""
    north, east, south, west = cases
    return jnp.where(direction < 2, jnp.where(direction == 0, north, east), jnp.where(direction == 2, south, west))


def next_cell(row: jax.Array, column: jax.Array, direction: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The cell one step ahead; beyond the north or west edge coordinates wrap to 255, which is outside every grid."""
    return (
        row + select_direction(direction, _DELTA_ROW),
        column + select_direction(direction, _DELTA_COLUMN),
    )


def read_cells(grid: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
    """[X, ...]: the cells of an [H, W, ...] grid at uint8 coordinates [X, ...], 0 (void) outside the grid."""
    height, width, *batch = grid.shape
    num_envs = math.prod(batch)
    env = jax.lax.iota(jnp.int32, num_envs).reshape(batch)
    inside = (row < height) & (column < width)
    cell = jnp.where(inside, row.astype(jnp.int32) * width + column, 0)
    # One flat index per cell is read fastest.
    value = grid.reshape(-1).at[cell * num_envs + env].get(mode="promise_in_bounds")
    return jnp.where(inside, value, 0)


def terrain_type(terrain: jax.Array) -> jax.Array:
    """The type of terrain bytes, without their colour."""
    return terrain >> 4


def can_hold_object(terrain: jax.Array) -> jax.Array:
    """Whether an object can lie on such terrain."""
    kind = terrain_type(terrain)
    return (kind == kinds.FLOOR) | (kind == kinds.COUNTER)
