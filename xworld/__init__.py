"""xworld: a universe of small grid-world tasks for agents that learn while they act.

Names are imported when they are asked for, so that the command can answer, and be interrupted, before jax is there.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = {
    "ConfigError": "base.errors",
    "EnvConfig": "core.config",
    "Env": "core.env",
    **dict.fromkeys(("Briefing", "Observation", "State", "Task", "TimeStep"), "core.types"),
    "VectorEnv": "core.vector",
    "ShardedVectorEnv": "core.sharded",
    "use_all_cores": "base.xla.devices",
    **dict.fromkeys(("environment_names", "make", "make_universe", "register"), "tasks.sets.named"),
}


def __getattr__(name: str) -> Any:
    """A public name, from where it is."""
    if name == "tasks":
        return import_module("xworld.tasks")
    if name not in _MODULES:
        raise AttributeError(f"module 'xworld' has no attribute {name!r}")
    return getattr(import_module(f"xworld.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
