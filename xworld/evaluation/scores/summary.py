"""From the returns of a sweep to everything that is said about them: statistics over tasks, curves, breakdowns."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xworld.base.errors import ConfigError
from xworld.evaluation.reference import Reference
from xworld.evaluation.scores.comparison import Comparison
from xworld.evaluation.scores.statistics import (
    NUM_RESAMPLES,
    Estimate,
    count_scored,
    difference,
    estimate,
    gain,
    has_score,
    interval,
    is_above_1,
)
from xworld.evaluation.scores.sweep import Sweep

HIGH_SCORE = 0.8

# Of [..., num_tasks] scores, over the last axis.
STATISTICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "median": lambda scores: np.median(scores, axis=-1),
    "percentile_20": lambda scores: np.quantile(scores, 0.2, axis=-1),
    "mean": lambda scores: scores.mean(axis=-1),
    "share_above_0.8": lambda scores: (scores > HIGH_SCORE).mean(axis=-1),
    "share_at_0": lambda scores: (scores == 0).mean(axis=-1),
    "mean_clipped": lambda scores: np.minimum(scores, 1).mean(axis=-1),
    "share_above_1": lambda scores: is_above_1(scores).mean(axis=-1),
}
STATISTIC_NAMES = {
    "median": "median",
    "percentile_20": "20th percentile",
    "mean": "mean",
    "share_above_0.8": "above 0.8",
    "share_at_0": "at 0",
    "mean_clipped": "mean, clipped at 1",
    "share_above_1": "above 1",
}


def summarise_sweep(sweep: Sweep, reference: Reference, features: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What `scores.json` says of the scores, as JSON types.

    The score of a task is the return of the last trial, mean over repetitions, divided by the reference. Tasks without
    a reference have none, and are left out of all statistics but those of `summary_with_zeros`: there they count as 0.
    A reference that finds nothing in the hard tasks leaves the easy ones, so what is to be believed lies between.

    Args:
      sweep: the returns.
      reference: what they are divided by.
      features: by name, [num_tasks] whole numbers to break the scores down by.

    Raises:
      ConfigError: the reference is of another number of tasks, or no task has one.
    """
    is_scored = reference.best > 0
    num_tasks = len(is_scored)
    if any(len(returns) != num_tasks for returns in sweep.returns.values()):
        raise ConfigError(f"The reference is of {num_tasks} tasks, the returns are of others.")
    if not is_scored.any():
        raise ConfigError(f"None of the {num_tasks} tasks has a best known return ({reference.kind}): no scores.")
    best = reference.best[is_scored]
    scores = {k: last[is_scored] / best for k, last in sweep.last.items()}

    def curve(returns: np.ndarray) -> list[float]:
        by_task = returns[is_scored].mean(axis=1, dtype=np.float64) / best[:, None]
        return by_task.mean(axis=0).tolist()

    return {
        "reference": {"kind": reference.kind, "num_tasks_without": int((~is_scored).sum())},
        "num_tasks": num_tasks,
        "num_scored": {str(k): int(is_scored.sum()) for k in scores},
        "summary_with_zeros": {str(k): _describe(_with_zeros(values, num_tasks)) for k, values in scores.items()},
        "summary": {str(k): _describe(values) for k, values in scores.items()},
        "mean_score_by_trial": {str(k): curve(returns) for k, returns in sweep.returns.items()},
        "breakdown": {name: _break_down(scores, values[is_scored]) for name, values in features.items()},
    }


def _with_zeros(scores: np.ndarray, num_tasks: int) -> np.ndarray:
    """[num_tasks] scores: those that there are, and 0 for every other task."""
    return np.concatenate([scores, np.zeros(num_tasks - len(scores))])


def task_rows(sweep: Sweep, reference: Reference, features: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """What `scores.json` says of each task: features, reference, and by number of trials score and mean returns."""
    returns = {k: values.mean(axis=1, dtype=np.float64) for k, values in sweep.returns.items()}
    return [
        {
            **{name: int(values[task_id]) for name, values in features.items()},
            "best": float(best),
            "score": {str(k): float(values[task_id, -1] / best) if best > 0 else None for k, values in returns.items()},
            "return_by_trial": {str(k): values[task_id].tolist() for k, values in returns.items()},
        }
        for task_id, best in enumerate(reference.best.astype(np.float64))
    ]


def _describe(scores: np.ndarray) -> dict[str, dict[str, float]]:
    """Every statistic of [num_tasks] scores with its 95 % interval."""
    described = {}
    for name, statistic in STATISTICS.items():
        low, high = interval(scores, statistic, num_resamples=NUM_RESAMPLES)
        described[name] = {"value": float(statistic(scores)), "low": low, "high": high}
    return described


def _break_down(scores: Mapping[int, np.ndarray], values: np.ndarray) -> list[dict[str, Any]]:
    """One entry for every value of a feature: how many tasks have it, and the statistics of their scores."""
    return [
        {
            "value": int(value),
            "num_tasks": int((values == value).sum()),
            "summary": {str(k): _describe(of_tasks[values == value]) for k, of_tasks in scores.items()},
        }
        for value in np.unique(values)
    ]


def summarise(comparison: Comparison) -> dict[str, Any]:
    """All numbers of a comparison as JSON types: of each policy mean and 95 % interval of score and return by trial.

    `difference` is the score minus that of the first policy, which is the agent if there is one, task by task.
    """
    scores = comparison.scores
    num_tasks, num_trials = comparison.reference.shape
    first = next(iter(scores))
    policies = {
        name: {
            "num_seeds": len(values),
            "score": _as_json(estimate(values)),
            "return": _as_json(estimate(comparison.returns[name])),
            "score_clipped": _as_json(estimate(np.minimum(values, 1))),
            "share_above_1": is_above_1(values[:, has_score(values)]).mean(axis=(0, 1)).tolist(),
            "gain": _as_json(estimate(gain(values))),
            "difference": {"to": first, **_as_json(difference(values, scores[first]))},
            "score_by_seed": np.nanmean(values, axis=1).tolist(),
        }
        for name, values in scores.items()
    }
    return {
        "unit": "share of the expert's return",
        "num_tasks": num_tasks,
        "num_tasks_without_score": num_tasks - comparison.num_scored,
        "num_trials": num_trials,
        "num_scored": {str(k + 1): int(number) for k, number in enumerate(count_scored(comparison.reference))},
        "policies": policies,
    }


def _as_json(value: Estimate) -> dict[str, Any]:
    return {"mean": value.mean.tolist(), "low": value.low.tolist(), "high": value.high.tolist()}
