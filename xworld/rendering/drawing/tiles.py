"""Pictures of terrain, one per byte of terrain. Drawn once per size."""

from functools import lru_cache

from xworld.core import kinds
from xworld.rendering.drawing.canvas import Brush, Surface
from xworld.rendering.drawing.palette import (
    ACCENT,
    BLACK,
    CHALK,
    FLOOR,
    INK,
    OBJECT_COLOURS,
    WALL,
    WATER,
    WHITE,
    WOOD,
    Colour,
    light_of,
    mix,
    outline_of,
    shade_of,
)

# A terrain type as in views, where a door's state is added to its type.
_LOCKED_DOOR = kinds.DOOR + kinds.LOCKED


@lru_cache(maxsize=1024)
def tile_picture(terrain: int, size: int, brightness: float = 1.0) -> Surface:
    """A cell of this terrain (not void), with a door's state in its type (5 open, 6 closed, 7 locked)."""
    kind, colour_id = terrain >> 4, terrain & 15
    brush = Brush(size)
    if kind == kinds.FLOOR:
        _floor(brush, _floor_colour(colour_id))
    elif kind == kinds.WALL:
        _wall(brush)
    elif kind == kinds.COUNTER:
        _counter(brush)
    elif kind == kinds.WATER:
        _water(brush)
    elif kind == kinds.DOOR:
        _door_frame(brush, colour_id)
    else:
        _door(brush, colour_id, is_locked=kind == _LOCKED_DOOR)
    return brush.finish(brightness=brightness)


def _floor_colour(colour_id: int) -> Colour:
    return FLOOR if colour_id == kinds.BLACK else mix(OBJECT_COLOURS[colour_id], FLOOR, 0.45)


def _floor(brush: Brush, colour: Colour) -> None:
    brush.box(mix(colour, BLACK, 0.35), 0, 0, 1, 1)
    brush.box(colour, 0.03, 0.03, 0.97, 0.97, 0.06)


def _wall(brush: Brush) -> None:
    mortar = mix(WALL, BLACK, 0.45)
    brush.box(mortar, 0, 0, 1, 1)
    for row, shift in enumerate((0.0, 0.25, 0.0, 0.25)):
        top = row * 0.25
        for left in (shift - 0.5, shift, shift + 0.5):
            low, high = max(left, 0.0) + 0.02, min(left + 0.5, 1.0) - 0.02
            if high > low:
                brush.box(WALL, low, top + 0.02, high, top + 0.23, 0.03)
                brush.box(mix(WALL, WHITE, 0.14), low, top + 0.02, high, top + 0.07, 0.02)


def _counter(brush: Brush) -> None:
    brush.box(mix(FLOOR, BLACK, 0.35), 0, 0, 1, 1)
    brush.box(mix(WOOD, BLACK, 0.50), 0.03, 0.06, 0.97, 0.98, 0.12)
    brush.box(mix(WOOD, BLACK, 0.12), 0.03, 0.02, 0.97, 0.90, 0.12)
    brush.box(mix(WOOD, BLACK, 0.24), 0.10, 0.09, 0.90, 0.83, 0.08)
    for y in (0.33, 0.58):
        brush.line(mix(WOOD, BLACK, 0.36), (0.13, y), (0.87, y), 0.02)


def _water(brush: Brush) -> None:
    brush.box(WATER, 0, 0, 1, 1)
    crest = mix(WATER, WHITE, 0.38)
    for y, shift in ((0.22, 0.0), (0.52, 0.25), (0.82, 0.0)):
        for left in (shift + 0.05, shift + 0.55):
            if left < 0.75:
                brush.line(crest, (left, y), (left + 0.08, y - 0.06), 0.04)
                brush.line(crest, (left + 0.08, y - 0.06), (left + 0.18, y), 0.04)
                brush.line(crest, (left + 0.18, y), (left + 0.26, y - 0.05), 0.04)


def _door_frame(brush: Brush, colour_id: int) -> None:
    brush.box(outline_of(colour_id), 0, 0, 1, 1)
    brush.box(OBJECT_COLOURS[colour_id], 0.03, 0.03, 0.97, 0.97, 0.06)
    brush.box(shade_of(colour_id), 0.09, 0.09, 0.91, 0.91, 0.05)
    brush.box(INK, 0.12, 0.12, 0.88, 0.88, 0.04)
    brush.box(FLOOR, 0.14, 0.14, 0.88, 0.88, 0.03)


def _door(brush: Brush, colour_id: int, is_locked: bool) -> None:
    brush.box(outline_of(colour_id), 0, 0, 1, 1)
    brush.box(shade_of(colour_id), 0.03, 0.03, 0.97, 0.97, 0.06)
    brush.box(OBJECT_COLOURS[colour_id], 0.10, 0.08, 0.90, 0.95, 0.05)
    brush.box(light_of(colour_id), 0.10, 0.08, 0.90, 0.12, 0.02)
    if is_locked:
        brush.box(CHALK, 0.27, 0.24, 0.73, 0.80, 0.09)
        brush.box(INK, 0.30, 0.27, 0.70, 0.77, 0.07)
        brush.disc(ACCENT, (0.5, 0.45), 0.09)
        brush.polygon(ACCENT, [(0.5, 0.45), (0.57, 0.68), (0.43, 0.68)], 0.01)
    else:
        brush.disc(outline_of(colour_id), (0.74, 0.53), 0.085)
        brush.disc(light_of(colour_id), (0.74, 0.53), 0.055)
