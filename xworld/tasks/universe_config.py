"""`UniverseConfig`: every knob of the task generator."""

from dataclasses import dataclass, fields
from typing import Literal

from xworld.core import kinds
from xworld.core.config import RELATIONS, EnvConfig
from xworld.errors import ConfigError, did_you_mean

ROOMS = (1, 2, 4, 6, 9)
SPLITS = ("train", "test", "all")
HIDDEN_WAYS = ("rule", "kind", "relation")
HIDE = ("some", "all")
MAX_CHAIN_LENGTH = 8

Range = tuple[int, int]  # lowest and highest, both included

# Field: the lowest and the highest value it may have.
_WHOLE = {
    "test_percent": (1, 99),
    "num_worlds": (1, 2**31 - 1),
    "num_games": (1, 2**31 - 1),
    "closed_door_percent": (0, 100),
    "locked_door_percent": (0, 100),
    "max_locked_doors": (0, 12),
    "negated_goal_percent": (0, 100),
    "pair_percent": (0, 100),
    "direction_percent": (0, 100),
    "max_products": (1, 2),
    "frozen_percent": (0, 100),
    "hide_percent": (0, 100),
}
_RANGES = {
    "chain_length": (0, MAX_CHAIN_LENGTH),
    "num_distractors": (0, 100),
    "num_dead_ends": (0, 100),
    "trial_length": (1, 2**16 - 1),
    "num_trials": (1, 2**16 - 1),
}
_CHOICES = {"split": SPLITS, "hide": HIDE}
_SETS = {
    "goal_relations": RELATIONS,
    "rule_relations": RELATIONS,
    "shapes": kinds.SHAPES,
    "colours": kinds.COLOURS,
    "hidden_ways": HIDDEN_WAYS,
}


@dataclass(frozen=True)
class UniverseConfig:
    """What tasks there are, and how often. Hashable and static; a `Universe` checks it against its `EnvConfig`.

    A range is (lowest, highest), both included, drawn uniformly. A percent is a whole number from 0 to 100.

    Raises:
      ConfigError: a value out of range, an unknown word, or an empty or doubled choice.
    """

    # Which tasks
    split: Literal["train", "test", "all"] = "train"  # games and worlds of one side only
    test_percent: int = 10  # share of games, and of worlds, that are held out
    num_worlds: int = 2**30  # `sample` draws world ids below this
    num_games: int = 2**30  # and game ids below this

    # Worlds
    rooms: tuple[int, ...] | None = None  # numbers of rooms among 1, 2, 4, 6, 9; None for those that fit the grid
    closed_door_percent: int = 50
    locked_door_percent: int = 20  # the rest of the doors are open
    max_locked_doors: int = 2  # what would be locked beyond these is closed

    # Games
    goal_relations: tuple[str, ...] | None = None  # None for all that the EnvConfig compiles in
    rule_relations: tuple[str, ...] | None = None  # likewise
    negated_goal_percent: int = 25  # share of the games without a chain in which something has to be undone
    goal_false_at_start: bool = True
    pair_percent: int = 50  # how often touch, near and see are about two objects, and not the agent and one
    direction_percent: int = 20  # how often a touch asks for some directions only
    chain_length: Range = (0, 4)  # rules that have to fire in sequence
    num_distractors: Range = (0, 5)  # objects that the solution does not need; at least 1 where there are dead ends
    num_dead_ends: Range = (0, 2)  # rules that lead nowhere
    max_products: int = 1  # 2: a rule that consumes two things may make two, at most one of them of any use
    frozen_percent: int = 10  # of the objects that nobody has to move
    shapes: tuple[str, ...] = tuple(shape for shape in kinds.SHAPES if shape != "key")
    colours: tuple[str, ...] = kinds.COLOURS

    # What the agent is not told
    hide_percent: int = 75  # share of the games in which anything is hidden
    hidden_ways: tuple[str, ...] = HIDDEN_WAYS  # whole rules, kinds, or relations; one way a game
    hide: Literal["some", "all"] = "some"  # of what can be hidden that way

    # Time
    trial_length: Range = (75, 300)  # steps
    num_trials: Range = (1, 6)

    def __post_init__(self) -> None:
        for name, (low, high) in _WHOLE.items():
            _check_whole(name, getattr(self, name), low, high)
        for name, (low, high) in _RANGES.items():
            _check_range(name, getattr(self, name), low, high)
        for name, words in _CHOICES.items():
            _check_word(name, getattr(self, name), words)
        for name, words in _SETS.items():
            if getattr(self, name) is not None:
                _check_set(name, getattr(self, name), words)
        if self.rooms is not None:
            _check_set("rooms", self.rooms, ROOMS)
        if not isinstance(self.goal_false_at_start, bool):
            raise ConfigError(f"goal_false_at_start is {self.goal_false_at_start!r}; write True or False.")
        if self.closed_door_percent + self.locked_door_percent > 100:
            raise ConfigError(
                f"closed_door_percent is {self.closed_door_percent} and locked_door_percent is "
                f"{self.locked_door_percent}, together more than 100. Lower one of them."
            )
        if self.num_dead_ends[1] and not self.num_distractors[1]:
            raise ConfigError(
                "num_dead_ends asks for dead ends, whose bait is a distractor, but num_distractors is (0, 0). "
                "Allow at least one distractor, or no dead ends."
            )
        # Lists become tuples, so that the configuration can be hashed.
        for field in fields(self):
            if isinstance(getattr(self, field.name), list):
                object.__setattr__(self, field.name, tuple(getattr(self, field.name)))


def goal_relations(env_config: EnvConfig, config: UniverseConfig) -> tuple[str, ...]:
    """The relations of goals."""
    return config.goal_relations or _all_relations(env_config)


def rule_relations(env_config: EnvConfig, config: UniverseConfig) -> tuple[str, ...]:
    """The relations of rules."""
    return config.rule_relations or _all_relations(env_config)


def _all_relations(env_config: EnvConfig) -> tuple[str, ...]:
    """What is compiled in; an agent whose view is the cell it stands in sees no object."""
    return tuple(name for name in env_config.relations if name != "see" or env_config.view_size > 1)


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{name} is {value!r}; write a whole number from {low} to {high}.")


def _check_range(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ConfigError(f"{name} is {value!r}; write the lowest and the highest number, such as ({low}, {high}).")
    for end in value:
        _check_whole(f"An end of {name}", end, low, high)
    if value[0] > value[1]:
        raise ConfigError(f"{name} is {value!r}, lowest above highest; write ({value[1]}, {value[0]}).")


def _check_word(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name}: {value!r} is unknown. {did_you_mean(str(value), known)}")


def _check_set(name: str, value: object, known: tuple[object, ...]) -> None:
    if not isinstance(value, tuple | list) or not value:
        raise ConfigError(f"{name} is {value!r}; write a tuple of at least one, such as {known[:2]!r}.")
    for entry in value:
        if entry not in known:
            raise ConfigError(
                f"{name}: {entry!r} is unknown. {did_you_mean(str(entry), [str(word) for word in known])}"
            )
        if value.count(entry) > 1:
            raise ConfigError(f"{name}: {entry!r} is there twice; once is enough.")
