"""The host's part of training: runs compiled chunks of updates, evaluates, writes metrics, saves, stops cleanly."""

import dataclasses
import math
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from xworld.agents import Agent, LoadedAgent, Params
from xworld.agents.return_scale import ReturnScale
from xworld.base.configs import class_name
from xworld.base.digest import digest
from xworld.base.errors import ConfigError
from xworld.base.files import as_path, locked
from xworld.base.xla.shapes import shapes
from xworld.core.types import Task, TaskSource
from xworld.training.devices.sharding import fetch
from xworld.training.learners.learner import Learner, check_params
from xworld.training.learners.terms.term import Term, evaluated, measured
from xworld.training.logs.kept_tasks import write_kept_tasks
from xworld.training.logs.loggers import Logger, check_loggers, open_loggers
from xworld.training.logs.metrics import (
    MetricsWriter,
    Row,
    check_finite,
    check_known,
    check_new,
    columns_of,
    mean_row,
)
from xworld.training.logs.progress import progress_display
from xworld.training.logs.recorder import Recorder, open_recording
from xworld.training.partners.kept import save_partner
from xworld.training.rollouts.partners import Partners
from xworld.training.run.checkpoint import (
    EVALUATION_TASKS,
    CheckpointWriter,
    check_outside,
    load,
    load_config,
    prepare_folder,
    save_config,
)
from xworld.training.run.config import RunConfig
from xworld.training.run.given import Given, check_source, make_partners, make_source
from xworld.training.run.held_out import Evaluator, make_evaluator
from xworld.training.run.trainer import Trainer, TrainState, make_trainer
from xworld.training.stopping import stop_signals

OnChunk = Callable[[Given, Row], Given]
OnEvaluation = Callable[[LoadedAgent, Task, Row], Row | None]


