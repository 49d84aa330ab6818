"""The parts of a task as plain Python values, and what may stand in them."""

from collections import Counter
from dataclasses import dataclass

from xworld.base.checks import check_whole
from xworld.base.errors import ConfigError
from xworld.core import kinds
from xworld.core.config import RELATIONS, EnvConfig
from xworld.core.step.relations import ALL_DIRECTIONS, HOLD, ON, TOUCH
from xworld.core.types import MAX_HIDDEN_KINDS, NUM_RELATIONS

MAX_PRODUCTS = 3
MAX_KIND = 255  # kinds are uint8

Position = tuple[int, int]  # row, column


@dataclass(frozen=True)
class Literal:
    """`relation(first, second)` in a goal, or, negated, that no pair satisfies it."""

    relation: int  # code of a relation
    first: int  # kind
    second: int  # kind
    directions: int = 0  # for touch: bit d is set when second may be in direction d of first; 0 for all four
    is_negated: bool = False


Goal = tuple[tuple[Literal, ...], ...]  # an OR of ANDs of literals; the empty goal never holds


@dataclass(frozen=True)
class RuleRow:
    """`relation(first, second) -> products`."""

    relation: int  # code of a relation
    first: int  # kind
    second: int  # kind
    products: tuple[int, ...] = ()  # up to three kinds
    directions: int = 0  # as in `Literal`


@dataclass(frozen=True)
class ObjectRow:
    """An object of some kind on floor or on a counter."""

    kind: int
    row: int
    column: int
    is_frozen: bool = False


@dataclass(frozen=True)
class DoorRow:
    """The state in which a door of the terrain starts."""

    row: int
    column: int
    state: int  # open 0, closed 1, locked 2


@dataclass(frozen=True)
class HiddenRow:
    """What one agent is not told about the rules."""

    rules: tuple[int, ...] = ()  # indices of rules of which it only knows that they exist
    kinds: tuple[int, ...] = ()  # the n-th is placeholder n in all rules
    relations: tuple[int, ...] = ()  # codes, likewise


NOTHING_HIDDEN = HiddenRow()


def check_condition(config: EnvConfig, condition: Literal | RuleRow) -> int:
    """The directions of a condition, 15 for a touch without any.

    Raises:
      ConfigError: the relation cannot hold between such kinds, or the configuration leaves one of them out.
    """
    relation, first, second = condition.relation, condition.first, condition.second
    name = RELATIONS[check_whole("A relation's code", relation, 1, NUM_RELATIONS) - 1]
    if name not in config.relations:
        raise ConfigError(
            f"{name!r} is left out of EnvConfig.relations, which has {', '.join(config.relations)}. Add it there."
        )
    for operand, kind in (("first", first), ("second", second)):
        check_kind(f"The {operand} operand", kind)
        check_agent(config, kind)
    if not (kinds.is_object_kind(first) or kinds.is_agent_kind(first)):
        raise ConfigError(f"The first operand is {kind_text(first)}; write an agent or an object, such as 'red ball'.")
    if relation == HOLD and not (kinds.is_agent_kind(first) and kinds.is_object_kind(second)):
        raise ConfigError(
            f"hold({kind_text(first)}, {kind_text(second)}) cannot be: hold takes an agent and an object, as in "
            "'hold(agent, red ball)'."
        )
    if relation == ON and not kinds.is_floor_kind(second):
        raise ConfigError(f"on takes floor as second operand, not {kind_text(second)}, as in 'on(agent, red floor)'.")
    if relation != ON and not (kinds.is_object_kind(second) or kinds.is_agent_kind(second)):
        raise ConfigError(
            f"The second operand of {name} is {kind_text(second)}; write an agent or an object. "
            "Floor is the second operand of 'on' only."
        )
    directions = check_whole("directions", condition.directions, 0, ALL_DIRECTIONS)
    if relation == TOUCH:
        return directions or ALL_DIRECTIONS
    if directions:
        raise ConfigError(f"{name} has no directions; only touch does, as in 'touch.north(red ball, blue cube)'.")
    return 0


