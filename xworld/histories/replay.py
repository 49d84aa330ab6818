"""Replay: all that was seen in an episode is derived from its history again."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.checks import check_seed
from xworld.base.errors import ConfigError
from xworld.core.env import Env
from xworld.core.step.actions import NOOP
from xworld.core.step.checks import as_actions
from xworld.core.types import State, Task, TimeStep
from xworld.histories.history import Header, History, Step, check_players

_CHUNK = 64  # steps that are replayed at a time, so that one compiled function serves all histories


def replay(history: History) -> tuple[State, TimeStep]:
    """States and timesteps of a history, played again: [T + 1, ...] on the host, those of `Env.reset` first.

    Raises:
      ConfigError: the simulator pays other rewards or fires other rules than the history says.
    """
    header = history.header
    states, timesteps = play_actions(Env(header.config), header.task, header.seed, history.actions)
    for number, step in enumerate(history.steps, start=1):
        check_step(number, step, np.asarray(timesteps.reward[number]), int(timesteps.event[number]))
    return states, timesteps


def check_step(number: int, step: Step, rewards: np.ndarray, event: int) -> None:
    """Makes sure that step `number` of a history came out as the history says: with [A] rewards and an event.

    Raises:
      ConfigError: it did not.
    """
    found = tuple(rewards.tolist()), event
    if found != (step.rewards, step.event):
        raise ConfigError(
            f"Step {number} has rewards {list(step.rewards)} and event {step.event}, but played again it has "
            f"{list(found[0])} and {event}. The history was changed, or is of another version of xworld."
        )


def play_actions(env: Env, task: Task, seed: int, actions: np.ndarray) -> tuple[State, TimeStep]:
    """States and timesteps of what [T, A] actions lead to: [T + 1, ...] on the host, those of `Env.reset` first.

    Raises:
      ConfigError: actions of another shape, or that are no integers, or a seed that is none. An action outside 0-6 is
        a noop.
    """
    if np.ndim(actions) != 2:
        raise ConfigError(f"The actions have the shape {list(np.shape(actions))}; give integers of the shape [T, A].")
    taken = as_actions(actions, (len(actions), env.config.num_agents), "[T, A]")
    num_steps, num_agents = taken.shape
    filled = np.full((-(-num_steps // _CHUNK) * _CHUNK, num_agents), NOOP, np.int32)
    filled[:num_steps] = taken
    state, timestep = start_episode(env, seed, task)
    parts = [jax.tree.map(lambda leaf: np.asarray(leaf)[None], (state, timestep))]
    for start in range(0, num_steps, _CHUNK):
        state, part = _play(env, state, jnp.asarray(filled[start : start + _CHUNK]))
        parts.append(jax.device_get(part))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: num_steps + 1], *parts)


def history_of(env: Env, states: State, timesteps: TimeStep, players: Sequence[str], task_name: str = "") -> History:
    """The history of an episode that was kept as states and timesteps, such as `xworld.evaluation.record` gives.

    Args:
      env: the environment that was played in.
      states: [T + 1, ...], those of `Env.reset` first. What comes after the end of the episode is left out.
      timesteps: that came with them.
      players: who played each of the A agents.
      task_name: what the task is called.

    Raises:
      ConfigError: not one episode stacked over time from its start, or another number of players.
    """
    states, timesteps = jax.device_get((states, timesteps))
    if np.ndim(states.trial) != 1 or len(states.trial) != len(timesteps.event) or not timesteps.is_first[0]:
        raise ConfigError(
            f"A history is made of states and timesteps of one episode stacked over time, [T + 1, ...] both, those of "
            f"`reset` first; these have the shapes {np.shape(states.trial)} and {np.shape(timesteps.event)}."
        )
    is_last = timesteps.is_last
    num_steps = int(is_last.argmax()) if is_last.any() else len(is_last) - 1
    task = jax.tree.map(lambda leaf: leaf[0], states.task)
    header = Header(env.config, task, int(states.seed[0]), tuple(players), task_name)
    check_players(header)
    steps = (
        Step(tuple(actions.tolist()), tuple(rewards.tolist()), int(event))
        for actions, rewards, event in zip(
            states.last_action[1:], timesteps.reward[1:], timesteps.event[1:], strict=True
        )
    )
    return History(header, tuple(step for _, step in zip(range(num_steps), steps, strict=False)))


def start_episode(env: Env, seed: int, task: Task) -> tuple[State, TimeStep]:
    """State and timestep with which the episode of a seed starts; compiled.

    Raises:
      ConfigError: the seed is no whole number from 0 to 2^32 - 1.
    """
    return _reset(env, jnp.uint32(check_seed(seed, "seed")), task)


@partial(jax.jit, static_argnums=0)
def _reset(env: Env, seed: jax.Array, task: Task) -> tuple[State, TimeStep]:
    return env.reset_from_seed(seed, task)


@partial(jax.jit, static_argnums=0)
def _play(env: Env, state: State, actions: jax.Array) -> tuple[State, tuple[State, TimeStep]]:
    """The state after [n, A] actions, and the states and timesteps [n, ...] on the way."""

    def step(state: State, action: jax.Array) -> tuple[State, tuple[State, TimeStep]]:
        after, timestep = env.step(state, action)
        return after, (after, timestep)

    return jax.lax.scan(step, state, actions)