def train(
    config: RunConfig,
    folder: Path,
    *,
    resume: bool = False,
    tasks: TaskSource | None = None,
    terms: Sequence[Term] = (),
    partners: Partners | None = None,
    learner: Learner | None = None,
    agent: Agent | None = None,
    params: Params | None = None,
    return_scale: ReturnScale | None = None,
    evaluation_tasks: Task | None = None,
    record: Path | None = None,
    show_progress: bool = True,
    loggers: Sequence[str | Logger] = (),
    on_start: Callable[[], None] | None = None,
    on_row: Callable[[Row], None] | None = None,
    on_chunk: OnChunk | None = None,
    on_evaluation: OnEvaluation | None = None,
    columns: Sequence[str] = (),
) -> bool:
    """Trains an agent on all devices of all processes, and leaves everything in `folder`.

    SIGINT and SIGTERM let the current chunk finish, save, and stop. A run that goes on from a checkpoint gives the
    same parameters, bit for bit on as many devices, as one that was never interrupted.

    Args:
      config: the run. With `resume`, it must be the one in the folder; only `total_steps` may have grown.
      folder: where `config.json`, metrics and checkpoints go; new or empty, unless `resume`. All processes see it.
      resume: whether to go on from the folder's checkpoint, with the same tasks, terms, partners, learner, agent and
        evaluation tasks.
      tasks: where tasks come from, maybe a `Curriculum` without a search; by default the configuration's universe.
      terms: further losses.
      partners: who plays the seats that the learner does not; by default those of the configuration.
      learner: in place of the one that the configuration describes; hashable.
      agent: in place of the one that the configuration describes; hashable, with the methods of `xworld.agents.Agent`.
      params: what a new run starts with; by default fresh ones.
      return_scale: what the values of `params` mean (`LoadedAgent.return_scale`).
      evaluation_tasks: stacked tasks, leaves [num_tasks, ...], to be evaluated on now and then. By default of the
        validation split of `tasks`, or, if they are a curriculum, of the configuration's universe; of others, some.
      record: a folder for a data set of whole episodes, as they were played to learn from; with `resume` it is gone
        on with. For tasks of the configuration's universe, in one process.
      show_progress: whether to draw a progress bar.
      loggers: what rows of metrics are sent to, beside the files: "tensorboard", "wandb", or a `Logger` of one's own.
      on_start: called when the folder of a new run is ready, for more files in it.
      on_row: called with each chunk's row of metrics.
      on_chunk: called after each chunk with what is given to the run and the row, gives what the next chunk gets, of
        the same shapes. In all processes; of what it changes, a curriculum and a pool of partners are in the
        checkpoint.
      on_evaluation: called in the lead process after each evaluation with the agent as it then is, the stacked tasks
        that it was evaluated on, and the row. It may return values of `columns`, which become part of the row: the
        time that it takes is not in `seconds`, and a run that goes on has each value once.
      columns: of the rows, beside those that every run has; NaN where `on_evaluation` says nothing.

    Returns:
      Whether the run is finished; False when a signal stopped it.

    Raises:
      ConfigError: the folder cannot be used, or another process uses it; the environments cannot be sharded over the
        devices, the checkpoint does not fit, or the disk is full.
      TrainingDiverged: a loss or a gradient was not finite, or huge.
    """
    trainer = make_trainer(config, agent, learner, is_recorded=record is not None)
    source = make_source(config, tasks)
    check_source(config, source, has_evaluation_tasks=evaluation_tasks is not None)
    folder = as_path(folder)
    players = make_partners(config, trainer.agent, partners, folder if resume else None)
    given = trainer.given(source, tuple(terms), players)
    evaluator = make_evaluator(config, trainer.agent, tasks, evaluation_tasks)
    like = jax.eval_shape(trainer.start, given)
    own = columns_of(jax.eval_shape(trainer.chunk, like, given)[2], evaluator.columns)
    all_columns = (*own, *check_new(columns, own))
    if params is not None:
        check_params(params, like.params)
    is_lead = jax.process_index() == 0  # the process that writes
    outside = given.describe() | {"learner": class_name(trainer.learner), "network": class_name(trainer.agent)}
    if evaluation_tasks is not None:
        outside[EVALUATION_TASKS] = digest(evaluation_tasks)[:16]
    check_loggers(loggers)
    with ExitStack() as stack:
        _in_lead(is_lead, lambda: _prepare(folder, like, outside, resume, stack))
        if not resume:  # before anything is written: a term may refuse the run
            given = _measured(trainer, given, evaluator)
        others = None if partners is None else outside["partners"]
        recorder = None if record is None else _recorder(record, config, tasks, others, resume, stack)
        if tasks is None and config.short_sight:
            warnings.warn(config.short_sight, stacklevel=2)
        stop = stack.enter_context(stop_signals())
        show = stack.enter_context(progress_display(config.num_updates, evaluator.columns, show_progress and is_lead))
        saved = stack.enter_context(CheckpointWriter(folder, config, trainer.agent, is_lead))
        if resume:
            host, given = load(folder, like, given, config)
            if is_lead:
                save_config(folder, config, outside)  # it may be longer now
            state, given = trainer.place(host), trainer.given(given.tasks, given.terms, given.partners)
        else:
            if is_lead:
                save_config(folder, config, outside)
                if partners is None:
                    save_partner(folder, given.partners)
                if on_start is not None:
                    on_start()
            state = _first_state(trainer, given, params, return_scale)
            saved.write(state, given, "last")
        update = int(state.update)
        if resume and update < config.num_updates:
            given = _measured(trainer, given, evaluator)
        logs = stack.enter_context(open_loggers(loggers if is_lead else (), folder, config))
        writer = MetricsWriter(folder, all_columns, update, is_lead)
        run = _Run(
            folder,
            is_lead,
            config,
            trainer,
            evaluator,
            saved,
            recorder,
            writer,
            logs,
            show,
            on_row,
            on_chunk,
            on_evaluation,
            columns,
        )
        return run.go_on(state, given, lambda: _is_any(stop.is_set()))


