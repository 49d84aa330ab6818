"""xworld as gymnax environments are: `reset(key, params)` and `step(key, state, action, params)`, pure and jitted.

The protocol is spoken without the package, in both its forms: five values, as PureJaxRL, rejax, memorax and Craftax
have them, or the six of gymnax 1. Spaces are gymnax's own where it is installed.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp

from xworld.adapters.episodes import Batch, Batches, check_alone, start_where, tasks_for
from xworld.adapters.flat import Observer
from xworld.base.checks import check_bool, check_word
from xworld.base.errors import ConfigError
from xworld.base.xla.jit_key import jit_key
from xworld.core.env import Env
from xworld.core.keys import as_key
from xworld.core.types import Briefing, Observation, State, Task, TaskSource, TimeStep
from xworld.core.vector import VectorEnv

_ENDLESS = 2**31 - 1

T = TypeVar("T")


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)  # hashed by what it is, not by its arrays: some hold it in what is static
class Params:
    """What may change without a recompile."""

    tasks: TaskSource  # where tasks come from at resets
    is_briefed: jax.Array | bool = True  # whether the agent is told goal and rules; if not, zeros stand in their place
    max_steps_in_episode: jax.Array | int = _ENDLESS  # after so many steps an episode is cut off

    def replace(self, **changes: Any) -> "Params":
        """The parameters with other values."""
        return dataclasses.replace(self, **changes)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GymnaxState:
    """The state of one environment."""

    state: State
    briefing: Briefing  # of its task

    @property
    def time(self) -> jax.Array:
        """[] int32 steps taken in this episode."""
        task, trial = self.state.task, self.state.trial.astype(jnp.int32)
        return trial * task.trial_length.astype(jnp.int32) + self.state.time.astype(jnp.int32)


class GymnaxEnv:
    """One environment for one agent. `jax.vmap` its `reset` and `step`, or take `batched(num_envs)`, which is faster.

    Args:
      tasks: a name, a source of tasks, or one task, as for `tasks_for`.
      env: the environment; needed where `tasks` is no name.
      observation: "flat", "one_hot" (both as `FlatLayout` says), or "structured", a dict of the same fields.
      briefing: whether observations have what the agent is told.
      auto_reset: whether `step` goes on with a new episode where one has ended. Otherwise the state stays at the end.
      num_values: that `step` returns: 5, or the 6 of gymnax 1, which tell termination and truncation apart.

    Raises:
      ConfigError: an argument out of range, tasks that do not fit, or an environment for several agents.
    """

    def __init__(
        self,
        tasks: str | TaskSource | Task,
        env: Env | None = None,
        *,
        observation: Literal["flat", "one_hot", "structured"] = "flat",
        briefing: bool = True,
        auto_reset: bool = True,
        num_values: Literal[5, 6] = 5,
    ) -> None:
        """Compiles nothing yet."""
        self.env, self.tasks = tasks_for(tasks, env)
        check_alone(self.env, "xworld.adapters.jaxmarl")
        self.observer = Observer(self.env.config, observation, briefing)
        self.auto_reset = check_bool("auto_reset", auto_reset)
        self.num_values = check_word("num_values", num_values, (5, 6))
        self._start_where = start_where(self._begin)

    @property
    def name(self) -> str:
        """Of the environment."""
        return "xworld"

    @property
    def num_actions(self) -> int:
        """How many actions there are: 7."""
        return self.env.num_actions

    @property
    def default_params(self) -> Params:
        """The tasks that the environment was made with; briefed; episodes as long as they are."""
        return Params(self.tasks)

    def reset(self, key: jax.Array, params: Params | None = None) -> tuple[Any, GymnaxState]:
        """The first observation and state of an episode of a new task."""
        params = self.default_params if params is None else params
        return self._reset(jit_key(params), key, params)

    @partial(jax.jit, static_argnums=(0, 1))
    def _reset(self, classes: Any, key: jax.Array, params: Params) -> tuple[Any, GymnaxState]:
        observation, state = self._begin(key, params.tasks)
        return self.see(observation, state.briefing, params), state

    def step(
        self, key: jax.Array, state: GymnaxState, action: jax.Array | int, params: Params | None = None
    ) -> tuple[Any, ...]:
        """One step, compiled.

        Args:
          key: of the next episode, if this one ends.
          state: from `reset` or `step`.
          action: [] integer; outside 0-6 is noop.
          params: the default ones, if not given.

        Returns:
          (observation, state, reward, done, info), or (observation, state, reward, terminated, truncated, info). Where
          the episode is over and `auto_reset` is on, observation and state are the next one's. `info` has `discount`,
          `is_trial_first` and `event`; with six values also `terminated`, `truncated` and `final_observation`.
        """
        params = self.default_params if params is None else params
        return self._step(jit_key(params), key, state, action, params)

    @partial(jax.jit, static_argnums=(0, 1))
    def _step(
        self, classes: Any, key: jax.Array, state: GymnaxState, action: jax.Array | int, params: Params
    ) -> tuple[Any, ...]:
        after, timestep = self.env.step(state.state, jnp.asarray(action)[None])
        ended = timestep.observation, GymnaxState(after, state.briefing)
        truncated = ~timestep.is_last & (ended[1].time >= params.max_steps_in_episode)
        current = ended
        if self.auto_reset:
            is_over = timestep.is_last | truncated
            current = self._start_where(is_over, key, params.tasks, ended)
            timestep = dataclasses.replace(timestep, is_trial_first=timestep.is_trial_first | is_over)
        observation = self.see(current[0], current[1].briefing, params)
        final = partial(self.see, ended[0], state.briefing, params)
        return step_values(self.num_values, observation, current[1], timestep, truncated, final)

    def batched(self, num_envs: int) -> "GymnaxBatch":
        """`num_envs` environments at once, with the signatures that `jax.vmap(env.reset)` and `env.step` would have."""
        return GymnaxBatch(self, num_envs)

    def action_space(self, params: Params | None = None) -> Any:
        """`Discrete(7)`."""
        return discrete(self.num_actions)

    def observation_space(self, params: Params | None = None) -> Any:
        """A `Box` of the flat observation; of the structured one a `Dict` of boxes."""
        spaces, layout = _spaces(), self.observer.layout
        if not self.observer.is_structured:
            return spaces.Box(jnp.zeros(layout.size), jnp.asarray(layout.high), (layout.size,), jnp.float32)
        boxes = {
            field.name: spaces.Box(0, field.high, field.shape, self.observer.dtype(field.name))
            for field in layout.fields.values()
        }
        return spaces.Dict(boxes)

    def see(self, observation: Observation, briefing: Briefing, params: Params) -> Any:
        """The agent's observation in the form that was asked for."""

        def tell(tree: T) -> T:
            return jax.tree.map(lambda leaf: jnp.where(params.is_briefed, leaf, jnp.zeros_like(leaf)), tree)

        observation = dataclasses.replace(observation, goal=tell(observation.goal))
        return self.observer.observe_alone(observation, tell(briefing))

    def _begin(self, key: jax.Array, tasks: TaskSource) -> tuple[Observation, GymnaxState]:
        """An episode of a new task."""
        task_key, reset_key = jax.random.split(as_key(key))
        task = tasks.sample(task_key)
        state, timestep = self.env.reset(reset_key, task)
        return timestep.observation, GymnaxState(state, self.env.briefing(task))


