"""Rules, goals and cells in words: "touch(purple ball, yellow cube) -> black cube", and the way back."""

import re
from dataclasses import dataclass

import numpy as np

from xworld.base.errors import ConfigError, did_you_mean
from xworld.core import kinds
from xworld.core.config import MAX_AGENTS, RELATIONS
from xworld.core.step.observation import HIDDEN_RELATION
from xworld.core.step.relations import ALL_DIRECTIONS, HIDDEN_RULE, NEVER, TOUCH
from xworld.core.types import Briefing
from xworld.tasks.language.rows import Goal, Literal, RuleRow, kind_text

DIRECTIONS = ("north", "east", "south", "west")
FACINGS = (*DIRECTIONS, "random")  # in the order of their codes
NEVER_HOLDS = "never"  # the goal that never holds
OF_EACH_TRIAL = "of each trial"  # in place of a goal that observations say

AGENTS = {"agent": 0, **{f"agent{agent}": agent for agent in range(MAX_AGENTS)}}
_CONDITION = re.compile(r"(\w+)((?:\.\w*)*)\s*\(([^()]*)\)")
_EXAMPLE = "touch(purple ball, yellow cube)"


def parse_rule(text: str) -> RuleRow:
    """The rule that `text` says, as in "touch(purple ball, yellow cube) -> black cube".

    Raises:
      ConfigError: an unknown word, or not the form of a rule. What may be combined is for `make_task` to check.
    """
    parts = text.split("->")
    if len(parts) != 2:
        raise ConfigError(
            f"{text!r} has {len(parts) - 1} arrows; write 'relation(first, second) -> products', as in "
            f"'{_EXAMPLE} -> black cube', with nothing behind the arrow when nothing is made."
        )
    if re.match(r"\s*not\b", parts[0]):
        raise ConfigError(f"{text!r}: a rule cannot have 'not'; only goals can.")
    if re.search(r"\)\s*(and|or)\b", parts[0]):
        raise ConfigError(f"{text!r}: a rule has one condition, without 'and' and 'or'; write several rules.")
    condition = _parse_condition(parts[0])
    products = tuple(parse_kind(word) for word in parts[1].split(",")) if parts[1].strip() else ()
    return RuleRow(condition.relation, condition.first, condition.second, products, condition.directions)


def parse_goal(text: str) -> Goal:
    """The goal that `text` says, as in "hold(agent, black cube) and not near(red ball, agent) or on(agent, red floor)".

    Raises:
      ConfigError: an unknown word, or not the form of a goal. What may be combined is for `make_task` to check.
    """
    if text.strip() == NEVER_HOLDS:
        return ()
    clauses = re.split(r"\bor\b", text)
    return tuple(tuple(_parse_literal(part) for part in re.split(r"\band\b", clause)) for clause in clauses)


def parse_kind(text: str) -> int:
    """The kind that `text` names: "purple ball", "red floor", "agent", "agent1".

    Raises:
      ConfigError: it names none.
    """
    words = text.split()
    shapes = (*kinds.SHAPES, "floor")
    if not words:
        raise ConfigError("A kind is missing here. Write a colour and a shape, as in 'purple ball'.")
    if len(words) == 1:
        word = words[0]
        if word in AGENTS:
            return kinds.agent_kind(AGENTS[word])
        if word in kinds.COLOURS:
            raise ConfigError(f"{text.strip()!r} has no shape. Write a colour and a shape, as in '{word} ball'.")
        if word in shapes:
            raise ConfigError(f"{text.strip()!r} has no colour. Write a colour and a shape, as in 'red {word}'.")
        raise ConfigError(
            f"{word!r} is no kind. Write a colour and a shape, as in 'purple ball', or an agent. "
            f"{did_you_mean(word, AGENTS)}"
        )
    if words[0] == "frozen":
        raise ConfigError(f"{text.strip()!r}: 'frozen' is said of an object in the legend; it is not part of a kind.")
    if len(words) > 2:
        raise ConfigError(f"{text.strip()!r} is {len(words)} words. Write a colour and a shape, as in 'purple ball'.")
    colour, shape = words
    if colour in shapes and shape in kinds.COLOURS:
        raise ConfigError(f"{text.strip()!r}: the colour comes first. Write '{shape} {colour}'.")
    if shape not in shapes:
        raise ConfigError(f"{text.strip()!r}: {shape!r} is an unknown shape. {did_you_mean(shape, shapes)}")
    _check_colour(colour, text)
    return kinds.floor_kind(colour) if shape == "floor" else kinds.object_kind(shape, colour)


