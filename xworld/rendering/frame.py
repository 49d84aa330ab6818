"""A frame of a film: the grid, and beside it the panel."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from xworld.core.config import EnvConfig
from xworld.core.env import Env
from xworld.core.types import State, TimeStep
from xworld.rendering.drawing.backend import pygame
from xworld.rendering.drawing.canvas import Surface, new_clear_surface, new_surface, stamp, to_array, write
from xworld.rendering.drawing.palette import ACCENT, GOOD, INK, PAGE, TEXT, mix
from xworld.rendering.panel import MIN_HEIGHT, WIDTH, Moment, draw_panel
from xworld.rendering.scene import check_tile_size, draw_grid
from xworld.rendering.snapshot import Snapshot, check_agent, take_snapshot

_GRID_PIXELS = 416  # height and width of a grid of which nothing else is said
_MIN_BANNER = 8  # pixels


def render_frame(
    env: Env,
    state: State,
    timestep: TimeStep | None = None,
    *,
    returns: Sequence[float] = (),
    tile_size: int | None = None,
    agent: int = 0,
    show_view: bool = True,
    reveal: bool = False,
    banner: str = "",
) -> np.ndarray:
    """The grid of a state with a panel beside it: trial, score, time, goal and rules.

    Args:
      env: the environment the state comes from.
      state: of one environment, not a batch.
      timestep: that came with the state. Its reward makes the goal and the grid's edge glow, unless it was paid for
        another trial's goal, and its event marks the rule that fired; set the event to 0 where a player is not to know
        more than an agent.
      returns: of each trial so far, the current one last; drawn as bars. () when they are not known.
      tile_size: pixels per cell, 8 to 256; None for what fills about 416 pixels.
      agent: whose view, goal and rules are shown.
      show_view: whether the cells that this agent does not see are darker.
      reveal: whether hidden rules, or parts of them, are shown (underlined) instead of "?".
      banner: words across the grid, or "".

    Returns:
      [h, w, 3] uint8 RGB, h and w even and the same for all states of an environment.

    Raises:
      ConfigError: a batch of states, a state of another configuration, or an argument out of range.
    """
    style = make_style(env.config, tile_size, agent, show_view, reveal)
    snapshot = take_snapshot(env, state, agent)
    moment = Moment(returns=tuple(float(return_) for return_ in returns))
    if timestep is not None:
        reward, event, is_trial_first = jax.device_get((timestep.reward, timestep.event, timestep.is_trial_first))
        is_of_this_goal = not is_trial_first or int(snapshot.num_goals) == 1
        moment = Moment(float(reward[agent]) if is_of_this_goal else 0.0, int(event), returns=moment.returns)
    return draw_frame(snapshot, moment, style, banner)


@dataclass(frozen=True)
class Style:
    """The arguments of `render_frame` that stay the same through an episode."""

    tile_size: int
    agent: int
    show_view: bool
    reveal: bool


def make_style(config: EnvConfig, tile_size: int | None, agent: int, show_view: bool, reveal: bool) -> Style:
    """The style with the tile size chosen, if it is None, so that grids of all sizes are about as large.

    Raises:
      ConfigError: a tile size or an agent that there is not.
    """
    if tile_size is None:
        tile_size = min(max(_GRID_PIXELS // max(config.height, config.width), 16), 64)
    check_tile_size(tile_size)
    check_agent(config, agent)
    return Style(tile_size, agent, show_view, reveal)


def draw_frame(snapshot: Snapshot, moment: Moment, style: Style, banner: str) -> np.ndarray:
    """The frame that `render_frame` gives, of what was gathered already."""
    grid = draw_grid(snapshot, style.tile_size, style.agent, style.show_view)
    unit = min(max(round(grid.get_height() / 26), 14), 28)
    inner_height = max(grid.get_height(), MIN_HEIGHT * unit)
    width, height = grid.get_width() + (WIDTH + 3) * unit, inner_height + 2 * unit
    frame = new_surface(width + width % 2, height + height % 2, PAGE)

    place = grid.get_rect(left=unit, centery=height // 2)
    place_grid(frame, grid, place, moment, unit)
    panel = draw_panel(snapshot, moment, style.agent, style.reveal, unit, inner_height)
    frame.blit(panel, (place.right + unit, unit))
    if banner:
        draw_banner(frame, place, banner, unit)
    return to_array(frame)


def place_grid(frame: Surface, grid: Surface, place: pygame.Rect, moment: Moment, unit: int) -> None:
    """Puts the grid into its place, with an edge that glows while reward is paid."""
    if moment.reward > 0:
        glow = place.inflate(unit, unit)
        pygame.draw.rect(frame, mix(PAGE, GOOD, 0.4), glow, border_radius=unit // 2)
        pygame.draw.rect(frame, GOOD, place.inflate(unit // 2, unit // 2), border_radius=unit // 4)
    frame.blit(grid, place)


def draw_banner(frame: Surface, place: pygame.Rect, words: str, unit: int) -> None:
    """Words on a dark band across the grid, which is darkened so that the pause is noticed."""
    veil = new_clear_surface(place.width, place.height)
    veil.fill((0, 0, 0, 90))
    stamp(frame, veil, place.left, place.top)
    size = 2 * unit
    while write(words, size, TEXT).get_width() > place.width - unit and size > _MIN_BANNER:
        size -= 1
    text = write(words, size, TEXT)
    band = pygame.Rect(place.left, 0, place.width, text.get_height() + unit)
    if 3 * band.height < place.height:
        band.top = place.top + unit  # high, so that it hides little
    else:
        band.centery = place.centery
    pygame.draw.rect(frame, INK, band)
    for y in (band.top, band.bottom - 2):
        pygame.draw.rect(frame, ACCENT, (band.left, y, band.width, 2))
    stamp(frame, text, band.centerx - text.get_width() // 2, band.centery - text.get_height() // 2)
