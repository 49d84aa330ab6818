"""An agent's memory: step equals unroll, it lives as long as its episode, and nothing else changes it."""

import dataclasses
import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recorded_play import (
    BATCH,
    EPISODE,
    LENGTH,
    TRIAL,
    Recording,
    fresh_params,
    rough_params,
    steps_that_differ,
    unroll,
    with_observation,
)
from tiny_rooms import SMALL_AGENT as SMALL
from tiny_rooms import env_config

from xworld import Briefing, TimeStep
from xworld.agents import Agent, Memory, Params, distribution, make_agent
from xworld.core.step.actions import NUM_ACTIONS


@pytest.fixture(scope="module")
def control() -> Agent:
    return make_agent(dataclasses.replace(SMALL, clear_memory_at_trials=True), env_config())


@functools.partial(jax.jit, static_argnums=0)
def step(agent: Agent, params: Params, timestep: TimeStep, told: jax.Array, memory: jax.Array):
    output = agent.step(params, timestep.observation, told, memory, agent.is_reset(timestep))
    return output.logits, output.value, output.memory


def test_shapes_and_first_policy(agent, recording):
    logits, values, memory = unroll(agent, fresh_params(agent), recording.timestep, recording.briefing)
    assert logits.shape == (LENGTH, BATCH, 1, NUM_ACTIONS)
    assert values.shape == (LENGTH, BATCH, 1)
    assert all(leaf.shape[:2] == (BATCH, 1) for leaf in jax.tree.leaves(memory))
    assert distribution.entropy(logits).min() > 0.999 * np.log(NUM_ACTIONS)


def step_through(agent: Agent, params: Params, recording: Recording):
    """As `unroll`, one step after the other."""
    told, memory = jax.jit(agent.encode_briefing)(params, recording.briefing), agent.start_memory(BATCH)
    decisions = []
    for time in range(LENGTH):
        timestep = jax.tree.map(operator.itemgetter(time), recording.timestep)
        *decision, memory = step(agent, params, timestep, told, memory)
        decisions.append(decision)
    logits, values = map(jnp.stack, zip(*decisions, strict=True))
    return logits, values, memory


