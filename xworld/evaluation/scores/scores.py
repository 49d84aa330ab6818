"""The result of every evaluation: what players earned on the same tasks, by number of trials, and what scores 1.

A comparison has many players and one number of trials, a sweep one player and many numbers, a study many of both, and
people as one more player.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xworld.base.errors import ConfigError
from xworld.evaluation.reference import Reference
from xworld.evaluation.scores.statistics import count_scored, normalise

# Beside the names that `player_by_name` takes.
AGENT = "agent"
PEOPLE = "people"


def people_with(partner: str | None) -> str:
    """What people are called who play beside a partner, `person` for other people; of tasks for one without any."""
    if partner is None:
        return PEOPLE
    return f"{PEOPLE} with {PEOPLE if partner == 'person' else partner}"


@dataclass(frozen=True)
class Scores:
    """Returns of players and their reference, on the host.

    Raises:
      ConfigError: no players, arrays of other numbers of tasks or trials than the reference's, or no task scored.
    """

    returns: Mapping[str, Mapping[int, np.ndarray]]  # by player and number of trials k: [num_rows, num_tasks, k]
    # Rows are agents of several training seeds, or people; of others there is one. Where an episode was repeated it is
    # the mean. NaN where one has not played a task.
    reference: Reference

    def __post_init__(self) -> None:
        if not any(self.returns.values()):
            raise ConfigError("There are no returns. Evaluate at least one player.")
        num_tasks = self.num_tasks
        for player, by_k in self.returns.items():
            for k, returns in by_k.items():
                if returns.ndim != 3 or returns.shape[1:] != (num_tasks, k):
                    raise ConfigError(
                        f"The reference is of {num_tasks} tasks, the returns of {player} with {k} trials have the "
                        f"shape {list(returns.shape)}. Evaluate both on the same tasks."
                    )
        if not any(self.is_scored(k).any() for k in self.num_trials):
            raise ConfigError(
                f"None of the {num_tasks} tasks has a best known return ({self.reference.kind}): no scores."
            )

    @property
    def num_tasks(self) -> int:
        """With and without a score."""
        return len(self.reference.best)

    @property
    def num_trials(self) -> tuple[int, ...]:
        """The numbers of trials k that somebody played, rising."""
        return tuple(sorted({k for by_k in self.returns.values() for k in by_k}))

    @property
    def num_scored(self) -> dict[int, int]:
        """By number of trials, how many tasks have a score, if the reference is of single trials with fewer, too."""
        if self.reference.best.ndim == 1:
            return {k: int(self.is_scored(k).sum()) for k in self.num_trials}
        return {k: int(number) for k, number in enumerate(count_scored(self.reference.best), start=1)}

    def is_scored(self, num_trials: int) -> np.ndarray:
        """[num_tasks] bool: the tasks in which the reference earns something in every trial."""
        return np.asarray((self._best(num_trials) > 0).all(axis=1))

    def score(self, player: str, num_trials: int | None = None) -> np.ndarray:
        """[num_rows, num_tasks, k] float64 scores, NaN where there are none.

        Args:
          player: one of those in `returns`.
          num_trials: k; may be left out if there is one only.
        """
        if num_trials is None:
            (num_trials,) = self.num_trials
        return normalise(self.returns[player][num_trials].astype(np.float64), self._best(num_trials))

    def _best(self, num_trials: int) -> np.ndarray:
        """[num_tasks, num_trials] what scores 1."""
        best = self.reference.best.astype(np.float64)
        if best.ndim == 1:
            return np.broadcast_to(best[:, None], (len(best), num_trials))
        return best[:, :num_trials]
