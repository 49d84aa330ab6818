"""A learner that stops learning once it is good enough: a time that depends on its past alone."""

import dataclasses
from dataclasses import dataclass
from math import inf
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xworld.agents.learners.by_name import Learner
from xworld.base.checks import check_number
from xworld.core.types import Briefing, State, TimeStep

NUM_AVERAGED = 5  # last trials, whose mean return counts


def has_reached(returns: np.ndarray, level: float) -> np.ndarray:
    """[trials] bool, after which of [trials] returns the mean of the last `NUM_AVERAGED` is at least `level`."""
    total = np.cumsum(np.pad(np.asarray(returns, float), (NUM_AVERAGED, 0)))
    mean = (total[NUM_AVERAGED:] - total[:-NUM_AVERAGED]) / NUM_AVERAGED
    return (mean >= level) & (np.arange(len(returns)) >= NUM_AVERAGED - 1)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class StoppingLife:
    """The learner's own, and how far it has got."""

    life: Any
    recent: jax.Array  # [NUM_AVERAGED] float32 returns of the last trials; minus infinity before there were so many
    trial_return: jax.Array  # [] float32, of the trial so far
    is_over: jax.Array  # [] bool, whether it has stopped


@jax.tree_util.register_static
@dataclass(frozen=True)
class Stopping:
    """Plays as a learner does until its last `NUM_AVERAGED` trials earned `level` on average.

    From the second step of the next trial on it learns no more, and takes what it thinks best.

    Raises:
      ConfigError: `level` is no number.
    """

    learner: Learner
    level: float

    def __post_init__(self) -> None:
        check_number("level", self.level, low=-inf)

    def start(self, key: jax.Array, state: State, briefing: Briefing) -> StoppingLife:
        """The learner's own start."""
        recent = jnp.full(NUM_AVERAGED, -jnp.inf, jnp.float32)
        return StoppingLife(self.learner.start(key, state, briefing), recent, jnp.float32(0), jnp.asarray(False))

    def act(
        self, memory: StoppingLife, key: jax.Array, state: State, timestep: TimeStep
    ) -> tuple[StoppingLife, jax.Array]:
        """[A] actions."""
        memory, actions, _, _ = self.decide(memory, key, state, timestep)
        return memory, actions

    def decide(
        self, memory: StoppingLife, key: jax.Array, state: State, timestep: TimeStep
    ) -> tuple[StoppingLife, jax.Array, jax.Array, jax.Array]:
        """What `act` gives, and why: the next memory, [A] actions, [A, 7] logits and [A] zeros for values."""
        stopped = dataclasses.replace(self.learner, num_learned=0)
        learning, done = (who.decide(memory.life, key, state, timestep) for who in (self.learner, stopped))
        life, *rest = jax.tree.map(lambda one, other: jnp.where(memory.is_over, other, one), learning, done)
        earned = memory.trial_return + timestep.observation.last_reward[0]
        is_trial_over = timestep.is_trial_first & ~timestep.is_first
        recent = jnp.where(is_trial_over, jnp.append(memory.recent[1:], earned), memory.recent)
        memory = StoppingLife(
            life=life,
            recent=recent,
            trial_return=jnp.where(timestep.is_trial_first, 0, earned),
            is_over=memory.is_over | (recent.mean() >= self.level),
        )
        return memory, *rest
