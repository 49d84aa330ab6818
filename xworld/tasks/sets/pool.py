"""`TaskPool`: a numbered part of a universe, of any size, with nothing stored."""

import dataclasses
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from xworld.base.checks import check_fields, check_whole
from xworld.base.hashing import Word
from xworld.core.keys import as_key
from xworld.core.types import Task
from xworld.tasks.universe.config import Split
from xworld.tasks.universe.universe import TaskInfo, Universe, draw_all_ids

MAX_POOL = 2**31 - 1  # ids are int32


@dataclass(frozen=True)
class TaskPool:
    """`num_worlds` x `num_games` tasks: those of a universe with so many world ids, and game ids, from `first` on.

    A static value without leaves, as the universe is: pure, jit- and vmap-able. Drawing from a large pool costs what
    drawing from a small one does. Ids of one pool may name equal games or worlds by chance; pools of universes of
    different splits have none in common, whatever their sizes.

    Raises:
      ConfigError: a number that is not from 1 to 2^31 - 1, or a `first` below 0, or so high that ids end first.
    """

    universe: Universe
    num_worlds: int
    num_games: int
    first: int = 0  # of the ids: pools of as many tasks that start far enough apart have none in common

    def __post_init__(self) -> None:
        check_fields(self, ("num_worlds", "num_games"), partial(check_whole, low=1, high=MAX_POOL), "TaskPool")
        highest = MAX_POOL - max(self.num_worlds, self.num_games)
        check_fields(self, ("first",), partial(check_whole, low=0, high=highest), "TaskPool")

    def __len__(self) -> int:
        return self.num_worlds * self.num_games

    def sample(self, key: jax.Array) -> Task:
        """One of the tasks, uniformly, for a JAX key."""
        return self.sample_with_info(key)[0]

    def sample_with_info(self, key: jax.Array) -> tuple[Task, TaskInfo]:
        """One of the tasks and what is known about it, for a JAX key."""
        return self.universe.task_with_info(*self.draw_ids(key))

    def sample_stacked(self, keys: jax.Array) -> tuple[Task, TaskInfo]:
        """What `sample_with_info` gives for [n] keys, as `Universe.stacked` makes it."""
        return self.universe.stacked(*jax.device_get(draw_all_ids(self, keys)))

    def draw_ids(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The world and game ids of the task that `sample` gives for a JAX key."""
        bits = jax.random.bits(as_key(key), (2,), jnp.uint32)
        return self.first + bits[0] % self.num_worlds, self.first + bits[1] % self.num_games

    def task(self, world: Word, game: Word) -> Task:
        """The task in a place of the pool, counted from 0; numbers outside it are taken modulo its sides."""
        return self.universe.task(self.first + world % self.num_worlds, self.first + game % self.num_games)

    def with_split(self, split: Split) -> "TaskPool":
        """As many tasks of another split."""
        return dataclasses.replace(self, universe=self.universe.with_split(split))


jax.tree_util.register_dataclass(TaskPool, data_fields=[], meta_fields=["universe", "num_worlds", "num_games", "first"])
