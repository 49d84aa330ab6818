"""`VectorEnv`: many environments in one batch, each with its own task, that move on to a new task when one is over."""

import dataclasses
from dataclasses import dataclass
from typing import Protocol, TypeVar

import jax
import jax.numpy as jnp

from xworld.core.env import Env, select
from xworld.core.types import Briefing, Observation, State, Task, TimeStep
from xworld.errors import ConfigError

T = TypeVar("T")
_Prepared = tuple[State, Observation]
_REFILL_CHUNKS = 16  # `refill` prepares num_envs / 16 tasks at a time, so that its cost follows the need


class TaskSource(Protocol):
    """Anything tasks come from: a pytree with a pure `sample`."""

    def sample(self, key: jax.Array) -> Task:
        """A task, for a JAX key."""
        ...


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class VectorTimeStep(TimeStep):
    """A `TimeStep` with leading axis num_envs. Where `is_last`, the observation is already the next episode's first."""

    final_observation: Observation  # the last one of the episode that ended where `is_last`; else the observation


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class VectorState:
    """The batch of states, num_envs the last axis of every leaf; read it by `VectorEnv.states` and `briefings`."""

    current: State
    prepared: State  # the first state of each environment's next episode
    first_observation: Observation  # of the prepared states
    is_ready: jax.Array  # [num_envs] bool, whether the prepared state is fresh


@dataclass(frozen=True)
class VectorEnv:
    """`num_envs` environments with automatic reset. Pure, jit- and scan-able.

    States keep the batch in the last axis: every scalar of the simulator is then one contiguous vector, which is what
    fills the vector registers of a CPU and coalesces the reads of a GPU. Timesteps have it first.
    """

    env: Env
    num_envs: int

    def __post_init__(self) -> None:
        if self.num_envs < 1:
            raise ConfigError(f"num_envs is {self.num_envs}; write a whole number of at least 1.")
        config = self.env.config
        if config.height * config.width * self.num_envs >= 2**31:
            most = (2**31 - 1) // (config.height * config.width)
            raise ConfigError(
                f"num_envs is {self.num_envs}: at {config.height}x{config.width}, one batch holds at most {most}. "
                "Write a smaller number, or share the environments out to several devices."
            )

    def reset(
        self, key: jax.Array, tasks: TaskSource, first_index: int | jax.Array = 0
    ) -> tuple[VectorState, VectorTimeStep]:
        """Starts an episode of a sampled task in every environment, and prepares the next.

        An environment's tasks depend on the key and its index alone. Where these environments are a share of a larger
        batch, `first_index` is the first one's index in it: shares then have what the whole batch would have.
        """
        # Both at once: the sampler is the largest piece to compile, and would be compiled twice.
        fold = jax.vmap(jax.vmap(jax.random.fold_in, in_axes=(None, 0)), in_axes=(0, None))
        keys = fold(jax.random.split(key), first_index + jnp.arange(self.num_envs)).reshape(-1)
        states, timesteps = self._start(keys, tasks)
        current, prepared = (
            jax.tree.map(lambda leaf, part=part: leaf[..., part], (states, timesteps))
            for part in (slice(None, self.num_envs), slice(self.num_envs, None))
        )
        state = VectorState(
            current=current[0],
            prepared=prepared[0],
            first_observation=prepared[1].observation,
            is_ready=jnp.ones(self.num_envs, bool),
        )
        return state, _vector_timestep(current[1], current[1].observation)

    def step(self, state: VectorState, actions: jax.Array) -> tuple[VectorState, VectorTimeStep]:
        """Steps all environments; where an episode ends, its environment moves on to the prepared next one.

        Args:
          state: from `reset`, `step` or `refill`.
          actions: [num_envs, A] integers.

        Returns:
          The next state, and a timestep with num_envs leading. Where `is_last`: reward, discount 0 and `event` are of
          the episode that ended, the observation is the new episode's first (with `is_first` and `is_trial_first`), and
          `final_observation` is what was seen at the end. Where no new task was prepared since the last episode began,
          that episode starts again, directions and all.
        """
        ended, outcome = self.env.advance(state.current, actions.T)
        is_last = outcome.is_last
        final = self.env.timestep(ended, outcome, is_first=is_last)

        next_episode = state.prepared, state.first_observation
        after, observation = _replace_few(is_last, next_episode, (ended, final.observation))
        timestep = dataclasses.replace(final, observation=observation, is_trial_first=final.is_trial_first | is_last)
        state = dataclasses.replace(state, current=after, is_ready=state.is_ready & ~is_last)
        return state, _vector_timestep(timestep, final.observation)

    def refill(
        self, state: VectorState, key: jax.Array, tasks: TaskSource, first_index: int | jax.Array = 0
    ) -> VectorState:
        """Prepares a next task wherever one was used. Call it between scans; it costs as much as there is to prepare.

        What an environment gets depends on the key and its index, not on which others were refilled; `first_index` is
        as in `reset`.
        """
        chunk = -(-self.num_envs // _REFILL_CHUNKS)
        used = jnp.nonzero(~state.is_ready, size=chunk * _REFILL_CHUNKS, fill_value=self.num_envs)[0]
        num_used = (~state.is_ready).sum()

        def prepare_chunk(carry: tuple[jax.Array, _Prepared]) -> tuple[jax.Array, _Prepared]:
            done, prepared = carry
            index = jax.lax.dynamic_slice_in_dim(used, done, chunk)
            keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, first_index + index)
            states, timesteps = self._start(keys, tasks)
            fresh = states, timesteps.observation
            return done + chunk, jax.tree.map(
                lambda old, new: old.at[..., index].set(new, mode="drop"), prepared, fresh
            )

        _, (prepared, first_observation) = jax.lax.while_loop(
            lambda carry: carry[0] < num_used,
            prepare_chunk,
            (jnp.int32(0), (state.prepared, state.first_observation)),
        )
        return VectorState(state.current, prepared, first_observation, is_ready=jnp.ones_like(state.is_ready))

    def states(self, state: VectorState) -> State:
        """The environments' states with num_envs leading, for reading."""
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), state.current)

    def briefings(self, state: VectorState) -> tuple[Briefing, Briefing]:
        """[num_envs, ...] briefings of the current tasks, and of those that follow at the next `is_first`."""

        def brief(current: Task, prepared: Task, is_ready: jax.Array) -> tuple[Briefing, Briefing]:
            now = self.env.briefing(current)
            return now, select(is_ready, self.env.briefing(prepared), now)

        return jax.vmap(brief, in_axes=(-1, -1, 0))(state.current.task, state.prepared.task, state.is_ready)

    def _start(self, keys: jax.Array, tasks: TaskSource) -> tuple[State, TimeStep]:
        """First states and timesteps, batch last, of an episode for each key."""
        task_keys, seed_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
        sampled = jax.vmap(tasks.sample, out_axes=-1)(task_keys)
        seeds = jax.vmap(lambda key: jax.random.bits(key, dtype=jnp.uint32))(seed_keys)
        return self.env.reset_from_seed(seeds, sampled)