def parse_relation(text: str) -> int:
    """The code of the relation called `text`.

    Raises:
      ConfigError: none is.
    """
    if text not in RELATIONS:
        raise ConfigError(f"{text!r} is an unknown relation. {did_you_mean(text, RELATIONS)}")
    return RELATIONS.index(text) + 1


def _parse_literal(text: str) -> Literal:
    words = text.split(maxsplit=1)
    if not words:
        raise ConfigError("A condition is missing at the start or the end, or beside 'and' or 'or'.")
    if words[0] == NEVER_HOLDS:
        raise ConfigError(f"'{NEVER_HOLDS}' stands alone: it is the goal that never holds.")
    is_negated = words[0] == "not" and len(words) == 2
    literal = _parse_condition(words[1] if is_negated else text)
    return Literal(literal.relation, literal.first, literal.second, literal.directions, is_negated)


def _parse_condition(text: str) -> Literal:
    match = _CONDITION.fullmatch(text.strip())
    if match is None:
        raise ConfigError(
            f"Cannot read {text.strip()!r}. Write 'relation(first, second)', as in '{_EXAMPLE}'; in a goal maybe with "
            "'not' before it, 'and' and 'or' between several, and no further parentheses."
        )
    name, suffix, operands = match.groups()
    relation = parse_relation(name)
    words = operands.split(",")
    if len(words) != 2:
        raise ConfigError(f"{text.strip()!r}: {name} relates two kinds, not {len(words)}, as in '{_EXAMPLE}'.")
    directions = 0
    for direction in suffix.split(".")[1:]:
        if relation != TOUCH:
            raise ConfigError(f"{text.strip()!r}: {name} has no directions; only touch does. Write '{name}(...)'.")
        if direction not in DIRECTIONS:
            raise ConfigError(
                f"{text.strip()!r}: {direction!r} is an unknown direction. {did_you_mean(direction, DIRECTIONS)}"
            )
        bit = 1 << DIRECTIONS.index(direction)
        if directions & bit:
            raise ConfigError(f"{text.strip()!r}: {direction!r} is there twice; once is enough.")
        directions |= bit
    return Literal(relation, parse_kind(words[0]), parse_kind(words[1]), directions)


def rule_text(row: np.ndarray) -> str:
    """A rule in one line, as in "touch(purple ball, yellow cube) -> black cube".

    Args:
      row: [7] relation, directions, first, second and three products, as in a briefing: a rule that is hidden whole
        becomes "?", the n-th hidden kind or relation "?n". A row of padding becomes "never".
    """
    relation, directions, first, second, *products = (int(field) for field in np.asarray(row))
    if relation == HIDDEN_RULE:
        return "?"
    if relation == NEVER:
        return NEVER_HOLDS
    made = ", ".join(kind_text(kind) for kind in products if kind != kinds.NOTHING)
    return f"{_condition_text(relation, directions, first, second)} -> {made}".rstrip()


def goal_text(goal: np.ndarray) -> str:
    """A goal in one line, without its padding; "never" for one that is all padding.

    Args:
      goal: [C, L, 5] relation, directions, first, second and negated, as in a briefing.
    """
    clauses = []
    for clause in np.asarray(goal).tolist():
        literals = [(tuple(fields), bool(negated)) for *fields, negated in clause]
        if any(fields[0] == NEVER and not negated for fields, negated in literals):
            continue
        clauses.append(
            " and ".join(
                ("not " if negated else "") + _condition_text(*fields)
                for fields, negated in literals
                if fields[0] != NEVER
            )
        )
    return " or ".join(clauses) or NEVER_HOLDS


def briefing_text(briefing: Briefing, agent: int = 0) -> tuple[str, list[str]]:
    """The goal of an agent and the rules as it may know them, a line each.

    The goal is "of each trial" where it may change.
    """
    rules = np.asarray(briefing.rules)[agent]
    goal = OF_EACH_TRIAL if briefing.goal is None else goal_text(np.asarray(briefing.goal)[agent])
    return goal, [rule_text(row) for row in rules if row[0] != NEVER]


def _condition_text(relation: int, directions: int, first: int, second: int) -> str:
    name = RELATIONS[relation - 1] if relation <= len(RELATIONS) else f"?{relation - HIDDEN_RELATION}"
    if relation == TOUCH and directions != ALL_DIRECTIONS:
        name += "".join(f".{direction}" for bit, direction in enumerate(DIRECTIONS) if directions >> bit & 1)
    return f"{name}({kind_text(first)}, {kind_text(second)})"


