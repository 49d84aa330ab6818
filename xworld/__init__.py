"""xworld: a universe of small grid-world tasks for agents that learn while they act."""

from xworld import tasks
from xworld.base.errors import ConfigError
from xworld.base.xla.devices import use_all_cores
from xworld.core.config import EnvConfig
from xworld.core.env import Env
from xworld.core.sharded import ShardedVectorEnv
from xworld.core.types import Briefing, Observation, State, Task, TimeStep
from xworld.core.vector import VectorEnv
from xworld.tasks.sets.named import environment_names, make, make_universe, register

__all__ = [
    "Briefing",
    "ConfigError",
    "Env",
    "EnvConfig",
    "Observation",
    "ShardedVectorEnv",
    "State",
    "Task",
    "TimeStep",
    "VectorEnv",
    "environment_names",
    "make",
    "make_universe",
    "register",
    "tasks",
    "use_all_cores",
]
