"""How scores rise along runs: one smoothed curve for all seeds of an arm."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

SCORE = "validation_last_trial"  # column of the rows of runs
_EVALUATIONS = 3  # whose mean is taken, so that the chance of one decides nothing


@dataclass(frozen=True)
class Curve:
    """Scores of an arm, means over its seeds and over three evaluations, fewer at the beginning."""

    steps: np.ndarray  # [n] of each evaluation
    seconds: np.ndarray  # [n] that training had taken then, mean over seeds
    scores: np.ndarray  # [n]

    @property
    def end(self) -> float:
        """The last score."""
        return float(self.scores[-1])


def curve_of(runs: Sequence[Sequence[Mapping[str, float]]]) -> Curve | None:
    """The curve of the rows of an arm's runs, as far as all of them go; None if one was never evaluated."""
    evaluated = [[row for row in run if not math.isnan(row.get(SCORE, math.nan))] for run in runs]
    num_points = min(map(len, evaluated), default=0)
    if num_points == 0:
        return None
    steps, seconds, scores = (
        np.mean([[row[column] for row in run[:num_points]] for run in evaluated], axis=0)
        for column in ("steps", "seconds", SCORE)
    )
    smooth = np.array([scores[max(0, i + 1 - _EVALUATIONS) : i + 1].mean() for i in range(num_points)])
    return Curve(steps, seconds, smooth)