def _replace_few(is_new: jax.Array, new: T, old: T) -> T:
    """`new` in the environments where `is_new`, else `old`, for [..., num_envs] leaves of which few are new.

    The one place where the algorithm depends on the backend: a CPU copies only what is new, one environment after the
    other; elsewhere a loop costs more than selecting everything.
    """

    def copy_one(carry: tuple[jax.Array, T]) -> tuple[jax.Array, T]:
        is_new, old = carry
        env = jnp.argmax(is_new)

        def copy(new: jax.Array, old: jax.Array) -> jax.Array:
            column = jax.lax.dynamic_slice_in_dim(new, env, 1, axis=-1)
            return jax.lax.dynamic_update_slice_in_dim(old, column, env, axis=-1)

        return is_new.at[env].set(False), jax.tree.map(copy, new, old)

    def one_by_one(is_new: jax.Array, new: T, old: T) -> T:
        return jax.lax.while_loop(lambda carry: carry[0].any(), copy_one, (is_new, old))[1]

    return jax.lax.platform_dependent(is_new, new, old, cpu=one_by_one, default=select)


def _vector_timestep(timestep: TimeStep, final_observation: Observation) -> VectorTimeStep:
    """With the batch leading instead of last."""
    fields = {field.name: getattr(timestep, field.name) for field in dataclasses.fields(TimeStep)}
    batch_last = VectorTimeStep(**fields, final_observation=final_observation)
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), batch_last)
