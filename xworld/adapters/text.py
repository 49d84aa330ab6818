"""Observation, briefing and actions in words, for language agents. Nothing is said that the agent cannot know."""

import re
from string import ascii_lowercase, ascii_uppercase

import numpy as np

from xworld.base.errors import ConfigError
from xworld.core import kinds
from xworld.core.config import EnvConfig
from xworld.core.step.actions import ACTION_NAMES, FORWARD, NOOP, PICK_UP, PUT_DOWN, TOGGLE, TURN_LEFT, TURN_RIGHT
from xworld.core.types import Briefing, Observation
from xworld.tasks.language.phrases import CHARACTERS, DIRECTIONS, Cell, briefing_text, cell_text, goal_text
from xworld.tasks.language.rows import kind_text

_SELF, _UNSEEN = "@", "?"
_LETTERS = ascii_lowercase + ascii_uppercase + "".join(map(chr, range(0xC0, 0x180)))  # more than a view has cells
_PLAIN = {cell: character for character, cell in CHARACTERS.items() if cell.kind == kinds.NOTHING}
_RELATIVE = ("facing the same way", "facing to your right", "facing you", "facing to your left")


def system_words(config: EnvConfig) -> str:
    """The rules of the world in a paragraph, and which actions there are; the same for all tasks of a configuration."""
    push = "Walking into an object pushes it, if the cell behind it is free. " if config.push else ""
    return (
        "You move on a grid of cells and want reward. In every step in which your goal holds you get 1, else 0. "
        "The time of a trial is fixed; then all is put back as it was, and the next trial of the same task begins: "
        "use what you found out. Rules turn objects into others: 'relation(a, b) -> c' means that as soon as the "
        "relation holds between a and b, c is in their place; agents stay. '?' is something that you are not told. "
        "touch: in neighbouring cells, not diagonally (touch.north: b is north of a). near: at most 2 rows and 2 "
        "columns apart. hold: a has b in its hand. see: b is in the view of agent a, or in line with object a. "
        "on: a is on floor of that colour. 'agent' or 'agent0' is the first agent, 'agent1' the second. "
        "On maps '#' is a wall, '.' floor, '~' water (you see across it), '+' a counter (things can lie on it).\n"
        f"Actions: {', '.join(ACTION_NAMES)}. You act on the cell ahead of you. {push}You hold one thing at most. "
        "toggle opens and closes a door; a locked one needs a key of its colour in your hand."
    )


def briefing_words(briefing: Briefing, agent: int = 0) -> str:
    """What an agent is told: who it is, its goal, and the rules as it may know them, a line each.

    Where every trial has a goal of its own, `observation_words` says it.
    """
    goal, rules = briefing_text(briefing, agent)
    you = "agent" if len(np.asarray(briefing.agent_id)) == 1 else f"agent{agent}"
    told = "Every trial has a goal of its own." if briefing.goal is None else f"Your goal: {goal}"
    return "\n".join([f"You are {you}.", told, "Rules:", *(rules or ["none"])])


def observation_words(observation: Observation, agent: int = 0) -> str:
    """What an agent sees and feels: the time, its hand, its last step, and its view as a map with a legend.

    And its goal, if that is the trial's own.

    Raises:
      ConfigError: an agent that there is not.
    """
    _check_agent(observation, agent)
    held = int(np.asarray(observation.held)[agent])
    trial, left = int(observation.trial), int(observation.trials_left)
    action = ACTION_NAMES[int(np.asarray(observation.last_action)[agent])]
    lines = [
        f"Trial {trial + 1} of {trial + 1 + left}; {int(observation.time_left)} of {int(observation.trial_length)} "
        "steps left.",
        f"Your last action was {action}; it paid {float(np.asarray(observation.last_reward)[agent]):g}.",
        f"You face {DIRECTIONS[int(np.asarray(observation.direction)[agent])]} and hold {kind_text(held)}.",
        f"Your view ({_SELF} is you, ahead is up, {_UNSEEN} is hidden or outside):",
    ]
    if observation.goal is not None:
        lines.insert(1, f"Your goal in this trial: {goal_text(np.asarray(observation.goal)[agent])}")
    return "\n".join([*lines, *_map_lines(np.asarray(observation.view)[agent])])


