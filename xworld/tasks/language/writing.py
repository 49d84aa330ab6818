"""`to_text`: the task file of a task."""

from collections.abc import Iterable, Mapping

import jax
import numpy as np

from xworld.base.errors import ConfigError
from xworld.core import kinds
from xworld.core.config import RELATIONS
from xworld.core.step.goals import num_goals
from xworld.core.step.relations import NEVER
from xworld.core.types import RANDOM_FACING, Rules, Task
from xworld.tasks.language.phrases import CHARACTERS, FACINGS, Cell, cell_text, goal_text, rule_text
from xworld.tasks.language.rows import NOTHING_HIDDEN, HiddenRow, kind_text

# Characters of the legend when none that reminds of the cell is free. No quote or backslash: it would end or escape
# the map, or the text in a file of tasks.
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_POOL = (
    _LETTERS + _LETTERS.upper() + "456789" + "*%&@$=!?^|/<>:;,_-()[]{}`"
    + "".join(map(chr, (*range(0xE0, 0xF7), *range(0xF8, 0xFF), *range(0x3B1, 0x3CA), *range(0x430, 0x450))))
    + "".join(map(chr, (*range(0x410, 0x430), *range(0x561, 0x587))))
)  # fmt: skip


def to_text(task: Task) -> str:
    """The task file of one task, from NumPy or JAX arrays, of which `parse` makes the same task again.

    That holds, for the configuration the task was made for, for all that `make_task` and `Universe` make: objects and
    doors in the order of the map and no padding before the last rule, goal or hidden kind.

    Raises:
      ConfigError: `task` is a batch of tasks.
    """
    task = jax.tree.map(np.asarray, task)
    if task.terrain.ndim != 2:
        raise ConfigError(f"to_text writes one task, not a batch of shape {task.terrain.shape[:-2]}; index it first.")
    agents = np.flatnonzero(task.is_present).tolist()
    lines = _goal_lines(task, agents)
    rules = _rule_rows(task.rules)
    if len(rules):
        lines += ["rules = [", *(f"  {_quote(rule_text(row))}," for row in rules), "]"]
    lines += _hidden_lines(task, agents)
    lines += [f"trial_length = {task.trial_length}", f"num_trials = {task.num_trials}"]
    facings = [FACINGS[int(task.agent_facing[agent])] for agent in agents]
    if set(facings) != {FACINGS[RANDOM_FACING]}:
        lines.append(f"facing = {_one_or_list(facings)}")
    lines += [f"{name} = {value}" for name in ("world_id", "game_id") if (value := int(getattr(task, name))) != -1]
    rows, legend = _draw(task)
    lines += ['map = """', *rows, '"""']
    if legend:
        lines += ["[legend]", *(f"{_key(character)} = {_quote(cell_text(cell))}" for character, cell in legend.items())]
    return "\n".join(lines) + "\n"


def _goal_lines(task: Task, agents: Iterable[int]) -> list[str]:
    """How the goals are written: once when they are everyone's, else by agent; as a list where there are several."""
    goals = task.goals
    fields = [goals.relation, goals.directions, goals.first, goals.second, goals.negated]
    rows = np.stack(fields, axis=-1)  # [A, C, L, 5], or [G, A, C, L, 5]
    rows = rows[: int(num_goals(task))] if task.has_several_goals else rows[None]
    choices = [tuple(goal_text(of_agents[agent]) for of_agents in rows) for agent in agents]
    if len(set(choices)) > 1:
        return ["goals = [", *(f"  {_one_or_many(choice)}," for choice in choices), "]"]
    (choice,) = set(choices)
    if len(choice) == 1:
        return [f"goal = {_quote(choice[0])}"]
    return ["goal = [", *(f"  {_quote(text)}," for text in choice), "]"]


def _rule_rows(rules: Rules) -> np.ndarray:
    """[r, 7] the rules without their padding."""
    fields = np.stack([rules.relation, rules.directions, rules.first, rules.second], axis=-1)
    return np.concatenate([fields, rules.products], axis=-1)[np.asarray(rules.relation) != NEVER]


