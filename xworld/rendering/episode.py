"""An episode as a film: frames from stacked states."""

import dataclasses
from collections.abc import Collection, Iterator

import jax
import numpy as np

from xworld.base.checks import check_whole
from xworld.base.errors import ConfigError
from xworld.core.env import Env
from xworld.core.types import State, TimeStep
from xworld.rendering.frame import Style, draw_frame, make_style
from xworld.rendering.panel import Moment
from xworld.rendering.snapshot import Snapshot, take_snapshot

EVENT_FRAMES = 3  # a rule stays marked for this many more frames after it fired


def episode_frames(
    env: Env,
    states: State,
    timesteps: TimeStep,
    *,
    tile_size: int | None = None,
    agent: int = 0,
    show_view: bool = True,
    reveal: bool = False,
    pause: int = 6,
    trials: Collection[int] | None = None,
) -> Iterator[np.ndarray]:
    """The frames of one episode: every state with its panel, and a pause where trials start and end.

    Args:
      env: the environment the states come from.
      states: stacked over time, every leaf [T, ...]: the state after `reset`, then after each step.
      timesteps: that came with them, stacked likewise.
      tile_size: pixels per cell, as for `render_frame`.
      agent: whose panel and view are drawn, likewise.
      show_view: whether cells that this agent does not see are darker, likewise.
      reveal: whether what is hidden is shown, likewise.
      pause: frames for which "Trial 2 / 4" is held when a trial starts, and its return when it ends; 0 for none.
      trials: which trials to draw, from 0; all by default. The returns of the others are shown all the same.

    Returns:
      An iterator over [h, w, 3] uint8 frames of one even size, T + 2 * pause * num_trials of a whole episode. It ends
      with the episode. Where the last state is already of another episode, as `VectorEnv` has it, that is left out.

    Raises:
      ConfigError: not stacked over time, of different lengths, or an argument out of range.
    """
    if states.trial.ndim != 1 or timesteps.event.ndim != 1 or len(states.trial) != len(timesteps.event):
        raise ConfigError(
            f"episode_frames takes states and timesteps of one environment stacked over time, [T, ...] both; "
            f"these have the shapes {states.trial.shape} and {timesteps.event.shape}. "
            "Pick one environment, and put the state and timestep of `reset` before those of the steps."
        )
    if len(states.trial) == 0:
        raise ConfigError("There are no states: an episode to draw starts with the state of `reset`.")
    check_whole("pause", pause, 0)
    style = make_style(env.config, tile_size, agent, show_view, reveal)
    states, timesteps = jax.device_get((states, timesteps))
    last = int(states.task.num_trials[0]) - 1
    for trial in () if trials is None else trials:
        check_whole("A number in trials", trial, 0, last)
    return _frames(env, states, timesteps, style, pause, trials)


def _frames(
    env: Env, states: State, timesteps: TimeStep, style: Style, pause: int, trials: Collection[int] | None
) -> Iterator[np.ndarray]:
    num_trials = int(states.task.num_trials[0])
    returns = [0.0] * (int(states.trial[0]) + 1)
    previous: Snapshot | None = None
    event, event_age = 0, 0

    def is_drawn() -> bool:
        """Whether the trial that goes on is one to draw."""
        return trials is None or len(returns) - 1 in trials

    def still(snapshot: Snapshot, banner: str, reward: float = 0.0) -> Iterator[np.ndarray]:
        """The pause on a state, with a banner."""
        if pause and is_drawn():
            moment = Moment(reward, event, is_event_new=event_age == 0, returns=tuple(returns))
            yield from [draw_frame(snapshot, moment, style, banner)] * pause

    for t in range(len(states.trial)):
        snapshot = take_snapshot(env, jax.tree.map(lambda leaf, t=t: leaf[t], states), style.agent)
        reward, is_last = float(timesteps.reward[t, style.agent]), bool(timesteps.is_last[t])
        returns[-1] += reward
        event_age += 1
        if timesteps.event[t]:
            event, event_age = int(timesteps.event[t]), 0
        elif event_age > EVENT_FRAMES:
            event = 0

        if previous is None:
            yield from still(snapshot, f"Trial {len(returns)} / {num_trials}")
        elif timesteps.is_trial_first[t]:
            # The world has been put back already: what the last step paid is shown with the state before it.
            yield from still(timed_out(previous), f"Trial {len(returns)} scored {returns[-1]:g}", reward)
            if is_last:
                return
            returns.append(0.0)
            reward, event = 0.0, 0
            yield from still(snapshot, f"Trial {len(returns)} / {num_trials}")
        moment = Moment(reward, event, is_event_new=event_age == 0, returns=tuple(returns))
        if is_drawn():
            yield draw_frame(snapshot, moment, style, banner="")
        if is_last:
            yield from still(snapshot, f"Trial {len(returns)} scored {returns[-1]:g}", reward)
            return
        previous = snapshot


def timed_out(snapshot: Snapshot) -> Snapshot:
    """The snapshot before a trial's last step, with no time left."""
    return dataclasses.replace(snapshot, time=snapshot.trial_length)
