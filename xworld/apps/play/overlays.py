"""What the window shows beside the grid and the panel: notes of what happened, what a mind thinks, and the help."""

from xworld.apps.play.bindings import ACTIONS, COMMANDS, WATCHING, Bindings
from xworld.apps.play.minds import Thought
from xworld.apps.play.session import Turn
from xworld.core import kinds
from xworld.core.step.actions import NUM_ACTIONS
from xworld.rendering.drawing.backend import pygame
from xworld.rendering.drawing.canvas import Surface, new_clear_surface, stamp, write, write_fitting
from xworld.rendering.drawing.palette import ACCENT, CARD, GOOD, MUTED, TEXT, TRACK, Colour
from xworld.rendering.drawing.sprites import kind_picture
from xworld.rendering.sentences import draw_line, rule_pictures
from xworld.rendering.snapshot import Snapshot

_SHORT = ("forward", "right", "left", "pick up", "put", "door", "wait")  # of the actions, below bars
# What people call the actions.
ACTION_WORDS = ("forward", "turn right", "turn left", "pick up", "put down", "open or close a door", "wait")
# What goals, rules and pictures mean, for people.
EXPLANATIONS = (
    "touch: directly beside each other, on the side that is named if one is.",
    "near: at most two rows and two columns apart.",
    "hold: in the hand; on: on floor of that colour.",
    "see: in the view of the one who sees; a thing sees along its row and column.",
    "->: what is before it turns into what is behind it, or is gone if that is nothing.",
    "?: hidden, and to be found out; where the number is the same, so is what is hidden.",
    "A frame of ice: frozen, and can be neither picked up nor pushed.",
)


