"""What most experiments do: train a run to its end, and play held-out tasks with its agent."""

import csv
import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, cast

import jax
import numpy as np

from xworld.agents import AgentConfig, AgentPolicy, Expert, LoadedAgent, Params, Policy, agent_preset, load
from xworld.agents.players import NOOP, RANDOM, SCRIPTED
from xworld.agents.saved.saved import checkpoints
from xworld.apps.laboratory.experiment import Job, Outcome
from xworld.base.files import LOCK, locked, read_text
from xworld.core.env import Env
from xworld.core.types import Task, TaskSource
from xworld.evaluation import (
    Reference,
    Scores,
    SweepConfig,
    compare,
    evaluate,
    expert_reference,
    run_sweep,
    sample_tasks,
    sweep_scores,
)
from xworld.evaluation.scoreboard.playing import benchmark_tasks, sweep_config
from xworld.evaluation.scores.summary import STATISTICS
from xworld.evaluation.scores.sweep import mean_sweep
from xworld.tasks import TaskCollection, Universe
from xworld.training import PRESETS, Partners, PPOConfig, RunConfig, Term, train
from xworld.training.logs.metrics import MetricsWriter, Row

ALONG = ("mean", "percentile_20")  # of STATISTICS, over the tasks that are played along a run
_NUM_ALONG, _TRIALS_ALONG = 128, (6, 13)  # tasks of the benchmark, and numbers of trials


def _columns(num_trials: Sequence[int]) -> tuple[str, ...]:
    """`test_mean_of_6`: the mean over tasks of the score in the last of six trials; and so on."""
    return tuple(f"test_{statistic}_of_{k}" for k in num_trials for statistic in ALONG)


COLUMNS_ALONG = _columns(_TRIALS_ALONG)


class Plays(Protocol):
    """What agents are examined with: tasks, and how these are played, the same for all arms of an experiment."""

    def play(self, folder: Path) -> Mapping[int, np.ndarray]:
        """By number of trials k, [num_tasks, k] returns of the newest agent of the run in a folder."""
        ...

    def baselines(self, folder: Path) -> Scores:
        """The scripted players, and what scores 1. The folder is the baselines' own."""
        ...


@dataclass(frozen=True)
class Exam:
    """Held-out tasks of a run's universe, each played once; 1 is what the expert earns in the same task and trial."""

    config: RunConfig  # of whose environment and universe
    num_tasks: int
    num_trials: int  # played of each
    seed: int  # far from those of training
    shorter: tuple[int, ...] = ()  # episodes of fewer trials, rising, which the agents play too and no baseline

    def play(self, folder: Path) -> Mapping[int, np.ndarray]:
        """By number of trials k, [num_tasks, k] returns of the newest agent of the run in a folder.

        It draws its actions.
        """
        env, policy = Env(self.config.env), newest_policy(folder)
        return {k: evaluate(env, self._tasks, policy, self._key, k).returns for k in (*self.shorter, self.num_trials)}

    def baselines(self, folder: Path) -> Scores:
        """The scripted players and the expert."""
        return compare(Env(self.config.env), self._tasks, [], self._key, self.num_trials)

    @property
    def _key(self) -> jax.Array:
        return jax.random.key(self.seed + 1)

    @cached_property
    def _tasks(self) -> Task:
        universe = Universe(self.config.env, self.config.universe).with_split("test")
        return sample_tasks(universe, jax.random.key(self.seed), self.num_tasks)


@dataclass(frozen=True)
class SweepExam:
    """AdA's protocol: every number of trials by itself, many times each; 1 is the expert's best known return."""

    collect: Callable[[], TaskCollection]
    config: SweepConfig

    def play(self, folder: Path) -> Mapping[int, np.ndarray]:
        """By number of trials, mean returns of the newest agent of the run in a folder, which draws its actions."""
        return self._sweep(newest_policy(folder))

    def baselines(self, folder: Path) -> Scores:
        """Doing nothing and doing anything; the folder keeps the expert's best returns."""
        returns = {name: {k: one[None] for k, one in self._sweep(SCRIPTED[name]).items()} for name in (RANDOM, NOOP)}
        return Scores(returns, self.reference(folder))

    def reference(self, folder: Path) -> Reference:
        """The expert's best returns, which the folder keeps."""
        return expert_reference(self.tasks.tasks, Expert(self.tasks.env), folder)

    def _sweep(self, policy: Policy) -> dict[int, np.ndarray]:
        return mean_sweep(self.tasks.env, self.tasks.tasks, policy, self.config)

    @cached_property
    def tasks(self) -> TaskCollection:
        """What is played."""
        return self.collect()


