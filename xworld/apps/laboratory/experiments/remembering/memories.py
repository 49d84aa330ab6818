"""The memories side by side, of about one size, on families of tasks that should part them.

Agents train on episodes of at most six trials (`search`: eight, `fetch` and all of `recall`: 13), and are then
evaluated with as many, and with 13.
An arm `MEMORY-modulated` is the memory in a network whose view is read as what is told says. `MEMORY-kinds`, to be
compared with that, also gives the memory the embeddings of the kinds that are held, ahead and named by the goal;
`MEMORY-vectors` gives them without modulation. `MEMORY-infers` is as `MEMORY-kinds`, and learns to say what makes the
goal as well. `MEMORY-predicts`, not modulated, learns to foretell what comes of each action. `gru_txl-wide` is the GRU
of the arm `gru` with the layer of `gru_txl` on top, which keeps a few numbers of each state. To `gru_txl-steady`
nothing is new in more trials than training had: it is not told how many there are beyond two, and looks back 80 steps,
so that in training too it cannot see all of an episode.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xworld.agents import MEMORIES, agent_preset
from xworld.apps.laboratory.curves import curve_of
from xworld.apps.laboratory.experiment import Experiment, Job, Numbers, Outcome
from xworld.apps.laboratory.training import Exam, train_to_end, with_memory
from xworld.training import PRESETS, Prediction, RunConfig, TaskInference, Term


@dataclass(frozen=True)
class Family:
    """Tasks, and what is asked of a memory on them."""

    preset: str
    reach: int  # steps back that memories which attend can look, in every layer
    trained: Mapping[str, Any] = field(default_factory=dict)  # of the universe, where it is not the preset's
    examined: Mapping[str, Any] = field(default_factory=dict)  # likewise, for the held-out tasks
    total_steps: int | None = None  # where it is not the preset's


_EIGHT_RULES = {"num_chains": (8, 8)}
# What is asked for lies there; with so few different goals each split needs a larger share to have some.
_NO_RULES = {"chain_length": (0, 0), "test_percent": 20, "validation_percent": 20}
WHOLE_EPISODE = 152  # of the preset `memory`, at least: six trials of 25 steps
FAMILIES = {
    "control": Family("memory", reach=WHOLE_EPISODE),
    "long-trials": Family("memory-long", reach=300),  # as AdA's, over episodes of 300 to 600 steps
    "search": Family("memory-search", reach=120),  # a whole episode
    "recall": Family("memory-recall", reach=260, examined=_EIGHT_RULES),  # likewise
    "fetch": Family(
        "memory-recall",
        reach=260,
        trained=_NO_RULES,
        examined={**_NO_RULES, **_EIGHT_RULES},
        total_steps=20_000_000,
    ),
    "recall-eight": Family("memory-recall", reach=260, trained=_EIGHT_RULES, examined=_EIGHT_RULES),
    "recall-four": Family("memory-recall", reach=260, trained={"num_chains": (2, 4)}, examined={"num_chains": (4, 4)}),
}
_WIDE, _STEADY = "gru_txl-wide", "gru_txl-steady"
_MODULATED = tuple(f"{memory}-modulated" for memory in MEMORIES)
KINDS = tuple(f"{memory}-kinds" for memory in MEMORIES)
VECTORS = tuple(f"{memory}-vectors" for memory in MEMORIES)
_INFERS = tuple(f"{memory}-infers" for memory in MEMORIES)
_PREDICTS = tuple(f"{memory}-predicts" for memory in MEMORIES)
# With their weights beside the learner's loss. One norm clips all gradients, so that a large one leaves it little.
_PREDICTION, INFERENCE = Prediction(0.5), TaskInference(0.02)
_FIELDS: dict[str, dict[str, Any]] = {  # of `AgentConfig`, by arm, where they are not those of the memory alone
    **{arm: {"modulates_view": True} for arm in _MODULATED},
    **{arm: {"modulates_view": True, "kinds_to_memory": True} for arm in (*KINDS, *_INFERS)},
    **{arm: {"kinds_to_memory": True} for arm in VECTORS},
    _WIDE: {"memory_size": agent_preset("mini", "gru").memory_size, "kept_size": 32, "feed_forward_size": 48},
    _STEADY: {"trials_told": 2, "num_kept": 20},  # every fourth of 80 steps
}
ARMS = (*MEMORIES, *_FIELDS, *_PREDICTS)


def run(job: Job) -> Outcome:
    """Trains an agent with the arm's memory on the family's tasks."""
    return train_to_end(config_of(job), job, _exam(job), terms=_terms(job.arm))


def config_of(job: Job) -> RunConfig:
    """The arm's run: that of its family, with its agent and warm-up; in miniature the preset `smoke` with these."""
    config, memory = _of_family(job), job.arm.split("-")[0]
    config = with_memory(config, memory, config.learner.rollout_length, FAMILIES[job.family].reach, job.is_quick)
    return dataclasses.replace(config, agent=dataclasses.replace(config.agent, **fields_of(job.arm)))


