"""xworld as Gymnasium environments. Importing this module registers `xworld/trivial-v0` and all other named ones.

`gymnasium.make("xworld/trivial-v0")` gives a `GymnasiumEnv`, `gymnasium.make_vec` a `GymnasiumVectorEnv`.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import gymnasium
import jax
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from xworld.adapters.episodes import Batch, Batches, check_action, check_alone, check_own_task, tasks_for
from xworld.adapters.flat import Observer
from xworld.adapters.text import briefing_words, observation_words
from xworld.base.checks import check_word
from xworld.base.errors import ConfigError
from xworld.base.xla.jit_key import jit_key
from xworld.core.env import Env
from xworld.core.step.actions import NUM_ACTIONS
from xworld.core.types import Briefing, Observation, State, Task, TaskSource
from xworld.core.vector import VectorEnv
from xworld.tasks.sets.named import environment_names, make

RENDER_MODES = ("rgb_array", "ansi")
Form = Literal["flat", "one_hot", "structured"]
Info = dict[str, Any]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Now:
    """An episode as it is: one environment's."""

    state: State
    briefing: Briefing
    observation: Observation


class GymnasiumEnv(gymnasium.Env):
    """One environment for one agent.

    Every episode is of a new task. It is `terminated` after its last trial, and never truncated.

    Args:
      tasks: a name, a source of tasks, or one task, as for `xworld.adapters.tasks_for`.
      env: the environment; needed where `tasks` is no name.
      observation: "flat", "one_hot" (both as `FlatLayout` says), or "structured", a dict of the same fields.
      briefing: whether observations have what the agent is told.
      render_mode: "rgb_array" (needs `pip install 'xworld[play]'`), "ansi" for words, or None.

    Raises:
      ConfigError: an argument out of range, tasks that do not fit, or an environment for several agents.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 8}

    def __init__(
        self,
        tasks: str | TaskSource | Task = "trivial",
        env: Env | None = None,
        *,
        observation: Form = "flat",
        briefing: bool = True,
        render_mode: str | None = None,
    ) -> None:
        """Compiles nothing yet."""
        self.xworld, self.tasks = tasks_for(tasks, env)
        check_alone(self.xworld, "xworld.adapters.pettingzoo")
        self.observer = Observer(self.xworld.config, observation, briefing)
        self.observation_space = space_of(self.observer)
        self.action_space = spaces.Discrete(NUM_ACTIONS)
        self.render_mode = check_render_mode(render_mode)
        self.now: Now | None = None  # after reset

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Any, Info]:
        """Starts an episode of a new task, or of the one under "task" in `options`, of which the rest is not looked at.

        Raises:
          ConfigError: that task does not fit.
        """
        super().reset(seed=seed)
        key = jax.random.key(int(self.np_random.integers(2**31)))
        task = (options or {}).get("task")
        if task is None:
            out = _reset_new(self.xworld, self.observer, jit_key(self.tasks), key, self.tasks)
        else:
            out = _reset(self.xworld, self.observer, key, check_own_task(self.xworld, task))
        self.now, seen = out
        return on_host(seen), {"trial": 0, "is_trial_first": True, "event": 0}

    def step(self, action: int) -> tuple[Any, float, bool, bool, Info]:
        """One step. `info` is for logs, not for agents: `trial`, `is_trial_first`, `event` (1 + the rule that fired).

        Raises:
          ConfigError: `reset` was not called, or an action outside 0-6.
        """
        now = check_was_reset(self.now)
        action = check_action("The action", action)
        self.now, seen, outcome = _step(self.xworld, self.observer, now, np.int32(action))
        reward, is_last, trial, is_trial_first, event = (value.item() for value in jax.device_get(outcome))
        info = {"trial": trial, "is_trial_first": is_trial_first, "event": event}
        return on_host(seen), reward, is_last, False, info

    def render(self) -> np.ndarray | str | None:  # type: ignore[override]
        """The grid as [h, w, 3] uint8 RGB, or what the agent is told and sees in words."""
        return draw(self.xworld, check_was_reset(self.now), self.render_mode)


class GymnasiumVectorEnv(gymnasium.vector.VectorEnv):
    """`num_envs` environments in one compiled step, each with tasks of its own; the arguments are `GymnasiumEnv`'s.

    Where an episode ends the same step begins the next (`AutoresetMode.SAME_STEP`): the reward is of the old episode,
    the observation of the new one, and `infos["final_obs"]` has the old one's last.

    Raises:
      ConfigError: an argument out of range, tasks that do not fit, or an environment for several agents.
    """

    metadata = {
        "render_modes": list(RENDER_MODES),
        "render_fps": 8,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        tasks: str | TaskSource | Task = "trivial",
        env: Env | None = None,
        *,
        num_envs: int = 1,
        observation: Form = "flat",
        briefing: bool = True,
        render_mode: str | None = None,
    ) -> None:
        """Compiles nothing yet."""
        self.xworld, self.tasks = tasks_for(tasks, env)
        check_alone(self.xworld, "xworld.adapters.pettingzoo")
        self.observer = Observer(self.xworld.config, observation, briefing)
        self.batches = Batches(VectorEnv(self.xworld, num_envs))
        self.num_envs = self.batches.vec.num_envs
        self.single_observation_space = space_of(self.observer)
        self.single_action_space = spaces.Discrete(NUM_ACTIONS)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.render_mode = check_render_mode(render_mode)
        self.batch: Batch | None = None  # after reset
        self._classes = jit_key(self.tasks)
        self._key: jax.Array  # of the tasks to come
        self._observation: Observation

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Any, Info]:
        """Starts an episode of a new task in every environment. `seed` decides all that is drawn from now on.

        Raises:
          ConfigError: `options` has a "reset_mask", for environments begin new episodes by themselves, or a "task".
        """
        if options and options.get("task") is not None:
            raise ConfigError("options['task'] is for one environment. Make these of the task: tasks=task.")
        if options and "reset_mask" in options:
            raise ConfigError("Environments begin new episodes by themselves: leave options['reset_mask'] out.")
        super().reset(seed=seed)
        self._key = jax.random.key(int(self.np_random.integers(2**31)))
        out = _reset_many(self.batches, self.observer, self._classes, self._key, self.tasks)
        self.batch, self._key, self._observation, seen = out
        return on_host(seen), {}

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, Info]:
        """One step of all. `infos` has `is_trial_first` and `event`, for logs.

        Raises:
          ConfigError: `reset` was not called, or actions that are not [num_envs] whole numbers from 0 to 6.
        """
        batch = check_was_reset(self.batch)
        actions = _check_actions(actions, self.num_envs)
        self.batch, self._key, self._observation, seen, final, outcome = _step_many(
            self.batches, self.observer, self._classes, batch, self._key, actions, self.tasks
        )
        reward, is_last, is_trial_first, event = on_host(outcome)
        infos = {"is_trial_first": is_trial_first, "event": event}
        if is_last.any():
            infos |= _final_infos(on_host(final), is_last)
        return on_host(seen), reward, is_last, np.zeros_like(is_last), infos

    def render(self) -> tuple[Any, ...] | None:
        """For each environment what `GymnasiumEnv.render` gives."""
        batch = check_was_reset(self.batch)
        if self.render_mode is None:
            return None
        together = Now(self.batches.vec.states(batch.vector), batch.briefing, self._observation)
        ones = (jax.tree.map(lambda leaf, env=env: leaf[env], together) for env in range(self.num_envs))
        return tuple(draw(self.xworld, one, self.render_mode) for one in ones)


def space_of(observer: Observer) -> spaces.Space:
    """The space of one agent's observations."""
    layout = observer.layout
    if not observer.is_structured:
        return spaces.Box(np.zeros(layout.size, np.float32), layout.high, dtype=np.float32)
    return spaces.Dict(
        {
            field.name: spaces.Box(0, field.high, field.shape, observer.dtype(field.name).type)
            for field in layout.fields.values()
        }
    )


