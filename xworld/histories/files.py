"""Histories in files of JSON lines: a header, and a line for each step, written as it happens."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from xworld.base.configs import from_json
from xworld.base.digest import digest
from xworld.base.errors import ConfigError
from xworld.base.files import write_atomically
from xworld.base.lines import LineWriter, read_lines, to_line
from xworld.core.config import EnvConfig
from xworld.core.step.actions import NUM_ACTIONS
from xworld.histories.history import Header, History, Step, check_players
from xworld.tasks import parse, to_text

SUFFIX = ".jsonl"
_FORMAT = "xworld history 1"
_MAX_SEED = 2**32 - 1


class HistoryWriter:
    """Writes a history while it happens; what is written is there even if the process is killed."""

    def __init__(self, path: str | Path, header: Header, *, goes_on: bool = False) -> None:
        """Makes the file, and missing folders.

        Args:
          path: of the file.
          header: of the history.
          goes_on: whether to go on with a history that is there already; `steps` has what was written before.

        Raises:
          ConfigError: there is a file already that is not to be gone on with, or is damaged, or of another header; it
            cannot be written; or the header's task has no text.
        """
        self.path = _check_suffix(path)
        line = _header_line(header)
        self.steps: tuple[Step, ...] = ()  # that were there when the file was opened
        if self.path.exists() and not goes_on:
            raise ConfigError(f"{self.path} is there already. Choose another name, or remove it.")
        is_begun = self.path.exists() and bool(read_lines(self.path))
        if is_begun:
            begun = read_history(self.path)
            if _header_line(begun.header) != line:
                raise ConfigError(f"{self.path} is the history of something else. Choose another name, or remove it.")
            self.steps = begun.steps
        self._lines = LineWriter(self.path)
        if not is_begun:
            self._lines.write(line)

    def append(self, step: Step) -> None:
        """Adds a step.

        Raises:
          ConfigError: the disk is full.
        """
        self._lines.write(dataclasses.asdict(step))

    def undo(self) -> None:
        """Takes the last step away again, of those that this writer wrote."""
        self._lines.undo()

    def close(self) -> None:
        """Closes the file."""
        self._lines.close()


def write_history(path: str | Path, history: History) -> Path:
    """Writes a whole history; a file that is there is replaced. Returns the path.

    Raises:
      ConfigError: a suffix other than .jsonl, or a path that cannot be written.
    """
    path = _check_suffix(path)
    lines = [_header_line(history.header), *map(dataclasses.asdict, history.steps)]
    write_atomically(path, b"".join(map(to_line, lines)))
    return path


def read_history(path: str | Path) -> History:
    """The history in a file. A last line that was cut off when its writer was killed is left out.

    Raises:
      ConfigError: the file cannot be read, or is damaged or no history.
    """
    path = Path(path)
    lines = read_lines(path)
    if not lines:
        raise ConfigError(f"{path} is no history: it has no header. Name a file that `xworld play` has written.")
    try:
        header = _read_header(lines[0])
    except (ConfigError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no history, or its first line is damaged: {_reason(error)}") from error
    steps = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            steps.append(_read_step(line, header.config.num_agents))
        except (ConfigError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}, line {number}, is damaged: {_reason(error)}") from error
    return History(header, tuple(steps))


def _reason(error: Exception) -> str:
    return f"there is no {error}." if isinstance(error, KeyError) else str(error)


def _header_line(header: Header) -> dict[str, Any]:
    check_players(header)
    text = to_text(header.task)
    if digest(parse(text, header.config)) != digest(header.task):
        raise ConfigError("The task cannot be written as text, so no history can be kept of it. See `to_text`.")
    return {
        "format": _FORMAT,
        "task_name": header.task_name,
        "players": header.players,
        "seed": header.seed,
        "config": dataclasses.asdict(header.config),
        "task": text,
    }


def _read_header(line: bytes) -> Header:
    content = json.loads(line)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        found = content.get("format") if isinstance(content, dict) else content
        raise ConfigError(f"its format is {found!r}, and this version reads {_FORMAT!r}.")
    config = from_json(EnvConfig, json.dumps(content["config"]))
    seed = content["seed"]
    if not isinstance(seed, int) or not 0 <= seed <= _MAX_SEED:
        raise ConfigError(f"its seed is {seed!r}, not a whole number from 0 to {_MAX_SEED}.")
    players = tuple(map(str, content["players"]))
    header = Header(config, parse(content["task"], config), seed, players, str(content["task_name"]))
    check_players(header)
    return header


def _read_step(line: bytes, num_agents: int) -> Step:
    content = json.loads(line)
    actions, rewards, event, time = (content[name] for name in ("actions", "rewards", "event", "time"))
    is_whole = all(type(action) is int and 0 <= action < NUM_ACTIONS for action in actions)
    if not is_whole or len(actions) != num_agents:
        raise ConfigError(f"actions is {actions!r}, not {num_agents} whole numbers from 0 to {NUM_ACTIONS - 1}.")
    if len(rewards) != num_agents or type(event) is not int:
        raise ConfigError(f"rewards is {rewards!r} and event {event!r}, not {num_agents} numbers and a whole one.")
    return Step(tuple(actions), tuple(map(float, rewards)), event, None if time is None else float(time))


def _check_suffix(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != SUFFIX:
        raise ConfigError(f"{path.name!r} has the suffix {path.suffix!r}; write a name that ends in {SUFFIX}.")
    return path
