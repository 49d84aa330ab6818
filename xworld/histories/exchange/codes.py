"""What is seen, in XLand-MiniGrid's codes of one byte a cell: tile * 12 + colour, as XLand-100B has them.

Views have the same form there: the agent in the middle of the bottom row, facing up. Codes are those of XLand-MiniGrid
0.8 and newer.
"""

import numpy as np

from xworld.base.errors import ConfigError
from xworld.core import kinds
from xworld.tasks.xland_minigrid.translation import (
    BALL,
    DOOR_CLOSED,
    DOOR_LOCKED,
    DOOR_OPEN,
    EMPTY,
    FLOOR,
    GOAL,
    HEX,
    KEY,
    NUM_COLOURS,
    NUM_TILES,
    PYRAMID,
    SQUARE,
    STAR,
    WALL,
)

_NONE = 255  # what has no counterpart
_GREY = kinds.COLOURS.index("grey")
_DOORS = {
    kinds.DOOR + kinds.OPEN: DOOR_OPEN,
    kinds.DOOR + kinds.CLOSED: DOOR_CLOSED,
    kinds.DOOR + kinds.LOCKED: DOOR_LOCKED,
}
_TILES = {
    kinds.BALL: BALL,
    kinds.CUBE: SQUARE,
    kinds.PYRAMID: PYRAMID,
    kinds.KEY: KEY,
    kinds.STAR: STAR,
    kinds.HEX: HEX,
}


def encode_views(views: np.ndarray) -> np.ndarray:
    """[..., V, V] uint8 codes of [..., V, V, 3] views. Whether a thing is frozen, and what it lies on, is lost.

    Raises:
      ConfigError: something is seen that has no counterpart: another agent, water, a counter, or what is cyan.
    """
    terrain, thing = views[..., 0], views[..., 1]
    codes = np.where(thing > 0, _OF_THING[thing], _OF_TERRAIN[terrain])
    if (codes == _NONE).any():
        raise ConfigError(
            "Something is seen that XLand-MiniGrid has not: another agent, water, a counter, or what is cyan. Export "
            "histories of other tasks, or to Minari."
        )
    return codes


def decode_views(codes: np.ndarray) -> np.ndarray:
    """[..., V, V, 3] uint8 views of [..., V, V] codes. Things lie on black floor; a goal tile is cyan floor.

    Raises:
      ConfigError: a code that XLand-MiniGrid has not.
    """
    if codes.size and int(codes.max()) >= NUM_TILES * NUM_COLOURS:
        raise ConfigError(f"There is no tile of the code {int(codes.max())}: these are no states of XLand-100B.")
    return _VIEWS[codes]


def _tables() -> tuple[np.ndarray, np.ndarray]:
    """[256] codes of bytes of terrain, and of bytes of things."""
    of_terrain, of_thing = np.full((2, 256), _NONE, np.uint8)
    of_terrain[kinds.VOID * 16 : kinds.VOID * 16 + 16] = EMPTY * NUM_COLOURS
    of_terrain[kinds.WALL * 16 : kinds.WALL * 16 + 16] = WALL * NUM_COLOURS + _GREY + 1
    for high, tile in {kinds.FLOOR: FLOOR, **_DOORS}.items():
        for colour in range(NUM_COLOURS - 1):
            of_terrain[high * 16 + colour] = tile * NUM_COLOURS + colour + 1
    for shape, tile in _TILES.items():
        for colour in range(NUM_COLOURS - 1):
            of_thing[shape * 16 + colour] = tile * NUM_COLOURS + colour + 1
    return of_terrain, of_thing


_OF_TERRAIN, _OF_THING = _tables()


def _views() -> np.ndarray:
    """[156, 3] cells of views, by code."""
    cells = np.zeros((NUM_TILES * NUM_COLOURS, 3), np.uint8)
    cells[:, 0] = kinds.BLACK_FLOOR
    cells[EMPTY * NUM_COLOURS : (EMPTY + 1) * NUM_COLOURS, 0] = kinds.VOID * 16
    cells[WALL * NUM_COLOURS : (WALL + 1) * NUM_COLOURS, 0] = kinds.WALL * 16
    for byte in range(256):
        if _OF_TERRAIN[byte] != _NONE and byte >> 4 in (kinds.FLOOR, *_DOORS):
            cells[_OF_TERRAIN[byte], 0] = byte
        if _OF_THING[byte] != _NONE:
            cells[_OF_THING[byte], 1] = byte
    goal = np.arange(NUM_TILES * NUM_COLOURS) // NUM_COLOURS == GOAL
    cells[goal, 0] = kinds.FLOOR * 16 + kinds.COLOURS.index("cyan")
    return cells


_VIEWS = _views()