@dataclass
class _Run:
    """The host's side of a run, chunk by chunk."""

    folder: Path
    is_lead: bool
    config: RunConfig
    trainer: Trainer
    evaluator: Evaluator
    saved: CheckpointWriter
    recorder: Recorder | None
    writer: MetricsWriter
    loggers: Sequence[Logger]
    show: Callable[[int, Row | None], None]
    on_row: Callable[[Row], None] | None
    on_chunk: OnChunk | None
    on_evaluation: OnEvaluation | None
    columns: Sequence[str]  # that `on_evaluation` may give values of

    def go_on(self, state: TrainState, given: Given, is_stopped: Callable[[], bool]) -> bool:
        """Runs chunks to the end of the run, or until it is stopped; whether it is finished."""
        config, update, score = self.config, int(state.update), self.evaluator.columns[-1]
        chunk: Callable[..., Any] = self.trainer.chunk
        if update < config.num_updates:  # a finished run needs no code; that of others is not in the first row's time
            given = self._heard(given, self.writer.rows)  # of the run before it was interrupted
            chunk = self.trainer.chunk.lower(state, given).compile()
        best = self.writer.best(score)
        self.show(update, None)
        while update < config.num_updates and not is_stopped():
            began = time.perf_counter()
            state, given, metrics, taken = chunk(state, given)
            row = mean_row(metrics)  # waits for the devices
            seconds = time.perf_counter() - began
            if self.recorder is not None:
                self.recorder.add(taken, update)
            update += config.updates_per_chunk
            advice = (
                f"The checkpoint of update {self.saved.newest} is kept. Try a lower learner.learning_rate, a "
                "learner.warm_up of 0.05, or a lower learner.optimiser.max_gradient_norm."
            )
            check_finite(row, f"Training diverged before update {update}", advice, update * config.steps_per_update)

            num_chunks, is_end = update // config.updates_per_chunk, update >= config.num_updates
            row |= {"update": update, "steps": update * config.steps_per_update}
            row |= {"steps_per_second": round(config.steps_per_update * config.updates_per_chunk / seconds)}
            if num_chunks % config.chunks_per_evaluation == 0 or is_end:
                row |= self._evaluated(state, row)
                write_kept_tasks(self.folder, given.tasks, update * config.steps_per_update, self.is_lead)
                if _of_lead(row[score] > best):
                    best = row[score]
                    self.saved.write(state, given, "best")
                given = given if is_end else self._heard(given, [row])
            self._report(row, update, seconds)
            if self.on_chunk is not None:
                given = self._changed(given, row)
            if num_chunks % config.chunks_per_checkpoint == 0 and not is_end:
                self._save(state, given)
        if self.saved.newest != update:
            self._save(state, given)
        return update >= config.num_updates

    def _save(self, state: TrainState, given: Given) -> None:
        """Writes a checkpoint; then what was done before it: a run that goes on does not do that again."""
        self.saved.write(state, given, "last")
        if self.recorder is not None:
            self.saved.wait()
            self.recorder.write()

    def _evaluated(self, state: TrainState, row: Row) -> Row:
        """What an evaluation adds to a row."""
        params = self.trainer.whole_params(state.params)
        found = self.evaluator(params)
        if self.on_evaluation is not None:
            params, scale = fetch((params, getattr(state.learner, "return_scale", None)))
            if jax.process_index() == 0:
                agent = LoadedAgent(self.trainer.agent, params, scale, self.config.env)
                more = self.on_evaluation(agent, self.evaluator.make_tasks(), row | found) or {}
                check_known(more, self.columns)
                found = more | found
        return found

    def _heard(self, given: Given, rows: Iterable[Row]) -> Given:
        """What is given, its terms as they are after the evaluations among these rows."""
        terms, score = given.terms, self.evaluator.columns[-1]
        for row in rows:
            if not math.isnan(row[score]):
                terms = evaluated(terms, _score_of_lead(row[score]), row["update"] / self.config.num_updates)
        is_same = all(new is old for new, old in zip(terms, given.terms, strict=True))
        return given if is_same else self.trainer.given(given.tasks, terms, given.partners)

    def _report(self, row: Row, update: int, seconds: float) -> None:
        row = self.writer.write(row, seconds)
        self.show(update, row)
        for logger in self.loggers:
            logger.write(row)
        if self.on_row is not None:
            self.on_row(row)

    def _changed(self, given: Given, row: Row) -> Given:
        """What `on_chunk` makes of what is given, on all devices."""
        assert self.on_chunk is not None
        new = self.on_chunk(given, row)
        if shapes(given) != shapes(new):
            raise ConfigError("on_chunk gives something else than it got. Change values only: shapes and classes stay.")
        return self.trainer.given(new.tasks, new.terms, new.partners)


