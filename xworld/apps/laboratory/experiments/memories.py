"""The memories side by side, of about one size, on families of tasks that should part them.

Agents train on episodes of at most six trials (`search`: eight, `recall`: 13), and are then evaluated with 13.
"""

from dataclasses import dataclass

from xworld.agents import MEMORIES
from xworld.apps.laboratory.experiment import Experiment, Job, Outcome
from xworld.apps.laboratory.training import Exam, train_to_end, with_memory
from xworld.training import PRESETS, RunConfig


@dataclass(frozen=True)
class _Family:
    """Tasks, and what is asked of a memory on them."""

    preset: str
    reach: int  # steps back that memories which attend can look, in every layer


WHOLE_EPISODE = 152  # of the preset `memory`, at least: six trials of 25 steps
_FAMILIES = {
    "control": _Family("memory", reach=WHOLE_EPISODE),
    "long-trials": _Family("memory-long", reach=300),  # as AdA's, over episodes of 300 to 600 steps
    "search": _Family("memory-search", reach=120),  # a whole episode
    "recall": _Family("memory-recall", reach=260),  # likewise
}


def run(job: Job) -> Outcome:
    """Trains an agent with the arm's memory on the family's tasks."""
    config, family = _config(job), _FAMILIES[job.family]
    config = with_memory(config, job.arm, config.learner.rollout_length, family.reach, job.is_quick)
    return train_to_end(config, job, _exam(job))


def _config(job: Job) -> RunConfig:
    if job.is_quick:
        return PRESETS["smoke"]()
    return PRESETS[_FAMILIES[job.family].preset]()


def _exam(job: Job) -> Exam:
    return Exam(_config(job), num_tasks=16 if job.is_quick else 512, num_trials=4 if job.is_quick else 13, seed=30_000)


EXPERIMENT = Experiment(
    name="memories",
    question="Which memory adapts best, on which tasks, and does it go on in more trials than it was trained on?",
    arms=MEMORIES,
    seeds=(0, 1, 2),
    seeds_of={"long-trials": (0,), "recall": (0,)},
    cost="40 runs of 50 million steps, of `control` 100 million: 25 (GRU) to 75 minutes of a core for each 50; "
    "`recall`, where memories look further back, was not measured",
    run=run,
    baselines=lambda job: _exam(job).baselines(job.folder),
    families=tuple(_FAMILIES),
)
