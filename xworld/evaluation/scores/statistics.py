"""From returns to scores with intervals over tasks and seeds: normalisation, paired differences, the adaptation gain.

Scores have the axes [num_seeds, num_tasks, num_trials]: agents trained from different seeds play the same tasks.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit  # jax needs scipy, too

from xworld.base.errors import ConfigError

NUM_RESAMPLES = 2_000
_ROUNDING = 1e-5  # of a score
_RESAMPLED_AT_A_TIME = 2**20  # values in memory

Statistic = Callable[[np.ndarray], np.ndarray]


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
    values: np.ndarray, statistic: Statistic, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> tuple[float, float]:
    """The 95 % interval of a statistic of [num_tasks] values, by the percentile bootstrap over tasks.

    Args:
      values: one for each task.
      statistic: from [..., num_tasks] values to [...].
      seed: of the resampling. Equal numbers of tasks are resampled alike.
      num_resamples: how many times the statistic is computed.
    """
    parts = [statistic(values[drawn]) for drawn in _draw_tasks(len(values), len(values), seed, num_resamples)]
    low, high = np.quantile(np.concatenate(parts), [0.025, 0.975])
    return float(low), float(high)


def crossed_interval(
    values: np.ndarray, statistic: Statistic, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> tuple[float, float]:
    """The 95 % interval of a statistic of all pairs of a row and a task; rows are training seeds, or people.

    The pairs are pooled: a statistic of the tasks' means over rows would depend on how many rows there are, as means
    of more rows vary less. As in `estimate` each source of chance takes its own t:

    half width^2 = t(num_rows - 1)^2 A + t(num_tasks - 1)^2 B

    with A from the jackknife over rows (Efron and Stein 1981), for a mean the variance of their means over their
    number, and B from the bootstrap over tasks, each drawn with all of its rows. With one row it is the interval over
    tasks alone.

    Args:
      values: [num_rows, num_tasks], NaN where a row has not played a task; every row and every task has a value.
      statistic: from [..., number] values, of which NaN do not count, to [...].
      seed: of the resampling.
      num_resamples: how many times the statistic is computed.
    """

    def of_pairs(values: np.ndarray) -> np.ndarray:
        return statistic(_pool(values))

    half = (_of_rows(values, of_pairs) + _of_tasks(values, of_pairs, seed, num_resamples)) ** 0.5
    value = float(statistic(_pool(values)))
    return value - half, value + half


def crossed_mean(values: np.ndarray) -> Estimate:
    """Mean and 95 % interval of [num_rows, num_tasks] values, NaN where a row has not played a task.

    Every task counts the same, with the mean over the rows that played it; the interval is that of `crossed_interval`.
    """
    of_tasks = _of_tasks(_mean_of_rows(values)[None], _mean_of_tasks, 0, NUM_RESAMPLES)
    half = (_of_rows(values, _mean_of_tasks) + of_tasks) ** 0.5
    value = float(_mean_of_tasks(values))
    return Estimate(np.array(value), np.array(value - half), np.array(value + half))


def share_interval(is_it: np.ndarray, seed: int = 0, num_resamples: int = NUM_RESAMPLES) -> tuple[float, float]:
    """The 95 % interval of the share of all pairs of a row and a task that are something, within 0 and 1.

    With one row it is Wilson's over tasks, which has a width at 0 and at 1, too. With several each side is that of
    `crossed_interval`, with Wilson's distance from the share in place of the bootstrap's part where that is less: a
    share over few tasks that is near 0 by chance looks as if it hardly varied.

    Sources: Wilson 1927; a side's square as a sum over sources of chance, Zou and Donner 2008.

    Args:
      is_it: [num_rows, num_tasks] 1 or 0, NaN where a row has not played a task; every row and task has a value.
      seed: of the resampling.
      num_resamples: how many times the share is computed.
    """
    value = float(np.nanmean(is_it))
    sides = [abs(value - end) for end in wilson(value, is_it.shape[1])]
    if len(is_it) > 1:

        def share(pairs: np.ndarray) -> np.ndarray:
            return np.asarray(np.nanmean(_pool(pairs), axis=-1))

        of_rows, of_tasks = _of_rows(is_it, share), _of_tasks(is_it, share, seed, num_resamples)
        sides = [(of_rows + max(of_tasks, side**2)) ** 0.5 for side in sides]
    return max(value - sides[0], 0.0), min(value + sides[1], 1.0)


def wilson(share: float, number: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of so many independent cases (Wilson 1927)."""
    z = float(ndtri(0.975))
    middle = share + z**2 / (2 * number)
    half = z * (share * (1 - share) / number + z**2 / (4 * number**2)) ** 0.5
    return (middle - half) / (1 + z**2 / number), (middle + half) / (1 + z**2 / number)


