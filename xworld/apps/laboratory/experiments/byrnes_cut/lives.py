"""The teachers: who they are, their recorded lives, and how they and their imitators play held-out tasks."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xworld.agents import Learner, Policy, Stopping, make_learner
from xworld.apps.laboratory.experiments.byrnes_cut.cuts import LEVELS, Sizes, kept_trials
from xworld.apps.laboratory.experiments.byrnes_cut.worlds import SMALL_WORLD, World
from xworld.core.env import Env
from xworld.core.types import Task
from xworld.evaluation import evaluate, record_tasks
from xworld.evaluation.protocol import with_num_trials
from xworld.histories import Dataset, DatasetHeader

_SEED = 70_000  # of what is played at the end


@dataclass(frozen=True)
class Teacher:
    """Who is imitated, and where it learns."""

    learner: str  # by name
    world: World = SMALL_WORLD
    changes: Mapping[str, Any] = field(default_factory=dict)  # of its settings


FAMILIES = {
    "q-learner": Teacher("q-learner"),
    "reinforce": Teacher("reinforce"),
    "scripted-learner": Teacher("scripted-learner", changes={"num_trials": 5}),
    "q-learner-6x6": Teacher("q-learner", World(4, 4, 10)),
    "q-learner-slow": Teacher("q-learner", changes={"learning_rate": 0.03}),
    "reinforce-fast": Teacher("reinforce", changes={"learning_rate": 1.0}),
}


@dataclass(frozen=True)
class Lives:
    """A teacher's tasks and lives, and what is played at the end."""

    family: str
    sizes: Sizes

    @property
    def world(self) -> World:
        """Where it learns."""
        return FAMILIES[self.family].world

    def policy(self, num_learned: int | None = None) -> Learner:
        """The teacher, which stops learning after so many trials."""
        teacher = FAMILIES[self.family]
        learner = make_learner(teacher.learner, self.world.env, self.world.trial_length)
        return dataclasses.replace(learner, num_learned=num_learned, **teacher.changes)

    def record(self, seed: int, folder: Path) -> Dataset:
        """Their lives, in a new folder."""
        tasks = self.world.tasks("train", seed, self.sizes.num_lives, self.sizes.num_trials)
        header = DatasetHeader(self.world.env, players=(FAMILIES[self.family].learner,))
        return record_tasks(folder, header, tasks, self.policy(), jax.random.key(seed))

    def play(self, policy: Policy, num_lives: int = 2) -> np.ndarray:
        """[num_tasks, num_lives * num_trials] returns on held-out tasks, by default for twice a life."""
        tasks = with_num_trials(self.held_out, num_lives * self.sizes.num_trials)
        return evaluate(Env(self.world.env), tasks, policy, jax.random.key(_SEED)).returns

    def stopped(self, cut: str) -> np.ndarray:
        """[num_tasks] mean returns of each task's own teacher that stops at the cut, from then on.

        Of a level they are late ones, and a teacher that never gets to it goes on learning.
        """
        if cut in LEVELS:
            return self.play(Stopping(self.policy(), LEVELS[cut]))[:, self.sizes.late].mean(1)
        num_learned = kept_trials(self.sizes.num_trials, cut)
        return self.play(self.policy(num_learned))[:, num_learned:].mean(1)

    @cached_property
    def taught(self) -> np.ndarray:
        """[num_tasks, 2 * num_trials] returns of each held-out task's own teacher, which goes on."""
        return self.play(self.policy())

    @cached_property
    def held_out(self) -> Task:
        """The tasks that are played at the end."""
        return self.world.tasks("test", _SEED, self.sizes.num_tasks, 2 * self.sizes.num_trials)
