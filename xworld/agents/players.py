"""Players by name, the same in every command: scripted ones, the expert, a trained agent, or one of the user's own."""

import contextlib
import dataclasses
import hashlib
import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from xworld.agents.expert.expert import Expert
from xworld.agents.expert.policy import ExpertPolicy, make_expert_policy
from xworld.agents.learners.by_name import LEARNERS, make_learner
from xworld.agents.network.agent import Agent
from xworld.agents.policy import AgentPolicy, NoopPolicy, Policy, RandomPolicy
from xworld.agents.saved import saved
from xworld.agents.saved.loaded import LoadedAgent
from xworld.agents.scripted.searcher import Searcher
from xworld.base.configs import class_name, differences
from xworld.base.digest import digest, structure_digest, value_digest
from xworld.base.errors import ConfigError, did_you_mean
from xworld.base.files import as_path, reason_of
from xworld.base.progress import progress_bar
from xworld.core.config import EnvConfig
from xworld.core.env import Env
from xworld.core.types import Task

RANDOM, NOOP, SEARCHER, SEARCHER_WITHOUT_MEMORY = "random", "noop", "searcher", "searcher-without-memory"
EXPERT, PRETRAINED, PRETRAINED_DUO = "expert", "pretrained", "pretrained-duo"
# Agents that come with the package, by name.
SHIPPED: dict[str, Path] = {PRETRAINED: saved.PRETRAINED, PRETRAINED_DUO: saved.PRETRAINED_DUO}
_NETWORK = ("init", "start_memory", "is_reset", "encode_briefing", "step", "unroll")  # methods of a network
SCRIPTED: dict[str, Policy] = {
    RANDOM: RandomPolicy(),
    NOOP: NoopPolicy(),
    SEARCHER_WITHOUT_MEMORY: Searcher(remembers=False),
    SEARCHER: Searcher(remembers=True),
}
_NAMES = (*SCRIPTED, EXPERT, *LEARNERS)  # of those who are no network
# Sizes of an environment that are nothing to a network of ours: it has no parameters of their shapes.
_SIZES = ("height", "width", "max_objects", "max_rules", "max_doors", "max_goals", "goal_clauses", "goal_literals")


@dataclass(frozen=True)
class Player:
    """A policy, and what tells its returns from another's."""

    name: str
    policy: Policy
    about: dict[str, Any]  # JSON types

    @property
    def identity(self) -> str:
        """The digest of the policy, in one with those of its code if that is one's own."""
        parts = [self.about[name] for name in ("digest", "structure", "source") if name in self.about]
        return parts[0] if len(parts) == 1 else hashlib.sha256(" ".join(parts).encode()).hexdigest()


def player_by_name(
    name: str,
    env: Env,
    tasks: Task,
    *,
    which: Literal["last", "best"] | None = None,
    network: str | None = None,
    is_greedy: bool = False,
    show_progress: bool = False,
) -> Player:
    """The player called `name`, ready for stacked `tasks` of `env`; docs/evaluation.md lists the names.

    Args:
      name: `random`, `noop`, `searcher`, `searcher-without-memory` or `expert`; `pretrained` or `pretrained-duo`; a
        learner, `q-learner`, `reinforce` or `scripted-learner`; the folder of a training run or of a saved agent; or
        `module:function` for one of the user's own.
      env: the environment that is played in.
      tasks: those the expert makes plans for.
      which: of a run, its newest checkpoint ("last", by default) or its best so far.
      network: `module:function`, which makes the network of one's own that the agent was trained with.
      is_greedy: whether a trained agent takes the likeliest action instead of drawing one.
      show_progress: whether to draw a progress bar while the expert plans.

    Raises:
      ConfigError: there is nobody of that name, an agent of another environment, or an option that is not for this one.
    """
    folder = agent_folder(name)
    if folder is None:
        for option, is_given in (("greedy", is_greedy), ("which", which), ("network", network)):
            if is_given:
                raise ConfigError(f"--{option} is for trained agents.")
        if name in LEARNERS:
            learner = make_learner(name, env.config, int(tasks.trial_length.max()))
            return make_player(name, learner, **dataclasses.asdict(learner))
        if name not in _NAMES:
            return own_player(name, env)
        return make_player(name, SCRIPTED.get(name) or plan_policy(env, tasks, show_progress=show_progress))
    if not folder.exists():
        hint = did_you_mean(name, (*_NAMES, *SHIPPED))
        raise ConfigError(f"There is no folder {name!r}, and no player of that name. {hint}")
    loaded = load_agent(folder, which or "last", network)
    check_can_play(loaded, env.config)
    policy = AgentPolicy(loaded.params, loaded.agent, is_greedy=is_greedy)
    if isinstance(loaded.agent, Agent):
        about = {"config": dataclasses.asdict(loaded.config)}
    else:
        structure = value_digest(loaded.agent)
        about = {
            "network": class_name(loaded.agent),
            "structure": structure,
            "source": _source(network, loaded.agent),
        }
    return make_player("agent", policy, is_greedy=is_greedy, **about)


