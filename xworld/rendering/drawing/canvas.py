"""Drawing on surfaces that need no window: a brush for small smooth pictures, text, and the way to numpy."""

from functools import lru_cache

import numpy as np

from xworld.base.files import printable
from xworld.rendering.drawing.backend import pygame
from xworld.rendering.drawing.palette import Colour

Surface = pygame.Surface
Point = tuple[float, float]

_SUPERSAMPLE = 4  # brushes paint this many times larger, which smooths the edges


class Brush:
    """Paints a square picture in units of its side: (0, 0) is the top left corner, (1, 1) the bottom right one."""

    def __init__(self, size: int) -> None:
        """Starts with a transparent picture that will be `size` pixels wide and high."""
        self._size = size
        self._side = size * _SUPERSAMPLE
        self._surface = pygame.Surface((self._side, self._side), pygame.SRCALPHA)

    def disc(self, colour: Colour, centre: Point, radius: float) -> None:
        """A filled circle."""
        pygame.draw.circle(self._surface, colour, self._pixels(centre), radius * self._side)

    def box(self, colour: Colour, left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> None:
        """A filled rectangle with rounded corners."""
        x, y = self._pixels((left, top))
        rect = pygame.Rect(x, y, round((right - left) * self._side), round((bottom - top) * self._side))
        pygame.draw.rect(self._surface, colour, rect, border_radius=round(radius * self._side))

    def polygon(self, colour: Colour, points: list[Point], radius: float = 0.0) -> None:
        """A filled polygon, grown by `radius` on all sides, which rounds its corners."""
        pygame.draw.polygon(self._surface, colour, [self._pixels(point) for point in points])
        if radius > 0:
            for start, end in zip(points, points[1:] + points[:1], strict=True):
                self.line(colour, start, end, 2 * radius)

    def line(self, colour: Colour, start: Point, end: Point, width: float) -> None:
        """A line with round ends."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = max((dx * dx + dy * dy) ** 0.5, 1e-9)
        across = (-dy / length * width / 2, dx / length * width / 2)
        corners = [
            (point[0] + sign * across[0], point[1] + sign * across[1])
            for point, sign in ((start, 1), (end, 1), (end, -1), (start, -1))
        ]
        pygame.draw.polygon(self._surface, colour, [self._pixels(corner) for corner in corners])
        self.disc(colour, start, width / 2)
        self.disc(colour, end, width / 2)

    def erase(self, centre: Point, radius: float) -> None:
        """Makes a disc transparent again."""
        pygame.draw.circle(self._surface, (0, 0, 0, 0), self._pixels(centre), radius * self._side)

    def finish(self, quarter_turns: int = 0, brightness: float = 1.0) -> Surface:
        """The picture at its final size, turned clockwise, with its colours times `brightness`; for `stamp`."""
        # Colours times alpha, so that what is transparent does not bleed into the edges when pixels are averaged.
        picture = pygame.transform.rotate(self._surface.premul_alpha(), -90 * quarter_turns)
        picture = pygame.transform.smoothscale(picture, (self._size, self._size))
        level = round(brightness * 255)
        picture.fill((level, level, level), special_flags=pygame.BLEND_RGB_MULT)
        return picture

    def _pixels(self, point: Point) -> tuple[int, int]:
        return round(point[0] * self._side), round(point[1] * self._side)


def stamp(target: Surface, picture: Surface, left: int, top: int) -> None:
    """Puts a picture from `Brush.finish` or `write` onto `target`."""
    target.blit(picture, (left, top), special_flags=pygame.BLEND_PREMULTIPLIED)


@lru_cache(maxsize=4096)
def write(text: str, size: int, colour: Colour) -> Surface:
    """One line of text, about `size` pixels high."""
    pygame.font.init()
    # The font is made anew because one made before a `pygame.quit()` no longer works. Text is drawn larger than it is
    # shown, for at its own size the letters would snap to whole pixels, which spaces them unevenly.
    font = pygame.font.Font(None, round(size * 1.25) * _SUPERSAMPLE)
    large = font.render(printable(text), True, colour).premul_alpha()
    width, height = (-(-length // _SUPERSAMPLE) for length in large.get_size())
    return pygame.transform.smoothscale(large, (width, height))


def unknown_signs(text: str) -> tuple[str, ...]:
    """The signs of a text that the font cannot draw: it shows the same box for all of them."""
    pygame.font.init()
    font = pygame.font.Font(None, 32)

    def drawn(sign: str) -> bytes:
        return pygame.image.tobytes(font.render(sign, True, (255, 255, 255)), "RGBA")

    box = drawn("\ue000")  # for private use, so that no font has it
    return tuple(sign for sign in sorted(set(text)) if sign.isprintable() and drawn(sign) == box)


def write_fitting(target: Surface, words: str, size: int, colour: Colour, left: int, top: int, width: int) -> None:
    """Puts a line of text onto `target`, smaller where it would be wider than `width`."""
    picture = write(words, size, colour)
    if picture.get_width() > width:
        picture = write(words, max(7, size * width // picture.get_width()), colour)
    stamp(target, picture, left, top)


def new_surface(width: int, height: int, colour: Colour) -> Surface:
    """An opaque surface of one colour."""
    surface = pygame.Surface((width, height), depth=32)
    surface.fill(colour)
    return surface


def new_clear_surface(width: int, height: int) -> Surface:
    """A transparent surface to `stamp` onto, and to stamp elsewhere."""
    return pygame.Surface((width, height), pygame.SRCALPHA)


def to_array(surface: Surface) -> np.ndarray:
    """[h, w, 3] uint8 pixels."""
    width, height = surface.get_size()
    return np.frombuffer(pygame.image.tobytes(surface, "RGB"), np.uint8).reshape(height, width, 3).copy()
