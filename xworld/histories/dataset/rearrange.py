"""Data sets whose trials are put into another order: what was done is there, but how it got better is not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from xworld.base.errors import ConfigError
from xworld.core.types import RANDOM_FACING
from xworld.histories.dataset.header import TASKS, DatasetHeader
from xworld.histories.dataset.reader import Dataset
from xworld.histories.dataset.writer import DatasetWriter, Recorded
from xworld.tasks import TaskSet, load

_BATCH = 1024  # episodes that are read at a time


def rearrange_trials(data: Dataset, folder: str | Path, order: Callable[[int], np.ndarray]) -> Dataset:
    """A data set of the same episodes with some of their trials, in another order.

    What a trial shows depends on what is done in it alone, as it always begins in the same way: so each shows what it
    showed before, but for its number, and for the reward that ended the trial before it. Labels are left out.

    Args:
      data: of stored tasks with one goal, in which every agent faces the same way whenever a trial begins.
      folder: of the new data set.
      order: gives, for the number of an episode's whole trials, which of them come, one after the other.

    Raises:
      ConfigError: tasks in which trials begin in several ways, or of a universe; an episode without a whole trial; or
        the folder cannot be written.
    """
    header = data.header
    if header.universe is not None:
        raise ConfigError(f"{data.folder} is of a universe's tasks, which may face any way. Record stored ones.")
    stored: TaskSet = load(data.folder / TASKS, header.env)
    is_random = np.asarray(stored.tasks.agent_facing) == RANDOM_FACING
    if (is_random & np.asarray(stored.tasks.is_present)).any() or header.env.max_goals > 1:
        raise ConfigError(f"Trials of {data.folder} begin in several ways. Record tasks that fix it: facing = 'north'.")
    about = {"rearranged": dict(header.about)}
    with DatasetWriter(folder, DatasetHeader(header.env, players=header.players, about=about), stored) as writer:
        for start in range(0, data.num_episodes, _BATCH):
            numbers = np.arange(start, min(start + _BATCH, data.num_episodes))
            writer.append(_rearranged(data, numbers, order))
    return Dataset(folder)


def _rearranged(data: Dataset, numbers: np.ndarray, order: Callable[[int], np.ndarray]) -> Recorded:
    """Some episodes. A trial that was not played to its end is left out."""
    episodes = data.episodes(numbers)
    parts, lengths = [], []
    for index, length in enumerate(np.asarray(episodes.tasks.trial_length, np.int64).tolist()):
        num_trials = int(episodes.length[index]) // length
        if not num_trials:
            raise ConfigError(f"Episode {numbers[index]} of {data.folder} is shorter than a trial. Record longer ones.")
        trials = episodes.action[: num_trials * length, index].reshape(num_trials, length, -1)[order(num_trials)]
        parts.append(trials.reshape(-1, trials.shape[-1]))
        lengths.append(len(parts[-1]))
    return Recorded(data.task_ids(numbers), data.seeds(numbers), np.array(lengths), np.concatenate(parts))
