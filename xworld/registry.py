"""Named environments: `make`, `register`, and the list of names."""

import dataclasses

from xworld.core.config import EnvConfig
from xworld.core.env import Env
from xworld.errors import ConfigError, did_you_mean

_CONFIGS: dict[str, EnvConfig] = {
    # Worlds of 1, 2, 4, 6 and 9 rooms at the sizes in common use.
    "rooms1-9x9": EnvConfig(height=9, width=9),
    "rooms1-13x13": EnvConfig(height=13, width=13),
    "rooms2-9x9": EnvConfig(height=9, width=9),
    "rooms2-13x13": EnvConfig(height=13, width=13),
    "rooms4-9x9": EnvConfig(height=9, width=9),
    "rooms4-13x13": EnvConfig(height=13, width=13),
    "rooms6-13x13": EnvConfig(height=13, width=13),
    "rooms6-19x19": EnvConfig(height=19, width=19),
    "rooms9-16x16": EnvConfig(height=16, width=16),
    "rooms9-19x19": EnvConfig(height=19, width=19),
    "rooms9-25x25": EnvConfig(height=25, width=25),
}


def make(name: str, **overrides: object) -> Env:
    """The environment called `name`, with fields of its `EnvConfig` replaced by `overrides`.

    Raises:
      ConfigError: an unknown name, or an override that `EnvConfig` does not have or refuses.
    """
    if name not in _CONFIGS:
        raise ConfigError(f"No environment is called {name!r}. {did_you_mean(name, environment_names())}")
    fields = [field.name for field in dataclasses.fields(EnvConfig)]
    for override in overrides:
        if override not in fields:
            raise ConfigError(f"EnvConfig has no field {override!r}. {did_you_mean(override, fields)}")
    return Env(dataclasses.replace(_CONFIGS[name], **overrides))  # type: ignore[arg-type]


def register(name: str, config: EnvConfig) -> None:
    """Makes `make(name)` build environments of `config`.

    Raises:
      ConfigError: the name is taken, or `config` is not an `EnvConfig`.
    """
    if name in _CONFIGS:
        raise ConfigError(f"An environment called {name!r} exists already; register yours under another name.")
    if not isinstance(config, EnvConfig):
        raise ConfigError(f"register takes an EnvConfig, not {config!r}.")
    _CONFIGS[name] = config


def environment_names() -> tuple[str, ...]:
    """Names that `make` knows, registered ones included."""
    return tuple(_CONFIGS)
