"""From returns to scores with intervals over tasks and seeds: normalisation, paired differences, the adaptation gain.

Scores have the axes [num_seeds, num_tasks, num_trials]: agents trained from different seeds play the same tasks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit  # jax needs scipy, too

from xworld.base.errors import ConfigError

NUM_RESAMPLES = 2_000
_ROUNDING = 1e-5  # of a score
_RESAMPLED_AT_A_TIME = 2**20  # values in memory


@dataclass(frozen=True)
class Estimate:
    """Means over tasks and seeds with 95 % intervals; arrays of equal shape, [num_trials] or []."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def normalise(returns: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """[..., num_tasks, num_trials] scores: every return divided by the reference's of the same task and trial.

    A trial's score is then the mean over tasks of these ratios (not the ratio of the means), so that every task counts
    the same, however far its goal is. A task in which the reference earns nothing in some trial has no score: it is
    NaN in all trials, and counts in no mean. `count_scored` says how many have one.

    Args:
      returns: [..., num_tasks, num_trials].
      reference: [num_tasks, num_trials], such as the expert's returns from the same key.

    Raises:
      ConfigError: shapes that do not fit.
    """
    if returns.shape[-2:] != reference.shape:
        raise ConfigError(
            f"Returns of shape {returns.shape} cannot be divided by those of shape {reference.shape}. "
            "Evaluate both on the same tasks."
        )
    is_scored = (reference > 0).all(axis=1, keepdims=True)
    return returns / np.where(is_scored, reference, np.nan)


def count_scored(reference: np.ndarray) -> np.ndarray:
    """[num_trials] how many tasks `normalise` scores if only so many trials are played; it falls with their number.

    Args:
      reference: [num_tasks, num_trials].
    """
    return np.logical_and.accumulate(reference > 0, axis=1).sum(axis=0)


def estimate(scores: np.ndarray) -> Estimate:
    """Mean and 95 % interval of [num_seeds, num_tasks, ...] scores, for another training and other tasks of their kind.

    Every seed plays every task: score = mean + seed + task + rest, all three random. With A the variance of the
    seeds' means over num_seeds, B that of the tasks' means over num_tasks, and E the variance of the rest over both,
    the mean's variance is expected to be A + (B - E). As A has few degrees of freedom, each part takes its own t:

    half width^2 = t(num_seeds - 1)^2 A + t(num_tasks - 1)^2 max(B - E, 0), and at least t(num_tasks - 1)^2 B

    With one seed it is t(num_tasks - 1)^2 B: the interval over tasks, which says nothing about other seeds; with one
    task the interval over seeds. One value alone has no width.

    Sources: variances of the two-way random model, Searle, Casella and McCulloch 1992, chapter 4; one interval from
    two, Howe 1974, and Zou and Donner 2008.

    Args:
      scores: [num_seeds, num_tasks, ...]; tasks with NaN are left out.

    Raises:
      ConfigError: no seeds, or no tasks with a score.
    """
    _check_scores(scores)
    return _estimate([scores[:, has_score(scores)].astype(np.float64)], [1])


def difference(scores: np.ndarray, others: np.ndarray) -> Estimate:
    """Mean and 95 % interval of `scores` minus `others`, of two players on the same tasks.

    Paired: what makes a task hard for both cancels. The interval is that of `estimate` with the tasks' differences of
    means for B, and A and E summed over the players, whose seeds have nothing to do with each other. A player with one
    seed adds nothing to A and E.

    Args:
      scores: [num_seeds, num_tasks, ...].
      others: [num_other_seeds, num_tasks, ...]. Tasks with NaN in either are left out.

    Raises:
      ConfigError: different tasks, no seeds, or no tasks with a score.
    """
    if scores.shape[1:] != others.shape[1:]:
        raise ConfigError(
            f"Scores of shapes {scores.shape} and {others.shape} have no difference. Evaluate both on the same tasks."
        )
    for player in (scores, others):
        _check_scores(player)
    is_scored = has_score(scores) & has_score(others)
    if not is_scored.any():
        raise ConfigError("No task has a score of both players, so they have no difference.")
    return _estimate([part[:, is_scored].astype(np.float64) for part in (scores, others)], [1, -1])


def _check_scores(scores: np.ndarray) -> None:
    if scores.ndim < 2 or 0 in scores.shape[:2] or not has_score(scores).any():
        raise ConfigError(f"Scores of shape {scores.shape} need at least one seed, and one task that has a score.")


def _estimate(players: Sequence[np.ndarray], signs: Sequence[int]) -> Estimate:
    """The signed sum of players' means; each [its num_seeds, num_tasks, ...] float64 without NaN."""
    num_tasks = players[0].shape[1]
    by_task = sum(sign * scores.mean(axis=0) for sign, scores in zip(signs, players, strict=True))
    of_seeds, rest = np.zeros(by_task.shape[1:]), np.zeros(by_task.shape[1:])
    for scores in players:
        num_seeds = len(scores)
        if num_seeds > 1:
            of_seeds += t_quantile(num_seeds - 1) ** 2 * scores.mean(axis=1).var(axis=0, ddof=1) / num_seeds
        if num_seeds > 1 and num_tasks > 1:
            left = scores - scores.mean(axis=0) - scores.mean(axis=1, keepdims=True) + scores.mean(axis=(0, 1))
            num_free = (num_seeds - 1) * (num_tasks - 1)
            rest += (left**2).sum(axis=(0, 1)) / num_free / (num_seeds * num_tasks)
    mean, square = by_task.mean(axis=0), of_seeds
    if num_tasks > 1:
        of_tasks, t_squared = by_task.var(axis=0, ddof=1) / num_tasks, t_quantile(num_tasks - 1) ** 2
        square = np.maximum(of_seeds + t_squared * np.maximum(of_tasks - rest, 0), t_squared * of_tasks)
    half = np.sqrt(square)
    return Estimate(mean, mean - half, mean + half)


