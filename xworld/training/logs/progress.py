"""What a run shows on the terminal: how far it is, and a table of how it does."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from xworld.training.logs.metrics import TRIAL_COLUMNS, Row

Show = Callable[[int, Row | None], None]

_LEARNING = {
    "entropy": "entropy",
    "kl": "KL",
    "clip_fraction": "clipped",
    "explained_variance": "explained",
    "gradient_norm": "gradient",
    "value_loss": "value loss",
    "learning_rate": "rate",
}


@contextmanager
def progress_display(num_updates: int, evaluation: Sequence[str], is_shown: bool) -> Iterator[Show]:
    """A function that shows the updates done, and a row of metrics if there is one; `evaluation` are its columns."""
    if not is_shown:
        yield lambda update, row: None
        return
    columns = (BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    progress = Progress(*columns, TextColumn("{task.description}"))
    bar = progress.add_task("compiling", total=num_updates)
    with Live(progress, refresh_per_second=4, transient=False) as live:

        def show(update: int, row: Row | None) -> None:
            if row is None:
                progress.update(bar, completed=update, description="starting")
                return
            if not math.isnan(row[evaluation[-1]]):
                live.console.print(_evaluated(row, evaluation), soft_wrap=True)  # it stays, above what changes
            words = f"{row['steps'] / 1e6:.1f} M steps, {row['steps_per_second']:,.0f} a second"
            progress.update(bar, completed=update, description=words)
            live.update(Group(progress, _returns(row), _learning(row)))

        yield show
    live.console.print()  # what comes next begins on a line of its own


def _evaluated(row: Row, evaluation: Sequence[str]) -> str:
    """An evaluation in a line: the return of each trial divided by its length."""
    tasks, values = evaluation[0].partition("_")[0], [row[name] for name in evaluation[:-1]]
    trials = " ".join(f"{value:.2f}" for value in values if not math.isnan(value))
    return f"{row['steps'] / 1e6:5.1f} M steps, {tasks} tasks, reward a step by trial: {trials}"


def _returns(row: Row) -> Table:
    """Returns in training by trial."""
    table = Table("return in trial", *(str(trial + 1) for trial in range(len(TRIAL_COLUMNS))), "last")
    table.add_row("training", *(_number(row[name]) for name in (*TRIAL_COLUMNS, "return_last_trial")))
    return table


def _learning(row: Row) -> Table:
    table = Table(*_LEARNING.values())
    table.add_row(*(_number(row.get(name, math.nan)) for name in _LEARNING))
    return table


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3g}"
