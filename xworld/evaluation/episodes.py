"""Playing episodes on the devices: a batch of them for its returns, or one for its states and timesteps.

What is played in a batch may differ in task, length and number of trials, which are data: one compiled function serves
all. It runs for as long as the longest of the batch, so `make_batches` puts episodes of about one length together.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from xworld.agents.policy import Policy
from xworld.base.errors import ConfigError
from xworld.base.xla.devices import AXIS, make_mesh
from xworld.base.xla.jit_key import jit_key
from xworld.core.env import Env, Outcome
from xworld.core.types import State, Task, TimeStep, episode_lengths
from xworld.core.vector import without_world

T = TypeVar("T")


def make_batches(num_steps: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """The indices of episodes of [num_episodes] `num_steps`, in batches of episodes of about one length.

    All batches have `batch_size` indices, or as many as there are episodes if these are fewer, so that one compiled
    function serves all. The last is filled up with its own.

    Raises:
      ConfigError: `batch_size` is below 1.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}; write a whole number of at least 1.")
    batch_size = min(batch_size, num_steps.size)
    order = np.argsort(num_steps, kind="stable")
    batches = [order[start : start + batch_size] for start in range(0, order.size, batch_size)]
    batches[-1] = np.resize(batches[-1], batch_size)
    return batches


def in_order(batches: list[np.ndarray], parts: list[T]) -> T:
    """What was found in each of `make_batches`' batches, in one: leaves [num_episodes, ...] in the episodes' order.

    Args:
      batches: the indices of their episodes.
      parts: for each of them a pytree, leaves [batch_size, ...], on the host.
    """
    _, place = np.unique(np.concatenate(batches), return_index=True)  # the last batch is filled up with its own
    joined: T = jax.tree.map(lambda *leaves: np.concatenate(leaves)[place], *parts)
    return joined


def play_batch(
    env: Env, tasks: Task, episodes: np.ndarray, policy: Policy, key: jax.Array, max_trials: int
) -> np.ndarray:
    """[batch, max_trials] float32 returns of one episode of each of `tasks`, shared out to all devices.

    A return is the sum of the rewards of a trial, mean over the agents that are there; 0 of trials that a task has not.

    Args:
      env: the environment the tasks are for.
      tasks: leaves [batch, ...], numpy.
      episodes: [batch] each episode's number, for `episode_key`.
      policy: how to play.
      key: of the evaluation.
      max_trials: at least the largest `num_trials` of the tasks; another one means compiling again.
    """
    num_episodes = len(episodes)
    mesh = make_mesh()
    filled = np.resize(np.arange(num_episodes), -(-num_episodes // mesh.size) * mesh.size)
    batch = jax.tree.map(lambda leaf: leaf[filled], (tasks, episodes))
    num_steps = episode_lengths(tasks).max()
    sharding = NamedSharding(mesh, P(AXIS))
    placed = jax.tree.map(
        lambda leaf: jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index]), batch
    )
    fixed = env, mesh, max_trials, jit_key(policy)
    return np.asarray(_play(*fixed, *placed, jnp.int32(num_steps), policy, key))[:num_episodes]


def episode_key(key: jax.Array, episode: int | jax.Array) -> jax.Array:
    """The key that episode number `episode` of an evaluation is played with."""
    return jax.random.fold_in(key, episode)


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _play(
    env: Env,
    mesh: Mesh,
    max_trials: int,
    _key: tuple[Any, ...],
    tasks: Task,
    episodes: jax.Array,
    num_steps: jax.Array,
    policy: Policy,
    key: jax.Array,
) -> jax.Array:
    """[batch, max_trials] returns, on all devices; every device plays its share on its own."""

    def play(*args: Any) -> jax.Array:
        return jax.lax.all_gather(_play_share(env, max_trials, *args), AXIS, tiled=True)

    # The simulator's loops start from constants, which the check of what varies over devices would refuse.
    share = jax.shard_map(play, mesh=mesh, in_specs=(P(AXIS), P(AXIS), P(), P(), P()), out_specs=P(), check_vma=False)
    return share(tasks, episodes, num_steps, policy, key)