def _of_rows(values: np.ndarray, statistic: Statistic) -> float:
    """The part of a squared half width that is of rows, 0 of one row; see `crossed_interval`.

    Args:
      values: [num_rows, num_tasks].
      statistic: from [..., num_rows, num_tasks] to [...].
    """
    if len(values) == 1:
        return 0.0
    return jackknife(np.array([statistic(np.delete(values, row, axis=0)) for row in range(len(values))]))


def _of_tasks(values: np.ndarray, statistic: Statistic, seed: int, num_resamples: int) -> float:
    """The part that is of tasks, 0 of one task; arguments as of `_of_rows`, and of the resampling."""
    num_tasks = values.shape[1]
    if num_tasks == 1:
        return 0.0
    draws = _draw_tasks(num_tasks, values.size, seed, num_resamples)
    varied = np.concatenate([statistic(_take(values, drawn)) for drawn in draws])
    return t_quantile(num_tasks - 1) ** 2 * float(varied.var())


def _draw_tasks(num_tasks: int, num_values: int, seed: int, num_resamples: int) -> Iterator[np.ndarray]:
    """[some, num_tasks] indices of tasks, drawn with replacement; as many at a time as memory should hold values of."""
    generator = np.random.default_rng(seed)
    some = max(1, _RESAMPLED_AT_A_TIME // num_values)
    for start in range(0, num_resamples, some):
        yield generator.integers(0, num_tasks, (min(some, num_resamples - start), num_tasks))


def _take(values: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """[some, num_rows, num_tasks] values of drawn tasks, each with all of its rows."""
    return values.T[drawn].swapaxes(-1, -2)


def _pool(values: np.ndarray) -> np.ndarray:
    """[..., num_rows * num_tasks] all pairs."""
    return values.reshape(*values.shape[:-2], -1)


def _mean_of_tasks(values: np.ndarray) -> np.ndarray:
    """[...] means over tasks of means over the rows that played them, of [..., num_rows, num_tasks] values."""
    return np.asarray(np.nanmean(_mean_of_rows(values), axis=-1))


def _mean_of_rows(values: np.ndarray) -> np.ndarray:
    """[..., num_tasks] means of [..., num_rows, num_tasks] values over the rows that there are; NaN for none."""
    counts = (~np.isnan(values)).sum(axis=-2)
    return np.asarray(np.nansum(values, axis=-2) / np.where(counts, counts, np.nan))


def jackknife(left: np.ndarray) -> float:
    """The square of half a 95 % interval over participants or seeds: t(number - 1)^2 times the jackknife's variance.

    Args:
      left: a statistic without each of them in turn, at least two.
    """
    number = len(left)
    variance = float(((left - left.mean()) ** 2).sum()) * (number - 1) / number
    return t_quantile(number - 1) ** 2 * variance


def contrast(
    scores: np.ndarray,
    others: np.ndarray,
    statistic: Statistic,
    combine: Callable[[np.ndarray, np.ndarray], np.ndarray] = np.subtract,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Estimate:
    """A statistic of `scores` minus, or divided by, that of `others` on the same tasks, with its 95 % interval.

    It is of all pairs of a seed and a task, pooled as in `crossed_interval`, so that equally good players have the same
    statistic however many seeds they have. As in `difference` each source of chance takes its own t:

    half width^2 = sum over players of t(num_seeds - 1)^2 A + t(num_tasks - 1)^2 B

    with A from the jackknife over a player's seeds, 0 for one seed, and B from the bootstrap over tasks, drawn for
    both alike.

    Args:
      scores: [num_seeds, num_tasks], without NaN.
      others: [num_other_seeds, num_tasks], likewise.
      statistic: from [..., number] values to [...].
      combine: what is made of the two statistics, `np.subtract` or `np.divide`.
      seed: of the resampling.
      num_resamples: how many times the statistic is computed.
    """
    num_tasks, square = scores.shape[1], 0.0
    ours, theirs = statistic(_pool(scores)), statistic(_pool(others))
    for is_ours, player in ((True, scores), (False, others)):
        if len(player) > 1:
            left = np.array([statistic(_pool(np.delete(player, place, axis=0))) for place in range(len(player))])
            square += jackknife(combine(left, theirs) if is_ours else combine(ours, left))
    if num_tasks > 1:
        draws = _draw_tasks(num_tasks, scores.size + others.size, seed, num_resamples)
        varied = [combine(*(statistic(_pool(_take(player, drawn))) for player in (scores, others))) for drawn in draws]
        square += t_quantile(num_tasks - 1) ** 2 * float(np.concatenate(varied).var())
    value, half = combine(ours, theirs), np.sqrt(square)
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
