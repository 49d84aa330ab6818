"""The host's part of training: runs compiled chunks of updates, shows and writes metrics, saves, stops cleanly."""

import dataclasses
import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from xworld.agents import Params
from xworld.errors import ConfigError
from xworld.tasks import Universe
from xworld.training.checkpoint import load, load_config, save, save_config
from xworld.training.config import RunConfig
from xworld.training.metrics import TRIAL_COLUMNS, MetricsWriter, Row, summarise
from xworld.training.ppo import TrainState
from xworld.training.trainer import make_trainer
from xworld.vector import TaskSource

_SPARE_BYTES = 4_000_000  # for metrics and the configuration


class TrainingDiverged(RuntimeError):
    """A loss or a gradient is no longer finite; the last good checkpoint is kept."""


def train(
    config: RunConfig,
    folder: Path,
    *,
    resume: bool = False,
    tasks: TaskSource | None = None,
    params: Params | None = None,
    show_progress: bool = True,
    on_start: Callable[[], None] | None = None,
    on_row: Callable[[Row], None] | None = None,
) -> bool:
    """Trains an agent on all devices of the process, and leaves everything in `folder`.

    SIGINT and SIGTERM let the current chunk finish, save, and stop. A run that goes on from a checkpoint gives the
    same parameters, bit for bit, as one that was never interrupted.

    Args:
      config: the run. With `resume`, it must be the one in the folder.
      folder: where `config.json`, metrics and checkpoints go; new or empty, unless `resume`.
      resume: whether to go on from the folder's checkpoint.
      tasks: where tasks come from; by default the configuration's universe.
      params: what a new run starts with; by default fresh ones.
      show_progress: whether to draw a progress bar.
      on_start: called when the folder of a new run is ready, for more files in it.
      on_row: called with each chunk's row of metrics, for other loggers.

    Returns:
      Whether the run is finished; False when a signal stopped it.

    Raises:
      ConfigError: the folder cannot be used, the environments cannot be shared out, or the checkpoint does not fit.
      TrainingDiverged: a loss or a gradient was not finite.
    """
    trainer = make_trainer(config)
    source = Universe(config.env, config.universe) if tasks is None else tasks
    like = jax.eval_shape(trainer.start, source)
    if resume:
        load_config(folder)  # a folder that holds no run is the first thing to say
    prepare_folder(folder, _num_bytes(like), is_resumed=resume)
    with _stop_signals() as stop, _progress_bar(config, show_progress) as show:
        if resume:
            state = trainer.place(load(folder, like, config))
        else:
            save_config(folder, config)
            if on_start is not None:
                on_start()
            state = trainer.start(source)
            if params is not None:
                state = trainer.place(dataclasses.replace(state, params=params))
            save(folder, state)
        update = saved = int(state.update)
        writer = MetricsWriter(folder, update)
        chunk = trainer.chunk.lower(state, source).compile()
        show(update, "starting")
        while update < config.num_updates and not stop.is_set():
            began = time.perf_counter()
            state, metrics = chunk(state, source)
            row = summarise(metrics)  # waits for the devices
            seconds = time.perf_counter() - began
            update += config.updates_per_chunk
            _check_finite(row, update, saved)

            writer.seconds += seconds
            steps = config.steps_per_update * config.updates_per_chunk
            row |= {"update": update, "steps": update * config.steps_per_update}
            row |= {"seconds": round(writer.seconds, 3), "steps_per_second": round(steps / seconds)}
            writer.write(row)
            show(update, _describe(row))
            if on_row is not None:
                on_row(row)
            if (update // config.updates_per_chunk) % config.chunks_per_checkpoint == 0:
                save(folder, state)
                saved = update
        if saved != update:
            save(folder, state)
    return update >= config.num_updates


def prepare_folder(folder: Path, num_bytes: int, *, is_resumed: bool) -> None:
    """Makes sure that a run can write a checkpoint of `num_bytes` into `folder`, by writing as much.

    Raises:
      ConfigError: the folder holds something and the run is not resumed, or it is read-only, or it is full.
    """
    if not is_resumed and folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty. Resume the run in it, or choose another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(num_bytes + _SPARE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written to: {error.strerror}. Choose another folder, or make room for "
            f"{(num_bytes + _SPARE_BYTES) / 1e6:.0f} MB."
        ) from error


def _num_bytes(state: TrainState) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


def _check_finite(row: Row, update: int, saved: int) -> None:
    if not (math.isfinite(row["loss"]) and math.isfinite(row["gradient_norm"])):
        raise TrainingDiverged(
            f"Training diverged before update {update}: the loss is {row['loss']}, the gradient's norm "
            f"{row['gradient_norm']}. The checkpoint of update {saved} is kept. Try a lower ppo.learning_rate."
        )


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, unless they are ignored; a second one acts as if there were no event."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # Python gives signals to the main thread alone
        yield stop
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # A shell has background jobs ignore SIGINT; that is not undone.
    before = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask_to_stop(number: int, frame: object) -> None:
        stop.set()
        restore()

    for number in before:
        signal.signal(number, ask_to_stop)
    try:
        yield stop
    finally:
        restore()


@contextmanager
def _progress_bar(config: RunConfig, is_shown: bool) -> Iterator[Callable[[int, str], None]]:
    """A function that shows the updates done and a line about them."""
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, disable=not is_shown) as progress:
        bar = progress.add_task("compiling", total=config.num_updates)
        yield lambda update, line: progress.update(bar, completed=update, description=line)


def _describe(row: Row) -> str:
    first, last = row[TRIAL_COLUMNS[0]], row["return_last_trial"]
    return (
        f"{row['steps'] / 1e6:.1f} M steps, {row['steps_per_second']:,.0f}/s, "
        f"return {first:.2f} in the first trial, {last:.2f} in the last, entropy {row['entropy']:.2f}"
    )
