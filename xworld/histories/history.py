"""`History`: the record of an episode, or of its first steps."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xworld.base.digest import digest
from xworld.base.errors import ConfigError
from xworld.core.config import EnvConfig
from xworld.core.types import Task


@dataclass(frozen=True, eq=False)
class Header:
    """What was played, and by whom. With the actions it decides everything else."""

    config: EnvConfig
    task: Task
    seed: int  # of the episode, uint32, as `State.seed`; decides the directions at the start of trials
    players: tuple[str, ...]  # who played each of the A agents
    task_name: str = ""  # what the task is called where it is from

    def __eq__(self, other: object) -> bool:
        """Equal in everything, the task by its content."""
        return isinstance(other, Header) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)

    @property
    def _content(self) -> tuple[Any, ...]:
        return self.config, digest(self.task), int(self.seed), tuple(self.players), self.task_name


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


def check_players(header: Header) -> None:
    """Raises ConfigError unless the header names one player for each agent."""
    if len(header.players) != header.config.num_agents:
        raise ConfigError(
            f"players is {list(header.players)}; name one for each of the {header.config.num_agents} agents."
        )
