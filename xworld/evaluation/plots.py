"""Plots: score against trial, and the learning curve. Drawn with matplotlib, without a window."""

import csv
import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from xworld.errors import ConfigError
from xworld.evaluation.comparison import (
    AGENT,
    BEST,
    NOOP,
    RANDOM,
    REMEMBERING_SEARCHER,
    SEARCHER,
    SHARE_OF_BEST,
    Comparison,
)
from xworld.evaluation.statistics import estimate

_INK, _FAINT = "#2b2f36", "#8b929c"
_COLOURS = {
    AGENT: "#2563c9",
    SEARCHER: "#d9822b",
    REMEMBERING_SEARCHER: "#2f8f5b",
    RANDOM: "#8b929c",
    NOOP: "#b3a18c",
    BEST: "#2b2f36",
}
_OTHER = "#7d55b5"  # of a policy that is not one of the usual ones
_TRIAL_COLOURS = ("#94b6ec", "#2563c9")  # the first trial and the last, in the learning curve
_SMOOTHED_SHARE = 0.02  # of the rows, over which the learning curve is averaged


def plot_scores(comparison: Comparison, path: str | Path) -> None:
    """Draws mean score against trial with 95 % intervals, one line a policy, its name at the line's end.

    Args:
      comparison: from `compare`.
      path: of a PNG file.
    """
    num_trials = comparison.reference.shape[1]
    trials = np.arange(1, num_trials + 1)
    figure, axes = _new_figure(width=0.65)
    labels, top = [], 0.0
    for name, scores in comparison.scores.items():
        points = estimate(scores)
        colour, is_agent = _COLOURS.get(name, _OTHER), name == AGENT
        if name == BEST:
            axes.axhline(1.0, color=colour, linewidth=1.3, linestyle=(0, (5, 3)), zorder=2)
        else:
            axes.fill_between(trials, points.low, points.high, color=colour, alpha=0.2, linewidth=0, zorder=2)
            axes.plot(
                trials,
                points.mean,
                color=colour,
                linewidth=3.0 if is_agent else 1.8,
                marker="o",
                markersize=8 if is_agent else 5,
                markeredgecolor="white",
                markeredgewidth=1.2,
                zorder=4 if is_agent else 3,
            )
        top = max(top, float(points.high.max()))
        labels.append((name, float(points.mean[-1]), colour, "bold" if is_agent else "normal"))
    is_share = comparison.unit == SHARE_OF_BEST
    limit = 1.08 * top if top > 0 else 1.0
    axes.set_ylim(-0.02 * limit, limit)
    axes.set_xlim(1 - 0.04 * num_trials, num_trials + 0.04 * num_trials)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel("score (best possible = 1)" if is_share else f"score ({comparison.unit})")
    _title(axes, "Score from trial to trial", f"mean over {comparison.num_scored} tasks, shaded: 95 % interval")
    _label_ends(axes, labels)
    figure.savefig(path)


