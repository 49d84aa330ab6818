"""Figures of an experiment: scores from trial to trial by family, gain against a number, and the course of its runs."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xworld.apps.laboratory.experiment import group_of
from xworld.evaluation import draw_trials
from xworld.evaluation.report.look import COLOURS, add_axes, blank_figure, new_figure, write_title
from xworld.evaluation.report.plots import players_panel, trials_panel
from xworld.evaluation.scores.summary import STATISTIC_NAMES

_STYLES = ("-", "--", ":", "-.")
_BY_NUMBER = ("mean", "percentile_20")  # statistics that are drawn by the number of trials
_WIDTH, _HEIGHT, _COLUMNS = 6.4, 4.4, 2  # of a panel in inches, and panels of a course side by side
_NAMES_IN_LINE, _LINE = 4, 0.24  # of a legend above all panels, and the height of its lines in inches
_FAR = 4.0  # the longest run over the shortest


def draw_families(content: Mapping[str, Any], *, by_group: bool = False) -> Figure:
    """Score from trial to trial, or of another unit, arms and baselines as lines.

    A panel for each family, or, of the arms of each group by themselves, for each family and group. Groups are those
    of `group_of`.
    """
    panels = _by_group(content) if by_group else content["families"]
    if len(panels) == 1:
        (only,) = panels.values()
        return draw_trials(only, main=content["arms"], unit=content["unit"])
    num_columns = content["num_columns"]
    num_rows = -(-len(panels) // num_columns)
    figure = blank_figure(_WIDTH * num_columns, _HEIGHT * num_rows)
    for place, (name, scores) in enumerate(panels.items()):
        row, column = divmod(place, num_columns)
        left, bottom = (column + 0.1) / num_columns, 1 - (row + 1 - 0.14) / num_rows
        axes = add_axes(figure, (left, bottom, 0.57 / num_columns, 0.66 / num_rows))
        k = trials_panel(axes, scores, None, content["arms"], content["unit"])
        about = f"mean over {scores['num_scored'][k]} tasks, shaded: 95 % interval"
        write_title(axes, name, about)
    return figure


def _by_group(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By group, behind the family's name where there are several, what a panel draws: its arms and all baselines."""
    panels = {}
    for family, of_family in content["families"].items():
        for group in dict.fromkeys(group_of(arm) for arm in content["arms"] if of_family["scores"].get(arm)):
            others = [arm for arm in content["arms"] if group_of(arm) != group]
            scores = {name: one for name, one in of_family["scores"].items() if name not in others}
            panels[_name(content, family, group)] = {**of_family, "scores": scores}
    return panels


def _name(content: Mapping[str, Any], family: str, group: str) -> str:
    """Of a group, behind its family's name where there are several."""
    return f"{family}, {group}" if len(content["families"]) > 1 else group


def draw_numbers(content: Mapping[str, Any]) -> Figure:
    """Mean and 20th percentile of the last trial's score by the number of trials: a panel each.

    A row a family of which somebody has played several numbers of trials.
    """
    families = {family: one for family, one in content["families"].items() if plays_several(one)}
    figure = blank_figure(_WIDTH * len(_BY_NUMBER), _HEIGHT * len(families))
    for row, (family, of_family) in enumerate(families.items()):
        for column, statistic in enumerate(_BY_NUMBER):
            left, bottom = (column + 0.1) / len(_BY_NUMBER), 1 - (row + 1 - 0.14) / len(families)
            axes = add_axes(figure, (left, bottom, 0.57 / len(_BY_NUMBER), 0.66 / len(families)))
            players_panel(axes, of_family, statistic, content["arms"])
            name = STATISTIC_NAMES[statistic] + (f", {family}" if len(content["families"]) > 1 else "")
            write_title(axes, f"Last trial: {name}", "over tasks, shaded: 95 % interval")
    return figure


def plays_several(of_family: Mapping[str, Any]) -> bool:
    """Whether somebody has played a family's tasks in several numbers of trials."""
    return any(len(by_k) > 1 for by_k in of_family["scores"].values())


