"""Recording data sets of histories: whoever plays, batch by batch on the device, at the memory of one batch.

Episode i of a recording is played with `episode_key(key, i)`, as `evaluate` plays task i: what is recorded is what
would have been scored, and does not depend on the size of the batches.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xworld.agents import ExpertPolicy, distribution
from xworld.agents.policy import Decider, Policy
from xworld.agents.scripted.adviser import advise, check_advised
from xworld.base.errors import ConfigError
from xworld.base.xla.jit_key import jit_key
from xworld.core.env import Env, Outcome
from xworld.core.keys import as_key
from xworld.core.step.actions import legal_actions
from xworld.core.types import State, Task, episode_lengths
from xworld.core.vector import without_world
from xworld.evaluation.episodes import begin_episode, episode_key
from xworld.histories import Dataset, DatasetHeader, DatasetWriter, Episodes, Recorded
from xworld.tasks import TaskSet

_CHUNK = 64  # steps that are played at a time: one compiled function serves episodes of any length
PROBABILITY, EXPERT_ACTION, UPDATE, STREAM = "log_probability", "expert_action", "update", "stream"


@dataclass(frozen=True)
class TaskRows:
    """Tasks of a recording, and how the data set knows them."""

    tasks: Task  # [n, ...] on the host
    rows: np.ndarray  # [n, 2] int32 world and game ids of a universe, or [n, 1] numbers of stored tasks


def record_episodes(
    writer: DatasetWriter,
    tasks: TaskRows,
    policy: Policy,
    key: jax.Array,
    *,
    first_number: int = 0,
    batch_size: int = 1024,
    labels: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Plays an episode of each of n tasks, and adds it to a data set.

    Args:
      writer: of the data set. Of its labels, "log_probability" and "expert_action" are made here. The second is what
        was done, for an expert that plays; while others play, what `advise` says.
      tasks: what is played.
      policy: who plays.
      key: of the recording.
      first_number: of the first episode, for `episode_key`.
      batch_size: how many are played at a time.
      labels: the others: [n] for each episode, by name.

    Raises:
      ConfigError: the policy does not say how likely its actions are, and they are to be kept; or tasks are such that
        nobody advises on them, and another than the expert plays.
    """
    env, num_tasks, given = Env(writer.header.env), len(tasks.rows), labels or {}
    keeps = PROBABILITY in writer.header.labels
    asks = EXPERT_ACTION in writer.header.labels and not isinstance(policy, ExpertPolicy)
    if asks:
        check_advised(tasks.tasks, tasks.rows)
    if keeps and not isinstance(policy, Decider):
        raise ConfigError(f"{type(policy).__name__} does not say how likely its actions are. Leave {PROBABILITY} out.")
    size = min(batch_size, num_tasks)
    for start in range(0, num_tasks, size):
        some = np.arange(start, min(start + size, num_tasks))
        filled = np.resize(some, size)  # so that one compiled function serves all batches
        length = episode_lengths(tasks.tasks)[some]
        batch = jax.tree.map(lambda leaf, filled=filled: np.asarray(leaf)[filled], tasks.tasks)
        numbers = jnp.asarray(first_number + filled, jnp.uint32)
        seeds, steps = _play(env, batch, numbers, int(length.max()), policy, as_key(key), _Kept(keeps, asks))
        is_played = np.arange(len(steps[0])) < length[:, None]  # [n, T]
        actions, probabilities, advice = (_flat(values, is_played) for values in steps)
        made = {PROBABILITY: probabilities, EXPERT_ACTION: advice if asks else actions}
        for name, values in given.items():
            made[name] = values[some] if name == STREAM else np.repeat(values[some], length)
        kept = {name: made[name] for name in writer.header.labels}
        writer.append(Recorded(tasks.rows[some], seeds[: len(some)], np.asarray(length), actions, kept))


def record_tasks(
    folder: str | Path, header: DatasetHeader, tasks: Task, policy: Policy, key: jax.Array, *, batch_size: int = 1024
) -> Dataset:
    """A new data set that stores n tasks, with an episode of each.

    Args:
      folder: of the data set.
      header: its environment, and what is kept.
      tasks: [n, ...] what is played.
      policy: who plays.
      key: of the recording.
      batch_size: how many are played at a time.

    Raises:
      ConfigError: there is a folder already; or for one of the reasons of `record_episodes`.
    """
    tasks = jax.device_get(tasks)
    with DatasetWriter(folder, header, TaskSet(tasks)) as writer:
        rows = TaskRows(tasks, np.arange(len(tasks.trial_length))[:, None])
        record_episodes(writer, rows, policy, key, batch_size=batch_size)
    return Dataset(folder)


def _flat(values: np.ndarray, is_played: np.ndarray) -> np.ndarray:
    """[S, A], episode after episode, of [T, B, A] values, of which those [n, T] of the first n are played."""
    return np.swapaxes(values, 0, 1)[: len(is_played)][is_played]


@dataclass(frozen=True)
class _Kept:
    """What is kept of each step, beside the actions."""

    log_probability: bool
    advice: bool