class GymnaxBatch:
    """Many environments at once: `VectorEnv` with the signatures of `jax.vmap(env.reset)` and `jax.vmap(env.step)`.

    Only the first of the keys is used. Episodes are not cut off: `max_steps_in_episode` is not looked at. Made by
    `GymnaxEnv.batched`.

    Raises:
      ConfigError: `num_envs` is out of range, or the environment does not reset by itself.
    """

    def __init__(self, env: GymnaxEnv, num_envs: int) -> None:
        """Compiles nothing yet."""
        if not env.auto_reset:
            raise ConfigError("batched() always resets by itself: write auto_reset=True, or jax.vmap(env.step).")
        self.single = env
        self.batches = Batches(VectorEnv(env.env, num_envs))

    @property
    def default_params(self) -> Params:
        """Of the single environment."""
        return self.single.default_params

    def action_space(self, params: Params | None = None) -> Any:
        """Of the single environment."""
        return self.single.action_space(params)

    def observation_space(self, params: Params | None = None) -> Any:
        """Of the single environment."""
        return self.single.observation_space(params)

    def reset(self, keys: jax.Array, params: Params | None = None) -> tuple[Any, Batch]:
        """[num_envs, ...] first observations, and the state of all."""
        params = self.default_params if params is None else params
        return self._reset(jit_key(params), keys, params)

    @partial(jax.jit, static_argnums=(0, 1))
    def _reset(self, classes: Any, keys: jax.Array, params: Params) -> tuple[Any, Batch]:
        batch, timestep = self.batches.start(keys[0], params.tasks)
        return self._see(timestep.observation, batch.briefing, params), batch

    def step(self, keys: jax.Array, state: Batch, actions: jax.Array, params: Params | None = None) -> tuple[Any, ...]:
        """One step of all; the arrays that `GymnaxEnv.step` returns, with num_envs leading."""
        params = self.default_params if params is None else params
        return self._step(jit_key(params), keys, state, actions, params)

    @partial(jax.jit, static_argnums=(0, 1))
    def _step(self, classes: Any, keys: jax.Array, state: Batch, actions: jax.Array, params: Params) -> tuple[Any, ...]:
        batch, timestep = self.batches.step(state, actions[:, None], keys[0], params.tasks)
        observation = self._see(timestep.observation, batch.briefing, params)
        final = partial(self._see, timestep.final_observation, state.briefing, params)
        truncated = jnp.zeros_like(timestep.is_last)
        return step_values(self.single.num_values, observation, batch, timestep, truncated, final)

    def _see(self, observation: Observation, briefing: Briefing, params: Params) -> Any:
        return jax.vmap(lambda seen, told: self.single.see(seen, told, params))(observation, briefing)


