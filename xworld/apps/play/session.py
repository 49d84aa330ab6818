"""A session: an episode that people, minds or a history play, step by step, there and back. It knows no window."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xworld.apps.play.minds import Mind, Thought
from xworld.core.env import Env
from xworld.core.step.actions import NOOP
from xworld.core.types import State, Task, TimeStep
from xworld.histories import HistoryWriter, Step, check_step, start_episode


@dataclass(frozen=True)
class Turn:
    """A moment of an episode: what there is, and what led to it."""

    state: State
    timestep: TimeStep  # on the host
    returns: tuple[np.ndarray, ...]  # of each trial so far, the current one last: [A] each
    memory: Any  # of the mind, once it has looked at this
    thought: Thought | None  # of the mind, about what to do now


class Session:
    """An episode of a task, its turns so far, and which of them is looked at.

    All agents are played by the history, if there is one; else those of `people` by people, and the rest by the mind.
    """

    def __init__(
        self,
        env: Env,
        task: Task,
        seed: int,
        *,
        people: tuple[int, ...] = (),
        mind: Mind | None = None,
        history: tuple[Step, ...] | None = None,
        make_writer: Callable[[], HistoryWriter] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts the episode.

        Args:
          env: the environment that the task is for.
          task: what is played.
          seed: of the episode, uint32.
          people: the agents that people play.
          mind: who plays the others. Without one they do nothing.
          history: what all agents do, if all was done before; the mind then only says what it thinks.
          make_writer: called at the first step, for the history that is written as it happens.
          clock: seconds.
        """
        self.env, self.people, self.mind = env, people, mind
        self.is_paused = False
        self.is_between_trials = False  # a trial is over, and people look at what came of it
        self.choices: dict[int, int] = {}  # what people have chosen to do, while others have not
        self._history, self._make_writer, self._clock = history, make_writer, clock
        self._writer: HistoryWriter | None = None
        self._shown: dict[int, float] = {}  # by trial, when it was first shown
        self._spent = 0.0  # seconds in the trial before it was caught up with
        self._paused_at = 0.0
        self._start = start_episode(env, seed, task)
        self._turns = [self._first_turn()]
        self._at = 0

    @property
    def turns(self) -> list[Turn]:
        """Up to the one that is looked at."""
        return self._turns[: self._at + 1]

    @property
    def turn(self) -> Turn:
        """The one that is looked at."""
        return self._turns[self._at]

    @property
    def is_over(self) -> bool:
        """Whether the episode is over, or the history ends here."""
        return bool(self.turn.timestep.is_last) or (self._history is not None and self._at == len(self._history))

    @property
    def changed_nothing(self) -> bool:
        """Whether the last step left the world as it was; False at the start of a trial."""
        if self._at == 0 or self.turn.timestep.is_trial_first:
            return False
        scenes = jax.device_get((self._turns[self._at - 1].state.scene, self.turn.state.scene))
        return all(map(np.array_equal, *map(jax.tree.leaves, scenes)))

    @property
    def waits_for(self) -> tuple[int, ...]:
        """The agents whose people have not chosen what to do."""
        return tuple(agent for agent in self.people if agent not in self.choices)

    @property
    def _can_go(self) -> bool:
        return not (self.is_paused or self.is_between_trials or self.is_over)

    @property
    def seconds(self) -> float:
        """Since the trial was first shown, pauses not counted, with what was spent before it was caught up with."""
        shown = self._shown.get(int(self.turn.timestep.observation.trial))
        return self._spent if shown is None else self._clock() - shown

    def catch_up(self, steps: Sequence[Step], seconds: float) -> None:
        """Takes steps that were taken and written before, by whom ever they were taken.

        Args:
          steps: the first of the episode.
          seconds: already spent in the trial in which they end.

        Raises:
          ConfigError: they do not come out as they did.
        """
        for step in steps:
            self._follow(np.array(step.actions, np.uint8), step)
            self._at += 1
        self._spent = seconds

    def warm_up(self) -> None:
        """Compiles a step, so that the first does not take long."""
        _step(self.env, self.turn.state, jnp.full(len(self.turn.timestep.reward), NOOP, jnp.uint8))

    def choose(self, agent: int, action: int) -> None:
        """Notes what a person does in the next step, which `go` takes."""
        if agent in self.people and self._can_go:
            self.choices[agent] = action

    def go(self) -> None:
        """Takes a step, or goes to the next turn if it was taken before. People who have not chosen do nothing."""
        if not self._can_go:
            return
        if self._at == len(self._turns) - 1:
            self._take_step()
        self._at += 1
        self.choices = {}

    def go_back(self) -> None:
        """Looks at the turn before; `go` returns to the later ones."""
        self._at = max(self._at - 1, 0)

    def look_at(self, number: int) -> None:
        """Looks at a turn that was taken; the first is 0, and -1 the last."""
        self._at = range(len(self._turns))[number]

    def undo(self) -> None:
        """Takes the last step back, also from the history that is written."""
        if self._at and not self.is_paused:
            self._turns.pop()
            self._at -= 1
            self.choices, self.is_between_trials = {}, False
            if self._writer is not None:
                self._writer.undo()

    def restart(self) -> None:
        """Starts the same episode again. Its history is another one."""
        self.close()
        self._turns, self._at = [self._first_turn()], 0
        self.choices, self._shown = {}, {}
        self.is_between_trials = self.is_paused = False

    def go_on(self) -> None:
        """Lets the next trial begin."""
        self.is_between_trials = False

    def pause(self) -> None:
        """Stops the clock, or lets it run again. Nothing happens meanwhile."""
        self.is_paused = not self.is_paused
        if self.is_paused:
            self._paused_at = self._clock()
        else:
            away = self._clock() - self._paused_at
            self._shown = {trial: shown + away for trial, shown in self._shown.items()}

    def note_shown(self) -> None:
        """Notes that what is looked at was drawn, if it is the first time that its trial was."""
        trial = int(self.turn.timestep.observation.trial)
        if not self.is_between_trials and trial not in self._shown:
            self._shown[trial], self._spent = self._clock() - self._spent, 0.0

    def close(self) -> None:
        """Closes the history that is written."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _first_turn(self) -> Turn:
        state, timestep = self._start
        memory = self.mind.start(self.env, state) if self.mind else None
        return self._make_turn(0, state, timestep, (np.zeros_like(timestep.reward),), memory)

    def _take_step(self) -> None:
        is_timed = int(self.turn.timestep.observation.trial) in self._shown
        seconds = round(self.seconds, 3) if is_timed else None
        step = self._follow(self._actions(self.turn), None if self._history is None else self._history[self._at])
        if self._make_writer is not None:
            self._writer = self._writer or self._make_writer()
            self._writer.append(dataclasses.replace(step, time=seconds))

    def _follow(self, actions: np.ndarray, expected: Step | None) -> Step:
        """Adds the turn that [A] actions lead to; says what was done and came of it, which has to be as expected."""
        turn = self.turn
        state, timestep = _step(self.env, turn.state, jnp.asarray(actions))
        timestep = jax.device_get(timestep)
        reward, event = timestep.reward, int(timestep.event)
        if expected is not None:
            check_step(self._at + 1, expected, reward, event)
        returns = (*turn.returns[:-1], turn.returns[-1] + reward)
        if timestep.is_trial_first:
            returns = (*returns, np.zeros_like(reward))
        self.is_between_trials = bool(self.people) and bool(timestep.is_trial_first)
        done = jax.device_get(state.last_action).tolist()
        self._turns.append(self._make_turn(self._at + 1, state, timestep, returns, turn.memory))
        return Step(tuple(done), tuple(reward.tolist()), event)

    def _actions(self, turn: Turn) -> np.ndarray:
        """[A] uint8: what all agents do now."""
        if self._history is not None:
            return np.array(self._history[self._at].actions, np.uint8)
        actions = np.full(turn.timestep.reward.shape, NOOP, np.uint8)
        if turn.thought is not None:
            actions[:] = turn.thought.actions
        for agent in self.people:
            actions[agent] = self.choices.get(agent, NOOP)
        return actions

    def _make_turn(
        self, number: int, state: State, timestep: TimeStep, returns: tuple[np.ndarray, ...], memory: Any
    ) -> Turn:
        timestep = jax.device_get(timestep)
        thought = None
        if self.mind is not None and not timestep.is_last:
            memory, thought = self.mind.think(memory, number, state, timestep)
        return Turn(state, timestep, returns, memory, thought)


@partial(jax.jit, static_argnums=0)
def _step(env: Env, state: State, actions: jax.Array) -> tuple[State, TimeStep]:
    return env.step(state, actions)
