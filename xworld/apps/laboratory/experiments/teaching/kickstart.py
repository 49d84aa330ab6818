"""Kickstarting: does a network that does not get there alone reach its teacher, with half as many steps of its own?

The network is one with a Transformer-XL, which on the tasks of the preset `memory` learns slower than the GRU that
teaches it. `alone` has as many steps as the teacher, `taught` half as many; both play the same held-out tasks.
Expected: `alone` is at least .08 below the teacher in the sixth trial, and `taught` not more than .03.
"""

import dataclasses

from xworld.agents import load, make_agent
from xworld.apps.laboratory.experiment import Experiment, Job, Outcome
from xworld.apps.laboratory.experiments.remembering.memories import WHOLE_EPISODE
from xworld.apps.laboratory.training import Exam, half_of_memory, train_run, with_memory
from xworld.training import RunConfig, TeachingConfig, Term, make_teacher

TEACHER, ALONE, TAUGHT = "teacher", "alone", "taught"
_MEMORIES = {TEACHER: "gru", ALONE: "transformer_xl", TAUGHT: "transformer_xl"}
_TEACHING = TeachingConfig(share=0.5)  # the weight falls to 0 over half of the run; then the student is by itself


def run(job: Job) -> Outcome:
    """Trains, the student with the teacher of its seed, and plays the exam."""
    config = _config(job)
    steps = config.total_steps if job.total_steps is None else job.total_steps
    own = dataclasses.replace(job, total_steps=max(steps // 2, 1)) if job.arm == TAUGHT else job
    numbers = train_run(config, own, terms=_taught_by(config, job) if job.arm == TAUGHT else ())
    return Outcome(_exam(job.is_quick).play(job.folder), numbers)


def _taught_by(config: RunConfig, job: Job) -> tuple[Term, ...]:
    return (make_teacher(load(job.beside(TEACHER)), make_agent(config.agent, config.env), config.env, _TEACHING),)


def _config(job: Job) -> RunConfig:
    config = half_of_memory(job.is_quick)
    return with_memory(config, _MEMORIES[job.arm], config.learner.rollout_length, WHOLE_EPISODE, job.is_quick)


def _exam(is_quick: bool) -> Exam:
    return Exam(
        half_of_memory(is_quick), num_tasks=16 if is_quick else 512, num_trials=4 if is_quick else 6, seed=70_000
    )


EXPERIMENT = Experiment(
    name="kickstart",
    question="Does a network that does not get there alone reach its teacher, with half as many steps of its own?",
    arms=(TEACHER, ALONE, TAUGHT),
    seeds=(0, 1, 2),
    cost="6 runs of 50 million steps and 3 of 25, half an hour of a core (GRU) to an hour and a half for each 50",
    run=run,
    baselines=lambda job: _exam(job.is_quick).baselines(job.folder),
    needs={TAUGHT: TEACHER},
    course=(("validation_last_trial", "steps"), ("validation_last_trial", "seconds")),
)
