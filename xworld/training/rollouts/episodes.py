"""What became of trials and episodes in a rollout: returns and errors, each of the task that was played.

A rollout cuts episodes anywhere, so sums are carried from one rollout to the next. An environment plays at most two
tasks in a rollout, the current and the prepared next one, and moves on to the second by itself; what was earned belongs
to the task of that step, known by its id, and not to whatever its environment plays at the end.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from xworld.core.types import Task
from xworld.training.rollouts.rollout import Rollout, Steps, begins, is_present

_BEFORE = -(2**30)  # steps of what began before the run: stays below 0 for as long as it lasts


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Tally:
    """Sums so far, over the trial and over the episode that go on; arrays [B, 2], trial and episode."""

    num_steps: jax.Array  # int32, in which the learner had a seat; far below 0 if it began before the run
    reward: jax.Array  # float32, mean over the seats that are looked at
    error: jax.Array  # float32, of one-step errors without their signs, mean over the learner's seats

    @classmethod
    def start(cls, num_envs: int) -> "Tally":
        """Nothing yet, in `num_envs` environments, which may be in the midst of a trial."""
        nothing = jnp.zeros((num_envs, 2), jnp.float32)
        return cls(jnp.full((num_envs, 2), _BEFORE, jnp.int32), nothing, nothing)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Trials:
    """The trials that ended in a rollout, each at the step [T, B] that ended it; what is elsewhere means nothing."""

    is_end: jax.Array  # [T, B] bool, whether a trial ended that was seen from its first step on
    is_last: jax.Array  # [T, B] bool, whether an episode ended that was seen from its first step on
    trial: jax.Array  # [T, B] int32, 0-based
    length: jax.Array  # [T, B] int32, steps
    return_: jax.Array  # [T, B] float32, the trial's reward divided by its length
    error: jax.Array  # [T, B] float32, mean of |one-step error| over the trial's steps in which the learner had a seat
    episode_error: jax.Array  # [T, B] float32, likewise over the whole episode; where `is_last`


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Episodes:
    """The tasks that were in play in a rollout, and the newest episode of each that was finished in it.

    Arrays [B, 2, ...]: of each environment its current and its next task, which may not have been played yet.
    """

    task: Task  # [B, 2, ...]
    has_moved_on: jax.Array  # [B] bool, whether the environment is at its next task when the rollout is over
    num_finished: jax.Array  # [B, 2] int32, whole episodes that ended; where 0, what follows means nothing
    return_: jax.Array  # [B, 2] float32, of the last trial, divided by its length
    error: jax.Array  # [B, 2] float32, mean of |one-step error| over the learner's steps of the last trial
    episode_error: jax.Array  # [B, 2] float32, likewise over all trials

    @property
    def task_id(self) -> jax.Array:
        """[B, 2, 2] int32, worlds and games."""
        return task_ids(self.task)

    @property
    def is_finished(self) -> jax.Array:
        """[B, 2] bool."""
        return self.num_finished > 0


def task_ids(tasks: Task) -> jax.Array:
    """[..., 2] int32 ids of tasks, world and game, by which they are known."""
    return jnp.stack([tasks.world_id, tasks.game_id], axis=-1)


def follow_trials(tally: Tally, steps: Steps, errors: jax.Array) -> tuple[Tally, Trials]:
    """The sums after a rollout, and the trials that ended in it.

    Args:
      tally: from `Tally.start`, or of the rollout before.
      steps: of the rollout.
      errors: [T, B, A] one-step errors.
    """
    is_ours, is_there = steps.weight > 0, is_present(steps.observation) > 0
    is_own = is_ours.any(-1)
    # Where the learner has no seat, as in idle environments, what all earn is looked at, and no error.
    reward = _mean_over(jnp.where(is_own[..., None], is_ours, is_there), steps.reward)
    error = _mean_over(is_ours, jnp.abs(errors))
    observation = steps.observation
    is_trial_first, is_trial_end = observation.time_left == observation.trial_length, observation.time_left == 1

    def add(tally: Tally, step: tuple[jax.Array, ...]) -> tuple[Tally, Tally]:
        is_own, reward, error, is_first = step
        tally = jax.tree.map(lambda leaf: jnp.where(is_first, 0, leaf), tally)
        so_far = Tally(tally.num_steps + is_own[:, None], tally.reward + reward[:, None], tally.error + error[:, None])
        return so_far, so_far

    is_first = jnp.stack([is_trial_first, begins(observation)], axis=-1)  # [T, B, 2]
    tally, sums = jax.lax.scan(add, tally, (is_own.astype(jnp.int32), reward, error, is_first))
    length, is_whole = observation.trial_length, sums.num_steps >= 0
    mean_error = sums.error / jnp.maximum(sums.num_steps, 1)
    return tally, Trials(
        is_end=is_trial_end & is_whole[..., 0],
        is_last=(steps.discount == 0) & is_whole.all(-1),
        trial=observation.trial,
        length=length,
        return_=sums.reward[..., 0] / length,
        error=mean_error[..., 0],
        episode_error=mean_error[..., 1],
    )


def finished_episodes(trials: Trials, rollout: Rollout) -> Episodes:
    """The tasks of a rollout, and what became of them in the trials that ended in it."""
    is_next = rollout.steps.is_next_task
    is_of = jnp.stack([~is_next, is_next], axis=-1)  # [T, B, 2]
    is_finished = trials.is_last[..., None] & is_of
    num_steps = trials.is_last.shape[0]
    newest = num_steps - 1 - jnp.argmax(is_finished[::-1], axis=0)  # [B, 2]

    def pick(values: jax.Array) -> jax.Array:
        return values[newest, jnp.arange(values.shape[1])[:, None]]

    def both(now: jax.Array, following: jax.Array) -> jax.Array:
        return jnp.stack([now, following], axis=1)

    return Episodes(
        task=jax.tree.map(both, *rollout.context.tasks),
        has_moved_on=(rollout.steps.discount == 0).any(0),  # maybe with the last step, which shows in no step's task
        num_finished=is_finished.sum(0, dtype=jnp.int32),
        return_=pick(trials.return_),
        error=pick(trials.error),
        episode_error=pick(trials.episode_error),
    )


def _mean_over(seats: jax.Array, values: jax.Array) -> jax.Array:
    """[T, B] mean of [T, B, A] values over some of the seats; 0 where there are none."""
    return jnp.where(seats, values, 0).sum(-1) / jnp.maximum(seats.sum(-1), 1)
