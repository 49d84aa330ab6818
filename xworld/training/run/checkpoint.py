"""What a run keeps in its folder to go on from: its configuration as `config.json`, its whole state as a checkpoint.

There is at most one finished checkpoint, `checkpoint-UPDATE`: a new one takes the place of the one before only when it
is whole. It is also a saved agent, which `xworld.agents.load` reads.
"""

import dataclasses
import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import jax

from xworld.agents.saved.saved import (
    RETURN_SCALE,
    Which,
    checkpoint_folder,
    checkpoints,
    describe,
    remove_others,
)
from xworld.agents.saved.trees import check_room, read_part, write_parts
from xworld.base.configs import differences, from_json, to_json
from xworld.base.errors import ConfigError
from xworld.base.files import LOCK, as_path, parse_json, read_text, write_atomically
from xworld.training.devices.sharding import fetch
from xworld.training.rollouts.partners import Changing
from xworld.training.run.config import RunConfig
from xworld.training.run.given import Given
from xworld.training.run.trainer import TrainState

T = TypeVar("T")

EVALUATION_TASKS = "evaluation_tasks"  # of what is given to a run: their digest, where they are given
_CONFIG, _OUTSIDE = "config.json", "given.json"
_TASKS, _PARTNERS = "tasks", "partners"  # the parts of a checkpoint with a curriculum, and with partners that change
_SPARE_BYTES = 4_000_000  # for metrics and the configuration


def save_config(folder: Path, config: RunConfig, outside: Mapping[str, Any]) -> None:
    """Writes the run's configuration, and what is given to it beside."""
    write_atomically(folder / _OUTSIDE, (json.dumps(outside, indent=1) + "\n").encode())
    write_atomically(folder / _CONFIG, to_json(config).encode())


def read_outside(folder: Path) -> dict[str, Any]:
    """What was given to the run in `folder` beside its configuration: see `Given.describe`.

    Raises:
      ConfigError: the file that says so is missing or damaged.
    """
    path = folder / _OUTSIDE
    try:
        found = parse_json(read_text(path))
        known = {name: found[name] for name in ("tasks", "splits", "terms", "partners", "learner", "network")}
        return known | {name: found[name] for name in found.keys() & {EVALUATION_TASKS}}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{folder} does not say what was given to its run: {path.name} is missing or damaged ({error})."
        ) from error


def check_outside(folder: Path, outside: Mapping[str, Any]) -> None:
    """Makes sure that a run goes on with what it was started with beside its configuration.

    Raises:
      ConfigError: its tasks, terms, partners, learner or network are of other classes or say that they are others, or
        its tasks are of other splits; or it is evaluated on other tasks, so that its best could not be told.
    """
    found = read_outside(folder)
    changed = [name for name in dict.fromkeys((*found, *outside)) if found.get(name) != outside.get(name)]
    if changed:
        pairs = "; ".join(f"{name}: {found.get(name)} there, {outside.get(name)} here" for name in changed)
        hint = " Commands take a network of one's own by --network module:function." if "network" in changed else ""
        raise ConfigError(f"The run in {folder} was started with something else ({pairs}). Give it the same.{hint}")


def load_config(folder: Path) -> RunConfig:
    """The configuration of the run in `folder`.

    Raises:
      ConfigError: there is no run, or its configuration cannot be read.
    """
    folder = as_path(folder)
    path = folder / _CONFIG
    if not path.is_file():
        raise ConfigError(f"{folder} holds no training run: there is no {_CONFIG} in it.")
    text = read_text(path)
    try:
        return from_json(RunConfig, text)
    except ConfigError as error:
        raise ConfigError(f"{path} cannot be read. {error}") from error


def prepare_folder(folder: Path, like: TrainState, *, is_resumed: bool) -> None:
    """Makes sure that a run can write checkpoints of states like `like` into `folder`, by writing as much.

    Raises:
      ConfigError: the folder holds something and the run is not resumed, or it is read-only, or it is full.
    """
    if not is_resumed and folder.is_dir() and any(path.name != LOCK for path in folder.iterdir()):
        raise ConfigError(f"{folder} is not empty. Resume the run in it, or choose another folder.")
    num_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(like)) + _SPARE_BYTES
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_room(folder, num_bytes)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written to: {error.strerror}. Choose another folder, or make room for "
            f"{num_bytes / 1e6:.0f} MB."
        ) from error


