"""Evaluation: how well a policy does in each trial of tasks it has not seen. Start with `protocol.py`."""

from xworld.evaluation.episodes import episode_key
from xworld.evaluation.protocol import Returns, evaluate, record, sample_tasks
from xworld.evaluation.reference import Reference, expert_reference, fine_tuned_reference
from xworld.evaluation.report.files import write_report
from xworld.evaluation.report.plots import plot_learning_curve, plot_scores
from xworld.evaluation.report.tables import scores_table, sweep_table
from xworld.evaluation.scores.comparison import AGENT, Comparison, compare, telling_episode
from xworld.evaluation.scores.statistics import Estimate, difference, estimate, gain, most_telling, normalise
from xworld.evaluation.scores.summary import summarise
from xworld.evaluation.scores.sweep import Sweep, SweepConfig, replay, run_sweep
from xworld.evaluation.task_sets import TaskCollection, find_task_set

__all__ = [
    "AGENT",
    "Comparison",
    "Estimate",
    "Reference",
    "Returns",
    "Sweep",
    "SweepConfig",
    "TaskCollection",
    "compare",
    "difference",
    "episode_key",
    "estimate",
    "evaluate",
    "expert_reference",
    "find_task_set",
    "fine_tuned_reference",
    "gain",
    "most_telling",
    "normalise",
    "plot_learning_curve",
    "plot_scores",
    "record",
    "replay",
    "run_sweep",
    "sample_tasks",
    "scores_table",
    "summarise",
    "sweep_table",
    "telling_episode",
    "write_report",
]
