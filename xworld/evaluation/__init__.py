"""Evaluation: how well a policy does in each trial of tasks it has not seen. Start with `protocol.py`."""

from xworld.evaluation.comparison import AGENT, Comparison, compare, telling_episode
from xworld.evaluation.episodes import episode_key
from xworld.evaluation.expert import Expert, Plan, PlanTable
from xworld.evaluation.expert_policy import ExpertPolicy, make_expert_policy
from xworld.evaluation.files import check_folder
from xworld.evaluation.players import Player, make_player
from xworld.evaluation.plots import plot_learning_curve, plot_scores
from xworld.evaluation.policies import AgentPolicy, NoopPolicy, Policy, RandomPolicy
from xworld.evaluation.protocol import Returns, evaluate, record, sample_tasks
from xworld.evaluation.reference import Reference, expert_reference, fine_tuned_reference
from xworld.evaluation.report import scores_table, summarise, sweep_table, write_report
from xworld.evaluation.scripted import Searcher
from xworld.evaluation.statistics import Estimate, estimate, gain, most_telling, normalise
from xworld.evaluation.sweep import Sweep, SweepConfig, replay, run_sweep
from xworld.evaluation.task_sets import TaskCollection, find_task_set

__all__ = [
    "AGENT",
    "AgentPolicy",
    "Comparison",
    "Estimate",
    "Expert",
    "ExpertPolicy",
    "NoopPolicy",
    "Plan",
    "PlanTable",
    "Player",
    "Policy",
    "RandomPolicy",
    "Reference",
    "Returns",
    "Searcher",
    "Sweep",
    "SweepConfig",
    "TaskCollection",
    "check_folder",
    "compare",
    "episode_key",
    "estimate",
    "evaluate",
    "expert_reference",
    "find_task_set",
    "fine_tuned_reference",
    "gain",
    "make_expert_policy",
    "make_player",
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
