"""`pool`: partners are drawn from a random player and snapshots of the learner, taken now and then (AdA).

Each group of environments (`RunConfig.num_groups`) has one partner at a time. The parameters of a device's groups are
gathered once a rollout, and the network is mapped over groups: as many operations as one network for all, and neither a
copy of parameters for each environment nor a branch for each snapshot. When partners are drawn anew, an episode that
goes on keeps the partner that it began with, as long as it lasts: in these steps both partners act, and one is heard.
"""

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from xworld.agents import Agent, Params, distribution
from xworld.agents.network.agent import resets
from xworld.base.checks import check_fields, check_whole
from xworld.base.errors import ConfigError
from xworld.base.xla.devices import AXIS
from xworld.core.config import EnvConfig
from xworld.core.types import Briefing
from xworld.training.curriculum.sizes import Sizes
from xworld.training.partners.seats import action_keys, is_of_partners, sit_down
from xworld.training.rollouts.partners import Scene
from xworld.training.rollouts.try_out import Search

_RANDOM = 0  # the random player's place in the pool


@dataclass(frozen=True)
class PoolConfig:
    """How large the pool is, and how often it changes.

    Raises:
      ConfigError: a count below 1.
    """

    capacity: int = 32  # snapshots that are kept, beside the random player
    updates_per_draw: int = 8  # after which each group of environments gets another partner; an episode has to fit
    draws_per_snapshot: int = 8  # after which one more snapshot is taken; a full pool lets one go for it

    def __post_init__(self) -> None:
        names = ("capacity", "updates_per_draw", "draws_per_snapshot")
        check_fields(self, names, partial(check_whole, low=1), owner="PoolConfig")

    def make(self, agent: Agent, env_config: EnvConfig, sizes: Sizes, search: Search | None = None) -> "Pool":
        """The pool with the random player alone.

        Raises:
          ConfigError: an episode may outlast two draws.
        """
        self._check_episodes_fit(sizes.num_trials[1] * sizes.trial_length[1], sizes.rollout_length, "")
        if search is not None:
            num_trials = 1 if search.is_one_trial else sizes.num_trials[1]
            self._check_episodes_fit(num_trials * sizes.trial_length[1], search.length, " in which tasks are tried out")
        shapes, size = jax.eval_shape(agent.init, jax.random.key(0)), self.capacity + 1
        groups = jnp.full(sizes.num_groups, _RANDOM, jnp.int32)
        return Pool(
            params=jax.tree.map(lambda leaf: jnp.zeros((size, *leaf.shape), leaf.dtype), shapes),
            is_filled=jnp.arange(size) == _RANDOM,
            taken=jnp.zeros(size, jnp.int32),
            draw=jnp.int32(0),
            now=groups,
            before=groups,
            agent=agent,
            config=self,
        )

    def _check_episodes_fit(self, longest: int, rollout: int, where: str) -> None:
        least = -(-longest // rollout)
        if self.updates_per_draw < least:
            raise ConfigError(
                f"PoolConfig.updates_per_draw is {self.updates_per_draw}: an episode of {longest} steps lasts longer "
                f"than that many rollouts of {rollout}{where}. Write at least {least}."
            )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Pool:
    """A random player, whose parameters are not looked at, and N snapshots."""

    params: Params  # [N + 1, ...]
    is_filled: jax.Array  # [N + 1] bool
    taken: jax.Array  # [N + 1] int32, after how many updates
    draw: jax.Array  # [] int32, how often partners were drawn
    now: jax.Array  # [groups] int32, who plays in episodes that begin
    before: jax.Array  # [groups] int32, who plays in those that began before the last draw
    agent: Agent = field(metadata={"static": True})
    config: PoolConfig = field(metadata={"static": True})

    def follow(self, key: jax.Array, params: Params, update: jax.Array) -> "Pool":
        """The pool after a draw, where one is due, and after one more snapshot."""
        config, (victim_key, draw_key) = self.config, jax.random.split(key)
        number = update // config.updates_per_draw
        is_draw = (update % config.updates_per_draw == 0) & (number > 0)
        # Those who go on in episodes that began before are not let go.
        in_use = jnp.zeros_like(self.is_filled).at[self.now].set(True).at[_RANDOM].set(True)
        place = jnp.where(in_use, -1, _preference(victim_key, self.is_filled)).argmax()
        is_taken = is_draw & (number % config.draws_per_snapshot == 0) & ~in_use[place]

        def put(old: jax.Array, new: jax.Array) -> jax.Array:
            return old.at[place].set(jnp.where(is_taken, new, old[place]))

        is_filled = put(self.is_filled, jnp.bool_(True))
        drawn = jax.random.categorical(draw_key, jnp.where(is_filled, 0.0, -jnp.inf), shape=self.now.shape)
        return dataclasses.replace(
            self,
            params=jax.tree.map(put, self.params, params),
            is_filled=is_filled,
            taken=put(self.taken, update),
            draw=self.draw + is_draw.astype(jnp.int32),
            now=jnp.where(is_draw, drawn, self.now).astype(jnp.int32),
            before=jnp.where(is_draw, self.now, self.before),
        )

    def players(self) -> "GroupPlayers":
        """Who plays in this device's groups, with parameters gathered."""
        num_own = len(self.now) // jax.lax.axis_size(AXIS)
        first = jax.lax.axis_index(AXIS) * num_own

        def gather(groups: jax.Array) -> "Snapshots":
            own = jax.lax.dynamic_slice_in_dim(groups, first, num_own)
            return Snapshots(jax.tree.map(lambda leaf: leaf[own], self.params), own == _RANDOM)

        return GroupPlayers(gather(self.now), gather(self.before), self.draw, self.agent)


def _preference(key: jax.Array, is_filled: jax.Array) -> jax.Array:
    """[N + 1] which place the next snapshot takes: an empty one, the first of them; else any, by chance."""
    empty = 2 + jnp.arange(len(is_filled))[::-1]
    return jnp.where(is_filled, jax.random.uniform(key, is_filled.shape, jnp.float32), empty)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Snapshots:
    """The partners of P groups."""

    params: Params  # [P, ...]
    is_random: jax.Array  # [P] bool


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GroupCarry:
    """What is carried along for the partners of B environments."""

    seat: jax.Array  # [B] int32, the learner's
    draw: jax.Array  # [B] int32, with which draw's partner the episode is played
    memory: Any  # arrays [B, A, ...], the partner's; in the learner's seat it is not used


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GroupPlayers:
    """The partners of this device's environments, B / P in a row for each of P groups."""

    now: Snapshots
    before: Snapshots
    draw: jax.Array  # [] int32
    agent: Agent = field(metadata={"static": True})

    def start(self, num_envs: int) -> GroupCarry:
        """The empty memory; nothing drawn yet."""
        nothing = jnp.zeros(num_envs, jnp.int32)
        return GroupCarry(nothing, nothing, self.agent.start_memory(num_envs))

    def encode_briefing(self, briefing: Briefing) -> tuple[jax.Array, jax.Array]:
        """What partners make of briefings, each by its own parameters: those of now, and those before."""

        def tell(snapshots: Snapshots) -> jax.Array:
            told = jax.vmap(self.agent.encode_briefing)(snapshots.params, self._by_group(briefing))
            return jax.tree.map(_in_a_row, told)

        return tell(self.now), tell(self.before)

    def act(
        self, carry: GroupCarry, keys: jax.Array, scene: Scene, told: tuple[jax.Array, jax.Array]
    ) -> tuple[GroupCarry, jax.Array, jax.Array]:
        """Actions drawn by the logits of the partner that an episode began with."""
        # An episode longer than it should be gets a new partner, who remembers nothing.
        is_first = scene.is_first | (self.draw - carry.draw > 1)
        draw = jnp.where(is_first, self.draw, carry.draw)
        is_reset = resets(self.agent, scene.observation, is_first)
        is_now = draw == self.draw
        play = partial(self._play, scene=scene, memory=carry.memory, is_reset=is_reset)

        def both() -> tuple[jax.Array, Any]:
            def pick(new: jax.Array, old: jax.Array) -> jax.Array:
                return jnp.where(is_now.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

            return jax.tree.map(pick, play(self.now, told[0]), play(self.before, told[1]))

        logits, memory = jax.lax.cond(is_now.all(), lambda: play(self.now, told[0]), both)
        actions = jax.vmap(distribution.sample)(action_keys(keys), logits)
        seat = sit_down(carry.seat, keys, scene)
        return GroupCarry(seat, draw, memory), actions, is_of_partners(seat, scene.observation)

    def _play(
        self, snapshots: Snapshots, told: jax.Array, scene: Scene, memory: Any, is_reset: jax.Array
    ) -> tuple[jax.Array, Any]:
        """[B, A, 7] logits and the next memory, of each group's own player in all seats."""
        seen = self._by_group((scene.observation, told, memory, is_reset))
        output = jax.vmap(self.agent.step)(snapshots.params, *seen)
        logits = jnp.where(snapshots.is_random[:, None, None, None], 0.0, output.logits)
        return jax.tree.map(_in_a_row, (logits, output.memory))

    def _by_group(self, tree: Any) -> Any:
        """[P, B / P, ...] leaves from [B, ...]."""
        num_groups = len(self.now.is_random)
        return jax.tree.map(lambda leaf: leaf.reshape(num_groups, -1, *leaf.shape[1:]), tree)


def _in_a_row(leaf: jax.Array) -> jax.Array:
    """[B, ...] from [P, B / P, ...]."""
    return leaf.reshape(-1, *leaf.shape[2:])
