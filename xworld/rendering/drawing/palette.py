"""Colours of pictures: a dark page, twelve colours that are told apart at a glance, and four tints for agents."""

from xworld.core import kinds

Colour = tuple[int, int, int]

# In the order of `kinds.COLOURS`.
OBJECT_COLOURS: tuple[Colour, ...] = (
    (226, 48, 54),  # red
    (56, 178, 74),  # green
    (48, 104, 240),  # blue
    (150, 72, 214),  # purple
    (252, 222, 50),  # yellow
    (136, 142, 150),  # grey
    (26, 26, 30),  # black
    (255, 138, 22),  # orange
    (248, 248, 250),  # white
    (136, 82, 40),  # brown
    (255, 138, 196),  # pink
    (40, 214, 226),  # cyan
)
AGENT_COLOURS: tuple[Colour, ...] = (
    (196, 240, 96),  # lime
    (128, 178, 255),  # sky
    (255, 176, 140),  # peach
    (226, 160, 255),  # lilac
)

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)
INK: Colour = (16, 17, 22)  # outlines of what is bright
CHALK: Colour = (196, 200, 210)  # outlines of what is black
PAGE: Colour = (13, 14, 18)  # behind everything; also what void looks like
CARD: Colour = (26, 28, 36)  # the panel
TRACK: Colour = (44, 47, 58)  # empty part of bars
TEXT: Colour = (232, 234, 240)
MUTED: Colour = (142, 148, 164)
GOOD: Colour = (74, 222, 128)  # reward
ACCENT: Colour = (251, 191, 36)  # the rule that fired
SECRET: Colour = (167, 139, 250)  # what is hidden
BAD: Colour = (248, 113, 113)  # "not"
ICE: Colour = (190, 236, 255)

FLOOR: Colour = (52, 56, 67)
WALL: Colour = (122, 129, 149)
WOOD: Colour = (196, 154, 104)
WATER: Colour = (22, 74, 140)


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """`colour` with `share` (0 to 1) of `other` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def outline_of(colour_id: int) -> Colour:
    """The outline that sets an object of this colour off from black floor and from floor of its own colour."""
    return CHALK if colour_id == kinds.BLACK else INK


def shade_of(colour_id: int) -> Colour:
    """The colour on a side that the light does not reach."""
    colour = OBJECT_COLOURS[colour_id]
    return mix(colour, WHITE, 0.12) if colour_id == kinds.BLACK else mix(colour, BLACK, 0.28)


def light_of(colour_id: int) -> Colour:
    """The colour on a side that faces the light."""
    colour = OBJECT_COLOURS[colour_id]
    return mix(colour, WHITE, 0.25 if colour_id == kinds.BLACK else 0.42)
