"""The panel beside the grid: trial and score, time, the goal, and the rules as the agent may know them."""

from dataclasses import dataclass
from functools import lru_cache

from xworld.core import kinds
from xworld.core.step.relations import NEVER
from xworld.rendering.drawing.backend import pygame
from xworld.rendering.drawing.canvas import Surface, new_surface, stamp, write
from xworld.rendering.drawing.palette import ACCENT, CARD, GOOD, MUTED, PAGE, TEXT, TRACK, Colour, mix
from xworld.rendering.drawing.sprites import kind_picture
from xworld.rendering.sentences import (
    Row,
    draw_line,
    goal_clauses,
    line_width,
    literal_pictures,
    literal_words,
    rule_pictures,
)
from xworld.rendering.snapshot import Snapshot

WIDTH, MIN_HEIGHT = 25, 26  # in units; a unit is the height of a line of text
_MAX_BARS = 16  # trials whose scores are shown at once
_MIN_ICON, _LARGEST_ICON = 10, 2.0  # of rules, in pixels and in units
_ROW_HEIGHT = 1.28  # of rules, in icons
_MAX_GOAL_LINES = 5


@dataclass(frozen=True)
class Moment:
    """What a frame shows beside the state: what the last step did, and the score so far."""

    reward: float = 0.0  # of the agent whose panel this is
    event: int = 0  # 1 + the rule that fired, or 0
    is_event_new: bool = True  # whether it fired in the step just taken, not shortly before
    returns: tuple[float, ...] = ()  # of each trial, the current one included; () when not known


