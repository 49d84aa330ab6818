"""`Archive`: the tasks that a curriculum keeps, with their scores, best first; and how they are drawn from it."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from xworld.core.types import Task, TaskSource
from xworld.training.rollouts.episodes import Episodes, task_ids

EMPTY = -jnp.inf  # the score of a place in which there is no task


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Archive:
    """N places for tasks, in the order of their scores, the highest first. No task is there twice."""

    tasks: Task  # [N, ...]
    score: jax.Array  # [N] float32, EMPTY where there is no task
    born: jax.Array  # [N] int32, the update in which it came in
    played: jax.Array  # [N] int32, the update in which it was last in play
    num_episodes: jax.Array  # [N] int32, finished episodes of it since it came in
    num_playing: jax.Array  # [N] int32, environments that play it, or will next

    @classmethod
    def start(cls, source: TaskSource, capacity: int) -> "Archive":
        """An empty one, for tasks as the source makes them."""
        like = jax.eval_shape(source.sample, jax.eval_shape(lambda: jax.random.key(0)))
        tasks = jax.tree.map(lambda leaf: jnp.zeros((capacity, *leaf.shape), leaf.dtype), like)
        none = jnp.zeros(capacity, jnp.int32)
        return cls(tasks, jnp.full(capacity, EMPTY, jnp.float32), none, none, none, none)

    @property
    def is_filled(self) -> jax.Array:
        """[N] bool."""
        return self.score > EMPTY

    @property
    def num_filled(self) -> jax.Array:
        """[] int32."""
        return self.is_filled.sum(dtype=jnp.int32)

    def where(self, task_id: jax.Array) -> jax.Array:
        """[..., N] bool, which place has the task with each of [..., 2] ids; none where it is not there."""
        return (task_id[..., None, :] == task_ids(self.tasks)).all(-1) & self.is_filled

    def task(self, place: jax.Array) -> Task:
        """The task in a place."""
        return jax.tree.map(lambda leaf: leaf[place], self.tasks)

    def best(self, number: int) -> tuple[Task, jax.Array]:
        """[number, ...] tasks of the highest scores; and [] int32, how many of them there are."""
        return jax.tree.map(lambda leaf: leaf[:number], self.tasks), jnp.minimum(self.num_filled, number)

    def draw(self, key: jax.Array, weights: jax.Array) -> Task:
        """A task, with chances in proportion to [N] weights, of which one at least is above 0."""
        return self.task(jax.random.choice(key, len(weights), p=weights))

    def age(self, task_id: jax.Array, clock: jax.Array) -> jax.Array:
        """[...] float32 for [..., 2] ids: updates since a task came in; 0 for one that is not there."""
        return jnp.where(self.where(task_id), clock - self.born, 0).sum(-1).astype(jnp.float32)

    def follow(self, episodes: Episodes, clock: jax.Array, score: jax.Array | None = None) -> "Archive":
        """After episodes of the run's environments, with a new score of each task that has finished ones.

        That is the mean over those that finished it; out of order, so that `insert` has to follow. A task that was in
        play without a finished episode keeps its score.

        Args:
          episodes: [B, 2, ...].
          clock: [] int32.
          score: [B, 2] float32, of finished episodes; None to leave the scores as they are.
        """
        is_here = self.where(episodes.task_id.reshape(-1, 2))  # [2B, N]
        counts = is_here & episodes.is_finished.reshape(-1, 1)
        finished = jnp.where(is_here, episodes.num_finished.reshape(-1, 1), 0).sum(0)
        goes_on = jnp.stack([~episodes.has_moved_on, jnp.ones_like(episodes.has_moved_on)], axis=-1).reshape(-1, 1)
        after = dataclasses.replace(
            self,
            played=jnp.where(is_here.any(0), clock, self.played),
            num_episodes=self.num_episodes + finished,
            num_playing=(is_here & goes_on).sum(0, dtype=jnp.int32),
        )
        if score is None:
            return after
        total, count = jnp.where(counts, score.reshape(-1, 1), 0).sum(0), counts.sum(0)
        return dataclasses.replace(after, score=jnp.where(count > 0, total / jnp.maximum(count, 1), self.score))

    def insert(self, tasks: Task, score: jax.Array, is_offered: jax.Array, clock: jax.Array) -> "Archive":
        """The N best of what is here and of [M, ...] tasks that are offered; of equals, what was here longer.

        Tasks that are here already are left as they are, and of an offered task that is there twice the best counts.
        """
        is_new = is_offered & ~self.where(task_ids(tasks)).any(-1)
        capacity = len(self.score)
        # No more than fit, best first: to compare them all with each other would be a square of the environments.
        best_score, best = jax.lax.top_k(jnp.where(is_new, score, EMPTY), min(len(score), capacity))
        tasks = jax.tree.map(lambda leaf: leaf[best], tasks)
        task_id = task_ids(tasks)
        is_first = jnp.argmax((task_id[:, None] == task_id).all(-1), axis=1) == jnp.arange(len(best))
        now, none = jnp.full(len(best), clock, jnp.int32), jnp.zeros(len(best), jnp.int32)
        offered = Archive(tasks, jnp.where(is_first, best_score, EMPTY), now, now, none, none)
        both = jax.tree.map(lambda here, more: jnp.concatenate([here, more]), self, offered)
        _, kept = jax.lax.top_k(both.score, capacity)
        return jax.tree.map(lambda leaf: leaf[kept], both)


def pick_source(is_old: jax.Array, old: Callable[[jax.Array], Task], new: TaskSource, key: jax.Array) -> Task:
    """A task for a key: `old(key)` where `is_old`, else a new one. Where all are old none is made in vain."""
    return jax.lax.cond(is_old, old, new.sample, key)


def rank_weights(score: jax.Array, temperature: float) -> jax.Array:
    """[N] float32 of sum 1: (1 / rank)^(1 / temperature), rank 1 for the highest score; 0 for what is EMPTY.

    Equal scores have the ranks of their order. All 0 if all is empty. Source: Jiang et al. 2020, section 3.
    """
    order = jnp.argsort(-score, stable=True)
    rank = jnp.zeros(len(score), jnp.int32).at[order].set(jnp.arange(1, len(score) + 1))
    # Powers of the logarithm: a small temperature underflows to 0, and never overflows.
    weights = jnp.where(score > EMPTY, jnp.exp(-jnp.log(rank.astype(jnp.float32)) / temperature), 0)
    return weights / jnp.maximum(weights.sum(), 1e-30)


def staleness_weights(played: jax.Array, is_filled: jax.Array, clock: jax.Array) -> jax.Array:
    """[N] float32 of sum 1, in proportion to how long ago a task was played; equal ones if all were played now."""
    age = jnp.where(is_filled, clock - played, 0).astype(jnp.float32)
    age = jnp.where(age.sum() > 0, age, is_filled)
    return age / jnp.maximum(age.sum(), 1)
