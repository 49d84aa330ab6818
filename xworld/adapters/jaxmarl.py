"""xworld as a JaxMARL environment: agents act at once, arrays are in dicts by agent, and `step` resets by itself."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxmarl.environments import spaces
from jaxmarl.environments.multi_agent_env import MultiAgentEnv

from xworld.adapters.episodes import start_where, tasks_for
from xworld.adapters.flat import Observer
from xworld.core.env import Env
from xworld.core.keys import as_key
from xworld.core.step.actions import NUM_ACTIONS
from xworld.core.types import Briefing, Observation, State, Task, TaskSource


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class JaxMARLState:
    """The state of one environment."""

    state: State
    briefing: Briefing  # of its task
    observation: Observation
    done: jax.Array  # [] bool, whether the episode is over
    step: jax.Array  # [] int32, steps taken in the episode


class JaxMARLEnv(MultiAgentEnv):
    """One environment for the agents "agent_0", "agent_1" and so on.

    Every episode is of a new task, and over for all after its last trial. An agent that a task does not have sees
    zeros, is paid 0, and only noop is available to it.

    Args:
      tasks: a name, a source of tasks, or one task, as for `xworld.adapters.tasks_for`.
      env: the environment; needed where `tasks` is no name.
      observation: "flat", "one_hot" (both as `FlatLayout` says), or "structured", a dict of the same fields.
      briefing: whether observations have what the agent is told.

    Raises:
      ConfigError: an argument out of range, or tasks that do not fit.
    """

    def __init__(
        self,
        tasks: str | TaskSource | Task = "ada-two-player",
        env: Env | None = None,
        *,
        observation: str = "flat",
        briefing: bool = True,
    ) -> None:
        """Compiles nothing yet."""
        self.env, self.tasks = tasks_for(tasks, env)
        super().__init__(num_agents=self.env.config.num_agents)
        self.observer = Observer(self.env.config, observation, briefing)
        space = _space_of(self.observer)
        self.observation_spaces = dict.fromkeys(self.agents, space)
        self.action_spaces = {agent: spaces.Discrete(NUM_ACTIONS) for agent in self.agents}
        self._start_where = start_where(self._begin)

    @property
    def name(self) -> str:
        """Of the environment."""
        return "xworld"

    @property
    def agent_classes(self) -> dict[str, list[str]]:
        """All agents are of one class."""
        return {"agent": self.agents}

    @partial(jax.jit, static_argnums=0)
    def reset(self, key: jax.Array) -> tuple[dict[str, Any], JaxMARLState]:
        """First observations and state of an episode of a new task."""
        state = self._begin(key, self.tasks)
        return self.get_obs(state), state

    @partial(jax.jit, static_argnums=0)
    def step(
        self,
        key: jax.Array,
        state: JaxMARLState,
        actions: dict[str, jax.Array],
        reset_state: JaxMARLState | None = None,
    ) -> tuple[dict[str, Any], JaxMARLState, dict[str, jax.Array], dict[str, jax.Array], dict[str, Any]]:
        """One step; where the episode is over, observations and state are of a new task's, or of `reset_state`."""
        _, ended, rewards, dones, infos = self.step_env(key, state, actions)
        if reset_state is None:
            state = self._start_where(ended.done, key, self.tasks, ended)
        else:
            state = jax.tree.map(lambda a, b: jnp.where(ended.done, a, b), reset_state, ended)
        return self.get_obs(state), state, rewards, dones, infos

    def step_env(
        self, key: jax.Array, state: JaxMARLState, actions: dict[str, jax.Array]
    ) -> tuple[dict[str, Any], JaxMARLState, dict[str, jax.Array], dict[str, jax.Array], dict[str, Any]]:
        """One step without reset. Infos, [A] each, are for logs: `is_trial_first`; `event`, 1 + the rule that fired."""
        chosen = jnp.stack([jnp.reshape(actions[agent], ()) for agent in self.agents])  # [1] in some of the baselines
        after, timestep = self.env.step(state.state, chosen)
        state = JaxMARLState(after, state.briefing, timestep.observation, timestep.is_last, state.step + 1)
        rewards = {agent: timestep.reward[index] for index, agent in enumerate(self.agents)}
        dones = dict.fromkeys([*self.agents, "__all__"], timestep.is_last)
        # JaxMARL's baselines reshape every info to [number of environments * number of agents].
        infos = {
            name: jnp.broadcast_to(value, (self.num_agents,))
            for name, value in {"is_trial_first": timestep.is_trial_first, "event": timestep.event}.items()
        }
        return self.get_obs(state), state, rewards, dones, infos

    def get_obs(self, state: JaxMARLState) -> dict[str, Any]:
        """The observations of all agents, zeros for one that is not there."""
        seen, is_present = self.observer.observe(state.observation, state.briefing), state.state.task.is_present
        return {
            agent: jax.tree.map(lambda leaf, i=i: leaf[i] * is_present[i].astype(leaf.dtype), seen)
            for i, agent in enumerate(self.agents)
        }

    @partial(jax.jit, static_argnums=0)
    def get_avail_actions(self, state: JaxMARLState) -> dict[str, jax.Array]:
        """[7] bool: all actions, for an agent that is not there noop."""
        is_present = state.state.task.is_present
        is_noop = jnp.arange(NUM_ACTIONS) == NUM_ACTIONS - 1
        return {agent: is_noop | is_present[index] for index, agent in enumerate(self.agents)}

    def _begin(self, key: jax.Array, tasks: TaskSource) -> JaxMARLState:
        task_key, reset_key = jax.random.split(as_key(key))
        task = tasks.sample(task_key)
        state, timestep = self.env.reset(reset_key, task)
        return JaxMARLState(state, self.env.briefing(task), timestep.observation, timestep.is_last, jnp.int32(0))


def _space_of(observer: Observer) -> spaces.Space:
    """The space of one agent's observations."""
    layout = observer.layout
    if not observer.is_structured:
        return spaces.Box(jnp.zeros(layout.size), jnp.asarray(layout.high), (layout.size,), jnp.float32)
    return spaces.Dict(
        {
            field.name: spaces.Box(0, field.high, field.shape, observer.dtype(field.name))
            for field in layout.fields.values()
        }
    )