def _hidden_lines(task: Task, agents: Iterable[int]) -> list[str]:
    """How `hidden` is written: once when all agents, absent ones too, are not told the same; else by agent."""
    is_rule = np.asarray(task.rules.relation) != NEVER
    num_rules = int(is_rule.sum())
    rows = [
        HiddenRow(
            rules=tuple(np.flatnonzero(np.asarray(mask)[is_rule]).tolist()),
            kinds=tuple(int(kind) for kind in hidden_kinds if kind),
            relations=tuple(int(relation) for relation in relations if relation),
        )
        for mask, hidden_kinds, relations in zip(
            task.hidden.rules, task.hidden.kinds, task.hidden.relations, strict=True
        )
    ]
    if len(set(rows)) == 1:
        return [] if rows[0] == NOTHING_HIDDEN else [f"hidden = {_hidden_text(rows[0], num_rules)}"]
    told = [
        f"agent{agent} = {_hidden_text(row, num_rules)}"
        for agent, row in enumerate(rows)
        if agent in agents or row != NOTHING_HIDDEN
    ]
    return [f"hidden = {{ {', '.join(told)} }}"]


def _hidden_text(row: HiddenRow, num_rules: int) -> str:
    if row == NOTHING_HIDDEN:
        return '"none"'
    if row == HiddenRow(rules=tuple(range(num_rules))):
        return '"all"'
    entries = [str(index) for index in row.rules]
    entries += [_quote(f"kind: {kind_text(kind)}") for kind in row.kinds]
    entries += [_quote(f"relation: {RELATIONS[relation - 1]}") for relation in row.relations]
    return f"[{', '.join(entries)}]"


def _draw(task: Task) -> tuple[list[str], dict[str, Cell]]:
    """The rows of the map, without void at the right and the bottom, and the legend of what they need."""
    terrain = np.asarray(task.terrain)
    height, width = (int(np.flatnonzero(terrain.any(axis))[-1]) + 1 for axis in (1, 0))
    things: dict[tuple[int, int], tuple[int, bool]] = {}
    for agent, position in enumerate(task.agent_position.tolist()):
        things[tuple(position)] = kinds.agent_kind(agent), False
    for kind, position, frozen in zip(
        task.object_kind.tolist(), task.object_position.tolist(), task.object_frozen.tolist(), strict=True
    ):
        things[tuple(position)] = kind, bool(frozen)
    door_state = {
        tuple(position): state
        for position, state in zip(task.door_position.tolist(), task.door_state.tolist(), strict=True)
    }
    character_of = {cell: character for character, cell in CHARACTERS.items()}
    legend: dict[str, Cell] = {}
    rows = []
    for row in range(height):
        line = ""
        for column in range(width):
            kind, is_frozen = things.get((row, column), (kinds.NOTHING, False))
            cell = Cell(int(terrain[row, column]), kind, is_frozen, door_state.get((row, column), kinds.OPEN))
            if cell not in character_of:
                character_of[cell] = _choose(cell, legend)
                legend[character_of[cell]] = cell
            line += character_of[cell]
        rows.append(line)
    return rows, legend


def _choose(cell: Cell, taken: Mapping[str, Cell]) -> str:
    """A free character that reminds of the cell, if there is one."""
    words = "".join(reversed(cell_text(cell).partition(" on ")[0].split()))  # the shape before the colour
    if cell.kind == kinds.NOTHING:
        preferred = words.upper() if cell.terrain >> 4 == kinds.DOOR else ",:;_-"
    else:
        preferred = "@&$%" if kinds.is_agent_kind(cell.kind) else words + words.upper()
    return next(character for character in preferred + _POOL if character not in taken and character not in CHARACTERS)


def _one_or_list(words: list[str]) -> str:
    if len(set(words)) == 1:
        return _quote(words[0])
    return f"[{', '.join(map(_quote, words))}]"


def _one_or_many(texts: tuple[str, ...]) -> str:
    return _quote(texts[0]) if len(texts) == 1 else f"[{', '.join(map(_quote, texts))}]"


def _key(character: str) -> str:
    return character if character.isascii() and character.isalnum() else _quote(character)


def _quote(text: str) -> str:
    return f'"{text}"'
