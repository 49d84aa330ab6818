"""`EnvConfig`: what is fixed when an environment is compiled, so that nobody pays for what their tasks do not use."""

from dataclasses import dataclass
from functools import partial

from xworld.base.checks import check_bool, check_fields, check_whole, check_word
from xworld.base.errors import ConfigError

RELATIONS = ("touch", "near", "hold", "see", "on")  # codes 1 to 5, whatever a configuration compiles in
MAX_SIDE = 127  # rows and columns stay below the codes of `types.NOWHERE` and `types.HAND`
MAX_AGENTS = 4
MAX_OBJECTS = 128
MAX_VIEW = 15  # its cells are counted in a byte
MAX_RULES = 254  # `event` and the hidden-rule code 255 stay apart

# Field: the lowest and the highest value it may have.
_WHOLE = {
    "height": (1, MAX_SIDE),
    "width": (1, MAX_SIDE),
    "num_agents": (1, MAX_AGENTS),
    "max_objects": (1, MAX_OBJECTS),
    "max_rules": (1, MAX_RULES),
    "max_doors": (1, 255),
    "max_goals": (1, 255),
    "goal_clauses": (1, 255),
    "goal_literals": (1, 255),
    "view_size": (1, MAX_VIEW),
}


@dataclass(frozen=True)
class EnvConfig:
    """Static sizes and switches of an `Env`. Hashable; two equal ones share compiled code.

    Raises:
      ConfigError: a value out of range, or an unknown relation.
    """

    height: int = 13  # rows of the grid
    width: int = 13  # columns of the grid
    num_agents: int = 1  # agents at most; a task may have fewer
    max_objects: int = 16  # object slots
    max_rules: int = 16
    max_doors: int = 12
    max_goals: int = 1  # of a task; where it may have several, every trial has one of them, drawn anew
    goal_clauses: int = 1  # goals are an OR of this many clauses ...
    goal_literals: int = 1  # ... each an AND of this many literals
    view_size: int = 5  # side of the square an agent sees; odd
    see_through_walls: bool = False
    push: bool = True  # whether walking into an object pushes it
    relations: tuple[str, ...] = RELATIONS  # what rules and goals may use

    def __post_init__(self) -> None:
        for name, (low, high) in _WHOLE.items():
            check_fields(self, [name], partial(check_whole, low=low, high=high))
        check_fields(self, ("see_through_walls", "push"), check_bool)
        if self.view_size % 2 == 0:
            raise ConfigError(
                f"view_size is {self.view_size}, which has no middle column for the agent. "
                f"Write an odd number, such as {self.view_size + 1}."
            )
        if isinstance(self.relations, str) or not isinstance(self.relations, tuple | list):
            raise ConfigError(f"relations is {self.relations!r}; write a tuple of names, such as ('touch', 'hold').")
        wanted = [check_word("relations", relation, RELATIONS) for relation in self.relations]
        # One order for equal sets, so that equal configurations are equal values.
        object.__setattr__(self, "relations", tuple(name for name in RELATIONS if name in wanted))
