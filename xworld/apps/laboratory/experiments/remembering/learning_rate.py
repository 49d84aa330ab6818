"""Which learning rate suits each memory? The rate of the presets was chosen for the GRU.

An arm is a memory and the learning rate that a run begins with; at its end the rate is a tenth of that, as in the
presets. All see the same tasks, those of `gradient_reach`, whose arms with the whole rollout are these with 0.001.
Expected: memories that attend, whose policy changes about twice as much in an update as the GRU's, end higher with half
of the GRU's rate.
"""

import dataclasses
from typing import cast

from xworld.agents import MEMORIES
from xworld.apps.laboratory.experiment import Experiment, Job, Outcome
from xworld.apps.laboratory.experiments.remembering import gradient_reach
from xworld.apps.laboratory.experiments.remembering.memories import WHOLE_EPISODE
from xworld.apps.laboratory.training import half_of_memory, train_to_end, with_memory
from xworld.training import PPOConfig

_RATES = ("0.001", "0.0005", "0.00025", "0.002")


def run(job: Job) -> Outcome:
    """Trains the arm's memory at the arm's rate."""
    memory, _, rate = job.arm.rpartition("-")
    config = half_of_memory(job.is_quick)
    learner = cast(PPOConfig, config.learner)
    learner = dataclasses.replace(learner, learning_rate=float(rate), final_learning_rate=float(rate) / 10)
    config = dataclasses.replace(config, learner=learner)
    config = with_memory(config, memory, learner.rollout_length, WHOLE_EPISODE, job.is_quick)
    return train_to_end(config, job, gradient_reach.exam(job.is_quick))


EXPERIMENT = Experiment(
    name="learning_rate",
    question="Which learning rate suits each memory?",
    arms=tuple(f"{memory}-{rate}" for memory in MEMORIES for rate in _RATES),
    seeds=(0,),
    cost="20 runs of 50 million steps, 15 (GRU) to 100 minutes each on one core",
    run=run,
    baselines=gradient_reach.EXPERIMENT.baselines,
    trained_trials=gradient_reach.EXPERIMENT.trained_trials,
)
