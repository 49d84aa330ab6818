"""Histories: the record of an episode, from which all that was seen in it is derived again.

A history is a file of JSON lines: a header, which says what was played, and a line for each step, written as it
happens. docs/histories.md describes it.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xworld.configs import from_json
from xworld.core.actions import NOOP, NUM_ACTIONS
from xworld.core.config import EnvConfig
from xworld.core.env import Env
from xworld.core.types import State, Task, TimeStep
from xworld.errors import ConfigError
from xworld.lines import LineWriter, read_lines, to_line
from xworld.tasks import parse, to_text
from xworld.tasks.digest import digest
from xworld.tasks.files import write_atomically

SUFFIX = ".jsonl"
_FORMAT = "xworld history 1"
_CHUNK = 64  # steps that are replayed at a time, so that one compiled function serves all histories
_MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class Header:
    """What was played, and by whom. With the actions it decides everything else."""

    config: EnvConfig
    task: Task
    seed: int  # of the episode, uint32, as `State.seed`; decides the directions at the start of trials
    players: tuple[str, ...]  # who played each of the A agents
    task_name: str = ""  # what the task is called where it is from


@dataclass(frozen=True)
class Step:
    """What all agents did in a step, and what came of it."""

    actions: tuple[int, ...]  # [A] 0 to 6
    rewards: tuple[float, ...]  # [A]
    event: int  # 1 + the rule that fired, or 0
    time: float | None = None  # seconds since the trial was shown, pauses not counted; None where nobody watched


@dataclass(frozen=True)
class History:
    """The record of an episode, or of its first steps."""

    header: Header
    steps: tuple[Step, ...]

    @property
    def actions(self) -> np.ndarray:
        """[T, A] uint8."""
        num_agents = self.header.config.num_agents
        return np.array([step.actions for step in self.steps], np.uint8).reshape(-1, num_agents)

    @property
    def rewards(self) -> np.ndarray:
        """[T, A] float32."""
        num_agents = self.header.config.num_agents
        return np.array([step.rewards for step in self.steps], np.float32).reshape(-1, num_agents)

    @property
    def events(self) -> np.ndarray:
        """[T] int32, 1 + the rule that fired, or 0."""
        return np.array([step.event for step in self.steps], np.int32)

    @property
    def times(self) -> np.ndarray:
        """[T] float64 seconds since the trial was shown, NaN where nobody watched."""
        return np.array([np.nan if step.time is None else step.time for step in self.steps], np.float64)


def replay(history: History) -> tuple[State, TimeStep]:
    """States and timesteps of a history, played again: [T + 1, ...] on the host, those of `Env.reset` first.

    Raises:
      ConfigError: the simulator pays other rewards or fires other rules than the history says.
    """
    header = history.header
    states, timesteps = play_actions(Env(header.config), header.task, header.seed, history.actions)
    for number, step in enumerate(history.steps, start=1):
        check_step(number, step, np.asarray(timesteps.reward[number]), int(timesteps.event[number]))
    return states, timesteps


def check_step(number: int, step: Step, rewards: np.ndarray, event: int) -> None:
    """Makes sure that step `number` of a history came out as the history says: with [A] rewards and an event.

    Raises:
      ConfigError: it did not.
    """
    found = tuple(rewards.tolist()), event
    if found != (step.rewards, step.event):
        raise ConfigError(
            f"Step {number} has rewards {list(step.rewards)} and event {step.event}, but played again it has "
            f"{list(found[0])} and {event}. The history was changed, or is of another version of xworld."
        )


def play_actions(env: Env, task: Task, seed: int, actions: np.ndarray) -> tuple[State, TimeStep]:
    """States and timesteps of what [T, A] actions lead to: [T + 1, ...] on the host, those of `Env.reset` first."""
    num_steps, num_agents = actions.shape
    filled = np.full((-(-num_steps // _CHUNK) * _CHUNK, num_agents), NOOP, np.uint8)
    filled[:num_steps] = actions
    state, timestep = start_episode(env, seed, task)
    parts = [jax.tree.map(lambda leaf: np.asarray(leaf)[None], (state, timestep))]
    for start in range(0, num_steps, _CHUNK):
        state, part = _play(env, state, jnp.asarray(filled[start : start + _CHUNK]))
        parts.append(jax.device_get(part))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: num_steps + 1], *parts)


def history_of(env: Env, states: State, timesteps: TimeStep, players: Sequence[str], task_name: str = "") -> History:
    """The history of an episode that was kept as states and timesteps, such as `xworld.evaluation.record` gives.

    Args:
      env: the environment that was played in.
      states: [T + 1, ...], those of `Env.reset` first. What comes after the end of the episode is left out.
      timesteps: that came with them.
      players: who played each of the A agents.
      task_name: what the task is called.

    Raises:
      ConfigError: not one episode stacked over time from its start, or another number of players.
    """
    states, timesteps = jax.device_get((states, timesteps))
    if np.ndim(states.trial) != 1 or len(states.trial) != len(timesteps.event) or not timesteps.is_first[0]:
        raise ConfigError(
            f"A history is made of states and timesteps of one episode stacked over time, [T + 1, ...] both, those of "
            f"`reset` first; these have the shapes {np.shape(states.trial)} and {np.shape(timesteps.event)}."
        )
    is_last = timesteps.is_last
    num_steps = int(is_last.argmax()) if is_last.any() else len(is_last) - 1
    task = jax.tree.map(lambda leaf: leaf[0], states.task)
    header = Header(env.config, task, int(states.seed[0]), tuple(players), task_name)
    _check_players(header)
    steps = (
        Step(tuple(actions.tolist()), tuple(rewards.tolist()), int(event))
        for actions, rewards, event in zip(
            states.last_action[1:], timesteps.reward[1:], timesteps.event[1:], strict=True
        )
    )
    return History(header, tuple(step for _, step in zip(range(num_steps), steps, strict=False)))


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
    _check_players(header)
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
    _check_players(header)
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


def _check_players(header: Header) -> None:
    if len(header.players) != header.config.num_agents:
        raise ConfigError(
            f"players is {list(header.players)}; name one for each of the {header.config.num_agents} agents."
        )


def _check_suffix(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != SUFFIX:
        raise ConfigError(f"{path.name!r} has the suffix {path.suffix!r}; write a name that ends in {SUFFIX}.")
    return path


def start_episode(env: Env, seed: int, task: Task) -> tuple[State, TimeStep]:
    """State and timestep with which the episode of a uint32 seed starts; compiled."""
    return _reset(env, jnp.uint32(seed), task)


@partial(jax.jit, static_argnums=0)
def _reset(env: Env, seed: jax.Array, task: Task) -> tuple[State, TimeStep]:
    return env.reset_from_seed(seed, task)


@partial(jax.jit, static_argnums=0)
def _play(env: Env, state: State, actions: jax.Array) -> tuple[State, tuple[State, TimeStep]]:
    """The state after [n, A] actions, and the states and timesteps [n, ...] on the way."""

    def step(state: State, action: jax.Array) -> tuple[State, tuple[State, TimeStep]]:
        after, timestep = env.step(state, action)
        return after, (after, timestep)

    return jax.lax.scan(step, state, actions)
