"""Players by name, the same in every command: scripted ones, the expert, a trained agent, or one of the user's own."""

import dataclasses
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from xworld.agents.expert.expert import Expert
from xworld.agents.expert.policy import ExpertPolicy, make_expert_policy
from xworld.agents.policy import AgentPolicy, NoopPolicy, Policy, RandomPolicy
from xworld.agents.saved import saved
from xworld.agents.scripted.searcher import Searcher
from xworld.base.configs import differences
from xworld.base.digest import digest
from xworld.base.errors import ConfigError, did_you_mean
from xworld.base.progress import progress_bar
from xworld.core.config import EnvConfig
from xworld.core.env import Env
from xworld.core.types import Task

RANDOM, NOOP, SEARCHER, SEARCHER_WITHOUT_MEMORY = "random", "noop", "searcher", "searcher-without-memory"
EXPERT, PRETRAINED = "expert", "pretrained"
SCRIPTED: dict[str, Policy] = {
    RANDOM: RandomPolicy(),
    NOOP: NoopPolicy(),
    SEARCHER_WITHOUT_MEMORY: Searcher(remembers=False),
    SEARCHER: Searcher(remembers=True),
}


@dataclass(frozen=True)
class Player:
    """A policy, and what tells its returns from another's."""

    name: str
    policy: Policy
    about: dict[str, Any]  # JSON types


def player_by_name(
    name: str,
    env: Env,
    tasks: Task,
    *,
    which: Literal["last", "best"] | None = None,
    is_greedy: bool = False,
    show_progress: bool = False,
) -> Player:
    """The player called `name`, ready for stacked `tasks` of `env`; docs/evaluation.md lists the names.

    Args:
      name: `random`, `noop`, `searcher`, `searcher-without-memory`, `expert` or `pretrained`; the folder of a training
        run or of a saved agent; or `module:function` for one of the user's own.
      env: the environment that is played in.
      tasks: those the expert makes plans for.
      which: of a run, its newest checkpoint ("last", by default) or its best so far.
      is_greedy: whether a trained agent takes the likeliest action instead of drawing one.
      show_progress: whether to draw a progress bar while the expert plans.

    Raises:
      ConfigError: there is nobody of that name, an agent of another environment, or an option that is not for this one.
    """
    folder = agent_folder(name)
    if folder is None:
        if is_greedy or which is not None:
            raise ConfigError(f"--{'greedy' if is_greedy else 'which'} is for trained agents.")
        if ":" in name:
            return own_player(name, env)
        return make_player(name, SCRIPTED.get(name) or plan_policy(env, tasks, show_progress=show_progress))
    if not folder.exists():
        hint = did_you_mean(name, (*SCRIPTED, EXPERT, PRETRAINED))
        raise ConfigError(f"There is no folder {name!r}, and no player of that name. {hint}")
    loaded = saved.load(folder, which or "last")
    check_same_physics(loaded.agent.env_config, env.config)
    policy = AgentPolicy(loaded.params, loaded.agent, is_greedy=is_greedy)
    return make_player("agent", policy, is_greedy=is_greedy, config=dataclasses.asdict(loaded.agent.config))


def agent_folder(name: str) -> Path | None:
    """Where the saved agent is that `player_by_name` would load under this name; None if no saved agent is meant."""
    if name in (*SCRIPTED, EXPERT) or ":" in name:
        return None
    return saved.PRETRAINED if name == PRETRAINED else Path(name)


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
