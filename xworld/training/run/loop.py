"""The host's part of training: runs compiled chunks of updates, evaluates, writes metrics, saves, stops cleanly."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from xworld.agents import Agent, Params
from xworld.core.types import Task, TaskSource
from xworld.tasks import Universe
from xworld.training.learners.ppo import TrainState
from xworld.training.logs.loggers import check_loggers, open_loggers
from xworld.training.logs.metrics import HELD_OUT, MetricsWriter, Row, summarise
from xworld.training.logs.progress import progress_display
from xworld.training.run.checkpoint import CheckpointWriter, load, load_config, prepare_folder, save_config
from xworld.training.run.config import RunConfig
from xworld.training.run.held_out import make_evaluator
from xworld.training.run.trainer import Trainer, make_trainer

_EXPLODED = 1e6  # of a loss or a gradient's norm; returns are normalised, so that both are of the order of 1


class TrainingDiverged(RuntimeError):
    """A loss or a gradient is no longer finite, or huge; the last good checkpoint is kept."""


def train(
    config: RunConfig,
    folder: Path,
    *,
    resume: bool = False,
    tasks: TaskSource | None = None,
    evaluation_tasks: Task | None = None,
    agent: Agent | None = None,
    params: Params | None = None,
    show_progress: bool = True,
    loggers: Sequence[str] = (),
    on_start: Callable[[], None] | None = None,
    on_row: Callable[[Row], None] | None = None,
) -> bool:
    """Trains an agent on all devices of all processes, and leaves everything in `folder`.

    SIGINT and SIGTERM let the current chunk finish, save, and stop. A run that goes on from a checkpoint gives the
    same parameters, bit for bit on as many devices, as one that was never interrupted.

    Args:
      config: the run. With `resume`, it must be the one in the folder.
      folder: where `config.json`, metrics and checkpoints go; new or empty, unless `resume`. All processes see it.
      resume: whether to go on from the folder's checkpoint.
      tasks: where tasks come from; by default the configuration's universe.
      evaluation_tasks: stacked tasks, leaves [num_tasks, ...], to be evaluated on now and then. By default, of the
        configuration's universe, held-out ones; of `tasks`, some of them.
      agent: in place of the one that the configuration describes; hashable, with the methods of `xworld.agents.Agent`.
      params: what a new run starts with; by default fresh ones.
      show_progress: whether to draw a progress bar.
      loggers: names of what rows of metrics are sent to, beside the files: "tensorboard", "wandb".
      on_start: called when the folder of a new run is ready, for more files in it.
      on_row: called with each chunk's row of metrics.

    Returns:
      Whether the run is finished; False when a signal stopped it.

    Raises:
      ConfigError: the folder cannot be used, the environments cannot be shared out, the checkpoint does not fit, or
        the disk is full.
      TrainingDiverged: a loss or a gradient was not finite, or huge.
    """
    trainer = make_trainer(config, agent)
    source = Universe(config.env, config.universe) if tasks is None else tasks
    evaluate = make_evaluator(config, trainer.agent, tasks, evaluation_tasks)
    like = jax.eval_shape(trainer.start, source)
    is_lead = jax.process_index() == 0  # the process that writes
    if resume:
        load_config(folder)  # a folder that holds no run is the first thing to say
    check_loggers(loggers)
    if is_lead:
        prepare_folder(folder, like, is_resumed=resume)
    with ExitStack() as stack:
        stop = stack.enter_context(_stop_signals())
        show = stack.enter_context(progress_display(config.num_updates, show_progress and is_lead))
        saved = stack.enter_context(CheckpointWriter(folder, config, is_lead))
        if resume:
            state = trainer.place(load(folder, like, config))
        else:
            if is_lead:
                save_config(folder, config)
                if on_start is not None:
                    on_start()
            state = _first_state(trainer, source, params)
            saved.write(state, "last")
        update = int(state.update)
        logs = stack.enter_context(open_loggers(loggers if is_lead else (), folder, config))
        writer = MetricsWriter(folder, update, is_lead)
        best = max((row[HELD_OUT[-1]] for row in writer.rows if not math.isnan(row[HELD_OUT[-1]])), default=-math.inf)
        chunk = trainer.chunk.lower(state, source).compile()
        show(update, None)
        while update < config.num_updates and not _is_any(stop.is_set()):
            began = time.perf_counter()
            state, metrics = chunk(state, source)
            row = summarise(metrics)  # waits for the devices
            seconds = time.perf_counter() - began
            update += config.updates_per_chunk
            _check_finite(row, update, saved.newest)

            num_chunks = update // config.updates_per_chunk
            row |= {"update": update, "steps": update * config.steps_per_update}
            row |= {"steps_per_second": round(config.steps_per_update * config.updates_per_chunk / seconds)}
            is_end = update >= config.num_updates
            if num_chunks % config.chunks_per_evaluation == 0 or is_end:
                row |= evaluate(trainer.whole_params(state.params))
                if row[HELD_OUT[-1]] > best:
                    best = row[HELD_OUT[-1]]
                    saved.write(state, "best")
            row = writer.write(row, seconds)
            show(update, row)
            for logger in logs:
                logger.write(row)
            if on_row is not None:
                on_row(row)
            if num_chunks % config.chunks_per_checkpoint == 0 and not is_end:
                saved.write(state, "last")
        if saved.newest != update:
            saved.write(state, "last")
    return update >= config.num_updates


def _first_state(trainer: Trainer, source: TaskSource, params: Params | None) -> TrainState:
    state = trainer.start(source)
    return state if params is None else trainer.with_params(state, params)


def _check_finite(row: Row, update: int, saved: int) -> None:
    loss, norm = row["loss"], row["gradient_norm"]
    if not (abs(loss) < _EXPLODED and norm < _EXPLODED):  # nor are these true of NaN
        raise TrainingDiverged(
            f"Training diverged before update {update}: the loss is {loss:.3g}, the gradient's norm {norm:.3g}. The "
            f"checkpoint of update {saved} is kept. Try a lower ppo.learning_rate, a ppo.warm_up of 0.05, or a lower "
            "ppo.max_gradient_norm."
        )


def _is_any(is_here: bool) -> bool:
    """Whether it is so in any process; all of them get the same answer."""
    if jax.process_count() == 1:
        return is_here
    return bool(multihost_utils.process_allgather(np.asarray(is_here)).any())


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
