"""Does it help that the memory looks in the view for what it asks for, when the view has been encoded already?

An arm `MEMORY-looks` is the memory with two looks; without them it is a run of `gradient_reach`, with the whole rollout
and on the same tasks. Expected: above those without in later trials, when it is known what to look for.
"""

import dataclasses

from xworld.agents import MEMORIES
from xworld.apps.laboratory.experiment import Experiment, Job, Outcome
from xworld.apps.laboratory.experiments.remembering import gradient_reach
from xworld.apps.laboratory.experiments.remembering.memories import WHOLE_EPISODE
from xworld.apps.laboratory.training import half_of_memory, train_to_end, with_memory

_NUM_LOOKS = 2
_LOOKS = "-looks"


def run(job: Job) -> Outcome:
    """Trains the arm's memory, with looks or without."""
    config = half_of_memory(job.is_quick)
    window = config.learner.rollout_length
    config = with_memory(config, job.arm.removesuffix(_LOOKS), window, WHOLE_EPISODE, job.is_quick)
    if job.arm.endswith(_LOOKS):
        config = dataclasses.replace(config, agent=dataclasses.replace(config.agent, num_looks=_NUM_LOOKS))
    return train_to_end(config, job, gradient_reach.exam(job.is_quick))


EXPERIMENT = Experiment(
    name="looks",
    question="Does it help that the memory looks in the view for what it asks for?",
    arms=tuple(memory + suffix for memory in MEMORIES for suffix in ("", _LOOKS)),
    seeds=(0, 1, 2),
    cost="30 runs of 50 million steps, 15 (GRU) to 100 minutes each on one core",
    run=run,
    baselines=gradient_reach.EXPERIMENT.baselines,
    trained_trials=gradient_reach.EXPERIMENT.trained_trials,
)
