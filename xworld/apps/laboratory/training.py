"""What most experiments do: train a run to its end, and play held-out tasks with its agent."""

import csv
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jax
import numpy as np

from xworld.agents import AgentConfig, AgentPolicy, load
from xworld.apps.laboratory.experiment import Job, Outcome
from xworld.base.files import read_text
from xworld.core.env import Env
from xworld.core.types import Task
from xworld.evaluation import compare, evaluate, sample_tasks
from xworld.tasks import Universe
from xworld.training import RunConfig, train


@dataclass(frozen=True)
class Exam:
    """Held-out tasks of a run's universe, and how they are played: the same for all arms of an experiment."""

    config: RunConfig  # of whose environment and universe
    num_tasks: int
    num_trials: int  # played of each
    seed: int  # far from those of training

    def play(self, folder: Path) -> np.ndarray:
        """[num_tasks, num_trials] returns of the newest agent of the run in a folder, which draws its actions."""
        loaded = load(folder)
        policy = AgentPolicy(loaded.params, loaded.agent)
        return evaluate(self._env, self._tasks, policy, self._key, self.num_trials).returns

    def baselines(self) -> Mapping[str, np.ndarray]:
        """[num_tasks, num_trials] returns of the scripted players and of the expert, by name."""
        scores = compare(self._env, self._tasks, [], self._key, self.num_trials)
        return {player: by_k[self.num_trials][0] for player, by_k in scores.returns.items()}

    @property
    def _env(self) -> Env:
        return Env(self.config.env)

    @property
    def _key(self) -> jax.Array:
        return jax.random.key(self.seed + 1)

    @cached_property
    def _tasks(self) -> Task:
        universe = Universe(self.config.env, self.config.universe).with_split("test")
        return sample_tasks(universe, jax.random.key(self.seed), self.num_tasks)


def with_gradient_window(agent: AgentConfig, num_steps: int) -> AgentConfig:
    """The agent, learning in windows of so many steps, beyond which no gradient goes back."""
    if agent.memory == "transformer_xl":
        return dataclasses.replace(agent, window=num_steps)
    return dataclasses.replace(agent, gradient_window=num_steps)


def with_reach(agent: AgentConfig, num_steps: int) -> AgentConfig:
    """The agent, in every layer able to look so many steps back; a memory that does not attend stays as it is."""
    if not agent.reach:
        return agent
    if agent.memory == "transformer_xl":
        return dataclasses.replace(agent, cache_size=num_steps)
    return dataclasses.replace(agent, num_kept=-(-num_steps // agent.keep_every))


def train_to_end(config: RunConfig, job: Job, exam: Exam) -> Outcome:
    """Trains the job's run, which goes on if it was stopped, and plays the exam with its agent.

    Args:
      config: of the run; the job's seed and number of steps take the place of its own.
      job: where it is.
      exam: what is played.

    Raises:
      KeyboardInterrupt: training was stopped by a signal, and saved.
      ConfigError: the folder holds another run, or cannot be used.
    """
    config = dataclasses.replace(
        config, seed=job.seed, total_steps=config.total_steps if job.total_steps is None else job.total_steps
    )
    if not train(config, job.folder, resume=(job.folder / "config.json").exists()):
        raise KeyboardInterrupt
    rows = list(csv.DictReader(read_text(job.folder / "metrics.csv").splitlines()))
    seconds = float(rows[-1]["seconds"])
    num_parameters = sum(leaf.size for leaf in jax.tree.leaves(load(job.folder).params))
    return Outcome(exam.play(job.folder), {"training_seconds": round(seconds, 1), "parameters": num_parameters})