class _Sheet:
    """The panel while it is written from top to bottom."""

    def __init__(self, unit: int, height: int) -> None:
        self.unit, self.height = unit, height
        self.surface = new_surface(WIDTH * unit, height, PAGE)
        self.left, self.right, self.top = unit, (WIDTH - 1) * unit, unit
        self.box(CARD, 0, 0, WIDTH * unit, height, radius=unit // 2)

    def box(self, colour: Colour, left: int, top: int, width: int, height: int, radius: int = 0, line: int = 0) -> None:
        """A rectangle, filled or as an outline of `line` pixels."""
        pygame.draw.rect(self.surface, colour, (left, top, width, height), width=line, border_radius=radius)

    def text(self, words: str, size: int, colour: Colour, left: int, top: int) -> None:
        stamp(self.surface, write(words, size, colour), left, top)

    def text_right(self, words: str, size: int, colour: Colour, right: int, top: int) -> None:
        picture = write(words, size, colour)
        stamp(self.surface, picture, right - picture.get_width(), top)

    def title(self, words: str, colour: Colour) -> None:
        self.text(words, round(0.85 * self.unit), colour, self.left, self.top)
        self.skip(1.2)

    def skip(self, units: float) -> None:
        self.top += round(units * self.unit)


def draw_panel(snapshot: Snapshot, moment: Moment, agent: int, reveal: bool, unit: int, height: int) -> Surface:
    """The panel as a surface of WIDTH * unit x height pixels; `reveal` shows what is hidden from the agent."""
    sheet = _Sheet(unit, height)
    _write_heading(sheet, snapshot, agent)
    _write_scores(sheet, snapshot, moment)
    _write_time(sheet, snapshot)
    _write_goal(sheet, snapshot, moment)
    _write_rules(sheet, snapshot, moment, reveal)
    return sheet.surface


def _write_heading(sheet: _Sheet, snapshot: Snapshot, agent: int) -> None:
    """The trial, and at the right whose panel it is and what that agent holds."""
    unit, icon = sheet.unit, 2 * sheet.unit
    trial = f"Trial {int(snapshot.trial) + 1} / {int(snapshot.num_trials)}"
    sheet.text(trial, round(1.35 * unit), TEXT, sheet.left, sheet.top + unit // 3)
    left, held = sheet.right - icon, int(snapshot.agent_held[agent])
    sheet.box(TRACK, left, sheet.top, icon, icon, radius=unit // 3)
    if held:
        inner = icon - unit // 3
        stamp(sheet.surface, kind_picture(held, inner), left + unit // 6, sheet.top + unit // 6)
    stamp(sheet.surface, kind_picture(kinds.agent_kind(agent), icon), left - icon - unit // 4, sheet.top)
    sheet.skip(2.5)


def _write_scores(sheet: _Sheet, snapshot: Snapshot, moment: Moment) -> None:
    """One bar per trial: its return, as a share of the most that a trial can pay."""
    unit, height, gap = sheet.unit, round(1.7 * sheet.unit), max(3, sheet.unit // 4)
    trial, num_trials = int(snapshot.trial), int(snapshot.num_trials)
    shown = min(num_trials, _MAX_BARS)
    first = min(max(0, trial - shown + 2), num_trials - shown)
    width = min(3 * unit, (sheet.right - sheet.left + gap) // shown - gap)
    for index in range(first, first + shown):
        left = sheet.left + (index - first) * (width + gap)
        is_current = index == trial
        sheet.box(TRACK, left, sheet.top, width, height, radius=unit // 5)
        if index < len(moment.returns):
            share = min(max(moment.returns[index] / int(snapshot.trial_length), 0.0), 1.0)
            filled = round(share * height)
            if filled:
                colour = GOOD if is_current else mix(GOOD, TRACK, 0.35)
                sheet.box(colour, left, sheet.top + height - filled, width, filled, radius=unit // 5)
            number = write(f"{moment.returns[index]:g}", round(0.8 * unit), TEXT if is_current else MUTED)
            if number.get_width() <= width + gap:
                stamp(sheet.surface, number, left + (width - number.get_width()) // 2, sheet.top + height + unit // 6)
        if is_current:
            sheet.box(TEXT, left - 2, sheet.top - 2, width + 4, height + 4, radius=unit // 4, line=2)
    sheet.skip(2.9)


def _write_time(sheet: _Sheet, snapshot: Snapshot) -> None:
    """The steps that are left in the trial."""
    unit, length = sheet.unit, int(snapshot.trial_length)
    time_left = length - int(snapshot.time)
    label = f"{time_left} of {length} steps left"
    sheet.text(label, round(0.85 * unit), MUTED, sheet.left, sheet.top)
    sheet.skip(1.0)
    width = sheet.right - sheet.left
    sheet.box(TRACK, sheet.left, sheet.top, width, unit // 2, radius=unit // 4)
    sheet.box(TEXT, sheet.left, sheet.top, round(width * time_left / length), unit // 2, radius=unit // 4)
    sheet.skip(1.2)


def _write_goal(sheet: _Sheet, snapshot: Snapshot, moment: Moment) -> None:
    """The goal's literals, one a line, and in words if it is a single one; green while it pays."""
    unit, pays = sheet.unit, moment.reward > 0
    sheet.title("GOAL" if snapshot.num_goals == 1 else "GOAL OF THIS TRIAL", GOOD if pays else MUTED)
    clauses = goal_clauses([[tuple(literal) for literal in clause] for clause in snapshot.goal.tolist()])
    lines = [
        ("and" if place else "or" if number else "", literal)
        for number, clause in enumerate(clauses)
        for place, literal in enumerate(clause)
    ]
    if not all(clauses) or not clauses:
        words = "always holds" if clauses else "never holds"
        sheet.text(words, unit, TEXT, sheet.left, sheet.top)
        sheet.skip(1.8)
        return
    is_single = len(lines) == 1
    step, icon = (1.9, 1.7) if is_single else (1.5, 1.25)
    if pays:
        height = round(step * min(len(lines), _MAX_GOAL_LINES) * unit)
        width, edge = sheet.right - sheet.left + unit, max(2, unit // 8)
        sheet.box(mix(CARD, GOOD, 0.18), sheet.left - unit // 2, sheet.top, width, height, radius=unit // 3)
        sheet.box(GOOD, sheet.left - unit // 2, sheet.top, width, height, radius=unit // 3, line=edge)
        sheet.text_right(f"+{moment.reward:g}", unit, GOOD, sheet.right, sheet.top + round((step - 0.8) * unit / 2))
    for joint, literal in lines[:_MAX_GOAL_LINES]:
        size = round(icon * unit)
        while line_width(literal_pictures(joint, literal, size), size) > sheet.right - sheet.left and size > _MIN_ICON:
            size -= 1
        middle = sheet.top + round(step * unit / 2)
        draw_line(sheet.surface, literal_pictures(joint, literal, size), size, sheet.left, middle)
        sheet.skip(step)
    if is_single:
        sheet.skip(0.2)
        sheet.text(literal_words(lines[0][1]), round(0.85 * unit), MUTED, sheet.left, sheet.top)
        sheet.skip(1.0)
    elif len(lines) > _MAX_GOAL_LINES:
        sheet.text(f"and {len(lines) - _MAX_GOAL_LINES} more", round(0.85 * unit), MUTED, sheet.left, sheet.top)
        sheet.skip(1.0)
    sheet.skip(0.5)


def _write_rules(sheet: _Sheet, snapshot: Snapshot, moment: Moment, reveal: bool) -> None:
    """The rules in the order of their indices, in as many columns as it takes; the one that fired is marked."""
    sheet.title("RULES", MUTED)
    shown = snapshot.true_rules if reveal else snapshot.rules
    rules = [
        (index, tuple(told), tuple(row))
        for index, (told, row) in enumerate(zip(snapshot.rules.tolist(), shown.tolist(), strict=True))
        if row[0] != NEVER
    ]
    if not rules:
        sheet.text("none", sheet.unit, TEXT, sheet.left, sheet.top)
        return
    width, height = sheet.right - sheet.left, sheet.height - sheet.top - sheet.unit // 2
    told_and_shown = tuple((told, row) for _, told, row in rules)
    layout = _fit_rules(told_and_shown, width, height, round(_LARGEST_ICON * sheet.unit))
    row_height, column_width = round(layout.size * _ROW_HEIGHT), width // layout.columns
    for place, (index, told, row) in enumerate(rules[: layout.capacity]):
        left = sheet.left + place // layout.rows * column_width
        top = sheet.top + place % layout.rows * row_height
        if index + 1 == moment.event:
            edge = max(2, sheet.unit // 8)
            box = (left - row_height // 5, top, column_width, row_height)
            if moment.is_event_new:
                sheet.box(mix(CARD, ACCENT, 0.30), *box, radius=row_height // 4)
            sheet.box(ACCENT, *box, radius=row_height // 4, line=edge)
        draw_line(sheet.surface, rule_pictures(told, row, layout.size), layout.size, left, top + row_height // 2)
    if len(rules) > layout.capacity:
        words = f"and {len(rules) - layout.capacity} more"
        sheet.text_right(words, _MIN_ICON, MUTED, sheet.right, sheet.height - sheet.unit)


@dataclass(frozen=True)
class _RuleLayout:
    size: int  # of icons, in pixels
    columns: int
    rows: int

    @property
    def capacity(self) -> int:
        return self.columns * self.rows


@lru_cache(maxsize=256)
def _fit_rules(rules: tuple[tuple[Row, Row], ...], width: int, height: int, largest: int) -> _RuleLayout:
    """The largest icons with which all rules fit, in the fewest columns; the smallest there are if none do."""
    for size in range(largest, _MIN_ICON - 1, -1):
        rows = max(1, height // round(size * _ROW_HEIGHT))
        widest = max(line_width(rule_pictures(told, row, size), size) for told, row in rules) + size
        columns = -(-len(rules) // rows)
        if columns * widest <= width + size:
            return _RuleLayout(size, columns, -(-len(rules) // columns))
    return _RuleLayout(size, max(1, (width + size) // widest), rows)
