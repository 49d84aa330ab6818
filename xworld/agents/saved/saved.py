"""Agents in folders: saved, found in the folder of a run, loaded."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax

from xworld.agents.network.agent import Agent, Params, make_agent
from xworld.agents.network.config import AgentConfig
from xworld.agents.saved.loaded import LoadedAgent
from xworld.agents.saved.trees import MANIFEST, UNFINISHED, read_manifest, read_part, write_parts
from xworld.base.configs import from_json, to_json
from xworld.base.errors import ConfigError
from xworld.core.config import EnvConfig

Which = Literal["last", "best"]

PRETRAINED = Path(__file__).parent / "pretrained"  # what is left of the run of an agent that comes with the package

_AGENT, _PARAMS = "agent.json", "params"
_PREFIXES: dict[Which, str] = {"last": "checkpoint-", "best": "best-"}  # of folders in a run's; the update follows


def load(path: Path | str, which: Which = "last") -> LoadedAgent:
    """A saved agent, ready to act.

    Args:
      path: what `save_agent` wrote, a checkpoint, or the folder of a training run.
      which: of a run, the agent of the newest checkpoint, or the best that its own evaluation found.

    Raises:
      ConfigError: there is no agent, or it is damaged.
    """
    folder = _find_agent(Path(path), which)
    read_manifest(folder, _AGENT)
    try:
        config = from_json(_Description, (folder / _AGENT).read_text())
    except (ConfigError, OSError) as error:
        raise ConfigError(f"{folder} holds no agent that can be read. {error}") from error
    agent = make_agent(config.agent, config.env)
    params = read_part(folder, _PARAMS, jax.eval_shape(agent.init, jax.random.key(0)))
    return LoadedAgent(agent, jax.tree.map(jax.numpy.asarray, params))


def save_agent(folder: Path | str, agent: Agent, params: Params) -> None:
    """Writes an agent into a folder that `load` reads; what was there before is replaced.

    Raises:
      ConfigError: the folder cannot be written, or holds something else than a saved agent.
    """
    folder = Path(folder)
    is_free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_free and not (folder / MANIFEST).is_file():
        raise ConfigError(f"{folder} exists and holds no saved agent. Choose another folder.")
    write_parts(folder, {_PARAMS: params}, describe(agent.config, agent.env_config))


def describe(config: AgentConfig, env_config: EnvConfig) -> dict[str, str]:
    """The text that, beside the part "params", makes a folder a saved agent; by the name of its file."""
    return {_AGENT: to_json(_Description(config, env_config))}


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
