"""The memories side by side: the preset `memory`, the same data, about the same size.

Agents train on episodes of four to six trials, and are then evaluated with 13.
"""

import dataclasses

from xworld.agents import MEMORIES, agent_preset
from xworld.apps.laboratory.experiment import Experiment, Job, Outcome
from xworld.apps.laboratory.training import Exam, train_to_end
from xworld.training import PRESETS, RunConfig


def run(job: Job) -> Outcome:
    """Trains an agent with the arm's memory."""
    config = _config(job.is_quick)
    agent = dataclasses.replace(config.agent, memory=job.arm) if job.is_quick else agent_preset("mini", job.arm)
    return train_to_end(dataclasses.replace(config, agent=agent), job, _exam(job.is_quick))


def _config(is_quick: bool) -> RunConfig:
    return PRESETS["smoke"]() if is_quick else dataclasses.replace(PRESETS["memory"](), total_steps=30_000_000)


def _exam(is_quick: bool) -> Exam:
    return Exam(_config(is_quick), num_tasks=16 if is_quick else 512, num_trials=4 if is_quick else 13, seed=30_000)


EXPERIMENT = Experiment(
    name="memories",
    question="Which memory adapts best, and does it go on in more trials than it was trained on?",
    arms=MEMORIES,
    seeds=(0, 1, 2),
    cost="9 runs of 30 million steps, 8 to 26 minutes each on one core",
    run=run,
    baselines=lambda is_quick: _exam(is_quick).baselines(),
)