def t_quantile(degrees_of_freedom: int) -> float:
    """The half width of a 95 % interval in standard errors: Student's t."""
    return float(stdtrit(degrees_of_freedom, 0.975))


def interval(
    values: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> tuple[float, float]:
    """The 95 % interval of a statistic of [num_tasks] values, by the percentile bootstrap over tasks.

    Args:
      values: one for each task.
      statistic: from [..., num_tasks] values to [...].
      seed: of the resampling. Equal numbers of tasks are resampled alike.
      num_resamples: how many times the statistic is computed.
    """
    generator = np.random.default_rng(seed)
    rows = max(1, _RESAMPLED_AT_A_TIME // len(values))
    parts = []
    for start in range(0, num_resamples, rows):
        drawn = generator.integers(0, len(values), (min(rows, num_resamples - start), len(values)))
        parts.append(statistic(values[drawn]))
    low, high = np.quantile(np.concatenate(parts), [0.025, 0.975])
    return float(low), float(high)


def crossed_interval(
    values: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> tuple[float, float]:
    """The 95 % interval of a statistic over tasks of which each was played by some of the participants.

    A task counts with the mean over those who played it. As in `estimate` each source of chance takes its own t:

    half width^2 = t(num_participants - 1)^2 A + t(num_tasks - 1)^2 B

    with A from the jackknife over participants (Efron and Stein 1981), for a mean the variance of their means over
    their number, and B from the bootstrap over tasks. With one participant it is the interval over tasks alone.

    Args:
      values: [num_participants, num_tasks], NaN where one has not played the other; every task has a value.
      statistic: from [..., num_tasks] values to [...].
      seed: of the resampling.
      num_resamples: how many times the statistic is computed.
    """
    num_participants, num_tasks = values.shape
    counts, sums = (~np.isnan(values)).sum(axis=0), np.nansum(values, axis=0)
    means = sums / counts
    square = 0.0
    if num_participants > 1:
        others = counts - ~np.isnan(values)  # [num_participants, num_tasks], without one participant each
        without = (sums - np.nan_to_num(values)) / np.where(others, others, np.nan)
        left = np.array([statistic(row[~np.isnan(row)]) for row in without if not np.isnan(row).all()])
        square += jackknife(left, num_participants)
    if num_tasks > 1:
        drawn = np.random.default_rng(seed).integers(0, num_tasks, (num_resamples, num_tasks))
        square += t_quantile(num_tasks - 1) ** 2 * float(statistic(means[drawn]).var())
    value, half = float(statistic(means)), square**0.5
    return value - half, value + half


def jackknife(left: np.ndarray, number: int | None = None) -> float:
    """The square of half a 95 % interval over participants or seeds: t(number - 1)^2 times the jackknife's variance.

    Args:
      left: a statistic without each of them in turn.
      number: of them, at least two; by default as many as `left` has values.
    """
    number = len(left) if number is None else number
    variance = float(((left - left.mean()) ** 2).sum()) * (number - 1) / number
    return t_quantile(number - 1) ** 2 * variance


def contrast(
    scores: np.ndarray,
    others: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    combine: Callable[[np.ndarray, np.ndarray], np.ndarray] = np.subtract,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Estimate:
    """A statistic of `scores` minus, or divided by, that of `others` on the same tasks, with its 95 % interval.

    It is over tasks, of each one's mean over seeds. As in `difference` each source of chance takes its own t:

    half width^2 = sum over players of t(num_seeds - 1)^2 A + t(num_tasks - 1)^2 B

    with A from the jackknife over a player's seeds, 0 for one seed, and B from the bootstrap over tasks, drawn for
    both alike.

    Args:
      scores: [num_seeds, num_tasks], without NaN.
      others: [num_other_seeds, num_tasks], likewise.
      statistic: from [..., num_tasks] values to [...].
      combine: what is made of the two statistics, `np.subtract` or `np.divide`.
      seed: of the resampling.
      num_resamples: how many times the statistic is computed.
    """
    num_tasks, square = scores.shape[1], 0.0
    ours, theirs = scores.mean(axis=0), others.mean(axis=0)
    for is_ours, player in ((True, scores), (False, others)):
        num_seeds = len(player)
        if num_seeds > 1:
            left = statistic((player.sum(axis=0) - player) / (num_seeds - 1))  # without each seed
            square += jackknife(combine(left, statistic(theirs)) if is_ours else combine(statistic(ours), left))
    if num_tasks > 1:
        drawn = np.random.default_rng(seed).integers(0, num_tasks, (num_resamples, num_tasks))
        varied = combine(statistic(ours[drawn]), statistic(theirs[drawn]))
        square += t_quantile(num_tasks - 1) ** 2 * float(varied.var())
    value, half = combine(statistic(ours), statistic(theirs)), np.sqrt(square)
    return Estimate(value, value - half, value + half)


def has_score(scores: np.ndarray) -> np.ndarray:
    """[num_tasks] bool: which tasks of [num_seeds, num_tasks, ...] scores have one (see `normalise`)."""
    return ~np.isnan(scores.reshape(*scores.shape[:2], -1)).any(axis=(0, 2))


def is_above_1(scores: np.ndarray) -> np.ndarray:
    """[...] bool: which scores are better than the reference, and not by rounding only."""
    return scores > 1 + _ROUNDING


def gain(scores: np.ndarray) -> np.ndarray:
    """[...] what each task gained from the first to the last trial, of [..., num_trials] scores."""
    return scores[..., -1] - scores[..., 0]


def most_telling(scores: np.ndarray) -> np.ndarray:
    """[num_tasks] task indices, those first whose episode shows best what adaptation is.

    The last trial is as good as possible, and then the first as bad as possible; ties go to the better trials in
    between, and then to the lower index. Tasks without a score come last.

    Args:
      scores: [num_tasks, num_trials], normalised.
    """
    indices = np.arange(scores.shape[0])
    return np.lexsort((indices, -scores[:, 1:-1].sum(axis=1), scores[:, 0], -scores[:, -1]))
