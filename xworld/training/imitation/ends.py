"""Where a learner's stream is cut by what it had earned until then, and by nothing that came later."""

import numpy as np

from xworld.agents import has_reached
from xworld.histories import Dataset

_BATCH = 256  # episodes that are derived at once


def find_ends(data: Dataset, level: float) -> np.ndarray:
    """[num_streams] int64 steps of each stream until the first trial's end at which it `has_reached` the level.

    All of a stream that never does.
    """
    steps, returns = derive_trials(data)
    ends = []
    for stream in map(data.stream, range(data.num_streams)):
        reached = np.flatnonzero(has_reached(np.concatenate([returns[episode] for episode in stream]), level))
        until = np.concatenate([steps[episode] for episode in stream]).cumsum()
        ends.append(until[reached[0] if len(reached) else -1])
    return np.array(ends)


def derive_trials(data: Dataset) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Of each episode [trials] int64 steps and [trials] returns. Several agents earn the mean of those that are there.

    The last trial of an episode may not have been played to its end.
    """
    steps: list[np.ndarray] = []
    returns: list[np.ndarray] = []
    for start in range(0, data.num_episodes, _BATCH):
        episodes = data.episodes(np.arange(start, min(start + _BATCH, data.num_episodes)))
        num_agents = np.asarray(episodes.tasks.is_present).sum(-1)
        reward = np.asarray(episodes.derive(data.env).reward)[1:].sum(-1) / num_agents
        for index, trial_length in enumerate(np.asarray(episodes.tasks.trial_length, np.int64)):
            first = np.arange(0, int(episodes.length[index]), trial_length)
            steps.append(np.diff(first, append=episodes.length[index]))
            returns.append(np.add.reduceat(reward[: episodes.length[index], index], first))
    return steps, returns
