"""xworld: a universe of small grid-world tasks for agents that learn while they act."""

from xworld import tasks
from xworld.core.config import EnvConfig
from xworld.core.env import Env
from xworld.core.types import Briefing, Observation, State, Task, TimeStep
from xworld.errors import ConfigError
from xworld.registry import environment_names, make, make_universe, register
from xworld.vector import VectorEnv

__all__ = [
    "Briefing",
    "ConfigError",
    "Env",
    "EnvConfig",
    "Observation",
    "State",
    "Task",
    "TimeStep",
    "VectorEnv",
    "environment_names",
    "make",
    "make_universe",
    "register",
    "tasks",
]
