"""Task files: `parse` reads the text of a task, `config_for` says what environment it needs. `writing.py` writes it.

The format is TOML with the map as a picture; docs/task-language.md describes it.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xworld.base.errors import ConfigError, did_you_mean, located
from xworld.base.files import reason_of
from xworld.core import kinds
from xworld.core.config import MAX_OBJECTS, MAX_SIDE, EnvConfig
from xworld.core.types import Task
from xworld.tasks.language.making import make_task
from xworld.tasks.language.phrases import (
    AGENTS,
    CHARACTERS,
    FACINGS,
    Cell,
    cell_text,
    parse_cell,
    parse_goal,
    parse_kind,
    parse_relation,
    parse_rule,
)
from xworld.tasks.language.rows import NOTHING_HIDDEN, DoorRow, Goal, HiddenRow, Literal, ObjectRow, Position, RuleRow

SPARE_OBJECTS = 8  # slots `config_for` leaves for what rules produce

_KEYS = (
    "goal", "goals", "rules", "hidden", "trial_length", "num_trials", "facing", "world_id", "game_id", "map", "legend",
)  # fmt: skip
_NUMBERS = {"trial_length": 100, "num_trials": 1, "world_id": -1, "game_id": -1}  # with what they are by default


def parse(text: str, config: EnvConfig) -> Task:
    """The task that a task file describes, padded to `config`.

    Raises:
      ConfigError: a mistake in the text, or a task that does not fit into `config`.
    """
    return _read(text).build(config)


def config_for(text: str) -> EnvConfig:
    """The smallest configuration that a task file fits into, with all relations and 8 object slots to spare.

    Raises:
      ConfigError: a mistake in the text, or a task too large for any configuration.
    """
    draft = _read(text)
    height, width = draft.terrain.shape
    goals = [goal for by_agent in draft.goals for goal in by_agent.values()]
    clauses = [clause for goal in goals for clause in goal]
    agents = {*draft.agents, *(draft.hidden if isinstance(draft.hidden, Mapping) else ())}
    conditions: list[RuleRow | Literal] = [*draft.rules, *(literal for clause in clauses for literal in clause)]
    operands = [kind for condition in conditions for kind in (condition.first, condition.second)]
    hidden = draft.hidden.values() if isinstance(draft.hidden, Mapping) else [draft.hidden]
    named = [*operands, *(kind for row in hidden for kind in row.kinds)]
    agents.update(kind - kinds.agent_kind(0) for kind in named if kinds.is_agent_kind(kind))
    if max(height, width) > MAX_SIDE:
        raise ConfigError(f"The map is {height} x {width} (rows x columns); the largest is {MAX_SIDE} x {MAX_SIDE}.")
    if len(draft.objects) > MAX_OBJECTS:
        raise ConfigError(f"{len(draft.objects)} objects are on the map; at most {MAX_OBJECTS} can be.")
    config = EnvConfig(
        height=height,
        width=width,
        num_agents=max(agents, default=0) + 1,
        max_objects=min(len(draft.objects) + SPARE_OBJECTS, MAX_OBJECTS),
        max_rules=max(len(draft.rules), 1),
        max_doors=max(len(draft.doors), 1),
        max_goals=len(draft.goals),
        goal_clauses=max([1, *map(len, goals)]),
        goal_literals=max([1, *map(len, clauses)]),
    )
    draft.build(config)  # so that what is wrong is said here already
    return config


@dataclass(frozen=True)
class _Draft:
    """A task file that was read, but not yet checked against a configuration."""

    terrain: np.ndarray
    doors: list[DoorRow]
    agents: dict[int, Position]
    objects: list[ObjectRow]
    goals: list[Mapping[int, Goal]]  # by agent; every trial has one of the list
    rules: list[RuleRow]
    hidden: HiddenRow | dict[int, HiddenRow]
    facing: dict[int, int]
    numbers: dict[str, int]

    def build(self, config: EnvConfig) -> Task:
        return make_task(
            config,
            terrain=self.terrain,
            doors=self.doors,
            agents=self.agents,
            objects=self.objects,
            goals=self.goals,
            rules=self.rules,
            hidden=self.hidden,
            facing=self.facing,
            **self.numbers,
        )


def _read(text: str) -> _Draft:
    try:
        document = tomllib.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        is_twice = any(sign in str(error) for sign in ("Cannot overwrite", "Duplicate", "twice"))
        problem = "A key is given twice; keep one" if is_twice else "This is not TOML"
        raise ConfigError(f"{problem}: {reason_of(error)}") from None
    for key in document:
        if key not in _KEYS:
            advice = "Put it below [legend], at the end." if len(key) == 1 else did_you_mean(key, _KEYS)
            raise ConfigError(f"{key!r} is an unknown key. {advice}")
    characters = _read_legend(document.get("legend", {}))
    terrain, doors, agents, objects = _read_map(document, characters)
    rules = []
    for index, line in enumerate(_strings("rules", document.get("rules", []))):
        with located(f"rules[{index}]"):
            rules.append(parse_rule(line))
    return _Draft(
        terrain=terrain,
        doors=doors,
        agents=agents,
        objects=objects,
        goals=_read_goals(document, sorted(agents)),
        rules=rules,
        hidden=_read_hidden(document.get("hidden", "none"), len(rules)),
        facing=_read_facing(document.get("facing", "random"), sorted(agents)),
        numbers={name: document.get(name, default) for name, default in _NUMBERS.items()},
    )


def _read_legend(legend: object) -> dict[str, Cell]:
    """What every character of the map stands for."""
    if not isinstance(legend, dict):
        raise ConfigError(f"legend is {legend!r}; write a line [legend], and below it lines such as b = 'purple ball'.")
    characters = dict(CHARACTERS)
    for character, description in legend.items():
        if character in _KEYS:
            raise ConfigError(f"legend: {character!r} is a key of the task; put it above [legend].")
        if len(character) != 1:
            raise ConfigError(
                f"legend: {character!r} is not one character; write one, such as '{character[:1] or 'b'}'."
            )
        if character in CHARACTERS:
            raise ConfigError(
                f"legend: {character!r} always means '{cell_text(CHARACTERS[character])}'. Use another character."
            )
        description = _string(f"legend, {character!r}", description)
        with located(f"legend, {character!r}"):
            characters[character] = parse_cell(description)
    return characters


def _read_map(
    document: dict, characters: Mapping[str, Cell]
) -> tuple[np.ndarray, list[DoorRow], dict[int, Position], list[ObjectRow]]:
    """[h, w] uint8 terrain; and what is in it, row by row."""
    if "map" not in document:
        raise ConfigError('There is no map. Write map = """ ... """ above [legend].')
    lines = _string("map", document["map"]).removesuffix("\n").split("\n")
    width = len(lines[0])
    if not width:
        raise ConfigError("map, row 0 is empty. Draw the world from there on, all rows equally long.")
    terrain = np.zeros((len(lines), width), np.uint8)
    doors: list[DoorRow] = []
    objects: list[ObjectRow] = []
    agents: dict[int, Position] = {}
    for row, line in enumerate(lines):
        if len(line) != width:
            raise ConfigError(f"map, row {row}: {len(line)} columns, but row 0 has {width}. All rows are equally long.")
        for column, character in enumerate(line):
            where = f"map, row {row}, column {column}"
            if character not in characters:
                raise ConfigError(f"{where}: {character!r} is unknown. Describe it below [legend].")
            cell = characters[character]
            terrain[row, column] = cell.terrain
            if cell.terrain >> 4 == kinds.DOOR:
                doors.append(DoorRow(row, column, cell.door_state))
            if kinds.is_object_kind(cell.kind):
                objects.append(ObjectRow(cell.kind, row, column, cell.is_frozen))
            if kinds.is_agent_kind(cell.kind):
                agent = cell.kind - kinds.agent_kind(0)
                if agent in agents:
                    raise ConfigError(f"{where}: agent{agent} is there twice, also at {agents[agent]}. Keep one.")
                agents[agent] = row, column
    return terrain, doors, agents, objects


def _read_goals(document: dict, agents: Sequence[int]) -> list[Mapping[int, Goal]]:
    """The goals that a trial may have: each the one for all, or one for each agent."""
    if ("goal" in document) == ("goals" in document):
        raise ConfigError("Write either goal, which is everyone's, or goals, a list with one for each agent.")
    if "goal" in document:
        return [dict.fromkeys(agents, goal) for goal in _read_choice("goal", document["goal"])]
    entries = document["goals"]
    if not isinstance(entries, list):
        raise ConfigError(f'goals is {entries!r}; write a list of texts, as in goals = ["...", "..."].')
    _check_length("goals", len(entries), agents)
    choices = [_read_choice(f"goals[{index}]", entry) for index, entry in enumerate(entries)]
    numbers = [len(choice) for choice in choices]
    if len(set(numbers)) > 1:
        raise ConfigError(
            f"goals: the agents have {' and '.join(map(str, numbers))} goals. Write as many for each, since a trial "
            "has the n-th goal of every agent."
        )
    return [dict(zip(agents, goals, strict=True)) for goals in zip(*choices, strict=True)]


def _read_choice(name: str, value: object) -> list[Goal]:
    """One goal, or those of a list, of which every trial has one."""
    if isinstance(value, list):
        if not value:
            raise ConfigError(f"{name} is an empty list; write at least one goal.")
        return [_read_goal(f"{name}[{index}]", entry) for index, entry in enumerate(value)]
    return [_read_goal(name, value)]


def _read_goal(name: str, value: object) -> Goal:
    line = _string(name, value)
    with located(name):
        return parse_goal(line)


def _read_facing(facing: object, agents: Sequence[int]) -> dict[int, int]:
    words = [facing] * len(agents) if isinstance(facing, str) else _strings("facing", facing)
    _check_length("facing", len(words), agents)
    for word in words:
        if word not in FACINGS:
            raise ConfigError(f"facing: {word!r} is an unknown direction. {did_you_mean(str(word), FACINGS)}")
    return {agent: FACINGS.index(str(word)) for agent, word in zip(agents, words, strict=True)}


def _read_hidden(hidden: object, num_rules: int) -> HiddenRow | dict[int, HiddenRow]:
    """What is hidden from everyone, or from each agent of a table."""
    if not isinstance(hidden, dict):
        with located("hidden"):
            return _read_hidden_row(hidden, num_rules)
    rows: dict[int, HiddenRow] = {}
    for name, value in hidden.items():
        with located(f"hidden, {name}"):
            if name not in AGENTS:
                raise ConfigError(f"{name!r} is no agent. {did_you_mean(name, AGENTS)}")
            if AGENTS[name] in rows:
                raise ConfigError("agent and agent0 are the same agent; keep one.")
            rows[AGENTS[name]] = _read_hidden_row(value, num_rules)
    return rows


def _read_hidden_row(value: object, num_rules: int) -> HiddenRow:
    if isinstance(value, str):
        if value not in ("all", "none"):
            raise ConfigError(f"{value!r} is unknown. Write 'all', 'none' or a list, as in [0, 'kind: red key'].")
        return HiddenRow(rules=tuple(range(num_rules))) if value == "all" else NOTHING_HIDDEN
    if not isinstance(value, list):
        raise ConfigError(f"{value!r} is no text or list. Write 'all', 'none' or a list, as in [0, 'kind: red key'].")
    rules: list[int] = []
    hidden_kinds: list[int] = []
    relations: list[int] = []
    for entry in value:
        if isinstance(entry, int) and not isinstance(entry, bool):
            rules.append(entry)
            continue
        what, colon, word = entry.partition(":") if isinstance(entry, str) else ("", "", "")
        if not colon or what.strip() not in ("kind", "relation"):
            raise ConfigError(f"{entry!r} is unknown. Write the index of a rule, 'kind: red key' or 'relation: touch'.")
        if what.strip() == "kind":
            hidden_kinds.append(parse_kind(word))
        else:
            relations.append(parse_relation(word.strip()))
    return HiddenRow(tuple(rules), tuple(hidden_kinds), tuple(relations))


def _check_length(name: str, length: int, agents: Sequence[int]) -> None:
    if length != len(agents):
        raise ConfigError(
            f"{name}: the list has length {length}, but the number of agents on the map is {len(agents)}. "
            "Write one for each, in the order of their ids."
        )


def _string(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{name} is {value!r}; write text in quotes.")
    return value


def _strings(name: str, value: object) -> list[str]:
    if not isinstance(value, list):
        raise ConfigError(f'{name} is {value!r}; write a list of texts, as in {name} = ["...", "..."].')
    return [_string(f"{name}[{index}]", entry) for index, entry in enumerate(value)]
