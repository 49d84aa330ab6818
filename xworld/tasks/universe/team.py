"""Who plays a game: one agent, two that may share the work, or two that need each other."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from xworld.core import kinds
from xworld.tasks import chance
from xworld.tasks.universe.config import UniverseConfig

AGENT = kinds.agent_kind(0)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Team:
    """Agent 0, or agents 0 and 1."""

    are_two: jax.Array  # [] bool
    are_together: jax.Array  # [] bool, the game is made so that something is asked of both

    def draw(self, is_asked: jax.Array, bits: jax.Array) -> jax.Array:
        """[Q] int32 ids of agents, one for each of [Q] bits: 0 where none is asked for or one plays, else 0 or 1."""
        return jnp.where(self.are_two & is_asked, bits & 1, 0).astype(jnp.int32)


def draw_team(config: UniverseConfig, dice: chance.Dice) -> Team:
    """Draws how many play."""
    are_two = chance.happens(dice.roll(), config.two_player_percent)
    return Team(are_two, are_two & chance.happens(dice.roll(), config.together_percent))


def agent_kind(agent: jax.Array) -> jax.Array:
    """uint8 kinds of agents with these ids."""
    return (AGENT + agent).astype(jnp.uint8)


def is_agent(kind: jax.Array) -> jax.Array:
    """Bool, whether a kind is an agent's."""
    return kind >= AGENT