@dataclass(frozen=True)
class Along:
    """Some of a sweep's tasks, played at every evaluation of a run. What it scores is in the run's rows.

    For the report only: nothing is chosen by it, which is what the validation tasks are for. The time that it takes is
    not in the run's seconds.
    """

    exam: SweepExam
    num_tasks: int  # the first ones
    config: SweepConfig
    best: Path  # a folder that keeps the expert's best returns, the same for all runs; as of `SweepExam.baselines`

    @property
    def columns(self) -> tuple[str, ...]:
        """`COLUMNS_ALONG`, of this one's numbers of trials."""
        return _columns(self.config.num_trials)

    def __call__(self, agent: LoadedAgent, tasks: Task, row: Row) -> Row:
        """The columns, of the agent as it is, which draws its actions. As `train` calls it."""
        few = jax.tree.map(lambda leaf: leaf[: self.num_tasks], jax.device_get(self.exam.tasks.tasks))
        policy = AgentPolicy(agent.params, agent.agent)
        played = run_sweep(self.exam.tasks.env, few, policy, self.config, show_progress=False)
        scores = sweep_scores("", played, self._reference)
        last = {k: scores.score("", k)[0, :, -1] for k in self.config.num_trials}
        values = [STATISTICS[name](of_k[~np.isnan(of_k)]) for of_k in last.values() for name in ALONG]
        return dict(zip(self.columns, map(float, values), strict=True))

    @cached_property
    def _reference(self) -> Reference:
        whole = self.exam.reference(self.best)
        return dataclasses.replace(whole, best=whole.best[: self.num_tasks])


def half_of_memory(is_quick: bool) -> RunConfig:
    """The preset `memory` with 50 million steps, half of its own; in miniature the smoke run."""
    return PRESETS["smoke"]() if is_quick else dataclasses.replace(PRESETS["memory"](), total_steps=50_000_000)


def benchmark_exam(is_quick: bool) -> SweepExam:
    """The benchmark `xworld-s` as its scoreboard plays it; in miniature tasks of the smoke run's universe."""
    if is_quick:
        return SweepExam(_few_tasks, SweepConfig((1, 4), num_repetitions=2))
    return SweepExam(benchmark_tasks, sweep_config())


def along_run(exam: SweepExam, is_quick: bool, best: Path) -> Along:
    """The first tasks of an exam, twice each at every evaluation of a run, with 6 and with 13 trials."""
    return Along(exam, 8 if is_quick else _NUM_ALONG, SweepConfig(_TRIALS_ALONG, num_repetitions=2), best)


def _few_tasks() -> TaskCollection:
    config = PRESETS["smoke"]()
    universe = Universe(config.env, config.universe).with_split("test")
    return TaskCollection("smoke", Env(config.env), sample_tasks(universe, jax.random.key(0), 16))


def newest_policy(folder: Path) -> AgentPolicy:
    """The newest agent of the run in a folder, which draws its actions."""
    loaded = load(folder)
    return AgentPolicy(loaded.params, loaded.agent)


_WARM_UP = {"transformer_xl": 0.02}  # of the run, over which the learning rate rises; memories with none begin with it


