"""Recording what is done in training, as a data set of histories."""

from pathlib import Path

import numpy as np

from xworld.base.configs import OneOf, as_dict
from xworld.base.errors import ConfigError
from xworld.histories import DatasetHeader, DatasetWriter, Recorded
from xworld.training.curriculum.rules.accel import AccelConfig
from xworld.training.partners.configs import PARTNERS
from xworld.training.rollouts.taken import Taken
from xworld.training.run.config import RunConfig

_LABELS = ("log_probability", "update")


class Recorder:
    """Keeps whole episodes in the host's memory as they are played, and adds them to a data set when told to.

    An episode is whole if it began while the recorder was there: not those in which a run begins or goes on.
    """

    def __init__(self, writer: DatasetWriter, num_envs: int) -> None:
        """For a run's environments, of which nothing has been seen."""
        self._writer = writer
        self._begin = np.full(num_envs, -1)  # [B] the step with which the episode began, counted from the first seen
        self._num_steps = 0  # seen so far
        self._first = 0  # of those that are kept
        self._steps: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # actions, log-probabilities [N, B, A]; [N]
        self._episodes: list[tuple[int, int, int, int, np.ndarray]] = []  # environment, first step, end, seed, ids

    def add(self, taken: Taken, num_updates: int) -> None:
        """Adds what was done in U rollouts, of which the first was played after `num_updates` updates.

        Args:
          taken: arrays with a first axis U.
          num_updates: of the learner that acted in the first.
        """
        is_last = np.asarray(taken.is_last)
        seeds, ids = np.asarray(taken.seed), np.asarray(taken.task_id)
        length = is_last.shape[1]
        is_later = is_last.cumsum(axis=1) - is_last > 0  # an episode that began after the rollout did
        for rollout, time, env in np.argwhere(is_last):
            end = self._num_steps + rollout * length + time + 1
            if self._begin[env] >= 0:
                which = int(is_later[rollout, time, env])
                self._episodes.append(
                    (env, self._begin[env], end, seeds[rollout, which, env], ids[rollout, which, env])
                )
            self._begin[env] = end
        flat = [np.asarray(values).reshape(-1, *values.shape[2:]) for values in (taken.action, taken.log_probability)]
        update = num_updates + np.arange(len(is_last)).repeat(length)
        self._steps.append((flat[0], flat[1], update))
        self._num_steps += len(update)

    def write(self) -> None:
        """Adds the whole episodes to the data set, in the order in which they ended.

        Raises:
          ConfigError: a full disk; the data set is as it was.
        """
        if not self._steps:
            return
        action, probability, update = (np.concatenate(parts) for parts in zip(*self._steps, strict=True))
        if self._episodes:
            envs, begins, ends, seeds, ids = (np.array(column) for column in zip(*self._episodes, strict=True))
            parts = list(zip(envs, begins - self._first, ends - self._first, strict=True))
            labels = {
                "log_probability": np.concatenate([probability[begin:end, env] for env, begin, end in parts]),
                "update": np.concatenate([update[begin:end] for _, begin, end in parts]),
            }
            done = np.concatenate([action[begin:end, env] for env, begin, end in parts])
            self._writer.append(Recorded(ids, seeds, ends - begins, done, labels))
        first = min(self._begin[self._begin >= 0], default=self._num_steps)
        left = slice(first - self._first, None)
        self._steps, self._episodes, self._first = [(action[left], probability[left], update[left])], [], first


def open_recording(folder: Path, config: RunConfig, partners: str | None = None, *, goes_on: bool) -> DatasetWriter:
    """The data set of a run's histories.

    Args:
      folder: of the data set.
      config: of the run.
      partners: who plays beside the learner, in words; None for those of the configuration.
      goes_on: whether it is gone on with if it is there.

    Raises:
      ConfigError: the run's tasks are not known by their ids; or as `DatasetWriter`.
    """
    if isinstance(config.curriculum, AccelConfig):
        raise ConfigError(
            "accel plays edited tasks, which no universe has: they cannot be recorded by their ids. "
            "Choose another curriculum, or record the run's checkpoints with xworld record."
        )
    beside = partners or OneOf(PARTNERS).name_of(config.partners, "RunConfig.partners")
    players = ("learner",) if config.env.num_agents == 1 and partners is None else ("learner", beside)
    about = {"run": {name: value for name, value in as_dict(config).items() if name != "total_steps"}}
    header = DatasetHeader(config.env, config.universe, players=players, labels=_LABELS, about=about)
    return DatasetWriter(folder, header, goes_on=goes_on)
