"""Prompting: is one trial that somebody else plays worth several of one's own, and does training for it help?

`agent` trains on the tasks of the preset `memory`. `shown` does too, and in half of its episodes another agent plays
the first trial: one that was trained before in the same tasks with nothing hidden, and is told all. In the exams the
expert plays the first trial (`prompted`); the controls are the first trial of another task (`another task`), and one of
random actions (`at random`). Expected: the second trial after a demonstration is at least as good as the sixth without.
"""

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import jax
import numpy as np

from xworld.agents import Expert, load
from xworld.agents.players import EXPERT, NOOP, RANDOM, SCRIPTED, SEARCHER, Player, make_player
from xworld.apps.laboratory.experiment import Experiment, Job, Outcome
from xworld.apps.laboratory.training import half_of_memory, newest_policy, train_run
from xworld.core.env import Env
from xworld.evaluation import Reference, Scores, SweepConfig, expert_reference, sample_tasks
from xworld.evaluation.demonstrations import prompt
from xworld.evaluation.scores.statistics import interval
from xworld.evaluation.scores.summary import STATISTICS
from xworld.evaluation.scores.sweep import mean_sweep
from xworld.tasks import TaskCollection, Universe
from xworld.training import Partners, RunConfig, make_demonstrators

AGENT, SHOWN = "agent", "shown"
ALONE, PROMPTED, ELSEWHERE, AT_RANDOM = "alone", "prompted", "another task", "at random"  # exams
_DEMONSTRATORS = {PROMPTED: (EXPERT, False), ELSEWHERE: (EXPERT, True), AT_RANDOM: (RANDOM, False)}
_SHARE = 0.5  # of the episodes that begin with a demonstration
_SEED_OF_TASKS, _SEEDS_APART = 100_000, 1000
_MOST = 6  # trials
_BEST = "best-returns"  # a folder beside the runs
_DIFFERENCES = {  # of scores in last trials, each with an exam and a number of trials
    "prompted_second_over_own_sixth": ((PROMPTED, 2), (ALONE, 6)),
    "prompted_second_over_own_second": ((PROMPTED, 2), (ALONE, 2)),
    "another_task_second_over_own_first": ((ELSEWHERE, 2), (ALONE, 1)),
}

Played = dict[int, np.ndarray]  # by number of trials k, [num_tasks, k] mean returns


@dataclasses.dataclass(frozen=True)
class PromptingExam:
    """Held-out tasks of the preset `memory`, alone and after first trials that others play."""

    config: RunConfig
    num_tasks: int
    num_repetitions: int

    def play(self, player: Player) -> dict[str, Played]:
        """By exam; after a first trial of somebody else the numbers of trials begin at 2."""
        played = {ALONE: self.sweep(player, (1, 2, 3, _MOST))}
        for exam, (name, is_elsewhere) in _DEMONSTRATORS.items():
            prompted, _ = prompt(player, self.collection, name, of_another_task=is_elsewhere)
            played[exam] = self.sweep(prompted, (2, 3, _MOST))
        return played

    def sweep(self, player: Player, num_trials: tuple[int, ...]) -> Played:
        """Mean returns of a player."""
        config = SweepConfig(num_trials, num_repetitions=self.num_repetitions)
        return mean_sweep(self.collection.env, self.collection.tasks, player.policy, config, show_progress=False)

    def reference(self, folder: Path) -> Reference:
        """The expert's best returns, kept in the folder."""
        collection = self.collection
        return expert_reference(collection.tasks, Expert(collection.env), folder, show_progress=False)

    @cached_property
    def collection(self) -> TaskCollection:
        """The tasks."""
        universe = Universe(self.config.env, self.config.universe).with_split("test")
        tasks = sample_tasks(universe, jax.random.key(_SEED_OF_TASKS), self.num_tasks)
        return TaskCollection("memory", Env(self.config.env), tasks)


def run(job: Job) -> Outcome:
    """Trains, for `shown` the demonstrator first, and plays all exams."""
    config, exam = half_of_memory(job.is_quick), _exam(job.is_quick)
    partners, before = _demonstrators(job, config) if job.arm == SHOWN else (None, {})
    numbers = train_run(config, job, partners=partners) | before
    played = exam.play(make_player("agent", newest_policy(job.folder)))
    reference = exam.reference(job.folder.with_name(_BEST))
    return Outcome({}, {**numbers, **_differences(played, reference)}, exams=played)


def _demonstrators(job: Job, config: RunConfig) -> tuple[Partners, dict[str, float]]:
    """An agent that was trained with nothing hidden, for half as many steps; and what that took."""
    folder = job.folder.with_name(f"{job.folder.name}-demonstrator")
    steps = config.total_steps if job.total_steps is None else job.total_steps
    open_ = dataclasses.replace(config, universe=dataclasses.replace(config.universe, hide_percent=0))
    other = dataclasses.replace(job, folder=folder, seed=job.seed + _SEEDS_APART, total_steps=max(steps // 2, 1))
    numbers = train_run(open_, other)
    loaded = load(folder)
    told_all = make_demonstrators(loaded.params, loaded.agent, _SHARE, is_told_all=True)
    return told_all, {"demonstrators_training_seconds": numbers["training_seconds"]}


def _differences(played: Mapping[str, Played], reference: Reference) -> dict[str, float]:
    """Paired differences of mean scores, with 95 % intervals over tasks."""
    numbers: dict[str, float] = {}
    is_scored = reference.best > 0
    for name, pair in _DIFFERENCES.items():
        first, other = (played[exam][k][is_scored, -1] / reference.best[is_scored] for exam, k in pair)
        low, high = interval(first - other, STATISTICS["mean"])
        values = {name: float((first - other).mean()), f"{name}_low": low, f"{name}_high": high}
        numbers |= {of: round(float(value), 4) for of, value in values.items()}
    return numbers


def _baselines(job: Job) -> dict[str, Scores]:
    """Of each exam players that remember nothing of a demonstration, and what scores 1."""
    exam = _exam(job.is_quick)
    players = {name: make_player(name, SCRIPTED[name]) for name in (RANDOM, NOOP, SEARCHER)}
    played = {name: exam.sweep(player, (1, 2, 3, _MOST)) for name, player in players.items()}
    reference = exam.reference(job.folder.with_name(_BEST))
    return {
        name: Scores(
            {
                player: {k: returns[None] for k, returns in of_player.items() if k > 1 or name == ALONE}
                for player, of_player in played.items()
            },
            reference,
        )
        for name in (ALONE, *_DEMONSTRATORS)
    }


def _exam(is_quick: bool) -> PromptingExam:
    config = half_of_memory(is_quick)
    return PromptingExam(config, 16, 1) if is_quick else PromptingExam(config, 512, 5)


EXPERIMENT = Experiment(
    name="prompting",
    question="Is one trial that somebody else plays worth several of one's own, and does training for it help?",
    arms=(AGENT, SHOWN),
    seeds=(0, 1, 2),
    cost="6 runs of 50 million steps, and 3 of 25 for the demonstrators: half an hour of a core for each 50",
    run=run,
    baselines=_baselines,
)
