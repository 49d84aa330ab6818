"""Histories: the record of an episode, from which all that was seen in it is derived again. Start with `history.py`."""

from xworld.histories.dataset.derive import Pieces, Windows, derive, derive_windows
from xworld.histories.dataset.header import LABELS, DatasetHeader
from xworld.histories.dataset.reader import Dataset, Episodes
from xworld.histories.dataset.rearrange import rearrange_trials
from xworld.histories.dataset.windows import draw_windows, read_windows
from xworld.histories.dataset.writer import DatasetWriter, Recorded
from xworld.histories.exchange.sessions import collect_histories
from xworld.histories.exchange.xland_100b import export_xland_100b, import_xland_100b
from xworld.histories.exchange.xland_histories import XLandHistories
from xworld.histories.files import SUFFIX, HistoryWriter, read_history, write_history
from xworld.histories.history import Header, History, Step
from xworld.histories.replay import check_step, history_of, play_actions, replay, start_episode

__all__ = [
    "LABELS",
    "SUFFIX",
    "Dataset",
    "DatasetHeader",
    "DatasetWriter",
    "Episodes",
    "Header",
    "History",
    "HistoryWriter",
    "Pieces",
    "Recorded",
    "Step",
    "Windows",
    "XLandHistories",
    "check_step",
    "collect_histories",
    "derive",
    "derive_windows",
    "draw_windows",
    "export_xland_100b",
    "history_of",
    "import_xland_100b",
    "play_actions",
    "read_history",
    "read_windows",
    "rearrange_trials",
    "replay",
    "start_episode",
    "write_history",
]
