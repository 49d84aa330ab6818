"""Generations: a teacher, its student of the same size, the student's student, against one run of as many steps.

The student of `two-by-score` listens by the schedule of that name. The second generation of `restart` has no teacher:
it has the parameters of the first, and a learning rate and an optimiser that begin anew, as a student's do. Beside them
other remedies without a teacher: resets of the heads, and continual backprop. Teachers' steps count. What is measured
of each run's last agent, beside its scores: dead units, the rank of its features, and what it earns after a short
training in a universe that is new to it; an agent that knows nothing is trained there for as long, as the control.
"""

import dataclasses
import json
from pathlib import Path

import jax

from xworld.agents import load, make_agent
from xworld.apps.laboratory.experiment import Experiment, Job, Outcome
from xworld.apps.laboratory.training import benchmark_exam, can_go_on
from xworld.base.files import write_atomically
from xworld.training import PRESETS, PlasticityConfig, PPOConfig, RunConfig, TeachingConfig, Term, make_teacher, train
from xworld.training.logs.metrics import MetricsWriter, Row

# How many each arm has.
_GENERATIONS = {"alone": 1, "two": 2, "two-by-score": 2, "three": 3, "restart": 2, "resets": 1, "continual": 1}
_L2 = 1e-5  # as long as the teacher is listened to
_TEACHING = TeachingConfig(schedule="constant", share=0.25, l2=_L2)  # as AdA's students have it
_BY_SCORE = TeachingConfig(schedule="score", l2=_L2)
_PLASTICITY = {
    "resets": PlasticityConfig(reset="heads", reset_at=(0.25, 0.5), measures=True),
    "continual": PlasticityConfig(replacement=1e-3, measures=True),
}
_ONLY_MEASURED = PlasticityConfig(measures=True)
_STEPS = {"short": 1, "long": 2}  # of all generations together, in budgets of the preset
_SHARE_OF_NEW = 0.05  # of a budget: how long an agent is trained in the new universe
_SEEDS_APART = 1000  # between generations: each begins with parameters of its own
NEW_SCORE, NEW_ALONE = "new_universe_score", "new_universe_score_from_scratch"


def run(job: Job) -> Outcome:
    """Trains one generation after the other, each but the first with the one before as its teacher."""
    config = _config(job)
    folders = [job.folder / f"generation-{number + 1}" for number in range(_GENERATIONS[job.arm])]
    for number, folder in enumerate(folders):
        one = dataclasses.replace(config, seed=job.seed + _SEEDS_APART * number)
        before = folders[number - 1] if number else None
        if job.arm == "restart":
            _train(one, folder, start_from=before)
        else:
            _train(one, folder, terms=() if before is None else _taught_by(one, before, job.arm))
    rows = _write_rows(job.folder, folders)
    last = rows[-1]
    numbers = {
        "training_seconds": last["seconds"],
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(load(folders[-1]).params)),
        "combined_steps": last["steps"],
        "dead_units": last["dead_units"],
        "feature_rank": last["feature_rank"],
        NEW_SCORE: _learn_anew(job, folders[-1]),
    }
    if job.arm == "alone":  # the same for all arms
        numbers[NEW_ALONE] = _learn_anew(job, None)
    return Outcome(benchmark_exam(job.is_quick).play(folders[-1]), numbers)


def _config(job: Job) -> RunConfig:
    """Of each generation: its share of the steps."""
    config = _preset(job.is_quick)
    budget = config.total_steps if job.total_steps is None else job.total_steps
    assert isinstance(config.learner, PPOConfig)  # of the presets
    learner = dataclasses.replace(config.learner, plasticity=_PLASTICITY.get(job.arm, _ONLY_MEASURED))
    return dataclasses.replace(
        config, learner=learner, total_steps=max(budget * _STEPS[job.family] // _GENERATIONS[job.arm], 1)
    )


def _preset(is_quick: bool) -> RunConfig:
    return PRESETS["smoke" if is_quick else "s"]()


def _taught_by(config: RunConfig, folder: Path, arm: str) -> tuple[Term, ...]:
    """The agent of the run in a folder."""
    teaching = _BY_SCORE if arm == "two-by-score" else _TEACHING
    return (make_teacher(load(folder), make_agent(config.agent, config.env), config.env, teaching),)


def _train(config: RunConfig, folder: Path, *, terms: tuple[Term, ...] = (), start_from: Path | None = None) -> None:
    """Trains a run to its end, maybe with the parameters of another's end at first; one that was stopped goes on.

    Raises:
      KeyboardInterrupt: it was stopped by a signal, and saved.
    """
    is_begun = can_go_on(folder)
    loaded = None if start_from is None or is_begun else load(start_from)
    params, scale = (None, None) if loaded is None else (loaded.params, loaded.return_scale)
    if not train(config, folder, resume=is_begun, terms=terms, params=params, return_scale=scale):
        raise KeyboardInterrupt


def _write_rows(folder: Path, folders: list[Path]) -> list[Row]:
    """The rows of all generations as one run's: updates, steps and seconds go on."""
    rows: list[Row] = []
    for one in folders:
        before = {name: rows[-1][name] if rows else 0 for name in ("update", "steps", "seconds")}
        rows += [row | {name: row[name] + start for name, start in before.items()} for row in MetricsWriter.read(one)]
    lines = [{name: None if value != value else value for name, value in row.items()} for row in rows]
    write_atomically(folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())
    return rows


def _learn_anew(job: Job, folder: Path | None) -> float:
    """What an agent earns in last trials of a universe that is new to it, after a short training there.

    Args:
      job: whose budget and seed the training has.
      folder: of the agent; None: a new one.
    """
    config, new = _config(job), job.folder / ("new-universe" if folder else "new-universe-from-scratch")
    other = PRESETS["smoke" if job.is_quick else "memory-search"]()
    budget = _preset(job.is_quick).total_steps if job.total_steps is None else job.total_steps
    other = dataclasses.replace(
        other, agent=config.agent, seed=job.seed, total_steps=max(round(budget * _SHARE_OF_NEW), 1)
    )
    _train(other, new, start_from=folder)
    return round(MetricsWriter.read(new)[-1]["validation_last_trial"], 4)


EXPERIMENT = Experiment(
    name="generations",
    question="Is a student of its teacher's size above one run, where the teacher's steps count?",
    arms=tuple(_GENERATIONS),
    seeds=(0, 1, 2),
    cost="21 runs of 50 million steps in all, and 21 of 100 million",
    run=run,
    baselines=lambda job: benchmark_exam(job.is_quick).baselines(job.folder),
    families=tuple(_STEPS),
    course=(("validation_last_trial", "steps"), ("feature_rank", "steps"), ("dead_units", "steps")),
)