def _prepare(
    folder: Path, like: TrainState, outside: Mapping[str, Any], is_resumed: bool, whole_run: ExitStack
) -> None:
    """Makes sure that the run can go into the folder, and has it for itself until `whole_run` is over."""
    if is_resumed:
        load_config(folder)  # a folder that holds no run is the first thing to say
        whole_run.enter_context(locked(folder))
        check_outside(folder, outside)
    prepare_folder(folder, like, is_resumed=is_resumed)
    if not is_resumed:
        whole_run.enter_context(locked(folder))


def _recorder(
    folder: Path,
    config: RunConfig,
    tasks: TaskSource | None,
    partners: str | None,
    is_resumed: bool,
    whole_run: ExitStack,
) -> Recorder:
    """What records a run, and has the folder for itself until `whole_run` is over."""
    if tasks is not None:
        raise ConfigError(
            "record keeps tasks by their ids in the configuration's universe. Leave tasks out, or record "
            "the run's checkpoints with xworld record."
        )
    if jax.process_count() > 1:
        raise ConfigError("record is for training in one process. Leave it out, or train in one.")
    writer = open_recording(folder, config, partners, goes_on=is_resumed)
    return Recorder(whole_run.enter_context(writer), config.num_envs)


def _measured(trainer: Trainer, given: Given, evaluator: Evaluator) -> Given:
    """What is given, its terms with what they have to know of the evaluations."""
    terms = measured(given.terms, lambda *of: _score_of_lead(evaluator.score(*of)))
    return trainer.given(given.tasks, terms, given.partners)


def _first_state(trainer: Trainer, given: Given, params: Params | None, return_scale: ReturnScale | None) -> TrainState:
    state = trainer.start(given)
    if return_scale is not None and hasattr(state.learner, "return_scale"):
        old = state.learner.return_scale
        scale = jax.tree.map(lambda new, old: jax.device_put(new, old.sharding), return_scale, old)
        state = dataclasses.replace(state, learner=dataclasses.replace(state.learner, return_scale=scale))
    return state if params is None else dataclasses.replace(state, params=trainer.own_params(params))


def _in_lead(is_lead: bool, prepare: Callable[[], None]) -> None:
    """Has the lead process prepare. What it refuses, all processes refuse, so that none waits for it."""
    refusal: ConfigError | None = None
    if is_lead:
        try:
            prepare()
        except ConfigError as error:
            refusal = error
    if _is_any(refusal is not None):
        raise refusal or ConfigError("The lead process cannot use the run's folder; it says why.")


def _of_lead(is_so: bool) -> bool:
    """Whether it is so in the lead process; all of them get the same answer."""
    if jax.process_count() == 1:
        return is_so
    return bool(multihost_utils.broadcast_one_to_all(np.asarray(is_so)))


def _score_of_lead(score: float) -> float:
    """The lead process's, in float32, in all of them."""
    rounded = np.asarray(score, np.float32)
    return float(rounded if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(rounded))


def _is_any(is_here: bool) -> bool:
    """Whether it is so in any process; all of them get the same answer."""
    if jax.process_count() == 1:
        return is_here
    return bool(multihost_utils.process_allgather(np.asarray(is_here)).any())
