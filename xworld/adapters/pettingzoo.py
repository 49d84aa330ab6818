"""xworld as a PettingZoo environment in which all agents act at once."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from xworld.adapters.episodes import check_action, check_own_task, tasks_for
from xworld.adapters.flat import Observer
from xworld.adapters.gymnasium import (
    RENDER_MODES,
    Form,
    Now,
    check_render_mode,
    check_was_reset,
    draw,
    on_host,
    space_of,
)
from xworld.base.checks import check_whole
from xworld.base.errors import ConfigError
from xworld.base.xla.jit_key import jit_key
from xworld.core.env import Env
from xworld.core.step.actions import NUM_ACTIONS
from xworld.core.types import Task, TaskSource


class PettingZooEnv(ParallelEnv[str, Any, int]):
    """One environment for the agents "agent_0", "agent_1" and so on.

    Every episode is of a new task. It is terminated for all after its last trial, and never truncated. Where a task
    is for fewer agents, the others are not in `agents`.

    Args:
      tasks: a name, a source of tasks, or one task, as for `xworld.adapters.tasks_for`.
      env: the environment; needed where `tasks` is no name.
      observation: "flat", "one_hot" (both as `FlatLayout` says), or "structured", a dict of the same fields.
      briefing: whether observations have what the agent is told.
      render_mode: "rgb_array" (needs `pip install 'xworld[play]'`), "ansi" for words, or None.

    Raises:
      ConfigError: an argument out of range, or tasks that do not fit.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 8, "name": "xworld_v0", "is_parallelizable": True}

    def __init__(
        self,
        tasks: str | TaskSource | Task = "ada-two-player",
        env: Env | None = None,
        *,
        observation: Form = "flat",
        briefing: bool = True,
        render_mode: str | None = None,
    ) -> None:
        """Compiles nothing yet."""
        self.xworld, self.tasks = tasks_for(tasks, env)
        self.observer = Observer(self.xworld.config, observation, briefing)
        self.render_mode = check_render_mode(render_mode)
        self.possible_agents = [f"agent_{agent}" for agent in range(self.xworld.config.num_agents)]
        self.agents: list[str] = []
        self.observation_spaces = {agent: space_of(self.observer) for agent in self.possible_agents}
        self.action_spaces: dict[str, spaces.Space] = {
            agent: spaces.Discrete(NUM_ACTIONS) for agent in self.possible_agents
        }
        self.now: Now | None = None  # after reset
        self._random = np.random.default_rng()

    def observation_space(self, agent: str) -> spaces.Space:
        """Of an agent."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space:
        """Of an agent: `Discrete(7)`."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """Starts an episode of a new task, or of the one under "task" in `options`, of which the rest is not looked at.

        Raises:
          ConfigError: that task does not fit, or the seed is no whole number of at least 0.
        """
        if seed is not None:
            self._random = np.random.default_rng(check_whole("seed", seed, 0))
        key = jax.random.key(int(self._random.integers(2**31)))
        task = (options or {}).get("task")
        if task is None:
            out = _reset_new(self.xworld, self.observer, jit_key(self.tasks), key, self.tasks)
        else:
            out = _reset(self.xworld, self.observer, key, check_own_task(self.xworld, task))
        self.now, seen, is_present = out
        self.agents = [agent for agent, is_there in zip(self.possible_agents, is_present, strict=True) if is_there]
        return self._of_agents(on_host(seen)), {
            agent: {"trial": 0, "is_trial_first": True, "event": 0} for agent in self.agents
        }

    def step(
        self, actions: Mapping[str, int]
    ) -> tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """One step. Infos are for logs, not for agents: `trial`, `is_trial_first` and `event`, 1 + the rule that fired.

        Raises:
          ConfigError: `reset` was not called, the actions are not those of `agents`, or one is outside 0-6.
        """
        now = check_was_reset(self.now)
        if set(actions) != set(self.agents):
            raise ConfigError(f"actions are for {sorted(actions)}; write one for each of {self.agents}.")
        chosen = np.full(len(self.possible_agents), NUM_ACTIONS - 1, np.int32)  # noop for who is not there
        for agent, action in actions.items():
            chosen[self.possible_agents.index(agent)] = check_action(f"The action of {agent}", action)
        self.now, seen, outcome = _step(self.xworld, self.observer, now, chosen)
        rewards, is_last, trial, is_trial_first, event = jax.device_get(outcome)
        info = {"trial": trial.item(), "is_trial_first": is_trial_first.item(), "event": event.item()}
        acted = self.agents
        result = (
            self._of_agents(on_host(seen)),
            {agent: rewards[self.possible_agents.index(agent)].item() for agent in acted},
            dict.fromkeys(acted, is_last.item()),
            dict.fromkeys(acted, False),
            {agent: dict(info) for agent in acted},
        )
        if is_last:
            self.agents = []
        return result

    def render(self) -> np.ndarray | str | None:
        """The grid as [h, w, 3] uint8 RGB, or what each agent is told and sees in words."""
        now = check_was_reset(self.now)
        if self.render_mode == "ansi":
            return "\n\n".join(str(draw(self.xworld, now, "ansi", agent)) for agent in range(len(self.possible_agents)))
        return draw(self.xworld, now, self.render_mode)

    def _of_agents(self, seen: Any) -> dict[str, Any]:
        """The observations of those who are there."""
        rows = {agent: self.possible_agents.index(agent) for agent in self.agents}
        return {agent: jax.tree.map(lambda leaf, row=row: leaf[row].copy(), seen) for agent, row in rows.items()}


@partial(jax.jit, static_argnums=(0, 1, 2))
def _reset_new(
    env: Env, observer: Observer, classes: Any, key: jax.Array, tasks: TaskSource
) -> tuple[Now, Any, jax.Array]:
    task_key, key = jax.random.split(key)
    return _reset(env, observer, key, tasks.sample(task_key))


@partial(jax.jit, static_argnums=(0, 1))
def _reset(env: Env, observer: Observer, key: jax.Array, task: Task) -> tuple[Now, Any, jax.Array]:
    state, timestep = env.reset(key, task)
    now = Now(state, env.briefing(task), timestep.observation)
    return now, observer.observe(now.observation, now.briefing), task.is_present


@partial(jax.jit, static_argnums=(0, 1))
def _step(env: Env, observer: Observer, now: Now, actions: jax.Array) -> tuple[Now, Any, Any]:
    state, timestep = env.step(now.state, actions)
    after = Now(state, now.briefing, timestep.observation)
    outcome = timestep.reward, timestep.is_last, state.trial, timestep.is_trial_first, timestep.event
    return after, observer.observe(after.observation, after.briefing), outcome
