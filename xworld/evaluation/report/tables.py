"""Tables for the terminal, from the content of a scores.json: by trial, by statistic, or by number of trials."""

import re
import textwrap
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

from xworld.evaluation.scores.scores import AGENT, PEOPLE
from xworld.evaluation.scores.summary import STATISTIC_NAMES

_COLUMNS = ("median", "percentile_20", "mean", "share_above_0.8", "share_at_0")  # as many as fit a terminal


def trials_table(content: Mapping[str, Any], num_trials: int | None = None) -> Table:
    """A row for each player, a column for each trial, 95 % intervals below the means.

    The last column is the last trial's score minus that of the first player, task by task. Of more than five trials the
    table shows some, so that it fits a terminal.

    Args:
      content: of a scores.json.
      num_trials: in episodes of so many; by default of the most that the first player played.
    """
    first, *_ = content["scores"]
    k = list(content["scores"][first])[-1] if num_trials is None else str(num_trials)
    players = {name: of_player[k] for name, of_player in content["scores"].items() if k in of_player}
    trials = shown_trials(int(k), most=5)
    title = f"Score of each trial on {content['num_scored'][k]} tasks, and 95 % interval"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column("player")
    for trial in trials:
        table.add_column(f"trial {trial + 1}", justify="right")
    table.add_column("gain", justify="right")
    table.add_column(_fold(f"minus {first}", 11), justify="right")
    captions = [_about_reference(content)]
    for name, of_player in players.items():
        cells = [_cell({part: of_player["score"][part][t] for part in ("value", "low", "high")}) for t in trials]
        cells += [_cell(of_player["gain"]), _cell(of_player.get("difference"))]
        table.add_row(_fold(name, 11), *cells, style=_style(name))
        captions += _remarks(name, of_player)
    table.caption = "\n".join(captions)
    return table


def shown_trials(num_trials: int, most: int) -> list[int]:
    """The trials, counted from 0, that a table shows so that it fits a terminal.

    All, if there are at most `most`; otherwise the first, second, fifth and last.
    """
    return [t for t in range(num_trials) if num_trials <= most or t + 1 in (1, 2, 5, num_trials)]


def statistics_table(content: Mapping[str, Any], player: str | None = None) -> Table:
    """A row for each number of trials, a column for each statistic of the last trial's score.

    Args:
      content: of a scores.json.
      player: whose; by default the first's.
    """
    name = next(iter(content["scores"])) if player is None else player
    of_player = content["scores"][name]
    most, of_most = list(of_player.items())[-1]
    title = f"{name}: score of the last trial on {of_most['num_tasks']} tasks, and 95 % interval"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("trials", justify="right")
    for statistic in _COLUMNS:
        table.add_column(STATISTIC_NAMES[statistic], justify="right")
    for k, of_k in of_player.items():
        table.add_row(k, *(_cell(of_k["last"][statistic]) for statistic in _COLUMNS))
    captions = [_about_reference(content), *_remarks(name, of_most)]
    if content["reference"]["num_tasks_without"]:
        zeros = of_most["last_with_zeros"]
        parts = (f"{STATISTIC_NAMES[name]} {zeros[name]['value']:.2f}" for name in ("median", "percentile_20", "mean"))
        captions.append(f"Tasks without one counted as 0, {most} trials: {', '.join(parts)}.")
    table.caption = "\n".join(captions)
    return table


def breakdown_table(content: Mapping[str, Any], feature: str, names: Mapping[int, str]) -> Table:
    """A row for each value of a feature, a column for each number of trials: the first player's mean last score.

    Args:
      content: of a scores.json.
      feature: one of its `breakdown`.
      names: of the values.
    """
    player, of_player = next(iter(content["scores"].items()))
    title = f"{player}: mean score of the last trial, and 95 % interval"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("tasks", "number"):
        table.add_column(heading)
    for k in of_player:
        table.add_column(f"{k} trial{'s' * (k != '1')}", justify="right")
    for group in content["breakdown"][feature]:
        by_k = group["scores"][player]
        cells = (_cell(by_k[k]["mean"]) if k in by_k else "" for k in of_player)
        table.add_row(names[group["value"]], str(group["num_tasks"]), *cells)
    return table


def players_table(content: Mapping[str, Any], statistic: str = "median") -> Table:
    """A row for each player, a column for each number of trials: a statistic of the last trial's score."""
    names = sorted({k for of_player in content["scores"].values() for k in of_player}, key=int)
    title = f"Score of the last trial, {STATISTIC_NAMES[statistic]} over tasks, and 95 % interval"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("trials")
    for k in names:
        table.add_column(k, justify="right")
    for player, of_player in content["scores"].items():
        cells = (_cell(of_player[k]["last"][statistic]) if k in of_player else "" for k in names)
        table.add_row(player, *cells, style=_style(player))
    return table


def _about_reference(content: Mapping[str, Any]) -> str:
    reference = content["reference"]
    return f"A score of 1 is {reference['kind']}; {reference['num_tasks_without']} tasks have none."


def _remarks(player: str, of_k: Mapping[str, Any]) -> list[str]:
    """Lines about an agent of one training seed, and about scores above 1."""
    remarks = []
    if player == AGENT and of_k["num_rows"] == 1:
        remarks.append("The agent is of one training seed; intervals say nothing about other seeds.")
    share, clipped = (of_k["last"][statistic]["value"] for statistic in ("share_above_1", "mean_clipped"))
    if share > 0:
        remarks.append(
            f"In the last trial {player} is above 1 in {share:.1%} of tasks; mean clipped at 1: {clipped:.2f}."
        )
    return remarks


def _style(player: str) -> str | None:
    return "bold" if player == AGENT or player.split()[0] == PEOPLE else None


def _fold(words: str, width: int) -> str:
    """Lines of at most `width` letters, broken at spaces and dashes, so that the table fits a terminal."""
    return "\n".join(textwrap.wrap(words, width))


def _cell(found: Mapping[str, float | None] | None) -> str:
    """A value, and its interval in a second line, nothing for None.

    No interval of one task, and none of a mean, a median or a percentile of equal scores: it has no width.
    """
    if found is None:
        return ""
    value, low, high = (found[part] for part in ("value", "low", "high"))
    if low is None or high is None or high <= low:
        return f"{value:.2f}"
    interval = re.sub(r"(?<!\d)0\.", ".", f"{low:.2f}~{high:.2f}")  # narrow, so that the table fits a terminal
    return f"{value:.2f}\n[dim]{interval}[/dim]"
