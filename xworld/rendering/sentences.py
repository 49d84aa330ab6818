"""Rules and goals as lines of icons and words."""

from functools import lru_cache

from xworld.core import kinds
from xworld.core.config import RELATIONS
from xworld.core.step.observation import HIDDEN_RELATION
from xworld.core.step.relations import ALL_DIRECTIONS, HIDDEN_RULE, NEVER, TOUCH
from xworld.rendering.drawing.canvas import Brush, Surface, new_clear_surface, stamp, write
from xworld.rendering.drawing.palette import BAD, MUTED, SECRET, TEXT, TRACK, Colour
from xworld.rendering.drawing.sprites import kind_picture, placeholder_picture

Row = tuple[int, ...]  # of a briefing: relation, directions, first, second, then products or the negation

_COMPASS = ("north", "east", "south", "west")


def goal_clauses(goal: list[list[Row]]) -> list[list[Row]]:
    """The clauses and literals that say something: padding is false as a clause and true as a literal."""
    return [
        [literal for literal in clause if literal[0] != NEVER]
        for clause in goal
        if all(literal[0] != NEVER or literal[4] for literal in clause)
    ]


def literal_words(literal: Row) -> str:
    """A literal as in a task file: "not touch.north(purple ball, agent)"."""
    relation, directions, first, second, negated = literal
    return f"{'not ' if negated else ''}{relation_words(relation, directions)}({_name(first)}, {_name(second)})"


def relation_words(relation: int, directions: int) -> str:
    """A relation as in a task file: "touch.north", or "?1" for the second hidden one."""
    if relation >= HIDDEN_RELATION:
        return f"?{relation - HIDDEN_RELATION}"
    words = [RELATIONS[relation - 1]]
    if relation == TOUCH and directions != ALL_DIRECTIONS:
        words += [_COMPASS[bit] for bit in range(4) if directions >> bit & 1]
    return ".".join(words)


def _name(kind: int) -> str:
    return "agent" if kind == kinds.agent_kind(0) else kinds.kind_name(kind)


def literal_pictures(joint: str, literal: Row, size: int) -> list[Surface]:
    """The icons and words of a goal's literal after the word that joins it to the last, for icons of `size` pixels."""
    relation, directions, first, second, negated = literal
    words = ([_word(joint, size, MUTED)] if joint else []) + ([_word("not", size, BAD)] if negated else [])
    return [*words, *_relation_pictures(relation, directions, first, second, size)]


def rule_pictures(told: Row, truth: Row, size: int) -> list[Surface]:
    """The icons and words of a rule, for icons of `size` pixels.

    Args:
      told: the rule as the agent may know it; it alone is shown where it is equal to `truth`.
      truth: the rule to show. Where it says more than `told`, that part is underlined as hidden from the agent.
      size: of an icon, in pixels.
    """
    relation, directions, first, second, *products = truth
    if relation == HIDDEN_RULE:
        return [placeholder_picture("?", size), _word("hidden rule", size, MUTED)]
    is_hidden = [a != b for a, b in zip(told, truth, strict=True)] if told[0] != HIDDEN_RULE else [True] * len(truth)
    left = _relation_pictures(relation, directions, first, second, size)
    secret = [is_hidden[2], *[is_hidden[0]] * (len(left) - 2), is_hidden[3]]
    made = [(kind_picture(kind, size), hidden) for kind, hidden in zip(products, is_hidden[4:], strict=True) if kind]
    right = [picture for picture, _ in made] or [_word("nothing", size, MUTED)]
    secret += [told[0] == HIDDEN_RULE, *([hidden for _, hidden in made] or [told[0] == HIDDEN_RULE])]
    pictures = [*left, _arrow(size), *right]
    return [_underlined(picture) if hidden else picture for picture, hidden in zip(pictures, secret, strict=True)]


def line_width(pictures: list[Surface], size: int) -> int:
    """How wide `draw_line` makes these pictures."""
    return sum(picture.get_width() for picture in pictures) + _gap(size) * (len(pictures) - 1)


def draw_line(target: Surface, pictures: list[Surface], size: int, left: int, middle: int) -> None:
    """Draws pictures side by side from `left`, each centred on the height `middle`."""
    for picture in pictures:
        stamp(target, picture, left, middle - picture.get_height() // 2)
        left += picture.get_width() + _gap(size)


def _gap(size: int) -> int:
    return max(2, round(size * 0.22))


def _relation_pictures(relation: int, directions: int, first: int, second: int, size: int) -> list[Surface]:
    if relation >= HIDDEN_RELATION:
        middle = [_word(relation_words(relation, 0), size, SECRET)]
    else:
        middle = [_word(RELATIONS[relation - 1], size, TEXT)]
    if relation == TOUCH and directions != ALL_DIRECTIONS:
        middle.append(_compass(directions, size))
    return [kind_picture(first, size), *middle, kind_picture(second, size)]


def _word(word: str, size: int, colour: Colour) -> Surface:
    return write(word, max(9, round(size * 0.68)), colour)


@lru_cache(maxsize=256)
def _compass(directions: int, size: int) -> Surface:
    """Four rays, bright in the directions that count."""
    brush = Brush(round(size * 0.8))
    for bit, (x, y) in enumerate(((0, -1), (1, 0), (0, 1), (-1, 0))):
        colour = TEXT if directions >> bit & 1 else TRACK
        tip, foot = (0.5 + 0.42 * x, 0.5 + 0.42 * y), (0.5 + 0.16 * x, 0.5 + 0.16 * y)
        wing = 0.15
        brush.polygon(
            colour, [tip, (foot[0] + wing * y, foot[1] + wing * x), (foot[0] - wing * y, foot[1] - wing * x)], 0.02
        )
    return brush.finish()


@lru_cache(maxsize=64)
def _arrow(size: int) -> Surface:
    brush = Brush(round(size * 0.75))
    brush.line(MUTED, (0.08, 0.5), (0.80, 0.5), 0.13)
    brush.line(MUTED, (0.58, 0.24), (0.88, 0.5), 0.13)
    brush.line(MUTED, (0.58, 0.76), (0.88, 0.5), 0.13)
    return brush.finish()


def _underlined(picture: Surface) -> Surface:
    """The picture with a line below it that says: the agent is not told this."""
    width, height = picture.get_size()
    thickness = max(2, height // 10)
    marked = new_clear_surface(width, height + 2 * thickness)
    stamp(marked, picture, 0, thickness)
    marked.fill((*SECRET, 255), (0, height + thickness, width, thickness))
    return marked