def draw_notes(
    window: Surface,
    place: pygame.Rect,
    unit: int,
    turns: list[Turn],
    snapshot: Snapshot,
    status: str,
    hint: str,
    num_notes: int,
) -> None:
    """A line that says what goes on, the rules that fired last, newest first, and a hint.

    Args:
      window: to draw on.
      place: where.
      unit: height of a line of text.
      turns: whose rules are noted.
      snapshot: with the rules.
      status: the first line.
      hint: the last line.
      num_notes: how many rules are noted at most.
    """
    line, top = round(1.4 * unit), place.top
    write_fitting(window, status, unit, TEXT, place.left, top, place.width)
    fired = [turn for turn in turns if turn.timestep.event]
    for turn in fired[: -num_notes - 1 : -1]:
        top += line
        seen = turn.timestep.observation
        # The view after the last step of a trial is already the next trial's.
        is_end = bool(turn.timestep.is_trial_first)
        trial = int(seen.trial) + (0 if is_end else 1)
        time = int(seen.trial_length) if is_end else int(seen.trial_length) - int(seen.time_left)
        number, icon = int(turn.timestep.event), round(1.2 * unit)
        when = write(f"trial {trial}, step {time}: rule {number}", round(0.85 * unit), MUTED)
        stamp(window, when, place.left, top + (line - when.get_height()) // 2)
        rule = tuple(snapshot.rules[number - 1].tolist())
        left = place.left + when.get_width() + unit
        draw_line(window, rule_pictures(rule, rule, icon), icon, left, top + line // 2)
    write_fitting(window, hint, round(0.85 * unit), MUTED, place.left, place.bottom - line, place.width)


def draw_thought(window: Surface, place: pygame.Rect, unit: int, thought: Thought, agent: int, name: str) -> None:
    """Who thinks, the value it expects, and a bar for each action: how likely it is; the chosen one is marked."""
    pygame.draw.rect(window, CARD, place, border_radius=unit // 2)
    left, top, right = place.left + unit, place.top + unit // 2, place.right - unit
    stamp(window, kind_picture(kinds.agent_kind(agent), round(1.6 * unit)), left, top)
    stamp(window, write(name, unit, TEXT), left + 2 * unit, top + unit // 4)
    if thought.values is not None:
        value = write(f"value {float(thought.values[agent]):.2f}", unit, TEXT)
        stamp(window, value, right - value.get_width(), top + unit // 4)
    chosen, column = int(thought.actions[agent]), (right - left) // NUM_ACTIONS
    base, height = place.bottom - round(2.4 * unit), round(3.6 * unit)
    for action in range(NUM_ACTIONS):
        middle = left + action * column + column // 2
        is_chosen = action == chosen
        bar = pygame.Rect(middle - unit, base - height, 2 * unit, height)
        share = float(is_chosen) if thought.probabilities is None else float(thought.probabilities[agent, action])
        pygame.draw.rect(window, TRACK, bar)
        filled = round(share * height)
        pygame.draw.rect(window, ACCENT if is_chosen else GOOD, (bar.left, base - filled, bar.width, filled))
        if thought.probabilities is not None:
            _write_centred(window, f"{share:.2f}".lstrip("0"), round(0.7 * unit), MUTED, middle, base + unit // 5)
        label = TEXT if is_chosen else MUTED
        _write_centred(window, _SHORT[action], round(0.7 * unit), label, middle, base + round(1.2 * unit))


def draw_help(window: Surface, bindings: Bindings, people: tuple[int, ...], unit: int) -> None:
    """A card with every key and what it does, and below them, if there is room, what words and pictures mean."""
    columns = [_action_lines(bindings, people)] if people else [_lines(WATCHING, dict(bindings.watching))]
    columns.append(_lines(COMMANDS, dict(bindings.commands)))
    line = round(1.5 * unit)
    num_lines = max(map(len, columns))
    explained = EXPLANATIONS if (num_lines + 4 + len(EXPLANATIONS)) * line <= window.get_height() else ()
    width, height = 48 * unit, (num_lines + 3 + len(explained) + bool(explained)) * line
    card = pygame.Rect(0, 0, min(width, window.get_width()), min(height, window.get_height()))
    card.center = window.get_rect().center
    veil = new_clear_surface(*window.get_size())
    veil.fill((0, 0, 0, 150))
    stamp(window, veil, 0, 0)
    pygame.draw.rect(window, CARD, card, border_radius=unit)
    pygame.draw.rect(window, ACCENT, card, width=2, border_radius=unit)
    stamp(window, write("Keys", round(1.3 * unit), TEXT), card.left + unit, card.top + unit // 2)
    for number, lines in enumerate(columns):
        left, top = card.left + unit + number * 23 * unit, card.top + 2 * line
        for key, meaning in lines:
            if key:
                stamp(window, write(key, round(0.95 * unit), ACCENT), left, top)
            stamp(
                window, write(meaning, round(0.95 * unit), TEXT if key else MUTED), left + (5 * unit if key else 0), top
            )
            top += line
    for number, explanation in enumerate(explained):
        top = card.top + (3 + num_lines + number) * line
        write_fitting(window, explanation, round(0.95 * unit), TEXT, card.left + unit, top, card.width - 2 * unit)


def keys_lines(bindings: Bindings, num_people: int, in_line: int = 2) -> tuple[str, ...]:
    """The keys for so many actions in a line: of one person both for each action, of two one each."""
    joint = " or " if num_people == 1 else " and "
    keys = [f"{joint.join(keys)} - {meaning}" for keys, meaning in action_keys(bindings)]
    return tuple("      ".join(keys[start : start + in_line]) for start in range(0, len(keys), in_line))


def key_name(name: str) -> str:
    """The name of a key as people say it."""
    signs = {"period": ".", "comma": ",", "slash": "/", "return": "Enter", "escape": "Esc"}
    return signs.get(name, name.upper() if len(name) == 1 else name.capitalize())


def action_keys(bindings: Bindings) -> list[tuple[tuple[str, str], str]]:
    """Both keys for each action, the first person's and the second's, and what it does."""
    return [
        ((key_name(bindings.first[action]), key_name(bindings.second[action])), ACTION_WORDS[number])
        for number, action in enumerate(ACTIONS)
    ]


def _action_lines(bindings: Bindings, people: tuple[int, ...]) -> list[tuple[str, str]]:
    """The keys of the people; of one person, both sets."""
    if len(people) == 1:
        keys_of_one = [("  ".join(keys), meaning) for keys, meaning in action_keys(bindings)]
        return [("", f"agent{people[0]}"), *keys_of_one]
    lines = []
    for agent, table in zip(people, (bindings.first, bindings.second), strict=True):
        lines.append(("", f"agent{agent}"))
        lines += [(key_name(table[action]), ACTION_WORDS[number]) for number, action in enumerate(ACTIONS)]
    return lines


def _lines(meanings: dict[str, str], keys: dict[str, str]) -> list[tuple[str, str]]:
    return [(key_name(keys[name]), meaning) for name, meaning in meanings.items()]


def _write_centred(target: Surface, words: str, size: int, colour: Colour, middle: int, top: int) -> None:
    picture = write(words, size, colour)
    stamp(target, picture, middle - picture.get_width() // 2, top)
