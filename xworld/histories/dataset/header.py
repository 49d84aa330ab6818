"""What a data set of histories is of, and the arrays that it has.

A data set is a folder: `header.json`, `parts.jsonl` with a line for every batch that was added, a file of plain numbers
for each column, little-endian, and `tasks.npz` where the tasks are stored. Nothing in it is run when it is read.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from xworld.base.checks import check_fields, check_whole
from xworld.base.configs import as_dict, from_json
from xworld.base.errors import ConfigError, did_you_mean
from xworld.base.files import parse_json, read_text, reason_of
from xworld.core.config import EnvConfig
from xworld.tasks import UniverseConfig

HEADER, PARTS, TASKS = "header.json", "parts.jsonl", "tasks.npz"
_FORMAT = "xworld dataset 2"
_HASH = "header_hash"  # SHA-256 of all else that a header says


@dataclass(frozen=True)
class Column:
    """An array of a data set: a row for each episode, or for each step."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]  # of a row
    is_of_steps: bool

    @property
    def row_bytes(self) -> int:
        """How many bytes a row takes."""
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))

    @property
    def file_name(self) -> str:
        """Of its file in the folder."""
        return f"{self.name}.bin"


# What may be kept beside what was done, by name: the dtype, whether each agent has one, whether each step has.
_LABELS: dict[str, tuple[str, bool, bool]] = {
    "log_probability": ("<f4", True, True),  # that whoever acted gave to the action
    "expert_action": ("u1", True, True),  # what the expert would have done
    "update": ("<u4", False, True),  # of the learner that acted: how often it had learned
    "stream": ("<u4", False, False),  # episodes of one number follow each other in one learner's life
}
LABELS = tuple(_LABELS)


@dataclass(frozen=True)
class DatasetHeader:
    """What was played, by whom, and what is kept of it.

    Raises:
      ConfigError: an unknown label or one that is there twice, or a number of trials out of range.
    """

    env: EnvConfig
    universe: UniverseConfig | None = None  # whose tasks are known by their ids; None: tasks are stored
    num_trials: int | None = None  # that every task of the universe has here; None: as many as it says
    players: tuple[str, ...] = ()  # who played, for readers
    labels: tuple[str, ...] = ()  # of LABELS
    about: Mapping[str, Any] = field(default_factory=dict)  # how it came to be, in JSON types, for readers
    tasks_hash: str | None = None  # digest of the stored tasks; `DatasetWriter` puts it here

    def __post_init__(self) -> None:
        for name in self.labels:
            if name not in _LABELS:
                raise ConfigError(f"labels: {name!r} is unknown. {did_you_mean(name, LABELS)}")
            if self.labels.count(name) > 1:
                raise ConfigError(f"labels: {name!r} is there twice; once is enough.")
        if self.num_trials is not None:
            check_fields(self, ["num_trials"], partial(check_whole, low=1, high=2**16 - 1), "DatasetHeader")
            if self.universe is None:
                raise ConfigError("num_trials is for tasks of a universe; stored tasks have their own.")

    @property
    def columns(self) -> tuple[Column, ...]:
        """The arrays, those of episodes first."""
        agents, numbers = (self.env.num_agents,), (1 if self.universe is None else 2,)
        columns = [
            Column("start", np.dtype("<u8"), (), False),  # the episode's first step, counted from the data set's
            Column("task", np.dtype("<i4"), numbers, False),
            Column("seed", np.dtype("<u4"), (), False),
            Column("action", np.dtype("u1"), agents, True),
        ]
        for name in self.labels:
            dtype, is_of_agents, is_of_steps = _LABELS[name]
            columns.append(Column(name, np.dtype(dtype), agents if is_of_agents else (), is_of_steps))
        return tuple(sorted(columns, key=lambda column: column.is_of_steps))

    def to_json(self) -> str:
        """The text of `header.json`."""
        content: dict[str, Any] = {
            "format": _FORMAT,
            "env": dataclasses.asdict(self.env),
            "universe": None if self.universe is None else as_dict(self.universe),
            "num_trials": self.num_trials,
            "players": self.players,
            "labels": self.labels,
            "about": dict(self.about),
            "tasks_hash": self.tasks_hash,
        }
        content[_HASH] = _hash(content)
        return json.dumps(content, indent=1) + "\n"


def read_header(folder: Path) -> DatasetHeader:
    """The header of the data set in a folder.

    Raises:
      ConfigError: there is no data set, or its header is damaged or of another format.
    """
    path = folder / HEADER
    if not path.is_file():
        raise ConfigError(f"{folder} holds no data set: there is no {HEADER}. Make one with xworld record.")
    try:
        content = parse_json(read_text(path))
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ConfigError(f"it is not of format {_FORMAT!r}.")
        if content.pop(_HASH) != _hash(content):
            raise ConfigError(f"it was changed, as {_HASH} says. Record the data set again.")
        universe = content["universe"]
        return DatasetHeader(
            env=from_json(EnvConfig, json.dumps(content["env"])),
            universe=None if universe is None else from_json(UniverseConfig, json.dumps(universe)),
            num_trials=content["num_trials"],
            players=tuple(map(str, content["players"])),
            labels=tuple(map(str, content["labels"])),
            about=dict(content["about"]),
            tasks_hash=content["tasks_hash"],
        )
    except KeyError as error:
        raise ConfigError(f"{path} is damaged: there is no {error}. Record the data set again.") from error
    except (ConfigError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} is no header of a data set, or damaged: {reason_of(error)}.") from error


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
