"""xworld in other projects' interfaces: a module for each, which imports that project's package only if it has to.

What they share is here: one flat observation, and a view of everything in words.
"""

from xworld.adapters.episodes import tasks_for
from xworld.adapters.flat import Field, FlatLayout
from xworld.adapters.text import (
    action_named,
    briefing_words,
    observation_words,
    system_words,
    useful_actions,
)

__all__ = [
    "Field",
    "FlatLayout",
    "action_named",
    "briefing_words",
    "observation_words",
    "system_words",
    "tasks_for",
    "useful_actions",
]
