"""The partner of a run in that run's folder: the run goes on with it, whatever becomes of the partner's own run."""

import dataclasses
from pathlib import Path

from xworld.agents import save
from xworld.training.devices.sharding import fetch
from xworld.training.partners.configs import PartnersConfig
from xworld.training.partners.fixed import FixedAgent, FixedConfig
from xworld.training.rollouts.partners import Changing, Partners

_AGENT = "partner"  # a saved agent


def save_partner(folder: Path, partners: Partners | Changing | None) -> None:
    """Writes a partner that is a saved agent into the folder of a run; nothing of others, which the run makes again.

    Raises:
      ConfigError: the folder cannot be written.
    """
    if isinstance(partners, FixedAgent):
        save(folder / _AGENT, partners.agent, fetch(partners.params))


def with_kept_partner(config: PartnersConfig, folder: Path | None) -> PartnersConfig:
    """Partners as configured, but for a saved agent that the run in `folder` keeps; None for a run that begins."""
    if folder is None or not isinstance(config, FixedConfig) or not (folder / _AGENT).exists():
        return config
    return dataclasses.replace(config, player=str(folder / _AGENT), which="last")