def _play(
    env: Env, tasks: Task, numbers: jax.Array, num_steps: int, policy: Policy, key: jax.Array, keeps: _Kept
) -> tuple[np.ndarray, list[np.ndarray]]:
    """[B] seeds; [T, B, A] uint8 actions, float32 log-probabilities and uint8 advice, zeros unless they are kept."""
    of_policy = jit_key(policy)
    task, sight_lines, moment, keys = _begin(env, of_policy, tasks, numbers, policy, key)
    seeds, parts = np.asarray(moment[0].seed), []
    chunk = min(_CHUNK, num_steps)
    for start in range(0, num_steps, chunk):
        times = jnp.arange(start, start + chunk)
        moment, part = _go_on(env, of_policy, keeps, task, sight_lines, moment, keys, times, policy)
        parts.append(jax.device_get(part))
    return seeds, [np.concatenate(values)[:num_steps] for values in zip(*parts, strict=True)]


@partial(jax.jit, static_argnums=(0, 1))
def _begin(
    env: Env, _key: tuple[Any, ...], tasks: Task, numbers: jax.Array, policy: Policy, key: jax.Array
) -> tuple[Task, jax.Array, tuple[State, Outcome, Any], jax.Array]:
    """Tasks and their sight lines, batch last; the first moment; and the keys of each episode's chance."""

    def start(task: Task, number: jax.Array) -> tuple[State, Outcome, Any, jax.Array]:
        state, timestep, memory, act_key = begin_episode(env, policy, task, episode_key(key, number))
        outcome = Outcome(timestep.reward, timestep.event, timestep.is_trial_first, timestep.is_last)
        return state, outcome, memory, act_key

    state, outcome, memory, keys = jax.vmap(start, out_axes=(-1, -1, 0, 0))(tasks, numbers)
    return state.task, state.sight_lines, (without_world(state), outcome, memory), keys


@partial(jax.jit, static_argnums=(0, 1, 2))
def _go_on(
    env: Env,
    _key: tuple[Any, ...],
    keeps: _Kept,
    task: Task,
    sight_lines: jax.Array,
    moment: tuple[State, Outcome, Any],
    keys: jax.Array,
    times: jax.Array,
    policy: Any,
) -> tuple[tuple[State, Outcome, Any], tuple[jax.Array, ...]]:
    """The moment after some steps, and what was done in them."""

    def act(memory: Any, key: jax.Array, state: State, timestep: Any) -> tuple[Any, jax.Array, jax.Array]:
        if not keeps.log_probability:
            memory, actions = policy.act(memory, key, state, timestep)
            return memory, actions, jnp.zeros(actions.shape, jnp.float32)
        memory, actions, logits, _ = policy.decide(memory, key, state, timestep)
        return memory, actions, distribution.log_probability(logits, actions)

    def step(moment: tuple[State, Outcome, Any], time: jax.Array) -> tuple[Any, tuple[jax.Array, ...]]:
        state, outcome, memory = moment
        state = dataclasses.replace(state, task=task, sight_lines=sight_lines)
        timestep = env.timestep(state, outcome, is_first=jnp.broadcast_to(time == 0, state.time.shape))
        timestep = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), timestep)
        step_keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, time)
        memory, actions, probabilities = jax.vmap(act, in_axes=(0, 0, -1, 0))(memory, step_keys, state, timestep)
        following, outcome = env.advance(state, actions.T)
        done = legal_actions(state.scene, actions.T).T.astype(jnp.uint8)
        advice = jax.vmap(advise, (-1, 0))(state, timestep).astype(jnp.uint8) if keeps.advice else jnp.zeros_like(done)
        return (without_world(following), outcome, memory), (done, probabilities, advice)

    return jax.lax.scan(step, moment, times)


def follow(
    env: Env, policy: Decider, episodes: Episodes, key: jax.Array | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """What a policy would do along recorded episodes, where it has seen what was seen and done what was done.

    Of who recorded a stream and learned from nothing else, these are the probabilities that the actions were drawn by.

    Args:
      env: that was played in.
      policy: any that looks at the action that was taken, and not at the one that it would have taken.
      episodes: B of them.
      key: of the policy's memory at the start.

    Returns:
      [T, B, A, 7] float32 logits, and the [T, B, A] log-probabilities of the actions.
    """
    key = jax.random.key(0) if key is None else as_key(key)
    tasks, seeds, actions = jax.tree.map(jnp.asarray, (episodes.tasks, episodes.seed, episodes.action))
    return jax.device_get(_follow(env, jit_key(policy), tasks, seeds, actions, policy, key))


@partial(jax.jit, static_argnums=(0, 1))
def _follow(
    env: Env,
    _key: tuple[Any, ...],
    tasks: Task,
    seeds: jax.Array,
    actions: jax.Array,
    policy: Any,
    key: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    def one(task: Task, seed: jax.Array, actions: jax.Array) -> tuple[jax.Array, jax.Array]:
        state, timestep = env.reset_from_seed(seed, task)
        memory = policy.start(key, state, env.briefing(task))

        def step(carry: Any, action: jax.Array) -> tuple[Any, tuple[jax.Array, jax.Array]]:
            state, timestep, memory = carry
            memory, _, logits, _ = policy.decide(memory, key, state, timestep)
            return (*env.step(state, action), memory), (logits, distribution.log_probability(logits, action))

        return jax.lax.scan(step, (state, timestep, memory), actions)[1]

    return jax.vmap(one, in_axes=(0, 0, 1), out_axes=1)(tasks, seeds, actions)
