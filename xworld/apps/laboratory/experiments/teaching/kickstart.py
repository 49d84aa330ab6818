"""Kickstarting: does a network that does not get there alone reach its teacher, with half as many steps of its own?

The network is the teacher's own, a GRU, but its gradients end after 12 steps, half of a trial: so it learns to carry
little from one trial to the next (`gradient_reach`). `alone` has as many steps as the teacher, `taught` half as many;
both play the same held-out tasks. Expected: `alone` is at least .08 below the teacher in the last trial, and `taught`
not more than .03, as it is told at every step what to do, and need not wait for what it did to be worth something.
It would be refuted by a `taught` that is no nearer to the teacher than `alone`. In `alone-transformer` and
`taught-transformer` the network is a Transformer-XL with whole gradients.
"""

import dataclasses

from xworld.agents import load, make_agent
from xworld.apps.laboratory.experiment import Experiment, Job, Outcome
from xworld.apps.laboratory.experiments.remembering import gradient_reach
from xworld.apps.laboratory.experiments.remembering.gradient_reach import exam
from xworld.apps.laboratory.experiments.remembering.memories import WHOLE_EPISODE
from xworld.apps.laboratory.training import half_of_memory, train_run, with_memory
from xworld.training import RunConfig, TeachingConfig, Term, make_teacher

TEACHER, ALONE, TAUGHT = "teacher", "alone", "taught"
_TRANSFORMER = "-transformer"
_TAUGHT = (TAUGHT, TAUGHT + _TRANSFORMER)
_SHORT = 12  # steps that gradients go back: half of a trial
_TEACHING = TeachingConfig(share=0.5)  # the weight falls to 0 over half of the run; then the student is by itself


def run(job: Job) -> Outcome:
    """Trains, the student with the teacher of its seed, and plays the exam."""
    config = _config(job)
    steps = config.total_steps if job.total_steps is None else job.total_steps
    is_taught = job.arm in _TAUGHT
    own = dataclasses.replace(job, total_steps=max(steps // 2, 1)) if is_taught else job
    numbers = train_run(config, own, terms=_taught_by(config, job) if is_taught else ())
    return Outcome(exam(job.is_quick).play(job.folder), numbers)


def _taught_by(config: RunConfig, job: Job) -> tuple[Term, ...]:
    return (make_teacher(load(job.beside(TEACHER)), make_agent(config.agent, config.env), config.env, _TEACHING),)


def _config(job: Job) -> RunConfig:
    config = half_of_memory(job.is_quick)
    memory = "transformer_xl" if job.arm.endswith(_TRANSFORMER) else "gru"
    window = _SHORT if job.arm in (ALONE, TAUGHT) else config.learner.rollout_length
    return with_memory(config, memory, window, WHOLE_EPISODE, job.is_quick)


EXPERIMENT = Experiment(
    name="kickstart",
    question="Does a network that does not get there alone reach its teacher, with half as many steps of its own?",
    arms=(TEACHER, ALONE, TAUGHT, ALONE + _TRANSFORMER, TAUGHT + _TRANSFORMER),
    seeds=(0, 1, 2),
    cost="9 runs of 50 million steps and 6 of 25, half an hour of a core (GRU) to an hour and a half for each 50",
    run=run,
    baselines=lambda job: exam(job.is_quick).baselines(job.folder),
    needs=dict.fromkeys(_TAUGHT, TEACHER),
    trained_trials=gradient_reach.EXPERIMENT.trained_trials,
    course=(("validation_last_trial", "steps"), ("validation_last_trial", "seconds")),
)