@dataclass(frozen=True)
class Cell:
    """What a character of the map stands for."""

    terrain: int
    kind: int = kinds.NOTHING  # of an agent or an object in it
    is_frozen: bool = False
    door_state: int = kinds.OPEN  # of a door


# What characters of the map mean without a legend.
CHARACTERS = {
    " ": Cell(kinds.VOID * 16),
    "#": Cell(kinds.WALL * 16),
    ".": Cell(kinds.BLACK_FLOOR),
    "~": Cell(kinds.WATER * 16),
    "+": Cell(kinds.COUNTER * 16),
    **{str(agent): Cell(kinds.BLACK_FLOOR, kinds.agent_kind(agent)) for agent in range(MAX_AGENTS)},
}


def parse_cell(text: str) -> Cell:
    """The cell that a legend entry describes: "frozen yellow cube", "locked red door", "agent1 on red floor".

    Raises:
      ConfigError: it describes none.
    """
    thing, *ground = re.split(r"\bon\b", text)
    if len(ground) > 1:
        raise ConfigError(f"{text!r} has several 'on'; write one, as in 'purple ball on red floor'.")
    known = (*kinds.SHAPES, *kinds.TERRAIN_TYPES, *AGENTS)
    for *_, noun in filter(None, map(str.split, (thing, *ground))):
        if noun not in known and noun not in kinds.COLOURS:
            raise ConfigError(f"{text!r}: {noun!r} is unknown. {did_you_mean(noun, known)}")
    if not ground:
        terrain = _parse_terrain(thing)
        if terrain is not None:
            return terrain
    cell = _parse_terrain(ground[0]) if ground else Cell(kinds.BLACK_FLOOR)
    if cell is None or cell.terrain >> 4 not in (kinds.FLOOR, kinds.COUNTER):
        raise ConfigError(f"{text!r}: a thing can only be on 'counter' or floor of a colour, such as 'red floor'.")
    words = thing.split()
    is_frozen = words[:1] == ["frozen"]
    if len(words) == 3 and not is_frozen:
        raise ConfigError(f"{text!r}: {words[0]!r} is unknown. {did_you_mean(words[0], ('frozen',))}")
    kind = parse_kind(" ".join(words[is_frozen:]))
    if is_frozen and kinds.is_agent_kind(kind):
        raise ConfigError(f"{text!r}: only objects can be frozen.")
    if kinds.is_floor_kind(kind):
        raise ConfigError(f"{text!r}: floor is not a thing that can be frozen or on something.")
    return Cell(cell.terrain, kind, is_frozen)


def _parse_terrain(text: str) -> Cell | None:
    """A cell with nothing in it, or None when `text` does not end in a word for terrain."""
    *words, last = text.split() or [""]
    if last not in kinds.TERRAIN_TYPES:
        return None
    kind = kinds.TERRAIN_TYPES.index(last)
    state = kinds.CLOSED if kind == kinds.DOOR else kinds.OPEN
    if kind == kinds.DOOR and words and words[0] in kinds.DOOR_STATES:
        state = kinds.DOOR_STATES.index(words.pop(0))
    if kind not in (kinds.FLOOR, kinds.DOOR):
        if words:
            raise ConfigError(f"{text.strip()!r}: {last} is just '{last}'.")
        return Cell(kind * 16)
    if len(words) != 1:
        example = "'red floor'" if kind == kinds.FLOOR else "'red door', 'open red door' or 'locked red door'"
        raise ConfigError(f"{text.strip()!r} is not a {last}. Write {example}.")
    _check_colour(words[0], text)
    return Cell(kind * 16 + kinds.COLOURS.index(words[0]), door_state=state)


def _check_colour(word: str, text: str) -> None:
    if word not in kinds.COLOURS:
        raise ConfigError(f"{text.strip()!r}: {word!r} is an unknown colour. {did_you_mean(word, kinds.COLOURS)}")


def cell_text(cell: Cell) -> str:
    """The shortest legend entry that describes the cell."""
    kind, colour = cell.terrain >> 4, cell.terrain & 15
    ground = kinds.TERRAIN_TYPES[kind]
    if kind in (kinds.FLOOR, kinds.DOOR):
        ground = f"{kinds.COLOURS[colour]} {ground}"
    if kind == kinds.DOOR and cell.door_state != kinds.CLOSED:
        ground = f"{kinds.DOOR_STATES[cell.door_state]} {ground}"
    if cell.kind == kinds.NOTHING:
        return ground
    thing = ("frozen " if cell.is_frozen else "") + kind_text(cell.kind)
    return thing if cell.terrain == kinds.BLACK_FLOOR else f"{thing} on {ground}"
