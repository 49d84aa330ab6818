"""`VectorEnv`: many environments in one batch, each with its own task, that move on to a new task when one is over."""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from xworld.base.checks import check_fields, check_whole
from xworld.base.errors import ConfigError
from xworld.base.xla.fusion import apart
from xworld.core.env import Env, select
from xworld.core.keys import as_key
from xworld.core.step.checks import as_actions
from xworld.core.types import Briefing, Observation, State, Task, TaskSource, TimeStep

T = TypeVar("T")
_Prepared = tuple[State, Observation]
_REFILL_CHUNKS = 2  # `refill` prepares num_envs / 2 tasks at a time; smaller parts would cost nearly as much each
_MANY_SHARE = 16  # where more than a 16th of the episodes end at once, to select everything costs a CPU less


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class VectorTimeStep(TimeStep):
    """A `TimeStep` with leading axis num_envs. Where `is_last`, the observation is already the next episode's first."""

    final_observation: Observation  # the last one of the episode that ended where `is_last`; else the observation


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class VectorState:
    """The batch of states; read it by `VectorEnv.states` and `briefings`."""

    current: State  # num_envs the last axis of every leaf
    prepared: State  # the first state of each environment's next episode; num_envs the first axis
    first_observation: Observation  # of the prepared states, likewise
    is_ready: jax.Array  # [num_envs] bool, whether the prepared state is fresh


@dataclass(frozen=True)
class VectorEnv:
    """`num_envs` environments with automatic reset. Pure, jit- and scan-able.

    Current states keep the batch in the last axis: every scalar of the simulator is then one contiguous vector, which
    fills the vector registers of a CPU and coalesces the reads of a GPU. Timesteps have it first, and so have prepared
    states, which are written and read one by one.
    """

    env: Env
    num_envs: int
    num_sharing: int = 1  # environments in a row that play the same tasks, each with a chance of its own

    def __post_init__(self) -> None:
        check_fields(self, ("num_envs", "num_sharing"), partial(check_whole, low=1))
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
        of_both, index = jax.random.split(as_key(key)), first_index + jnp.arange(self.num_envs)
        keys, task_keys = (fold(of_both, place).reshape(-1) for place in (index, self._first_sharing(index)))
        states, timesteps = self._start(keys, task_keys, tasks)
        current, prepared = (
            jax.tree.map(lambda leaf, part=part: leaf[..., part], (states, timesteps))
            for part in (slice(None, self.num_envs), slice(self.num_envs, None))
        )
        prepared, timestep = batch_first((prepared, current[1]))
        state = VectorState(
            current=current[0],
            prepared=prepared[0],
            first_observation=prepared[1].observation,
            is_ready=jnp.ones(self.num_envs, bool),
        )
        return state, _vector_timestep(timestep, timestep.observation)

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

        Raises:
          ConfigError: actions of another shape, or that are no integers. Shapes are known when it is traced.
        """
        actions = as_actions(actions, (self.num_envs, self.env.config.num_agents), "[num_envs, A]")
        ended, outcome = self.env.advance(state.current, actions.T)
        is_last = outcome.is_last
        final = batch_first(self.env.timestep(ended, outcome, is_first=is_last))

        next_episode = state.prepared, state.first_observation
        current, observation = _move_on(is_last, next_episode, (ended, final.observation))
        timestep = dataclasses.replace(final, observation=observation, is_trial_first=final.is_trial_first | is_last)
        state = dataclasses.replace(state, current=current, is_ready=state.is_ready & ~is_last)
        return state, _vector_timestep(timestep, final.observation)

    def refill(
        self, state: VectorState, key: jax.Array, tasks: TaskSource, first_index: int | jax.Array = 0
    ) -> VectorState:
        """Prepares a next task wherever one was used. Call it between scans, and seldom.

        Half of the environments are prepared at a time, however few need it.

        What an environment gets depends on the key and its index, not on which others were refilled; `first_index` is
        as in `reset`.
        """
        key = as_key(key)
        chunk = -(-self.num_envs // _REFILL_CHUNKS)
        used = jnp.nonzero(~state.is_ready, size=chunk * _REFILL_CHUNKS, fill_value=self.num_envs)[0]
        num_used = (~state.is_ready).sum()

        def prepare_chunk(carry: tuple[jax.Array, _Prepared]) -> tuple[jax.Array, _Prepared]:
            done, prepared = carry
            index = jax.lax.dynamic_slice_in_dim(used, done, chunk)
            fold, place = jax.vmap(jax.random.fold_in, in_axes=(None, 0)), first_index + index
            states, timesteps = self._start(fold(key, place), fold(key, self._first_sharing(place)), tasks)
            fresh = batch_first((states, timesteps.observation))
            return done + chunk, jax.tree.map(lambda old, new: old.at[index].set(new, mode="drop"), prepared, fresh)

        _, (prepared, first_observation) = jax.lax.while_loop(
            lambda carry: carry[0] < num_used,
            prepare_chunk,
            (jnp.int32(0), (state.prepared, state.first_observation)),
        )
        return VectorState(state.current, prepared, first_observation, is_ready=jnp.ones_like(state.is_ready))

    def states(self, state: VectorState) -> State:
        """The environments' states with num_envs leading, for reading."""
        return batch_first(state.current)

    def briefings(self, state: VectorState) -> tuple[Briefing, Briefing]:
        """[num_envs, ...] briefings of the current tasks, and of those that follow at the next `is_first`."""

        def brief(current: Task, prepared: Task, is_ready: jax.Array) -> tuple[Briefing, Briefing]:
            now = self.env.briefing(current)
            return now, select(is_ready, self.env.briefing(prepared), now)

        return jax.vmap(brief, in_axes=(-1, 0, 0))(state.current.task, state.prepared.task, state.is_ready)

    def _first_sharing(self, index: jax.Array) -> jax.Array:
        """Indices of the first ones that play the tasks of these."""
        return index // self.num_sharing * self.num_sharing

    def _start(self, keys: jax.Array, task_keys: jax.Array, tasks: TaskSource) -> tuple[State, TimeStep]:
        """First states and timesteps, batch last, of an episode for each key; equal `task_keys` are of equal tasks."""
        _, seed_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
        task_keys, _ = jnp.moveaxis(jax.vmap(jax.random.split)(task_keys), 1, 0)
        sampled = jax.vmap(tasks.sample, out_axes=-1)(task_keys)
        seeds = jax.vmap(lambda key: jax.random.bits(key, dtype=jnp.uint32))(seed_keys)
        return self.env.reset_from_seed(seeds, sampled)