def assert_unroll_equals_steps(agent: Agent, params: Params, recording: Recording) -> None:
    logits, values, last_memory = unroll(agent, params, recording.timestep, recording.briefing)
    step_logits, step_values, memory = step_through(agent, params, recording)
    tolerance = 1e-5 * max(1.0, float(logits.std()))
    np.testing.assert_allclose(step_logits, logits, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(step_values, values, rtol=tolerance, atol=tolerance)
    # Of what the memory holds from before the episode nothing can be read, so it is the next steps that have to agree.
    again = [unroll_on(agent, params, recording, memory) for memory in (memory, last_memory)]
    np.testing.assert_allclose(again[0][0], again[1][0], atol=tolerance)


def test_unroll_equals_steps_across_episodes(agent, params, recording):
    assert_unroll_equals_steps(agent, params, recording)


def test_unroll_equals_steps_of_the_control(control, recording):
    assert_unroll_equals_steps(control, rough_params(control), recording)


# A hidden state or matrices, what attention or a convolution looks back at, numbers of steps.
STORED = {
    "gru": {"float32"},
    "gru_attention": {"float32", "bfloat16", "int32"},
    "gru_txl": {"float32", "bfloat16", "int32"},
    "transformer_xl": {"bfloat16", "int32"},
    "gated_delta": {"float32", "bfloat16"},
}


def test_bfloat16_stays_near_float32(agent, params, recording):
    """A bfloat16 has 8 bits, so that each rounding is up to 0.2 % off, and there are some ten from view to logits."""
    short = make_agent(dataclasses.replace(agent.config, dtype="bfloat16"), env_config())
    expected = unroll(agent, params, recording.timestep, recording.briefing)[:2]
    *found, memory = unroll(short, params, recording.timestep, recording.briefing)
    *stepped, step_memory = step_through(short, params, recording)
    for one, again, exact in zip(found, stepped, expected, strict=True):
        assert one.dtype == again.dtype == exact.dtype == jnp.float32
        # A mean, since the largest of some 800 differences is a matter of the draw: over draws .05 to .7 deviations.
        assert np.sqrt(np.square(one - exact).mean()) < 0.05 * exact.std()
        np.testing.assert_allclose(one, again, atol=0.05 * exact.std())
        assert abs(one - exact).max() > 1e-3  # it does compute in bfloat16
    # Policies of learning and of acting: their ratio is 1, but for noise that is small beside PPO's clip of .2.
    learned, acted = (np.asarray(jax.nn.log_softmax(logits)) for logits in (found[0], stepped[0]))
    chance, log_ratio = np.exp(acted), learned - acted
    assert (chance * (np.expm1(log_ratio) - log_ratio)).sum(-1).mean() < 1e-4
    assert abs(log_ratio[chance > 0.01]).max() < 0.05
    for remembered in (memory, step_memory):
        assert {leaf.dtype.name for leaf in jax.tree.leaves(remembered)} == STORED[agent.config.memory]
    assert {leaf.dtype for leaf in jax.tree.leaves(jax.eval_shape(short.init, jax.random.key(0)))} == {jnp.dtype("f4")}


def test_computations_on_a_cpu_are_float32(agent):
    assert agent.config.dtype == "auto" and agent.config.compute_dtype == jnp.float32


@functools.partial(jax.jit, static_argnums=0)
def unroll_from(agent: Agent, params: Params, timestep: TimeStep, briefing: Briefing, memory: Memory):
    told = agent.encode_briefing(params, briefing)
    output = agent.unroll(params, timestep.observation, told, memory, agent.is_reset(timestep))
    return output.logits, output.value, output.memory


def unroll_on(agent: Agent, params: Params, recording: Recording, memory: Memory):
    """Unrolls the recording from its second trial on, which goes on with the episode of the memory."""
    timestep = jax.tree.map(operator.itemgetter(slice(TRIAL, None)), recording.timestep)
    return unroll_from(agent, params, timestep, recording.briefing, memory)


@pytest.mark.parametrize("agent", ["gru_attention", "gru_txl", "transformer_xl"], indirect=True)
def test_what_is_remembered_is_read_until_the_episode_ends_and_not_learned(agent, params, recording):
    _, _, memory = unroll(agent, params, recording.timestep, recording.briefing)
    before = unroll_on(agent, params, recording, memory)
    other = dataclasses.replace(memory, activations=jax.tree.map(lambda leaf: leaf + 1, memory.activations))
    after = unroll_on(agent, params, recording, other)
    assert steps_that_differ(before, after) == list(range(EPISODE - TRIAL))

    def total(activations: Any) -> jax.Array:
        start = dataclasses.replace(memory, activations=activations)
        return unroll_on(agent, params, recording, start)[1].sum()

    assert all((leaf == 0).all() for leaf in jax.tree.leaves(jax.grad(total)(memory.activations)))


def test_other_environments_do_not_matter(agent, params, recording):
    order = jnp.array([0, 3, 1, 5, 2, 4])
    timestep = jax.tree.map(lambda leaf: leaf[:, order], recording.timestep)
    briefing = jax.tree.map(lambda leaf: leaf[order], recording.briefing)
    logits, values, _ = unroll(agent, params, recording.timestep, recording.briefing)
    shuffled_logits, shuffled_values, _ = unroll(agent, params, timestep, briefing)
    np.testing.assert_array_equal(shuffled_logits, logits[:, order])
    np.testing.assert_array_equal(shuffled_values, values[:, order])

    # Nor what happens in them: all but the first see something else.
    other = recording.timestep.observation.view.at[:, 1:].set(0)
    changed_logits, _, _ = unroll(agent, params, with_observation(recording.timestep, view=other), recording.briefing)
    np.testing.assert_array_equal(changed_logits[:, 0], logits[:, 0])
    assert (changed_logits[:, 1:] != logits[:, 1:]).any(-1).all()


def test_memory_lives_through_the_trials_of_an_episode_and_no_longer(agent, params, recording):
    before = unroll(agent, params, recording.timestep, recording.briefing)
    held = recording.timestep.observation.held.at[1].set(0x23)  # in the first trial
    after = unroll(agent, params, with_observation(recording.timestep, held=held), recording.briefing)
    assert steps_that_differ(before, after) == list(range(1, EPISODE))


def test_the_reward_that_ends_a_trial_reaches_the_next(agent, params, recording):
    before = unroll(agent, params, recording.timestep, recording.briefing)
    last_reward = recording.timestep.observation.last_reward.at[TRIAL].add(1)
    after = unroll(agent, params, with_observation(recording.timestep, last_reward=last_reward), recording.briefing)
    assert steps_that_differ(before, after) == list(range(TRIAL, EPISODE))


def test_the_control_knows_nothing_of_earlier_trials(control, recording):
    params = rough_params(control)
    before = unroll(control, params, recording.timestep, recording.briefing)
    observation = recording.timestep.observation
    changed = with_observation(
        recording.timestep,
        held=observation.held.at[1].set(0x23),
        last_action=observation.last_action.at[TRIAL].add(1),
        last_reward=observation.last_reward.at[TRIAL].add(1),
    )
    after = unroll(control, params, changed, recording.briefing)
    assert steps_that_differ(before, after) == list(range(1, TRIAL))


def test_equal_agents_share_compiled_code(agent):
    again = make_agent(agent.config, env_config())
    assert again == agent and hash(again) == hash(agent)


def test_distribution_has_known_values():
    logits = jnp.log(jnp.array([[0.5, 0.25, 0.25], [1.0, 1e-30, 1e-30]]))
    np.testing.assert_allclose(distribution.entropy(logits), [1.5 * np.log(2), 0], atol=1e-6)
    np.testing.assert_allclose(distribution.log_probability(logits, jnp.array([1, 0])), [np.log(0.25), 0], atol=1e-6)
    drawn = distribution.sample(jax.random.key(0), jnp.broadcast_to(logits[0], (20_000, 3)))
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 20_000, [0.5, 0.25, 0.25], atol=0.015)