def on_host(tree: Any) -> Any:
    """The tree as numpy arrays that nobody else has."""
    return jax.tree.map(np.array, jax.device_get(tree))


def draw(env: Env, now: Now, mode: str | None, agent: int = 0) -> np.ndarray | str | None:
    """A picture, or words, or None."""
    if mode == "rgb_array":
        from xworld.rendering import render  # needs pygame

        return render(env, now.state, agent=agent)
    if mode == "ansi":
        return f"{briefing_words(now.briefing, agent)}\n{observation_words(now.observation, agent)}"
    return None


def check_render_mode(mode: str | None) -> str | None:
    """Raises a `ConfigError` for a mode that there is not."""
    return None if mode is None else check_word("render_mode", mode, RENDER_MODES)


def check_was_reset(now: Any) -> Any:
    """What there is after `reset`; raises a `ConfigError` before."""
    if now is None:
        raise ConfigError("Call reset() first.")
    return now


def _check_actions(actions: Any, num_envs: int) -> np.ndarray:
    """[num_envs] int32."""
    found = np.asarray(actions)
    if found.shape != (num_envs,) or not np.issubdtype(found.dtype, np.integer):
        raise ConfigError(f"actions is {found.dtype}{list(found.shape)}; write [{num_envs}] whole numbers from 0 to 6.")
    if found.min() < 0 or found.max() >= NUM_ACTIONS:
        raise ConfigError(f"actions has {found.min()} to {found.max()}; write whole numbers from 0 to 6.")
    return found.astype(np.int32)


