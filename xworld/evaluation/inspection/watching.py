"""An agent is watched while it plays: what it knows when a trial begins, what has happened, and where it looks."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from xworld.agents import Agent, Params, distribution
from xworld.core.env import Env
from xworld.core.step.rules import kind_taken
from xworld.core.types import Observation, State, Task, TimeStep
from xworld.evaluation.episodes import episode_key


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Watched:
    """N episodes of K trials: of an agent that is alone, or of the first of several."""

    features: jax.Array  # [N, K, M] float32, what its heads read at the first step of each trial
    blank: jax.Array  # [N, K, M] float32, the same if its memory were emptied then
    maker: jax.Array  # [N] int32, the kind that the last rule before the first trial's first reward took; 0: none
    attention: jax.Array | None  # [N, layers, heads, D] float32, sum over steps after the first trial, by steps back
    num_steps: jax.Array  # [N] int32, of these steps
    before: jax.Array | None  # [N, layers, heads] float32, the sum of what looks back beyond the present trial
    step_before: jax.Array | None  # [N, layers, heads] float32, the sum at the step before, if it is of this trial


@partial(jax.jit, static_argnums=(0, 1, 2))
def watch(
    agent: Agent,
    env: Env,
    num_trials: int,
    params: Params,
    tasks: Task,
    episodes: jax.Array,
    num_steps: jax.Array,
    key: jax.Array,
) -> Watched:
    """Plays an episode of each of [N, ...] tasks.

    Args:
      agent: ours, or a network of one's own with the methods of `Agent`, without `attention` if it does not attend.
      env: the environment the tasks are for.
      num_trials: of every task.
      params: of the agent.
      tasks: leaves [N, ...].
      episodes: [N] each episode's number, for `episode_key`.
      num_steps: [] int32, of the longest episode.
      key: decides directions and chance.
    """
    play = partial(_play, agent, env, num_trials, params, num_steps)
    return jax.vmap(play)(tasks, jax.vmap(partial(episode_key, key))(episodes))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Moment:
    """One environment being watched."""

    state: State
    timestep: TimeStep
    memory: Any
    last_rule: jax.Array  # [] int32, 1 + the last rule that fired, 0 before
    was_paid: jax.Array  # [] bool, whether there has been a reward
    is_over: jax.Array  # [] bool
    watched: Watched  # so far


def _play(
    agent: Agent, env: Env, num_trials: int, params: Params, num_steps: jax.Array, task: Task, key: jax.Array
) -> Watched:
    reset_key, act_key = jax.random.split(key)
    state, first = env.reset(reset_key, task)
    told = agent.encode_briefing(params, env.briefing(task))

    def decide(observation: Observation, memory: Any, is_reset: jax.Array) -> Any:
        return agent.step(params, observation, told, memory, is_reset)

    look = partial(_look, agent, params, told)

    def step(number: jax.Array, moment: _Moment) -> _Moment:
        timestep, watched = moment.timestep, moment.watched
        observation, is_reset = timestep.observation, agent.is_reset(timestep)
        looked = look(observation, moment.memory, is_reset)
        output = decide(observation, moment.memory, is_reset)
        blank = decide(observation, agent.start_memory(), jnp.bool_(True))
        actions = distribution.sample(jax.random.fold_in(act_key, number), output.logits)
        state, after = env.step(moment.state, actions)
        begins = (timestep.is_first | timestep.is_trial_first) & ~moment.is_over
        at = (begins & (observation.trial == jnp.arange(num_trials)))[:, None]
        last_rule = jnp.where(after.event > 0, after.event, moment.last_rule)
        is_paid = after.reward[0] > 0
        is_made = is_paid & ~moment.was_paid & (last_rule > 0) & (observation.trial == 0)
        counts = ((observation.trial > 0) & ~moment.is_over).astype(jnp.float32)
        attention, before, step_before = _add_looks(watched, looked, counts, observation)
        watched = Watched(
            features=jnp.where(at, output.features[0], watched.features),
            blank=jnp.where(at, blank.features[0], watched.blank),
            maker=jnp.where(is_made, kind_taken(task.rules)[last_rule - 1], watched.maker),
            attention=attention,
            num_steps=watched.num_steps + counts.astype(jnp.int32),
            before=before,
            step_before=step_before,
        )
        was_paid, is_over = moment.was_paid | is_paid, moment.is_over | after.is_last
        return _Moment(state, after, output.memory, last_rule, was_paid, is_over, watched)

    def begin() -> tuple[Any, Any]:
        memory, is_reset = agent.start_memory(), agent.is_reset(first)
        return decide(first.observation, memory, is_reset), look(first.observation, memory, is_reset)

    output, looked = jax.eval_shape(begin)
    features = jnp.zeros((num_trials, output.features.shape[-1]), jnp.float32)
    none = None if looked is None else jnp.zeros(looked[0].shape[1:3], jnp.float32)  # of each layer and head
    watched = Watched(
        features=features,
        blank=features,
        maker=jnp.int32(0),
        attention=None if none is None else jnp.zeros((*none.shape, agent.reach), jnp.float32),
        num_steps=jnp.int32(0),
        before=none,
        step_before=none,
    )
    moment = _Moment(state, first, agent.start_memory(), jnp.int32(0), jnp.bool_(False), jnp.bool_(False), watched)
    return jax.lax.fori_loop(0, num_steps, step, moment).watched


def _look(
    agent: Agent, params: Params, told: jax.Array, observation: Observation, memory: Any, is_reset: jax.Array
) -> tuple[jax.Array, jax.Array] | None:
    """Where a timestep looks; None of an agent that does not attend."""
    attention = getattr(agent, "attention", None)
    return None if attention is None else attention(params, observation, told, memory, is_reset)


def _add_looks(
    watched: Watched, looked: tuple[jax.Array, jax.Array] | None, counts: jax.Array, observation: Observation
) -> tuple[jax.Array | None, jax.Array | None, jax.Array | None]:
    """The sums of attention with where the first agent looks in this step, if the step counts."""
    if looked is None or watched.attention is None or watched.before is None or watched.step_before is None:
        return None, None, None
    weights, distance = looked[0][0] * counts, looked[1][0]
    is_before = distance > observation.trial_length - observation.time_left
    attention = watched.attention.at[..., distance].add(weights, mode="drop")
    is_step_before = (distance == 1) & ~is_before
    before, step_before = ((weights * is_it).sum(-1) for is_it in (is_before, is_step_before))
    return attention, watched.before + before, watched.step_before + step_before
