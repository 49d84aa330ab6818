"""Figures of scores, from the content of a scores.json: for many players, or for one by its numbers of trials."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xworld.agents.players import EXPERT, NOOP, RANDOM, SEARCHER, SEARCHER_WITHOUT_MEMORY
from xworld.evaluation.report.look import (
    BLUE,
    DARK_BLUE,
    FAINT,
    GREEN,
    GRID,
    INK,
    LIGHT_BLUE,
    OCHRE,
    ORANGE,
    PINK,
    PURPLE,
    TEAL,
    label_ends,
    mix,
    new_figure,
    write_title,
)
from xworld.evaluation.scores.scores import AGENT, PEOPLE
from xworld.evaluation.scores.summary import STATISTIC_NAMES
from xworld.tasks.sets.by_name import AGENTS_ASKED

_COLOURS = {
    AGENT: BLUE,
    PEOPLE: PINK,
    SEARCHER_WITHOUT_MEMORY: ORANGE,
    SEARCHER: GREEN,
    RANDOM: FAINT,
    NOOP: "#b3a18c",
    EXPERT: INK,
}
_OTHERS = (
    PURPLE,
    TEAL,
    OCHRE,
    PINK,
    "#2f6f4f",
    "#b5651d",
    "#5b74c9",
    "#7a8b1f",
)  # of players that are not the usual ones, in turn
_STATISTIC_COLOURS = {"median": BLUE, "mean": FAINT, "percentile_20": ORANGE}
_Drawn = tuple[np.ndarray, np.ndarray]  # a line's values, and the upper ends of their intervals
_FEW, _MANY = LIGHT_BLUE, DARK_BLUE  # the fewest trials and the most
_FEATURES = {
    "num_firings": "firings needed",
    "num_hidden_rules": "hidden rules",
    "num_distractors": "distractors",
    "num_dead_ends": "dead ends",
    "num_rules": "rules",
    "num_objects": "objects",
    AGENTS_ASKED: "agents asked (0: for one)",
}


def draw_trials(
    content: Mapping[str, Any],
    num_trials: int | None = None,
    main: Sequence[str] = (AGENT, PEOPLE),
    unit: str = "trial",
) -> Figure:
    """Mean score from trial to trial with 95 % intervals, a line for each player.

    Args:
      content: of a scores.json.
      num_trials: in episodes of so many; by default of the most.
      main: the players whose lines stand out.
      unit: what a score in a row is of.
    """
    figure, axes = new_figure(width=0.65)
    k = trials_panel(axes, content, num_trials, main, unit)
    name = unit.split()[0]
    write_title(
        axes, f"Score from {name} to {name}", f"mean over {_num_scored(content, k)} tasks, shaded: 95 % interval"
    )
    return figure


def trials_panel(
    axes: Axes, content: Mapping[str, Any], num_trials: int | None, main: Sequence[str], unit: str = "trial"
) -> str:
    """What `draw_trials` draws, on axes without a title; the key of its number of trials."""
    k = _most(content) if num_trials is None else str(num_trials)
    labels, lines = [], []
    for player, colour in _colours(content).items():
        if k not in content["scores"][player]:
            continue
        value, low, high = _parts(content["scores"][player][k]["score"])
        trials = np.arange(1, len(value) + 1)
        if np.allclose(value, 1) and np.allclose(low, high):  # whom scores are shares of
            axes.axhline(1.0, color=colour, linewidth=1.3, linestyle=(0, (5, 3)), zorder=2)
        else:
            _line(axes, trials, (value, low, high), colour, is_main=player in main)
        labels.append((player, float(value[-1]), colour, "bold" if player in main else "normal"))
        lines.append((value, high))
    _score_axis(axes, lines)
    axes.set_xlim(1 - 0.04 * int(k), 1.04 * int(k))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(unit)
    label_ends(axes, labels)
    return k


def draw_players(
    content: Mapping[str, Any], statistic: str = "median", main: Sequence[str] = (AGENT, PEOPLE)
) -> Figure:
    """A statistic of the last trial's score against the number of trials, a line for each player; some stand out."""
    figure, axes = new_figure(width=0.65)
    players_panel(axes, content, statistic, main)
    write_title(axes, "Players by number of trials", f"{STATISTIC_NAMES[statistic]} over tasks, shaded: 95 % interval")
    return figure


