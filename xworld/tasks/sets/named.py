"""Named environments and their universes: `make`, `make_universe`, `register`, and the list of names."""

import dataclasses
from typing import Any

from xworld.base.errors import ConfigError, did_you_mean
from xworld.core.config import EnvConfig
from xworld.core.env import Env
from xworld.tasks.sets.probes import probes
from xworld.tasks.universe.config import UniverseConfig
from xworld.tasks.universe.universe import Universe
from xworld.tasks.worlds.config import WorldConfig

_ONE_ROOM = WorldConfig(rooms=(1,), floor_colours=("black", "grey"))  # a rug tells rooms apart
_TRIVIAL = UniverseConfig(
    world=_ONE_ROOM,
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
# Calibrated to the means of AdA's test set: see `benchmarks/checks/calibration.py` and docs/tasks.md.
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
# The benchmark `xworld-s`: see docs/xworld-s.md for why each knob is as it is.
_S = UniverseConfig(
    world=WorldConfig(rooms=(1, 2, 4), closed_door_percent=25, locked_door_percent=0),
    pair_percent=30,
    direction_percent=10,
    chain_length=(0, 3),
    no_chain_percent=15,
    num_distractors=(1, 4),
    num_dead_ends=(0, 2),
    num_decoys=(0, 1),
    hide_percent=80,
    trial_length=(40, 60),
    num_trials=(1, 6),
)
# One room, where all that there is to find out is how the goal is made: the runs `memory` and `duo`.
_MEMORY = UniverseConfig(
    world=_ONE_ROOM,
    goal_relations=("hold",),
    negated_goal_percent=0,
    direction_percent=0,
    chain_length=(1, 2),
    num_distractors=(2, 3),
    num_dead_ends=(0, 1),
    frozen_task_percent=0,
    hide_percent=100,
    hidden_ways=("rule",),
    hide="all",
    trial_length=(20, 25),
    num_trials=(4, 6),
)
_DUO = dataclasses.replace(
    _MEMORY,
    chain_length=(0, 1),
    pair_percent=0,
    num_distractors=(1, 2),
    num_dead_ends=(0, 0),
    two_player_percent=80,
    together_percent=60,
    hide_percent=50,
    trial_length=(40, 40),
    num_trials=(1, 6),
)
_SMALL_ROOM = EnvConfig(
    height=7, width=7, max_objects=6, max_rules=3, max_doors=1, push=False, relations=("touch", "hold")
)
_ADA_FOR_TWO = dataclasses.replace(_ADA, two_player_percent=50, together_percent=20)
PRESETS: dict[str, Universe] = {
    "trivial": Universe(EnvConfig(height=9, width=9, max_objects=8, max_rules=2, max_doors=1), _TRIVIAL),
    "small": Universe(EnvConfig(height=9, width=9, max_objects=12, max_rules=4, max_doors=4), _SMALL),
    "medium": Universe(EnvConfig(max_rules=6, max_doors=4), _MEDIUM),
    "high": Universe(EnvConfig(height=19, width=19, max_objects=28, max_rules=10, max_doors=7), _HIGH),
    "s": Universe(EnvConfig(height=9, width=9, max_objects=10, max_rules=6, max_doors=4), _S),
    "memory": Universe(_SMALL_ROOM, _MEMORY),
    "duo": Universe(dataclasses.replace(_SMALL_ROOM, num_agents=2, max_objects=4, max_rules=1), _DUO),
    "ada": Universe(EnvConfig(max_objects=20), _ADA),
    "ada-two-player": Universe(EnvConfig(num_agents=2, max_objects=20), _ADA_FOR_TWO),
}


def preset(name: str) -> Universe:
    """The training split of a universe by name; held out from it are its `with_split("validation")` and "test".

    Raises:
      ConfigError: an unknown name.
    """
    if name not in PRESETS:
        raise ConfigError(f"No preset is called {name!r}. {did_you_mean(name, PRESETS)}")
    return PRESETS[name]


# Sides of square grids by the number of rooms; "rooms4-13x13" has worlds of four rooms. A single room has a rug, or its
# worlds would all be the same. The shortest trials are longer where the ways are longer than in 13 x 13 cells.
_SIDES = {1: (7, 9, 13), 2: (9, 13), 4: (9, 13), 6: (13, 19), 9: (16, 19, 25)}

_NAMED: dict[str, tuple[EnvConfig, UniverseConfig]] = {
    f"rooms{rooms}-{side}x{side}": (
        EnvConfig(height=side, width=side),
        UniverseConfig(
            world=_ONE_ROOM if rooms == 1 else WorldConfig(rooms=(rooms,)),
            trial_length=(max(75, 75 * side // 13), 300),
        ),
    )
    for rooms, sides in _SIDES.items()
    for side in sides
} | {name: (universe.env_config, universe.config) for name, universe in PRESETS.items()}


def make(name: str, **overrides: Any) -> Env:
    """The environment called `name`, with fields of its `EnvConfig` replaced by `overrides`.

    Raises:
      ConfigError: an unknown name, or an override that `EnvConfig` does not have or refuses.
    """
    return Env(_replace(_find(name)[0], overrides))


def make_universe(name: str, **overrides: Any) -> Universe:
    """The universe of `make(name)`, with fields of its `UniverseConfig` replaced by `overrides`.

    Raises:
      ConfigError: an unknown name, or an override that `UniverseConfig` does not have or refuses.
    """
    env_config, config = _find(name)
    return Universe(env_config, _replace(config, overrides))


def register(name: str, config: EnvConfig, universe: UniverseConfig | None = None) -> None:
    """Makes `make(name)` build environments of `config`, and `make_universe(name)` their universe.

    Raises:
      ConfigError: the name is taken or cannot name tasks, `config` is not an `EnvConfig`, or the universe does not
        fit it.
    """
    _check_new_name(name)
    if not isinstance(config, EnvConfig):
        raise ConfigError(f"register takes an EnvConfig, not {config!r}.")
    if universe is not None:
        Universe(config, universe)
    _NAMED[name] = config, universe or UniverseConfig()


def _check_new_name(name: object) -> None:
    """Refuses names that stand for other tasks in `tasks_by_name`, or that are taken."""
    from xworld.tasks.sets.fixed import VERSIONS  # here, since that file needs this one

    if not isinstance(name, str) or not name or ":" in name or name.endswith((".toml", ".npz")):
        raise ConfigError(f"{name!r} is no name for an environment; write a text without ':', no file's name.")
    if name in VERSIONS or name == "probes" or name in {probe.name for probe in probes()}:
        raise ConfigError(f"{name!r} is a test set, or probe tasks; register yours under another name.")
    if name in _NAMED:
        raise ConfigError(f"An environment called {name!r} exists already; register yours under another name.")


def environment_names() -> tuple[str, ...]:
    """Names that `make` knows, registered ones included."""
    return tuple(_NAMED)


def _find(name: str) -> tuple[EnvConfig, UniverseConfig]:
    if name not in _NAMED:
        raise ConfigError(f"No environment is called {name!r}. {did_you_mean(name, _NAMED)}")
    return _NAMED[name]


def _replace(config: Any, overrides: dict[str, Any]) -> Any:
    fields = [field.name for field in dataclasses.fields(config)]
    for name in overrides:
        if name not in fields:
            raise ConfigError(f"{type(config).__name__} has no field {name!r}. {did_you_mean(name, fields)}")
    return dataclasses.replace(config, **overrides)
