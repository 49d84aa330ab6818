"""Curricula side by side: scores, and what each of them trains on as it goes.

On the tasks of the benchmark `xworld-s`, and on long chains, of which few are easy: one in ten, or one in fifty. All
arms take as many environment steps, those in which tasks are tried out included. The two arms behind the curricula are
AdA's ablations of prioritised replay: fitness over all trials, and fitness compared among all tasks.

Along each run some of the exam's tasks are played, for the report only: whatever is chosen, such as an agent's
best checkpoint, is chosen by the validation tasks.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from xworld.apps.laboratory.curves import SCORE, curve_of
from xworld.apps.laboratory.experiment import BASELINES, Experiment, Job, Numbers, Outcome
from xworld.apps.laboratory.training import COLUMNS_ALONG, SweepExam, along_run, benchmark_exam, train_to_end
from xworld.core.env import Env
from xworld.evaluation import SweepConfig, sample_tasks
from xworld.tasks import TaskCollection, Universe
from xworld.training import CURRICULA, PRESETS, CurriculumConfig, PLRConfig, RunConfig

_ABLATIONS = {
    "plr-all-trials": PLRConfig(fitness="all_trials"),
    "plr-all-tasks": PLRConfig(is_per_trials=False),
}
_FILTER = "noop-filter"  # the curriculum `noop`: a player of that name is there as well
_EASY = {"long-chains-10": 10, "long-chains-2": 2}  # families of long chains: % of tasks without a chain
_FAMILIES = ("xworld-s", *_EASY)
_COMPARED = ("uniform", _FILTER, "plr")  # on long chains
_ARMS = (*_COMPARED, "learnability", "progress", "accel", *_ABLATIONS)
_OF_TASKS = ("firings", "hidden_rules", "dead_ends", "objects", "trial_length", "age")

_Rows = Sequence[Mapping[str, float]]  # of one run


def run(job: Job) -> Outcome:
    """Trains the default agent with the arm's curriculum."""
    config = dataclasses.replace(_config(job), curriculum=_curriculum(job))
    exam = _exam(job)
    outcome = train_to_end(config, job, exam, along=along_run(exam, job.is_quick, job.beside(BASELINES)))
    search = config.search
    share = 0.0 if search is None else search.num_steps / config.steps_per_update
    return dataclasses.replace(outcome, numbers={**outcome.numbers, "share_tried_out": round(share, 3)})


def _curriculum(job: Job) -> CurriculumConfig:
    name = "noop" if job.arm == _FILTER else job.arm
    curriculum = _ABLATIONS[name] if name in _ABLATIONS else CURRICULA[name]()
    if job.is_quick and isinstance(curriculum, PLRConfig):
        curriculum = dataclasses.replace(curriculum, capacity=64, min_filled=8)
    return curriculum


def _config(job: Job) -> RunConfig:
    if job.is_quick:
        return PRESETS["smoke"]()
    return _long_chains(_EASY[job.family]) if job.family in _EASY else PRESETS["s"]()


def _long_chains(no_chain_percent: int) -> RunConfig:
    """`xworld-s` with chains of up to four rules in four rooms with closed doors, and more that leads nowhere.

    Some tasks have no chain: what is easy is there, but rare.
    """
    config = PRESETS["s"]()
    return dataclasses.replace(
        config,
        env=dataclasses.replace(config.env, max_objects=12, max_rules=8),
        universe=dataclasses.replace(
            config.universe,
            world=dataclasses.replace(config.universe.world, rooms=(4,), closed_door_percent=100),
            negated_goal_percent=0,
            pair_percent=50,
            chain_length=(1, 4),
            no_chain_percent=no_chain_percent,
            num_distractors=(2, 4),
            num_dead_ends=(1, 2),
        ),
    )


def _exam(job: Job) -> SweepExam:
    if job.is_quick or job.family not in _EASY:
        return benchmark_exam(job.is_quick)
    return SweepExam(lambda: _tasks_of_long_chains(job.family), SweepConfig((1, 6, 13), num_repetitions=4))