def with_memory(config: RunConfig, memory: str, gradient_window: int, reach: int, is_quick: bool) -> RunConfig:
    """The run with an agent that learns in windows of so many steps, looks so far back, and has its own warm-up.

    Args:
      config: whose agent is replaced.
      memory: of the new agent, which has the size `mini`.
      gradient_window: steps beyond which no gradient goes back.
      reach: steps back that each layer of a memory that attends can look.
      is_quick: whether the agent has the size of the run's own in place of `mini`.
    """
    agent = dataclasses.replace(config.agent, memory=memory) if is_quick else agent_preset("mini", memory)
    learner = dataclasses.replace(cast(PPOConfig, config.learner), warm_up=_WARM_UP.get(agent.memory, 0.0))
    agent = _with_reach(_with_gradient_window(agent, gradient_window), reach)
    return dataclasses.replace(config, agent=agent, learner=learner)


def _with_gradient_window(agent: AgentConfig, num_steps: int) -> AgentConfig:
    """The agent, learning in windows of so many steps, beyond which no gradient goes back."""
    if agent.memory == "transformer_xl":
        return dataclasses.replace(agent, window=num_steps)
    return dataclasses.replace(agent, gradient_window=num_steps)


def _with_reach(agent: AgentConfig, num_steps: int) -> AgentConfig:
    """The agent, in every layer able to look so many steps back; a memory that does not attend stays as it is."""
    if not agent.reach:
        return agent
    if agent.memory == "transformer_xl":
        return dataclasses.replace(agent, cache_size=num_steps)
    return dataclasses.replace(agent, num_kept=-(-num_steps // agent.keep_every))


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """The folder, made unless it is there; several processes may ask for the same at once."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            make(Path(temporary) / folder.name)
            with suppress(OSError):  # somebody else was quicker, and has the same
                (Path(temporary) / folder.name).rename(folder)
    return folder


def train_to_end(
    config: RunConfig,
    job: Job,
    exam: Plays,
    tasks: TaskSource | None = None,
    terms: Sequence[Term] = (),
    along: Along | None = None,
) -> Outcome:
    """Trains the job's run, which goes on if it was stopped, and plays the exam with its agent.

    Args and errors are those of `train_run`; `exam` is what is played.
    """
    numbers = train_run(config, job, tasks, terms=terms, along=along)
    return Outcome(exam.play(job.folder), numbers)


def can_go_on(folder: Path) -> bool:
    """Whether a run in a folder goes on; what one left that was stopped before its first checkpoint is removed.

    Where there are rows, but no checkpoint, as among results that are kept, nothing is removed: `train` refuses it.

    Raises:
      ConfigError: another process uses the folder.
    """
    if not (folder / "config.json").exists():
        return False
    with locked(folder):
        if checkpoints(folder, "last") or MetricsWriter.read(folder):
            return True
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()
    return False


def train_run(
    config: RunConfig,
    job: Job,
    tasks: TaskSource | None = None,
    partners: Partners | None = None,
    terms: Sequence[Term] = (),
    along: Along | None = None,
    params: Params | None = None,
) -> dict[str, float]:
    """Trains the job's run to its end; how many seconds that took, and how many parameters its agent has.

    Args:
      config: of the run; the job's seed and number of steps take the place of its own.
      job: where it is. A run that was stopped goes on.
      tasks: where tasks come from; by default the configuration's universe.
      partners: who plays in the learner's place at times; by default those of the configuration.
      terms: what the loss has beside the learner's own.
      along: what is played at every evaluation.
      params: what a new run starts with; by default fresh ones.

    Raises:
      KeyboardInterrupt: training was stopped by a signal, and saved.
      ConfigError: the folder holds another run, or cannot be used.
    """
    config = dataclasses.replace(
        config, seed=job.seed, total_steps=config.total_steps if job.total_steps is None else job.total_steps
    )
    is_finished = train(
        config,
        job.folder,
        resume=can_go_on(job.folder),
        tasks=tasks,
        partners=partners,
        terms=terms,
        on_evaluation=along,
        columns=() if along is None else along.columns,
        params=params,
    )
    if not is_finished:
        raise KeyboardInterrupt
    rows = list(csv.DictReader(read_text(job.folder / "metrics.csv").splitlines()))
    seconds = float(rows[-1]["seconds"])
    num_parameters = sum(leaf.size for leaf in jax.tree.leaves(load(job.folder).params))
    return {"training_seconds": round(seconds, 1), "parameters": num_parameters}
