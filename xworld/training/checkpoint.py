"""Checkpoints of a run: its configuration as `config.json`, its whole state by orbax. The only module that uses orbax.

A run's folder holds at most one finished checkpoint, `checkpoint-UPDATE`: a new one is written beside it and takes
its place by a rename, so that a process killed at any moment leaves one of the two whole.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp

from xworld.agents import Agent, Params, make_agent
from xworld.errors import ConfigError
from xworld.training.config import RunConfig, differences, from_json, to_json
from xworld.training.ppo import TrainState

_CONFIG, _MANIFEST, _PREFIX, _UNFINISHED = "config.json", "manifest.json", "checkpoint-", "unfinished-checkpoint"

T = TypeVar("T")


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
        return from_json(path.read_text())
    except ConfigError as error:
        raise ConfigError(f"{path} cannot be read. {error}") from error


def save(folder: Path, state: TrainState) -> None:
    """Writes a checkpoint of `state`, and removes the ones before it."""
    unfinished = folder.absolute() / _UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    parts = {"params": _to_numpy(state.params), "rest": _to_numpy(_rest(state))}
    with ocp.StandardCheckpointer() as checkpointer:
        for name, values in parts.items():
            checkpointer.save(unfinished / name, values)
    # What `_restore` compares before orbax reads anything: orbax has no documented way to say what is wrong.
    manifest = {
        "files": {str(path.relative_to(unfinished)): _digest(path) for path in _files(unfinished)},
        "leaves": {name: _signatures(values) for name, values in parts.items()},
    }
    (unfinished / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")

    finished = folder / f"{_PREFIX}{int(state.update)}"
    before = [path for path in folder.glob(_PREFIX + "*") if path != finished]
    shutil.rmtree(finished, ignore_errors=True)
    unfinished.rename(finished)
    for path in before:
        shutil.rmtree(path)


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
    checkpoint = _newest(folder)
    params = _restore(checkpoint, "params", like.params)
    rest = _restore(checkpoint, "rest", jax.eval_shape(_rest, like))
    return TrainState(params, rest["optimiser"], rest["actor"], jax.random.wrap_key_data(rest["key"]), rest["update"])


def load_agent(folder: Path) -> tuple[RunConfig, Agent, Params]:
    """The configuration, the agent and the newest parameters of the run in `folder`.

    Raises:
      ConfigError: no run, no checkpoint, or a damaged one.
    """
    config = load_config(folder)
    agent = make_agent(config.agent, config.env)
    params = _restore(_newest(folder), "params", jax.eval_shape(agent.init, jax.random.key(0)))
    return config, agent, jax.tree.map(jax.numpy.asarray, params)


def _newest(folder: Path) -> Path:
    checkpoints = [path for path in folder.glob(_PREFIX + "*") if path.name.removeprefix(_PREFIX).isdigit()]
    if not checkpoints:
        raise ConfigError(f"The run in {folder} has no checkpoint yet: it ended before the first was written.")
    return max(checkpoints, key=lambda path: int(path.name.removeprefix(_PREFIX)))


def _restore(checkpoint: Path, part: str, like: T) -> T:
    """A part of a checkpoint, as a tree of numpy arrays with the structure of `like`."""
    _check_files(checkpoint)
    expected, saved = _names(like), json.loads((checkpoint / _MANIFEST).read_text())["leaves"][part]
    for name, signature in _signatures(expected).items():
        if saved.get(name) != signature:
            raise ConfigError(
                f"The checkpoint {checkpoint} does not fit: {name} is {saved.get(name, 'not there')} in it and should "
                f"be {signature}. Go on with as many devices as it was saved with, and the same version of xworld."
            )
    empty = {name: np.empty(leaf.shape, leaf.dtype) for name, leaf in expected.items()}
    with ocp.StandardCheckpointer() as checkpointer:
        values = checkpointer.restore(checkpoint.absolute() / part, empty)
    return jax.tree.unflatten(jax.tree.structure(like), [values[name] for name in expected])


def _check_files(checkpoint: Path) -> None:
    try:
        files = json.loads((checkpoint / _MANIFEST).read_text())["files"]
        bad = [name for name, digest in files.items() if _digest(checkpoint / name) != digest]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"The checkpoint {checkpoint} is damaged: {error}.") from error
    if bad:
        raise ConfigError(f"The checkpoint {checkpoint} is damaged: {bad[0]} is not as it was written.")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _signatures(leaves: dict[str, Any]) -> dict[str, str]:
    """Such as "float32[3, 4]", by name."""
    return {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in leaves.items()}


def _rest(state: TrainState) -> dict[str, Any]:
    """The state but for the parameters, which can be loaded without it."""
    key = jax.random.key_data(state.key)
    return {"optimiser": state.optimiser, "actor": state.actor, "key": key, "update": state.update}


def _to_numpy(tree: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(leaf) for name, leaf in _names(tree).items()}


def _names(tree: Any) -> dict[str, Any]:
    """The leaves by their paths, in the order of the tree."""
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
