"""An experiment: a question, arms that differ in one thing, and a function that runs one arm with one seed.

Each module of `experiments/` has one, called `EXPERIMENT`. All of them end in one `Scores` for each family of tasks:
the arms and the baselines on the same tasks, so `runner.py` and `report/` serve all.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from xworld.base.errors import ConfigError, did_you_mean
from xworld.evaluation import CrossPlay, Scores
from xworld.evaluation.scores.store import ReturnsStore

BASELINES = "baselines"  # in an arm's place, of the job that plays the scripted players; and its folder
ALL_ARMS = "all arms"  # of a cross-play: agents of each


Numbers = Mapping[str, float | None]  # by name


@dataclass(frozen=True)
class Job:
    """One run of an experiment: an arm with a seed, on a family of tasks."""

    family: str
    arm: str
    seed: int
    folder: Path  # of this run alone; one that was stopped goes on with what is in it
    is_quick: bool = False  # in miniature, to see that everything works
    total_steps: int | None = None  # environment steps, in place of the experiment's own

    def beside(self, arm: str) -> Path:
        """The folder of the run of another arm, with this run's seed and on its tasks, or of their `BASELINES`."""
        prefix = self.folder.name.removesuffix(run_name(self.arm, self.seed))
        return self.folder.with_name(prefix + (BASELINES if arm == BASELINES else run_name(arm, self.seed)))


def run_name(arm: str, seed: int) -> str:
    """What the folder of a run is called, behind the family if there are several."""
    return f"{arm}-seed{seed}"


def group_of(arm: str) -> str:
    """What an arm has in common with those that differ in one number: its name up to the last "-"."""
    return arm.rpartition("-")[0] or arm


@dataclass(frozen=True)
class Outcome:
    """What a run found."""

    # by number of trials k, [num_tasks, k] of the family's tasks, the same for all arms and baselines
    returns: Mapping[int, np.ndarray]
    numbers: Mapping[str, float] = field(default_factory=dict)  # what else was measured, by name
    # of an experiment with several exams, the same for each of them by its name; `returns` is empty
    exams: Mapping[str, Mapping[int, np.ndarray]] = field(default_factory=dict)
    # by name, [n] scores of this run by task on other sets than the exam's, such as tasks that it was trained on
    by_task: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """What is asked, and how it is found out."""

    name: str
    question: str
    arms: tuple[str, ...]  # the first is what the others are compared with
    seeds: tuple[int, ...]
    cost: str  # about how long it takes, and on what
    run: Callable[[Job], Outcome]
    # of the family: what other players, called as no arm is, earn, and what scores 1; of several exams by their names
    baselines: Callable[[Job], Scores | Mapping[str, Scores]]
    families: tuple[str, ...] = ("all",)  # of tasks: each has a table and a panel of the figure
    against: str | None = None  # a number that runs measure: a second figure draws what arms gain against it
    # pairs of columns of the runs' rows, such as ("task_firings", "steps"): a figure draws the first along the second,
    # which may also be a number that runs measure and that grows evenly with the steps
    course: tuple[tuple[str, str], ...] = ()
    # of the rows of all runs: numbers of each arm by their names, None where there is none; a table has them
    of_all_rows: Callable[[Mapping[Job, Sequence[Mapping[str, float]]]], Mapping[str, Numbers]] | None = None
    arms_of: Mapping[str, tuple[str, ...]] | None = None  # of each family, where it has not all of them
    # of an arm or a family, where they are others than `seeds`; of an arm and its family, those that both have
    seeds_of: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    # of an arm, another one whose run of the same seed and family has to be finished before: it uses what that left
    needs: Mapping[str, str] = field(default_factory=dict)
    fit_along: str | None = None  # a number that runs measure: scores of each family are fitted along it
    # of finished runs with each other, in their order; what two earn is kept in a store of the family, under names that
    # `crossing.agent_name` gives, so that a run which is trained again is played again
    cross_play: Callable[[Sequence[Job], ReturnsStore], CrossPlay] | None = None
    # of a family, the most trials that an episode of training has, where agents are evaluated with more
    trained_trials: Mapping[str, int] = field(default_factory=dict)
    why_no_steps: str | None = None  # of an experiment without --total-steps: a sentence, without a full stop
    unit: str = "trial"  # what the scores in a row are of
    num_columns: int = 2  # panels side by side in figures of several families or exams

    def has(self, family: str, arm: str) -> bool:
        """Whether the arm is one of the family's."""
        return self.arms_of is None or arm in self.arms_of[family]

    def seeds_for(self, family: str, arm: str) -> tuple[int, ...]:
        """The seeds of an arm on a family of tasks."""
        of_family, of_arm = (self.seeds_of.get(name) for name in (family, arm))
        if of_family is None or of_arm is None:
            return of_family or of_arm or self.seeds
        return tuple(seed for seed in of_arm if seed in of_family)


def known_experiments() -> dict[str, Experiment]:
    """By name, all that come with xworld."""
    folder = importlib.import_module("xworld.apps.laboratory.experiments")
    names = sorted(found.name for found in pkgutil.iter_modules(folder.__path__))
    modules = [importlib.import_module(f"{folder.__name__}.{name}") for name in names]
    found = [one for module in modules for one in getattr(module, "EXPERIMENTS", None) or (module.EXPERIMENT,)]
    return {one.name: one for one in found}


def experiment_by_name(name: str) -> Experiment:
    """The experiment called `name`.

    Raises:
      ConfigError: there is none.
    """
    known = known_experiments()
    if name not in known:
        raise ConfigError(f"No experiment is called {name!r}. {did_you_mean(name, known)}")
    return known[name]
