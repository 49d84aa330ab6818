"""What a run writes about itself: one row a chunk, as `metrics.csv` and `metrics.jsonl`."""

import csv
import json
import math
from pathlib import Path

import numpy as np

from xworld.training.ppo import Metrics
from xworld.training.rollout import NUM_TRIAL_COLUMNS

Row = dict[str, float]  # NaN where there is nothing to report

_MEANS = (
    "loss", "policy_loss", "value_loss", "entropy", "kl", "clip_fraction", "explained_variance", "gradient_norm",
    "learning_rate", "entropy_weight",
)  # fmt: skip
TRIAL_COLUMNS = tuple(f"return_trial_{trial + 1}" for trial in range(NUM_TRIAL_COLUMNS))
COLUMNS = ("update", "steps", "seconds", "steps_per_second", *TRIAL_COLUMNS, "return_last_trial", *_MEANS)


def summarise(metrics: Metrics) -> Row:
    """One row's means from the metrics of a chunk's updates: returns over trials that ended, the rest over updates."""
    sums, counts = np.asarray(metrics["trial_sums"]).sum(0), np.asarray(metrics["trial_counts"]).sum(0)
    returns = [float(total / count) if count else math.nan for total, count in zip(sums, counts, strict=True)]
    row = dict(zip((*TRIAL_COLUMNS, "return_last_trial"), returns, strict=True))
    return row | {name: float(np.asarray(metrics[name]).mean()) for name in _MEANS}


class MetricsWriter:
    """Writes rows to both files as they come. Rows after `update` of an earlier run in the folder are dropped."""

    def __init__(self, folder: Path, update: int = 0):
        """Opens `metrics.csv` and `metrics.jsonl` in `folder`, going on after `update`."""
        self._csv, self._jsonl = folder / "metrics.csv", folder / "metrics.jsonl"
        kept = [row for row in self.read(folder) if row["update"] <= update]
        self.seconds = kept[-1]["seconds"] if kept else 0.0  # that the run took so far
        with self._csv.open("w", newline="") as file:
            csv.writer(file).writerow(COLUMNS)
        self._jsonl.write_text("")
        for row in kept:
            self.write(row)

    def write(self, row: Row) -> None:
        """Appends a row with a value for each of `COLUMNS`."""
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