def players_panel(
    axes: Axes, content: Mapping[str, Any], statistic: str, main: Sequence[str] = (AGENT, PEOPLE)
) -> None:
    """What `draw_players` draws, on axes without a title; the lines of the players in `main` stand out."""
    names = _numbers_of_trials(content)
    labels, lines = [], []
    for player, colour in _colours(content).items():
        of_player = content["scores"][player]
        places = np.array([place for place, k in enumerate(names) if k in of_player])
        cells = [of_player[k]["last"][statistic] for k in names if k in of_player]
        value, low, high = _parts_of(cells)
        _line(axes, places, (value, low, high), colour, is_main=player in main)
        labels.append((player, float(value[-1]), colour, "bold" if player in main else "normal"))
        lines.append((value, high))
    _axis_of_k(axes, names, lines)
    label_ends(axes, labels)


def draw_statistics(content: Mapping[str, Any], player: str) -> Figure:
    """Median, mean and 20th percentile of the last trial's score against the number of trials."""
    figure, axes = new_figure(width=0.7)
    labels, lines = [], []
    of_player = content["scores"][player]
    for statistic, colour in _STATISTIC_COLOURS.items():
        cells = [of_k["last"][statistic] for of_k in of_player.values()]
        value, low, high = _parts_of(cells)
        _line(axes, np.arange(len(cells)), (value, low, high), colour, is_main=statistic == "median")
        weight = "bold" if statistic == "median" else "normal"
        labels.append((STATISTIC_NAMES[statistic], float(value[-1]), colour, weight))
        lines.append((value, high))
    _axis_of_k(axes, list(of_player), lines)
    most = list(of_player)[-1]
    write_title(axes, "Score of the last trial", f"over {of_player[most]['num_tasks']} tasks, shaded: 95 % interval")
    label_ends(axes, labels)
    return figure


def draw_curves(content: Mapping[str, Any], player: str) -> Figure:
    """Mean score from trial to trial, a line for each number of trials."""
    figure, axes = new_figure(width=0.7)
    curves = {k: np.array(of_k["score"]["value"]) for k, of_k in content["scores"][player].items()}
    for (name, scores), colour in zip(curves.items(), _shades(len(curves)), strict=True):
        axes.plot(np.arange(1, len(scores) + 1), scores, color=colour, linewidth=2, marker="o", markersize=4)
        axes.annotate(name, (len(scores), scores[-1]), (0, 7), textcoords="offset points", color=colour, ha="center")
    _score_axis(axes, [(scores, scores) for scores in curves.values()])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    write_title(axes, "From trial to trial", "mean score over tasks; a line for each number of trials, by its end")
    return figure


def draw_profile(content: Mapping[str, Any], player: str) -> Figure:
    """Share of tasks that score at least so much, a line for each number of trials."""
    figure, axes = new_figure(width=0.7)
    names = list(content["scores"][player])
    grid = np.linspace(0, 1.1, 221)
    for name, colour in zip(names, _shades(len(names)), strict=True):
        found = [task["score"][player][name] for task in content["tasks"]]
        scores = np.array([score for score in found if score is not None])
        shares = (scores[:, None] >= grid).mean(axis=0)
        axes.plot(grid, shares, color=colour, linewidth=2, label="1 trial" if name == "1" else f"{name} trials")
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(0, 1.1)
    axes.set_xlabel("score")
    axes.set_ylabel("share of tasks with at least this score")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    write_title(axes, "How many tasks score how much", "in the last trial")
    return figure


