"""Playing tasks with a policy: the returns of every trial of many tasks, or one episode with all its states.

Task i of an evaluation is played with `episode_key(key, i)`, whatever the policy and the size of the batch. So all
policies meet the same tasks with the same directions at the start of trials, and their returns can be compared
task by task.
"""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from xworld.agents.policy import Policy
from xworld.base.errors import ConfigError
from xworld.core.env import Env
from xworld.core.keys import as_key
from xworld.core.types import State, Task, TaskSource, TimeStep, episode_lengths
from xworld.evaluation.episodes import make_batches, play_batch, record_episode
from xworld.tasks.sets.task_set import TaskSet, check_tasks

MAX_TRIALS = 2**16 - 1  # `Task.num_trials` is uint16


@dataclass(frozen=True)
class Returns:
    """What a policy earned, on the host. Tasks with fewer trials than the longest are padded with 0."""

    returns: np.ndarray  # [num_tasks, num_trials] float32, sum of rewards, mean over the agents that are there
    is_played: np.ndarray  # [num_tasks, num_trials] bool, whether the task has this trial


def evaluate(
    env: Env, tasks: Task, policy: Policy, key: jax.Array, num_trials: int | None = None, batch_size: int = 256
) -> Returns:
    """Plays one episode of every task.

    Args:
      env: the environment the tasks are for.
      tasks: stacked tasks, leaves [num_tasks, ...].
      policy: how to play; its memory lasts through an episode.
      key: decides directions and the policy's chance; same key, same returns.
      num_trials: play this many trials of every task instead of the task's own number.
      batch_size: how many tasks are played at a time. Changes speed and memory, not the result.

    Raises:
      ConfigError: no tasks, tasks of another environment, or `num_trials` or `batch_size` below 1.
    """
    check_tasks(env, tasks)
    key = as_key(key)
    tasks = jax.device_get(with_num_trials(tasks, num_trials))
    trials = np.asarray(tasks.num_trials, np.int64)
    max_trials = int(trials.max())
    returns = np.zeros((trials.size, max_trials), np.float32)
    for episodes in make_batches(episode_lengths(tasks), batch_size):
        batch = jax.tree.map(lambda leaf, episodes=episodes: leaf[episodes], tasks)
        returns[episodes] = play_batch(env, batch, episodes, policy, key, max_trials)
    return Returns(returns=returns, is_played=np.arange(max_trials) < trials[:, None])


def record(
    env: Env, task: Task, policy: Policy, key: jax.Array, num_trials: int | None = None
) -> tuple[State, TimeStep]:
    """One episode of one task as states and timesteps with leading axis T + 1, from reset to the last step.

    With `episode_key(key, i)` and task i it is the episode that `evaluate(env, tasks, policy, key)` played.

    Raises:
      ConfigError: a task of another environment, or `num_trials` below 1.
    """
    check_tasks(env, jax.tree.map(lambda leaf: leaf[None], task))
    task = with_num_trials(task, num_trials)
    return record_episode(env, int(task.trial_length) * int(task.num_trials), task, policy, as_key(key))


def sample_tasks(source: TaskSource, key: jax.Array, num_tasks: int) -> Task:
    """`num_tasks` stacked tasks from a source, such as `Universe(env.config, config)` of the test split.

    Raises:
      ConfigError: `num_tasks` is below 1.
    """
    if num_tasks < 1:
        raise ConfigError(f"The number of tasks is {num_tasks}; write a whole number of at least 1.")
    return TaskSet.from_source(source, key, num_tasks).tasks


def with_num_trials(tasks: Task, num_trials: int | None) -> Task:
    """The tasks with `num_trials` trials each, or unchanged for None.

    Raises:
      ConfigError: `num_trials` is not in 1 to 65535.
    """
    if num_trials is None:
        return tasks
    if not 1 <= num_trials <= MAX_TRIALS:
        raise ConfigError(f"num_trials is {num_trials}; write a whole number from 1 to {MAX_TRIALS}.")
    return dataclasses.replace(tasks, num_trials=jnp.full_like(tasks.num_trials, num_trials))
