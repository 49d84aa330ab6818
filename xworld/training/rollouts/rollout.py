"""Acting: a scan of `VectorEnv.step` with the agent, whose memory is carried on from one rollout to the next.

Environments start new episodes by themselves, at any step of a rollout. What the agent is told then changes too: the
briefings of the current and of the next task are encoded once a rollout, and each step picks one of the two.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from xworld.agents import Agent, Memory, Output, Params, distribution
from xworld.core.step.goals import goals_of_trial, write_goal
from xworld.core.types import Briefing, Observation, Task, TaskSource
from xworld.core.vector import VectorEnv, VectorState, batch_first
from xworld.training.rollouts.partners import Informed, Partners, Scene

NUM_TRIAL_COLUMNS = 6  # returns are reported for this many trials, and for the last


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Actor:
    """What one rollout hands on to the next."""

    env_state: VectorState
    observation: Observation  # [B, ...]
    is_reset: jax.Array  # [B] bool, whether the memory is emptied before this observation
    memory: Memory  # arrays [B, A, ...]
    partners: Any  # [B] bool, whether they have not begun yet, and what they carry, arrays [B, ...]; () without them
    # [B] float32, since the trial began, mean over the learner's agents that are there; NaN if that was before the run
    trial_return: jax.Array


T = TypeVar("T")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Steps:
    """T steps of B environments."""

    weight: jax.Array  # [T, B, A] float32, how much is learned from it; 0: absent, a partner's, or only tried out
    task_id: jax.Array  # [T, B, 2] int32, the task's world and game: what a curriculum knows it by

    observation: Observation  # [T, B, ...], before the action
    is_reset: jax.Array  # [T, B] bool, whether the memory was emptied before it
    is_next_task: jax.Array  # [T, B] bool, whether the environment has moved on to the next task in this rollout
    action: jax.Array  # [T, B, A] int32
    log_probability: jax.Array  # [T, B, A] float32, of the action
    value: jax.Array  # [T, B, A] float32, as the network gives it
    reward: jax.Array  # [T, B, A] float32, received after the action
    discount: jax.Array  # [T, B] float32, 0 where the episode ended after the action


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Context:
    """What else is needed to compute the agent's outputs along the steps again."""

    tasks: tuple[Task, Task]  # [B, ...], the current and the next
    briefings: tuple[Briefing, Briefing]  # [B, ...] of both
    memory: Memory  # arrays [B, A, ...], before the first step
    last_value: jax.Array  # [B, A] float32, of the observation after the last step, as the network gives it


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Rollout:
    """What is learned from: T steps of B environments, and what they began with."""

    steps: Steps
    context: Context


def unroll(agent: Agent, params: Params, rollout: Rollout, memory: Memory | None = None) -> Output:
    """The agent's outputs [T, B, ...] along a rollout, computed with these parameters.

    Another agent than the one that acted has a `memory` of its own, of before the first step.
    """
    steps, context = rollout.steps, rollout.context
    told_now, told_next = (agent.encode_briefing(params, briefing) for briefing in context.briefings)
    told = pick_told(steps.is_next_task, told_now, told_next)
    memory = context.memory if memory is None else memory
    return agent.unroll(params, steps.observation, told, memory, steps.is_reset)


def pick_told(is_next_task: jax.Array, now: T, following: T) -> T:
    """What agents are told at each step: [..., B, ...] leaves, from [..., B] bool and [B, ...] leaves of two tasks."""

    def pick(now: jax.Array, following: jax.Array) -> jax.Array:
        is_next = is_next_task.reshape(*is_next_task.shape, *(1,) * (now.ndim - 1))
        return jnp.where(is_next, following, now)

    return jax.tree.map(pick, now, following)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrialReturns:
    """Sums and counts of the returns of trials that ended: of trials 1 to 6, and of the last ones of episodes.

    A trial in which the learner has no seat, such as a demonstrated one, is none of them; nor is one in the midst of
    which the run began.
    """

    sums: jax.Array  # [NUM_TRIAL_COLUMNS + 1] float32
    counts: jax.Array  # [NUM_TRIAL_COLUMNS + 1] float32


