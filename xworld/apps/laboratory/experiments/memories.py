"""The memories side by side, of about one size, on families of tasks that should part them.

Agents train on episodes of at most six trials (`search`: eight), and are then evaluated with 13.
"""

import dataclasses

from xworld.agents import MEMORIES, agent_preset
from xworld.apps.laboratory.experiment import Experiment, Job, Outcome
from xworld.apps.laboratory.training import Exam, train_to_end, with_gradient_window
from xworld.training import PRESETS, RunConfig

# By family: a preset, and the steps that gradients go back, None: as the preset has it.
_FAMILIES = {
    "control": ("memory", None),
    "short-gradients": ("memory", 12),
    "long-trials": ("memory-long", None),
    "search": ("memory-search", None),
}
_STEPS = {"short-gradients": 50_000_000}  # where they are others than the preset's


def run(job: Job) -> Outcome:
    """Trains an agent with the arm's memory on the family's tasks."""
    config, window = _config(job), _FAMILIES[job.family][1]
    agent = dataclasses.replace(config.agent, memory=job.arm) if job.is_quick else agent_preset("mini", job.arm)
    if window is not None:
        agent = with_gradient_window(agent, window)
    return train_to_end(dataclasses.replace(config, agent=agent), job, _exam(job))


def _config(job: Job) -> RunConfig:
    config = PRESETS["smoke" if job.is_quick else _FAMILIES[job.family][0]]()
    return (
        config if job.is_quick else dataclasses.replace(config, total_steps=_STEPS.get(job.family, config.total_steps))
    )


def _exam(job: Job) -> Exam:
    return Exam(_config(job), num_tasks=16 if job.is_quick else 512, num_trials=4 if job.is_quick else 13, seed=30_000)


EXPERIMENT = Experiment(
    name="memories",
    question="Which memory adapts best, on which tasks, and does it go on in more trials than it was trained on?",
    arms=MEMORIES,
    seeds=(0, 1, 2),
    cost="60 runs of 50 million steps, of `control` 100 million: 25 (GRU) to 75 minutes of a core for each 50",
    run=run,
    baselines=lambda job: _exam(job).baselines(),
    families=tuple(_FAMILIES),
)
