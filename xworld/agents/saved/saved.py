"""Agents in folders: saved, found in the folder of a run, loaded."""

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax

from xworld.agents.network.agent import Agent, Params, make_agent
from xworld.agents.network.config import AgentConfig
from xworld.agents.return_scale import ReturnScale
from xworld.agents.saved.loaded import LoadedAgent
from xworld.agents.saved.trees import (
    MANIFEST,
    UNFINISHED,
    check_none_lost,
    names_in,
    read_manifest,
    read_part,
    write_parts,
)
from xworld.base.configs import class_name, from_json, to_json
from xworld.base.errors import ConfigError
from xworld.base.files import as_path, read_text
from xworld.core.config import EnvConfig

Which = Literal["last", "best"]

# What is left of the runs of agents that come with the package.
PRETRAINED = Path(__file__).parent / "pretrained" / "memory"  # of the preset `memory`
PRETRAINED_DUO = Path(__file__).parent / "pretrained" / "duo"  # of the preset `duo`

_AGENT, _PARAMS, RETURN_SCALE = "agent.json", "params", "return_scale"
_PREFIXES: dict[Which, str] = {"last": "checkpoint-", "best": "best-"}  # of folders in a run's; the update follows


def load(path: Path | str, which: Which = "last", agent: Any = None) -> LoadedAgent:
    """A saved agent, ready to act.

    Args:
      path: what `save_agent` wrote, a checkpoint, or the folder of a training run.
      which: of a run, the agent of the newest checkpoint, or the best that its own evaluation found.
      agent: the network of one's own that was trained, with the methods of `Agent`; not for agents of ours.

    Raises:
      ConfigError: there is no agent, it is damaged, or it is of another network than `agent`.
    """
    folder = _find_agent(as_path(path), which)
    manifest = read_manifest(folder, _AGENT)
    config = _read_description(folder)
    if agent is None and config.network:
        raise ConfigError(
            f"{folder} holds an agent with a network of one's own, {config.network}. Give it by "
            "--network module:function, of a command that has it, or in Python by load(path, agent=...)."
        )
    if agent is not None and class_name(agent) != config.network:
        whose = config.network or "a network of xworld's"
        raise ConfigError(f"{folder} holds an agent with {whose}, not with {class_name(agent)}.")
    agent = agent or make_agent(config.agent, config.env)
    params = read_part(folder, _PARAMS, jax.eval_shape(agent.init, jax.random.key(0)))
    has_scale = RETURN_SCALE in manifest["leaves"]
    scale = read_part(folder, RETURN_SCALE, jax.eval_shape(ReturnScale.start)) if has_scale else None
    params, scale = jax.tree.map(jax.numpy.asarray, (params, scale))
    return LoadedAgent(agent, params, scale, config.env)


def saved_env_config(path: Path | str, which: Which = "last") -> EnvConfig:
    """The environments that a saved agent was trained in, whatever its network.

    Raises:
      ConfigError: there is no agent, or it is damaged.
    """
    folder = _find_agent(as_path(path), which)
    read_manifest(folder, _AGENT)
    return _read_description(folder).env


def save_agent(
    folder: Path | str,
    agent: Agent,
    params: Params,
    return_scale: ReturnScale | None = None,
    env_config: EnvConfig | None = None,
) -> None:
    """Writes an agent into a folder that `load` reads; what was there before is replaced.

    Args:
      folder: new, empty, or with a saved agent.
      agent: ours, or a network of one's own.
      params: what `agent.init` makes, trained.
      return_scale: how its values become returns (`LoadedAgent.return_scale`).
      env_config: the environments it is for; by default `agent.env_config`.

    Raises:
      ConfigError: the folder cannot be written, or holds something else than a saved agent, which would be lost.
    """
    folder = as_path(folder)
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free:
        if not (folder / MANIFEST).is_file():
            raise ConfigError(f"{folder} exists and holds no saved agent. Choose another folder.")
        check_none_lost(folder, folder.iterdir(), names_in(folder))
    parts: dict[str, Any] = {_PARAMS: params} | ({} if return_scale is None else {RETURN_SCALE: return_scale})
    write_parts(folder, parts, describe(agent, env_config or agent.env_config))


def describe(agent: Any, env_config: EnvConfig) -> dict[str, str]:
    """The text that, beside the part "params", makes a folder a saved agent; by the name of its file."""
    if isinstance(agent, Agent):
        # Elsewhere "auto" may be another dtype than the one that it was trained in.
        config = dataclasses.replace(agent.config, dtype=agent.config.compute_dtype.name)
        return {_AGENT: to_json(_Description(config, env_config))}
    return {_AGENT: to_json(_Description(AgentConfig(), env_config, class_name(agent)))}


def checkpoint_folder(run: Path, which: Which, update: int) -> Path:
    """Where the run in a folder keeps its last or its best checkpoint, after so many updates."""
    return run / f"{_PREFIXES[which]}{update}"


def checkpoints(run: Path, which: Which) -> list[Path]:
    """The finished checkpoints in a run's folder, the newest last."""
    prefix = _PREFIXES[which]
    found = [path for path in run.glob(prefix + "*") if path.name.removeprefix(prefix).isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(prefix)))


def remove_others(checkpoint: Path, which: Which) -> None:
    """Removes a run's checkpoints but this one, and what a killed process left unfinished of such."""
    run = checkpoint.parent
    for path in (*checkpoints(run, which), *run.glob(f"{UNFINISHED}{_PREFIXES[which]}*")):
        if path != checkpoint:
            shutil.rmtree(path)


@dataclass(frozen=True)
class _Description:
    """What `agent.json` says: all that `make_agent` needs."""

    agent: AgentConfig
    env: EnvConfig
    network: str = ""  # the class of a network of one's own, whose configuration `agent` then is not


def _read_description(folder: Path) -> _Description:
    try:
        return from_json(_Description, read_text(folder / _AGENT))
    except ConfigError as error:
        raise ConfigError(f"{folder} holds no agent that can be read. {error}") from error


def _find_agent(path: Path, which: Which) -> Path:
    """The folder that holds the agent."""
    if which not in _PREFIXES:
        raise ConfigError(f"which is {which!r}; write {' or '.join(map(repr, _PREFIXES))}.")
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise ConfigError(f"{path} {what}. Name the folder of a training run or of a saved agent.")
    if (path / MANIFEST).exists() or (path / _AGENT).exists():
        if which == "best":
            raise ConfigError(f"{path} is one saved agent. To have the best of a training run, name the run's folder.")
        return path
    found = checkpoints(path, which)
    if found:
        return found[-1]
    if which == "best" and checkpoints(path, "last"):
        raise ConfigError(f"The run in {path} has no best agent yet: it was not evaluated. Take the last.")
    raise ConfigError(f"{path} holds no agent: there is no checkpoint of a training run in it, and no {_AGENT}.")
