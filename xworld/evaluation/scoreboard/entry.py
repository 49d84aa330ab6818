"""An entry of the scoreboard: who played, what training cost, and the score of every task. One JSON file each."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xworld.base.errors import ConfigError, did_you_mean
from xworld.base.files import parse_json, read_text, write_atomically

SCHEMA = "xworld.scoreboard/1"
TASK_SET = "s1"
NUM_TRIALS = (1, 2, 3, 5, 6, 8, 13)
MAIN_NUM_TRIALS = 6  # what `check_entry` plays; the most in training
DEFAULT = "gru"  # the entry that others are compared with
_DIGITS = 4  # of a score in a file


@dataclass(frozen=True)
class Training:
    """What the training of one kept agent cost."""

    seed: int
    steps: int  # environment steps
    seconds: float  # in updates, without compiling and evaluating


@dataclass(frozen=True)
class Entry:
    """Players of one kind on the tasks of the benchmark; agents of several training seeds are players of one kind."""

    name: str
    about: str  # what it is, one line
    players: tuple[str, ...]  # names of scripted players, or folders of kept agents relative to that of the entries
    trainings: tuple[Training, ...]  # of each player; none of scripted ones
    hardware: str  # trained on; empty of scripted players
    num_tasks: int  # the first so many of the test set
    content_hash: str  # of these tasks
    best_returns_digest: str  # of the expert's best returns that the scores are shares of, 16 digits
    num_repetitions: int
    seed: int  # of the evaluation
    scores: dict[int, np.ndarray]  # by k: [num_players, num_tasks] of the last trial, NaN of tasks without a reference

    def scored(self, num_trials: int) -> np.ndarray:
        """[num_players, num_tasks with a score] of the last of so many trials."""
        values = self.scores[num_trials]
        return values[:, ~np.isnan(values).any(axis=0)]


def check_name(name: str) -> str:
    """A name that a file can have.

    Raises:
      ConfigError: it has other characters than lower-case letters, digits and dashes.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ConfigError(f"{name!r} cannot be an entry's name. Write lower-case letters, digits, dashes: gru-large.")
    return name


def write_entry(folder: Path, entry: Entry) -> None:
    """Writes `NAME.json`, a line for each player's scores.

    Raises:
      ConfigError: it cannot be written.
    """
    content = {"schema": SCHEMA} | asdict(entry) | {"scores": None}
    rows = {
        str(k): [[None if np.isnan(score) else round(float(score), _DIGITS) for score in row] for row in values]
        for k, values in entry.scores.items()
    }
    by_k = ",\n".join(
        f'  "{k}": [\n' + ",\n".join(f"   {json.dumps(row)}" for row in players) + "\n  ]"
        for k, players in rows.items()
    )
    text = json.dumps(content, indent=1).replace('"scores": null', f'"scores": {{\n{by_k}\n }}')
    write_atomically(folder / f"{entry.name}.json", text.encode() + b"\n")


def read_entries(folder: Path) -> list[Entry]:
    """All entries in a folder, by name.

    Raises:
      ConfigError: one of them cannot be read.
    """
    return [_read(path) for path in sorted(folder.glob("*.json"))]


def read_entry(folder: Path, name: str) -> Entry:
    """The entry of this name.

    Raises:
      ConfigError: there is none, or it cannot be read.
    """
    known = [path.stem for path in sorted(folder.glob("*.json"))]
    if name not in known:
        raise ConfigError(f"{folder} has no entry {name!r}. {did_you_mean(name, known) if known else 'It has none.'}")
    return _read(folder / f"{name}.json")


def _read(path: Path) -> Entry:
    try:
        content: dict[str, Any] = parse_json(read_text(path))
        if content.pop("schema") != SCHEMA:
            raise ConfigError(f"{path} is not of the schema {SCHEMA!r}. Make the entry again with this version.")
        scores = {int(k): np.array(rows, np.float64) for k, rows in content.pop("scores").items()}
        trainings = tuple(Training(**training) for training in content.pop("trainings"))
        players = tuple(content.pop("players"))
        entry = Entry(**content, scores=scores, trainings=trainings, players=players)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{path} is no entry of a scoreboard: {error}. Remove it, or make it again.") from error
    shape = len(entry.players), entry.num_tasks
    if set(entry.scores) != set(NUM_TRIALS) or any(values.shape != shape for values in entry.scores.values()):
        raise ConfigError(f"{path} is damaged: it needs {shape} scores for each of {NUM_TRIALS} trials. Make it again.")
    return entry
