"""What a participant sees beside the world: pages of text, and what is to be read before a trial."""

import numpy as np

from xworld.core.step.relations import NEVER
from xworld.rendering.drawing.backend import pygame
from xworld.rendering.drawing.canvas import Surface, new_surface, stamp, write, write_fitting
from xworld.rendering.drawing.palette import ACCENT, CARD, MUTED, PAGE, TEXT, TRACK
from xworld.rendering.panel import MIN_HEIGHT, WIDTH, Moment, draw_panel
from xworld.rendering.snapshot import Snapshot
from xworld.tasks import goal_text, rule_text

_MIN_UNIT, _MAX_UNIT = 8, 30  # height of a line of text, in pixels
_LINE = 1.35  # from line to line, in units
_COLUMN = 44  # width of a page of text, in units


def draw_text(
    size: tuple[int, int], title: str, text: str, hint: str, last_hint: str, page: int
) -> tuple[Surface, int]:
    """A page of a text that is as long as it likes.

    Args:
      size: of the picture, in pixels.
      title: above the text.
      text: paragraphs, with an empty line between them; single line ends are kept.
      hint: below the text, on all pages but the last.
      last_hint: on the last one.
      page: which, from 0; the last, if there are not so many.

    Returns:
      The picture, and how many pages there are at this size.
    """
    width, height = size
    unit = min(max(min(width // (_COLUMN + 4), height // 36), _MIN_UNIT), _MAX_UNIT)
    column = min(_COLUMN * unit, width - 2 * unit)
    left, line = (width - column) // 2, round(_LINE * unit)
    top, bottom = round(5.5 * unit), height - 4 * unit
    lines = [wrapped for part in text.splitlines() for wrapped in wrap(part, unit, column)]
    room = max((bottom - top) // line, 1)
    pages = [lines[start : start + room] for start in range(0, len(lines), room)] or [[]]
    page = min(page, len(pages) - 1)

    picture = new_surface(width, height, PAGE)
    _write_frame(picture, title, last_hint if page == len(pages) - 1 else hint, unit, left, column)
    if len(pages) > 1:
        number = write(f"page {page + 1} of {len(pages)}", unit, MUTED)
        stamp(picture, number, left + column - number.get_width(), 2 * unit)
    for words in pages[page]:
        stamp(picture, write(words, unit, TEXT), left, top)
        top += line
    return picture, len(pages)


def draw_reading(
    size: tuple[int, int],
    title: str,
    snapshot: Snapshot,
    returns: tuple[float, ...],
    agent: int,
    lines: list[str],
    hint: str,
) -> Surface:
    """What is known before a trial: the panel that stands beside the world, and the same in words. No world.

    Args:
      size: of the picture, in pixels.
      title: which task and trial it is.
      snapshot: of the trial's start.
      returns: of the trials before.
      agent: who is told.
      lines: what else there is to say.
      hint: at the bottom.
    """
    width, height = size
    unit = min(max(min(width // (2 * WIDTH + 5), height // (MIN_HEIGHT + 10)), _MIN_UNIT), _MAX_UNIT)
    column = WIDTH * unit
    left = (width - 2 * column - 2 * unit) // 2
    picture = new_surface(width, height, PAGE)
    _write_frame(picture, title, hint, unit, left, 2 * column + 2 * unit)
    top = round(5.5 * unit)
    panel_height = max(height - top - 4 * unit, MIN_HEIGHT * unit)
    panel = draw_panel(snapshot, Moment(returns=returns), agent, False, unit, panel_height)
    picture.blit(panel, (left, top))

    rules = [rule_text(row) for row in snapshot.rules.tolist() if row[0] != NEVER]
    told = [("GOAL", [goal_text(np.asarray(snapshot.goal))]), ("RULES", rules or ["none"]), ("THIS TRIAL", lines)]
    left += column + 2 * unit
    # As high as is needed for all of it, at most as on pages of text.
    line = min(round(_LINE * unit), panel_height // (sum(len(words) + 1 for _, words in told) + len(told)))
    letter = min(unit, round(line / 1.2))
    for heading, words in told:
        stamp(picture, write(heading, round(0.85 * letter), MUTED), left, top)
        top += line
        for entry in words:
            write_fitting(picture, entry, letter, TEXT, left, top, column)
            top += line
        top += line
    return picture


def wrap(text: str, size: int, width: int) -> list[str]:
    """The lines into which a paragraph is broken, for letters of that size; an empty line for an empty paragraph."""
    lines, line, used = [], "", 0
    space = write("a a", size, TEXT).get_width() - write("aa", size, TEXT).get_width()
    for word in text.split():
        needed = write(word, size, TEXT).get_width()
        if line and used + space + needed > width:
            lines.append(line)
            line, used = word, needed
        else:
            line, used = (f"{line} {word}", used + space + needed) if line else (word, needed)
    return [*lines, line]


def _write_frame(picture: Surface, title: str, hint: str, unit: int, left: int, width: int) -> None:
    """The title at the top, and at the bottom what can be pressed."""
    write_fitting(picture, title, round(1.6 * unit), TEXT, left, round(1.7 * unit), round(0.8 * width))
    pygame.draw.rect(picture, TRACK, (left, round(4.3 * unit), width, max(unit // 8, 1)))
    bar = pygame.Rect(0, picture.get_height() - 3 * unit, picture.get_width(), 3 * unit)
    pygame.draw.rect(picture, CARD, bar)
    write_fitting(picture, hint, round(1.1 * unit), ACCENT, left, bar.top + round(0.8 * unit), width)