def check_rule(rule: RuleRow) -> None:
    """Checks what is asked of a rule beyond its condition.

    Raises:
      ConfigError: an agent as second operand, a product that is no object, or products that change nothing.
    """
    if kinds.is_agent_kind(rule.second):
        raise ConfigError(
            f"{kind_text(rule.second)} is the second operand; in a rule an agent may only be the first, "
            f"as in 'near({kind_text(rule.second)}, red ball)'."
        )
    if not isinstance(rule.products, tuple | list):
        raise ConfigError(f"products is {rule.products!r}; write a tuple of kinds, or the rule with parse_rule.")
    if len(rule.products) > MAX_PRODUCTS:
        raise ConfigError(f"{len(rule.products)} products; a rule makes at most {MAX_PRODUCTS}.")
    for kind in rule.products:
        check_kind("A product", kind)
        if not kinds.is_object_kind(kind):
            raise ConfigError(f"{kind_text(kind)} cannot be made; products are objects, such as 'red ball'.")
    consumed = [kind for kind in (rule.first, rule.second) if kinds.is_object_kind(kind)]
    if Counter(consumed) == Counter(rule.products):
        raise ConfigError(
            f"The rule makes just what it consumes ({', '.join(map(kind_text, consumed)) or 'nothing'}), so it would "
            "change nothing. Write other products."
        )


def check_hidden(config: EnvConfig, num_rules: int, row: HiddenRow) -> None:
    """Checks that what is hidden exists, and once.

    Raises:
      ConfigError: it does not, or there are more than 16 kinds.
    """
    for name, entries in (("rule", row.rules), ("kind", row.kinds), ("relation", row.relations)):
        for entry, count in Counter(entries).items():
            if count > 1:
                raise ConfigError(f"{name} {_entry_text(name, entry)} is named {count} times; once is enough.")
    for index in row.rules:
        if not 0 <= index < num_rules:
            raise ConfigError(f"There is no rule {index}; rules are counted from 0, and their number is {num_rules}.")
    for kind in row.kinds:
        check_kind("A kind", kind)
        if not is_kind(kind):
            raise ConfigError(f"{kind} is not a kind that can be in a rule.")
        check_agent(config, kind)
    if len(row.kinds) > MAX_HIDDEN_KINDS:
        raise ConfigError(f"{len(row.kinds)} kinds; at most {MAX_HIDDEN_KINDS} can be hidden from an agent.")
    for relation in row.relations:
        name = RELATIONS[check_whole("A relation's code", relation, 1, NUM_RELATIONS) - 1]
        if name not in config.relations:
            raise ConfigError(f"relation {name!r} is left out of EnvConfig.relations; leave it out here too.")


def check_kind(name: str, kind: object) -> int:
    """A kind as an int; which ones may stand where is checked elsewhere.

    Raises:
      ConfigError: it is no byte.
    """
    try:
        return check_whole(name, kind, 0, MAX_KIND)
    except ConfigError:
        raise ConfigError(f"{name} is {kind!r}; write a kind, such as parse_kind('red ball').") from None


def check_agent(config: EnvConfig, kind: int) -> None:
    """Checks that `kind`, if it is an agent, is one that the configuration has."""
    if kinds.is_agent_kind(kind) and kind - kinds.agent_kind(0) >= config.num_agents:
        raise ConfigError(f"{kinds.kind_name(kind)} does not exist: EnvConfig.num_agents is {config.num_agents}.")


def _entry_text(name: str, entry: int) -> str:
    if name == "relation" and 1 <= entry <= NUM_RELATIONS:
        return RELATIONS[entry - 1]
    return kind_text(entry) if name == "kind" else str(entry)


def kind_text(kind: int) -> str:
    """The kind as task files write it: "purple ball", "red floor", "agent", "agent1", or "?3" for a placeholder."""
    if kind == kinds.agent_kind(0):
        return "agent"
    is_placeholder = kind >> 4 == kinds.PLACEHOLDER
    if is_placeholder or kind == kinds.NOTHING or is_kind(kind):
        return kinds.kind_name(kind)
    return f"{kind}, which is no kind"


def is_kind(kind: int) -> bool:
    """Whether `kind` can stand in a rule or goal."""
    return kinds.is_object_kind(kind) or kinds.is_floor_kind(kind) or kinds.is_agent_kind(kind)
