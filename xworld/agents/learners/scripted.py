"""A learner by script: its improvement is a known function of its history, a control for what imitates learners."""

import dataclasses
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from xworld.agents.network import distribution
from xworld.agents.scripted.searcher import Searcher, SearcherMemory
from xworld.base.checks import check_fields, check_whole
from xworld.core.step.actions import NOOP, NUM_ACTIONS
from xworld.core.types import Briefing, State, TimeStep


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ScriptedLife:
    """What happened so far, as far as it counts."""

    searcher: SearcherMemory
    proposed: jax.Array  # [] int32, what the searcher wanted to do in the last step
    num_paid: jax.Array  # [] int32, earlier trials that paid anything
    is_paid: jax.Array  # [] bool, whether this one has


@jax.tree_util.register_static
@dataclass(frozen=True)
class ScriptedLearner:
    """Does what the searcher wants with probability n / `num_trials`, else moves by chance; n trials have paid.

    n counts the trials before this one, and no more than `num_trials`. The searcher finds out which object is the right
    one by what was paid after a pick of its own. Agents other than the first do nothing.

    Raises:
      ConfigError: `num_trials` is below 1.
    """

    num_trials: int = 40  # that have to pay until chance is gone
    num_moves: int = 5  # chance takes one of the first so many actions
    num_learned: int | None = None  # trials that count; after them it does what it most probably would

    def __post_init__(self) -> None:
        check = partial(check_fields, self, owner="ScriptedLearner")
        check(["num_trials"], partial(check_whole, low=1))
        if self.num_learned is not None:
            check(["num_learned"], partial(check_whole, low=0))
        check(["num_moves"], partial(check_whole, low=1, high=NUM_ACTIONS))

    def start(self, key: jax.Array, state: State, briefing: Briefing) -> ScriptedLife:
        """Nothing has happened."""
        searcher = Searcher().start(key, state, briefing)
        return ScriptedLife(searcher, jnp.int32(-1), jnp.int32(0), jnp.asarray(False))

    def act(
        self, memory: ScriptedLife, key: jax.Array, state: State, timestep: TimeStep
    ) -> tuple[ScriptedLife, jax.Array]:
        """[A] actions."""
        memory, actions, _, _ = self.decide(memory, key, state, timestep)
        return memory, actions

    def decide(
        self, memory: ScriptedLife, key: jax.Array, state: State, timestep: TimeStep
    ) -> tuple[ScriptedLife, jax.Array, jax.Array, jax.Array]:
        """What `act` gives, and why: the next memory, [A] actions, [A, 7] logits and [A] zeros for values."""
        observation = timestep.observation
        is_own = observation.last_action[0] == memory.proposed  # what chance did, the searcher does not know of
        searcher = dataclasses.replace(memory.searcher, picked=jnp.where(is_own, memory.searcher.picked, -1))
        is_paid = memory.is_paid | (observation.last_reward[0] > 0)
        is_over = timestep.is_trial_first & ~timestep.is_first
        most = 2**30 if self.num_learned is None else self.num_learned
        num_paid = memory.num_paid + (is_over & is_paid & (observation.trial <= most))
        searcher, wanted = Searcher().act(searcher, key, state, timestep)
        skill = jnp.minimum(num_paid / self.num_trials, 1).astype(jnp.float32)
        skill = jnp.where((observation.trial >= most) & (skill > 0), 1.0, skill)
        any_ = (jnp.arange(NUM_ACTIONS) < self.num_moves) / self.num_moves
        chances = skill * jax.nn.one_hot(wanted[0], NUM_ACTIONS) + (1 - skill) * any_
        num_agents = state.last_action.shape[0]
        idle = jnp.full((num_agents, NUM_ACTIONS), -1e9).at[:, NOOP].set(0)
        logits = idle.at[0].set(jnp.log(jnp.maximum(chances, 1e-30)))
        life = ScriptedLife(searcher, wanted[0], num_paid, is_paid & ~is_over)
        return life, distribution.sample(key, logits), logits, jnp.zeros(num_agents, jnp.float32)
