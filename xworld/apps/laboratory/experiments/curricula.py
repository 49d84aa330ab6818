"""Curricula side by side on `xworld-s`: scores, and what each of them trains on as it goes.

All arms take as many environment steps, those in which tasks are tried out included. The two arms behind the curricula
are AdA's ablations of prioritised replay: fitness over all trials, and fitness compared among all tasks.
"""

import dataclasses

from xworld.apps.laboratory.experiment import Experiment, Job, Outcome
from xworld.apps.laboratory.training import benchmark_exam, train_to_end
from xworld.training import CURRICULA, PRESETS, CurriculumConfig, PLRConfig, RunConfig

_ABLATIONS = {
    "plr-all-trials": PLRConfig(fitness="all_trials"),
    "plr-all-tasks": PLRConfig(is_per_trials=False),
}
_FILTER = "noop-filter"  # the curriculum `noop`: a player of that name is there as well
_ARMS = ("uniform", _FILTER, "plr", "learnability", "progress", "accel", *_ABLATIONS)
_OF_TASKS = ("firings", "hidden_rules", "dead_ends", "objects", "trial_length", "age")


def run(job: Job) -> Outcome:
    """Trains the default agent with the arm's curriculum."""
    config = dataclasses.replace(_config(job.is_quick), curriculum=_curriculum(job))
    outcome = train_to_end(config, job, benchmark_exam(job.is_quick))
    search = config.search
    share = 0.0 if search is None else search.num_steps / config.steps_per_update
    return dataclasses.replace(outcome, numbers={**outcome.numbers, "share_tried_out": round(share, 3)})


def _curriculum(job: Job) -> CurriculumConfig:
    name = "noop" if job.arm == _FILTER else job.arm
    curriculum = _ABLATIONS[name] if name in _ABLATIONS else CURRICULA[name]()
    if job.is_quick and isinstance(curriculum, PLRConfig):
        curriculum = dataclasses.replace(curriculum, capacity=64, min_filled=8)
    return curriculum


def _config(is_quick: bool) -> RunConfig:
    return PRESETS["smoke" if is_quick else "s"]()


EXPERIMENT = Experiment(
    name="curricula",
    question="Which curriculum finds the tasks that teach most, at equal steps with those of its search?",
    arms=_ARMS,
    seeds=(0, 1, 2),  # with two, the interval of a difference is three times as wide
    cost="24 runs of 50 million steps, 30 to 45 minutes each on one core",
    run=run,
    baselines=lambda job: benchmark_exam(job.is_quick).baselines(job.folder),
    course=(
        ("validation_last_trial", "steps"),
        ("validation_last_trial", "seconds"),
        *((f"task_{name}", "steps") for name in _OF_TASKS),
    ),
)
