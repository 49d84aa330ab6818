"""Worlds of rooms: walls all across the grid, and a door between any two rooms that share one.

A world is drawn as a few numbers, so that drawing again until one is of the right split costs little; `build_terrain`
makes the cells of it. Rooms are numbered 3 * (row of rooms) + (column of rooms), and so are the twelve places where a
door can be, so that all worlds have the same shapes.
"""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from xworld.core import kinds
from xworld.core.config import EnvConfig
from xworld.core.hashing import Word, below, hash_words
from xworld.errors import ConfigError
from xworld.tasks import chance
from xworld.tasks.cell_sets import box, num_words, point, spread
from xworld.tasks.world_config import ROOMS, WorldConfig

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
class World:
    """Walls and doors. Walls include the outer ones; walls that are not there are in the last row and column."""

    wall_row: jax.Array  # [4] int32, ascending
    wall_column: jax.Array  # [4] int32
    has_door: jax.Array  # [12] bool
    door_row: jax.Array  # [12] int32
    door_column: jax.Array  # [12] int32
    door_colour: jax.Array  # [12] int32
    door_state: jax.Array  # [12] int32


def draw_world(env_config: EnvConfig, config: WorldConfig, world_id: Word, attempt: Word) -> World:
    """The world an id names at an attempt."""
    dice = chance.Dice(chance.WORLD, attempt, world_id)
    layouts = [layouts_that_fit(env_config, rooms) for rooms in world_rooms(env_config, config)]
    table = np.array([(several[0], several[-1]) for several in layouts])  # [rooms, 2, 2]
    row = below(dice.roll(), len(layouts))
    num_rows, num_columns = jnp.asarray(table)[row, below(dice.roll(), 2)]
    wall_row = _draw_walls(env_config.height, num_rows, dice.roll(2))
    wall_column = _draw_walls(env_config.width, num_columns, dice.roll(2))

    room_row, room_column = _NORTH_OR_WEST[:, 0], _NORTH_OR_WEST[:, 1]
    has_door = jnp.where(
        IS_UPRIGHT,
        (room_row < num_rows) & (room_column + 1 < num_columns),
        (room_row + 1 < num_rows) & (room_column < num_columns),
    )
    # A door is somewhere in its wall, between the two walls that this one runs to.
    start = jnp.where(IS_UPRIGHT, wall_row[room_row], wall_column[room_column])
    end = jnp.where(IS_UPRIGHT, wall_row[room_row + 1], wall_column[room_column + 1])
    along = chance.between(dice.roll(12), start + 1, jnp.maximum(end - 1, start + 1))
    colours = np.array([kinds.COLOURS.index(colour) for colour in config.door_colours])
    shuffled = jnp.asarray(colours)[chance.shuffle(dice.roll(len(colours)), jnp.ones(len(colours), bool))]
    return World(
        wall_row=wall_row,
        wall_column=wall_column,
        has_door=has_door,
        door_row=jnp.where(IS_UPRIGHT, along, wall_row[room_row + 1]),
        door_column=jnp.where(IS_UPRIGHT, wall_column[room_column + 1], along),
        door_colour=shuffled[np.arange(12) % len(colours)],
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


def world_hash(env_config: EnvConfig, world: World) -> jax.Array:
    """[] uint32 of the terrain: walls and coloured doors. What state the doors are in is left out."""
    walls = jnp.concatenate([world.wall_row, world.wall_column]).astype(jnp.uint32)
    door = (world.door_row << 16) | (world.door_column << 8) | world.door_colour
    doors = jnp.where(world.has_door, hash_words(door), 0).sum(dtype=jnp.uint32)
    places = hash_words(jnp.arange(8), walls).sum(dtype=jnp.uint32)
    return hash_words(env_config.height, env_config.width, places, doors)


def has_several_rooms(world: World) -> jax.Array:
    """[] bool."""
    return world.has_door.any()


def build_terrain(env_config: EnvConfig, world: World) -> jax.Array:
    """[H, W] uint8 terrain, floors black."""
    rows, columns = jnp.arange(env_config.height), jnp.arange(env_config.width)
    is_wall_row = (rows[:, None] == world.wall_row).any(axis=1)
    is_wall_column = (columns[:, None] == world.wall_column).any(axis=1)
    is_wall = is_wall_row[:, None] | is_wall_column[None, :]
    terrain = jnp.where(is_wall, kinds.WALL * 16, kinds.BLACK_FLOOR).astype(jnp.uint8)
    row = jnp.where(world.has_door, world.door_row, env_config.height)
    door = (kinds.DOOR * 16 + world.door_colour).astype(jnp.uint8)
    return terrain.at[row, world.door_column].set(door, mode="drop")


def room_cells(env_config: EnvConfig, world: World, is_in: jax.Array) -> jax.Array:
    """The set of the cells of those rooms that are true in the [9] mask."""
    grid = jnp.zeros((env_config.height, num_words(env_config.width)), jnp.uint32)
    i, j = np.divmod(np.arange(9), 3)
    top, bottom = world.wall_row[i] + 1, world.wall_row[i + 1] - 1
    left, right = world.wall_column[j] + 1, world.wall_column[j + 1] - 1
    rooms = jax.vmap(partial(box, grid))(top, bottom, left, right)  # [9, H, K]
    return jnp.where(is_in[:, None, None], rooms, 0).sum(axis=0, dtype=jnp.uint32)  # rooms have no cell in common


def beside_doors(env_config: EnvConfig, world: World) -> jax.Array:
    """The set of cells next to a door."""
    grid = jnp.zeros((env_config.height, num_words(env_config.width)), jnp.uint32)
    rows = jnp.where(world.has_door, world.door_row, -1)
    doors = jax.vmap(partial(point, grid))(rows, world.door_column)
    return spread(doors.sum(axis=0, dtype=jnp.uint32))  # no two doors in one cell, so the sum is a union


def room_bounds(world: World, row: jax.Array, column: jax.Array) -> tuple[jax.Array, ...]:
    """The first and last row and the first and last column of the room in which a floor cell is."""
    return (
        jnp.where(world.wall_row < row, world.wall_row, 0).max() + 1,
        jnp.where(world.wall_row > row, world.wall_row, 1024).min() - 1,
        jnp.where(world.wall_column < column, world.wall_column, 0).max() + 1,
        jnp.where(world.wall_column > column, world.wall_column, 1024).min() - 1,
    )


def unlocked_part(world: World, row: jax.Array, column: jax.Array) -> jax.Array:
    """[9] bool: the rooms that can be reached from a floor cell without passing a locked door."""
    room = 3 * ((world.wall_row[1:3] < row).sum()) + (world.wall_column[1:3] < column).sum()
    is_passable = world.has_door & (world.door_state != kinds.LOCKED)
    ends = jnp.arange(9) == DOOR_ROOMS[:, :, None]  # [12, 2, 9]
    touches = ends.any(axis=1)

    def walk_on(_: int, reached: jax.Array) -> jax.Array:
        opens = is_passable & (touches & reached).any(axis=1)  # [12]
        return reached | (opens[:, None] & touches).any(axis=0)

    return jax.lax.fori_loop(0, 8, walk_on, jnp.arange(9) == room)


def world_rooms(env_config: EnvConfig, config: WorldConfig) -> tuple[int, ...]:
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


def max_keys(env_config: EnvConfig, config: WorldConfig) -> int:
    """Locked doors in a world at most."""
    layouts = [layout for rooms in world_rooms(env_config, config) for layout in layouts_that_fit(env_config, rooms)]
    most_doors = max(num_doors(*layout) for layout in layouts)
    return min(config.max_locked_doors, most_doors) if config.locked_door_percent else 0


def num_worlds(env_config: EnvConfig, config: WorldConfig) -> int:
    """At least how many different terrains of more than one room there are."""
    num_colours = len(config.door_colours)
    doors = [
        num_doors(rows, columns)
        for rooms in world_rooms(env_config, config)
        for rows, columns in layouts_that_fit(env_config, rooms)
        if rooms > 1
    ]
    return sum(MIN_ROOM_SIDE**num * math.perm(num_colours, min(num, num_colours)) for num in doors)
