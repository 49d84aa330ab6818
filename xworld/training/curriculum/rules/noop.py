"""`noop`: AdA's filter. Tasks are trained on in which the agent does something, but not too much, that noops do not.

AdA plays a candidate in ten episodes of one trial, and in ten in which nobody does anything, and trains on an admitted
one for 30 episodes. Here candidates are played all the time beside what is trained on; what is admitted waits until
environments need a new task. Source: AdA (arXiv 2301.07608), appendix, "No-op filtering details".
"""

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from xworld.base.checks import check_fields, check_number, check_whole
from xworld.base.errors import ConfigError
from xworld.core.types import Task, TaskSource
from xworld.training.curriculum.archive import Archive, pick_source
from xworld.training.curriculum.followed import Followed, check_enough, numbered
from xworld.training.curriculum.sizes import Sizes, search_of
from xworld.training.rollouts.episodes import Episodes
from xworld.training.rollouts.try_out import Search


@dataclass(frozen=True)
class NoopConfig:
    """AdA's no-op filter, with its thresholds. Returns are rewards a step, in [0, 1].

    Raises:
      ConfigError: a value out of range.
    """

    num_episodes: int = 10  # of one trial, in which the agent plays a candidate
    num_idle_episodes: int = 2  # of one trial, in which nobody acts: AdA has 10, but only directions differ in them
    most_idle: float = 1.1  # that doing nothing may earn
    high: float = 0.4  # a return that counts as high ...
    most_high: int = 5  # ... of which there may be so many
    margin: float = 0.01  # by which a return is above, or below, all those of doing nothing ...
    least_above: int = 1  # ... which so many have to be above ...
    least_below: int = 3  # ... or so many below
    spread: float = 0.01  # between the highest and the lowest return, at least
    num_training_episodes: int = 30  # that an admitted task is trained on
    most_at_once: int = 4  # environments that play one admitted task at the same time, about
    capacity: int = 256  # admitted tasks that are kept
    search_share: float = 0.2  # of all environment steps, for trying candidates out

    def __post_init__(self) -> None:
        check = partial(check_fields, self, owner="NoopConfig")
        at_least_1 = ("num_episodes", "num_idle_episodes", "num_training_episodes", "most_at_once", "capacity")
        check(at_least_1, partial(check_whole, low=1))
        check(("most_high", "least_above", "least_below"), partial(check_whole, low=0))
        check(("most_idle", "high", "margin", "spread"), partial(check_number, low=0))
        check(("search_share",), partial(check_number, low=0, high=1, excludes_low=True, excludes_high=True))
        if self.least_above > self.num_episodes and self.least_below > self.num_episodes:
            raise ConfigError(
                f"NoopConfig.least_above is {self.least_above} and least_below {self.least_below}, but there are only "
                f"{self.num_episodes} episodes: nothing would be admitted. Lower one, or raise num_episodes."
            )

    def search(self, sizes: Sizes) -> Search | None:
        """Rows of episodes of one trial, the last ones idle."""
        row = self.num_episodes + self.num_idle_episodes
        idle = self.num_idle_episodes
        return search_of(self.search_share, sizes, num_episodes=row, num_idle=idle, is_one_trial=True)

    def make(self, source: TaskSource, sizes: Sizes) -> "NoopFilter":
        """The curriculum with nothing admitted yet."""
        check_enough(source, self.capacity, "NoopConfig.capacity")
        source = numbered(source)
        unknown, num_drawn = jnp.float32(jnp.nan), jnp.float32(sizes.num_envs)
        return NoopFilter(source, jnp.int32(0), Archive.start(source, self.capacity), num_drawn, unknown, self)


