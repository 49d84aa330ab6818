"""The window: people play tasks, and watch agents and histories. Start with `session.py`."""

from xworld.play.bindings import Bindings, read_bindings
from xworld.play.game import Game, Settings
from xworld.play.minds import Mind, Thought
from xworld.play.session import Session, Turn
from xworld.play.sources import Source, find_source
from xworld.play.window import Window

__all__ = [
    "Bindings",
    "Game",
    "Mind",
    "Session",
    "Settings",
    "Source",
    "Thought",
    "Turn",
    "Window",
    "find_source",
    "read_bindings",
]
