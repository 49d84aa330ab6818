"""The picture of cross-play: who earns how much with whom, as a matrix of coloured cells."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from xworld.evaluation.report.look import BLUE, DARK_BLUE, FAINT, INK, LIGHT_BLUE, blank_figure

_COLUMNS = 3  # of matrices, side by side
_CELL, _LEAST = 0.62, 2.2  # inches: of a cell, and of a matrix at the least
_LEFT, _RIGHT, _TOP, _BOTTOM = 1.5, 0.3, 0.85, 0.75  # inches around a matrix
_COLOURS = LinearSegmentedColormap.from_list("scores", ("#f4f6f9", LIGHT_BLUE, BLUE, DARK_BLUE))
_DARK = 0.45  # share of the highest value from which on a cell has white digits


def draw_cross_play(found: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A matrix for each title: the mean of the last trial over tasks and both ways to sit. Darker is more.

    Args:
      found: by title, what `CrossPlay.describe` gives. All matrices have one scale of colours.
    """
    most = max(len(one["players"]) for one in found.values())
    side = max(_LEAST, _CELL * most)
    columns = min(len(found), _COLUMNS)
    rows = -(-len(found) // columns)
    width, height = _LEFT + side + _RIGHT, _TOP + side + _BOTTOM
    figure = blank_figure(columns * width, rows * height)
    highest = max(float(np.max(one["matrix"])) for one in found.values()) or 1.0
    for place, (title, one) in enumerate(found.items()):
        row, column = divmod(place, columns)
        corner = column * width + _LEFT, (rows - row) * height - _TOP - side
        sizes = np.array([*corner, side, side]) / np.array([columns * width, rows * height] * 2)
        _draw_matrix(figure.add_axes(tuple(sizes)), title, one, highest, side)
    return figure


def _draw_matrix(axes: Axes, title: str, one: Mapping[str, Any], highest: float, side: float) -> None:
    values, names = np.array(one["matrix"]), one["players"]
    axes.imshow(values, cmap=_COLOURS, vmin=0, vmax=highest)
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if value > _DARK * highest else INK
        weight = "bold" if row == column else "normal"
        axes.text(column, row, f"{value:.2f}", color=colour, fontsize=9, weight=weight, ha="center", va="center")
    axes.set_xticks(range(len(names)), _short(names), fontsize=8, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), _short(names), fontsize=8)
    axes.tick_params(colors=INK, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    ratio = one["ratio"]
    about = f"{one['measure']} of the last trial, {one['num_tasks']} tasks"
    kept = "nobody earns anything" if ratio["value"] is None else f"others / themselves: {_with_interval(ratio)}"
    for above, words, colour, size in ((0.58, title, INK, 12), (0.32, kept, INK, 8.5), (0.1, about, FAINT, 8.5)):
        weight = "bold" if words == title else "normal"
        axes.text(0, 1 + above / side, words, transform=axes.transAxes, color=colour, fontsize=size, weight=weight)


def _with_interval(ratio: Mapping[str, float | None]) -> str:
    if ratio["low"] is None or ratio["high"] is None:
        return f"{ratio['value']:.2f}"
    return f"{ratio['value']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"


def _short(names: Sequence[str], most: int = 22) -> list[str]:
    """Names whose beginnings are left out where they are long."""
    return [name if len(name) <= most else f"...{name[3 - most :]}" for name in names]
