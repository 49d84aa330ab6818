"""What a run keeps in its folder to go on from: its configuration as `config.json`, its whole state as a checkpoint.

There is at most one finished checkpoint, `checkpoint-UPDATE`: a new one takes the place of the one before only when it
is whole. It is also a saved agent, which `xworld.agents.load` reads.
"""

from pathlib import Path
from typing import Any

import jax

from xworld.agents.saved import checkpoint_folder, checkpoints, describe, read_part, remove_others, write_parts
from xworld.configs import differences, from_json, to_json
from xworld.errors import ConfigError
from xworld.training.config import RunConfig
from xworld.training.ppo import TrainState

_CONFIG = "config.json"


def save_config(folder: Path, config: RunConfig) -> None:
    """Writes the run's configuration."""
    (folder / _CONFIG).write_text(to_json(config))


def load_config(folder: Path) -> RunConfig:
    """The configuration of the run in `folder`.

    Raises:
      ConfigError: there is no run, or its configuration cannot be read.
    """
    path = folder / _CONFIG
    if not path.is_file():
        raise ConfigError(f"{folder} holds no training run: there is no {_CONFIG} in it.")
    try:
        return from_json(RunConfig, path.read_text())
    except ConfigError as error:
        raise ConfigError(f"{path} cannot be read. {error}") from error


def save(folder: Path, state: TrainState) -> None:
    """Writes a checkpoint of the run in `folder`, and removes the ones before it.

    Raises:
      ConfigError: the disk is full or read-only; the checkpoint before is kept.
    """
    config = load_config(folder)
    checkpoint = checkpoint_folder(folder, "last", int(state.update))
    write_parts(checkpoint, {"params": state.params, "rest": _rest(state)}, describe(config.agent, config.env))
    remove_others(checkpoint, "last")


def load(folder: Path, like: TrainState, config: RunConfig) -> TrainState:
    """The state in the newest checkpoint of the run in `folder`, in the host's memory.

    Args:
      folder: the run's.
      like: a state with the shapes and dtypes to expect, as from `jax.eval_shape`.
      config: what the run is to go on with.

    Raises:
      ConfigError: no checkpoint, a damaged one, or one of another configuration or number of devices.
    """
    changed = differences(load_config(folder), config)
    if changed:
        raise ConfigError(f"The checkpoint in {folder} is of another configuration ({'; '.join(changed)}).")
    found = checkpoints(folder, "last")
    if not found:
        raise ConfigError(f"The run in {folder} has no checkpoint yet: it ended before the first was written.")
    params = read_part(found[-1], "params", like.params)
    rest = read_part(found[-1], "rest", jax.eval_shape(_rest, like))
    return TrainState(params, rest["optimiser"], rest["actor"], jax.random.wrap_key_data(rest["key"]), rest["update"])


def _rest(state: TrainState) -> dict[str, Any]:
    """The state but for the parameters, which can be loaded without it."""
    key = jax.random.key_data(state.key)
    return {"optimiser": state.optimiser, "actor": state.actor, "key": key, "update": state.update}
