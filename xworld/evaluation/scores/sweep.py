"""AdA's protocol: one player on a set of tasks, for several numbers of trials, many times each. Stops, and goes on.

Every number of trials is played on its own: an agent is told how many trials are left, so the first trial of thirteen
is not a trial of one. Source: AdA, arXiv 2301.07608, section 3 and appendix.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xworld.agents.policy import Policy
from xworld.base.checks import check_fields, check_seed, check_whole
from xworld.base.errors import ConfigError
from xworld.base.progress import progress_bar
from xworld.core.env import Env
from xworld.core.types import State, Task, TimeStep
from xworld.evaluation.episodes import episode_key, make_batches, play_batch
from xworld.evaluation.protocol import MAX_TRIALS, record, with_num_trials
from xworld.evaluation.reference import Reference
from xworld.evaluation.scores.scores import Scores
from xworld.evaluation.scores.store import ReturnsStore
from xworld.tasks.sets.task_set import check_tasks

NUM_TRIALS = (1, 2, 3, 5, 8, 13)  # AdA's


@dataclass(frozen=True)
class SweepConfig:
    """What is played. Equal configurations give equal returns.

    Raises:
      ConfigError: a value out of range, or a number of trials that comes twice.
    """

    num_trials: tuple[int, ...] = NUM_TRIALS
    num_repetitions: int = 50  # episodes of every task, for each number of trials
    seed: int = 0  # decides directions and the player's chance
    batch_size: int = 2048  # episodes that are played at a time

    def __post_init__(self) -> None:
        if not self.num_trials or list(self.num_trials) != sorted(set(self.num_trials)):
            raise ConfigError(
                f"The numbers of trials are {list(self.num_trials)}; write at least one, rising, as in 1 2 3 5 8 13."
            )
        check_fields(self, ("num_trials",), _check_numbers)
        check_fields(self, ("num_repetitions",), partial(check_whole, low=1, high=MAX_TRIALS))
        check_fields(self, ("seed",), lambda name, value: check_seed(value, name))
        check_fields(self, ("batch_size",), partial(check_whole, low=1))

    def key(self, num_trials: int) -> jax.Array:
        """What decides chance in the episodes of `num_trials` trials."""
        return jax.random.fold_in(jax.random.key(self.seed), num_trials)

    def kept_with(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """What is kept beside returns: `about`, and all of this but the numbers of trials, which may become more."""
        fixed = {"num_repetitions": self.num_repetitions, "seed": self.seed, "batch_size": self.batch_size}
        return {**fixed, **about}


def _check_numbers(name: str, values: Any) -> tuple[int, ...]:
    return tuple(check_whole(name, value, 1, MAX_TRIALS) for value in values)


def run_sweep(
    env: Env,
    tasks: Task,
    policy: Policy,
    config: SweepConfig,
    folder: Path | None = None,
    about: Mapping[str, Any] | None = None,
    *,
    show_progress: bool = True,
) -> dict[int, np.ndarray]:
    """By number of trials k: [num_tasks, num_repetitions, k] float32 returns.

    Plays every task `config.num_repetitions` times with each number of trials.

    Args:
      env: the environment the tasks are for.
      tasks: stacked tasks, leaves [num_tasks, ...]. Their own numbers of trials do not matter.
      policy: how to play.
      config: what is played.
      folder: returns are written to `returns` in it as they come, and what is there already is not played again.
      about: what makes returns those of this player and of these tasks, JSON types; a folder with others is refused.
      show_progress: whether to draw a progress bar.

    Raises:
      ConfigError: tasks of another environment, or a folder that cannot be used or holds another evaluation.
    """
    check_tasks(env, tasks)
    tasks = jax.device_get(tasks)
    lengths = np.asarray(tasks.trial_length, np.int64)
    num_tasks = len(lengths)
    task_ids = np.tile(np.arange(num_tasks), config.num_repetitions)  # of episodes: repetition * num_tasks + task
    batches = make_batches(lengths[task_ids], config.batch_size)
    store = None if folder is None else ReturnsStore(folder, config.kept_with(about or {}))

    def play(num_trials: int, episodes: np.ndarray) -> np.ndarray:
        batch = jax.tree.map(lambda leaf: leaf[task_ids[episodes]], tasks)
        batch = jax.device_get(with_num_trials(batch, num_trials))
        returns = play_batch(env, batch, episodes, policy, config.key(num_trials), max(config.num_trials))
        return returns[:, :num_trials]

    steps = [int(lengths[task_ids[episodes]].max()) * len(episodes) for episodes in batches]  # with one trial
    with progress_bar(sum(steps) * sum(config.num_trials), show_progress) as advance:
        returns = {}
        for num_trials in config.num_trials:
            played = np.zeros((len(task_ids), num_trials), np.float32)
            for number, episodes in enumerate(batches):
                advance(0, f"{num_trials} trial{'s' * (num_trials > 1)}")
                name = f"{num_trials}-trials-batch-{number}"
                found = None if store is None else store.read(name, (len(episodes), num_trials))
                if found is None:
                    found = play(num_trials, episodes)
                    if store is not None:
                        store.write(name, found)
                played[episodes] = found
                advance(steps[number] * num_trials)
            by_repetition = played.reshape(config.num_repetitions, num_tasks, num_trials)
            returns[num_trials] = np.ascontiguousarray(by_repetition.swapaxes(0, 1))
    return returns


def mean_sweep(
    env: Env, tasks: Task, policy: Policy, config: SweepConfig, *, show_progress: bool = True
) -> dict[int, np.ndarray]:
    """By number of trials k: [num_tasks, k] float64, the means over repetitions of what `run_sweep` gives."""
    played = run_sweep(env, tasks, policy, config, show_progress=show_progress)
    return {k: mean_returns(returns)[0] for k, returns in played.items()}


def sweep_scores(player: str, returns: Mapping[int, np.ndarray], reference: Reference) -> Scores:
    """The scores of one player: mean returns over repetitions, divided by the reference.

    Args:
      player: its name.
      returns: from `run_sweep`.
      reference: of the same tasks.

    Raises:
      ConfigError: the reference is of other tasks, or no task has one.
    """
    return Scores({player: {k: mean_returns(played) for k, played in returns.items()}}, reference)


def mean_returns(played: np.ndarray) -> np.ndarray:
    """[1, num_tasks, k] float64 means over repetitions: a row of `Scores`."""
    return played.mean(axis=1, dtype=np.float64)[None]


def play_again(
    env: Env, tasks: Task, policy: Policy, config: SweepConfig, num_trials: int, task_id: int, repetition: int
) -> tuple[State, TimeStep]:
    """An episode of a sweep once more: states and timesteps with leading axis T + 1, as `record` gives them."""
    task = jax.tree.map(lambda leaf: leaf[task_id], tasks)
    key = episode_key(config.key(num_trials), repetition * len(tasks.trial_length) + task_id)
    return record(env, task, policy, key, num_trials=num_trials)