def useful_actions(config: EnvConfig, observation: Observation, agent: int = 0) -> list[str]:
    """The actions that change something, as far as the agent's view tells, by name. All are legal at all times.

    Turning is always among them, and noop.

    Raises:
      ConfigError: an agent that there is not.
    """
    _check_agent(observation, agent)
    view = np.asarray(observation.view)[agent]
    held = int(np.asarray(observation.held)[agent])
    ahead, behind = _cell_ahead(view, 1), _cell_ahead(view, 2)
    useful = {FORWARD, TURN_RIGHT, TURN_LEFT, PICK_UP, PUT_DOWN, TOGGLE, NOOP}
    if ahead is not None:
        terrain, thing, detail = ahead
        is_object = kinds.is_object_kind(thing)
        can_take = is_object and detail == 0
        is_free = thing == kinds.NOTHING
        is_room_behind = behind is None or (_holds_objects(behind[0]) and behind[1] == kinds.NOTHING)
        can_push = config.push and can_take and is_room_behind
        useful -= set() if _is_walkable(terrain) and (is_free or can_push) else {FORWARD}
        useful -= set() if can_take and held == kinds.NOTHING else {PICK_UP}
        useful -= set() if held != kinds.NOTHING and is_free and _holds_objects(terrain) else {PUT_DOWN}
        useful -= set() if _can_toggle(terrain, is_free, held) else {TOGGLE}
    return [name for action, name in enumerate(ACTION_NAMES) if action in useful]


def action_named(text: str) -> int:
    """The code of the action that a text names; of several the last, as a language model thinks before it answers.

    Raises:
      ConfigError: it names none.
    """
    found = re.findall("|".join(ACTION_NAMES), text.lower().replace("_", " "))
    if not found:
        raise ConfigError(f"{text.strip()[-80:]!r} names no action. Write one of: {', '.join(ACTION_NAMES)}.")
    return ACTION_NAMES.index(found[-1])


def _map_lines(view: np.ndarray) -> list[str]:
    """A view as lines of characters, and a line for each letter and what it stands for."""
    size = len(view)
    legend: dict[str, str] = {}
    rows = []
    for row in range(size):
        characters = ""
        for column in range(size):
            if (row, column) == (size - 1, size // 2):
                characters += _SELF
                continue
            terrain, thing, detail = (int(byte) for byte in view[row, column])
            characters += _character(terrain, thing, detail, legend)
        rows.append(characters)
    under = _cell(int(view[size - 1, size // 2, 0]))
    if under not in _PLAIN:
        legend[f"you, on {cell_text(under)}"] = _SELF
    return rows + [f"{letter}: {words}" for words, letter in legend.items()]


def _character(terrain: int, thing: int, detail: int, legend: dict[str, str]) -> str:
    """A cell's character. The legend gets a letter for each description that is new."""
    if terrain == 0:
        return _UNSEEN
    cell = _cell(terrain)
    if thing == kinds.NOTHING and cell in _PLAIN:
        return _PLAIN[cell]
    if thing >= kinds.AGENT_SHAPE << 4:
        other, facing = thing >> 2 & 3, thing & 3
        ground = "" if cell.terrain == kinds.BLACK_FLOOR else f" on {cell_text(cell)}"
        words = f"agent{other}{ground}, {_RELATIVE[facing]}, holding {kind_text(detail)}"
    else:
        words = cell_text(Cell(cell.terrain, thing, is_frozen=bool(detail), door_state=cell.door_state))
    if words not in legend:
        legend[words] = _LETTERS[len(legend)]
    return legend[words]


def _cell(terrain: int) -> Cell:
    """The cell of a view's first byte, which has a door's state in the type."""
    state = max((terrain >> 4) - kinds.DOOR, 0)
    return Cell(terrain - (state << 4), door_state=state)


def _cell_ahead(view: np.ndarray, distance: int) -> tuple[int, int, int] | None:
    """The three bytes of the cell so far ahead, or None if the view is too small."""
    size = len(view)
    if distance >= size:
        return None
    terrain, thing, detail = (int(byte) for byte in view[size - 1 - distance, size // 2])
    return terrain, thing, detail


def _is_walkable(terrain: int) -> bool:
    return terrain >> 4 in (kinds.FLOOR, kinds.DOOR)  # the type of a closed or locked door is higher


def _holds_objects(terrain: int) -> bool:
    return terrain >> 4 in (kinds.FLOOR, kinds.COUNTER)


def _can_toggle(terrain: int, is_free: bool, held: int) -> bool:
    state, colour = (terrain >> 4) - kinds.DOOR, terrain & 15
    if state == kinds.LOCKED:
        return held == kinds.KEY * 16 + colour
    return state == kinds.CLOSED or (state == kinds.OPEN and is_free)


def _check_agent(observation: Observation, agent: int) -> None:
    num_agents = len(np.asarray(observation.held))
    if not 0 <= agent < num_agents:
        raise ConfigError(f"agent is {agent}; write 0 to {num_agents - 1}.")
