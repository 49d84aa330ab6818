"""Caves in rock, and islands in water: places here and there, and ways that join them all."""

import jax
import jax.numpy as jnp

from xworld.base.hashing import below
from xworld.core.config import EnvConfig
from xworld.tasks import chance
from xworld.tasks.worlds import cell_sets
from xworld.tasks.worlds.config import WorldConfig
from xworld.tasks.worlds.plans import WorldPlan, boxes, draw_patches, draw_points, inside, make_plan

_CAVE_LOT_SIZE, _ISLAND_LOT_SIZE = 5, 4  # cells; in each lot of about this size there is a place, or ways meet
_CAVE_PLACE_PERCENT = 40
_SMOOTHINGS = 2


def draw_cave(env_config: EnvConfig, config: WorldConfig, dice: chance.Dice) -> WorldPlan:
    """Hollows of all shapes: random rock, smoothed, with ways dug between blocks of 3 x 3 cells.

    Source: the cellular automaton for caves of Johnson, Yannakakis and Togelius 2010.
    """
    cells = inside(env_config)
    places, ways = _draw_places_and_ways(env_config, _CAVE_LOT_SIZE, _CAVE_PLACE_PERCENT, dice)
    dug = places | ways
    rock = ~dug & (~cells | cell_sets.sprinkle(dice, cells, config.cave_rock_percent))
    for _ in range(_SMOOTHINGS):
        rock = (cell_sets.crowded(rock) | ~cells) & ~dug
    return make_plan(env_config, cells & ~rock, start=dug, pattern=draw_patches(cells, dice))


def draw_islands(env_config: EnvConfig, config: WorldConfig, dice: chance.Dice) -> WorldPlan:
    """Islands with blocks of 3 x 3 cells in them, some with more of a coast, and bridges one cell wide."""
    cells = inside(env_config)
    places, bridges = _draw_places_and_ways(env_config, _ISLAND_LOT_SIZE, config.island_percent, dice)
    land = places | (cell_sets.spread(places) & cells & cell_sets.sprinkle(dice, cells, config.island_coast_percent))
    floor = land | bridges
    everything = cell_sets.box(cells, 0, env_config.height - 1, 0, env_config.width - 1)
    return make_plan(env_config, floor, water=everything & ~floor, pattern=bridges & ~land)


def _draw_places_and_ways(
    env_config: EnvConfig, lot_size: int, place_percent: int, dice: chance.Dice
) -> tuple[jax.Array, jax.Array]:
    """Blocks of 3 x 3 cells round points in some lots, one at least, and ways one cell wide between all the points.

    They join each point to that of the lot in the north or in the west.
    """
    like = cell_sets.empty(env_config.height, env_config.width)
    rows, columns = draw_points(env_config, lot_size, dice)
    is_place = chance.happens(dice.roll(*rows.shape), place_percent)
    is_place |= jnp.arange(rows.size).reshape(rows.shape) == below(dice.roll(), rows.size)
    last_row = jnp.where(is_place, rows + 1, rows - 2)  # a box without rows
    places = boxes(like, *(edge.reshape(-1) for edge in (rows - 1, last_row, columns - 1, columns + 1)))

    north, west = ((jnp.roll(rows, 1, axis), jnp.roll(columns, 1, axis)) for axis in (0, 1))
    i, j = jnp.indices(rows.shape)
    is_north = (i > 0) & ((j == 0) | (dice.roll(*rows.shape) >> 31 == 1))
    # The first lot is joined to itself, which is no way at all.
    to_row = jnp.where(is_north, north[0], jnp.where(j > 0, west[0], rows)).reshape(-1)
    to_column = jnp.where(is_north, north[1], jnp.where(j > 0, west[1], columns)).reshape(-1)
    row, column = rows.reshape(-1), columns.reshape(-1)
    # Along the row and then along the column, or the other way round.
    is_row_first = dice.roll(*row.shape) >> 31 == 1
    corner_row, corner_column = jnp.where(is_row_first, row, to_row), jnp.where(is_row_first, to_column, column)
    legs = [
        boxes(like, *(function(a, b) for a, b in pairs for function in (jnp.minimum, jnp.maximum)))
        for pairs in (
            ((row, corner_row), (column, corner_column)),
            ((corner_row, to_row), (corner_column, to_column)),
        )
    ]
    return places, legs[0] | legs[1]
