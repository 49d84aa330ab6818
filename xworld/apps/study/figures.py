"""Figures of a study's report, from the content of its scores.json."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xworld.apps.study.scores import PEOPLE
from xworld.evaluation.report.look import label_ends, new_figure, write_title

_COLOURS = {PEOPLE: "#c2417c", "random": "#8b929c", "noop": "#b3a18c", "expert": "#2b2f36"}
_OTHERS = ("#2563c9", "#2f8f5b", "#d9822b", "#7d55b5")  # of agents, in turn


def draw_people(content: Mapping[str, Any]) -> Figure:
    """Median over tasks of the last trial's score against the number of trials, people's and everybody's."""
    figure, axes = new_figure(width=0.65)
    summary = content["summary"]
    names = [name for name in summary[PEOPLE]]
    labels, highest = [], 0.0
    for player, colour in _colours(content).items():
        of_player = [
            (place, summary[player][name]["median"]) for place, name in enumerate(names) if name in summary[player]
        ]
        places = [place for place, _ in of_player]
        values, low, high = (np.array([cell[part] for _, cell in of_player]) for part in ("value", "low", "high"))
        axes.fill_between(places, low, high, color=colour, alpha=0.18, linewidth=0)
        width = 3.0 if player == PEOPLE else 1.8
        axes.plot(places, values, color=colour, linewidth=width, marker="o", markeredgecolor="white", zorder=3)
        labels.append((player, float(values[-1]), colour, "bold" if player == PEOPLE else "normal"))
        highest = max(highest, float(high.max()))
    axes.set_ylim(-0.03 * highest, max(1.08 * highest, 0.01))
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.2, len(names) - 0.8)
    axes.set_xlabel("trials in an episode")
    axes.set_ylabel("score of the last trial (expert's best = 1)")
    write_title(axes, "People and agents", "median over tasks, shaded: 95 % interval")
    label_ends(axes, labels)
    return figure


def draw_trials(content: Mapping[str, Any]) -> Figure:
    """Mean score from trial to trial in the episodes with the most trials."""
    figure, axes = new_figure(width=0.65)
    curves = content["mean_score_by_trial"]
    most = max(curves[PEOPLE], key=int)
    labels, highest = [], 0.0
    for player, colour in _colours(content).items():
        if most not in curves[player]:
            continue
        values = np.array(curves[player][most])
        width = 3.0 if player == PEOPLE else 1.8
        axes.plot(np.arange(1, len(values) + 1), values, color=colour, linewidth=width, marker="o", zorder=3)
        labels.append((player, float(values[-1]), colour, "bold" if player == PEOPLE else "normal"))
        highest = max(highest, float(values.max()))
    axes.set_ylim(-0.03 * highest, max(1.08 * highest, 0.01))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel("score (expert's best = 1)")
    write_title(axes, "From trial to trial", f"mean over the tasks that people played with {most} trials")
    label_ends(axes, labels)
    return figure


def _colours(content: Mapping[str, Any]) -> dict[str, str]:
    """A colour for people and for every player that has scores."""
    players = [name for name, of_player in content["summary"].items() if of_player]
    others = [name for name in players if name not in _COLOURS]
    turns = {name: _OTHERS[place % len(_OTHERS)] for place, name in enumerate(others)}
    return {name: _COLOURS.get(name) or turns[name] for name in players}
