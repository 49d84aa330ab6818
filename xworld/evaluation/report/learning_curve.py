"""The learning curve of a run, from its metrics. Drawn with matplotlib, without a window."""

import csv
import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from xworld.base.errors import ConfigError
from xworld.base.files import as_path, read_text
from xworld.evaluation.report.look import BLUE, LIGHT_BLUE, label_ends, mix, new_figure, write_title

_TRIAL_COLOURS = (LIGHT_BLUE, BLUE)  # the first trial and the last
_SMOOTHED_SHARE = 0.02  # of the rows, over which the curve is averaged


def draw_learning_curve(metrics: str | Path) -> Figure:
    """The return of every trial against environment steps, as training saw it.

    Args:
      metrics: a `metrics.csv` with the columns `steps` and `return_trial_1` and so on.

    Raises:
      ConfigError: the metrics cannot be read, or have no such columns or rows.
    """
    path = as_path(metrics)
    steps, curves = _read_curves(path)
    if not curves:
        raise ConfigError(f"{path} has no finished trial yet. Train for longer.")
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
    return figure


def has_learning_curve(metrics: Path) -> bool:
    """Whether a run's metrics are there and have a finished trial, so that `draw_learning_curve` can draw them.

    Raises:
      ConfigError: the metrics cannot be read, or are of something else than a run.
    """
    return metrics.exists() and bool(read_rows(metrics)) and bool(_read_curves(metrics)[1])


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a `metrics.csv`, by the names of its columns.

    Raises:
      ConfigError: it is not there, or no table.
    """
    text = read_text(path, "Name a run's metrics.csv.")
    try:
        return list(csv.DictReader(text.splitlines()))
    except csv.Error as error:
        raise ConfigError(f"{path} is no table: {error}. Name a run's metrics.csv.") from error


def _read_curves(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """[rows] steps, and [rows] returns of every trial that has any."""
    rows = read_rows(path)
    prefix = "return_trial_"
    names = [name for name in (rows[0] if rows else []) if name.startswith(prefix)]
    if not names or "steps" not in rows[0]:
        raise ConfigError(f"{path} has no rows with `steps` and `return_trial_1`. Name a run's metrics.csv.")
    try:
        columns = {name: np.array([float(row[name] or math.nan) for row in rows]) for name in ("steps", *names)}
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path} has a row that is not numbers: {error}. Name a run's metrics.csv.") from error
    curves = {f"trial {name.removeprefix(prefix)}": columns[name] for name in names}
    return columns["steps"], {name: values for name, values in curves.items() if not np.isnan(values).all()}


def _smooth(values: np.ndarray) -> np.ndarray:
    """Running means over a small share of the rows; shorter at both ends, so that nothing is shifted."""
    half = round(len(values) * _SMOOTHED_SHARE / 2)
    return np.array([values[max(0, i - half) : i + half + 1].mean() for i in range(len(values))])
