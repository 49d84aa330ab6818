"""What imitation keeps in its folder to go on from, until the agent that it was for takes its place.

`imitate.json` says what is trained on what, and `checkpoint-UPDATE` has the whole state, as a training run's has; it is
a saved agent too. An agent that was there before stays beside them until then.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import jax

from xworld.agents import Agent
from xworld.agents.saved.saved import checkpoint_folder, checkpoints, describe, remove_others
from xworld.agents.saved.trees import (
    MANIFEST,
    UNFINISHED,
    check_none_lost,
    names_in,
    read_manifest,
    read_part,
    write_parts,
)
from xworld.base.configs import as_dict, differences, from_json
from xworld.base.errors import ConfigError, located
from xworld.base.files import LOCK, as_path, check_folder, locked, parse_json, read_text, write_atomically
from xworld.training.devices.sharding import fetch
from xworld.training.imitation.config import ImitateConfig
from xworld.training.learners.learner import Trained

T = TypeVar("T")

_PLAN, _NOTES = "imitate.json", "notes.json"
_PARAMS, _BEST, _REST, _HEADS = "params", "best", "rest", "heads"


@dataclass
class Progress:
    """How far imitation is: all that it needs to go on, beside the data and the configuration."""

    trained: Trained
    learner: Any  # the learner's own state
    chance: dict[str, Any]  # state of the generator that windows are drawn by
    best: Trained
    update: int = 0  # updates done
    best_update: int = 0
    best_score: float | None = None  # None before the first evaluation
    rows: list[dict[str, Any]] = field(default_factory=list)  # of evaluations
    losses: list[dict[str, float]] = field(default_factory=list)  # metrics of the updates since the last evaluation


@dataclass(frozen=True)
class Kept:
    """The folder of one imitation, which has it for itself."""

    folder: Path
    agent: Agent

    def read(self, like: Progress) -> Progress | None:
        """The progress of the newest checkpoint, in the host's memory; None where there is none.

        Raises:
          ConfigError: the checkpoint is damaged, or of other shapes than `like`.
        """
        found = checkpoints(self.folder, "last")
        if not found:
            return None
        parts = {name: read_part(found[-1], name, part) for name, part in _parts(like).items()}
        read_manifest(found[-1], _NOTES)
        with located(f"{found[-1]} is damaged"):
            notes = parse_json(read_text(found[-1] / _NOTES))
        heads, best_heads, learner = parts[_REST]
        trained, best = Trained(parts[_PARAMS], heads), Trained(parts[_BEST], best_heads)
        return Progress(trained, learner, best=best, **notes)

    def write(self, progress: Progress) -> None:
        """Keeps the progress, in the place of what was kept before.

        Raises:
          ConfigError: the disk is full or read-only; what was kept before is there.
        """
        names = ("chance", "update", "best_update", "best_score", "rows", "losses")
        notes = {_NOTES: json.dumps({name: getattr(progress, name) for name in names}) + "\n"}
        checkpoint = checkpoint_folder(self.folder, "last", progress.update)
        texts = describe(self.agent, self.agent.env_config) | notes
        write_parts(checkpoint, fetch(_parts(progress)), texts)
        remove_others(checkpoint, "last")

    def finish(self, trained: Trained, texts: Mapping[str, str]) -> None:
        """Puts the agent in the place of all that was kept, and at the same moment further files, by name.

        Raises:
          ConfigError: the disk is full or read-only, or somebody has put something else into the folder; what was kept
            is there.
        """
        _check_own(self.folder)
        parts = {_PARAMS: trained.agent} | ({_HEADS: trained.heads} if jax.tree.leaves(trained.heads) else {})
        write_parts(self.folder, parts, {**describe(self.agent, self.agent.env_config), **texts})


def read_heads(folder: Path, like: T) -> T:
    """What the terms of an imitation that has ended have learned, one after the other.

    Args:
      folder: of the imitation.
      like: arrays of their shapes, or `jax.ShapeDtypeStruct`s: what `Term.init` gives, in a tuple.

    Raises:
      ConfigError: none were saved, or they are of other shapes.
    """
    return read_part(folder, _HEADS, like)


@contextmanager
def kept_in(
    folder: Path, agent: Agent, config: ImitateConfig, content_hash: str, terms: Sequence[str] = ()
) -> Iterator[Kept]:
    """The folder of an imitation; another that has not ended there is gone on with, if it is of the same.

    Args:
      folder: new, empty, with a saved agent alone, which is replaced at the end, or with an imitation that has not
        ended.
      agent: that is trained.
      config: how it is trained.
      content_hash: of the data.
      terms: `describe_term` of each.

    Raises:
      ConfigError: the folder holds something else too, is in use or cannot be written.
    """
    folder = as_path(folder)
    if folder.is_dir() and folder.samefile(Path.cwd()):
        raise ConfigError(
            f"{folder} is where you are, and it is to be replaced. Go elsewhere, or choose another folder."
        )
    check_folder(folder.resolve().parent)  # where the agent is written before it takes the folder's place
    check_folder(folder)
    with locked(folder):
        _check_own(folder)
        plan = {"config": as_dict(config), "data": content_hash, "terms": list(terms)}
        if (folder / _PLAN).exists():
            _check_same(folder, plan, config)
        else:
            write_atomically(folder / _PLAN, (json.dumps(plan, indent=1) + "\n").encode())
        yield Kept(folder, agent)


def _check_own(folder: Path) -> None:
    """Raises ConfigError if a folder has something that is lost when an agent takes its place, and is no agent's."""
    own = names_in(folder) if (folder / MANIFEST).is_file() else set()  # of an agent that stays until the end
    if (folder / _PLAN).exists():
        begun = (folder / _PLAN, *checkpoints(folder, "last"), *folder.glob(f"{UNFINISHED}*"))
        own |= {path.name for path in begun}
    check_none_lost(folder, _but_lock(folder), own)


def _check_same(folder: Path, plan: dict[str, Any], config: ImitateConfig) -> None:
    """Raises ConfigError unless the imitation in a folder is of the same configuration and data."""
    path = folder / _PLAN
    with located(f"{path} is damaged"):
        found = parse_json(read_text(path))
        if not isinstance(found, dict) or found.keys() != plan.keys():
            raise ConfigError("It does not say what was begun.")
        changed = differences(from_json(ImitateConfig, json.dumps(found["config"])), config)
    changed += ["the data"] if found["data"] != plan["data"] else []
    if found["terms"] != plan["terms"]:
        changed.append(f"terms: {found['terms']} there, {plan['terms']} here")
    if changed:
        raise ConfigError(
            f"{folder} holds an imitation that has not ended, of something else ({'; '.join(changed)}). Go on with the "
            "same, choose another folder, or remove it."
        )


def _parts(progress: Progress) -> dict[str, Any]:
    """The arrays of a checkpoint, by part."""
    rest = (progress.trained.heads, progress.best.heads, progress.learner)
    return {_PARAMS: progress.trained.agent, _BEST: progress.best.agent, _REST: rest}


def _but_lock(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name != LOCK]
