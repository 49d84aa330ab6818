"""`WorldConfig`: every knob of the worlds that generated tasks are placed in."""

from dataclasses import dataclass

from xworld.core import kinds
from xworld.errors import ConfigError
from xworld.tasks.knobs import check_set, check_whole, make_hashable

ROOMS = (1, 2, 4, 6, 9)

# Field: the lowest and the highest value it may have.
_WHOLE = {
    "closed_door_percent": (0, 100),
    "locked_door_percent": (0, 100),
    "max_locked_doors": (0, 12),
}


@dataclass(frozen=True)
class WorldConfig:
    """What worlds there are, and how often. Hashable and static; part of a `UniverseConfig`.

    A percent is a whole number from 0 to 100.

    Raises:
      ConfigError: a value out of range, an unknown word, or an empty or doubled choice.
    """

    rooms: tuple[int, ...] | None = None  # numbers of rooms among 1, 2, 4, 6, 9; None for those that fit the grid
    closed_door_percent: int = 50
    locked_door_percent: int = 20  # the rest of the doors are open
    max_locked_doors: int = 2  # what would be locked beyond these is closed
    door_colours: tuple[str, ...] = kinds.COLOURS

    def __post_init__(self) -> None:
        for name, (low, high) in _WHOLE.items():
            check_whole(name, getattr(self, name), low, high)
        if self.rooms is not None:
            check_set("rooms", self.rooms, ROOMS)
        check_set("door_colours", self.door_colours, kinds.COLOURS)
        if self.closed_door_percent + self.locked_door_percent > 100:
            raise ConfigError(
                f"closed_door_percent is {self.closed_door_percent} and locked_door_percent is "
                f"{self.locked_door_percent}, together more than 100. Lower one of them."
            )
        make_hashable(self)
