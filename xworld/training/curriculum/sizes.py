"""What a curriculum is told of the run that it is for, and how much it tries out in it."""

from dataclasses import dataclass

from xworld.base.checks import Range
from xworld.training.rollouts.try_out import Search


@dataclass(frozen=True)
class Sizes:
    """Of a run. Trials are those of the configuration's universe."""

    num_envs: int  # that are trained in, on all devices together
    num_groups: int  # of these; devices divide it
    rollout_length: int  # steps of each between two updates
    trial_length: Range
    num_trials: Range

    @property
    def mean_trials(self) -> float:
        """Trials of an episode, on average."""
        return sum(self.num_trials) / 2


def search_of(
    share: float, sizes: Sizes, *, num_episodes: int = 1, num_idle: int = 0, is_one_trial: bool = False
) -> Search:
    """A search that takes about a share of all environment steps, above 0 and below 1.

    Its rollouts are no longer than the shortest episode, so that an environment needs one new task at most. Its
    environments divide into rows of `num_episodes` in each of the run's groups: the same on any number of devices.

    Args:
      share: of all steps of the run.
      sizes: of the run.
      num_episodes: environments that play one task.
      num_idle: how many of these do nothing.
      is_one_trial: whether episodes are cut to one trial.
    """
    shortest = sizes.trial_length[0] * (1 if is_one_trial else sizes.num_trials[0])
    length = min(sizes.rollout_length, shortest)
    wanted = share / (1 - share) * sizes.num_envs * sizes.rollout_length / length
    unit = num_episodes * sizes.num_groups
    return Search(max(1, round(wanted / unit)) * unit, length, num_episodes, num_idle, is_one_trial)