def step_values(
    num_values: int, observation: Any, state: Any, timestep: TimeStep, truncated: jax.Array, final: Callable[[], Any]
) -> tuple[Any, ...]:
    """What `step` returns; `final` makes the observation at the end."""
    terminated, reward = timestep.is_last, timestep.reward[..., 0]
    info = {"discount": timestep.discount, "is_trial_first": timestep.is_trial_first, "event": timestep.event}
    if num_values == 5:
        return observation, state, reward, terminated | truncated, info
    info |= {"terminated": terminated, "truncated": truncated, "final_observation": final()}
    return observation, state, reward, terminated, truncated, info


def discrete(n: int) -> Any:
    """The space of numbers from 0 to n - 1."""
    return _spaces().Discrete(n)


def _spaces() -> Any:
    """The module of gymnax's spaces if gymnax is installed, else classes here with the same attributes."""
    if find_spec("gymnax") is None:
        return _OwnSpaces
    return import_module("gymnax.environments.spaces")


@dataclass(frozen=True)
class _Box:
    """Numbers from `low` to `high`."""

    low: Any
    high: Any
    shape: tuple[int, ...]
    dtype: Any

    def contains(self, x: jax.Array) -> jax.Array:
        """[] bool, whether all of them are in range."""
        return ((x >= self.low) & (x <= self.high)).all()

    def sample(self, key: jax.Array) -> jax.Array:
        """Uniform numbers."""
        return jax.random.uniform(key, self.shape, minval=self.low, maxval=self.high).astype(self.dtype)


class _Discrete(_Box):
    """Whole numbers from 0 to n - 1."""

    def __init__(self, n: int) -> None:
        super().__init__(0, n - 1, (), jnp.int32)
        object.__setattr__(self, "n", n)

    def sample(self, key: jax.Array) -> jax.Array:
        """A uniform one."""
        return jax.random.randint(key, (), 0, self.high + 1, jnp.int32)


@dataclass(frozen=True)
class _Dict:
    """Spaces by name."""

    spaces: dict[str, _Box]

    def contains(self, x: dict[str, jax.Array]) -> jax.Array:
        """[] bool, whether all parts are in range."""
        return jnp.stack([space.contains(x[name]) for name, space in self.spaces.items()]).all()

    def sample(self, key: jax.Array) -> dict[str, jax.Array]:
        """All parts drawn."""
        keys = jax.random.split(key, len(self.spaces))
        return {name: space.sample(key) for key, (name, space) in zip(keys, self.spaces.items(), strict=True)}


class _OwnSpaces:
    """By the names that gymnax gives them."""

    Box, Discrete, Dict = _Box, _Discrete, _Dict
