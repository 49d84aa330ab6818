"""Histories in files of JSON lines: a header, and a line for each step, written as it happens."""

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xworld.base.checks import check_number, check_whole
from xworld.base.configs import from_json
from xworld.base.digest import digest
from xworld.base.errors import ConfigError
from xworld.base.files import as_path, parse_json, write_atomically
from xworld.base.lines import LineWriter, read_lines, to_line
from xworld.core.config import EnvConfig
from xworld.core.step.actions import NUM_ACTIONS
from xworld.histories.history import Header, History, Step, check_players
from xworld.tasks import parse, to_text

SUFFIX = ".jsonl"
_FORMAT = "xworld history 1"
_MAX_SEED = 2**32 - 1
_MOST = 1e300  # of a number; JSON has neither infinity nor NaN


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
        self._num_agents = header.config.num_agents
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
          ConfigError: the disk is full, or the step is none of the header's agents.
        """
        self._lines.write(_step_line(step, self._num_agents))

    def undo(self) -> None:
        """Takes the last step away again, of those that this writer wrote."""
        self._lines.undo()

    def close(self) -> None:
        """Closes the file."""
        self._lines.close()


def check_header(header: Header) -> None:
    """Makes sure that a history can begin with this. That takes a moment once; then `HistoryWriter` opens at once.

    Raises:
      ConfigError: another number of players than agents, a seed out of range, or a task that has no text.
    """
    _header_line(header)


def write_history(path: str | Path, history: History) -> Path:
    """Writes a whole history; a file that is there is replaced. Returns the path.

    Raises:
      ConfigError: a suffix other than .jsonl, a path that cannot be written, or what `read_history` would refuse.
    """
    path = _check_suffix(path)
    num_agents = history.header.config.num_agents
    lines = [_header_line(history.header), *(_step_line(step, num_agents) for step in history.steps)]
    write_atomically(path, b"".join(map(to_line, lines)))
    return path


def read_history(path: str | Path) -> History:
    """The history in a file. A last line that was cut off when its writer was killed is left out.

    Raises:
      ConfigError: the file cannot be read, or is damaged or no history.
    """
    path = as_path(path)
    lines = read_lines(path)
    if not lines:
        raise ConfigError(f"{path} is no history: it has no header. Name a file that `xworld play` has written.")
    try:
        header = _read_header(lines[0])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no history, or its first line is damaged: {_reason(error)}") from error
    steps = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            content = parse_json(line)
            actions, rewards = _items(content, "actions"), _items(content, "rewards")
            step = Step(actions, rewards, content["event"], content["time"])
            steps.append(_check_step(step, header.config.num_agents))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}, line {number}, is damaged: {_reason(error)}") from error
    return History(header, tuple(steps))


def _items(content: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    if not isinstance(content[name], list):
        raise ConfigError(f"{name} is {content[name]!r}; it is a list with one for each agent.")
    return tuple(content[name])


def _reason(error: Exception) -> str:
    return f"there is no {error}." if isinstance(error, KeyError) else str(error)


@functools.lru_cache(maxsize=4)
def _header_line(header: Header) -> dict[str, Any]:
    """What the first line says; made once, since to write a task and to read it again takes a moment."""
    check_players(header)
    check_whole("The seed of a history", header.seed, 0, _MAX_SEED)
    text = to_text(header.task)
    if digest(parse(text, header.config)) != digest(header.task):
        raise ConfigError("The task cannot be written as text, so no history can be kept of it. See `to_text`.")
    return {
        "format": _FORMAT,
        "task_name": header.task_name,
        "players": header.players,
        "seed": int(header.seed),
        "config": dataclasses.asdict(header.config),
        "task": text,
    }


def _read_header(line: bytes) -> Header:
    content = parse_json(line)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        found = content.get("format") if isinstance(content, dict) else content
        raise ConfigError(f"its format is {found!r}, and this version reads {_FORMAT!r}.")
    config = from_json(EnvConfig, json.dumps(content["config"]))
    seed = check_whole("its seed", content["seed"], 0, _MAX_SEED)
    if not isinstance(content["task"], str):
        raise ConfigError("its task is no text.")
    players = tuple(map(str, _items(content, "players")))
    header = Header(config, parse(content["task"], config), seed, players, str(content["task_name"]))
    check_players(header)
    return header


def _step_line(step: Step, num_agents: int) -> dict[str, Any]:
    return dataclasses.asdict(_check_step(step, num_agents))


def _check_step(step: Step, num_agents: int) -> Step:
    """The step in plain Python, if it is one of so many agents; so nothing is written that is not read again."""
    for name in ("actions", "rewards"):
        if len(getattr(step, name)) != num_agents:
            raise ConfigError(f"{name} is {list(getattr(step, name))!r}; there is one for each of {num_agents} agents.")
    return Step(
        tuple(check_whole("An action", action, 0, NUM_ACTIONS - 1) for action in step.actions),
        tuple(check_number("A reward", reward, -_MOST, _MOST) for reward in step.rewards),
        check_whole("The event", step.event, 0),
        None if step.time is None else check_number("The time", step.time, -_MOST, _MOST),
    )


def _check_suffix(path: str | Path) -> Path:
    path = as_path(path)
    if path.suffix != SUFFIX:
        raise ConfigError(f"{path.name!r} has the suffix {path.suffix!r}; write a name that ends in {SUFFIX}.")
    return path
