"""A state as a picture of its grid."""

from functools import lru_cache

import numpy as np

from xworld.base.checks import check_whole
from xworld.core.env import Env
from xworld.core.types import State
from xworld.rendering.drawing.canvas import Surface, new_surface, stamp, to_array
from xworld.rendering.drawing.palette import PAGE
from xworld.rendering.drawing.sprites import agent_picture, ice_picture, kind_picture
from xworld.rendering.drawing.tiles import tile_picture
from xworld.rendering.snapshot import Snapshot, take_snapshot

MIN_TILE_SIZE, MAX_TILE_SIZE = 8, 256
_UNSEEN_TERRAIN, _UNSEEN_THING = 0.52, 0.78  # brightness of what the agent does not see
_IN_HAND = 0.54  # size of what an agent carries, in tiles


def render(env: Env, state: State, *, tile_size: int = 32, agent: int = 0, show_view: bool = True) -> np.ndarray:
    """The grid of a state as a picture.

    Args:
      env: the environment the state comes from.
      state: of one environment, not a batch.
      tile_size: pixels per cell, 8 to 256.
      agent: whose view is shown.
      show_view: whether the cells that this agent does not see are darker. An absent agent darkens nothing.

    Returns:
      [height * tile_size, width * tile_size, 3] uint8 RGB.

    Raises:
      ConfigError: a batch of states, a state of another configuration, or an argument out of range.
    """
    check_tile_size(tile_size)
    return to_array(draw_grid(take_snapshot(env, state, agent), tile_size, agent, show_view))


def check_tile_size(tile_size: int) -> None:
    """Raises a `ConfigError` for a tile size that cannot be drawn."""
    check_whole("tile_size", tile_size, MIN_TILE_SIZE, MAX_TILE_SIZE)


def draw_grid(snapshot: Snapshot, tile_size: int, agent: int, show_view: bool) -> Surface:
    """The picture that `render` gives, as a surface."""
    height, width = snapshot.terrain.shape
    grid = new_surface(width * tile_size, height * tile_size, PAGE)
    is_bright = np.ones((height, width), bool)
    if show_view and snapshot.agent_position[agent, 0] >= 0:
        is_bright = np.asarray(snapshot.is_visible)

    for row, column in np.argwhere(snapshot.terrain):  # void stays the colour of the page
        terrain, brightness = snapshot.terrain[row, column], 1.0 if is_bright[row, column] else _UNSEEN_TERRAIN
        stamp(grid, tile_picture(int(terrain), tile_size, brightness), column * tile_size, row * tile_size)

    for slot, (row, column) in enumerate(snapshot.object_position):
        if row >= 0:
            brightness = 1.0 if is_bright[row, column] else _UNSEEN_THING
            kind = int(snapshot.object_kind[slot])
            stamp(grid, kind_picture(kind, tile_size, brightness), column * tile_size, row * tile_size)
            if snapshot.object_frozen[slot]:
                stamp(grid, ice_picture(tile_size, brightness), column * tile_size, row * tile_size)

    for agent_id, (row, column) in enumerate(snapshot.agent_position):
        if row >= 0:
            brightness = 1.0 if is_bright[row, column] or agent_id == agent else _UNSEEN_THING
            direction, held = int(snapshot.agent_direction[agent_id]), int(snapshot.agent_held[agent_id])
            picture = _agent_with_held(agent_id, direction, held, tile_size, brightness)
            stamp(grid, picture, column * tile_size, row * tile_size)
    return grid


@lru_cache(maxsize=4096)
def _agent_with_held(agent_id: int, direction: int, held: int, size: int, brightness: float) -> Surface:
    """An agent, and before it what it holds."""
    picture = agent_picture(agent_id, direction, size, brightness).copy()
    if held:
        small = round(size * _IN_HAND)
        far, middle = size - small, (size - small) // 2
        left, top = ((middle, 0), (far, middle), (middle, far), (0, middle))[direction]
        stamp(picture, kind_picture(held, small, brightness), left, top)
    return picture
