"""`VectorEnv`: many environments in one batch, each with its own task, that move on to a new task when one is over."""

import dataclasses
from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp

from xworld.core.env import Env, select
from xworld.core.hashing import hash_words
from xworld.core.slots import settle
from xworld.core.types import Briefing, Observation, State, Task, TimeStep
from xworld.errors import ConfigError

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
    """The batch of states. Its layout is `VectorEnv`'s own business; read it by `states` and `briefings`."""

    current: State
    prepared: State  # the first state of each environment's next episode
    is_ready: jax.Array  # [num_envs] bool, whether the prepared state is fresh


@dataclass(frozen=True)
class VectorEnv:
    """`num_envs` environments with automatic reset. Pure, jit- and scan-able.

    States keep the batch in the last axis: every scalar of the simulator is then one contiguous vector, which is what
    fills the vector registers of a CPU. Timesteps have it first.
    """

    env: Env
    num_envs: int

    def __post_init__(self) -> None:
        if self.num_envs < 1:
            raise ConfigError(f"num_envs is {self.num_envs}; write a whole number of at least 1.")

    def reset(self, key: jax.Array, tasks: TaskSource) -> tuple[VectorState, VectorTimeStep]:
        """Starts an episode of a sampled task in every environment, and prepares the next."""
        # Both at once: the sampler is the largest piece to compile, and would be compiled twice.
        fold = jax.vmap(jax.vmap(jax.random.fold_in, in_axes=(None, 0)), in_axes=(0, None))
        keys = fold(jax.random.split(key), jnp.arange(self.num_envs)).reshape(-1)
        both = jax.vmap(self._start_one, in_axes=(0, None), out_axes=-1)(keys, tasks)
        current = jax.tree.map(lambda leaf: leaf[..., : self.num_envs], both)
        prepared = jax.tree.map(lambda leaf: leaf[..., self.num_envs :], both)
        timestep = jax.vmap(lambda state: self.env.reset_from_seed(state.seed, state.task)[1], in_axes=-1)(current)
        state = VectorState(current=current, prepared=prepared, is_ready=jnp.ones(self.num_envs, bool))
        return state, _vector_timestep(timestep, timestep.observation)

    def step(self, state: VectorState, actions: jax.Array) -> tuple[VectorState, VectorTimeStep]:
        """Steps all environments; where an episode ends, its environment moves on to the prepared next one.

        Args:
          state: from `reset`, `step` or `refill`.
          actions: [num_envs, A] integers.

        Returns:
          The next state, and a timestep with num_envs leading. Where `is_last`: reward, discount 0 and `event` are of
          the episode that ended, the observation is the new episode's first (with `is_first` and `is_trial_first`), and
          `final_observation` is what was seen at the end. Where no next task is ready the same task starts again.
        """

        def step_one(current: State, prepared: State, is_ready: jax.Array, actions: jax.Array):
            ended, outcome = self.env.advance(current, actions)
            moves_on = outcome.is_last & is_ready
            again = self.env.start(hash_words(current.seed, 1), current.task)
            # The task is most of a state and changes only here, so it is selected apart from the rest, and once.
            rest = settle(_rest(ended), (outcome.is_last, _rest(again)), (moves_on, _rest(prepared)))
            after = State(select(moves_on, prepared.task, current.task), *rest)
            outcome = dataclasses.replace(outcome, is_trial_first=outcome.is_trial_first | outcome.is_last)
            timestep = self.env.timestep(after, outcome, is_first=outcome.is_last)
            final = self.env.timestep(ended, outcome, is_first=outcome.is_last).observation
            return after, is_ready & ~outcome.is_last, _vector_timestep(timestep, final)

        current, is_ready, timestep = jax.vmap(step_one, in_axes=(-1, -1, 0, 0), out_axes=(-1, 0, 0))(
            state.current, state.prepared, state.is_ready, actions
        )
        return VectorState(current=current, prepared=state.prepared, is_ready=is_ready), timestep

    def refill(self, state: VectorState, key: jax.Array, tasks: TaskSource) -> VectorState:
        """Prepares a next task wherever one was used. Call it between scans; it costs as much as there is to prepare.

        What an environment gets depends on the key and its index, not on which others were refilled.
        """
        chunk = -(-self.num_envs // _REFILL_CHUNKS)
        used = jnp.nonzero(~state.is_ready, size=chunk * _REFILL_CHUNKS, fill_value=self.num_envs)[0]
        num_used = (~state.is_ready).sum()

        def prepare_chunk(carry: tuple[jax.Array, State]) -> tuple[jax.Array, State]:
            done, prepared = carry
            index = jax.lax.dynamic_slice_in_dim(used, done, chunk)
            fresh = jax.vmap(lambda i: self._start_one(jax.random.fold_in(key, i), tasks), out_axes=-1)(index)
            prepared = jax.tree.map(lambda old, new: old.at[..., index].set(new, mode="drop"), prepared, fresh)
            return done + chunk, prepared

        _, prepared = jax.lax.while_loop(
            lambda carry: carry[0] < num_used, prepare_chunk, (jnp.int32(0), state.prepared)
        )
        return VectorState(current=state.current, prepared=prepared, is_ready=jnp.ones_like(state.is_ready))

    def states(self, state: VectorState) -> State:
        """The environments' states with num_envs leading, for reading."""
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), state.current)

    def briefings(self, state: VectorState) -> tuple[Briefing, Briefing]:
        """[num_envs, ...] briefings of the current tasks, and of those that follow at the next `is_first`."""

        def brief(current: Task, prepared: Task, is_ready: jax.Array) -> tuple[Briefing, Briefing]:
            now = self.env.briefing(current)
            return now, select(is_ready, self.env.briefing(prepared), now)

        return jax.vmap(brief, in_axes=(-1, -1, 0))(state.current.task, state.prepared.task, state.is_ready)

    def _start_one(self, key: jax.Array, tasks: TaskSource) -> State:
        task_key, seed_key = jax.random.split(key)
        return self.env.start(jax.random.bits(seed_key, dtype=jnp.uint32), tasks.sample(task_key))


def _rest(state: State) -> tuple:
    """All fields of a state but the first, its task."""
    return state.scene, state.trial, state.time, state.seed, state.last_action, state.last_reward


def _vector_timestep(timestep: TimeStep, final_observation: Observation) -> VectorTimeStep:
    fields = {field.name: getattr(timestep, field.name) for field in dataclasses.fields(TimeStep)}
    return VectorTimeStep(**fields, final_observation=final_observation)
