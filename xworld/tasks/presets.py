"""Universes by name, from games of one rule to AdA's."""

import dataclasses

from xworld.core.config import EnvConfig
from xworld.errors import ConfigError, did_you_mean
from xworld.tasks.universe import Universe
from xworld.tasks.universe_config import UniverseConfig
from xworld.tasks.world_config import WorldConfig

_TRIVIAL = UniverseConfig(
    world=WorldConfig(rooms=(1,), floor_colours=("black", "grey")),  # a rug tells rooms apart
    negated_goal_percent=0,
    direction_percent=0,
    chain_length=(0, 1),
    num_distractors=(0, 2),
    num_dead_ends=(0, 0),
)
_SMALL = UniverseConfig(
    world=WorldConfig(rooms=(1, 2, 4)),
    chain_length=(0, 2),
    num_distractors=(0, 3),
    num_dead_ends=(0, 1),
    num_decoys=(0, 1),
)
_MEDIUM = UniverseConfig(
    world=WorldConfig(rooms=(1, 2, 4)),
    chain_length=(1, 3),
    num_distractors=(1, 5),
    num_dead_ends=(0, 2),
    num_decoys=(0, 1),
    max_products=2,
)
_HIGH = UniverseConfig(
    world=WorldConfig(rooms=(4, 6)),
    chain_length=(3, 5),
    num_distractors=(4, 8),
    num_dead_ends=(1, 3),
    num_decoys=(1, 2),
    max_products=3,
    hide_percent=90,
)
# Calibrated to the means of AdA's test set: see `benchmarks/calibration.py` and docs/tasks.md.
_ADA = UniverseConfig(
    world=WorldConfig(locked_door_percent=40),
    negated_goal_percent=25,
    pair_percent=75,
    chain_length=(1, 4),
    no_chain_percent=29,
    max_products=3,
    num_distractors=(0, 7),
    num_dead_ends=(0, 2),
    num_decoys=(0, 1),
    hide_percent=81,
)
_ADA_FOR_TWO = dataclasses.replace(_ADA, two_player_percent=50, together_percent=20)

PRESETS: dict[str, Universe] = {
    "trivial": Universe(EnvConfig(height=9, width=9, max_objects=8, max_rules=2, max_doors=1), _TRIVIAL),
    "small": Universe(EnvConfig(height=9, width=9, max_objects=12, max_rules=4, max_doors=4), _SMALL),
    "medium": Universe(EnvConfig(max_rules=6, max_doors=4), _MEDIUM),
    "high": Universe(EnvConfig(height=19, width=19, max_objects=28, max_rules=10, max_doors=7), _HIGH),
    "ada": Universe(EnvConfig(max_objects=20), _ADA),
    "ada-two-player": Universe(EnvConfig(num_agents=2, max_objects=20), _ADA_FOR_TWO),
}


def preset(name: str) -> Universe:
    """The training split of a universe by name; `with_split("test")` gives its held-out tasks.

    Raises:
      ConfigError: an unknown name.
    """
    if name not in PRESETS:
        raise ConfigError(f"No preset is called {name!r}. {did_you_mean(name, PRESETS)}")
    return PRESETS[name]