def start_actor(
    agent: Agent,
    vec: VectorEnv,
    key: jax.Array,
    tasks: TaskSource,
    first_index: int | jax.Array = 0,
    partners: Partners | None = None,
    *,
    is_spread: bool = True,
) -> Actor:
    """An actor in every environment, with an empty memory and nothing done before.

    It is at a random moment of an episode if it `is_spread`: then episodes do not end together, and a rollout shows all
    parts of them. Else it is at the start. `first_index` is as in `VectorEnv.reset`.
    """
    env_state, timestep = vec.reset(key, tasks, first_index)
    observation = timestep.observation
    if is_spread:
        moment_keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(
            jax.random.fold_in(key, 2), first_index + jnp.arange(vec.num_envs)
        )
        env_state, observation = _spread(moment_keys, env_state, observation)
    return Actor(
        env_state=env_state,
        observation=observation,
        is_reset=agent.is_reset(timestep),
        memory=agent.start_memory(vec.num_envs),
        partners=() if partners is None else (jnp.ones(vec.num_envs, bool), partners.start(vec.num_envs)),
        trial_return=jnp.where(observation.time_left == observation.trial_length, jnp.float32(0), jnp.nan),
    )


def _spread(keys: jax.Array, env_state: VectorState, observation: Observation) -> tuple[VectorState, Observation]:
    """First states, and what is seen in them, with the clock at a moment drawn for each of [B] keys."""
    current = env_state.current
    length, num_trials = (count.astype(jnp.int32) for count in (current.task.trial_length, current.task.num_trials))
    share = jax.vmap(lambda key: jax.random.uniform(key, dtype=jnp.float32))(keys)
    moment = jnp.minimum((share * (length * num_trials)).astype(jnp.int32), length * num_trials - 1)
    trial, time = moment // length, moment % length
    current = dataclasses.replace(
        current, trial=trial.astype(current.trial.dtype), time=time.astype(current.time.dtype)
    )
    goal = None
    if current.task.has_several_goals:
        goals = goals_of_trial(current.task, current.seed, current.trial)
        goal = jnp.moveaxis(write_goal(goals), -1, 0)
    observation = dataclasses.replace(
        observation,
        trial=trial,
        trials_left=observation.trials_left - trial,
        time_left=observation.time_left - time,
        goal=goal,
    )
    return dataclasses.replace(env_state, current=current), observation


def collect(
    agent: Agent,
    params: Params,
    vec: VectorEnv,
    actor: Actor,
    key: jax.Array,
    tasks: TaskSource,
    length: int,
    first_index: int | jax.Array = 0,
    partners: Partners | None = None,
) -> tuple[Actor, Rollout, TrialReturns]:
    """Prepares next tasks where they were used, then acts for `length` steps, in the seats that are not the partners'.

    Chance is each environment's own, by its index in the whole batch, of which this may be the share that begins at
    `first_index`: what happens does not depend on how the batch is shared out to devices.
    """
    refill_key, act_key = jax.random.split(key)
    env_state = vec.refill(actor.env_state, refill_key, tasks, first_index)
    actor = dataclasses.replace(actor, env_state=env_state)
    briefings = vec.briefings(env_state)
    told = tuple(agent.encode_briefing(params, briefing) for briefing in briefings)
    is_told_all = isinstance(partners, Informed) and partners.is_told_all
    to_partners = vec.briefings(_with_nothing_hidden(env_state)) if is_told_all else briefings
    seats = None if partners is None else _Seats(partners, tuple(map(partners.encode_briefing, to_partners)))
    acting = _Acting(agent, params, vec, told, seats)

    carry = (actor, jnp.zeros(vec.num_envs, bool))
    env_keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(act_key, first_index + jnp.arange(vec.num_envs))
    keys = jax.vmap(lambda key: jax.random.split(key, length), out_axes=1)(env_keys)  # [T, B]
    carry, (steps, trial_return, has_ended) = jax.lax.scan(acting.step, carry, keys)
    after, _ = carry
    context = Context(
        tasks=(batch_first(env_state.current.task), env_state.prepared.task),
        briefings=briefings,
        memory=actor.memory,
        last_value=acting.decide(*carry).value,
    )
    return after, Rollout(steps, context), _trial_returns(steps.observation, trial_return, has_ended)