class CheckpointWriter:
    """Writes the checkpoints of a run in a thread, one after the other, while training goes on.

    A context: what was begun is finished at its end.
    """

    def __init__(self, folder: Path, config: RunConfig, agent: Any, is_writing: bool = True):
        """Into the run's folder; not at all in a process that is not `is_writing`."""
        self._folder, self._is_writing, self._texts = folder, is_writing, describe(agent, config.env)
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._pending: list[Future[None]] = []
        found = checkpoints(folder, "last")
        self.newest = int(found[-1].name.rpartition("-")[2]) if found else 0  # update of the last one

    def write(self, state: TrainState, given: Given, which: Which) -> None:
        """Copies the state to the host's memory, and begins to write it, once the one before is written.

        Of the best, what an agent needs is kept; of the last, all that the run needs to go on.

        Raises:
          ConfigError: the one before could not be written.
        """
        update = int(state.update)
        parts = agent_parts(state) if which == "best" else all_parts(state, given)
        host = fetch(parts)  # all processes take part
        self.wait()
        if which == "last":
            self.newest = update
        if self._is_writing:
            self._pending.append(self._thread.submit(save, self._folder, which, update, host, self._texts))

    def wait(self) -> None:
        """Returns when what was begun is written.

        Raises:
          ConfigError: it could not be.
        """
        while self._pending:
            self._pending.pop().result()

    def __enter__(self) -> "CheckpointWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown(wait=True)
        if kind is None:
            self.wait()


def agent_parts(state: TrainState) -> dict[str, Any]:
    """What a saved agent consists of."""
    scale = getattr(state.learner, "return_scale", None)
    return {"params": state.params} | ({} if scale is None else {RETURN_SCALE: scale})


def all_parts(state: TrainState, given: Given) -> dict[str, Any]:
    """What a checkpoint consists of: the agent, the rest of the state, tasks and partners where they change."""
    names = [field.name for field in dataclasses.fields(TrainState) if field.name != "params"]
    rest = {name: getattr(state, name) for name in names}
    tasks = {} if given.curriculum is None else {_TASKS: given.tasks}
    partners = {_PARTNERS: given.partners} if isinstance(given.partners, Changing) else {}
    return agent_parts(state) | {"rest": rest} | tasks | partners


def save(folder: Path, which: Which, update: int, parts: Mapping[str, Any], texts: Mapping[str, str]) -> None:
    """Writes a checkpoint of the run in `folder`, and removes the ones before it.

    Args:
      folder: the run's.
      which: "last", to go on from, or "best".
      update: after how many updates.
      parts: in the host's memory, from `fetch`.
      texts: from `describe`.

    Raises:
      ConfigError: the disk is full or read-only; the checkpoint before is kept.
    """
    checkpoint = checkpoint_folder(folder, which, update)
    write_parts(checkpoint, parts, texts)
    remove_others(checkpoint, which)


def load(folder: Path, like: TrainState, given: Given, config: RunConfig) -> tuple[TrainState, Given]:
    """The state in the newest checkpoint of the run in `folder`, in the host's memory, and its curriculum and partners.

    Args:
      folder: the run's.
      like: a state with the shapes and dtypes to expect, as from `jax.eval_shape`.
      given: what the run is to go on with; a curriculum and changing partners are those of the checkpoint.
      config: what the run is to go on with; only `total_steps` may be another, and more.

    Raises:
      ConfigError: no checkpoint, a damaged one, or one of another configuration.
    """
    saved = load_config(folder)
    longer = dataclasses.replace(saved, total_steps=max(saved.total_steps, config.total_steps))
    changed = differences(longer, config)
    if changed:
        raise ConfigError(f"The checkpoint in {folder} is of another configuration ({'; '.join(changed)}).")
    found = checkpoints(folder, "last")
    if not found:
        raise ConfigError(f"The run in {folder} has no checkpoint yet: it ended before the first was written.")
    wanted = jax.eval_shape(lambda state, given: all_parts(*_with_key_data((state, given))), like, given)
    parts = {name: read_part(found[-1], name, part) for name, part in wanted.items()}
    rest = _with_keys(parts["rest"], {name: getattr(like, name) for name in parts["rest"]})
    if given.curriculum is not None:
        given = dataclasses.replace(given, tasks=_with_keys(parts[_TASKS], given.tasks))
    if _PARTNERS in parts:
        given = dataclasses.replace(given, partners=_with_keys(parts[_PARTNERS], given.partners))
    return TrainState(params=parts["params"], **rest), given


def _with_key_data(tree: T) -> T:
    """Keys become their data, as `fetch` gives them."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)


def _with_keys(tree: T, like: T) -> T:
    """The other way round, where `like` has keys."""
    return jax.tree.map(lambda leaf, old: jax.random.wrap_key_data(leaf) if _is_key(old) else leaf, tree, like)


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
