"""Evaluation: how well a policy does in each trial of tasks it has not seen. Start with `protocol.py`."""

from xworld.evaluation.best_possible import BestPossible, make_best_possible, refusal
from xworld.evaluation.comparison import AGENT, Comparison, compare, telling_episode
from xworld.evaluation.episodes import episode_key
from xworld.evaluation.plots import plot_learning_curve, plot_scores
from xworld.evaluation.policies import AgentPolicy, NoopPolicy, Policy, RandomPolicy
from xworld.evaluation.protocol import Returns, evaluate, record, sample_tasks
from xworld.evaluation.report import check_folder, scores_table, summarise, write_report
from xworld.evaluation.scripted import Searcher
from xworld.evaluation.statistics import Estimate, estimate, gain, most_telling, normalise

__all__ = [
    "AGENT",
    "AgentPolicy",
    "BestPossible",
    "Comparison",
    "Estimate",
    "NoopPolicy",
    "Policy",
    "RandomPolicy",
    "Returns",
    "Searcher",
    "check_folder",
    "compare",
    "episode_key",
    "estimate",
    "evaluate",
    "gain",
    "make_best_possible",
    "most_telling",
    "normalise",
    "plot_learning_curve",
    "plot_scores",
    "record",
    "refusal",
    "sample_tasks",
    "scores_table",
    "summarise",
    "telling_episode",
    "write_report",
]
