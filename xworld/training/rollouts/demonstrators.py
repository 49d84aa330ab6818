"""`Demonstrators`: in a share of the episodes a trained agent plays the first trial, and the learner looks on."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from xworld.agents import Agent, Params, distribution
from xworld.agents.network.agent import resets
from xworld.base.checks import check_number
from xworld.base.digest import digest
from xworld.core.types import Briefing
from xworld.training.rollouts.partners import Scene


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Demonstrators:
    """Partners who play all seats in the first trial of some episodes.

    The learner's memory gets these steps as if it had acted itself, and nothing is learned from them (weight 0). So it
    trains to go on from a demonstration, and in the other episodes to do without. Whether an episode begins with one is
    drawn when it begins. One who is told all knows the rules that are hidden from the learner, and so shows what works;
    it should be trained with nothing hidden. Make it by `make_demonstrators`.
    """

    params: Params
    agent: Agent = field(metadata={"static": True})
    share: float = field(metadata={"static": True})  # of the episodes
    is_told_all: bool = field(default=False, metadata={"static": True})

    def start(self, num_envs: int) -> tuple[Any, jax.Array]:
        """The demonstrator's empty memory, and [B] bool, whether the episode has a demonstration."""
        return self.agent.start_memory(num_envs), jnp.zeros(num_envs, bool)

    def encode_briefing(self, briefing: Briefing) -> Any:
        """What the demonstrator is told."""
        return self.agent.encode_briefing(self.params, briefing)

    def act(
        self, carry: tuple[Any, jax.Array], keys: jax.Array, scene: Scene, told: Any
    ) -> tuple[tuple[Any, jax.Array], jax.Array, jax.Array]:
        """The demonstrator's actions; all seats are its own in the first trial of an episode with a demonstration."""
        (memory, is_shown), observation = carry, scene.observation
        is_drawn = jax.vmap(lambda key: jax.random.bernoulli(jax.random.fold_in(key, 1), self.share))(keys)
        is_shown = jnp.where(scene.is_first & (observation.trial == 0), is_drawn, is_shown)
        is_reset = resets(self.agent, observation, scene.is_first)
        output = self.agent.step(self.params, observation, told, memory, is_reset)
        actions = jax.vmap(distribution.sample)(keys, output.logits).astype(jnp.int32)
        is_theirs = is_shown & (observation.trial == 0)
        return (output.memory, is_shown), actions, jnp.broadcast_to(is_theirs[:, None], actions.shape)

    @property
    def about(self) -> str:
        """What tells them from others."""
        knows = ", told all" if self.is_told_all else ""
        return f"parameters {digest(self.params)[:16]}, share {self.share}{knows}"


def make_demonstrators(params: Params, agent: Agent, share: float, *, is_told_all: bool = False) -> Demonstrators:
    """A trained agent that shows the first trial in this share of the episodes.

    Args:
      params: of the agent.
      agent: a network.
      share: of the episodes.
      is_told_all: whether it is told the rules that are hidden from the learner.

    Raises:
      ConfigError: a share that is not above 0 and at most 1.
    """
    share = check_number("The share of demonstrated episodes", share, 0, 1, excludes_low=True)
    return Demonstrators(params, agent, share, is_told_all)
