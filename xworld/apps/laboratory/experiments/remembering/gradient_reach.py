"""How far must gradients go back for a memory to learn across trials? One memory of each kind, by gradient window.

AdA's learner unrolls 80 steps, over trials of 75 to 300: of the longest as much as 6 steps of ours. An arm is a memory
and a window in steps; all see the same tasks and rollouts of 96 steps. Expected: a GRU whose gradient ends within a
trial gains at most half of what it gains with 96, and memories that attend keep .8 of theirs: they learn to read what
is kept without a gradient into it.
"""

import dataclasses

from xworld.agents import MEMORIES
from xworld.apps.laboratory.experiment import Experiment, Job, Outcome
from xworld.apps.laboratory.experiments.remembering.memories import WHOLE_EPISODE
from xworld.apps.laboratory.training import Exam, half_of_memory, train_to_end, with_memory
from xworld.training import PRESETS

_WINDOWS = {memory: (12, 96) for memory in MEMORIES} | {"gru": (3, 6, 12, 24, 48, 96), "gru_txl": (6, 12, 96)}
AGAINST = "gradient_window_over_trial_length"


def run(job: Job) -> Outcome:
    """Trains the arm's memory with the arm's window."""
    memory, _, window = job.arm.rpartition("-")
    config = with_memory(half_of_memory(job.is_quick), memory, int(window), WHOLE_EPISODE, job.is_quick)
    outcome = train_to_end(config, job, exam(job.is_quick))
    shortest, longest = config.universe.trial_length
    share = 2 * int(window) / (shortest + longest)
    return dataclasses.replace(outcome, numbers={**outcome.numbers, AGAINST: round(share, 3)})


def exam(is_quick: bool) -> Exam:
    """512 held-out tasks of the preset `memory`, of 13 trials."""
    return Exam(
        half_of_memory(is_quick), num_tasks=16 if is_quick else 512, num_trials=4 if is_quick else 13, seed=50_000
    )


EXPERIMENT = Experiment(
    name="gradient_reach",
    question="How far must gradients go back for a memory to learn across trials?",
    arms=tuple(f"{memory}-{window}" for memory, windows in _WINDOWS.items() for window in reversed(windows)),
    seeds=(0, 1, 2),
    cost="45 runs of 50 million steps, 15 (GRU) to 120 minutes each on one core",
    run=run,
    baselines=lambda job: exam(job.is_quick).baselines(job.folder),
    trained_trials={"all": PRESETS["memory"]().universe.num_trials[1]},
    against=AGAINST,
)
