"""All that was seen in a batch of episodes is derived again on the device, from tasks, seeds and actions."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from xworld.core.env import Env, Outcome
from xworld.core.step.actions import NOOP
from xworld.core.types import Observation, State, Task, TimeStep
from xworld.core.vector import batch_first, batch_last, without_world


def derive(env: Env, tasks: Task, seeds: jax.Array, actions: jax.Array, trials: jax.Array | None = None) -> TimeStep:
    """The timesteps [T + 1, B, ...] of B episodes, those of `Env.reset` first. Pure; to be compiled with what uses it.

    They equal, byte for byte, those that `Env.reset` and `Env.step` gave.

    Args:
      env: the environment that was played in.
      tasks: leaves [B, ...].
      seeds: [B] uint32, of the episodes.
      actions: [T, B, A] integers; outside 0-6 is noop. What follows the end of an episode changes nothing.
      trials: [B] uint16, the trials that are begun with instead of the first. What their first timestep says of the
        step before, action and reward, is not known and is as at reset.
    """
    state = env.start(seeds, batch_last(tasks), trials)
    no = jnp.zeros(seeds.shape, bool)
    outcome = Outcome(jnp.zeros_like(state.last_reward), no.astype(jnp.int32), ~no, no)
    is_first = ~no if trials is None else trials == 0
    task, sight_lines = state.task, state.sight_lines

    def step(moment: tuple[State, Outcome, jax.Array], action: jax.Array) -> tuple[Any, TimeStep]:
        state, outcome, is_first = moment
        state = dataclasses.replace(state, task=task, sight_lines=sight_lines)
        following, after = env.advance(state, action.T)
        return (without_world(following), after, no), batch_first(env.timestep(state, outcome, is_first))

    # What is seen last needs one more step, whose outcome is left out: cheaper than to copy all that was seen.
    filled = jnp.pad(actions, ((0, 1), (0, 0), (0, 0)), constant_values=NOOP)
    return jax.lax.scan(step, (without_world(state), outcome, is_first), filled)[1]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Pieces:
    """B windows of L steps, as they are read: R pieces of episodes, of which the windows are put together."""

    tasks: Task  # [R, ...]
    seed: jax.Array  # [R] uint32
    trial: jax.Array  # [R] uint16, with which a piece begins
    action: jax.Array  # [T, R, A] uint8, from there on
    piece: jax.Array  # [L, B] int32, which piece a window's step is in ...
    time: jax.Array  # [L, B] int32, ... and which of its steps it is
    is_start: jax.Array  # [B] bool, whether a window begins where its stream does
    num_kept: jax.Array  # [B] int32 steps, from a window's start on, that are to be learned from
    labels: dict[str, jax.Array]  # [L, B, A] or [L, B], by name


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Windows:
    """B windows of L steps each, which may span trials and episodes."""

    tasks: Task  # [R, ...], of the pieces
    piece: jax.Array  # [L, B] int32, whose task it is
    is_start: jax.Array  # [B] bool, whether a window begins where its stream does
    num_kept: jax.Array  # [B] int32 steps, from a window's start on, that are to be learned from
    observation: Observation  # [L, B, ...], before the action
    is_first: jax.Array  # [L, B] bool, whether an episode begins with it
    is_trial_first: jax.Array  # [L, B] bool, whether a trial does
    action: jax.Array  # [L, B, A] int32
    reward: jax.Array  # [L, B, A] float32, received after the action
    discount: jax.Array  # [L, B] float32, 0 where the episode ended after the action
    event: jax.Array  # [L, B] int32, after the action: 1 + the rule that fired, or 0
    labels: dict[str, jax.Array]  # [L, B, A] or [L, B], by name


def derive_windows(env: Env, pieces: Pieces) -> Windows:
    """What was seen and done in windows. Pure; to be compiled with what uses it."""
    timesteps = derive(env, pieces.tasks, pieces.seed, pieces.action, pieces.trial)
    before, after = (pieces.time, pieces.piece), (pieces.time + 1, pieces.piece)

    def pick(tree: Any, index: tuple[jax.Array, jax.Array]) -> Any:
        return jax.tree.map(lambda leaf: leaf[index], tree)

    return Windows(
        tasks=pieces.tasks,
        piece=pieces.piece,
        is_start=pieces.is_start,
        num_kept=pieces.num_kept,
        observation=pick(timesteps.observation, before),
        is_first=pick(timesteps.is_first, before),
        is_trial_first=pick(timesteps.is_trial_first, before),
        action=pick(pieces.action, before).astype(jnp.int32),
        reward=pick(timesteps.reward, after),
        discount=pick(timesteps.discount, after),
        event=pick(timesteps.event, after),
        labels=pieces.labels,
    )
