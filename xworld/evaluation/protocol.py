"""Playing tasks with a policy: the returns of every trial of many tasks, or one episode step by step.

Task i of an evaluation is played with `episode_key(key, i)`, whatever the policy and the size of the batch. So all
policies meet the same tasks with the same directions at the start of trials, and their returns can be compared
task by task.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xworld.core.env import Env
from xworld.core.types import NOWHERE, State, Task, TimeStep
from xworld.errors import ConfigError
from xworld.evaluation.policies import Policy
from xworld.vector import TaskSource


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
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}; write a whole number of at least 1.")
    tasks = with_num_trials(tasks, num_trials)
    num_tasks = tasks.terrain.shape[0]
    lengths, trials = np.asarray(tasks.trial_length, np.int64), np.asarray(tasks.num_trials, np.int64)
    num_steps, max_trials = int((lengths * trials).max()), int(trials.max())

    batch_size = min(batch_size, num_tasks)
    batches = []
    for start in range(0, num_tasks, batch_size):
        # The last batch is filled up with task 0, so that one compiled function serves all.
        index = np.arange(start, start + batch_size)
        index = np.where(index < num_tasks, index, 0)
        batch = jax.tree.map(lambda leaf, index=index: leaf[index], tasks)
        batches.append(np.asarray(_play_batch(env, num_steps, max_trials, batch, index, policy, key)))
    is_played = np.arange(max_trials) < trials[:, None]
    return Returns(returns=np.concatenate(batches)[:num_tasks], is_played=is_played)


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
    return _record(env, int(task.trial_length) * int(task.num_trials), task, policy, key)


def episode_key(key: jax.Array, index: int | jax.Array) -> jax.Array:
    """The key that `evaluate` plays task `index` with."""
    return jax.random.fold_in(key, index)


def check_tasks(env: Env, tasks: Task) -> None:
    """Makes sure that `tasks` are stacked tasks for `env`.

    Raises:
      ConfigError: there is no leading axis, or the sizes are not those of `env.config`.
    """
    if tasks.terrain.ndim != 3 or tasks.terrain.shape[0] == 0:
        raise ConfigError("The tasks have no leading axis of at least 1. Stack them: jax.tree.map with jnp.stack.")
    config = env.config
    sizes = {
        "height": tasks.terrain.shape[1],
        "width": tasks.terrain.shape[2],
        "num_agents": tasks.agent_position.shape[1],
        "max_objects": tasks.object_kind.shape[1],
        "max_rules": tasks.rules.relation.shape[1],
        "max_doors": tasks.door_state.shape[1],
        "goal_clauses": tasks.goals.relation.shape[2],
        "goal_literals": tasks.goals.relation.shape[3],
    }
    for name, size in sizes.items():
        if size != getattr(config, name):
            raise ConfigError(
                f"The tasks are for another environment: their {name} is {size}, EnvConfig.{name} is "
                f"{getattr(config, name)}. Make both with the same EnvConfig."
            )


def sample_tasks(source: TaskSource, key: jax.Array, num_tasks: int) -> Task:
    """`num_tasks` stacked tasks from a source, such as `Universe(env.config, config)` of the test split.

    Raises:
      ConfigError: `num_tasks` is below 1.
    """
    if num_tasks < 1:
        raise ConfigError(f"The number of tasks is {num_tasks}; write a whole number of at least 1.")
    return jax.jit(jax.vmap(source.sample))(jax.random.split(key, num_tasks))


def with_num_trials(tasks: Task, num_trials: int | None) -> Task:
    """The tasks with `num_trials` trials each, or unchanged for None.

    Raises:
      ConfigError: `num_trials` is not in 1 to 65535.
    """
    if num_trials is None:
        return tasks
    if not 1 <= num_trials <= 65535:
        raise ConfigError(f"num_trials is {num_trials}; write a whole number from 1 to 65535.")
    return dataclasses.replace(tasks, num_trials=jnp.full_like(tasks.num_trials, num_trials))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Episode:
    """One environment being played."""

    state: State
    timestep: TimeStep
    memory: Any  # the policy's
    key: jax.Array  # [] of the policy's chance, the same at every step


@partial(jax.jit, static_argnums=(0, 1, 2))
def _play_batch(
    env: Env, num_steps: int, num_trials: int, tasks: Task, index: jax.Array, policy: Policy, key: jax.Array
) -> jax.Array:
    """[batch, num_trials] float32 returns of one episode of each task; `index` is the tasks' place in the whole."""

    def play(task: Task, index: jax.Array) -> jax.Array:
        num_agents = (task.agent_position[:, 0] != NOWHERE).sum()

        def play_step(carry: tuple[_Episode, jax.Array], step: jax.Array) -> tuple[tuple[_Episode, jax.Array], None]:
            episode, returns = carry
            following = _step(env, policy, episode, step)
            # After the end rewards are 0, and land harmlessly in the last trial.
            returns = returns.at[episode.state.trial].add(following.timestep.reward.sum() / num_agents)
            return (following, returns), None

        carry = _start(env, policy, task, episode_key(key, index)), jnp.zeros(num_trials)
        return jax.lax.scan(play_step, carry, jnp.arange(num_steps))[0][1]

    return jax.vmap(play)(tasks, index)


@partial(jax.jit, static_argnums=(0, 1))
def _record(env: Env, num_steps: int, task: Task, policy: Policy, key: jax.Array) -> tuple[State, TimeStep]:
    def record_step(episode: _Episode, step: jax.Array) -> tuple[_Episode, tuple[State, TimeStep]]:
        episode = _step(env, policy, episode, step)
        return episode, (episode.state, episode.timestep)

    episode = _start(env, policy, task, key)
    _, following = jax.lax.scan(record_step, episode, jnp.arange(num_steps))
    first = (episode.state, episode.timestep)
    return jax.tree.map(lambda one, many: jnp.concatenate([one[None], many]), first, following)


def _start(env: Env, policy: Policy, task: Task, key: jax.Array) -> _Episode:
    reset_key, start_key, act_key = jax.random.split(key, 3)
    state, timestep = env.reset(reset_key, task)
    return _Episode(state, timestep, policy.start(start_key, state, env.briefing(task)), act_key)


def _step(env: Env, policy: Policy, episode: _Episode, step: jax.Array) -> _Episode:
    key = jax.random.fold_in(episode.key, step)
    memory, actions = policy.act(episode.memory, key, episode.state, episode.timestep)
    state, timestep = env.step(episode.state, actions)
    return _Episode(state, timestep, memory, episode.key)