def draw_breakdown(content: Mapping[str, Any], player: str) -> Figure:
    """Mean score by what is known about the tasks, for the fewest and the most trials."""
    features = content["breakdown"]
    figure = Figure(figsize=(8.4, 3.2), dpi=150, facecolor="white")
    names = list(content["scores"][player])
    chosen = list(dict.fromkeys((names[0], names[-1])))
    for place, (feature, groups) in enumerate(features.items()):
        axes = figure.add_subplot(1, len(features), place + 1, sharey=figure.axes[0] if place else None)
        values = np.array([group["value"] for group in groups])
        for name, colour in zip(chosen, (_FEW, _MANY)[-len(chosen) :], strict=True):
            cells = [group["scores"][player][name]["mean"] for group in groups]
            mean, low, high = _parts_of(cells)
            axes.fill_between(values, low, high, color=colour, alpha=0.25, linewidth=0)
            axes.plot(values, mean, color=colour, linewidth=2, marker="o", markersize=4, label=f"k = {name}")
        axes.set_title(_FEATURES[feature], color=INK, fontsize=10)
        axes.set_ylim(bottom=0)
        axes.set_xlim(values.min() - 0.5, values.max() + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.tick_params(colors=FAINT, labelsize=8, length=0)
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        if place == 0:
            axes.set_ylabel("mean score", color=INK)
            axes.legend(frameon=False, fontsize=8, loc="lower left")
    figure.tight_layout()
    return figure


def _line(axes: Axes, places: np.ndarray, parts: tuple[np.ndarray, ...], colour: str, *, is_main: bool) -> None:
    """A line through values, and their intervals."""
    value, low, high = parts
    axes.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0, zorder=2)
    style: dict[str, Any] = {"linewidth": 3.0 if is_main else 1.8, "markersize": 8 if is_main else 5}
    style |= {"markeredgecolor": "white", "markeredgewidth": 1.2, "zorder": 4 if is_main else 3}
    axes.plot(places, value, color=colour, marker="o", **style)


def _score_axis(axes: Axes, lines: Sequence[_Drawn]) -> None:
    """As high as lines and their intervals; of intervals much higher than any line, as of two seeds, a part is seen."""
    value = max((float(value.max()) for value, _ in lines), default=0.0)
    high = max((float(np.fmax(value, high).max()) for value, high in lines), default=0.0)
    limit = 1.08 * min(high, 1.2 * value) or 1.0
    axes.set_ylim(-0.02 * limit, limit)
    axes.set_ylabel("score (1 is the reference)")


def _axis_of_k(axes: Axes, names: list[str], lines: Sequence[_Drawn]) -> None:
    _score_axis(axes, lines)
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.2, len(names) - 0.8)
    axes.set_xlabel("trials in an episode")


def _colours(content: Mapping[str, Any]) -> dict[str, str]:
    """A colour for every player that has scores."""
    players = [name for name, of_player in content["scores"].items() if of_player]
    others = [name for name in players if name not in _COLOURS]
    turns = {name: _OTHERS[place % len(_OTHERS)] for place, name in enumerate(others)}
    return {name: _COLOURS.get(name) or turns[name] for name in players}


def _parts(cell: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.array(cell["value"]), np.array(cell["low"]), np.array(cell["high"])


def _parts_of(cells: Sequence[Mapping[str, float | None]]) -> tuple[np.ndarray, ...]:
    """Values and both ends of their intervals; NaN of what has no interval, where nothing is shaded."""
    return tuple(np.array([cell[part] for cell in cells], np.float64) for part in ("value", "low", "high"))


def _numbers_of_trials(content: Mapping[str, Any]) -> list[str]:
    """The numbers of trials that somebody has scores for, rising."""
    return sorted({k for of_player in content["scores"].values() for k in of_player}, key=int)


def _most(content: Mapping[str, Any]) -> str:
    return _numbers_of_trials(content)[-1]


def _num_scored(content: Mapping[str, Any], k: str) -> int:
    return max(of_player[k]["num_tasks"] for of_player in content["scores"].values() if k in of_player)


def _shades(number: int) -> list[str]:
    return [mix(_FEW, _MANY, place / max(number - 1, 1)) for place in range(number)]