def _terms(arm: str) -> tuple[Term, ...]:
    if arm in _PREDICTS:
        return (_PREDICTION,)
    return (INFERENCE,) if arm in _INFERS else ()


def fields_of(arm: str) -> Mapping[str, Any]:
    """Of `AgentConfig`, where an arm's are not those of its memory alone."""
    return _FIELDS.get(arm, {})


def _of_family(job: Job) -> RunConfig:
    if job.is_quick:
        return PRESETS["smoke"]()
    family = FAMILIES[job.family]
    config = with_universe(PRESETS[family.preset](), family.trained)
    return config if family.total_steps is None else dataclasses.replace(config, total_steps=family.total_steps)


def with_universe(config: RunConfig, fields: Mapping[str, Any]) -> RunConfig:
    """The run, with these fields of its universe in place of its own."""
    return dataclasses.replace(config, universe=dataclasses.replace(config.universe, **fields))


def of_all_rows(rows: Mapping[Job, Sequence[Mapping[str, float]]]) -> Mapping[str, Numbers]:
    """By arm and family, how far a memory is from the GRU at equal seconds of training.

    `control_at_equal_seconds`: the score on validation tasks at the seconds at which the GRU's run ended, minus the
    GRU's then; a run that ended before counts with its end. Scores are those of `curve_of`; None without a GRU's run.
    """
    found: dict[str, dict[str, float | None]] = {}
    for family in FAMILIES:
        curves = {
            arm: curve_of([of_run for job, of_run in rows.items() if (job.family, job.arm) == (family, arm)])
            for arm in ARMS
        }
        goal = curves["gru"]
        for arm, curve in curves.items():
            if curve is not None:
                value = None
                if goal is not None:
                    value = round(float(np.interp(goal.seconds[-1], curve.seconds, curve.scores)) - goal.end, 3)
                found.setdefault(arm, {})[f"{family}_at_equal_seconds"] = value
    return found


def _exam(job: Job) -> Exam:
    config = _of_family(job)
    if job.is_quick:
        return Exam(config, num_tasks=16, num_trials=4, seed=30_000, shorter=(2,))
    most, num_trials = config.universe.num_trials[1], 13
    shorter = (most,) if most < num_trials else ()  # as many as the longest episodes of training
    config = with_universe(config, FAMILIES[job.family].examined)
    return Exam(config, num_tasks=512, num_trials=num_trials, seed=30_000, shorter=shorter)


EXPERIMENT = Experiment(
    name="memories",
    question="Which memory adapts best, on which tasks, and does it go on in more trials than it was trained on?",
    arms=ARMS,
    arms_of={
        **{name: (*MEMORIES, _WIDE) for name in FAMILIES},
        **{name: (*MEMORIES, *_MODULATED, *KINDS, _WIDE) for name in ("fetch", "recall")},
        "recall-four": (*MEMORIES, *_MODULATED, *KINDS, *_INFERS, *_PREDICTS, _WIDE),
        "control": (*MEMORIES, *_MODULATED, *KINDS, *VECTORS, *_PREDICTS, _WIDE, _STEADY),
        "long-trials": (*MEMORIES, *VECTORS, _WIDE),
        "search": (*MEMORIES, *_MODULATED, *KINDS, *VECTORS, _WIDE, _STEADY),
    },
    seeds=(0, 1, 2),
    seeds_of={"long-trials": (0,), "recall": (0,), "recall-eight": (0,), "recall-four": (0,)},
    cost="254 runs of 50 million steps, of `control` 100 million, of `fetch` 20: 25 (GRU) to 75 minutes of a core for "
    "each 50; of `recall` 20 (GRU) to 50",
    run=run,
    baselines=lambda job: _exam(job).baselines(job.folder),
    families=tuple(FAMILIES),
    of_all_rows=of_all_rows,
    trained_trials={name: PRESETS[family.preset]().universe.num_trials[1] for name, family in FAMILIES.items()},
)
