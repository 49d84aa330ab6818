"""How large the experiment is, and where its teachers' lives are cut."""

from dataclasses import dataclass

import numpy as np

from xworld.agents import has_reached
from xworld.agents.learners.stopping import NUM_AVERAGED

CUTS = ("10", "25", "50", "100")  # percents of a teacher's life that are kept
LEVELS = {f"level{level}": float(level) for level in (1, 2, 3)}  # or until the last five trials earned so much
NUM_BLOCKS = 20  # of trials, for twice a life


@dataclass(frozen=True)
class Sizes:
    """How large it is."""

    num_lives: int = 3446  # of teachers
    num_trials: int = 200  # of a life
    num_tasks: int = 512  # that are played at the end
    num_updates: int = 3000
    window: int = 160
    reach: int = 80
    batch_size: int = 8  # more updates of smaller batches came further at equal cost

    @property
    def late(self) -> slice:
        """Where the teachers are at the end of a life."""
        return slice(self.num_trials * 3 // 4, self.num_trials)

    @property
    def block(self) -> int:
        """Trials in a block."""
        return 2 * self.num_trials // NUM_BLOCKS


SIZES = {False: Sizes(), True: Sizes(32, 40, 8, 4, 32, 16, 4)}


def kept_trials(num_trials: int, cut: str) -> int:
    """How many of a life's trials come before a cut by percent."""
    return num_trials * int(cut) // 100


def trials_to_level(returns: np.ndarray, cut: str) -> int:
    """After how many of [trials] a life got to the level; at most so many that enough of them follow to be averaged."""
    reached = np.flatnonzero(has_reached(returns, LEVELS[cut]))
    return min([*(reached[:1] + 1).tolist(), len(returns) - NUM_AVERAGED])
