"""Partners side by side: whom one should train with for tasks for two, and whether what is learned works with others.

All arms train on the same tasks for as many environment steps, but for two. `self` learns from both seats, so that it
has more steps of its own: `self-shorter` stops when it has as many as those with partners. In `alone` the other seat
does nothing, and the run goes on until the learner has taken as many steps of its own as under `self`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from xworld.agents import AgentPolicy, Expert, PairedPolicy, Policy
from xworld.agents.players import EXPERT, NOOP, RANDOM, SCRIPTED, plan_policy
from xworld.apps.laboratory.crossing import agent_name
from xworld.apps.laboratory.experiment import BASELINES, Experiment, Job, Outcome
from xworld.apps.laboratory.training import newest_policy, train_run
from xworld.core.env import Env
from xworld.core.types import Task
from xworld.evaluation import CrossPlay, Reference, Scores, SweepConfig, cross_play, expert_reference
from xworld.evaluation.scores.cooperation import SEATS
from xworld.evaluation.scores.store import ReturnsStore
from xworld.evaluation.scores.sweep import mean_sweep
from xworld.tasks import Universe
from xworld.training import (
    PRESETS,
    FixedConfig,
    NoisySelfConfig,
    PartnersConfig,
    PoolConfig,
    RunConfig,
    SelfConfig,
)

ALONE, SHORTER, ITSELF, FOR_ONE = "alone", "self-shorter", "itself", "for one"
_ARMS: dict[str, PartnersConfig] = {
    "self": SelfConfig(),
    "noisy-self": NoisySelfConfig(),
    "pool": PoolConfig(),
    "with-random": FixedConfig(RANDOM),
    SHORTER: SelfConfig(),
    ALONE: FixedConfig(NOOP),
}
_SMALL_POOL = PoolConfig(capacity=2, updates_per_draw=2, draws_per_snapshot=1)
_OF_TWO = ("needs both", "one could do")  # tasks for two
_WITH = (ITSELF, RANDOM, NOOP)  # who sits in the other seat of an exam; the expert's plans do not look at anybody

Played = Mapping[int, np.ndarray]  # by number of trials k, [num_tasks, k] returns


@dataclass(frozen=True)
class PairExam:
    """Held-out tasks of a run's universe: those for two with several partners, both ways to sit, and those for one."""

    config: RunConfig  # of whose environment and universe
    num_tasks: int
    sweep: SweepConfig
    seed: int  # far from those of training

    def play(self, policy: Policy) -> dict[str, dict[int, np.ndarray]]:
        """By exam and number of trials k, [num_tasks, k] mean returns of a player.

        It plays with itself in all seats, and in one seat beside each of the others.
        """
        partners = {name: SCRIPTED[name] for name in (RANDOM, NOOP)}
        by_itself = self._sweep(policy, self.tasks)
        for_two = np.flatnonzero(self.is_for_two)
        played = {ITSELF: {k: returns[for_two] for k, returns in by_itself.items()}}
        for name, partner in partners.items():
            seats = [self._sweep(PairedPolicy(policy, partner, jnp.int32(seat)), self.tasks_for_two) for seat in SEATS]
            played[name] = {k: np.mean([of_seat[k] for of_seat in seats], axis=0) for k in by_itself}
        exams = {
            f"{part}, with {name}": {k: returns[is_part[for_two]] for k, returns in played[name].items()}
            for part, is_part in self._parts.items()
            for name in _WITH
        }
        return {**exams, FOR_ONE: {k: returns[~self.is_for_two] for k, returns in by_itself.items()}}

    def baselines(self, folder: Path) -> dict[str, Scores]:
        """Of each exam scripted players and the expert; 1 is the expert's best return in all seats."""
        expert, best = plan_policy(self.env, self.tasks, show_progress=False), self.reference(folder)
        players: dict[str, Policy] = {RANDOM: SCRIPTED[RANDOM], NOOP: SCRIPTED[NOOP], EXPERT: expert}
        played = {name: self.play(policy) for name, policy in players.items()}
        is_of = {f"{part}, with {name}": is_part for part, is_part in self._parts.items() for name in _WITH}
        is_of[FOR_ONE] = ~self.is_for_two
        return {
            exam: Scores(
                {
                    name: {k: returns[None] for k, returns in of_player[exam].items()}
                    for name, of_player in played.items()
                },
                Reference(best.kind, best.best[is_it]),
            )
            for exam, is_it in is_of.items()
        }

    def cross_play(self, players: Mapping[str, Policy], folder: Path, store: ReturnsStore) -> CrossPlay:
        """Scores of the last trial in all tasks for two, of which the store keeps the returns.

        The folder has the expert's best returns, or gets them.
        """
        num_trials, key = self.sweep.num_trials[-1], jax.random.key(self.seed + 1)
        found = cross_play(self.env, self.tasks_for_two, players, key, num_trials=num_trials, store=store)
        return found.to_scores(self.reference(folder).best[self.is_for_two].astype(np.float64))

    def reference(self, folder: Path) -> Reference:
        """The expert's best returns of all tasks, kept in the folder."""
        return expert_reference(self.tasks, Expert(self.env), folder, show_progress=False)

    @property
    def env(self) -> Env:
        """What is played in."""
        return Env(self.config.env)

    @property
    def tasks(self) -> Task:
        """All of them, stacked."""
        return self._made[0]

    @cached_property
    def tasks_for_two(self) -> Task:
        """Those for two, stacked."""
        return jax.tree.map(lambda leaf: leaf[self.is_for_two], self.tasks)

    @property
    def is_for_two(self) -> np.ndarray:
        """[num_tasks] bool."""
        return np.asarray(self.tasks.is_present).sum(-1) == 2

    @property
    def _parts(self) -> dict[str, np.ndarray]:
        """[num_tasks] bool for each part of the tasks for two: where something is asked of both, and the rest."""
        needs_both = self._made[1]
        return dict(zip(_OF_TWO, (self.is_for_two & needs_both, self.is_for_two & ~needs_both), strict=True))

    @cached_property
    def _made(self) -> tuple[Task, np.ndarray]:
        """The tasks, and [num_tasks] whether goal and rules ask something of both agents."""
        universe = Universe(self.config.env, self.config.universe).with_split("test")
        tasks, info = universe.sample_stacked(jax.random.split(jax.random.key(self.seed), self.num_tasks))
        return tasks, np.asarray(info.needs_both)

    def _sweep(self, policy: Policy, tasks: Task) -> dict[int, np.ndarray]:
        return mean_sweep(self.env, tasks, policy, self.sweep, show_progress=False)


