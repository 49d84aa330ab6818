"""Does the demo agent adapt? Beside it a control, whose memory is cleared at the start of every trial."""

import dataclasses

from xworld.apps.laboratory.experiment import Experiment, Job, Outcome
from xworld.apps.laboratory.training import Exam, train_to_end
from xworld.training import PRESETS, RunConfig


def run(job: Job) -> Outcome:
    """Trains the agent or the control; while it acts and while it learns the control forgets."""
    config = _config(job.is_quick)
    agent = dataclasses.replace(config.agent, clear_memory_at_trials=job.arm == "control")
    return train_to_end(dataclasses.replace(config, agent=agent), job, _exam(job.is_quick))


def _config(is_quick: bool) -> RunConfig:
    return PRESETS["smoke" if is_quick else "demo"]()


def _exam(is_quick: bool) -> Exam:
    return Exam(_config(is_quick), num_tasks=16 if is_quick else 1024, num_trials=4, seed=20_000)


EXPERIMENT = Experiment(
    name="adaptation",
    question="Does the demo agent get better from trial to trial, and is it its memory that does it?",
    arms=("agent", "control"),
    seeds=(0, 1, 2),
    cost="6 runs of 8 million steps, two to three minutes each on two cores",
    run=run,
    baselines=lambda job: _exam(job.is_quick).baselines(job.folder),
)
