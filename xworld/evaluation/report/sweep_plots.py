"""Figures of a sweep, from the content of its scores.json."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xworld.evaluation.report.look import FAINT, INK, label_ends, mix, new_figure, write_title

_MEDIAN, _LOW, _MEAN = "#2563c9", "#d9822b", "#8b929c"
_FEW, _MANY = "#9dbbef", "#173f86"  # the fewest trials and the most
_LINES = (("median", "median", _MEDIAN), ("mean", "mean", _MEAN), ("percentile_20", "20th percentile", _LOW))
_FEATURES = {
    "num_firings": "firings needed",
    "num_hidden_rules": "hidden rules",
    "num_distractors": "distractors",
    "num_dead_ends": "dead ends",
    "num_rules": "rules",
    "num_objects": "objects",
}


def draw_scores(content: Mapping[str, Any]) -> Figure:
    """Median, mean and 20th percentile of the last trial's score against the number of trials."""
    figure, axes = new_figure(width=0.7)
    labels, highest = [], 0.0
    places = np.arange(len(content["summary"]))
    for statistic, name, colour in _LINES:
        values, low, high = (
            np.array([of_k[statistic][part] for of_k in content["summary"].values()])
            for part in ("value", "low", "high")
        )
        axes.fill_between(places, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(places, values, color=colour, linewidth=2.4, marker="o", markeredgecolor="white")
        labels.append((name, float(values[-1]), colour, "bold" if statistic == "median" else "normal"))
        highest = max(highest, float(high.max()))
    _score_axis(axes, highest)
    axes.set_xticks(places, list(content["summary"]))
    axes.set_xlim(-0.15, len(places) - 0.85)
    axes.set_xlabel("trials in an episode")
    num_scored = content["num_tasks"] - content["reference"]["num_tasks_without"]
    write_title(axes, "Score of the last trial", f"over {num_scored} tasks, shaded: 95 % interval")
    label_ends(axes, labels)
    return figure


def draw_curves(content: Mapping[str, Any]) -> Figure:
    """Mean score from trial to trial, a line for each number of trials."""
    figure, axes = new_figure(width=0.7)
    curves = content["mean_score_by_trial"]
    highest = 0.0
    for (name, scores), colour in zip(curves.items(), _shades(len(curves)), strict=True):
        axes.plot(np.arange(1, len(scores) + 1), scores, color=colour, linewidth=2, marker="o", markersize=4)
        axes.annotate(name, (len(scores), scores[-1]), (0, 7), textcoords="offset points", color=colour, ha="center")
        highest = max(highest, *scores)
    _score_axis(axes, highest)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    write_title(axes, "From trial to trial", "mean score over tasks; a line for each number of trials, by its end")
    return figure


def draw_profile(content: Mapping[str, Any]) -> Figure:
    """Share of tasks that score at least so much, a line for each number of trials."""
    figure, axes = new_figure(width=0.7)
    names = list(content["summary"])
    grid = np.linspace(0, 1.1, 221)
    for name, colour in zip(names, _shades(len(names)), strict=True):
        scores = np.array([task["score"][name] for task in content["tasks"] if task["score"][name] is not None])
        shares = (scores[:, None] >= grid).mean(axis=0)
        axes.plot(grid, shares, color=colour, linewidth=2, label="1 trial" if name == "1" else f"{name} trials")
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(0, 1.1)
    axes.set_xlabel("score")
    axes.set_ylabel("share of tasks with at least this score")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    write_title(axes, "How many tasks score how much", "in the last trial")
    return figure


def draw_breakdown(content: Mapping[str, Any]) -> Figure:
    """Mean score by what is known about the tasks, for the fewest and the most trials."""
    features = content["breakdown"]
    figure = Figure(figsize=(8.4, 3.2), dpi=150, facecolor="white")
    names = list(content["summary"])
    chosen = list(dict.fromkeys((names[0], names[-1])))
    for place, (feature, groups) in enumerate(features.items()):
        axes = figure.add_subplot(1, len(features), place + 1, sharey=figure.axes[0] if place else None)
        values = np.array([group["value"] for group in groups])
        for name, colour in zip(chosen, (_FEW, _MANY)[-len(chosen) :], strict=True):
            mean, low, high = (
                np.array([group["summary"][name]["mean"][part] for group in groups])
                for part in ("value", "low", "high")
            )
            axes.fill_between(values, low, high, color=colour, alpha=0.25, linewidth=0)
            axes.plot(values, mean, color=colour, linewidth=2, marker="o", markersize=4, label=f"k = {name}")
        axes.set_title(_FEATURES[feature], color=INK, fontsize=10)
        axes.set_ylim(bottom=0)
        axes.set_xlim(values.min() - 0.5, values.max() + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.tick_params(colors=FAINT, labelsize=8, length=0)
        axes.grid(axis="y", color="#e6e8eb", linewidth=0.8)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        if place == 0:
            axes.set_ylabel("mean score", color=INK)
            axes.legend(frameon=False, fontsize=8, loc="lower left")
    figure.tight_layout()
    return figure


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file, the same bytes for the same figure."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _score_axis(axes: Axes, highest: float) -> None:
    limit = max(1.05, 1.08 * highest) if highest > 0.4 else max(1.2 * highest, 0.01)
    axes.set_ylim(-0.02 * limit, limit)
    axes.set_ylabel("score (1 is the reference)")


def _shades(number: int) -> list[str]:
    return [mix(_FEW, _MANY, place / max(number - 1, 1)) for place in range(number)]
