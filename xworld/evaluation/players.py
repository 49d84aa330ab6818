"""The players that can be evaluated, by name: scripted ones, the expert, a trained agent by its run, or one's own."""

import importlib
from dataclasses import dataclass
from typing import Any

from xworld.configs import differences
from xworld.core.config import EnvConfig
from xworld.core.env import Env
from xworld.core.types import Task
from xworld.errors import ConfigError
from xworld.evaluation.expert import Expert
from xworld.evaluation.expert_policy import ExpertPolicy, make_expert_policy
from xworld.evaluation.policies import NoopPolicy, Policy, RandomPolicy
from xworld.evaluation.progress import progress_bar
from xworld.evaluation.scripted import Searcher
from xworld.tasks.digest import digest

SCRIPTED: dict[str, Policy] = {
    "random": RandomPolicy(),
    "noop": NoopPolicy(),
    "searcher": Searcher(remembers=True),
    "searcher-without-memory": Searcher(remembers=False),
}


@dataclass(frozen=True)
class Player:
    """A policy, and what tells its returns from another's."""

    name: str
    policy: Policy
    about: dict[str, Any]  # JSON types


def make_player(name: str, policy: Policy, **about: Any) -> Player:
    """A player with the digest of its policy's leaves; `about` adds what decides its actions beside them."""
    return Player(name, policy, {"name": name, "digest": digest(policy), **about})


def plan_policy(env: Env, tasks: Task, *, show_progress: bool) -> ExpertPolicy:
    """The expert for stacked `tasks` of `env`, once it has planned them all.

    Raises:
      ConfigError: the tasks are not for `env`.
    """
    with progress_bar(len(tasks.trial_length), show_progress) as advance:
        advance(0, "planning")
        return make_expert_policy(Expert(env), tasks, lambda _: advance(1))


def own_player(name: str, env: Env) -> Player:
    """The player that a function of the user's makes: `module:function`, which is called with the environment.

    Raises:
      ConfigError: there is no such module or function, or what it returns is no policy.
    """
    module_name, _, function_name = name.partition(":")
    try:
        policy = getattr(importlib.import_module(module_name), function_name)(env)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"{name} cannot be had: {error}. Write module:function, of a module on PYTHONPATH."
        ) from error
    if not (callable(getattr(policy, "start", None)) and callable(getattr(policy, "act", None))):
        raise ConfigError(f"{name} returns {policy!r}, which is no policy: it needs `start` and `act`.")
    return make_player(name, policy)


def check_same_physics(run: EnvConfig, tasks: EnvConfig) -> None:
    """Makes sure that an agent trained in environments of `run` can play tasks for environments of `tasks`.

    Raises:
      ConfigError: they differ.
    """
    changed = differences(run, tasks)
    if changed:
        raise ConfigError(
            f"The agent was trained in another environment than the tasks are for ({'; '.join(changed)}). "
            "Choose tasks of its environment, or train with --env as the tasks have it."
        )
