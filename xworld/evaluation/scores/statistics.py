"""From returns to scores with intervals: normalisation, the bootstrap over tasks and seeds, and the adaptation gain.

Scores have the axes [num_seeds, num_tasks, num_trials]: agents trained from different seeds play the same tasks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xworld.base.errors import ConfigError

NUM_RESAMPLES = 2_000
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
    NaN in all trials, and counts in no mean.

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


def estimate(scores: np.ndarray, seed: int = 0, num_resamples: int = NUM_RESAMPLES) -> Estimate:
    """Mean and 95 % interval of [num_seeds, num_tasks, ...] scores, by the percentile bootstrap.

    Tasks are drawn with replacement, and so are seeds, independently, because every seed plays every task. With one
    seed it is the interval over tasks. A handful of seeds gives a rough idea of their spread and not more.

    Args:
      scores: [num_seeds, num_tasks, ...]; tasks with NaN are left out.
      seed: of the resampling; same seed, same interval.
      num_resamples: how many means are drawn.

    Raises:
      ConfigError: no seeds, or no tasks with a score.
    """
    if scores.ndim < 2 or 0 in scores.shape[:2] or not has_score(scores).any():
        raise ConfigError(f"Scores of shape {scores.shape} need at least one seed, and one task that has a score.")
    flat = scores.reshape(*scores.shape[:2], -1).astype(np.float64)[:, has_score(scores)]
    num_seeds, num_tasks = flat.shape[:2]
    generator = np.random.default_rng(seed)
    task_weights = _draw_weights(generator, num_resamples, num_tasks)
    seed_weights = _draw_weights(generator, num_resamples, num_seeds) if num_seeds > 1 else np.ones((num_resamples, 1))
    by_seed = np.einsum("bn,snk->bsk", task_weights, flat, optimize=True)
    means = np.einsum("bs,bsk->bk", seed_weights, by_seed)
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    shape = scores.shape[2:]
    return Estimate(flat.mean(axis=(0, 1)).reshape(shape), low.reshape(shape), high.reshape(shape))


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

    Participants and tasks are drawn with replacement, independently. A task counts with the mean over those who played
    it, as often as they are drawn; a task that none of them played is left out of that resample.

    Args:
      values: [num_participants, num_tasks], NaN where one has not played the other; every task has a value.
      statistic: from [..., num_tasks] values, some of them NaN, to [...]; such as a function around `np.nanmedian`.
      seed: of the resampling.
      num_resamples: how many times the statistic is computed.
    """
    generator = np.random.default_rng(seed)
    num_participants, num_tasks = values.shape
    drawn = generator.multinomial(num_participants, np.full(num_participants, 1 / num_participants), num_resamples)
    counts = drawn @ ~np.isnan(values)  # [num_resamples, num_tasks]
    means = drawn @ np.nan_to_num(values) / np.where(counts, counts, np.nan)
    resampled = np.take_along_axis(means, generator.integers(0, num_tasks, means.shape), axis=1)
    is_there = ~np.isnan(resampled).all(axis=1)
    low, high = np.quantile(statistic(resampled[is_there]), [0.025, 0.975])
    return float(low), float(high)


def has_score(scores: np.ndarray) -> np.ndarray:
    """[num_tasks] bool: which tasks of [num_seeds, num_tasks, ...] scores have one (see `normalise`)."""
    return ~np.isnan(scores.reshape(*scores.shape[:2], -1)).any(axis=(0, 2))


def _draw_weights(generator: np.random.Generator, num_resamples: int, size: int) -> np.ndarray:
    """[num_resamples, size] shares, with rows that sum to 1, of things of which `size` are drawn with replacement."""
    return generator.multinomial(size, np.full(size, 1 / size), num_resamples) / size


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
