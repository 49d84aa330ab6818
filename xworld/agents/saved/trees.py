"""Trees of arrays in folders. The only module that uses orbax.

A folder is written beside its place, as `unfinished-NAME`, and takes its place by a rename: a process that is killed at
any moment leaves it whole or not there.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp

from xworld.base.errors import ConfigError, located
from xworld.base.files import parse_json, read_text, reason_of

T = TypeVar("T")
UNFINISHED = "unfinished-"
MANIFEST = "manifest.json"
_ORBAX_NOTE = "commit_success.txt"  # says where on this machine it was written; nothing reads it
_MANIFEST_PARTS = ("files", "leaves")
_SPARE_BYTES = 1_000_000  # for what is written beside arrays
_ZEROS = bytes(2**20)


def write_parts(folder: Path, parts: Mapping[str, Any], texts: Mapping[str, str] | None = None) -> None:
    """Writes pytrees of arrays, and what `read_part` checks them by; what was there before is replaced.

    One process writes, whichever calls.

    Args:
      folder: new or written by this function; the folder it is in exists or can be made.
      parts: by name. Arrays are whole in this process; random keys as their data.
      texts: further files, by name.

    Raises:
      ConfigError: the disk is full or read-only, or an agent is to be replaced in the folder that one is in. Nothing is
        left of what was begun; what was there before is.
    """
    folder = folder.resolve()  # what a link leads to, so that the link stays
    unfinished, before = (folder.with_name(UNFINISHED + folder.name + suffix) for suffix in ("", "-before"))
    arrays = {name: _to_numpy(tree) for name, tree in parts.items()}
    num_bytes = sum(leaf.nbytes for leaves in arrays.values() for leaf in leaves.values()) + _SPARE_BYTES
    try:
        for path in (unfinished, before):
            shutil.rmtree(path, ignore_errors=True)
        unfinished.mkdir(parents=True)
        check_room(unfinished, num_bytes)
        for name, text in (texts or {}).items():
            (unfinished / name).write_bytes(text.encode())
        with _checkpointer() as checkpointer:
            for name, values in arrays.items():
                checkpointer.save(unfinished / name, values)
        for note in unfinished.rglob(_ORBAX_NOTE):
            note.unlink()
        # What `read_part` compares before orbax reads anything: orbax has no documented way to say what is wrong.
        manifest = {
            "files": {path.relative_to(unfinished).as_posix(): _digest(path) for path in _files(unfinished)},
            "leaves": {name: _signatures(values) for name, values in arrays.items()},
        }
        (unfinished / MANIFEST).write_bytes((json.dumps(manifest, indent=1) + "\n").encode())
        _take_place(unfinished, folder, before)
    except ConfigError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    except (OSError, ValueError) as error:  # orbax turns an OSError into a ValueError
        shutil.rmtree(unfinished, ignore_errors=True)
        raise ConfigError(
            f"{folder} cannot be written: {reason_of(error)}. Make room for {num_bytes / 1e6:.0f} MB, or choose "
            "another folder; what was saved before is kept."
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
    manifest = _parse_manifest(folder)
    if part not in manifest["leaves"]:
        raise ConfigError(f"{folder} holds no {part!r}, only {', '.join(manifest['leaves'])}.")
    _check_files(folder, manifest, part)
    expected, saved = _names(like), manifest["leaves"][part]
    if not isinstance(saved, dict):
        raise ConfigError(f"{folder} is damaged: {MANIFEST} does not say what is in {part!r}.")
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


def _checkpointer() -> ocp.StandardCheckpointer:
    """Orbax, without waiting for other processes."""
    process = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=process, active_processes={process}, barrier_sync_key_prefix=f"process{process}"
    )
    return ocp.StandardCheckpointer(multiprocessing_options=alone)


def read_manifest(folder: Path, entry: str) -> dict[str, Any]:
    """The manifest, once the file or the part of this name is as it says.

    Raises:
      ConfigError: there is no manifest, or it does not name just the files that are there, or one of them was changed.
    """
    manifest = _parse_manifest(folder)
    _check_files(folder, manifest, entry)
    return manifest


def names_in(folder: Path) -> set[str]:
    """Names of what `write_parts` has written into a folder: the manifest, and the files and folders that it names.

    Raises:
      ConfigError: there is no manifest, or it is damaged.
    """
    return {MANIFEST, *(name.split("/")[0] for name in _parse_manifest(folder)["files"])}


def check_none_lost(folder: Path, paths: Iterable[Path], own: Set[str]) -> None:
    """Makes sure that of the paths in a folder, whose place an agent is to take, all are named in `own`.

    Raises:
      ConfigError: one is not.
    """
    foreign = sorted(path.name for path in paths if path.name not in own)
    if foreign:
        raise ConfigError(
            f"{folder} holds {foreign[0]}, which is no part of a saved agent and would be lost. Move it, or choose "
            "another folder."
        )


def _parse_manifest(folder: Path) -> dict[str, Any]:
    with located(f"{folder} is damaged"):
        manifest = parse_json(read_text(folder / MANIFEST))
        if not isinstance(manifest, dict) or not all(isinstance(manifest.get(name), dict) for name in _MANIFEST_PARTS):
            raise ConfigError(f"{MANIFEST} has not {' and '.join(_MANIFEST_PARTS)}.")
    return manifest


def _check_files(folder: Path, manifest: dict[str, Any], entry: str) -> None:
    """Makes sure that the file or the part of this name is as the manifest says."""
    with located(f"{folder} is damaged"):
        named = {name: digest for name, digest in manifest["files"].items() if name.split("/")[0] == entry}
        place = folder / entry
        there = {path.relative_to(folder).as_posix() for path in ([place] if place.is_file() else _files(place))}
        if not named:
            raise ConfigError(f"{MANIFEST} names no file of {entry}, so that nothing says whether that is whole.")
        for name in sorted(named.keys() ^ there):
            raise ConfigError(f"{name} is missing." if name in named else f"{name} is not in {MANIFEST}.")
        try:
            changed = [name for name, digest in named.items() if _digest(folder / name) != digest]
        except OSError as error:
            raise ConfigError(f"{entry} cannot be read: {reason_of(error)}.") from error
        for name in changed:
            raise ConfigError(f"{name} is not as it was written.")


def _take_place(unfinished: Path, folder: Path, before: Path) -> None:
    """Makes a whole folder be `folder`, in place of what is there, which is called `before` for a moment."""
    is_here = folder.exists() and folder.samefile(Path.cwd())
    if is_here and any(folder.iterdir()):
        raise ConfigError(f"{folder} is where you are, and it is not empty. Go elsewhere, or choose another folder.")
    if is_here:  # it stays the same folder, or whoever is in it would be nowhere; the manifest makes it whole
        for path in sorted(unfinished.iterdir(), key=lambda path: path.name == MANIFEST):
            path.rename(folder / path.name)
        unfinished.rmdir()
        return
    if folder.exists():
        folder.rename(before)
    unfinished.rename(folder)
    shutil.rmtree(before, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _signatures(leaves: dict[str, Any]) -> dict[str, str]:
    """Such as "float32[3, 4]", by name."""
    return {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in leaves.items()}


def _to_numpy(tree: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(leaf) for name, leaf in _names(tree).items()}


def _names(tree: Any) -> dict[str, Any]:
    """The leaves by their paths, in the order of the tree."""
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
