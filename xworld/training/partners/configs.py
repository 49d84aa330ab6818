"""Who can sit in the other seats of a run, by name. Whoever adds one adds a line to `PARTNERS`."""

from dataclasses import dataclass
from typing import Protocol

from xworld.agents import Agent
from xworld.core.config import EnvConfig
from xworld.training.curriculum.sizes import Sizes
from xworld.training.partners.fixed import FixedConfig
from xworld.training.partners.noisy_self import NoisySelfConfig
from xworld.training.partners.pool import PoolConfig
from xworld.training.rollouts.partners import Changing, Partners
from xworld.training.rollouts.try_out import Search


class PartnersConfig(Protocol):
    """What decides who plays beside the learner: a frozen dataclass of plain values."""

    def make(
        self, agent: Agent, env_config: EnvConfig, sizes: Sizes, search: Search | None = None
    ) -> Partners | Changing | None:
        """The partners of a learner with this network before the first update; None where it plays all seats.

        Args:
          agent: the learner's network.
          env_config: of the run.
          sizes: of the run.
          search: what tries tasks out in it, with the same partners; None where nothing does.

        Raises:
          ConfigError: they are not for such environments or sizes.
        """
        ...


@dataclass(frozen=True)
class SelfConfig:
    """The learner plays all seats, and learns from all of them."""

    def make(self, agent: Agent, env_config: EnvConfig, sizes: Sizes, search: Search | None = None) -> None:
        """Nobody else."""
        return


PARTNERS: dict[str, type[PartnersConfig]] = {
    "self": SelfConfig,
    "noisy-self": NoisySelfConfig,
    "fixed": FixedConfig,
    "pool": PoolConfig,
}
