"""What a run writes about itself: one row a chunk, as `metrics.csv` and `metrics.jsonl`."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from xworld.base.errors import ConfigError
from xworld.base.files import parse_json, read_text, reason_of, write_atomically
from xworld.training.learners.learner import Metrics
from xworld.training.rollouts.rollout import NUM_TRIAL_COLUMNS

Row = dict[str, float]  # NaN where there is nothing to report
EvaluationTasks = Literal["validation", "seen"]  # kept apart from training; or a run's own, where nothing is

TRIAL_COLUMNS = tuple(f"return_trial_{trial + 1}" for trial in range(NUM_TRIAL_COLUMNS))
WATCHED = ("loss", "gradient_norm")  # a run in which one is not finite, or huge, is stopped
_EXPLODED = 1e6  # of one of these; returns are normalised, so that both are of the order of 1
_SUMS = ("trial_sums", "trial_counts")
_FIRST = ("update", "steps", "seconds", "steps_per_second", *TRIAL_COLUMNS, "return_last_trial")


class TrainingDiverged(RuntimeError):
    """A loss or a gradient is no longer finite, or huge; the last good checkpoint is kept."""

    def __init__(self, message: str, steps: int):
        """Of a run that has taken so many environment steps, or an imitation that has learned from so many."""
        super().__init__(message)
        self.steps = steps


def check_finite(row: Mapping[str, float], what: str, advice: str, steps: int) -> None:
    """Raises TrainingDiverged, with what happened and what to do, if one of `WATCHED` is too large or NaN."""
    loss, norm = (row[name] for name in WATCHED)
    if not (abs(loss) < _EXPLODED and norm < _EXPLODED):  # nor are these true of NaN
        raise TrainingDiverged(f"{what}: the loss is {loss:.3g}, the gradient's norm {norm:.3g}. {advice}", steps)


def mean_row(metrics: Metrics) -> Row:
    """One row's means from the metrics of a chunk's updates: returns over trials that ended, the rest over updates.

    Updates without a value, which is NaN, do not count; but any NaN of `WATCHED` shows.
    """
    sums, counts = (np.asarray(metrics[name]).sum(0) for name in _SUMS)
    returns = [float(total / count) if count else math.nan for total, count in zip(sums, counts, strict=True)]
    row = dict(zip((*TRIAL_COLUMNS, "return_last_trial"), returns, strict=True))
    return row | {name: _mean(name, np.asarray(values)) for name, values in metrics.items() if name not in _SUMS}


def _mean(name: str, values: np.ndarray) -> float:
    is_there = ~np.isnan(values) | (name in WATCHED)
    return float(values[is_there].mean()) if is_there.any() else math.nan


def evaluation_columns(tasks: EvaluationTasks) -> tuple[str, ...]:
    """The columns of evaluations, the last trial's last: returns divided by the trials' lengths, mean over tasks."""
    return (*(f"{tasks}_trial_{trial + 1}" for trial in range(NUM_TRIAL_COLUMNS)), f"{tasks}_last_trial")


def columns_of(metrics: Iterable[str], evaluation: Sequence[str]) -> tuple[str, ...]:
    """The columns of a run whose learner, terms and trainer report metrics of these names, and its evaluations'.

    Raises:
      ConfigError: the learner does not report all of `WATCHED`.
    """
    names = [name for name in metrics if name not in _SUMS]
    for name in WATCHED:
        if name not in names:
            raise ConfigError(
                f"The learner reports no {name!r}, by which a run that diverges is stopped. Have the metrics of its "
                f"`Report` hold {' and '.join(map(repr, WATCHED))}."
            )
    return (*_FIRST, *names, *evaluation)


def check_new(columns: Sequence[str], own: Sequence[str]) -> Sequence[str]:
    """The columns that are asked for beside a run's own.

    Raises:
      ConfigError: the run has one of that name.
    """
    for name in columns:
        if name in own:
            raise ConfigError(f"columns has {name!r}, which every run has. Write another name.")
    return columns


def check_known(row: Row, columns: Sequence[str]) -> None:
    """Raises ConfigError if what `on_evaluation` gave has a name that is none of `columns`."""
    for name in row:
        if name not in columns:
            raise ConfigError(f"on_evaluation gave {name!r}, which is none of columns. Give columns this name as well.")


class MetricsWriter:
    """Writes rows to both files as they come. Rows after `update` of an earlier run in the folder are dropped.

    What an earlier run wrote is replaced whole or not at all, and columns that it had and this one has not are kept.
    """

    def __init__(self, folder: Path, columns: Sequence[str], update: int = 0, is_writing: bool = True):
        """Opens `metrics.csv` and `metrics.jsonl` in `folder`, going on after `update`; or only reads them.

        Raises:
          ConfigError: what is there cannot be read, or the files cannot be written.
        """
        self._csv, self._jsonl, self._is_writing = folder / "metrics.csv", folder / "metrics.jsonl", is_writing
        rows = self.read(folder)
        self.columns = tuple(dict.fromkeys((*columns, *(name for row in rows for name in row))))
        self.rows = [self._fill(row) for row in rows if row["update"] <= update]
        if is_writing:
            table = io.StringIO(newline="")
            csv.writer(table).writerows([self.columns, *(self._values(row).values() for row in self.rows)])
            write_atomically(self._csv, table.getvalue().encode())
            lines = (json.dumps(self._values(row)) + "\n" for row in self.rows)
            write_atomically(self._jsonl, "".join(lines).encode())

    def write(self, row: Row, seconds: float) -> Row:
        """Appends a row, which took so long, with a value for each of `columns`; what has none is NaN.

        Raises:
          ConfigError: the disk is full, or the files cannot be written any more.
        """
        before = self.rows[-1]["seconds"] if self.rows else 0.0
        row = self._fill(row) | {"seconds": round(before + seconds, 3)}
        self.rows.append(row)
        if self._is_writing:
            values = self._values(row)
            line = io.StringIO(newline="")
            csv.writer(line).writerow(values.values())
            _append(self._csv, line.getvalue())
            _append(self._jsonl, json.dumps(values) + "\n")
        return row

    def best(self, column: str) -> float:
        """The highest value of the rows in a column, -inf where there was none."""
        scores = [row[column] for row in self.rows if not math.isnan(row[column])]
        return max(scores, default=-math.inf)

    def _fill(self, row: Row) -> Row:
        return dict.fromkeys(self.columns, math.nan) | row

    def _values(self, row: Row) -> dict[str, float | None]:
        return {name: None if math.isnan(row[name]) else row[name] for name in self.columns}

    @staticmethod
    def read(folder: Path) -> list[Row]:
        """The rows in a run's folder; none when it has none. A last line cut short by a crash is left out.

        Raises:
          ConfigError: another line is none that a run wrote, or the file is gone while `metrics.csv` has rows.
        """
        path, table = folder / "metrics.jsonl", folder / "metrics.csv"
        lines = read_text(path).splitlines(keepends=True) if path.exists() else []
        if not lines and table.exists() and len(read_text(table).splitlines()) > 1:
            raise ConfigError(
                f"{path} is {'empty' if path.exists() else 'not there'}, though {table.name} has rows: the run would "
                "forget which agent was its best. Put it back, or move both files away."
            )
        rows = []
        for number, line in enumerate(lines, 1):
            if not line.endswith("\n"):
                continue
            try:
                row = {name: math.nan if value is None else value for name, value in parse_json(line).items()}
                is_row = "update" in row and all(type(value) in (int, float) for value in row.values())
            except (ValueError, AttributeError):
                is_row = False
            if not is_row:
                raise ConfigError(f"{path}, line {number} is no row of metrics. Mend or remove the line.")
            rows.append(row)
        return rows


def _append(path: Path, line: str) -> None:
    try:
        with path.open("a", newline="", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {reason_of(error)}. Make room, and go on with the run from its last checkpoint."
        ) from error