def run(job: Job) -> Outcome:
    """Trains with the arm's partners, and plays all exams."""
    exam, config = _exam(job.is_quick), _config(job)
    steps = config.total_steps if job.total_steps is None else job.total_steps
    both = 1 + config.universe.two_player_percent / 100  # steps that `self` has of its own for each of the environment
    total = round(steps * {ALONE: both, SHORTER: 1 / both}.get(job.arm, 1.0))
    own = round(total * both) if job.arm in ("self", SHORTER) else total
    numbers = train_run(config, dataclasses.replace(job, total_steps=total))
    numbers |= {"environment_steps": total, "own_steps_about": own}
    return Outcome({}, numbers, exams=exam.play(newest_policy(job.folder)))


def _play_together(jobs: Sequence[Job], store: ReturnsStore) -> CrossPlay:
    """The agents of these runs with each other."""
    first, *_ = jobs
    players: dict[str, AgentPolicy] = {agent_name(job): newest_policy(job.folder) for job in jobs}
    return _exam(first.is_quick).cross_play(players, first.folder.with_name(BASELINES), store)


def _config(job: Job) -> RunConfig:
    partners = _SMALL_POOL if job.is_quick and job.arm == "pool" else _ARMS[job.arm]
    return dataclasses.replace(_preset(job.is_quick), partners=partners)


def _preset(is_quick: bool) -> RunConfig:
    if not is_quick:
        return PRESETS["duo"]()
    config = PRESETS["smoke"]()
    universe = dataclasses.replace(config.universe, two_player_percent=50, together_percent=50)
    return dataclasses.replace(config, env=dataclasses.replace(config.env, num_agents=2), universe=universe)


def _exam(is_quick: bool) -> PairExam:
    if is_quick:
        return PairExam(_preset(is_quick), num_tasks=24, sweep=SweepConfig((1, 4), num_repetitions=1), seed=90_000)
    return PairExam(
        _preset(is_quick), num_tasks=512, sweep=SweepConfig((1, 2, 3, 6, 13), num_repetitions=2), seed=90_000
    )


EXPERIMENT = Experiment(
    name="partners",
    question="Whom should one train with for tasks for two, and does what is learned work with others?",
    arms=tuple(_ARMS),
    seeds=(0, 1, 2, 3),
    cost="24 runs of 25 million steps, of `alone` 45 and of `self-shorter` 14: 35 minutes of a core for each 25",
    run=run,
    baselines=lambda job: _exam(job.is_quick).baselines(job.folder),
    course=(("validation_last_trial", "steps"),),
    cross_play=_play_together,
    num_columns=len(_WITH),
)