def _move_on(is_last: jax.Array, following: _Prepared, ended: _Prepared) -> _Prepared:
    """What follows where `is_last`, in few environments, else what ended. States that ended have the batch last.

    The one place where the algorithm depends on the backend: a CPU copies only what is new, one environment after the
    other, while there are few; elsewhere a loop costs more than selecting everything.
    """
    return jax.lax.platform_dependent(is_last, following, ended, cpu=move_on_in_loops, default=move_on_all_at_once)


def move_on_in_loops(is_last: jax.Array, following: _Prepared, ended: _Prepared) -> _Prepared:
    """`_move_on` at no cost where no episode ended: all at once if many did, and one by one if few did."""

    # A loop that runs once at most: what it carries is updated in place, where a branch would copy it at every step.
    def copy_all(carry: tuple[jax.Array, _Prepared]) -> tuple[jax.Array, _Prepared]:
        # Behind a barrier: XLA would turn the axes of all that follows before the loop, at every step.
        (is_left, current), new = jax.lax.optimization_barrier((carry, following))
        return jnp.zeros_like(is_last), move_on_all_at_once(is_left, new, current)

    def copy_one(carry: tuple[jax.Array, _Prepared]) -> tuple[jax.Array, _Prepared]:
        is_left, (states, observations) = carry
        env = jnp.argmax(is_left)
        state, observation = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, env, 1), following)
        put = jax.lax.dynamic_update_slice_in_dim
        states = jax.tree.map(lambda old, new: put(old, jnp.moveaxis(new, 0, -1), env, -1), states, state)
        observations = jax.tree.map(lambda old, new: put(old, new, env, 0), observations, observation)
        return is_left.at[env].set(False), (states, observations)

    many = is_last.shape[0] // _MANY_SHARE
    carry = jax.lax.while_loop(lambda carry: carry[0].sum() > many, copy_all, (is_last, ended))
    return jax.lax.while_loop(lambda carry: carry[0].any(), copy_one, carry)[1]


def move_on_all_at_once(is_last: jax.Array, following: _Prepared, ended: _Prepared) -> _Prepared:
    """`_move_on` by selection."""
    states = jax.vmap(select, in_axes=(0, -1, -1), out_axes=-1)(is_last, batch_last(following[0]), ended[0])
    return states, jax.vmap(select)(is_last, following[1], ended[1])


# Both as matrices: XLA's CPU code for turning more axes is several times slower.
@apart
def batch_first(tree: T) -> T:
    """[num_envs, ...] leaves of [..., num_envs] ones."""
    return jax.tree.map(lambda leaf: leaf.reshape(-1, leaf.shape[-1]).T.reshape(leaf.shape[-1], *leaf.shape[:-1]), tree)


@apart
def batch_last(tree: T) -> T:
    """[..., num_envs] leaves of [num_envs, ...] ones."""
    return jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[0], -1).T.reshape(*leaf.shape[1:], leaf.shape[0]), tree)


def without_world(state: State) -> State:
    """The state but for its task and what is made of it, which no step changes and no step should copy."""
    nothing: Any = ()
    return dataclasses.replace(state, task=nothing, sight_lines=nothing)


def _vector_timestep(timestep: TimeStep, final_observation: Observation) -> VectorTimeStep:
    fields = {field.name: getattr(timestep, field.name) for field in dataclasses.fields(TimeStep)}
    return VectorTimeStep(**fields, final_observation=final_observation)
