"""Evaluation: how well a policy does in each trial of tasks it has not seen. Start with `protocol.py`."""

from xworld.evaluation.episodes import episode_key
from xworld.evaluation.protocol import Returns, evaluate, record, sample_tasks
from xworld.evaluation.recording import TaskRows, follow, record_episodes, record_tasks
from xworld.evaluation.reference import Reference, expert_reference, fine_tuned_reference
from xworld.evaluation.report.files import write_comparison, write_sweep
from xworld.evaluation.report.learning_curve import draw_learning_curve
from xworld.evaluation.report.matrix import draw_cross_play
from xworld.evaluation.report.plots import draw_players, draw_trials
from xworld.evaluation.report.tables import breakdown_table, players_table, statistics_table, trials_table
from xworld.evaluation.scores.comparison import compare, telling_episode
from xworld.evaluation.scores.cooperation import cooperation_table, count_deeds, measure_cooperation
from xworld.evaluation.scores.cross_play import CrossPlay, cross_play, cross_play_table, tasks_for_two
from xworld.evaluation.scores.schema import read_scores
from xworld.evaluation.scores.scores import AGENT, Scores
from xworld.evaluation.scores.statistics import Estimate, difference, estimate, gain, most_telling, normalise
from xworld.evaluation.scores.summary import summarise
from xworld.evaluation.scores.sweep import SweepConfig, play_again, run_sweep, sweep_scores

__all__ = [
    "AGENT",
    "CrossPlay",
    "Estimate",
    "Reference",
    "Returns",
    "Scores",
    "SweepConfig",
    "TaskRows",
    "breakdown_table",
    "compare",
    "cooperation_table",
    "count_deeds",
    "cross_play",
    "cross_play_table",
    "difference",
    "draw_cross_play",
    "draw_learning_curve",
    "draw_players",
    "draw_trials",
    "episode_key",
    "estimate",
    "evaluate",
    "expert_reference",
    "fine_tuned_reference",
    "follow",
    "gain",
    "measure_cooperation",
    "most_telling",
    "normalise",
    "play_again",
    "players_table",
    "read_scores",
    "record",
    "record_episodes",
    "record_tasks",
    "run_sweep",
    "sample_tasks",
    "statistics_table",
    "summarise",
    "sweep_scores",
    "tasks_for_two",
    "telling_episode",
    "trials_table",
    "write_comparison",
    "write_sweep",
]