def draw_gains(content: Mapping[str, Any], against: str) -> Figure:
    """Last trial's score minus the first's against a number that runs measure; a line for each group of arms.

    Groups are those of `group_of`.
    """
    figure, axes = new_figure(width=0.65)
    groups: dict[str, list[tuple[float, Mapping[str, float]]]] = {}
    for family, of_family in content["families"].items():
        for arm in content["arms"]:
            numbers = [run["numbers"][against] for run in of_family["runs"] if run["arm"] == arm]
            if numbers:
                (of_arm,) = of_family["scores"][arm].values()
                groups.setdefault(_name(content, family, group_of(arm)), []).append(
                    (float(np.mean(numbers)), of_arm["gain"])
                )
    for place, (group, points) in enumerate(groups.items()):
        points.sort(key=lambda point: point[0])
        at, value, low, high = np.array([(x, g["value"], g["low"], g["high"]) for x, g in points]).T
        colour = COLOURS[place % len(COLOURS)]
        axes.errorbar(
            at, value, [value - low, high - value], color=colour, marker="o", capsize=3, linewidth=2, label=group
        )
    run_at = sorted({at for points in groups.values() for at, _ in points})
    if run_at[0] > 0:
        axes.set_xscale("log")
        axes.set_xticks(run_at, [f"{at:.3g}" for at in run_at])
        axes.minorticks_off()
    axes.set_xlabel(against.replace("_", " "))
    axes.set_ylabel("gain: last trial minus the first")
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    write_title(axes, f"Gain against {against.replace('_', ' ')}", f"95 % intervals over tasks{_seeds(content)}")
    return figure


def _seeds(content: Mapping[str, Any]) -> str:
    """What an interval is over beside tasks."""
    numbers = {
        number
        for family in content["families"].values()
        for number in Counter(run["arm"] for run in family["runs"]).values()
    }
    if numbers <= {1}:
        return ", of one seed"
    return " and seeds" if 1 not in numbers else ", and seeds where there are several"


def draw_courses(content: Mapping[str, Any]) -> dict[str, Figure]:
    """By family, columns of its runs' rows along steps, seconds or operations, a panel each; a line for each run.

    Arms are told by colour, which is the same in all families; their names stand above the panels. Where runs end far
    apart, as they do in operations, they are drawn along a logarithm.
    """
    families = dict.fromkeys(run["family"] for panel in content["course"] for run in panel["runs"])
    return {family: _draw_course(content, family) for family in families}


def _draw_course(content: Mapping[str, Any], family: str) -> Figure:
    panels = [
        {**panel, "runs": [run for run in panel["runs"] if run["family"] == family]} for panel in content["course"]
    ]
    looks = _looks([run["arm"] for panel in panels for run in panel["runs"]], content["arms"])
    num_rows = -(-len(panels) // _COLUMNS)
    legend = _LINE * (-(-len(looks) // _NAMES_IN_LINE) + 1)  # inches
    height = _HEIGHT * num_rows + legend
    figure = blank_figure(_WIDTH * _COLUMNS, height)
    for place, panel in enumerate(panels):
        row, column = divmod(place, _COLUMNS)
        left, bottom = (column + 0.12) / _COLUMNS, (_HEIGHT * (num_rows - row - 1 + 0.16)) / height
        axes = add_axes(figure, (left, bottom, 0.82 / _COLUMNS, 0.64 * _HEIGHT / height))
        for run in panel["runs"]:
            axes.plot(run["at"], run["values"], **looks[run["arm"]], linewidth=1.2, alpha=0.8)
        ends = [run["at"][-1] for run in panel["runs"] if run["at"]]
        if ends and max(ends) > _FAR * min(ends):
            axes.set_xscale("log")
        axes.set_xlabel(panel["along"].replace("_", " "))
        write_title(axes, panel["column"].replace("_", " "), "a line for each seed")
    lines = [Line2D([], [], **look, linewidth=2) for look in looks.values()]
    figure.legend(lines, list(looks), loc="upper center", ncols=_NAMES_IN_LINE, frameon=False)
    return figure


def _looks(there: Collection[str], arms: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By arm that is there the colour of its lines, and their dashes once there are no more colours."""
    looks = {}
    for place, arm in enumerate(arms):
        round_, colour = divmod(place, len(COLOURS))
        if arm in there:
            looks[arm] = {"color": COLOURS[colour], "linestyle": _STYLES[round_ % len(_STYLES)]}
    return looks
