"""Agents and other trees of arrays in folders. The only module that uses orbax.

A folder is written beside its place, as `unfinished-NAME`, and takes its place by a rename: a process that is killed at
any moment leaves it whole or not there.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp

from xworld.agents.agent import Agent, Params, make_agent
from xworld.agents.config import AgentConfig
from xworld.agents.loaded import LoadedAgent
from xworld.configs import from_json, to_json
from xworld.core.config import EnvConfig
from xworld.errors import ConfigError

T = TypeVar("T")
Which = Literal["last", "best"]

PRETRAINED = Path(__file__).parent / "pretrained"  # what is left of the run of an agent that comes with the package

_UNFINISHED = "unfinished-"
_MANIFEST, _AGENT, _PARAMS = "manifest.json", "agent.json", "params"
_PREFIXES: dict[Which, str] = {"last": "checkpoint-", "best": "best-"}  # of folders in a run's; the update follows
_ORBAX_NOTE = "commit_success.txt"  # says where on this machine it was written; nothing reads it
_SPARE_BYTES = 1_000_000  # for what is written beside arrays
_ZEROS = bytes(2**20)


def load(path: Path | str, which: Which = "last") -> LoadedAgent:
    """A saved agent, ready to act.

    Args:
      path: what `save_agent` wrote, a checkpoint, or the folder of a training run.
      which: of a run, the agent of the newest checkpoint, or the best that its own evaluation found.

    Raises:
      ConfigError: there is no agent, or it is damaged.
    """
    folder = _find_agent(Path(path), which)
    _read_manifest(folder, _AGENT)
    try:
        config = from_json(_Description, (folder / _AGENT).read_text())
    except (ConfigError, OSError) as error:
        raise ConfigError(f"{folder} holds no agent that can be read. {error}") from error
    agent = make_agent(config.agent, config.env)
    params = read_part(folder, _PARAMS, jax.eval_shape(agent.init, jax.random.key(0)))
    return LoadedAgent(agent, jax.tree.map(jax.numpy.asarray, params))


def save_agent(folder: Path | str, agent: Agent, params: Params) -> None:
    """Writes an agent into a folder that `load` reads; what was there before is replaced.

    Raises:
      ConfigError: the folder cannot be written, or holds something else than a saved agent.
    """
    folder = Path(folder)
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free and not (folder / _MANIFEST).is_file():
        raise ConfigError(f"{folder} exists and holds no saved agent. Choose another folder.")
    write_parts(folder, {_PARAMS: params}, describe(agent.config, agent.env_config))


def describe(config: AgentConfig, env_config: EnvConfig) -> dict[str, str]:
    """The text that, beside the part "params", makes a folder a saved agent; by the name of its file."""
    return {_AGENT: to_json(_Description(config, env_config))}


def write_parts(folder: Path, parts: Mapping[str, Any], texts: Mapping[str, str] | None = None) -> None:
    """Writes pytrees of arrays, and what `read_part` checks them by; what was there before is replaced.

    One process writes, whichever calls.

    Args:
      folder: new or written by this function; the folder it is in exists or can be made.
      parts: by name. Arrays are whole in this process; random keys as their data.
      texts: further files, by name.

    Raises:
      ConfigError: the disk is full or read-only. Nothing is left of what was begun; what was there before is.
    """
    unfinished, before = (folder.absolute().with_name(_UNFINISHED + folder.name + suffix) for suffix in ("", "-before"))
    arrays = {name: _to_numpy(tree) for name, tree in parts.items()}
    num_bytes = sum(leaf.nbytes for leaves in arrays.values() for leaf in leaves.values()) + _SPARE_BYTES
    try:
        for path in (unfinished, before):
            shutil.rmtree(path, ignore_errors=True)
        unfinished.mkdir(parents=True)
        check_room(unfinished, num_bytes)
        for name, text in (texts or {}).items():
            (unfinished / name).write_text(text)
        with _checkpointer() as checkpointer:
            for name, values in arrays.items():
                checkpointer.save(unfinished / name, values)
        for note in unfinished.rglob(_ORBAX_NOTE):
            note.unlink()
        # What `read_part` compares before orbax reads anything: orbax has no documented way to say what is wrong.
        manifest = {
            "files": {str(path.relative_to(unfinished)): _digest(path) for path in _files(unfinished)},
            "leaves": {name: _signatures(values) for name, values in arrays.items()},
        }
        (unfinished / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        if folder.exists():
            folder.rename(before)
        unfinished.rename(folder)
        shutil.rmtree(before, ignore_errors=True)
    except (OSError, ValueError) as error:  # orbax turns an OSError into a ValueError
        shutil.rmtree(unfinished, ignore_errors=True)
        raise ConfigError(
            f"{folder} cannot be written: {_reason(error)}. Make room for {num_bytes / 1e6:.0f} MB, or choose another "
            "folder; what was saved before is kept."
        ) from error


def read_part(folder: Path, part: str, like: T) -> T:
    """A part of what `write_parts` wrote, as numpy arrays with the structure of `like`.

    Args:
      folder: as given to `write_parts`.
      part: its name.
      like: a tree with the shapes and dtypes to expect, as from `jax.eval_shape`.

    Raises:
      ConfigError: the folder is damaged, or holds arrays of other shapes.
    """
    manifest = _read_manifest(folder, part)
    if part not in manifest["leaves"]:
        raise ConfigError(f"{folder} holds no {part!r}, only {', '.join(manifest['leaves'])}.")
    expected, saved = _names(like), manifest["leaves"][part]
    for name, signature in _signatures(expected).items():
        if saved.get(name) != signature:
            raise ConfigError(
                f"{folder} does not fit: {name} is {saved.get(name, 'not there')} in it and should be {signature}. "
                "Use it with the configuration and the version of xworld that it was saved with."
            )
    empty = {name: np.empty(leaf.shape, leaf.dtype) for name, leaf in expected.items()}
    with _checkpointer() as checkpointer:
        values = checkpointer.restore(folder.absolute() / part, empty)
    return jax.tree.unflatten(jax.tree.structure(like), [values[name] for name in expected])


def check_room(folder: Path, num_bytes: int) -> None:
    """Makes sure that so much can be written into a folder, by writing as much.

    Raises:
      OSError: the disk is full, or it is read-only.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        for begin in range(0, num_bytes, len(_ZEROS)):
            file.write(_ZEROS[: num_bytes - begin])
        file.flush()