def plot_learning_curve(metrics: str | Path, path: str | Path) -> None:
    """Draws the return of every trial against environment steps, as training saw it.

    Args:
      metrics: a `metrics.csv` with the columns `steps` and `return_trial_1` and so on.
      path: of a PNG file.

    Raises:
      ConfigError: the metrics cannot be read, or have no such columns or rows.
    """
    steps, curves = _read_curves(Path(metrics))
    figure, axes = _new_figure(width=0.8)
    labels = []
    for index, (name, values) in enumerate(curves.items()):
        share = index / max(len(curves) - 1, 1)
        colour = _mix(*_TRIAL_COLOURS, share)
        is_there = ~np.isnan(values)
        smooth = _smooth(values[is_there])
        axes.plot(steps[is_there] / 1e6, smooth, color=colour, linewidth=1.6 + 1.2 * share, zorder=2 + share)
        labels.append((name, float(smooth[-1]), colour, "normal"))
    axes.set_xlim(0, steps[-1] / 1e6 if steps[-1] > 0 else 1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("environment steps, millions")
    axes.set_ylabel("return of a trial")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    _title(axes, "Learning curve", "return on training tasks, by trial, averaged over a few chunks")
    _label_ends(axes, labels)
    figure.savefig(path)


def _read_curves(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """[rows] steps, and [rows] returns of every trial that has any."""
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Name a run's metrics.csv.") from error
    prefix = "return_trial_"
    names = [name for name in (rows[0] if rows else []) if name.startswith(prefix)]
    if not names or "steps" not in rows[0]:
        raise ConfigError(f"{path} has no rows with `steps` and `return_trial_1`. Name a run's metrics.csv.")
    try:
        columns = {name: np.array([float(row[name] or math.nan) for row in rows]) for name in ("steps", *names)}
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path} has a row that is not numbers: {error}. Name a run's metrics.csv.") from error
    curves = {f"trial {name.removeprefix(prefix)}": columns[name] for name in names}
    curves = {name: values for name, values in curves.items() if not np.isnan(values).all()}
    if not curves:
        raise ConfigError(f"{path} has no finished trial yet. Train for longer.")
    return columns["steps"], curves


def _smooth(values: np.ndarray) -> np.ndarray:
    """Running means over a small share of the rows; shorter at both ends, so that nothing is shifted."""
    half = round(len(values) * _SMOOTHED_SHARE / 2)
    return np.array([values[max(0, i - half) : i + half + 1].mean() for i in range(len(values))])


def _new_figure(width: float) -> tuple[Figure, Axes]:
    """A figure with axes that take `width` of it, and leave the rest to the labels."""
    figure = Figure(figsize=(8.4, 5.0), dpi=150, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.09, 0.12, width, 0.74))
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#c5cad1")
    axes.tick_params(colors=_INK, length=0, pad=6)
    axes.xaxis.label.set_color(_INK)
    axes.yaxis.label.set_color(_INK)
    return figure, axes


def _title(axes: Axes, title: str, subtitle: str) -> None:
    axes.text(0, 1.115, title, transform=axes.transAxes, color=_INK, fontsize=14, fontweight="bold", va="center")
    axes.text(0, 1.05, subtitle, transform=axes.transAxes, color=_FAINT, fontsize=9.5, va="center")


def _label_ends(axes: Axes, labels: list[tuple[str, float, str, str]]) -> None:
    """Writes names beside the lines' last points, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    heights = _spread([(value - low) / (high - low) for _, value, _, _ in labels], gap=0.055)
    for (name, value, colour, weight), height in zip(labels, heights, strict=True):
        axes.annotate(
            name,
            xy=(1.0, (value - low) / (high - low)),
            xytext=(1.05, height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=colour,
            fontsize=10.5,
            fontweight=weight,
            va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "alpha": 0.6, "shrinkA": 2, "shrinkB": 0},
            annotation_clip=False,
        )


def _spread(heights: list[float], gap: float) -> list[float]:
    """Heights in the same order, near the given ones, and at least `gap` apart."""
    order = np.argsort(heights, kind="stable")
    groups: list[list[int]] = []  # of neighbours that touch; each is centred on the mean of its heights
    for index in order:
        groups.append([int(index)])
        while len(groups) > 1 and _bounds(groups[-1], heights, gap)[0] < _bounds(groups[-2], heights, gap)[1] + gap:
            last = groups.pop()
            groups[-1] += last
    spread = list(heights)
    for group in groups:
        bottom, _ = _bounds(group, heights, gap)
        for place, index in enumerate(group):
            spread[index] = bottom + place * gap
    return spread


def _bounds(group: list[int], heights: list[float], gap: float) -> tuple[float, float]:
    """Lowest and highest label of a group of neighbours."""
    centre, half = float(np.mean([heights[index] for index in group])), gap * (len(group) - 1) / 2
    return centre - half, centre + half


def _mix(one: str, other: str, share: float) -> str:
    """The hex colour between two."""
    channels = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in (one, other)]
    return "#" + "".join(f"{round((1 - share) * a + share * b):02x}" for a, b in zip(*channels, strict=True))