def _play_share(
    env: Env,
    max_trials: int,
    tasks: Task,
    episodes: jax.Array,
    num_steps: jax.Array,
    policy: Policy,
    key: jax.Array,
) -> jax.Array:
    """As in `VectorEnv`, states have the batch in the last axis, timesteps and what is the policy's in the first."""

    def start(task: Task, number: jax.Array) -> tuple[State, Outcome, Any, jax.Array, jax.Array]:
        state, timestep, memory, act_key = begin_episode(env, policy, task, episode_key(key, number))
        outcome = Outcome(timestep.reward, timestep.event, timestep.is_trial_first, timestep.is_last)
        return state, outcome, memory, act_key, task.is_present.sum()

    state, outcome, memory, keys, num_agents = jax.vmap(start, out_axes=(-1, -1, 0, 0, 0))(tasks, episodes)
    task, sight_lines, trials = state.task, state.sight_lines, jnp.arange(max_trials)[:, None]

    def step(number: jax.Array, carry: tuple[State, Outcome, Any, jax.Array]) -> tuple[State, Outcome, Any, jax.Array]:
        state, outcome, memory, returns = carry
        state = dataclasses.replace(state, task=task, sight_lines=sight_lines)
        # Observed before acting, not after: for a policy that looks at nothing the compiler leaves it out.
        timestep = env.timestep(state, outcome, is_first=jnp.broadcast_to(number == 0, state.time.shape))
        timestep = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), timestep)
        step_keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, number)
        memory, actions = jax.vmap(policy.act, in_axes=(0, 0, -1, 0))(memory, step_keys, state, timestep)
        following, outcome = env.advance(state, actions.T)
        # After the end rewards are 0, and land harmlessly in the last trial.
        returns += jnp.where(trials == state.trial, outcome.reward.sum(0) / num_agents, 0)
        return without_world(following), outcome, memory, returns

    returns = jnp.zeros((max_trials, *episodes.shape), jnp.float32)
    carry = without_world(state), outcome, memory, returns
    return jax.lax.fori_loop(0, num_steps, step, carry)[3].T


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Moment:
    """One environment being played."""

    state: State
    timestep: TimeStep
    memory: Any  # the policy's


def record_episode(env: Env, num_steps: int, task: Task, policy: Policy, key: jax.Array) -> tuple[State, TimeStep]:
    """States and timesteps [num_steps + 1, ...] of one episode, from reset to the last step; `key` is its own."""
    return _record(env, num_steps, jit_key(policy), task, policy, key)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _record(
    env: Env, num_steps: int, _key: tuple[Any, ...], task: Task, policy: Policy, key: jax.Array
) -> tuple[State, TimeStep]:
    state, timestep, memory, act_key = begin_episode(env, policy, task, key)

    def step(moment: _Moment, number: jax.Array) -> tuple[_Moment, tuple[State, TimeStep]]:
        step_key = jax.random.fold_in(act_key, number)
        memory, actions = policy.act(moment.memory, step_key, moment.state, moment.timestep)
        state, timestep = env.step(moment.state, actions)
        return _Moment(state, timestep, memory), (state, timestep)

    _, following = jax.lax.scan(step, _Moment(state, timestep, memory), jnp.arange(num_steps))
    return jax.tree.map(lambda one, many: jnp.concatenate([one[None], many]), (state, timestep), following)


def begin_episode(env: Env, policy: Policy, task: Task, key: jax.Array) -> tuple[State, TimeStep, Any, jax.Array]:
    """The first state and timestep, the policy's memory, and the key of its chance."""
    reset_key, start_key, act_key = jax.random.split(key, 3)
    state, timestep = env.reset(reset_key, task)
    return state, timestep, policy.start(start_key, state, env.briefing(task)), act_key
