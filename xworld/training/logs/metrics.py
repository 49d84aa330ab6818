"""What a run writes about itself: one row a chunk, as `metrics.csv` and `metrics.jsonl`."""

import csv
import json
import math
from pathlib import Path

import numpy as np

from xworld.training.learners.ppo import Metrics
from xworld.training.rollouts.rollout import NUM_TRIAL_COLUMNS

Row = dict[str, float]  # NaN where there is nothing to report

_MEANS = (
    "loss", "policy_loss", "value_loss", "entropy", "kl", "clip_fraction", "explained_variance", "gradient_norm",
    "learning_rate", "entropy_weight",
)  # fmt: skip
TRIAL_COLUMNS = tuple(f"return_trial_{trial + 1}" for trial in range(NUM_TRIAL_COLUMNS))
HELD_OUT = (*(f"held_out_trial_{trial + 1}" for trial in range(NUM_TRIAL_COLUMNS)), "held_out_last_trial")
COLUMNS = ("update", "steps", "seconds", "steps_per_second", *TRIAL_COLUMNS, "return_last_trial", *_MEANS, *HELD_OUT)


def summarise(metrics: Metrics) -> Row:
    """One row's means from the metrics of a chunk's updates: returns over trials that ended, the rest over updates."""
    sums, counts = np.asarray(metrics["trial_sums"]).sum(0), np.asarray(metrics["trial_counts"]).sum(0)
    returns = [float(total / count) if count else math.nan for total, count in zip(sums, counts, strict=True)]
    row = dict(zip((*TRIAL_COLUMNS, "return_last_trial"), returns, strict=True))
    return row | {name: float(np.asarray(metrics[name]).mean()) for name in _MEANS}


class MetricsWriter:
    """Writes rows to both files as they come. Rows after `update` of an earlier run in the folder are dropped."""

    def __init__(self, folder: Path, update: int = 0, is_writing: bool = True):
        """Opens `metrics.csv` and `metrics.jsonl` in `folder`, going on after `update`; or only reads them."""
        self._csv, self._jsonl, self._is_writing = folder / "metrics.csv", folder / "metrics.jsonl", is_writing
        self.rows = [row for row in self.read(folder) if row["update"] <= update]
        if is_writing:
            with self._csv.open("w", newline="") as file:
                csv.writer(file).writerow(COLUMNS)
            self._jsonl.write_text("")
            for row in self.rows:
                self._append(row)

    def write(self, row: Row, seconds: float) -> Row:
        """Appends a row, which took so long, with a value for each of `COLUMNS`; what has none is NaN."""
        before = self.rows[-1]["seconds"] if self.rows else 0.0
        row = dict.fromkeys(COLUMNS, math.nan) | row | {"seconds": round(before + seconds, 3)}
        self.rows.append(row)
        if self._is_writing:
            self._append(row)
        return row

    def _append(self, row: Row) -> None:
        values = {name: None if math.isnan(row[name]) else row[name] for name in COLUMNS}
        with self._csv.open("a", newline="") as file:
            csv.writer(file).writerow(values.values())
        with self._jsonl.open("a") as file:
            file.write(json.dumps(values) + "\n")

    @staticmethod
    def read(folder: Path) -> list[Row]:
        """The rows in a run's folder; none when it has none. A last line cut short by a crash is left out."""
        path = folder / "metrics.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        rows = [json.loads(line) for line in lines if line.endswith("\n")]
        return [{name: math.nan if value is None else value for name, value in row.items()} for row in rows]
