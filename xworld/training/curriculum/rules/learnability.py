"""`learnability`: sampling for learnability (SFL). Tasks are trained on that sometimes succeed and sometimes do not.

Candidates are played in several episodes each; a task's score is the variance over them of the last trial's return. For
returns of 0 or 1 that is p (1 - p), the score of SFL. SFL searches before each block of training; here the search goes
on beside training, and its best candidates take the place of the last block's when the next begins. Source: Rutherford
et al. 2024 (arXiv 2408.15099).
"""

import dataclasses
from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp

from xworld.base.checks import check_fields, check_number, check_whole
from xworld.core.types import Task, TaskSource
from xworld.training.curriculum.archive import Archive, pick_source
from xworld.training.curriculum.followed import Followed, check_enough, numbered
from xworld.training.curriculum.sizes import Sizes, search_of
from xworld.training.rollouts.episodes import Episodes
from xworld.training.rollouts.try_out import Search


@dataclass(frozen=True)
class LearnabilityConfig:
    """Sampling for learnability.

    Raises:
      ConfigError: a value out of range.
    """

    capacity: int = 64  # the most learnable tasks of a block of updates, which are kept for the next
    updates_per_refresh: int = 64  # in a block
    num_episodes: int = 8  # of a candidate, at the same time; a variance needs at least 2
    replay: float = 0.5  # share of the tasks trained on that are of those kept; the rest are new
    search_share: float = 0.3  # of all environment steps, for trying candidates out

    def __post_init__(self) -> None:
        check = partial(check_fields, self, owner="LearnabilityConfig")
        check(("capacity", "updates_per_refresh"), partial(check_whole, low=1))
        check(("num_episodes",), partial(check_whole, low=2))
        check(("replay",), partial(check_number, low=0, high=1))
        check(("search_share",), partial(check_number, low=0, high=1, excludes_low=True, excludes_high=True))

    def search(self, sizes: Sizes) -> Search | None:
        """Rows of episodes."""
        return search_of(self.search_share, sizes, num_episodes=self.num_episodes)

    def make(self, source: TaskSource, sizes: Sizes) -> "Learnability":
        """The curriculum with nothing found yet."""
        check_enough(source, self.capacity, "LearnabilityConfig.capacity")
        source = numbered(source)
        empty = Archive.start(source, self.capacity)
        return Learnability(source, jnp.int32(0), empty, empty, self)


def learnability(returns: jax.Array) -> jax.Array:
    """[...] variance of [..., E] last trials' returns: of E - 1 zeros and a one it is (E - 1) / E^2."""
    return (returns - returns[..., :1]).var(-1)  # of equal returns exactly 0


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Learnability(Followed):
    """Trains on what was found most learnable in the block before, and on new tasks."""

    kept: Archive  # of the block before, by learnability
    found: Archive  # of this block
    config: LearnabilityConfig = field(metadata={"static": True})

    def sample(self, key: jax.Array) -> Task:
        """One of the tasks kept, all equally likely, or a new one."""
        coin_key, key = jax.random.split(key)
        is_filled = self.kept.is_filled
        is_old = is_filled.any() & jax.random.bernoulli(coin_key, self.config.replay)
        weights = is_filled.astype(jnp.float32)
        return pick_source(is_old, lambda key: self.kept.draw(key, weights), self.source, key)

    def update(self, key: jax.Array, seen: Episodes) -> "Learnability":
        """Time passes; what is trained on changes no score."""
        clock = self.clock + 1
        return dataclasses.replace(self, clock=clock, kept=self.kept.follow(seen, clock))

    def propose(self, key: jax.Array) -> Task:
        """A new task."""
        return self.source.sample(key)

    def judge(self, key: jax.Array, tried: Episodes) -> "Learnability":
        """Keeps the best candidates, none whose episodes all ended alike; at the end of a block, trains on them."""
        row = self.config.num_episodes
        returns, is_finished = (leaf.reshape(-1, row, 2) for leaf in (tried.return_, tried.is_finished))
        score = learnability(jnp.moveaxis(returns, 1, -1)).reshape(-1)
        is_offered = is_finished.all(1).reshape(-1) & (score > 0)
        first = jax.tree.map(lambda leaf: leaf[::row].reshape(-1, *leaf.shape[2:]), tried.task)
        found = self.found.insert(first, score, is_offered, self.clock)
        is_end = self.clock % self.config.updates_per_refresh == 0
        empty = dataclasses.replace(found, score=jnp.full_like(found.score, -jnp.inf))
        kept, found = (
            jax.tree.map(partial(jnp.where, is_end), new, old) for new, old in ((found, self.kept), (empty, found))
        )
        return dataclasses.replace(self, kept=kept, found=found)

    def age(self, task_id: jax.Array) -> jax.Array:
        """[...] float32, updates since a task was tried out."""
        return self.kept.age(task_id, self.clock)

    def best(self, number: int) -> tuple[Task, jax.Array]:
        """The most learnable tasks of the block before."""
        return self.kept.best(number)

    def metrics(self) -> dict[str, jax.Array]:
        """How many tasks are kept, and how learnable they were."""
        filled = self.kept.num_filled.astype(jnp.float32)
        total = jnp.where(self.kept.is_filled, self.kept.score, 0).sum()
        return {"filled": filled, "learnability": jnp.where(filled > 0, total / jnp.maximum(filled, 1), jnp.nan)}
