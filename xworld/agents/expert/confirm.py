"""Plans played in the simulator: what they really earn."""

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from xworld.core.env import Env
from xworld.core.step.actions import NOOP
from xworld.core.types import State, Task

_NUM_PLANS = 64  # played at a time, and
_NUM_STEPS = 32  # steps at a time, so that one compiled function serves all plans


@dataclass(frozen=True)
class Replays:
    """What n plans earned, on the host."""

    is_rewarded: np.ndarray  # [n, T, A] bool, whether an agent's goal held after a step
    events: np.ndarray  # [n, T] int32, 1 + the rule that fired, or 0


def confirm(env: Env, tasks: Task, index: np.ndarray, directions: np.ndarray, actions: np.ndarray) -> Replays:
    """Plays one trial of task `index[k]` for each plan k.

    Args:
      env: the environment the tasks are for.
      tasks: stacked tasks on the host, leaves [num_tasks, ...].
      index: [n] which task each plan is for.
      directions: [n, A] directions of the agents at the start.
      actions: [n, T, A] uint8, T at least the longest trial; a shorter trial's plan is not read beyond its end.
    """
    num_plans, num_steps = actions.shape[:2]
    rewards, events = [], []
    for start in range(0, num_plans, _NUM_PLANS):
        chosen = np.resize(np.arange(start, min(start + _NUM_PLANS, num_plans)), _NUM_PLANS)  # filled up by repeating
        rows = index[chosen]
        batch = replace(
            jax.tree.map(lambda leaf, rows=rows: np.asarray(leaf)[rows], tasks),
            agent_facing=directions[chosen].astype(np.uint8),
            num_trials=np.ones(_NUM_PLANS, np.uint16),
        )
        length = int(batch.trial_length.max())
        states, earned, fired = _start(env, batch), [], []
        for step in range(0, length, _NUM_STEPS):
            part = actions[chosen, step : step + _NUM_STEPS]
            part = np.pad(part, ((0, 0), (0, _NUM_STEPS - part.shape[1]), (0, 0)), constant_values=NOOP)
            states, reward, event = _play(env, states, jnp.asarray(part))
            earned.append(np.asarray(reward) > 0)
            fired.append(np.asarray(event))
        rewards.append(_fit(np.concatenate(earned, axis=1), num_steps))
        events.append(_fit(np.concatenate(fired, axis=1), num_steps))
    return Replays(np.concatenate(rewards)[:num_plans], np.concatenate(events)[:num_plans])


def only_goal(tasks: Task, goal_ids: np.ndarray) -> Task:
    """Stacked tasks on the host, each with its goal of that number alone; as they are where tasks have one goal."""
    if not tasks.has_several_goals:
        return tasks

    def choose(field: np.ndarray) -> np.ndarray:  # [n, G, ...]
        chosen = np.zeros_like(field)
        chosen[:, 0] = field[np.arange(len(field)), goal_ids]
        return chosen

    return replace(tasks, goals=jax.tree.map(lambda field: choose(np.asarray(field)), tasks.goals))


def _fit(values: np.ndarray, num_steps: int) -> np.ndarray:
    """[n, num_steps, ...]: the values of the first steps, and 0 after them."""
    values = values[:, :num_steps]
    return np.pad(values, [(0, num_steps - values.shape[1]) if axis == 1 else (0, 0) for axis in range(values.ndim)])


@partial(jax.jit, static_argnums=0)
def _start(env: Env, tasks: Task) -> State:
    return jax.vmap(lambda task: env.reset_from_seed(jnp.uint32(0), task)[0])(tasks)


@partial(jax.jit, static_argnums=0)
def _play(env: Env, states: State, actions: jax.Array) -> tuple[State, jax.Array, jax.Array]:
    """The states after some steps, their [n, steps, A] float32 rewards, and [n, steps] int32 events."""

    def play_one(state: State, actions: jax.Array) -> tuple[State, jax.Array, jax.Array]:
        def step(state: State, action: jax.Array) -> tuple[State, tuple[jax.Array, jax.Array]]:
            state, timestep = env.step(state, action)
            return state, (timestep.reward, timestep.event)

        state, (rewards, events) = jax.lax.scan(step, state, actions)
        return state, rewards, events

    return jax.vmap(play_one)(states, actions)
