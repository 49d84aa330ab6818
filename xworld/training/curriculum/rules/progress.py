"""`progress`: learning progress. Those sorts of tasks are trained on in which the agent gets better, or worse.

Tasks are sorted into cells by what the generator's knobs decide: firings and hidden rules. For each cell two running
means of the last trial's return are kept, a fast one and a slow one; progress is how far they are apart. Nothing is
tried out: the newest tasks that were drawn are the pool to draw from, and keep every cell known. Source:
Kanitscheider et al. 2021 (arXiv 2106.14876), whose list of tasks are cells here.
"""

import dataclasses
from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp

from xworld.base.checks import check_fields, check_number, check_whole
from xworld.base.errors import ConfigError
from xworld.core.types import Task, TaskSource
from xworld.tasks.variants.anatomy import task_info
from xworld.training.curriculum.archive import Archive, pick_source
from xworld.training.curriculum.followed import Followed, check_enough, numbered
from xworld.training.curriculum.sizes import Sizes
from xworld.training.rollouts.episodes import Episodes
from xworld.training.rollouts.try_out import Search

# Firings, 0 to 4 or more; hidden rules of the chain, 0 to 2 or more. Few, so that each has many times the episodes that
# the slow mean looks back: docs/curricula.md has the numbers.
_CELLS = (5, 3)
NUM_CELLS = 5 * 3


@dataclass(frozen=True)
class ProgressConfig:
    """Learning progress over cells of the generator's knobs.

    Raises:
      ConfigError: a value out of range.
    """

    uniform: float = 0.25  # share of the tasks that are new ones, at least .25: they keep every cell known
    capacity: int = 1024  # the newest tasks, from which the others are drawn
    fast_rate: float = 0.005  # of the fast running means, for each episode of a cell
    slow_rate: float = 0.0005  # of the slow ones
    low: float = 0.1  # returns below this count for more: a return x is x (1 - low) / (x + low (1 - 2 x))

    def __post_init__(self) -> None:
        check = partial(check_fields, self, owner="ProgressConfig")
        check(("capacity",), partial(check_whole, low=1))
        check(("uniform",), partial(check_number, low=0.25, high=1))
        check(
            ("fast_rate", "slow_rate", "low"),
            partial(check_number, low=0, high=1, excludes_low=True, excludes_high=True),
        )
        if self.slow_rate >= self.fast_rate:
            raise ConfigError(
                f"ProgressConfig.slow_rate is {self.slow_rate}, not below the fast_rate of {self.fast_rate}. Lower it."
            )

    def search(self, sizes: Sizes) -> Search | None:
        """None."""
        return None

    def make(self, source: TaskSource, sizes: Sizes) -> "LearningProgress":
        """The curriculum with nothing seen yet."""
        check_enough(source, self.capacity, "ProgressConfig.capacity")
        source = numbered(source)
        none = jnp.zeros(NUM_CELLS, jnp.float32)
        weights = jnp.zeros(self.capacity, jnp.float32)
        pool, prepared = Archive.start(source, self.capacity), jnp.zeros((sizes.num_envs, 2), jnp.int32)
        return LearningProgress(source, jnp.int32(0), pool, prepared, weights, none, none, self)


def cell_of(task: Task) -> jax.Array:
    """[] int32 below NUM_CELLS: the cell of a task."""
    info = task_info(task)
    firings, hidden = (
        jnp.minimum(part, size - 1)
        for part, size in zip((info.num_firings, info.num_hidden_rules), _CELLS, strict=True)
    )
    return (firings * _CELLS[1] + hidden).astype(jnp.int32)


def progress(fast: jax.Array, slow: jax.Array, low: float) -> jax.Array:
    """[...] how far two running means of returns in [0, 1] are apart, low ones stretched."""

    def stretch(value: jax.Array) -> jax.Array:
        return value * (1 - low) / (value + low * (1 - 2 * value))

    return jnp.abs(stretch(fast) - stretch(slow))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LearningProgress(Followed):
    """Trains on tasks of a cell that is drawn by its progress, and on new ones."""

    pool: Archive  # the newest tasks
    prepared: jax.Array  # [num_envs, 2] int32, ids of the next task of each environment at the last update
    weights: jax.Array  # [N] float32, how likely each of them is drawn
    fast: jax.Array  # [NUM_CELLS] float32, running means of last trials' returns, from 0 on
    slow: jax.Array  # [NUM_CELLS] float32
    config: ProgressConfig = field(metadata={"static": True})

    def sample(self, key: jax.Array) -> Task:
        """A task of a cell in which there is progress, or a new one."""
        coin_key, key = jax.random.split(key)
        is_old = (self.weights > 0).any() & jax.random.bernoulli(coin_key, 1 - self.config.uniform)
        return pick_source(is_old, lambda key: self.pool.draw(key, self.weights), self.source, key)

    def update(self, key: jax.Array, seen: Episodes) -> "LearningProgress":
        """Moves the means of cells with finished episodes; what was drawn since the last update goes into the pool.

        A task is offered once, when it is drawn: one that has left the pool does not come back while it is still
        played.
        """
        clock, config = self.clock + 1, self.config
        tasks = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), seen.task)
        is_finished, returns = seen.is_finished.reshape(-1), seen.return_.reshape(-1)
        is_of = (jax.vmap(cell_of)(tasks)[:, None] == jnp.arange(NUM_CELLS)) & is_finished[:, None]  # [M, C]
        number = is_of.sum(0).astype(jnp.float32)
        mean = jnp.where(is_of, returns[:, None], 0).sum(0) / jnp.maximum(number, 1)
        # As if one episode after the other had come in, each with the mean.
        fast, slow = (
            mean + (1 - rate) ** number * (old - mean)
            for rate, old in ((config.fast_rate, self.fast), (config.slow_rate, self.slow))
        )
        offered = jnp.full(len(returns), clock, jnp.float32)
        prepared = seen.task_id[:, 1]
        is_first = jnp.broadcast_to(self.clock == 0, len(prepared))
        is_drawn = jnp.stack([is_first, is_first | (prepared != self.prepared).any(-1)], axis=-1)  # since the last one
        pool = self.pool.follow(seen, clock).insert(tasks, offered, is_drawn.reshape(-1), clock)
        weights = _weigh(pool, progress(fast, slow, config.low))
        return dataclasses.replace(
            self, clock=clock, pool=pool, prepared=prepared, weights=weights, fast=fast, slow=slow
        )

    def age(self, task_id: jax.Array) -> jax.Array:
        """[...] float32, updates since a task was drawn for the first time."""
        return self.pool.age(task_id, self.clock)

    def best(self, number: int) -> tuple[Task, jax.Array]:
        """The newest tasks."""
        return self.pool.best(number)

    def metrics(self) -> dict[str, jax.Array]:
        """Mean progress of the cells, and how many there are in which there is any."""
        found = progress(self.fast, self.slow, self.config.low)
        return {"progress": found.mean(), "cells": (found > 0).sum(dtype=jnp.float32)}


def _weigh(pool: Archive, found: jax.Array) -> jax.Array:
    """[N] weights: a cell is drawn by its progress, and its tasks are equally likely."""
    cells = jax.vmap(cell_of)(pool.tasks)
    count = jnp.zeros(NUM_CELLS, jnp.float32).at[cells].add(pool.is_filled)
    return jnp.where(pool.is_filled, found[cells] / jnp.maximum(count[cells], 1), 0).astype(jnp.float32)
