"""Rooms: walls all across the grid, and a door between any two rooms that share one.

They are drawn as a few numbers, from which sets of cells are made. Rooms are numbered 3 * (row of rooms) + (column of
rooms), and there are twelve places where a door can be, so that they have the same shapes whatever their number.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.errors import ConfigError
from xworld.base.hashing import below, hash_words
from xworld.base.xla.fusion import apart
from xworld.base.xla.lookup import take
from xworld.core import kinds
from xworld.core.config import EnvConfig
from xworld.tasks import chance
from xworld.tasks.worlds import cell_sets
from xworld.tasks.worlds.config import ROOMS, WorldConfig

MIN_ROOM_SIDE = 3  # cells
_LAYOUTS = {
    1: ((1, 1),),
    2: ((1, 2), (2, 1)),
    4: ((2, 2),),
    6: ((2, 3), (3, 2)),
    9: ((3, 3),),
}  # rows, columns of rooms

# The rooms (row, column) that the door in each place joins: six doors in upright walls, then six in level ones.
_NORTH_OR_WEST = np.array([(i, j) for i in range(3) for j in range(2)] + [(i, j) for i in range(2) for j in range(3)])
IS_UPRIGHT = np.arange(12) < 6
_SOUTH_OR_EAST = _NORTH_OR_WEST + np.where(IS_UPRIGHT[:, None], (0, 1), (1, 0))
DOOR_ROOMS = np.stack([_NORTH_OR_WEST, _SOUTH_OR_EAST], axis=1) @ (3, 1)  # [12, 2] numbers of rooms


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Rooms:
    """Walls and doors. Walls include the outer ones; walls that are not there are in the last row and column."""

    wall_row: jax.Array  # [4] int32, ascending
    wall_column: jax.Array  # [4] int32
    has_door: jax.Array  # [12] bool
    door_row: jax.Array  # [12] int32
    door_column: jax.Array  # [12] int32
    door_colour: jax.Array  # [12] int32
    door_state: jax.Array  # [12] int32


@apart
def draw_rooms(env_config: EnvConfig, config: WorldConfig, dice: chance.Dice) -> Rooms:
    """As many rooms as the configuration asks for, walls and doors somewhere."""
    layouts = [layouts_that_fit(env_config, rooms) for rooms in room_numbers(env_config, config)]
    table = np.array([(several[0], several[-1]) for several in layouts])  # [rooms, 2, 2]
    row = below(dice.roll(), len(layouts))
    layout = 2 * row + below(dice.roll(), 2)
    num_rows, num_columns = (take(sizes, layout) for sizes in table.reshape(-1, 2).T)
    wall_row = _draw_walls(env_config.height, num_rows, dice.roll(2))
    wall_column = _draw_walls(env_config.width, num_columns, dice.roll(2))

    room_row, room_column = _NORTH_OR_WEST[:, 0], _NORTH_OR_WEST[:, 1]
    has_door = jnp.where(
        IS_UPRIGHT,
        (room_row < num_rows) & (room_column + 1 < num_columns),
        (room_row + 1 < num_rows) & (room_column < num_columns),
    )
    # A door is somewhere in its wall, between the two walls that this one runs to.
    north, south = take(wall_row, room_row), take(wall_row, room_row + 1)
    west, east = take(wall_column, room_column), take(wall_column, room_column + 1)
    start, end = jnp.where(IS_UPRIGHT, north, west), jnp.where(IS_UPRIGHT, south, east)
    along = chance.between(dice.roll(12), start + 1, jnp.maximum(end - 1, start + 1))
    colours = np.array([kinds.COLOURS.index(colour) for colour in config.door_colours])
    shuffled = take(colours, chance.shuffle(dice.roll(len(colours)), jnp.ones(len(colours), bool)))
    return Rooms(
        wall_row=wall_row,
        wall_column=wall_column,
        has_door=has_door,
        door_row=jnp.where(IS_UPRIGHT, along, south),
        door_column=jnp.where(IS_UPRIGHT, east, along),
        door_colour=take(shuffled, np.arange(12) % len(colours)),
        door_state=_draw_door_states(config, has_door, dice),
    )


def _draw_walls(size: int, num_rooms: jax.Array, bits: jax.Array) -> jax.Array:
    """[4] int32: where the walls across one axis are, for 1 to 3 rooms along it."""
    step = MIN_ROOM_SIDE + 1
    slack = jnp.maximum(size - 1 - step * num_rooms, 0)  # cells beyond what the rooms need
    drawn = chance.between(bits, 0, slack)
    first = jnp.where(num_rooms == 2, drawn[0], drawn.min()) + step
    second = drawn.max() + 2 * step
    last = size - 1
    return jnp.stack(
        [jnp.int32(0), jnp.where(num_rooms > 1, first, last), jnp.where(num_rooms > 2, second, last), jnp.int32(last)]
    )


def _draw_door_states(config: WorldConfig, has_door: jax.Array, dice: chance.Dice) -> jax.Array:
    """[12] int32. Of the doors that would be locked, `max_locked_doors` are, and the rest closed."""
    drawn = below(dice.roll(12), 100)
    is_locked = has_door & (drawn < config.locked_door_percent)
    is_shut = drawn < config.locked_door_percent + config.closed_door_percent
    is_locked &= chance.shuffle(dice.roll(12), is_locked) < config.max_locked_doors
    return jnp.where(is_locked, kinds.LOCKED, jnp.where(is_shut & has_door, kinds.CLOSED, kinds.OPEN))


def one_room(env_config: EnvConfig) -> Rooms:
    """The room that fills the grid."""
    no_doors = jnp.zeros(12, jnp.int32)
    row, column = (jnp.array([0, size - 1, size - 1, size - 1]) for size in (env_config.height, env_config.width))
    return Rooms(row, column, jnp.zeros(12, bool), no_doors, no_doors, no_doors, no_doors)


def hash_doors(rooms: Rooms) -> jax.Array:
    """[] uint32 of where doors of which colours are. What state they are in is left out."""
    door = (rooms.door_row << 16) | (rooms.door_column << 8) | rooms.door_colour
    return jnp.where(rooms.has_door, hash_words(door), 0).sum(dtype=jnp.uint32)


def room_floor(env_config: EnvConfig, rooms: Rooms) -> jax.Array:
    """The set of the cells of all rooms."""
    like = cell_sets.empty(env_config.height, env_config.width)
    is_wall_row = (jnp.arange(env_config.height)[:, None] == rooms.wall_row).any(axis=1)
    walls = jax.lax.reduce_or(jax.vmap(partial(cell_sets.column_bits, like))(rooms.wall_column), (0,))
    inner = cell_sets.box(like, 0, env_config.height - 1, 0, env_config.width - 1) & ~walls
    return jnp.where(is_wall_row[:, None], 0, inner)


@apart
def room_cells(env_config: EnvConfig, rooms: Rooms, is_in: jax.Array) -> jax.Array:
    """The set of the cells of those rooms that are true in the [9] mask."""
    like = cell_sets.empty(env_config.height, env_config.width)
    i, j = np.divmod(np.arange(9), 3)
    top, bottom = take(rooms.wall_row, i) + 1, take(rooms.wall_row, i + 1) - 1
    left, right = take(rooms.wall_column, j) + 1, take(rooms.wall_column, j + 1) - 1
    cells = jax.vmap(partial(cell_sets.box, like))(top, bottom, left, right)  # [9, H, K]
    return cell_sets.union(jnp.where(is_in[:, None, None], cells, 0))


@apart
def beside_doors(env_config: EnvConfig, rooms: Rooms) -> jax.Array:
    """The set of cells next to a door."""
    like = cell_sets.empty(env_config.height, env_config.width)
    row = jnp.where(rooms.has_door, rooms.door_row, -1)
    return cell_sets.spread(cell_sets.union(jax.vmap(partial(cell_sets.point, like))(row, rooms.door_column)))


@apart
def unlocked_part(rooms: Rooms, row: jax.Array, column: jax.Array) -> jax.Array:
    """[9] bool: the rooms that can be reached from a floor cell without passing a locked door."""
    room = 3 * ((rooms.wall_row[1:3] < row).sum()) + (rooms.wall_column[1:3] < column).sum()
    is_passable = rooms.has_door & (rooms.door_state != kinds.LOCKED)
    ends = jnp.arange(9) == DOOR_ROOMS[:, :, None]  # [12, 2, 9]
    touches = ends.any(axis=1)

    def walk_on(_: int, reached: jax.Array) -> jax.Array:
        opens = is_passable & (touches & reached).any(axis=1)  # [12]
        return reached | (opens[:, None] & touches).any(axis=0)

    return jax.lax.fori_loop(0, 8, walk_on, jnp.arange(9) == room)


def room_numbers(env_config: EnvConfig, config: WorldConfig) -> tuple[int, ...]:
    """The numbers of rooms that worlds have.

    Raises:
      ConfigError: what the configuration asks for, or even one room, does not fit the grid.
    """
    if config.rooms is None:
        fitting = tuple(rooms for rooms in ROOMS if layouts_that_fit(env_config, rooms))
        if not fitting:
            raise ConfigError(
                f"A grid of {env_config.height} x {env_config.width} cells is too small for a room with walls around "
                f"it. Use at least {MIN_ROOM_SIDE + 2} x {MIN_ROOM_SIDE + 2}."
            )
        return fitting
    for rooms in config.rooms:
        if not layouts_that_fit(env_config, rooms):
            raise ConfigError(
                f"{rooms} rooms do not fit a grid of {env_config.height} x {env_config.width} cells with "
                f"{env_config.max_doors} doors: a room is at least {MIN_ROOM_SIDE} x {MIN_ROOM_SIDE} cells, and any "
                f"two rooms side by side have a door. Leave {rooms} out of rooms, or raise EnvConfig.height, width or "
                "max_doors."
            )
    return config.rooms


def layouts_that_fit(env_config: EnvConfig, rooms: int) -> list[tuple[int, int]]:
    """The (rows, columns) in which so many rooms can lie."""
    step = MIN_ROOM_SIDE + 1
    return [
        (rows, columns)
        for rows, columns in _LAYOUTS[rooms]
        if rows * step < env_config.height
        and columns * step < env_config.width
        and num_doors(rows, columns) <= env_config.max_doors
    ]


def num_doors(rows: int, columns: int) -> int:
    """Doors in a world of rows x columns rooms."""
    return rows * (columns - 1) + (rows - 1) * columns


def all_layouts(env_config: EnvConfig, config: WorldConfig) -> list[tuple[int, int]]:
    """The (rows, columns) of rooms that worlds have."""
    return [layout for rooms in room_numbers(env_config, config) for layout in layouts_that_fit(env_config, rooms)]


def num_locked(config: WorldConfig, rows: int, columns: int) -> int:
    """Locked doors, and so keys, in a world of rows x columns rooms at most."""
    return min(config.max_locked_doors, num_doors(rows, columns)) if config.locked_door_percent else 0


def max_keys(env_config: EnvConfig, config: WorldConfig) -> int:
    """Locked doors in a world at most."""
    if "rooms" not in config.kinds:
        return 0
    return max(num_locked(config, *layout) for layout in all_layouts(env_config, config))
