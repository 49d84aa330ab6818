"""`WorldConfig`: every knob of the worlds that generated tasks are placed in."""

from dataclasses import dataclass
from functools import partial

from xworld.base.checks import check_fields, check_set, check_whole
from xworld.base.errors import ConfigError
from xworld.core.kinds import COLOURS

KINDS = ("rooms", "maze", "cave", "islands", "kitchen", "field")
ROOMS = (1, 2, 4, 6, 9)

# Field: the lowest and the highest value it may have.
_WHOLE = {
    "closed_door_percent": (0, 100),
    "locked_door_percent": (0, 100),
    "max_locked_doors": (0, 12),
    "maze_loop_percent": (0, 10),
    "maze_clearing_percent": (10, 100),
    "cave_rock_percent": (0, 65),
    "island_percent": (40, 100),
    "island_coast_percent": (0, 100),
    "kitchen_split_percent": (0, 100),
    "kitchen_block_percent": (0, 100),
    "field_pillar_percent": (0, 10),
    "field_pool_percent": (0, 4),
    "field_counter_percent": (0, 4),
}


@dataclass(frozen=True)
class WorldConfig:
    """What worlds there are, and how often. Hashable and static; part of a `UniverseConfig`.

    A percent is a whole number from 0 to 100.

    Raises:
      ConfigError: a value out of range, an unknown word, or an empty or doubled choice.
    """

    kinds: tuple[str, ...] = ("rooms",)  # rooms, maze, cave, islands, kitchen, field
    kind_weights: tuple[int, ...] | None = None  # how often each of them comes, relative to the others; None: equally
    floor_colours: tuple[str, ...] = ("black",)  # a world has one or two of them; no goal or rule asks for them

    # Rooms
    rooms: tuple[int, ...] | None = None  # numbers of rooms among 1, 2, 4, 6, 9; None for those that fit the grid
    closed_door_percent: int = 50
    locked_door_percent: int = 20  # the rest of the doors are open
    max_locked_doors: int = 2  # what would be locked beyond these is closed
    door_colours: tuple[str, ...] = COLOURS

    # Mazes: of the walls between two cells, how many are broken through, and of the pillars between four cells, round
    # how many there is a clearing of 3 x 3 cells
    maze_loop_percent: int = 5
    maze_clearing_percent: int = 15

    # Caves and islands
    cave_rock_percent: int = 56  # before it is smoothed
    island_percent: int = 60  # in how many lots of about 4 x 4 cells there is an island; in the others bridges meet
    island_coast_percent: int = 35  # how often an island goes on in a cell beside it

    # Kitchens
    kitchen_split_percent: int = 50  # how often a line of counters with a gap splits a kitchen of 9 cells or more
    kitchen_block_percent: int = 75  # how often there is a block of counters in a lot of about 5 x 5 cells

    # Fields: in how many cells there is a pillar, a pool of up to 5 cells begins, or a counter of up to 3
    field_pillar_percent: int = 6
    field_pool_percent: int = 2
    field_counter_percent: int = 2

    def __post_init__(self) -> None:
        for name, (low, high) in _WHOLE.items():
            check_fields(self, [name], partial(check_whole, low=low, high=high))
        if self.rooms is not None:
            check_fields(self, ["rooms"], partial(check_set, known=ROOMS))
        check_fields(self, ("door_colours", "floor_colours"), partial(check_set, known=COLOURS))
        check_fields(self, ["kinds"], partial(check_set, known=KINDS))
        if self.kind_weights is not None:
            if not isinstance(self.kind_weights, tuple | list) or len(self.kind_weights) != len(self.kinds):
                raise ConfigError(
                    f"kind_weights is {self.kind_weights!r}; write one whole number for each of the {len(self.kinds)} "
                    "kinds, or None."
                )
            weights = tuple(check_whole("A weight in kind_weights", weight, 1, 1000) for weight in self.kind_weights)
            object.__setattr__(self, "kind_weights", weights)
        if self.closed_door_percent + self.locked_door_percent > 100:
            raise ConfigError(
                f"closed_door_percent is {self.closed_door_percent} and locked_door_percent is "
                f"{self.locked_door_percent}, together more than 100. Lower one of them."
            )

    @property
    def weights(self) -> tuple[int, ...]:
        """How often each of the kinds comes, relative to the others."""
        return self.kind_weights or (1,) * len(self.kinds)
