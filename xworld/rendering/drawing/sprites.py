"""Pictures of what has a kind: objects, agents, floor as an operand, and what is hidden. Drawn once per size."""

from collections.abc import Callable
from functools import lru_cache
from math import cos, pi, sin

from xworld.core import kinds
from xworld.rendering.drawing.canvas import Brush, Point, Surface, stamp, write
from xworld.rendering.drawing.palette import (
    AGENT_COLOURS,
    BLACK,
    CARD,
    ICE,
    INK,
    OBJECT_COLOURS,
    SECRET,
    WHITE,
    light_of,
    mix,
    outline_of,
    shade_of,
)
from xworld.rendering.drawing.tiles import tile_picture

_OUTLINE = 0.035  # width of outlines, in sides of the picture


@lru_cache(maxsize=4096)
def kind_picture(kind: int, size: int, brightness: float = 1.0) -> Surface:
    """The icon of a kind: an object, an agent (facing up), a floor, or a placeholder for what is hidden."""
    shape, colour_id = kind >> 4, kind & 15
    if shape == kinds.AGENT_SHAPE:
        return agent_picture(colour_id, 0, size, brightness)
    if shape == kinds.FLOOR_SHAPE:
        return tile_picture(kinds.FLOOR * 16 + colour_id, size, brightness)
    if shape == kinds.PLACEHOLDER:
        return placeholder_picture(kinds.kind_name(kind), size)
    brush = Brush(size)
    _PAINTERS[shape](brush, colour_id)
    return brush.finish(brightness=brightness)


@lru_cache(maxsize=512)
def agent_picture(agent_id: int, direction: int, size: int, brightness: float = 1.0) -> Surface:
    """An agent seen from above: a rounded arrowhead with two eyes at the side it faces."""
    body = AGENT_COLOURS[agent_id]
    head: list[Point] = [(0.5, 0.17), (0.80, 0.78), (0.5, 0.86), (0.20, 0.78)]
    brush = Brush(size)
    brush.polygon(INK, head, 0.11)
    brush.polygon(body, head, 0.075)
    brush.polygon(mix(body, BLACK, 0.30), [(0.20, 0.78), (0.80, 0.78), (0.5, 0.86)], 0.075)
    brush.polygon(body, [(0.5, 0.17), (0.78, 0.73), (0.22, 0.73)], 0.075)
    for side in (-1, 1):
        brush.disc(INK, (0.5 + side * 0.15, 0.60), 0.125)
        brush.disc(WHITE, (0.5 + side * 0.15, 0.60), 0.105)
        brush.disc(INK, (0.5 + side * 0.14, 0.555), 0.06)
    return brush.finish(quarter_turns=direction, brightness=brightness)


@lru_cache(maxsize=64)
def ice_picture(size: int, brightness: float = 1.0) -> Surface:
    """What lies over a frozen object: a frame of ice, thick at the corners."""
    brush = Brush(size)
    near, far = 0.07, 0.93
    for x, across in ((near, 1), (far, -1)):
        for y, down in ((near, 1), (far, -1)):
            brush.line(ICE, (x, y), (0.5, y), 0.02)
            brush.line(ICE, (x, y), (x, 0.5), 0.02)
            brush.polygon(ICE, [(x, y), (x + across * 0.19, y), (x, y + down * 0.19)], 0.04)
    return brush.finish(brightness=brightness)


