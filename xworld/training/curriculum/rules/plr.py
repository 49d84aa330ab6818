"""`plr`: prioritised level replay, as AdA has it. The tasks in which values are most wrong are trained on.

An archive keeps the tasks with the highest fitness: the mean absolute one-step error over the *last* trial, compared
with that of other tasks of as many trials. AdA draws, with probability p, a task of the archive and trains on it for 30
trials; else it plays a new one once, learns nothing from it, and keeps it if it is fit enough. Here both go on side by
side: the share of steps for new tasks is what these draws take on average. Until `min_filled` tasks are there new ones
are trained on. Sources: AdA (arXiv 2301.07608), appendix, "PLR details"; Jiang et al. 2020 and 2021.
"""

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from xworld.base.checks import check_bool, check_fields, check_number, check_whole, check_word
from xworld.base.errors import ConfigError
from xworld.core.types import Task, TaskSource
from xworld.training.curriculum.archive import Archive, pick_source, rank_weights, staleness_weights
from xworld.training.curriculum.followed import Followed, check_enough, numbered
from xworld.training.curriculum.sizes import Sizes, search_of
from xworld.training.rollouts.episodes import Episodes
from xworld.training.rollouts.try_out import Search

FITNESS = ("last_trial", "all_trials")
_LEAST_DEVIATION = 1e-6


