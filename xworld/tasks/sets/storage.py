"""Files of task sets: `save` and `load`, as arrays (.npz) or as text (.toml).

Both have the configuration that the tasks were made for and a hash of their content, which `load` checks. A file is
written whole or not at all, and nothing in it is run when it is read (no pickle).
"""

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.digest import digest
from xworld.base.errors import ConfigError, located
from xworld.base.files import as_path, parse_json, parse_toml, read_text, reason_of, write_atomically
from xworld.core import kinds
from xworld.core.config import EnvConfig
from xworld.core.types import Task
from xworld.tasks.language.making import make_task
from xworld.tasks.language.reading import parse
from xworld.tasks.language.writing import to_text
from xworld.tasks.sets.task_set import TaskSet

_FORMAT = "xworld tasks 1"
_HEADER = "header"  # of an .npz file: the array with format, configuration and hash
_SUFFIXES = (".npz", ".toml")


def save(path: str | Path, tasks: TaskSet, config: EnvConfig) -> Path:
    """Writes a task set for `load` to read: arrays if the name ends in .npz, readable text if in .toml.

    Args:
      path: missing folders are made; a file that is there is replaced.
      tasks: at least one.
      config: what they were made for.

    Returns:
      The path.

    Raises:
      ConfigError: another suffix, no tasks, tasks of another configuration, or a path that cannot be written.
    """
    path = _check_suffix(path)
    if not len(tasks):
        raise ConfigError(f"There are no tasks to write to {path}; a set of tasks has at least one.")
    _check_shapes(tasks.tasks, config, "The tasks")
    header = {"format": _FORMAT, "content_hash": digest(tasks.tasks), "config": dataclasses.asdict(config)}
    if path.suffix == ".npz":
        arrays: dict[str, Any] = {_HEADER: np.array(json.dumps(header)), **_arrays(tasks.tasks)}
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)
        content = file.getvalue()
    else:
        content = _to_toml(header, tasks).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path.parent} cannot be made: {error.strerror}. Choose another folder.") from error
    write_atomically(path, content)
    return path


def load(path: str | Path, config: EnvConfig) -> TaskSet:
    """The task set in a file that `save` wrote.

    Args:
      path: the file.
      config: that of the environment to play the tasks in; `load_config` says what they were made for.

    Raises:
      ConfigError: the file cannot be read, is damaged or none of `save`'s, was made for another configuration, or has
        other content than its hash says.
    """
    path = _check_suffix(path)
    header, content = _read(path)
    made_for = _make_config(path, header)
    if made_for != config:
        different = [
            f"{field.name} {getattr(made_for, field.name)!r} (here {getattr(config, field.name)!r})"
            for field in dataclasses.fields(config)
            if getattr(made_for, field.name) != getattr(config, field.name)
        ]
        raise ConfigError(
            f"{path} has tasks for another configuration: {', '.join(different)}. Use xworld.tasks.load_config(path)."
        )
    tasks = _from_arrays(path, content, config) if path.suffix == ".npz" else _from_texts(path, content, config)
    expected = header.get("content_hash")
    if expected is None and path.suffix == ".toml":
        return tasks
    if digest(tasks.tasks) != expected:
        raise ConfigError(
            f"{path} has other tasks than its content_hash says: it is damaged or was changed. Save it again"
            + (", or leave content_hash out if you meant to edit it." if path.suffix == ".toml" else ".")
        )
    return tasks


def load_config(path: str | Path) -> EnvConfig:
    """The configuration that the tasks in a file were made for.

    Raises:
      ConfigError: the file cannot be read, or is damaged or none of `save`'s.
    """
    path = _check_suffix(path)
    return _make_config(path, _read(path)[0])


def has_task_set(path: Path) -> bool:
    """Whether a file is meant to have a set of tasks, as `save` writes it, and not one task."""
    if path.suffix != ".toml":
        return path.suffix == ".npz"
    try:
        return not {"format", "tasks"}.isdisjoint(parse_toml(read_text(path)))
    except ConfigError:
        return False


