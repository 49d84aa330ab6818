"""The figure of `inspection.json`: scores with less memory, what can be read from memory, where attention looks."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xworld.evaluation.inspection.inspect import FORGETFUL, PLACES
from xworld.evaluation.report.look import (
    BLUE,
    COLOURS,
    DARK_BLUE,
    FAINT,
    GRID,
    INK,
    LIGHT_BLUE,
    ORANGE,
    add_axes,
    blank_figure,
    write_title,
)
from xworld.evaluation.scores.scores import AGENT


def draw_inspection(content: Mapping[str, Any]) -> Figure:
    """Two panels, or three of an agent that attends."""
    draws = [_draw_scores, _draw_probe] + [_draw_attention] * (content["attention"] is not None)
    figure, width = blank_figure(4.8 * len(draws), 4.4), 1 / len(draws)
    for place, draw in enumerate(draws):
        draw(add_axes(figure, ((place + 0.18) * width, 0.19, 0.78 * width, 0.62)), content)
    return figure


def _draw_scores(axes: Axes, content: Mapping[str, Any]) -> None:
    (k,) = content["scores"][AGENT]
    names = {AGENT: "all it remembers", **{name: name for name in FORGETFUL}}
    for (player, label), colour in zip(names.items(), COLOURS, strict=False):
        _line(axes, content["scores"][player][k]["score"], 1, colour, label)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=9)
    _by_trial(axes, "score (1 is the expert's)")
    write_title(axes, "With less memory", "score from trial to trial")


def _draw_probe(axes: Axes, content: Mapping[str, Any]) -> None:
    probe = content["probe"]
    axes.set_ylim(0, 1)
    _by_trial(axes, "share of episodes")
    write_title(axes, "What made the goal?", f"read from memory when a trial begins; {probe['num_episodes']} episodes")
    if "memory" not in probe:
        axes.text(0.5, 0.5, "too few episodes", transform=axes.transAxes, color=FAINT, ha="center")
        return
    _line(axes, probe["memory"], 2, BLUE, "from memory")
    _line(axes, probe["no_memory"], 2, ORANGE, "memory emptied")
    axes.axhline(probe["chance"], color=INK, linewidth=1.2, linestyle=(0, (5, 3)), label="chance")
    axes.legend(frameon=False, fontsize=9)


def _draw_attention(axes: Axes, content: Mapping[str, Any]) -> None:
    heads = [
        (f"layer {i}, head {j}" if len(content["attention"]) > 1 else f"head {j}", head)
        for i, layer in enumerate(content["attention"], start=1)
        for j, head in enumerate(layer, start=1)
    ]
    left = np.zeros(len(heads))
    for place, colour in zip(PLACES, (DARK_BLUE, BLUE, LIGHT_BLUE, ORANGE, GRID), strict=True):
        share = np.array([head[place] for _, head in heads])
        axes.barh(np.arange(len(heads)), share, left=left, color=colour, label=place.replace("_", " "), height=0.7)
        left += share
    axes.set_yticks(np.arange(len(heads)), [name for name, _ in heads], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.grid(visible=False)
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.06))
    write_title(axes, "Where it looks", "share of attention after the first trial")


def _line(axes: Axes, estimate: Mapping[str, list[float]], first: int, colour: str, label: str) -> None:
    value, low, high = (np.array(estimate[part]) for part in ("value", "low", "high"))
    trials = np.arange(first, first + len(value))
    axes.fill_between(trials, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(trials, value, color=colour, linewidth=2.2, marker="o", markersize=5, label=label)


def _by_trial(axes: Axes, what: str) -> None:
    axes.set_xlabel("trial")
    axes.set_ylabel(what)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
