"""What the window shows: the grid and the panel as in films, below them what happened, over them help and banners."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from xworld.apps.play.bindings import Bindings
from xworld.apps.play.minds import Thought
from xworld.apps.play.overlays import draw_help, draw_notes, draw_thought
from xworld.apps.play.session import Session, Turn
from xworld.rendering.drawing.backend import pygame
from xworld.rendering.drawing.canvas import Surface, new_surface, write_fitting
from xworld.rendering.drawing.palette import MUTED, PAGE
from xworld.rendering.episode import EVENT_FRAMES, timed_out
from xworld.rendering.frame import draw_banner, place_grid
from xworld.rendering.panel import MIN_HEIGHT, WIDTH, Moment, draw_panel
from xworld.rendering.scene import MIN_TILE_SIZE, draw_grid
from xworld.rendering.snapshot import Snapshot, only_seen, take_snapshot

VIEWS = ("shaded", "whole", "seen")
NUM_NOTES = 4  # lines below the grid
_MIN_UNIT, _MAX_UNIT = 8, 32  # height of a line of text, in pixels
_THOUGHT_HEIGHT = 9  # in units


@dataclass(frozen=True)
class Look:
    """What the person at the window chose to see."""

    agent: int = 0  # whose view, goal and rules are shown; if people play it, all of theirs
    view: str = "shaded"  # one of VIEWS
    reveal: bool = False  # whether what is hidden from the agent is shown
    shows_events: bool = True  # whether rules that fire are marked and noted, which agents are not told
    shows_thoughts: bool = False
    shows_help: bool = False


@dataclass(frozen=True)
class Words:
    """What is written in the window beside the state."""

    banner: str  # across the grid
    status: str  # the first line below it
    hint: str  # the last
    lines: tuple[str, ...] = ()  # between the two, where rules that fired are not noted; at most NUM_NOTES


def draw_window(size: tuple[int, int], session: Session, look: Look, words: Words, bindings: Bindings) -> Surface:
    """A picture of the whole window.

    Args:
      size: width and height in pixels.
      session: whose turn is shown.
      look: what of it.
      words: what is written.
      bindings: for the help.
    """
    width, height = size
    agents = session.people if look.agent in session.people else (look.agent,)
    unit = _unit(size, len(agents))
    window = new_surface(width, height, PAGE)
    turns = session.turns
    shown = [_what_to_show(session, turns, dataclasses.replace(look, agent=agent)) for agent in agents]
    snapshot = dataclasses.replace(shown[0][0], is_visible=np.any([one.is_visible for one, _ in shown], axis=0))
    moment = max((moment for _, moment in shown), key=lambda moment: moment.reward)
    # What is below and to the right of the world is left out.
    rows, columns = np.nonzero(snapshot.terrain)
    extent = int(rows.max()) + 1, int(columns.max()) + 1
    if look.view == "seen":
        snapshot = only_seen(snapshot)
    left_width = width - len(agents) * (WIDTH + 1) * unit - 2 * unit
    thought = turns[-1].thought if look.shows_thoughts else None

    panel_height = height - 2 * unit
    if thought is not None:
        panel_height -= (_THOUGHT_HEIGHT + 1) * unit
    panel_height = max(panel_height, MIN_HEIGHT * unit)
    for number, (agent, (seen, of_agent)) in enumerate(zip(agents, shown, strict=True)):
        panel = draw_panel(seen, of_agent, agent, look.reveal, unit, panel_height)
        window.blit(panel, (left_width + 2 * unit + number * (WIDTH + 1) * unit, unit))
    if thought is not None:
        _draw_thought(window, thought, session, look, (left_width + 2 * unit, panel_height + 2 * unit), unit)

    notes_height = round((NUM_NOTES + 2) * 1.4 * unit)
    room = pygame.Rect(unit, unit, left_width, height - notes_height - 2 * unit)
    place = _draw_grid(window, snapshot, extent, moment, look, room, unit)
    notes = pygame.Rect(unit, height - notes_height, left_width, notes_height)
    noted = turns if look.shows_events else []
    draw_notes(window, notes, unit, noted, snapshot, words.status, words.hint, NUM_NOTES)
    for number, line in enumerate(words.lines, start=1):
        top = notes.top + number * round(1.4 * unit)
        write_fitting(window, line, round(0.85 * unit), MUTED, notes.left, top, notes.width)
    if words.banner:
        draw_banner(window, place, words.banner, unit)
    if look.shows_help:
        draw_help(window, bindings, session.people, unit)
    return window


def draw_meanwhile(size: tuple[int, int], bindings: Bindings, *, is_played: bool) -> Surface:
    """The keys in an empty window, to be read while the task is prepared that is played, or else watched."""
    window = new_surface(*size, PAGE)
    draw_help(window, bindings, (0,) if is_played else (), _unit(size, 1))
    return window


def _unit(size: tuple[int, int], num_panels: int) -> int:
    """The height of a line of text in a window of that size with so many panels, in pixels."""
    return min(max(min(size[0] // ((1 + num_panels) * WIDTH + 7), size[1] // 42), _MIN_UNIT), _MAX_UNIT)


def _what_to_show(session: Session, turns: list[Turn], look: Look) -> tuple[Snapshot, Moment]:
    """The state and the moment: of the turn, or of the end of the trial before it while people look at that."""
    is_end = session.is_between_trials
    snapshot = take_snapshot(session.env, turns[-2 if is_end else -1].state, look.agent)
    event, age = _last_event(turns, is_end) if look.shows_events else (0, 0)
    reward = float(turns[-1].timestep.reward[look.agent])
    returns = tuple(float(trial[look.agent]) for trial in turns[-1].returns)
    if is_end:  # the world has been put back already
        snapshot, returns = timed_out(snapshot), returns[:-1]
    elif turns[-1].timestep.is_trial_first:
        reward = 0.0  # it was paid for the end of the trial before
    return snapshot, Moment(reward, event, is_event_new=age == 0, returns=returns)


def _last_event(turns: list[Turn], is_end: bool) -> tuple[int, int]:
    """The event that is still marked, or 0; and how many turns ago it was."""
    for age, turn in enumerate(reversed(turns[-1 - EVENT_FRAMES :])):
        is_of_last_trial = bool(turn.timestep.is_trial_first) and not (is_end and age == 0)
        if turn.timestep.event and not is_of_last_trial:
            return int(turn.timestep.event), age
        if is_of_last_trial:
            break
    return 0, 0


def _draw_grid(
    window: Surface,
    snapshot: Snapshot,
    extent: tuple[int, int],
    moment: Moment,
    look: Look,
    room: pygame.Rect,
    unit: int,
) -> pygame.Rect:
    """Draws the rows and columns of the world as large as the room allows; returns the place."""
    rows, columns = extent
    tile_size = max(min(room.width // columns, room.height // rows, 4 * unit), MIN_TILE_SIZE)
    grid = draw_grid(snapshot, tile_size, look.agent, show_view=look.view != "whole")
    grid = grid.subsurface((0, 0, columns * tile_size, rows * tile_size))
    if grid.get_width() > room.width or grid.get_height() > room.height:
        shrink = min(room.width / grid.get_width(), room.height / grid.get_height())
        size = max(int(grid.get_width() * shrink), 1), max(int(grid.get_height() * shrink), 1)
        grid = pygame.transform.smoothscale(grid, size)
    place = grid.get_rect(center=room.center)
    place_grid(window, grid, place, moment, unit)
    return place


def _draw_thought(
    window: Surface, thought: Thought, session: Session, look: Look, corner: tuple[int, int], unit: int
) -> None:
    """The thought about the agent that is shown, or about the first that no person plays if a person plays that."""
    minds = [agent for agent in range(len(thought.actions)) if agent not in session.people]
    agent = look.agent if look.agent in minds else minds[0]
    place = pygame.Rect(*corner, WIDTH * unit, _THOUGHT_HEIGHT * unit)
    draw_thought(window, place, unit, thought, agent, session.mind.name if session.mind else "")
