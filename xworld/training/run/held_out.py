"""How the agent of a run does now and then on tasks that are kept apart from training."""

import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from xworld.agents import Agent, AgentPolicy, Params
from xworld.base.errors import ConfigError
from xworld.core.env import Env
from xworld.core.types import Task, TaskSource
from xworld.evaluation.episodes import play_batch
from xworld.tasks import Universe
from xworld.tasks.sets.task_set import check_tasks, sample_stacked
from xworld.training.curriculum.curriculum import Curriculum
from xworld.training.logs.metrics import Row, evaluation_columns
from xworld.training.run.config import RunConfig

_TASK_SEED, _PLAY_SEED = 1_000_003, 1_000_033  # apart from the run's own chance


@dataclass(frozen=True)
class Evaluator:
    """Scores parameters now and then, always on the same tasks with the same chance.

    Two evaluations of a run differ by the parameters alone. All tasks are played with one number of trials, so that
    every column is over all of them.
    """

    columns: tuple[str, ...]  # what they say of the tasks: see `evaluation_columns`
    env: Env
    agent: Agent
    make_tasks: Callable[[], Task]  # stacked, in the host's memory

    def __call__(self, params: Params) -> Row:
        """The return of every trial divided by the trial's length, mean over tasks, of whole parameters."""
        tasks = self.make_tasks()
        num_tasks, num_trials = len(tasks.num_trials), int(tasks.num_trials[0])
        policy, key = AgentPolicy(params, self.agent), jax.random.key(_PLAY_SEED)
        returns = play_batch(self.env, tasks, np.arange(num_tasks), policy, key, num_trials)
        means = (returns / tasks.trial_length[:, None]).mean(axis=0).tolist()
        row = dict.fromkeys(self.columns, math.nan)
        return row | dict(zip(self.columns[:-1], means, strict=False)) | {self.columns[-1]: means[-1]}

    def score(self, agent: Agent, params: Params) -> float:
        """The last-trial score of any agent, on the same tasks with the same chance."""
        row = dataclasses.replace(self, agent=agent)(params)
        return row[self.columns[-1]]


def make_evaluator(config: RunConfig, agent: Agent, source: TaskSource | None, tasks: Task | None) -> Evaluator:
    """What evaluates a run.

    Args:
      config: of the run.
      agent: what is evaluated.
      source: where the run's own tasks come from, if not from the universe.
      tasks: stacked ones to play. By default of the validation split: of `source` if it has splits, of the
        configuration's universe if there is no `source` or it is a curriculum. Else some of the run's own tasks, and
        the columns say so.

    Raises:
      ConfigError: the validation split is too small, or the tasks are for other environments.
    """
    if tasks is not None:
        check_tasks(Env(config.env), tasks)
    kept = None if tasks is not None else _validation(config, source)
    is_seen = tasks is None and kept is None

    @functools.cache  # made when they are first needed: a run that is finished needs none
    def make_tasks() -> Task:
        if tasks is not None:
            return _with_most_trials(jax.tree.map(np.asarray, tasks), None)
        played = source if kept is None else kept
        assert played is not None
        keys = jax.random.split(jax.random.key(_TASK_SEED), config.num_evaluation_tasks)
        return _with_most_trials(sample_stacked(played, keys), getattr(played, "universe", played))

    return Evaluator(evaluation_columns("seen" if is_seen else "validation"), Env(config.env), agent, make_tasks)


def _validation(config: RunConfig, source: TaskSource | None) -> TaskSource | None:
    """Where tasks of a validation split come from, if there is one."""
    if source is None:
        return Universe(config.env, config.universe).with_split("validation")
    if hasattr(source, "with_split"):  # a universe or a pool
        kept: TaskSource = source.with_split("validation")
        return kept
    if isinstance(source, Curriculum):
        try:
            return Universe(config.env, config.universe).with_split("validation")
        except ConfigError:  # its tasks are of no universe, so that the configuration's need not fit
            pass
    return None


def _with_most_trials(tasks: Task, source: Any) -> Task:
    """The tasks, each with as many trials as any of them has, or as any of its universe may have."""
    most = source.config.num_trials[1] if isinstance(source, Universe) else tasks.num_trials.max()
    num_trials: Any = np.full_like(tasks.num_trials, most)
    return dataclasses.replace(tasks, num_trials=num_trials)