def checkpoint_folder(run: Path, which: Which, update: int) -> Path:
    """Where the run in a folder keeps its last or its best checkpoint, after so many updates."""
    return run / f"{_PREFIXES[which]}{update}"


def checkpoints(run: Path, which: Which) -> list[Path]:
    """The finished checkpoints in a run's folder, the newest last."""
    prefix = _PREFIXES[which]
    found = [path for path in run.glob(prefix + "*") if path.name.removeprefix(prefix).isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(prefix)))


def remove_others(checkpoint: Path, which: Which) -> None:
    """Removes a run's checkpoints but this one, and what a killed process left unfinished of such."""
    run = checkpoint.parent
    for path in (*checkpoints(run, which), *run.glob(f"{_UNFINISHED}{_PREFIXES[which]}*")):
        if path != checkpoint:
            shutil.rmtree(path)


@dataclass(frozen=True)
class _Description:
    """What `agent.json` says: all that `make_agent` needs."""

    agent: AgentConfig
    env: EnvConfig


def _find_agent(path: Path, which: Which) -> Path:
    """The folder that holds the agent."""
    if which not in _PREFIXES:
        raise ConfigError(f"which is {which!r}; write {' or '.join(map(repr, _PREFIXES))}.")
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise ConfigError(f"{path} {what}. Name the folder of a training run or of a saved agent.")
    if (path / _MANIFEST).exists() or (path / _AGENT).exists():
        if which == "best":
            raise ConfigError(f"{path} is one saved agent. To have the best of a training run, name the run's folder.")
        return path
    found = checkpoints(path, which)
    if found:
        return found[-1]
    if which == "best" and checkpoints(path, "last"):
        raise ConfigError(f"The run in {path} has no best agent yet: it was not evaluated. Take the last.")
    raise ConfigError(f"{path} holds no agent: there is no checkpoint of a training run in it, and no {_AGENT}.")


def _checkpointer() -> ocp.StandardCheckpointer:
    """Orbax, without waiting for other processes."""
    process = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=process, active_processes={process}, barrier_sync_key_prefix=f"process{process}"
    )
    return ocp.StandardCheckpointer(multiprocessing_options=alone)


def _read_manifest(folder: Path, entry: str) -> dict[str, Any]:
    """The manifest, once the file or the part of this name is as it says."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        files = {name: digest for name, digest in manifest["files"].items() if Path(name).parts[0] == entry}
        bad = [name for name, digest in files.items() if _digest(folder / name) != digest]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{folder} is damaged: {error}.") from error
    if bad:
        raise ConfigError(f"{folder} is damaged: {bad[0]} is not as it was written.")
    return manifest


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    """One line of what went wrong."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(words.split())


def _signatures(leaves: dict[str, Any]) -> dict[str, str]:
    """Such as "float32[3, 4]", by name."""
    return {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in leaves.items()}


def _to_numpy(tree: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(leaf) for name, leaf in _names(tree).items()}


def _names(tree: Any) -> dict[str, Any]:
    """The leaves by their paths, in the order of the tree."""
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