def _final_infos(final: Any, is_last: np.ndarray) -> Info:
    """The last observations of the episodes that ended, as Gymnasium's own vector environments hand them out."""
    final_obs = np.full(len(is_last), None, object)
    for env in np.flatnonzero(is_last):
        final_obs[env] = jax.tree.map(lambda leaf, env=env: leaf[env], final)
    return {"final_obs": final_obs, "_final_obs": is_last.copy(), "final_info": {}, "_final_info": is_last.copy()}


@partial(jax.jit, static_argnums=(0, 1, 2))
def _reset_new(env: Env, observer: Observer, classes: Any, key: jax.Array, tasks: TaskSource) -> tuple[Now, Any]:
    task_key, key = jax.random.split(key)
    return _reset(env, observer, key, tasks.sample(task_key))


@partial(jax.jit, static_argnums=(0, 1))
def _reset(env: Env, observer: Observer, key: jax.Array, task: Task) -> tuple[Now, Any]:
    state, timestep = env.reset(key, task)
    now = Now(state, env.briefing(task), timestep.observation)
    return now, observer.observe_alone(now.observation, now.briefing)


@partial(jax.jit, static_argnums=(0, 1))
def _step(env: Env, observer: Observer, now: Now, action: jax.Array) -> tuple[Now, Any, Any]:
    state, timestep = env.step(now.state, action[None])
    after = Now(state, now.briefing, timestep.observation)
    outcome = timestep.reward[0], timestep.is_last, state.trial, timestep.is_trial_first, timestep.event
    return after, observer.observe_alone(after.observation, after.briefing), outcome


@partial(jax.jit, static_argnums=(0, 1, 2))
def _reset_many(
    batches: Batches, observer: Observer, classes: Any, key: jax.Array, tasks: TaskSource
) -> tuple[Batch, jax.Array, Observation, Any]:
    key, next_key = jax.random.split(key)
    batch, timestep = batches.start(key, tasks)
    return batch, next_key, timestep.observation, jax.vmap(observer.observe_alone)(timestep.observation, batch.briefing)


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=3)
def _step_many(
    batches: Batches,
    observer: Observer,
    classes: Any,
    batch: Batch,
    key: jax.Array,
    actions: jax.Array,
    tasks: TaskSource,
) -> tuple[Batch, jax.Array, Observation, Any, Any, Any]:
    refill_key, next_key = jax.random.split(key)
    after, timestep = batches.step(batch, actions[:, None], refill_key, tasks)
    observe = jax.vmap(observer.observe_alone)
    seen = observe(timestep.observation, after.briefing)
    final = observe(timestep.final_observation, batch.briefing)
    outcome = timestep.reward[:, 0], timestep.is_last, timestep.is_trial_first, timestep.event
    return after, next_key, timestep.observation, seen, final, outcome


def register_environments() -> None:
    """Registers the named environments for one agent, as `xworld/NAME-v0`. Importing this module calls it."""
    for name in environment_names():
        if make(name).config.num_agents == 1 and f"xworld/{name}-v0" not in gymnasium.registry:
            gymnasium.register(
                id=f"xworld/{name}-v0",
                entry_point=f"{__name__}:GymnasiumEnv",
                vector_entry_point=f"{__name__}:GymnasiumVectorEnv",
                kwargs={"tasks": name},
            )


register_environments()
