"""Histories: the record of an episode, from which all that was seen in it is derived again. Start with `history.py`."""

from xworld.histories.files import SUFFIX, HistoryWriter, read_history, write_history
from xworld.histories.history import Header, History, Step
from xworld.histories.replay import check_step, history_of, play_actions, replay, start_episode

__all__ = [
    "SUFFIX",
    "Header",
    "History",
    "HistoryWriter",
    "Step",
    "check_step",
    "history_of",
    "play_actions",
    "read_history",
    "replay",
    "start_episode",
    "write_history",
]
