"""`noisy-self`: the partner is the learner itself, some of whose actions are random.

How many is drawn anew for each episode, so that partners are anything between a random player and the learner. Source:
Unsupervised Partner Design, without its score by which partners are chosen, and with uniform random actions.
"""

from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp

from xworld.agents import Agent
from xworld.base.checks import check_fields, check_number
from xworld.base.errors import ConfigError
from xworld.core.config import EnvConfig
from xworld.core.step.actions import NUM_ACTIONS
from xworld.core.types import Briefing
from xworld.training.curriculum.sizes import Sizes
from xworld.training.partners.seats import action_keys, is_of_partners, other_keys, sit_down
from xworld.training.rollouts.partners import Scene
from xworld.training.rollouts.try_out import Search


@dataclass(frozen=True)
class NoisySelfConfig:
    """The learner's own policy mixed with random actions.

    Raises:
      ConfigError: a share out of range, or the least above the most.
    """

    least: float = 0.0  # share of random actions in an episode, drawn uniformly from here ...
    most: float = 1.0  # ... to here; with both 0 the partner is the learner as it is

    def __post_init__(self) -> None:
        check_fields(self, ("least", "most"), partial(check_number, low=0, high=1), owner="NoisySelfConfig")
        if self.least > self.most:
            raise ConfigError(
                f"NoisySelfConfig.least is {self.least}, above most, which is {self.most}. Write the smaller one first."
            )

    def make(self, agent: Agent, env_config: EnvConfig, sizes: Sizes, search: Search | None = None) -> "NoisySelf":
        """The partners."""
        return NoisySelf(self)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class NoisySelfCarry:
    """What is drawn for each episode."""

    seat: jax.Array  # [B] int32, the learner's
    share: jax.Array  # [B] float32, of the partner's actions that are random


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class NoisySelf:
    """The learner in all seats, of which one is its own. Its memory of the other seats is as if it sat there."""

    config: NoisySelfConfig = field(default_factory=NoisySelfConfig, metadata={"static": True})

    def start(self, num_envs: int) -> NoisySelfCarry:
        """Nothing drawn yet."""
        return NoisySelfCarry(jnp.zeros(num_envs, jnp.int32), jnp.zeros(num_envs, jnp.float32))

    def encode_briefing(self, briefing: Briefing) -> tuple[()]:
        """Nothing: the learner knows already."""
        return ()

    def act(
        self, carry: NoisySelfCarry, keys: jax.Array, scene: Scene, told: tuple[()]
    ) -> tuple[NoisySelfCarry, jax.Array, jax.Array]:
        """The learner's actions, or random ones."""
        seat, num_agents = sit_down(carry.seat, keys, scene), scene.own.shape[-1]
        low, high = self.config.least, self.config.most
        drawn = jax.vmap(lambda key: jax.random.uniform(key, (), jnp.float32, low, high))(other_keys(keys))
        share = jnp.where(scene.is_first, drawn, carry.share)

        def draw(key: jax.Array, share: jax.Array, own: jax.Array) -> jax.Array:
            coin_key, key = jax.random.split(key)
            is_random = jax.random.uniform(coin_key, (num_agents,), jnp.float32) < share
            return jnp.where(is_random, jax.random.randint(key, (num_agents,), 0, NUM_ACTIONS, jnp.int32), own)

        actions = jax.vmap(draw)(action_keys(keys), share, scene.own)
        return NoisySelfCarry(seat, share), actions, is_of_partners(seat, scene.observation)
