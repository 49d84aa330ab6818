"""The page of the scoreboard: tables and a figure, made from the entries."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from xworld.base.errors import ConfigError
from xworld.evaluation.report.plots import draw_players
from xworld.evaluation.scoreboard.entry import DEFAULT, MAIN_NUM_TRIALS, NUM_TRIALS, TASK_SET, Entry
from xworld.evaluation.scores.statistics import Estimate, difference, estimate
from xworld.evaluation.scores.summary import as_json, last_statistics

SHOWN = (MAIN_NUM_TRIALS, 13)  # numbers of trials that have a table
COLUMNS = {"median": "median", "percentile_20": "20th percentile", "mean": "mean"}

_HEAD = """# Scoreboard

Entries of the benchmark [`xworld-s`](xworld-s.md). `xworld scoreboard` makes this page from the files in
`{entries}`: do not edit it.

A score is the return of the last of k trials, divided by the expert's best known return of the task, mean over
{num_repetitions} episodes. Of the {num_tasks} tasks of `test_set("{task_set}")`, {num_without} have no such return, and
count nowhere. In brackets are 95 % intervals, over tasks and training seeds; of a player without seeds over tasks only.
Medians and percentiles are of all pairs of a seed and a task. Gain is by how much the mean is above that
with 1 trial, paired by seed and task. Differences of entries are paired by task.
`xworld scoreboard --check NAME` plays an entry's agents again, and compares their scores task by task.
"""


def make_page(entries: Sequence[Entry], folder: str, figure: str) -> str:
    """The page, in Markdown.

    Args:
      entries: of the same tasks.
      folder: of the entries, as the page calls it.
      figure: a link to what `draw` draws.

    Raises:
      ConfigError: there are no entries, or their scores cannot be compared.
    """
    check_comparable(entries)
    first, *_ = entries
    ordered = sorted(entries, key=lambda entry: -float(entry.scored(MAIN_NUM_TRIALS).mean()))
    head = _HEAD.format(
        entries=folder,
        num_repetitions=first.num_repetitions,
        num_tasks=first.num_tasks,
        task_set=TASK_SET,
        num_without=first.num_tasks - first.scored(MAIN_NUM_TRIALS).shape[1],
    )
    parts = [head, _cost_table(ordered)]
    for k in SHOWN:
        parts += [f"## With {k} trials", _score_table(ordered, k)]
    parts += ["## By number of trials", f"![Mean score of the last trial by number of trials]({figure})"]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def draw(entries: Sequence[Entry]) -> Figure:
    """The mean score of the last trial against the number of trials, a line for each entry."""
    check_comparable(entries)
    scores = {entry.name: {str(k): {"last": last_statistics(entry.scored(k))} for k in NUM_TRIALS} for entry in entries}
    return draw_players({"scores": scores}, "mean")


def check_comparable(entries: Sequence[Entry]) -> None:
    """Makes sure that entries were played on the same tasks, and their returns divided by the same.

    Raises:
      ConfigError: there are no entries, or they were not.
    """
    if not entries:
        raise ConfigError("There are no entries. Make one: xworld scoreboard --add random --agents random.")
    first, *others = entries
    for entry in others:
        if (entry.content_hash, entry.num_repetitions) != (first.content_hash, first.num_repetitions):
            raise ConfigError(
                f"The entries {first.name!r} and {entry.name!r} are of different tasks, or of different numbers of "
                "repetitions. Make one of them again."
            )
        if entry.best_returns_digest != first.best_returns_digest:
            raise ConfigError(
                f"The scores of {first.name!r} and {entry.name!r} are shares of different best returns. Make one of "
                "them again with the expert's best returns that lie beside the entries."
            )


def _cost_table(entries: Iterable[Entry]) -> str:
    rows = []
    for entry in entries:
        seconds = [training.seconds for training in entry.trainings]
        rows.append(
            [
                f"`{entry.name}`",
                entry.about,
                ", ".join(str(training.seed) for training in entry.trainings),
                f"{max(training.steps for training in entry.trainings) / 1e6:.1f} M" if seconds else "",
                f"{min(seconds):.0f} to {max(seconds):.0f}" if seconds else "",
                entry.hardware,
            ]
        )
    return _table(("entry", "what it is", "seeds", "steps, each", "seconds, each", "trained on"), rows)


def _score_table(entries: Sequence[Entry], num_trials: int) -> str:
    default = next((entry for entry in entries if entry.name == DEFAULT), None)
    rows = []
    for entry in entries:
        found = last_statistics(entry.scored(num_trials))
        gain = estimate(entry.scores[num_trials] - entry.scores[1])  # of tasks that have both scores
        row = [f"`{entry.name}`", *(_cell(found[name]) for name in COLUMNS), _cell(as_json(gain))]
        if default is not None:
            row.append("" if entry is default else _cell(as_json(_minus(entry, default, num_trials))))
        rows.append(row)
    return _table(("entry", *COLUMNS.values(), "gain", *(() if default is None else (f"minus `{DEFAULT}`",))), rows)


def _minus(entry: Entry, other: Entry, num_trials: int) -> Estimate:
    return difference(entry.scores[num_trials], other.scores[num_trials])


def _cell(found: Mapping[str, float | None]) -> str:
    value, low, high = (found[part] for part in ("value", "low", "high"))
    return f"{value:.3f}" if low is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
