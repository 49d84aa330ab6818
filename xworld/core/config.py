"""`EnvConfig`: what is fixed when an environment is compiled, so that nobody pays for what their tasks do not use."""

from dataclasses import dataclass

from xworld.base.errors import ConfigError, did_you_mean

RELATIONS = ("touch", "near", "hold", "see", "on")  # codes 1 to 5, whatever a configuration compiles in
MAX_SIDE = 127  # rows and columns stay below the codes of `types.NOWHERE` and `types.HAND`
MAX_AGENTS = 4
MAX_OBJECTS = 128
MAX_VIEW = 15  # its cells are counted in a byte
MAX_RULES = 254  # `event` and the hidden-rule code 255 stay apart


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
    goal_clauses: int = 1  # goals are an OR of this many clauses ...
    goal_literals: int = 1  # ... each an AND of this many literals
    view_size: int = 5  # side of the square an agent sees; odd
    see_through_walls: bool = False
    push: bool = True  # whether walking into an object pushes it
    relations: tuple[str, ...] = RELATIONS  # what rules and goals may use

    def __post_init__(self) -> None:
        _check_range("height", self.height, 1, MAX_SIDE)
        _check_range("width", self.width, 1, MAX_SIDE)
        _check_range("num_agents", self.num_agents, 1, MAX_AGENTS)
        _check_range("max_objects", self.max_objects, 1, MAX_OBJECTS)
        _check_range("max_rules", self.max_rules, 1, MAX_RULES)
        _check_range("max_doors", self.max_doors, 1, 255)
        _check_range("goal_clauses", self.goal_clauses, 1, 255)
        _check_range("goal_literals", self.goal_literals, 1, 255)
        _check_range("view_size", self.view_size, 1, MAX_VIEW)
        for switch in ("see_through_walls", "push"):
            if not isinstance(getattr(self, switch), bool):
                raise ConfigError(f"{switch} is {getattr(self, switch)!r}; write True or False.")
        if self.view_size % 2 == 0:
            raise ConfigError(
                f"view_size is {self.view_size}, which has no middle column for the agent. "
                f"Write an odd number, such as {self.view_size + 1}."
            )
        if isinstance(self.relations, str) or not isinstance(self.relations, tuple | list):
            raise ConfigError(f"relations is {self.relations!r}; write a tuple of names, such as ('touch', 'hold').")
        for relation in self.relations:
            if relation not in RELATIONS:
                raise ConfigError(f"relations: {relation!r} is unknown. {did_you_mean(str(relation), RELATIONS)}")
        # One order for equal sets, so that equal configurations are equal values.
        object.__setattr__(self, "relations", tuple(name for name in RELATIONS if name in self.relations))


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name} is {value!r}; write a whole number from {low} to {high}.")
    if not low <= value <= high:
        raise ConfigError(f"{name} is {value}; write a whole number from {low} to {high}.")