def is_admitted(config: NoopConfig, returns: jax.Array, idle: jax.Array) -> jax.Array:
    """[...] bool: whether tasks are trained on, by [..., E] returns of the agent and [..., I] of doing nothing."""
    num_above = (returns >= idle.max(-1, keepdims=True) + config.margin).sum(-1)
    num_below = (returns <= idle.min(-1, keepdims=True) - config.margin).sum(-1)
    return (
        (idle.max(-1) <= config.most_idle)
        & ((returns >= config.high).sum(-1) <= config.most_high)
        & ((num_above >= config.least_above) | (num_below >= config.least_below))
        & (returns.max(-1) - returns.min(-1) >= config.spread)
    )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class NoopFilter(Followed):
    """Trains on admitted tasks, those first that were not trained on enough; on new ones while few are admitted."""

    archive: Archive
    num_drawn: jax.Array  # [] float32, environments that took a new task in the last update, about as many as will
    admitted: jax.Array  # [] float32, share of the candidates judged last; NaN if there were none
    config: NoopConfig = field(metadata={"static": True})

    @property
    def plays_left(self) -> jax.Array:
        """[N] int32, episodes for which each admitted task waits."""
        archive = self.archive
        left = self.config.num_training_episodes - archive.num_episodes - archive.num_playing
        return jnp.where(archive.is_filled, jnp.maximum(left, 0), 0)

    @property
    def weights(self) -> jax.Array:
        """[N] float32, in how many environments that take a task now each admitted one should be played.

        The environments draw without knowing of each other. So a task that waits has no more than are left of its
        episodes, and no more at once than `most_at_once`; what else is drawn is shared by those that do not wait, up to
        the same bound.
        """
        left, room = self.plays_left, jnp.maximum(self.config.most_at_once - self.archive.num_playing, 0)
        first = jnp.minimum(left, room).astype(jnp.float32)
        again = jnp.where(self.archive.is_filled & (left == 0), room, 0).astype(jnp.float32)
        share = jnp.clip((self.num_drawn - first.sum()) / jnp.maximum(again.sum(), 1), 0, 1)
        return first + share * again

    def sample(self, key: jax.Array) -> Task:
        """An admitted task, by `weights`, or a new one as long as these are fewer than what is drawn."""
        weights, (coin, key) = self.weights, jax.random.split(key)
        is_old = jax.random.uniform(coin) * jnp.maximum(self.num_drawn, 1) < weights.sum()
        return pick_source(is_old, lambda key: self.archive.draw(key, weights), self.source, key)

    def update(self, key: jax.Array, seen: Episodes) -> "NoopFilter":
        """Counts what was trained on."""
        clock, num_drawn = self.clock + 1, seen.has_moved_on.sum(dtype=jnp.float32)
        return dataclasses.replace(self, clock=clock, archive=self.archive.follow(seen, clock), num_drawn=num_drawn)

    def propose(self, key: jax.Array) -> Task:
        """A new task, of which one trial is played."""
        return _cut(self.source.sample(key))

    def judge(self, key: jax.Array, tried: Episodes) -> "NoopFilter":
        """Admits candidates. What waits is never thrown out for them; of the rest, the oldest goes first."""
        row = self.config.num_episodes + self.config.num_idle_episodes
        returns, is_finished = (leaf.reshape(-1, row, 2) for leaf in (tried.return_, tried.is_finished))
        returns = jnp.moveaxis(returns, 1, -1)  # [G, 2, E]
        is_judged = is_finished.all(1)
        playing = self.config.num_episodes
        is_in = is_judged & is_admitted(self.config, returns[..., :playing], returns[..., playing:])
        first = jax.tree.map(lambda leaf: leaf[::row].reshape(-1, *leaf.shape[2:]), tried.task)
        born = self.archive.born.astype(jnp.float32)
        is_done = self.archive.num_episodes >= self.config.num_training_episodes
        done = born - 2 * self.clock - 1  # below what waits and what is offered, whose scores are from -clock to 0
        score = jnp.where(is_done, done, -born)  # float32 has all these whole numbers until a clock of 2^23
        archive = dataclasses.replace(self.archive, score=jnp.where(self.archive.is_filled, score, self.archive.score))
        offered = jnp.full(is_in.size, -self.clock, jnp.float32)
        archive = archive.insert(_whole(first), offered, is_in.reshape(-1), self.clock)
        share = is_in.sum() / jnp.maximum(is_judged.sum(), 1)
        admitted = jnp.where(is_judged.any(), share, jnp.nan).astype(jnp.float32)
        return dataclasses.replace(self, archive=archive, admitted=admitted)

    def age(self, task_id: jax.Array) -> jax.Array:
        """[...] float32, updates since a task was admitted."""
        return self.archive.age(task_id, self.clock)

    def best(self, number: int) -> tuple[Task, jax.Array]:
        """Admitted tasks, those first that have waited longest; those last that were trained on enough."""
        return self.archive.best(number)

    def metrics(self) -> dict[str, jax.Array]:
        """How many are admitted, and wait."""
        waiting = (self.plays_left > 0).sum(dtype=jnp.float32)
        return {"admitted": self.admitted, "waiting": waiting}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _OneTrial(Task):
    """A task cut to one trial."""

    whole_trials: jax.Array  # [] uint16, its number of trials


def _cut(task: Task) -> _OneTrial:
    one = jnp.ones_like(task.num_trials)
    return _OneTrial(**{**_fields(task), "num_trials": one}, whole_trials=task.num_trials)


def _whole(tasks: Task) -> Task:
    assert isinstance(tasks, _OneTrial)
    return Task(**{**_fields(tasks), "num_trials": tasks.whole_trials})


def _fields(task: Task) -> dict[str, Any]:
    return {one.name: getattr(task, one.name) for one in dataclasses.fields(Task)}