def _tasks_of_long_chains(family: str) -> TaskCollection:
    config = _long_chains(_EASY[family])
    universe = Universe(config.env, config.universe).with_split("test")
    return TaskCollection(family, Env(config.env), sample_tasks(universe, jax.random.key(40_000), 128))


def of_all_rows(rows: Mapping[Job, _Rows]) -> Mapping[str, Numbers]:
    """By arm and family: at what share of the steps it has the final score of uniform tasks; how trained tasks change.

    The names begin with that of the family.

    - `share_of_steps_to_uniform`: the steps at which the validation score is first what that of `uniform` is at its
      end, divided by the steps of `uniform`; None if it never is, or no seed has both. Scores are those of
      `curve_of`, over the seeds that both have; between evaluations the line is straight.
    - `rise_of_firings`: mean firings of trained tasks in the last tenth of the rows minus that in the first.
    """
    found: dict[str, dict[str, float | None]] = {}
    for family in _FAMILIES:
        of_family = {job: of_run for job, of_run in rows.items() if job.family == family}
        for arm, numbers in _of_family(of_family).items():
            found.setdefault(arm, {}).update({f"{family}_{name}": number for name, number in numbers.items()})
    return found


def _of_family(rows: Mapping[Job, _Rows]) -> dict[str, Numbers]:
    by_arm = {arm: {job.seed: of_run for job, of_run in rows.items() if job.arm == arm} for arm in _ARMS}
    return {
        arm: {
            "share_of_steps_to_uniform": _share_of_steps(by_seed, by_arm["uniform"]),
            "rise_of_firings": _rounded(
                float(np.mean([_rise([row["task_firings"] for row in run]) for run in by_seed.values()]))
            ),
        }
        for arm, by_seed in by_arm.items()
        if by_seed
    }


def _share_of_steps(runs: Mapping[int, _Rows], goals: Mapping[int, _Rows]) -> float | None:
    """At what share of the goals' steps runs are first as high as the goals end; of both those with common seeds."""
    seeds = sorted(set(runs) & set(goals))
    curve, goal = (curve_of([found[seed] for seed in seeds]) for found in (runs, goals))
    if curve is None or goal is None:
        return None
    is_there = curve.scores >= goal.end
    if not is_there.any():
        return None
    first = int(np.argmax(is_there))
    near = slice(max(first - 1, 0), first + 1)
    at = np.interp(goal.end, curve.scores[near], curve.steps[near])
    return _rounded(float(at / goal.steps[-1]))


def _rise(values: Sequence[float]) -> float:
    """The mean of the last tenth of the values minus that of the first, without those that are NaN; NaN for none."""
    there = [value for value in values if not math.isnan(value)]
    tenth = max(1, round(len(there) / 10))
    return float(np.mean(there[-tenth:]) - np.mean(there[:tenth])) if there else math.nan


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 3)


EXPERIMENT = Experiment(
    name="curricula",
    question="Which curriculum finds the tasks that teach most, at equal steps with those of its search?",
    arms=_ARMS,
    seeds=(0, 1),
    cost="29 runs of 50 million steps, 20 to 40 minutes each on one core",
    run=run,
    baselines=lambda job: _exam(job).baselines(job.folder),
    families=_FAMILIES,
    arms_of={"xworld-s": _ARMS, **dict.fromkeys(_EASY, _COMPARED)},
    seeds_of={
        **dict.fromkeys(("uniform", _FILTER), (0, 1, 2, 3, 4)),  # of two, an interval over seeds says nothing
        **dict.fromkeys(_ABLATIONS, (0,)),
        "long-chains-10": (0,),
        "long-chains-2": (0, 1),
    },
    course=(
        (SCORE, "steps"),
        (SCORE, "seconds"),
        *((name, axis) for name in COLUMNS_ALONG for axis in ("steps", "seconds")),
        *((f"task_{name}", "steps") for name in _OF_TASKS),
    ),
    of_all_rows=of_all_rows,
)
