"""Plots: score against trial, and the learning curve. Drawn with matplotlib, without a window."""

import csv
import math
from pathlib import Path

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from xworld.base.errors import ConfigError
from xworld.evaluation.report.look import label_ends, mix, new_figure, write_title
from xworld.evaluation.scores.comparison import AGENT, EXPERT, NOOP, RANDOM, REMEMBERING_SEARCHER, SEARCHER, Comparison
from xworld.evaluation.scores.statistics import estimate

_COLOURS = {
    AGENT: "#2563c9",
    SEARCHER: "#d9822b",
    REMEMBERING_SEARCHER: "#2f8f5b",
    RANDOM: "#8b929c",
    NOOP: "#b3a18c",
    EXPERT: "#2b2f36",
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
    figure, axes = new_figure(width=0.65)
    labels, top = [], 0.0
    for name, scores in comparison.scores.items():
        points = estimate(scores)
        colour, is_agent = _COLOURS.get(name, _OTHER), name == AGENT
        if name == EXPERT:
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
    limit = 1.08 * top if top > 0 else 1.0
    axes.set_ylim(-0.02 * limit, limit)
    axes.set_xlim(1 - 0.04 * num_trials, num_trials + 0.04 * num_trials)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel("score (expert = 1)")
    write_title(axes, "Score from trial to trial", f"mean over {comparison.num_scored} tasks, shaded: 95 % interval")
    label_ends(axes, labels)
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
    figure, axes = new_figure(width=0.8)
    labels = []
    for index, (name, values) in enumerate(curves.items()):
        share = index / max(len(curves) - 1, 1)
        colour = mix(*_TRIAL_COLOURS, share)
        is_there = ~np.isnan(values)
        smooth = _smooth(values[is_there])
        axes.plot(steps[is_there] / 1e6, smooth, color=colour, linewidth=1.6 + 1.2 * share, zorder=2 + share)
        labels.append((name, float(smooth[-1]), colour, "normal"))
    axes.set_xlim(0, steps[-1] / 1e6 if steps[-1] > 0 else 1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("environment steps, millions")
    axes.set_ylabel("return of a trial")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    write_title(axes, "Learning curve", "return on training tasks, by trial, averaged over a few chunks")
    label_ends(axes, labels)
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
