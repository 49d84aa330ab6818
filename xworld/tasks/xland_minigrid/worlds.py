"""XLand-MiniGrid's worlds: rooms of fixed sizes, with one closed door in a random place of each inner wall."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.errors import ConfigError, did_you_mean
from xworld.base.hashing import below
from xworld.core import kinds
from xworld.tasks.chance import Dice

# Sides of the square worlds by their number of rooms.
_SIDES = {1: (9, 11, 13, 15, 17), 2: (9, 11, 13, 15, 17), 4: (9, 11, 13, 15, 17), 6: (13, 17, 19), 9: (16, 19, 25)}
WORLD_NAMES = tuple(f"R{rooms}-{side}x{side}" for rooms, sides in _SIDES.items() for side in sides)
_NUM_DOOR_COLOURS = 6  # red, green, blue, purple, yellow, grey


@dataclass(frozen=True)
class DoorSpan:
    """The cells in one of which a door is."""

    row: int
    column: int
    is_upright: bool  # whether it runs along a column
    length: int = 1


@dataclass(frozen=True)
class Layout:
    """What all worlds of a name have in common."""

    walls: np.ndarray  # [H, W] bool, with no doors in them
    doors: tuple[DoorSpan, ...]


@functools.cache
def layout_of(name: str) -> Layout:
    """The layout of a world, by its name in XLand-MiniGrid, such as "XLand-MiniGrid-R4-13x13", or just "R4-13x13".

    Raises:
      ConfigError: there is no such world.
    """
    name = name.removeprefix("XLand-MiniGrid-")
    if name not in WORLD_NAMES:
        raise ConfigError(f"XLand-MiniGrid has no world {name!r}. {did_you_mean(name, WORLD_NAMES)}")
    rooms, side = name.removeprefix("R").split("x")[0].split("-")
    return lay_out(int(rooms), int(side))


def lay_out(rooms: int, side: int) -> Layout:
    """The layout of a square world with 1, 2, 4, 6 or 9 rooms, of that package's sizes or of another."""
    walls = np.zeros((side, side), bool)
    walls[[0, -1]] = walls[:, [0, -1]] = True
    return Layout(walls, _INNER_WALLS[rooms](walls))


def draw_world(name: str, dice: Dice) -> tuple[jax.Array, jax.Array, jax.Array]:
    """[side, side] uint8 terrain, and [D] int32 rows and columns of the doors in it."""
    layout = layout_of(name)
    spans = layout.doors
    terrain = jnp.asarray(np.where(layout.walls, kinds.WALL * 16, kinds.BLACK_FLOOR).astype(np.uint8))
    length = jnp.array([span.length for span in spans], jnp.uint32)
    along = below(dice.roll(len(spans)), length).astype(jnp.int32)
    is_upright = np.array([span.is_upright for span in spans], bool)
    row = jnp.where(is_upright, along, 0) + np.array([span.row for span in spans], np.int32)
    column = jnp.where(is_upright, 0, along) + np.array([span.column for span in spans], np.int32)
    door = (kinds.DOOR * 16 + below(dice.roll(len(spans)), _NUM_DOOR_COLOURS)).astype(jnp.uint8)
    return terrain.at[row, column].set(door), row, column


def _one_room(walls: np.ndarray) -> tuple[DoorSpan, ...]:
    return ()


def _two_rooms(walls: np.ndarray) -> tuple[DoorSpan, ...]:
    side = len(walls)
    walls[:, side // 2] = True
    return (DoorSpan(1, side // 2, True, side - 2),)


def _rooms_in_a_square(walls: np.ndarray, per_side: int) -> tuple[DoorSpan, ...]:
    """Rooms of one size in rows and columns, and a door between any two that share a wall."""
    room = len(walls) // per_side
    lines = [number * room for number in range(1, per_side)]
    walls[lines] = walls[:, lines] = True
    starts = [number * room + 1 for number in range(per_side)]
    level = [DoorSpan(line, start, False, room - 1) for line in lines for start in starts]
    upright = [DoorSpan(start, line, True, room - 1) for line in lines for start in starts]
    return (*level, *upright)


def _six_rooms(walls: np.ndarray) -> tuple[DoorSpan, ...]:
    """Three rooms on each side of a corridor, all doors in the middle of their walls."""
    side = len(walls)
    west, east = side // 2 - 2, side // 2 + 2
    walls[:, [west, east]] = True
    for line in (side // 3, 2 * (side // 3)):
        walls[line, :west] = walls[line, east:] = True
    rows = (side // 2 - side // 3, side // 2, side // 2 + side // 3)
    return tuple(DoorSpan(row, column, True) for column in (west, east) for row in rows)


_INNER_WALLS: dict[int, Callable[[np.ndarray], tuple[DoorSpan, ...]]] = {  # draw walls, and say where doors can be
    1: _one_room,
    2: _two_rooms,
    4: functools.partial(_rooms_in_a_square, per_side=2),
    6: _six_rooms,
    9: functools.partial(_rooms_in_a_square, per_side=3),
}
