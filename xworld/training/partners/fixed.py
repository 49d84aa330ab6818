"""`fixed`: the partner is a player that stays as it is: a saved agent, a random one, or one that does nothing."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp

from xworld.agents import Agent, Params, distribution
from xworld.agents.network.agent import resets
from xworld.agents.players import EXPERT, NOOP, RANDOM, SCRIPTED, agent_folder, check_can_play, load_agent
from xworld.base.checks import check_fields, check_word
from xworld.base.digest import digest
from xworld.base.errors import ConfigError, located
from xworld.core.config import EnvConfig
from xworld.core.step.actions import NOOP as DO_NOTHING
from xworld.core.step.actions import NUM_ACTIONS
from xworld.core.types import Briefing
from xworld.training.curriculum.sizes import Sizes
from xworld.training.partners.seats import action_keys, is_of_partners, sit_down
from xworld.training.rollouts.partners import Partners, Scene
from xworld.training.rollouts.try_out import Search

_WHICH = ("last", "best")


@dataclass(frozen=True)
class FixedConfig:
    """One player that does not learn.

    Raises:
      ConfigError: nobody is named, or `which` is no checkpoint.
    """

    player: str = RANDOM  # or noop, pretrained-duo, the folder of a run or of a saved agent
    which: Literal["last", "best"] = "last"  # of a run: its newest checkpoint, or its best so far

    def __post_init__(self) -> None:
        check_fields(self, ("which",), partial(check_word, known=_WHICH), owner="FixedConfig")
        if not isinstance(self.player, str) or not self.player:
            raise ConfigError(f"FixedConfig.player is {self.player!r}; write random, noop, or the folder of an agent.")

    def make(self, agent: Agent, env_config: EnvConfig, sizes: Sizes, search: Search | None = None) -> Partners:
        """The partners.

        Raises:
          ConfigError: there is no such agent, it is of another environment, or the player cannot be a partner.
        """
        if self.player in (RANDOM, NOOP):
            return Idler(is_random=self.player == RANDOM)
        if self.player in (*SCRIPTED, EXPERT):
            why = "plans for tasks that are known before" if self.player == EXPERT else "moves the first agent only"
            raise ConfigError(
                f"FixedConfig.player is {self.player!r}, which {why}. Write random, noop, or the folder of an agent."
            )
        folder = agent_folder(self.player)
        if folder is None:  # a learner without a network, or `module:function`
            raise ConfigError(
                f"FixedConfig.player is {self.player!r}, but by name only trained agents, random and noop are "
                "partners. Give a policy of your own in Python: train(partners=...), with the methods of "
                "xworld.training.Partners."
            )
        if not folder.exists():
            raise ConfigError(
                f"FixedConfig.player is {self.player!r}: there is no such folder, and no player of that name. Write "
                "random, noop, pretrained-duo, or the folder of an agent."
            )
        loaded = load_agent(folder, self.which)
        with located("FixedConfig.player"):
            check_can_play(loaded, env_config)
        return FixedAgent(loaded.params, loaded.agent)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Idler:
    """Acts at random, or does nothing."""

    is_random: bool = field(metadata={"static": True})

    @property
    def about(self) -> str:
        """What tells it from another."""
        return RANDOM if self.is_random else NOOP

    def start(self, num_envs: int) -> jax.Array:
        """[num_envs] int32, the learner's seat, not drawn yet."""
        return jnp.zeros(num_envs, jnp.int32)

    def encode_briefing(self, briefing: Briefing) -> tuple[()]:
        """Nothing: it does not listen."""
        return ()

    def act(
        self, carry: jax.Array, keys: jax.Array, scene: Scene, told: tuple[()]
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Uniform actions, or noops."""
        seat, shape = sit_down(carry, keys, scene), scene.own.shape[1:]
        actions = jnp.full_like(scene.own, DO_NOTHING)
        if self.is_random:
            actions = jax.vmap(lambda key: jax.random.randint(key, shape, 0, NUM_ACTIONS, jnp.int32))(action_keys(keys))
        return seat, actions, is_of_partners(seat, scene.observation)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class AgentCarry:
    """What is carried along for an agent in the others' seats."""

    seat: jax.Array  # [B] int32, the learner's
    memory: Any  # arrays [B, A, ...], the partner's; in the learner's seat it is not used


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FixedAgent:
    """A trained agent with a memory of its own, emptied as it is used to."""

    params: Params
    agent: Agent = field(metadata={"static": True})

    @property
    def about(self) -> str:
        """What tells it from another: its parameters' digest."""
        return f"parameters {digest(self.params)[:16]}"

    def start(self, num_envs: int) -> AgentCarry:
        """The empty memory."""
        return AgentCarry(jnp.zeros(num_envs, jnp.int32), self.agent.start_memory(num_envs))

    def encode_briefing(self, briefing: Briefing) -> jax.Array:
        """What the agent makes of briefings, by its own parameters."""
        return self.agent.encode_briefing(self.params, briefing)

    def act(
        self, carry: AgentCarry, keys: jax.Array, scene: Scene, told: jax.Array
    ) -> tuple[AgentCarry, jax.Array, jax.Array]:
        """Actions drawn by its logits."""
        seat, is_reset = sit_down(carry.seat, keys, scene), resets(self.agent, scene.observation, scene.is_first)
        output = self.agent.step(self.params, scene.observation, told, carry.memory, is_reset)
        actions = jax.vmap(distribution.sample)(action_keys(keys), output.logits)
        return AgentCarry(seat, output.memory), actions, is_of_partners(seat, scene.observation)
