"""What is measured of a life, or of an imitator's: how much it gains, what it saw, how long learning takes."""

import numpy as np

from xworld.agents.learners.stopping import NUM_AVERAGED
from xworld.apps.laboratory.experiments.byrnes_cut.cuts import (
    CUTS,
    LEVELS,
    NUM_BLOCKS,
    Sizes,
    kept_trials,
    trials_to_level,
)

_LEAST = 0.5  # what a life earns a trial that has learned anything
_FOLLOWED = slice(20, 40)  # of the trials after the first reward


def gain(returns: np.ndarray, late: slice) -> float:
    """From the first four trials to late ones."""
    return float(returns[:, late].mean() - returns[:, :4].mean())


def return_seen(returns: np.ndarray, sizes: Sizes, cut: str) -> float:
    """The best quarter of a block of trials before the cut, mean over [lives, trials]; at a level, the last five of
    each life.
    """
    if cut in LEVELS:
        return float(np.mean([life[: trials_to_level(life, cut)][-NUM_AVERAGED:].mean() for life in returns]))
    by_trial = returns[:, : kept_trials(sizes.num_trials, cut)].mean(0)
    size = max(min(sizes.block, len(by_trial)) // 4, 1)
    return float(max(by_trial[start : start + size].mean() for start in range(len(by_trial) - size + 1)))


def policy_seen(taught: np.ndarray, sizes: Sizes, cut: str) -> float:
    """What teachers earn in the five trials that follow the cut, of their [tasks, 2 * num_trials] returns."""
    starts = [trials_to_level(life, cut) if cut in LEVELS else kept_trials(sizes.num_trials, cut) for life in taught]
    after = [life[start : start + NUM_AVERAGED] for life, start in zip(taught, starts, strict=True)]
    return float(np.mean(after))


def learning_times(returns: np.ndarray, taught: np.ndarray, sizes: Sizes) -> dict[str, float]:
    """How long the teacher takes to learn what it has found, and whether what is found after the first cut is learned.

    Args:
      returns: [tasks, trials] of an imitator.
      taught: those of its teachers in the same tasks.
      sizes: of the experiment.
    """
    seen = kept_trials(sizes.num_trials, CUTS[0])
    return {
        "trials_to_master": trials_to_master(taught, sizes.late),
        "after_late": after_late(returns, seen),
        "after_late_teacher": after_late(taught, seen),
    }


def after_late(returns: np.ndarray, seen: int) -> float:
    """What is earned in trials 21 to 40 after the first that paid, mean over lives in which that was not `seen`.

    Lives that are found to pay too late to be followed are left out; 0 if none is left.
    """
    first = np.where((returns > 0).any(1), (returns > 0).argmax(1), returns.shape[1])
    late = np.flatnonzero((first >= seen) & (first + _FOLLOWED.stop < returns.shape[1]))
    found = [returns[life, first[life] + 1 :][_FOLLOWED] for life in late]
    return float(np.mean(found)) if found else 0.0


def trials_to_master(returns: np.ndarray, late: slice) -> float:
    """How long learning takes once there is something to learn from: the median over lives.

    It is counted from the first trial that paid until five in a row earn 0.9 of what the life earns in late trials.
    Lives that earn next to nothing then are left out; without any others it is as long as all trials.

    Args:
      returns: [lives, trials].
      late: the late trials.
    """
    counts = []
    for life in returns[returns[:, late].mean(1) > _LEAST]:
        first = int(np.flatnonzero(life > 0)[0])
        means = np.convolve(life[first:], np.full(NUM_AVERAGED, 1 / NUM_AVERAGED), "valid")
        is_master = means >= 0.9 * life[late].mean()
        counts.append(int(is_master.argmax()) if is_master.any() else len(means))
    return float(np.median(counts)) if counts else float(returns.shape[1])


def in_blocks(returns: np.ndarray, sizes: Sizes) -> np.ndarray:
    """[num_tasks, NUM_BLOCKS] means of [num_tasks, 2 * num_trials] returns."""
    return returns.reshape(len(returns), NUM_BLOCKS, sizes.block).mean(2)