def load_agent(folder: Path, which: Literal["last", "best"] = "last", network: str | None = None) -> LoadedAgent:
    """The saved agent in a folder, maybe with a network of the user's: `module:function`, called with its environment.

    Raises:
      ConfigError: there is no such agent, or it has another network.
    """
    agent = None if network is None else own_network(network, Env(saved.saved_env_config(folder, which)))
    return saved.load(folder, which, agent)


def results_folder(name: str, folder: Path) -> Path:
    """Where what is found out about an agent goes by default: into its folder, of one that comes with xworld into runs.

    Args:
      name: as it was asked for.
      folder: its `agent_folder`.
    """
    return Path("runs") / name if name in SHIPPED else folder


def agent_folder(name: str) -> Path | None:
    """Where the saved agent is that `player_by_name` would load under this name; None if no saved agent is meant."""
    if name in SHIPPED:
        return SHIPPED[name]
    folder = as_path(name)
    is_agent = name not in _NAMES and (not _is_function(name) or folder.exists())
    return folder if is_agent else None


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
    policy = _call(name, env)
    if not (callable(getattr(policy, "start", None)) and callable(getattr(policy, "act", None))):
        raise ConfigError(f"{name} returns {policy!r}, which is no policy: it needs `start` and `act`.")
    return make_player(name, policy, structure=structure_digest(policy), source=_source(name, policy))


def own_network(name: str, env: Env) -> Any:
    """The network that a function of the user's makes: `module:function`, which is called with the environment.

    Raises:
      ConfigError: there is no such module or function, or what it returns is no network.
    """
    network = _call(name, env)
    missing = [method for method in _NETWORK if not callable(getattr(network, method, None))]
    if missing:
        raise ConfigError(f"{name} returns {network!r}, which is no network: it has no {', '.join(missing)}.")
    try:
        hash(network)
    except TypeError as error:
        raise ConfigError(f"{name} returns a network that has no hash: make it a frozen dataclass.") from error
    return network


def _is_function(name: str) -> bool:
    """Whether it can be `module:function`; a path with a colon in it has mostly other signs too."""
    module, _, function = name.partition(":")
    return function.isidentifier() and all(part.isidentifier() for part in module.split("."))


def _source(name: str | None, made: object) -> str:
    """SHA-256 of the files of one's own code: of the module of `module:function`, and of the class that it returned.

    What these import does not count, nor does xworld itself.
    """
    modules = {type(made).__module__, *([] if name is None else [name.partition(":")[0]])}
    total = hashlib.sha256()
    for module in sorted(modules):
        file = getattr(sys.modules.get(module), "__file__", None)
        if file is not None and module.partition(".")[0] != "xworld":
            with contextlib.suppress(OSError):  # of a module that is in no file
                total.update(f"{module}\n".encode() + Path(file).read_bytes())
    return total.hexdigest()


def _call(name: str, env: Env) -> Any:
    """What the user's `module:function` gives for an environment. A module may be in the working folder."""
    if not _is_function(name):
        raise ConfigError(f"{name!r} is no function; write module:function, as in my_agents:make_network.")
    module, _, function = name.partition(":")
    with contextlib.suppress(OSError):  # a folder that is gone
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())
    try:
        return getattr(importlib.import_module(module), function)(env)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error
    except Exception as error:  # of anybody's code
        raise ConfigError(
            f"{name} cannot be had: {type(error).__name__}: {reason_of(error)}. Write module:function, of a module in "
            "this folder or on PYTHONPATH; the function is called with the Env."
        ) from error


def check_can_play(loaded: LoadedAgent, tasks: EnvConfig) -> None:
    """Makes sure that an agent can play tasks for environments of `tasks`.

    xworld's own networks read environments of any size: grids, and numbers of objects, rules, doors and goals, may be
    others than in training, and fewer relations may be used. A network of one's own needs the very same environment.

    Raises:
      ConfigError: the environments differ in what such an agent sees or can do.
    """
    run = loaded.env_config
    if isinstance(loaded.agent, Agent):
        run = dataclasses.replace(run, **{name: getattr(tasks, name) for name in _SIZES})
        if set(tasks.relations) < set(run.relations):
            run = dataclasses.replace(run, relations=tasks.relations)
    check_same_physics(run, tasks)


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
