"""Named environments and their universes: `make`, `make_universe`, `register`, and the list of names."""

import dataclasses
from typing import Any

from xworld.core.config import EnvConfig
from xworld.core.env import Env
from xworld.errors import ConfigError, did_you_mean
from xworld.tasks import Universe, UniverseConfig, WorldConfig
from xworld.tasks.presets import PRESETS

# Sides of square grids by the number of rooms; "rooms4-13x13" has worlds of four rooms. A single room has a rug, or its
# worlds would all be the same. The shortest trials are longer where the ways are longer than in 13 x 13 cells.
_SIDES = {1: (7, 9, 13), 2: (9, 13), 4: (9, 13), 6: (13, 19), 9: (16, 19, 25)}

_NAMED: dict[str, tuple[EnvConfig, UniverseConfig]] = {
    f"rooms{rooms}-{side}x{side}": (
        EnvConfig(height=side, width=side),
        UniverseConfig(
            world=WorldConfig(rooms=(rooms,), floor_colours=("black", "grey") if rooms == 1 else ("black",)),
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
      ConfigError: the name is taken, `config` is not an `EnvConfig`, or the universe does not fit it.
    """
    if name in _NAMED:
        raise ConfigError(f"An environment called {name!r} exists already; register yours under another name.")
    if not isinstance(config, EnvConfig):
        raise ConfigError(f"register takes an EnvConfig, not {config!r}.")
    if universe is not None:
        Universe(config, universe)
    _NAMED[name] = config, universe or UniverseConfig()


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
