"""What an evaluation leaves behind: scores.json, a table, and a plot of score against trial."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from xworld.evaluation.scores.comparison import AGENT, Comparison
from xworld.evaluation.scores.statistics import difference, estimate, gain, has_score, is_above_1
from xworld.evaluation.scores.summary import STATISTIC_NAMES, STATISTICS


def scores_table(comparison: Comparison) -> Table:
    """A rich table of the scores: a row for each policy, a column for each trial, 95 % intervals below the means.

    The last column is the last trial's score minus that of the first policy, task by task. Of more than five trials the
    table shows some, so that it fits a terminal.
    """
    num_trials = comparison.reference.shape[1]
    trials = [t for t in range(num_trials) if num_trials <= 5 or t + 1 in (1, 2, 5, num_trials)]
    title = f"Score (share of the expert's return) on {comparison.num_scored} tasks, and 95 % interval"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column("policy", max_width=17)
    for trial in trials:
        table.add_column(f"trial {trial + 1}", justify="right")
    table.add_column("gain", justify="right")
    (first, of_first), *_ = comparison.scores.items()
    table.add_column(f"minus {first}", max_width=11, justify="right")
    for name, scores in comparison.scores.items():
        by_trial, gained = estimate(scores), estimate(gain(scores))
        cells = [_cell(by_trial.mean[t], by_trial.low[t], by_trial.high[t]) for t in trials]
        less = difference(scores[..., -1], of_first[..., -1])
        style = "bold" if name == AGENT else None
        cells += [_cell(part.mean, part.low, part.high) for part in (gained, less)]
        table.add_row(name, *cells[:-1], cells[-1] if name != first else "", style=style)
    num_without = len(comparison.reference) - comparison.num_scored
    captions = (
        [f"Left out: {num_without} tasks in which the expert earns nothing in some trial."] if num_without else []
    )
    for name, scores in comparison.scores.items():
        last = scores[:, has_score(scores), -1]
        if (share := float(is_above_1(last).mean())) > 0:
            clipped = np.minimum(last, 1).mean()
            captions.append(
                f"In the last trial {name} is above 1 in {share:.1%} of tasks; mean clipped at 1: {clipped:.2f}."
            )
    table.caption = "\n".join(captions) or None
    return table


def sweep_table(content: Mapping[str, Any]) -> Table:
    """A rich table of a sweep's `scores.json`: a row for each number of trials, a column for each statistic."""
    num_scored = content["num_tasks"] - content["reference"]["num_tasks_without"]
    title = f"{content['player']['name']}: score of the last trial on {num_scored} tasks, and 95 % interval"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("trials", justify="right")
    for name in STATISTICS:
        table.add_column(STATISTIC_NAMES[name], justify="right")
    for num_trials, of_k in content["summary"].items():
        cells = (of_k[name] for name in STATISTICS)
        table.add_row(num_trials, *(_cell(cell["value"], cell["low"], cell["high"]) for cell in cells))
    table.caption = (
        f"A score of 1 is {content['reference']['kind']}; {content['num_tasks'] - num_scored} tasks have none."
    )
    if num_scored < content["num_tasks"]:
        most, of_most = list(content["summary_with_zeros"].items())[-1]
        parts = (
            f"{STATISTIC_NAMES[name]} {of_most[name]['value']:.2f}" for name in ("median", "percentile_20", "mean")
        )
        table.caption += f" With these counted as 0, of {most} trials: {', '.join(parts)}."
    return table


def _cell(mean: np.ndarray | float, low: np.ndarray | float, high: np.ndarray | float) -> str:
    """The mean, and its interval in a second line if it has any width."""
    interval = f"{low:.2f}~{high:.2f}".replace("0.", ".")  # narrow, so that the table fits a terminal
    return f"{mean:.2f}" + (f"\n[dim]{interval}[/dim]" if high > low else "")