@dataclass(frozen=True)
class _Acting:
    """What is the same in all steps of a rollout."""

    agent: Agent
    params: Params
    vec: VectorEnv
    told: tuple[Any, ...]  # what agents are told about the current and the next task
    seats: "_Seats | None"  # of partners

    def decide(self, actor: Actor, is_next_task: jax.Array) -> Output:
        """The agent's output at the actor's timestep."""
        now = pick_told(is_next_task, *self.told)
        return self.agent.step(self.params, actor.observation, now, actor.memory, actor.is_reset)

    def step(
        self, carry: tuple[Actor, jax.Array], keys: jax.Array
    ) -> tuple[tuple[Actor, jax.Array], tuple[Steps, jax.Array, jax.Array]]:
        """One step of all environments; with each trial's return so far, and whether one of the learner's has ended."""
        actor, is_next_task = carry
        output = self.decide(actor, is_next_task)
        action = jax.vmap(distribution.sample)(keys, output.logits)
        weights, carry_of_partners = is_present(actor.observation), actor.partners
        if self.seats is not None:
            carry_of_partners, action, weights = self.seats.take(actor, keys, is_next_task, action, weights)
        task = actor.env_state.current.task
        env_state, timestep = self.vec.step(actor.env_state, action)

        trial_return = actor.trial_return + (timestep.reward * weights).sum(-1) / jnp.maximum(weights.sum(-1), 1)
        after = Actor(
            env_state=env_state,
            observation=timestep.observation,
            is_reset=self.agent.is_reset(timestep),
            memory=output.memory,
            partners=carry_of_partners,
            trial_return=jnp.where(timestep.is_trial_first, 0.0, trial_return),
        )
        taken = Steps(
            weight=weights,
            task_id=jnp.stack([task.world_id, task.game_id], axis=-1),
            observation=actor.observation,
            is_reset=actor.is_reset,
            is_next_task=is_next_task,
            action=action,
            log_probability=distribution.log_probability(output.logits, action),
            value=output.value,
            reward=timestep.reward,
            discount=timestep.discount,
        )
        has_ended = timestep.is_trial_first & (weights > 0).any(-1)  # of one that is all others' nothing is reported
        return (after, is_next_task | timestep.is_first), (taken, trial_return, has_ended)


@dataclass(frozen=True)
class _Seats:
    """The seats that partners play during a rollout."""

    partners: Partners
    told: tuple[Any, ...]  # what they are told about the current and the next task

    def take(
        self, actor: Actor, keys: jax.Array, is_next_task: jax.Array, action: jax.Array, weights: jax.Array
    ) -> tuple[Any, jax.Array, jax.Array]:
        """What partners carry on, and [B, A] actions and weights in which their seats are theirs."""
        keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, 1)  # the learner's chance is as without partners
        told, (is_new, carry) = pick_told(is_next_task, *self.told), actor.partners
        scene = Scene(actor.observation, is_new | begins(actor.observation), own=action)
        carry, theirs, is_theirs = self.partners.act(carry, keys, scene, told)
        return (jnp.zeros_like(is_new), carry), jnp.where(is_theirs, theirs, action), jnp.where(is_theirs, 0.0, weights)


def _with_nothing_hidden(env_state: VectorState) -> VectorState:
    """The same environments, whose tasks hide nothing from anybody."""
    current, prepared = (
        dataclasses.replace(
            held, task=dataclasses.replace(held.task, hidden=jax.tree.map(jnp.zeros_like, held.task.hidden))
        )
        for held in (env_state.current, env_state.prepared)
    )
    return dataclasses.replace(env_state, current=current, prepared=prepared)


def is_present(observation: Observation) -> jax.Array:
    """[..., A] float32, 1 for agents that are in the world: these see the cell they stand on."""
    size = observation.view.shape[-2]
    return (observation.view[..., size - 1, size // 2, 0] != 0).astype(jnp.float32)


def begins(observation: Observation) -> jax.Array:
    """[...] bool, whether this is seen at the start of an episode."""
    return (observation.trial == 0) & (observation.time_left == observation.trial_length)


def _trial_returns(observation: Observation, trial_return: jax.Array, has_ended: jax.Array) -> TrialReturns:
    """Sorts [T, B] returns of the trials that ended, NaN of those that began before the run, by the trial's index."""
    has_ended &= ~jnp.isnan(trial_return)
    is_trial = observation.trial[..., None] == jnp.arange(NUM_TRIAL_COLUMNS)
    is_counted = jnp.concatenate([is_trial, observation.trials_left[..., None] == 0], axis=-1) & has_ended[..., None]
    return TrialReturns(
        sums=jnp.where(is_counted, trial_return[..., None], 0).sum((0, 1)),
        counts=is_counted.sum((0, 1), dtype=jnp.float32),
    )
