"""Kinds and terrain as bytes: what an object is, what a cell is made of, and their names.

A byte is `high * 16 + colour`. For a kind the high half is a shape, for terrain it is a type.
"""

COLOURS = (
    "red", "green", "blue", "purple", "yellow", "grey",
    "black", "orange", "white", "brown", "pink", "cyan",
)  # fmt: skip

# Shapes of kinds. Only the first six lie around or are produced.
SHAPES = ("ball", "cube", "pyramid", "key", "star", "hex")
BALL, CUBE, PYRAMID, KEY, STAR, HEX = range(1, 7)
PLACEHOLDER = 13  # "some kind that is hidden from you, number n"
FLOOR_SHAPE = 14  # only as second operand of `on`
AGENT_SHAPE = 15  # colour = agent id
NOTHING = 0

# Types of terrain.
VOID, FLOOR, WALL, COUNTER, WATER, DOOR = range(6)
OPEN, CLOSED, LOCKED = range(3)
TERRAIN_TYPES = ("void", "floor", "wall", "counter", "water", "door")
DOOR_STATES = ("open", "closed", "locked")

BLACK = COLOURS.index("black")
BLACK_FLOOR = FLOOR * 16 + BLACK


def object_kind(shape: str, colour: str) -> int:
    """The kind of an object by name, as in `object_kind("ball", "purple")`."""
    return (SHAPES.index(shape) + 1) * 16 + COLOURS.index(colour)


def floor_kind(colour: str) -> int:
    """The kind that stands for floor of a colour in `on(a, red floor)`."""
    return FLOOR_SHAPE * 16 + COLOURS.index(colour)


def agent_kind(agent_id: int) -> int:
    """The kind of agent `agent_id`."""
    return AGENT_SHAPE * 16 + agent_id


def is_object_kind(kind: int) -> bool:
    """Whether `kind` can lie around, be carried and be produced."""
    return 1 <= kind >> 4 <= len(SHAPES) and (kind & 15) < len(COLOURS)


def is_floor_kind(kind: int) -> bool:
    """Whether `kind` is floor of some colour."""
    return kind >> 4 == FLOOR_SHAPE and (kind & 15) < len(COLOURS)


def is_agent_kind(kind: int) -> bool:
    """Whether `kind` is an agent."""
    return kind >> 4 == AGENT_SHAPE


def kind_name(kind: int) -> str:
    """`kind` in words: "purple ball", "red floor", "agent1", "?3" for a placeholder, "nothing" for 0."""
    shape, colour = kind >> 4, kind & 15
    if kind == NOTHING:
        return "nothing"
    if shape == AGENT_SHAPE:
        return f"agent{colour}"
    if shape == PLACEHOLDER:
        return f"?{colour}"
    if shape == FLOOR_SHAPE:
        return f"{COLOURS[colour]} floor"
    return f"{COLOURS[colour]} {SHAPES[shape - 1]}"
