"""What the curricula of this package have in common: a source of new tasks, a clock, and what they see of episodes."""

import dataclasses
from collections.abc import Sized
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from xworld.base.errors import ConfigError
from xworld.core.types import TaskSource
from xworld.tasks import TaskPool, TaskSet, Universe
from xworld.training.rollouts.episodes import Episodes, Tally, finished_episodes, follow_trials
from xworld.training.rollouts.rollout import Rollout


@dataclass(frozen=True)
class Followed:
    """Sees the episodes that were finished, by task. All tasks are learned from."""

    source: TaskSource  # of new tasks
    clock: jax.Array  # [] int32, updates done

    @property
    def universe(self) -> TaskSource:
        """Where new tasks come from, a pool's universe."""
        source: TaskSource = getattr(self.source, "universe", self.source)
        return source

    def start(self, num_envs: int) -> Tally:
        """Nothing seen yet."""
        return Tally.start(num_envs)

    def is_learned_from(self, task_id: jax.Array) -> jax.Array:
        """[...] bool: all are; what is tried out is so elsewhere."""
        return jnp.ones(task_id.shape[:-1], bool)

    def follow(self, carry: Tally, rollout: Rollout, signals: dict[str, jax.Array]) -> tuple[Tally, Episodes]:
        """The next sums, and the episodes that were finished, but for those whose last trial was not the learner's.

        That is one trial alone, which a demonstrator played: it says nothing of the agent.
        """
        tally, trials = follow_trials(carry, rollout.steps, td_errors(signals))
        is_own = (rollout.steps.weight > 0).any(-1)
        return tally, finished_episodes(dataclasses.replace(trials, is_last=trials.is_last & is_own), rollout)


def td_errors(signals: dict[str, jax.Array]) -> jax.Array:
    """[T, B, A] one-step errors.

    Raises:
      ConfigError: the learner says nothing of them.
    """
    if "td_error" not in signals:
        raise ConfigError(
            f"The curriculum needs the learner's one-step errors, but it reports {', '.join(signals) or 'nothing'}. "
            'Have its `Report.signals` hold "td_error", [T, B, A].'
        )
    return signals["td_error"]


def numbered(source: TaskSource) -> TaskSource:
    """The source with ids by which its tasks can be told apart: those of a `TaskSet` are their places in it.

    Raises:
      ConfigError: another source whose tasks have no ids.
    """
    if isinstance(source, Universe | TaskPool):
        return source
    if isinstance(source, TaskSet):
        index = jnp.arange(len(source), dtype=jnp.int32)
        return TaskSet(dataclasses.replace(source.tasks, world_id=jnp.zeros_like(index), game_id=index))
    tasks = jax.jit(jax.vmap(source.sample))(jax.random.split(jax.random.key(0), 2))
    if (tasks.game_id < 0).any() and (tasks.world_id < 0).any():
        raise ConfigError(
            f"The tasks of {type(source).__name__} have no ids (they are -1), so that none could be told from another. "
            "Give each an own Task.game_id from 0 on."
        )
    return source


def check_enough(source: TaskSource, num_tasks: int, what: str) -> None:
    """Makes sure that a source has as many tasks as a curriculum is to keep.

    Raises:
      ConfigError: it is finite, and has fewer.
    """
    if isinstance(source, Sized) and len(source) < num_tasks:
        raise ConfigError(f"{what} is {num_tasks}, but there are only {len(source)} tasks. Lower it, or give more.")
