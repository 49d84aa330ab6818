"""The window: people play tasks, and watch agents and histories. Start with `session.py`."""

from xworld.apps.play.bindings import Bindings, read_bindings
from xworld.apps.play.controller import Controller, Settings
from xworld.apps.play.minds import Mind, Thought
from xworld.apps.play.session import Session, Turn
from xworld.apps.play.sources import find_source
from xworld.apps.play.window import Window

__all__ = [
    "Bindings",
    "Controller",
    "Mind",
    "Session",
    "Settings",
    "Thought",
    "Turn",
    "Window",
    "find_source",
    "read_bindings",
]