@dataclass(frozen=True)
class PLRConfig:
    """Prioritised level replay, with AdA's values.

    Raises:
      ConfigError: a value out of range.
    """

    capacity: int = 1000  # tasks in the archive
    min_filled: int = 900  # from which on it is used
    replay: float = 0.2  # probability that the next task is one of the archive, above 0 and below 1
    staleness: float = 0.2  # how much of the chance to be drawn goes by how long ago a task was played
    temperature: float = 1.0  # the rest goes by (1 / rank)^(1 / temperature)
    trials_per_replay: int = 30  # trained on for each draw; decides how many steps new tasks get
    is_robust: bool = True  # whether nothing is learned from new tasks; else they are trained on, and nothing tried out
    fitness: str = "last_trial"  # over which steps errors are averaged; or "all_trials"
    is_per_trials: bool = True  # whether fitness is compared among tasks with as many trials
    decay: float = 0.999  # of the running moments by which it is compared, for each episode

    def __post_init__(self) -> None:
        owner = type(self).__name__
        check = partial(check_fields, self, owner=owner)
        check(("capacity", "min_filled", "trials_per_replay"), partial(check_whole, low=1))
        check(("replay",), partial(check_number, low=0, high=1, excludes_low=True, excludes_high=True))
        check(("staleness",), partial(check_number, low=0, high=1))
        check(("temperature",), partial(check_number, low=0, excludes_low=True))
        check(("decay",), partial(check_number, low=0, high=1, excludes_low=True, excludes_high=True))
        check(("is_robust", "is_per_trials"), check_bool)
        check(("fitness",), partial(check_word, known=FITNESS))
        if self.min_filled > self.capacity:
            raise ConfigError(
                f"{owner}.min_filled is {self.min_filled}, more than the capacity of {self.capacity}: the archive "
                "would never be used. Lower it."
            )

    def search(self, sizes: Sizes) -> Search | None:
        """One episode of each new task; as many steps as AdA's draws give new tasks."""
        if not self.is_robust:
            return None
        new = (1 - self.replay) * sizes.mean_trials
        return search_of(new / (new + self.replay * self.trials_per_replay), sizes)

    def make(self, source: TaskSource, sizes: Sizes) -> "PrioritisedReplay":
        """The curriculum with an empty archive."""
        self.check(source, sizes)
        return PrioritisedReplay(**self.parts(numbered(source), sizes))

    def check(self, source: TaskSource, sizes: Sizes) -> None:
        """Raises ConfigError if the archive is smaller than a batch, or larger than the source."""
        owner = type(self).__name__
        if self.capacity < sizes.num_envs:
            raise ConfigError(
                f"{owner}.capacity is {self.capacity}, less than the {sizes.num_envs} environments that draw from the "
                f"archive at once. Write at least {sizes.num_envs}, or lower num_envs."
            )
        check_enough(source, self.capacity, f"{owner}.capacity")

    def parts(self, source: TaskSource, sizes: Sizes) -> dict[str, Any]:
        """The fields of a curriculum with an empty archive."""
        return {
            "source": source,
            "clock": jnp.int32(0),
            "archive": Archive.start(source, self.capacity),
            "moments": Moments.start(sizes.num_trials[1] if self.is_per_trials else 1),
            "config": self,
        }


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Moments:
    """Running mean and variance of errors, for each number of trials from 1 to K; for more trials as for K."""

    weight: jax.Array  # [K] float32, of all that was seen, which decays
    total: jax.Array  # [K] float32
    squares: jax.Array  # [K] float32

    @classmethod
    def start(cls, most_trials: int) -> "Moments":
        """Nothing seen yet."""
        none = jnp.zeros(most_trials, jnp.float32)
        return cls(none, none, none)

    def update(self, num_trials: jax.Array, errors: jax.Array, is_seen: jax.Array, decay: float) -> "Moments":
        """After [M] errors of tasks with so many trials, where `is_seen`; all at once."""
        is_of = (self._index(num_trials)[:, None] == jnp.arange(len(self.weight))) & is_seen[:, None]  # [M, K]
        number = is_of.sum(0)
        kept = decay ** number.astype(jnp.float32)
        new = [jnp.where(is_of, value[:, None], 0).sum(0) for value in (errors, jnp.square(errors))]
        return Moments(kept * self.weight + number, kept * self.total + new[0], kept * self.squares + new[1])

    def normalise(self, num_trials: jax.Array, errors: jax.Array) -> jax.Array:
        """[M] float32: errors minus their mean, in standard deviations; 0 where there was but one."""
        weight = jnp.maximum(self.weight, 1e-9)
        mean = self.total / weight
        deviation = jnp.sqrt(jnp.maximum(self.squares / weight - jnp.square(mean), 0))
        index = self._index(num_trials)
        return (errors - mean[index]) / jnp.maximum(deviation[index], _LEAST_DEVIATION)

    def _index(self, num_trials: jax.Array) -> jax.Array:
        return jnp.clip(num_trials.astype(jnp.int32), 1, len(self.weight)) - 1


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PrioritisedReplay(Followed):
    """Trains on the fittest tasks found."""

    archive: Archive  # by fitness
    moments: Moments
    config: PLRConfig = field(metadata={"static": True})

    @property
    def is_ready(self) -> jax.Array:
        """[] bool, whether the archive is used."""
        return self.archive.num_filled >= self.config.min_filled

    @property
    def weights(self) -> jax.Array:
        """[N] float32, how likely each task of the archive is drawn."""
        archive, share = self.archive, self.config.staleness
        stale = staleness_weights(archive.played, archive.is_filled, self.clock)
        return (1 - share) * rank_weights(archive.score, self.config.temperature) + share * stale

    def sample(self, key: jax.Array) -> Task:
        """A task of the archive; a new one until it is used, and in the plain form now and then."""
        is_old = self.is_ready
        if not self.config.is_robust:
            coin_key, key = jax.random.split(key)
            is_old &= jax.random.bernoulli(coin_key, self.config.replay)
        weights = self.weights
        return pick_source(is_old, lambda key: self.archive.draw(key, weights), self.source, key)

    def update(self, key: jax.Array, seen: Episodes) -> "PrioritisedReplay":
        """Scores what was trained on."""
        return dataclasses.replace(self, clock=self.clock + 1).credit(seen)

    def propose(self, key: jax.Array) -> Task:
        """A new task."""
        return self.source.sample(key)

    def judge(self, key: jax.Array, tried: Episodes) -> "PrioritisedReplay":
        """Scores what was tried out."""
        return self.credit(tried)

    def credit(self, episodes: Episodes) -> "PrioritisedReplay":
        """With new fitness of what is in the archive, and of the rest what is fit enough."""
        config = self.config
        errors = episodes.error if config.fitness == "last_trial" else episodes.episode_error
        errors, is_finished = errors.reshape(-1), episodes.is_finished.reshape(-1)
        tasks = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), episodes.task)
        moments = self.moments.update(tasks.num_trials, errors, is_finished, config.decay)
        fitness = moments.normalise(tasks.num_trials, errors)
        archive = self.archive.follow(episodes, self.clock, fitness.reshape(episodes.error.shape))
        archive = archive.insert(tasks, fitness, is_finished, self.clock)
        return dataclasses.replace(self, archive=archive, moments=moments)

    def age(self, task_id: jax.Array) -> jax.Array:
        """[...] float32, updates since a task came into the archive."""
        return self.archive.age(task_id, self.clock)

    def best(self, number: int) -> tuple[Task, jax.Array]:
        """The fittest tasks found."""
        return self.archive.best(number)

    def metrics(self) -> dict[str, jax.Array]:
        """How full the archive is, and how fit its tasks."""
        archive = self.archive
        filled = archive.num_filled.astype(jnp.float32)
        total = jnp.where(archive.is_filled, archive.score, 0).sum()
        return {"filled": filled, "fitness": jnp.where(filled > 0, total / jnp.maximum(filled, 1), jnp.nan)}
