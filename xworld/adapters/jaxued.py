"""xworld as JaxUED's underspecified environments, in which a `Task` is the level.

The interface is spoken without the package: JaxUED's wrappers, level sampler and scores take `JaxUEDEnv` as it is.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from xworld.adapters.episodes import check_alone, tasks_for
from xworld.adapters.flat import Observer
from xworld.adapters.gymnax import GymnaxState, discrete
from xworld.core.env import Env
from xworld.core.keys import as_key
from xworld.core.types import Task, TaskSource


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class JaxUEDParams:
    """There are none: a level says all."""


class JaxUEDEnv:
    """One environment for one agent. An episode ends after the level's last trial, and nothing resets by itself.

    Args:
      tasks: a name, a source of tasks, or one task, as for `xworld.adapters.tasks_for`; `sample_random_level` draws
        from it.
      env: the environment; needed where `tasks` is no name.
      observation: "flat", "one_hot" (both as `FlatLayout` says), or "structured", a dict of the same fields.
      briefing: whether observations have what the agent is told.

    Raises:
      ConfigError: an argument out of range, tasks that do not fit, or an environment for several agents.
    """

    def __init__(
        self,
        tasks: str | TaskSource | Task,
        env: Env | None = None,
        *,
        observation: str = "flat",
        briefing: bool = True,
    ) -> None:
        """Compiles nothing yet."""
        self.env, self.tasks = tasks_for(tasks, env)
        check_alone(self.env, "xworld.adapters.jaxmarl")
        self.observer = Observer(self.env.config, observation, briefing)

    @property
    def default_params(self) -> JaxUEDParams:
        """None."""
        return JaxUEDParams()

    def sample_random_level(self, rng: jax.Array) -> Task:
        """A level from `tasks`."""
        return self.tasks.sample(as_key(rng))

    @partial(jax.jit, static_argnums=0)
    def reset_to_level(self, rng: jax.Array, level: Task, params: Any = None) -> tuple[Any, GymnaxState]:
        """The first observation and state of an episode of the level."""
        return self.reset_env_to_level(rng, level, params)

    @partial(jax.jit, static_argnums=0)
    def step(
        self, rng: jax.Array, state: GymnaxState, action: jax.Array | int, params: Any = None
    ) -> tuple[Any, GymnaxState, jax.Array, jax.Array, dict[str, jax.Array]]:
        """(observation, state, reward, done, info). After the end nothing changes and nothing is paid."""
        return self.step_env(rng, state, action, params)

    def reset_env_to_level(self, rng: jax.Array, level: Task, params: Any) -> tuple[Any, GymnaxState]:
        """What `reset_to_level` does."""
        state, timestep = self.env.reset(rng, level)
        started = GymnaxState(state, self.env.briefing(level))
        return self.observer.observe_alone(timestep.observation, started.briefing), started

    def step_env(
        self, rng: jax.Array, state: GymnaxState, action: jax.Array | int, params: Any
    ) -> tuple[Any, GymnaxState, jax.Array, jax.Array, dict[str, jax.Array]]:
        """What `step` does."""
        after, timestep = self.env.step(state.state, jnp.asarray(action)[None])
        info = {"is_trial_first": timestep.is_trial_first, "event": timestep.event}
        observation = self.observer.observe_alone(timestep.observation, state.briefing)
        return observation, GymnaxState(after, state.briefing), timestep.reward[0], timestep.is_last, info

    def action_space(self, params: Any = None) -> Any:
        """`Discrete(7)`, gymnax's if it is installed."""
        return discrete(self.env.num_actions)
