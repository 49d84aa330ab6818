"""Houses of rooms, kitchens full of counters, and wide fields with this and that in the way."""

import jax
import jax.numpy as jnp

from xworld.core.config import EnvConfig
from xworld.tasks import chance
from xworld.tasks.worlds import cell_sets
from xworld.tasks.worlds.config import WorldConfig
from xworld.tasks.worlds.plans import WorldPlan, boxes, draw_clearing, draw_patches, draw_points, inside, make_plan
from xworld.tasks.worlds.rooms import draw_rooms, room_cells, room_floor

_LOT_SIZE = 5  # cells; there is at most one block of counters in each lot of about this size
_MIN_SIDE_SPLIT = 9  # cells of a side from which on a kitchen can be split


def draw_house(env_config: EnvConfig, config: WorldConfig, dice: chance.Dice) -> WorldPlan:
    """Rooms. Some of them have the second colour, and a single room has a rug."""
    rooms = draw_rooms(env_config, config, dice)
    floor = room_floor(env_config, rooms)
    nothing = jnp.zeros_like(floor)
    rows, columns = (chance.between(dice.roll(2), 1, size - 2) for size in (env_config.height, env_config.width))
    rug = cell_sets.box(floor, rows.min(), rows.max(), columns.min(), columns.max())
    is_coloured = dice.roll(9) >> 31 == 1
    pattern = jnp.where(rooms.has_door.any(), room_cells(env_config, rooms, is_coloured), rug)
    return WorldPlan(rooms, floor, counter=nothing, water=nothing, start=floor, pattern=pattern)


def draw_kitchen(env_config: EnvConfig, config: WorldConfig, dice: chance.Dice) -> WorldPlan:
    """Counters all around, blocks of them with aisles between, and maybe a counter right across with a gap.

    Blocks have at least one cell of floor all around, so that they cut nothing off.
    """
    height, width = env_config.height, env_config.width
    cells = inside(env_config)
    across, aisle = _draw_counter_across(env_config, config, dice)
    blocks = _draw_blocks(env_config, config, dice) & ~aisle
    counter = (across | blocks) & ~draw_clearing(env_config, dice)
    # Nobody can stand beside a corner.
    edge = cell_sets.box(cells, 0, height - 1, 1, width - 2) | cell_sets.box(cells, 1, height - 2, 0, width - 1)
    is_even = jnp.arange(height)[:, None] % 2 == 0
    tiles = jnp.where(is_even, jnp.uint32(0x55555555), jnp.uint32(0xAAAAAAAA)).astype(cells.dtype)
    return make_plan(env_config, cells & ~counter, counter=(edge & ~cells) | counter, pattern=tiles & cells)


def _draw_counter_across(env_config: EnvConfig, config: WorldConfig, dice: chance.Dice) -> tuple[jax.Array, jax.Array]:
    """A line of counters from side to side but for a gap, and the cells beside it, which are to stay free; or none."""
    cells = inside(env_config)
    height, width = env_config.height, env_config.width
    may_lie, may_stand = height >= _MIN_SIDE_SPLIT, width >= _MIN_SIDE_SPLIT
    if not (may_lie or may_stand):
        return jnp.zeros_like(cells), jnp.zeros_like(cells)
    lies = (dice.roll() >> 31 == 1) if may_lie and may_stand else jnp.asarray(may_lie)
    place, gap = dice.roll(), dice.roll()
    row, row_gap = chance.between(place, 3, height - 4), chance.between(gap, 1, height - 3)
    column, column_gap = chance.between(place, 3, width - 4), chance.between(gap, 1, width - 3)
    line = jnp.where(
        lies, cell_sets.box(cells, row, row, 1, width - 2), cell_sets.box(cells, 1, height - 2, column, column)
    )
    hole = jnp.where(
        lies,
        cell_sets.box(cells, row, row, column_gap, column_gap + 1),
        cell_sets.box(cells, row_gap, row_gap + 1, column, column),
    )
    is_there = chance.happens(dice.roll(), config.kitchen_split_percent)
    line = jnp.where(is_there, line, 0)
    return line & ~hole, cell_sets.spread(line)


def _draw_blocks(env_config: EnvConfig, config: WorldConfig, dice: chance.Dice) -> jax.Array:
    """Blocks of 1 x 1 to 3 x 3 counters, none in the outermost cells of its lot."""
    rows, columns = zip(*(draw_points(env_config, _LOT_SIZE, dice) for _ in range(2)), strict=True)
    is_there = chance.happens(dice.roll(*rows[0].shape), config.kitchen_block_percent)
    top, left, right = jnp.minimum(*rows), jnp.minimum(*columns), jnp.maximum(*columns)
    bottom = jnp.where(is_there, jnp.maximum(*rows), top - 1)
    return boxes(inside(env_config), *(edge.reshape(-1) for edge in (top, bottom, left, right)))


def draw_field(env_config: EnvConfig, config: WorldConfig, dice: chance.Dice) -> WorldPlan:
    """One large room with pillars, pools of up to 5 cells and counters of up to 3, and a block of 3 x 3 free cells."""
    cells = inside(env_config)
    clearing = draw_clearing(env_config, dice)
    free = cells & ~clearing
    pools = cell_sets.sprinkle(dice, cells, config.field_pool_percent)
    water = free & (pools | (cell_sets.spread(pools) & cell_sets.sprinkle(dice, cells, 60)))
    ends = cell_sets.sprinkle(dice, cells, config.field_counter_percent)
    _, east, south, _ = cell_sets.neighbours(ends)
    is_upright = dice.roll(*cells.shape).astype(cells.dtype)
    counter = free & ~water & (ends | (east & ~is_upright) | (south & is_upright))
    pillars = free & ~water & ~counter & cell_sets.sprinkle(dice, cells, config.field_pillar_percent)
    return make_plan(
        env_config,
        cells & ~water & ~counter & ~pillars,
        counter=counter,
        water=water,
        start=clearing,
        pattern=draw_patches(cells, dice),
    )