def _check_suffix(path: str | Path) -> Path:
    path = as_path(path)
    if path.suffix not in _SUFFIXES:
        raise ConfigError(f"{path.name!r} is no name of a task set; write one that ends in {' or '.join(_SUFFIXES)}.")
    return path


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header of a file, and the rest: arrays by name, or the tables of a TOML file."""
    if path.suffix == ".toml":
        text = read_text(path, "Name a file of tasks.")
        with located(f"{path} is damaged, or no task set"):
            header = parse_toml(text)
        content: dict[str, Any] = header
    else:
        header, content = _read_arrays(path)
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise ConfigError(f"{path} is no file of format {_FORMAT!r}. Write one with xworld.tasks.save.")
    return header, content


def _read_arrays(path: Path) -> tuple[Any, dict[str, np.ndarray]]:
    """The header of an .npz file, and the other arrays by name."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
        return parse_json(str(content.pop(_HEADER))), content
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {reason_of(error)}. Name a file of tasks.") from error
    except Exception as error:  # numpy and zipfile say it in many ways, and numpy may advise to load it unsafely
        raise ConfigError(f"{path} is damaged, or no task set. Write one with xworld.tasks.save.") from error


def _make_config(path: Path, header: dict[str, Any]) -> EnvConfig:
    fields = header.get("config")
    names = [field.name for field in dataclasses.fields(EnvConfig)]
    if not isinstance(fields, dict) or sorted(fields) != sorted(names):
        raise ConfigError(f"{path}: config has not just the fields of an EnvConfig, which are {', '.join(names)}.")
    with located(f"{path}: config"):
        return EnvConfig(**fields)


def _template(config: EnvConfig) -> Task:
    """A task with the shapes and dtypes of a configuration."""
    return make_task(config, terrain=[[kinds.BLACK_FLOOR]], agents={0: (0, 0)}, goals=())


def _names(task: Task) -> list[str]:
    """Names of a task's leaves, such as "goals.relation"."""
    paths = [path for path, _ in jax.tree.flatten_with_path(task)[0]]
    return [jax.tree_util.keystr(path).removeprefix(".") for path in paths]


def _arrays(tasks: Task) -> dict[str, np.ndarray]:
    return dict(zip(_names(tasks), map(np.asarray, jax.tree.leaves(tasks)), strict=True))


def _check_shapes(tasks: Task, config: EnvConfig, what: str) -> None:
    """Refuses stacked tasks of other shapes or dtypes than the configuration's."""
    num_tasks = jax.tree.leaves(tasks)[0].shape[:1]
    template = _template(config)
    for name, leaf, one in zip(_names(tasks), jax.tree.leaves(tasks), jax.tree.leaves(template), strict=True):
        expected = (*num_tasks, *one.shape)
        if leaf.shape != expected or leaf.dtype != one.dtype:
            raise ConfigError(
                f"{what} do not fit the configuration: {name} is {leaf.dtype} {leaf.shape}, not {one.dtype} "
                f"{expected}. Give the EnvConfig that they were made for."
            )


def _from_arrays(path: Path, arrays: dict[str, np.ndarray], config: EnvConfig) -> TaskSet:
    template = _template(config)
    names = _names(template)
    if sorted(arrays) != sorted(names):
        raise ConfigError(f"{path} is damaged: it has the arrays {sorted(arrays)}, not {sorted(names)}.")
    leaves = [jnp.asarray(arrays[name]) for name in names]
    tasks = jax.tree.unflatten(jax.tree.structure(template), leaves)
    _check_shapes(tasks, config, f"The tasks in {path}")
    if not len(tasks.trial_length):
        raise ConfigError(f"{path} has no tasks. Write a set of at least one with xworld.tasks.save.")
    return TaskSet(tasks)


def _from_texts(path: Path, tables: dict[str, Any], config: EnvConfig) -> TaskSet:
    entries = tables.get("tasks")
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{path} has no tasks; write each as a [[tasks]] table with its text.")
    tasks = []
    for index, entry in enumerate(entries):
        with located(f"{path}: tasks[{index}]"):
            if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
                raise ConfigError("there is no text; write text = '''...''' with a task file in it.")
            tasks.append(parse(entry["text"], config))
    return TaskSet.from_tasks(tasks)


def _to_toml(header: dict[str, Any], tasks: TaskSet) -> str:
    lines = [f"{name} = {json.dumps(header[name])}" for name in ("format", "content_hash")]
    lines += ["", "[config]", *(f"{name} = {json.dumps(value)}" for name, value in header["config"].items())]
    on_host = jax.tree.map(np.asarray, tasks.tasks)
    for index in range(len(tasks)):
        task = jax.tree.map(lambda leaf, index=index: leaf[index], on_host)
        lines += ["", "[[tasks]]", f"text = '''\n{to_text(task)}'''"]
    return "\n".join(lines) + "\n"
