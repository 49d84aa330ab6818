"""Tasks are tried out: played by the agent in environments of their own, from which nothing is learned.

These environments stand beside those that are trained in, and are few: they act, and take no part in gradients. Every
step of theirs is an environment step like any other: `RunConfig.steps_per_update` has them. Environments in a row play
the same task at the same time, as many episodes of it as a curriculum wants to see.
"""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from xworld.agents import Agent, Params
from xworld.core.step.actions import NOOP
from xworld.core.types import Briefing, TaskSource
from xworld.core.vector import VectorEnv
from xworld.training.rollouts.episodes import Episodes, Tally, finished_episodes, follow_trials
from xworld.training.rollouts.partners import Informed, Partners, Scene
from xworld.training.rollouts.rollout import Actor, Rollout, collect, start_actor


@dataclass(frozen=True)
class Search:
    """How much is tried out between two updates. Static."""

    num_envs: int  # on all devices together
    length: int  # steps of each
    num_episodes: int = 1  # environments in a row that play the same task
    num_idle: int = 0  # the last of these, in which nobody does anything
    is_one_trial: bool = False  # whether episodes are cut to one trial

    @property
    def num_steps(self) -> int:
        """Environment steps between two updates."""
        return self.num_envs * self.length


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Scouts:
    """What one rollout of those who try tasks out hands on to the next; arrays [B, ...]."""

    actor: Actor
    tally: Tally


def start_scouts(
    agent: Agent,
    vec: VectorEnv,
    key: jax.Array,
    tasks: TaskSource,
    search: Search,
    first_index: int | jax.Array = 0,
    partners: Partners | None = None,
) -> Scouts:
    """Scouts at the start of their first episodes: those in a row stay in step."""
    seats = _seats(search, partners)
    actor = start_actor(agent, vec, key, tasks, first_index, seats, is_spread=False)
    return Scouts(actor, Tally.start(vec.num_envs))


def play_scouts(
    agent: Agent,
    params: Params,
    vec: VectorEnv,
    scouts: Scouts,
    key: jax.Array,
    tasks: TaskSource,
    search: Search,
    first_index: int | jax.Array = 0,
    partners: Partners | None = None,
) -> tuple[Scouts, Rollout]:
    """Plays on for `search.length` steps; new tasks come from `tasks`. The tally is as it was: see `note`."""
    seats = _seats(search, partners)
    actor, rollout, _ = collect(agent, params, vec, scouts.actor, key, tasks, search.length, first_index, seats)
    return Scouts(actor, scouts.tally), rollout


def note(scouts: Scouts, rollout: Rollout, errors: jax.Array) -> tuple[Scouts, Episodes]:
    """Adds a rollout with these [T, B, A] one-step errors to the tally; what became of the tasks in it."""
    tally, trials = follow_trials(scouts.tally, rollout.steps, errors)
    return Scouts(scouts.actor, tally), finished_episodes(trials, rollout)


def _seats(search: Search, partners: Partners | None) -> Partners | None:
    return _Idle(partners, search.num_episodes, search.num_idle) if search.num_idle else partners


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Idle:
    """Partners with whom some of the environments have all seats idle."""

    partners: Partners | None
    num_episodes: int = field(metadata={"static": True})
    num_idle: int = field(metadata={"static": True})

    @property
    def is_told_all(self) -> bool:
        """Whether the partners are."""
        return isinstance(self.partners, Informed) and self.partners.is_told_all

    def start(self, num_envs: int) -> Any:
        """What the partners carry, and [B] bool, where all are idle."""
        carry = () if self.partners is None else self.partners.start(num_envs)
        return carry, jnp.arange(num_envs) % self.num_episodes >= self.num_episodes - self.num_idle

    def encode_briefing(self, briefing: Briefing) -> Any:
        """What the partners are told, and [B, A] ids of the seats."""
        told = () if self.partners is None else self.partners.encode_briefing(briefing)
        return told, briefing.agent_id

    def act(self, carry: Any, keys: jax.Array, scene: Scene, told: Any) -> tuple[Any, jax.Array, jax.Array]:
        """The partners' actions; noops where all are idle."""
        (of_partners, is_idle), (told, seats) = carry, told
        actions, is_theirs = jnp.full(seats.shape, NOOP, jnp.int32), jnp.zeros(seats.shape, bool)
        if self.partners is not None:
            of_partners, actions, is_theirs = self.partners.act(of_partners, keys, scene, told)
        actions = jnp.where(is_idle[:, None], NOOP, actions)
        return (of_partners, is_idle), actions, is_theirs | is_idle[:, None]
