"""What a run keeps in its folder to go on from: its configuration as `config.json`, its whole state as a checkpoint.

There is at most one finished checkpoint, `checkpoint-UPDATE`: a new one takes the place of the one before only when it
is whole. It is also a saved agent, which `xworld.agents.load` reads.
"""

import dataclasses
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax

from xworld.agents.saved.saved import Which, checkpoint_folder, checkpoints, describe, remove_others
from xworld.agents.saved.trees import check_room, read_part, write_parts
from xworld.base.configs import differences, from_json, to_json
from xworld.base.errors import ConfigError
from xworld.training.devices.sharding import fetch
from xworld.training.learners.ppo import TrainState
from xworld.training.run.config import RunConfig

_CONFIG = "config.json"
_SPARE_BYTES = 4_000_000  # for metrics and the configuration


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


def prepare_folder(folder: Path, like: TrainState, *, is_resumed: bool) -> None:
    """Makes sure that a run can write checkpoints of states like `like` into `folder`, by writing as much.

    Raises:
      ConfigError: the folder holds something and the run is not resumed, or it is read-only, or it is full.
    """
    if not is_resumed and folder.is_dir() and any(folder.iterdir()):
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

    def __init__(self, folder: Path, config: RunConfig, is_writing: bool = True):
        """Into the run's folder; not at all in a process that is not `is_writing`."""
        self._folder, self._config, self._is_writing = folder, config, is_writing
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._pending: list[Future[None]] = []
        found = checkpoints(folder, "last")
        self.newest = int(found[-1].name.rpartition("-")[2]) if found else 0  # update of the last one

    def write(self, state: TrainState, which: Which) -> None:
        """Copies the state to the host's memory, and begins to write it, once the one before is written.

        Raises:
          ConfigError: the one before could not be written.
        """
        host = fetch(state)  # all processes take part
        self._wait()
        if which == "last":
            self.newest = int(host.update)
        if self._is_writing:
            self._pending.append(self._thread.submit(save, self._folder, self._config, host, which))

    def __enter__(self) -> "CheckpointWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown(wait=True)
        if kind is None:
            self._wait()

    def _wait(self) -> None:
        while self._pending:
            self._pending.pop().result()


def save(folder: Path, config: RunConfig, state: TrainState, which: Which) -> None:
    """Writes a checkpoint of the run in `folder`, and removes the ones before it.

    Args:
      folder: the run's.
      config: the run's.
      state: in the host's memory, from `fetch`.
      which: "last", to go on from, or "best".

    Raises:
      ConfigError: the disk is full or read-only; the checkpoint before is kept.
    """
    checkpoint = checkpoint_folder(folder, which, int(state.update))
    write_parts(checkpoint, {"params": state.params, "rest": _rest(state)}, describe(config.agent, config.env))
    remove_others(checkpoint, which)


def load(folder: Path, like: TrainState, config: RunConfig) -> TrainState:
    """The state in the newest checkpoint of the run in `folder`, in the host's memory.

    Args:
      folder: the run's.
      like: a state with the shapes and dtypes to expect, as from `jax.eval_shape`.
      config: what the run is to go on with.

    Raises:
      ConfigError: no checkpoint, a damaged one, or one of another configuration.
    """
    changed = differences(load_config(folder), config)
    if changed:
        raise ConfigError(f"The checkpoint in {folder} is of another configuration ({'; '.join(changed)}).")
    found = checkpoints(folder, "last")
    if not found:
        raise ConfigError(f"The run in {folder} has no checkpoint yet: it ended before the first was written.")
    params = read_part(found[-1], "params", like.params)
    rest = read_part(found[-1], "rest", jax.eval_shape(lambda state: _rest(_with_key_data(state)), like))
    return TrainState(params=params, **rest | {"key": jax.random.wrap_key_data(rest["key"])})


def _rest(state: TrainState) -> dict[str, Any]:
    """The state but for the parameters, which can be loaded without it."""
    names = [field.name for field in dataclasses.fields(TrainState) if field.name != "params"]
    return {name: getattr(state, name) for name in names}


def _with_key_data(state: TrainState) -> TrainState:
    """As `fetch` gives it."""
    return dataclasses.replace(state, key=jax.random.key_data(state.key))
