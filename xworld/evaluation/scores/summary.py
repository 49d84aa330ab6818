"""From scores to everything that is said about them: statistics over tasks, curves, differences, breakdowns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from xworld.evaluation.scores.schema import SCHEMA
from xworld.evaluation.scores.scores import Scores
from xworld.evaluation.scores.statistics import (
    Estimate,
    Statistic,
    crossed_interval,
    crossed_mean,
    difference,
    estimate,
    gain,
    interval,
    is_above_1,
    share_interval,
)

HIGH_SCORE = 0.8


def quantile(scores: np.ndarray, share: float) -> np.ndarray:
    """[...] quantiles of [..., number] scores; NaN do not count."""
    if not np.isnan(scores).any():
        return np.asarray(np.quantile(scores, share, axis=-1))
    ordered = np.sort(scores, axis=-1)  # NaN come last
    place = share * ((~np.isnan(scores)).sum(axis=-1, keepdims=True) - 1)
    below = np.floor(place).astype(np.int64)
    low, high = (np.take_along_axis(ordered, at, axis=-1) for at in (below, np.ceil(place).astype(np.int64)))
    return np.asarray((low + (place - below) * (high - low))[..., 0])


def _share(is_it: Callable[[np.ndarray], np.ndarray]) -> Statistic:
    """The share of scores that are something; NaN do not count."""
    return lambda scores: np.nanmean(np.where(np.isnan(scores), np.nan, is_it(scores)), axis=-1)


def _mean(of: Callable[[np.ndarray], np.ndarray]) -> Statistic:
    """The mean of what is made of scores; NaN do not count."""
    return lambda scores: np.asarray(np.nanmean(of(scores), axis=-1))


_SHARES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "share_above_0.8": lambda scores: scores > HIGH_SCORE,
    "share_at_0": lambda scores: scores == 0,
    "share_above_1": is_above_1,
}
_MEANS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda scores: scores,
    "mean_clipped": lambda scores: np.minimum(scores, 1),
}
# Of [..., number] scores, over the last axis; NaN do not count. Of several rows all pairs of a row and a task count.
STATISTICS: dict[str, Statistic] = {
    "median": lambda scores: quantile(scores, 0.5),
    "percentile_20": lambda scores: quantile(scores, 0.2),
    **{name: _mean(of) for name, of in _MEANS.items()},
    **{name: _share(is_it) for name, is_it in _SHARES.items()},
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


def make_content(
    scores: Scores,
    players: Mapping[str, Mapping[str, Any]],
    columns: Mapping[str, Sequence[Any]],
    features: Mapping[str, np.ndarray],
    **about: Any,
) -> dict[str, Any]:
    """The content of `scores.json`, as JSON types. Nothing in it depends on when or where it was made.

    Args:
      scores: of all players.
      players: by name, what tells a player's returns from another's.
      columns: by name, a value for each task, such as its id.
      features: by name, [num_tasks] whole numbers to break the scores down by.
      about: what else belongs into the file, such as the protocol.
    """
    return {
        "schema": SCHEMA,
        "players": {
            player: {name: value for name, value in players.get(player, {}).items() if name != "name"}
            for player in scores.returns
        },
        **about,
        **summarise(scores, features),
        "tasks": task_rows(scores, {**columns, **{name: values.tolist() for name, values in features.items()}}),
    }


def summarise(scores: Scores, features: Mapping[str, np.ndarray] | None = None) -> dict[str, Any]:
    """What `scores.json` says of scores, as JSON types: by player and number of trials statistics with 95 % intervals.

    A task's score is the return of a trial divided by the reference, mean over rows. Tasks without a reference have
    none, and are left out of all statistics but those of `last_with_zeros`: there they count as 0. A reference that
    finds nothing in the hard tasks leaves the easy ones, so what is to be believed lies between.

    Args:
      scores: of all players; differences are to the first.
      features: by name, [num_tasks] whole numbers to break the scores down by.
    """
    first, *_ = scores.returns
    described: dict[str, dict[str, Any]] = {player: {} for player in scores.returns}
    for player, by_k in scores.returns.items():
        for k in by_k:
            of_k = _describe(scores, player, k)
            if of_k is None:
                continue
            if player != first and k in scores.returns[first]:
                last, of_first = (scores.score(name, k)[..., -1:] for name in (player, first))
                of_k["difference"] = _compare(last, of_first, first)
            described[player][str(k)] = of_k
    return {
        "reference": {
            "kind": scores.reference.kind,
            "num_tasks_without": scores.num_tasks - int(scores.is_scored(scores.num_trials[-1]).sum()),
        },
        "num_tasks": scores.num_tasks,
        "num_scored": {str(k): number for k, number in scores.num_scored.items()},
        "scores": described,
        "breakdown": {name: _break_down(scores, values) for name, values in (features or {}).items()},
    }


def task_rows(scores: Scores, columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """What `scores.json` says of each task: columns, reference, and by player and number of trials score, returns."""
    by_task = {  # means over rows: returns [num_tasks, k], and scores of the last trial [num_tasks]
        (player, k): (_mean_of_rows(returns), _mean_of_rows(scores.score(player, k))[:, -1])
        for player, by_k in scores.returns.items()
        for k, returns in by_k.items()
    }
    rows = []
    for task_id, best in enumerate(scores.reference.best.astype(np.float64).tolist()):
        row = {name: values[task_id] for name, values in columns.items()} | {"best": best}
        row |= {"score": {player: {} for player in scores.returns}}
        row |= {"return_by_trial": {player: {} for player in scores.returns}}
        for (player, k), (returns, score) in by_task.items():
            row["score"][player][str(k)] = None if np.isnan(score[task_id]) else float(score[task_id])
            is_played = not np.isnan(returns[task_id]).any()
            row["return_by_trial"][player][str(k)] = returns[task_id].tolist() if is_played else None
        rows.append(row)
    return rows


def _describe(scores: Scores, player: str, k: int) -> dict[str, Any] | None:
    """All that is said of a player with k trials; None if it has no score."""
    returns, values = scores.returns[player][k].astype(np.float64), scores.score(player, k)
    has_none = np.isnan(values).all(axis=(0, 2))
    with_zeros = _without_empty(np.concatenate([values, 0 * returns[:, has_none]], axis=1))
    returns, values = _without_empty(returns), _without_empty(values)
    if not values.size:
        return None
    last = last_statistics(values[..., -1])
    zeros = last if with_zeros.shape == values.shape else last_statistics(with_zeros[..., -1])
    return {
        "num_rows": len(values),
        "num_tasks": len(values[0]),
        "last": last,
        "last_with_zeros": zeros,
        "score": as_json(_estimate(values)),
        "return": as_json(_estimate(returns)),
        "gain": as_json(_first(_estimate(gain(values)[..., None]))),
        "score_by_row": [np.nanmean(row, axis=0).tolist() for row in values],
    }


def _break_down(scores: Scores, feature: np.ndarray) -> list[dict[str, Any]]:
    """One entry for every value of a feature: how many scored tasks have it, and the statistics of their scores."""
    entries = []
    is_scored = scores.is_scored(scores.num_trials[-1])
    for value in np.unique(feature[is_scored]):
        is_of_it = (feature == value) & is_scored
        described: dict[str, dict[str, Any]] = {player: {} for player in scores.returns}
        for player, by_k in scores.returns.items():
            for k in by_k:
                values = scores.score(player, k)[:, is_of_it, -1]
                values = values[:, ~np.isnan(values).all(axis=0)]
                if values.size:
                    described[player][str(k)] = last_statistics(values[~np.isnan(values).all(axis=1)])
        entries.append({"value": int(value), "num_tasks": int(is_of_it.sum()), "scores": described})
    return entries


def last_statistics(values: np.ndarray) -> dict[str, dict[str, float | None]]:
    """Every statistic of [num_rows, num_tasks] scores of the last trial with its 95 % interval; None of one task.

    Means are over tasks, by `estimate`, as in curves over trials. The others are of all pairs of a row and a task, so
    that they do not depend on how many rows there are. Every row and task has a score, NaN elsewhere.
    """
    described: dict[str, dict[str, float | None]] = {}
    for name in STATISTIC_NAMES:
        if name in _MEANS:
            found = _first(_estimate(_MEANS[name](values)[..., None]))
            value, low, high = float(found.mean), float(found.low), float(found.high)
        else:
            value, (low, high) = float(STATISTICS[name](values.reshape(-1))), _interval_of(name, values)
        has_interval = values.shape[1] > 1
        described[name] = {"value": value, "low": low if has_interval else None, "high": high if has_interval else None}
    return described


def _interval_of(name: str, values: np.ndarray) -> tuple[float, float]:
    """The interval of a statistic that is no mean."""
    if name in _SHARES:
        return share_interval(np.where(np.isnan(values), np.nan, _SHARES[name](values)))
    if len(values) == 1:
        return interval(values[0], STATISTICS[name])
    return crossed_interval(values, STATISTICS[name])


def _estimate(values: np.ndarray) -> Estimate:
    """Means over tasks of [num_rows, num_tasks, k] values; every task has one, NaN where a row has not played it."""
    if not np.isnan(values).any():
        return estimate(values)
    found = [crossed_mean(values[..., trial]) for trial in range(values.shape[2])]
    return Estimate(*(np.array([getattr(one, part) for one in found]) for part in ("mean", "low", "high")))


def _compare(values: np.ndarray, others: np.ndarray, name: str) -> dict[str, Any] | None:
    """Values minus others, both [num_rows, num_tasks, 1], on the tasks that both have; None if there are none."""
    is_common = ~np.isnan(values).all(axis=(0, 2)) & ~np.isnan(others).all(axis=(0, 2))
    if not is_common.any():
        return None
    values, others = (_without_empty(player[:, is_common]) for player in (values, others))
    if not np.isnan(values).any() and not np.isnan(others).any():
        found = difference(values, others)
    elif not np.isnan(values).any():
        # People play some of the tasks each: each person's difference to the player's mean.
        found = _estimate(values.mean(axis=0) - others)
    elif not np.isnan(others).any():
        found = _estimate(values - np.nanmean(others, axis=0))
    else:
        found = _between_people(values, others)
    return {"to": name, **as_json(_first(found))}


def _between_people(values: np.ndarray, others: np.ndarray) -> Estimate:
    """Values minus others, both [num_people, num_tasks, 1] of other people, who played some of the tasks each.

    The chance of either is that of their people; that of the tasks, which is in both, is counted once.
    """
    mean, mean_of_others = np.nanmean(values, axis=0), np.nanmean(others, axis=0)
    one, other = _estimate(values - mean_of_others), _estimate(mean - others)
    both = crossed_mean((mean - mean_of_others).T)
    squares = [((found.high - found.low) / 2) ** 2 for found in (one, other)]
    half = (sum(squares) - ((both.high - both.low) / 2) ** 2) ** 0.5
    return Estimate(one.mean, one.mean - half, one.mean + half)


def _first(found: Estimate) -> Estimate:
    """Of [1] values the one."""
    return Estimate(found.mean[0], found.low[0], found.high[0])


def _without_empty(values: np.ndarray) -> np.ndarray:
    """Of [num_rows, num_tasks, k] values the rows and tasks that have any."""
    rows, tasks = (~np.isnan(values).all(axis=axes) for axes in ((1, 2), (0, 2)))
    return values[rows][:, tasks]


def _mean_of_rows(values: np.ndarray) -> np.ndarray:
    """[num_tasks, k] means of [num_rows, num_tasks, k] values over those that there are; NaN for none."""
    counts = (~np.isnan(values)).sum(axis=0)
    return np.nansum(values, axis=0, dtype=np.float64) / np.where(counts, counts, np.nan)


def as_json(value: Estimate) -> dict[str, Any]:
    """As it stands in files."""
    return {"value": value.mean.tolist(), "low": value.low.tolist(), "high": value.high.tolist()}
