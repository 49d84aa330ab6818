"""How the agent of a run does on tasks that it does not train on, now and then."""

import functools
import math
from collections.abc import Callable

import jax
import numpy as np

from xworld.agents import Agent, AgentPolicy, Params
from xworld.core.env import Env
from xworld.core.types import Task, TaskSource
from xworld.evaluation.episodes import play_batch
from xworld.tasks import Universe
from xworld.training.logs.metrics import HELD_OUT, Row
from xworld.training.rollouts.rollout import NUM_TRIAL_COLUMNS
from xworld.training.run.config import RunConfig

_SEED = 1_000_003  # of the tasks, apart from the run's own chance


def make_evaluator(
    config: RunConfig, agent: Agent, source: TaskSource | None, tasks: Task | None
) -> Callable[[Params], Row]:
    """A function from whole parameters to the mean returns on held-out tasks, in the columns `HELD_OUT`.

    Always the same tasks and the same chance, so that two evaluations differ by the parameters alone.

    Args:
      config: of the run.
      agent: what the parameters are of.
      source: where the run's own tasks come from, if not from the universe.
      tasks: stacked ones to use. By default of the test split of the universe or of `source`; a source that has no
        splits gives some of its own tasks.
    """

    @functools.cache  # made when they are first needed: a run that is finished needs none
    def make_tasks() -> Task:
        return _sample(config, source) if tasks is None else jax.tree.map(np.asarray, tasks)

    def evaluate(params: Params) -> Row:
        played = make_tasks()
        num_trials = np.asarray(played.num_trials, np.int64)[:, None]
        num_tasks, max_trials = len(num_trials), int(num_trials.max())
        is_played, is_last = np.arange(max_trials) < num_trials, np.arange(max_trials) == num_trials - 1
        policy, key = AgentPolicy(params, agent), jax.random.key(_SEED)
        returns = play_batch(Env(config.env), played, np.arange(num_tasks), policy, key, max_trials)
        row = dict.fromkeys(HELD_OUT, math.nan)
        for trial in range(min(max_trials, NUM_TRIAL_COLUMNS)):
            row[HELD_OUT[trial]] = float(returns[is_played[:, trial], trial].mean())
        return row | {HELD_OUT[-1]: float(returns[is_last].mean())}

    return evaluate


def _sample(config: RunConfig, source: TaskSource | None) -> Task:
    """Stacked tasks in the host's memory, the same whatever the run's seed."""
    if source is None:
        source = Universe(config.env, config.universe)
    if hasattr(source, "with_split"):  # a universe or a pool
        source = source.with_split("test")
    keys = jax.random.split(jax.random.key(_SEED), config.num_evaluation_tasks)
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(source.sample))(keys))