@lru_cache(maxsize=256)
def placeholder_picture(label: str, size: int) -> Surface:
    """A box with a label such as "?" or "?3"."""
    brush = Brush(size)
    brush.box(SECRET, 0.04, 0.04, 0.96, 0.96, 0.22)
    brush.box(mix(CARD, SECRET, 0.22), 0.11, 0.11, 0.89, 0.89, 0.16)
    picture = brush.finish()
    text = write(label, round(size * (0.72 if len(label) == 1 else 0.56 if len(label) == 2 else 0.42)), WHITE)
    stamp(picture, text, (size - text.get_width()) // 2, (size - text.get_height() + 1) // 2)
    return picture


def _ball(brush: Brush, colour_id: int) -> None:
    brush.disc(outline_of(colour_id), (0.5, 0.5), 0.37)
    brush.disc(shade_of(colour_id), (0.5, 0.5), 0.37 - _OUTLINE)
    brush.disc(OBJECT_COLOURS[colour_id], (0.475, 0.475), 0.285)
    brush.disc(light_of(colour_id), (0.39, 0.38), 0.085)


def _cube(brush: Brush, colour_id: int) -> None:
    left, top, right, bottom, depth = 0.15, 0.30, 0.70, 0.85, 0.15
    silhouette: list[Point] = [
        (left, top),
        (left + depth, top - depth),
        (right + depth, top - depth),
        (right + depth, bottom - depth),
        (right, bottom),
        (left, bottom),
    ]
    brush.polygon(outline_of(colour_id), silhouette, _OUTLINE)
    brush.polygon(light_of(colour_id), [silhouette[0], silhouette[1], silhouette[2], (right, top)])
    brush.polygon(shade_of(colour_id), [(right, top), silhouette[2], silhouette[3], silhouette[4]])
    brush.polygon(OBJECT_COLOURS[colour_id], [silhouette[0], (right, top), silhouette[4], silhouette[5]])


def _pyramid(brush: Brush, colour_id: int) -> None:
    apex, left, right, foot = (0.5, 0.15), (0.14, 0.74), (0.86, 0.74), (0.60, 0.87)
    brush.polygon(outline_of(colour_id), [apex, right, foot, left], _OUTLINE)
    brush.polygon(OBJECT_COLOURS[colour_id], [apex, foot, left])
    brush.polygon(light_of(colour_id), [apex, (0.36, 0.80), left])
    brush.polygon(shade_of(colour_id), [apex, right, foot])


def _key(brush: Brush, colour_id: int) -> None:
    colour, ring, hole = OBJECT_COLOURS[colour_id], (0.33, 0.33), 0.085
    for ink, grow in ((outline_of(colour_id), _OUTLINE), (colour, 0.0)):
        brush.disc(ink, ring, 0.205 + grow)
        brush.line(ink, (0.42, 0.42), (0.82, 0.82), 0.13 + 2 * grow)
        brush.line(ink, (0.80, 0.80), (0.90, 0.70), 0.09 + 2 * grow)
        brush.line(ink, (0.64, 0.64), (0.74, 0.54), 0.09 + 2 * grow)
    brush.disc(light_of(colour_id), (0.27, 0.27), 0.10)
    brush.disc(colour, (0.31, 0.31), 0.11)
    brush.disc(outline_of(colour_id), ring, hole + _OUTLINE * 0.8)
    brush.erase(ring, hole)


def _star(brush: Brush, colour_id: int) -> None:
    def corner(step: int, reach: float) -> Point:
        angle = pi * step / 5
        return 0.5 + reach * sin(angle), 0.53 - reach * cos(angle)

    points = [corner(step, 0.40 if step % 2 == 0 else 0.185) for step in range(10)]
    brush.polygon(outline_of(colour_id), points, 0.03 + _OUTLINE)
    brush.polygon(OBJECT_COLOURS[colour_id], points, 0.03)
    # Facets: the left side of each ray lies in the light, the right side in the shade.
    for step in range(0, 10, 2):
        brush.polygon(light_of(colour_id), [points[step], points[step - 1], (0.5, 0.53)])
        brush.polygon(shade_of(colour_id), [points[step], points[step + 1], (0.5, 0.53)])
    inner = [corner(step, 0.25 if step % 2 == 0 else 0.12) for step in range(10)]
    brush.polygon(OBJECT_COLOURS[colour_id], inner, 0.02)


def _hex(brush: Brush, colour_id: int) -> None:
    def ring(reach: float) -> list[Point]:
        return [(0.5 + reach * cos(pi * step / 3), 0.5 + reach * sin(pi * step / 3)) for step in range(6)]

    brush.polygon(outline_of(colour_id), ring(0.40), _OUTLINE)
    brush.polygon(OBJECT_COLOURS[colour_id], ring(0.40))
    brush.polygon(light_of(colour_id), [*ring(0.40)[3:6], (0.5, 0.5)])
    brush.polygon(shade_of(colour_id), [*ring(0.40)[0:3], (0.5, 0.5)])
    brush.polygon(OBJECT_COLOURS[colour_id], ring(0.30))
    brush.disc(outline_of(colour_id), (0.5, 0.5), 0.15 + _OUTLINE)
    brush.erase((0.5, 0.5), 0.15)


_PAINTERS: dict[int, Callable[[Brush, int], None]] = {
    kinds.BALL: _ball,
    kinds.CUBE: _cube,
    kinds.PYRAMID: _pyramid,
    kinds.KEY: _key,
    kinds.STAR: _star,
    kinds.HEX: _hex,
}
