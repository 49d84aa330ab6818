import dataclasses
import functools
import operator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tiny_rooms import SMALL_AGENT as SMALL
from tiny_rooms import TinyRooms, env_config

from xworld import Briefing, Env, Observation, TimeStep, VectorEnv
from xworld.agents import (
    MEMORIES,
    Agent,
    Memory,
    Params,
    distribution,
    make_agent,
)
from xworld.agents.network.encoders import ByteEmbedding, Modulation, Thermometer
from xworld.core.step.actions import NUM_ACTIONS

LENGTH, BATCH = 20, 6
TRIAL, EPISODE = 4, 8  # steps; so episodes begin at steps 0, 8 and 16, and trials at every fourth
TASKS = TinyRooms(trial_length=TRIAL, num_trials=EPISODE // TRIAL)


@dataclass(frozen=True)
class Recording:
    timestep: TimeStep  # [T, B, ...] of random play
    briefing: Briefing  # [B, ...] of the first episode's tasks


@pytest.fixture(scope="module")
def recording() -> Recording:
    vec = VectorEnv(Env(env_config()), BATCH)

    def play(key: jax.Array) -> tuple[TimeStep, Briefing]:
        first = vec.reset(key, TASKS)

        def step(carry, key):
            after = vec.step(carry[0], jax.random.randint(key, (BATCH, 1), 0, NUM_ACTIONS))
            return after, carry[1]

        return jax.lax.scan(step, first, jax.random.split(key, LENGTH))[1], vec.briefings(first[0])[0]

    timestep, briefing = jax.jit(play)(jax.random.key(0))
    np.testing.assert_array_equal(timestep.is_first[:, 0], np.arange(LENGTH) % EPISODE == 0)
    np.testing.assert_array_equal(timestep.is_trial_first[:, 0], np.arange(LENGTH) % TRIAL == 0)
    return Recording(timestep, briefing)


# Episodes are longer than what is cached or kept, and neither they nor the recording are whole windows.
CONFIGS = {
    "gru": dataclasses.replace(SMALL, modulates_view=True),
    "gru_attention": dataclasses.replace(SMALL, memory="gru_attention", num_heads=2, num_kept=2, keep_every=2),
    "gru_txl": dataclasses.replace(
        SMALL, memory="gru_txl", num_heads=2, num_kept=2, keep_every=2, kept_size=6, feed_forward_size=32
    ),
    "transformer_xl": dataclasses.replace(
        SMALL, memory="transformer_xl", memory_size=16, feed_forward_size=32, num_heads=4, window=7, cache_size=5
    ),
    "gated_delta": dataclasses.replace(SMALL, memory="gated_delta", memory_size=16, feed_forward_size=32, num_heads=2),
}


@pytest.fixture(scope="module", params=MEMORIES)
def agent(request: pytest.FixtureRequest) -> Agent:
    return make_agent(CONFIGS[request.param], env_config())


@pytest.fixture(scope="module")
def params(agent: Agent) -> Params:
    return rough_params(agent)


@pytest.fixture(scope="module")
def control() -> Agent:
    return make_agent(dataclasses.replace(SMALL, clear_memory_at_trials=True), env_config())


@functools.partial(jax.jit, static_argnums=0)
def fresh_params(agent: Agent) -> Params:
    return agent.init(jax.random.key(0))


def rough_params(agent: Agent) -> Params:
    """Parameters that make every part of the network matter: fresh biases are 0 and the policy head is small."""
    draw = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: leaf + 0.3 * draw.normal(size=leaf.shape).astype(np.float32), fresh_params(agent))


@functools.partial(jax.jit, static_argnums=0)
def unroll(agent: Agent, params: Params, timestep: TimeStep, briefing: Briefing):
    told, is_reset = agent.encode_briefing(params, briefing), agent.is_reset(timestep)
    memory = agent.start_memory(is_reset.shape[1])
    output = agent.unroll(params, timestep.observation, told, memory, is_reset)
    return output.logits, output.value, output.memory


@functools.partial(jax.jit, static_argnums=0)
def step(agent: Agent, params: Params, timestep: TimeStep, told: jax.Array, memory: jax.Array):
    output = agent.step(params, timestep.observation, told, memory, agent.is_reset(timestep))
    return output.logits, output.value, output.memory


def with_observation(timestep: TimeStep, **changes: object) -> TimeStep:
    return dataclasses.replace(timestep, observation=dataclasses.replace(timestep.observation, **changes))


def steps_that_differ(one, other) -> list[int]:
    """The timesteps at which logits or values are not exactly the same."""
    differs = (one[0] != other[0]).any((1, 2, 3)) | (one[1] != other[1]).any((1, 2))
    return [int(index) for index in np.flatnonzero(differs)]


@pytest.mark.slow
def test_a_goal_that_is_observed_counts_as_one_that_is_told(recording):
    agent = make_agent(CONFIGS["gru"], env_config())  # which reads its view by it as well
    params, goal = rough_params(agent), recording.briefing.goal
    observed = with_observation(recording.timestep, goal=jnp.broadcast_to(goal, (LENGTH, *goal.shape)))
    told = dataclasses.replace(recording.briefing, goal=None)
    expected = unroll(agent, params, recording.timestep, recording.briefing)
    for one, other in zip(unroll(agent, params, observed, told)[:2], expected[:2], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    # One that changes changes what comes after it, and nothing before.
    changed = observed.observation.goal.at[EPISODE:].add(1)
    other = unroll(agent, params, with_observation(observed, goal=changed), told)
    assert steps_that_differ(other, unroll(agent, params, observed, told)) == list(range(EPISODE, LENGTH))


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
        tolerance = 0.15 * exact.std()
        np.testing.assert_allclose(one, exact, atol=tolerance)
        np.testing.assert_allclose(one, again, atol=tolerance)
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


def test_every_part_of_the_observation_matters(agent, params, recording):
    before = unroll(agent, params, recording.timestep, recording.briefing)
    for field in dataclasses.fields(Observation):
        value = getattr(recording.timestep.observation, field.name)
        if field.name == "goal":  # which the briefing has here; of one that is observed another test tells
            assert value is None
            continue
        changed = with_observation(recording.timestep, **{field.name: value.at[0].add(1)})
        differs = bool(steps_that_differ(before, unroll(agent, params, changed, recording.briefing)))
        assert differs == (field.name not in ("last_action", "last_reward")), (
            field.name
        )  # forgotten at an episode's start


def briefing_of(*rules: tuple[int, ...]) -> Briefing:
    goal = jnp.array([[[[3, 0, 0xF0, 0x12, 0]]]], jnp.uint8)
    return Briefing(goal=goal, rules=jnp.array([rules], jnp.uint8), agent_id=jnp.zeros(1, jnp.uint8))


def test_briefing_is_a_set_of_rules_with_unknown_parts(agent, params):
    one, other, padding = (3, 0, 0xF0, 0x12, 0x23, 0, 0), (1, 15, 0x34, 0x11, 0x22, 0, 0), (0,) * 7
    masked = [
        (255, 0, 0, 0, 0, 0, 0),  # a whole rule
        (16, 0, 0xF0, 0x12, 0x23, 0, 0),  # its relation
        (3, 0, 0xF0, 0xD0, 0x23, 0, 0),  # a kind
        (3, 0, 0xF0, 0xD1, 0x23, 0, 0),  # another
    ]
    encode = jax.jit(agent.encode_briefing)
    both = encode(params, briefing_of(one, other, padding))
    for order in ((other, one, padding), (padding, other, one)):
        np.testing.assert_allclose(encode(params, briefing_of(*order)), both, atol=1e-5)
    told = [encode(params, briefing_of(rule, other, padding)) for rule in (one, padding, *masked)]
    for i, first in enumerate(told):
        assert all(jnp.abs(first - second).max() > 1e-3 for second in told[:i])


def test_more_trials_than_were_seen_mean_the_most_that_were_seen():
    """A thermometer's vectors start at zero, and one learns only from counts above it."""
    embed = Thermometer(SMALL)
    counts = jnp.array([0, 1, 5, 6, 7, 13])
    assert (embed(counts) == 0).all()
    gradient = nnx.grad(lambda embed: embed(jnp.array([0, 2, 3])).sum())(embed).vectors[...]
    np.testing.assert_array_equal(gradient[:, 0], [2, 2, 1, 0, 0, 0])
    embed.vectors[...] = jnp.arange(1.0, 7)[:, None] + jnp.zeros_like(gradient)
    np.testing.assert_array_equal(embed(counts)[:, 0], [0, 1, 15, 21, 21, 21])


def test_trials_beyond_those_that_are_told_are_not_told_apart(recording):
    agent = make_agent(dataclasses.replace(SMALL, trials_told=2), env_config())
    params = rough_params(agent)

    def logits(trial, trials_left):
        seen = dataclasses.replace(
            recording.timestep.observation,
            trial=jnp.full((LENGTH, BATCH), trial, jnp.int32),
            trials_left=jnp.full((LENGTH, BATCH), trials_left, jnp.int32),
        )
        timestep = dataclasses.replace(recording.timestep, observation=seen)
        return np.asarray(unroll(agent, params, timestep, recording.briefing)[0])

    np.testing.assert_array_equal(logits(2, 2), logits(5, 9))
    assert np.abs(logits(2, 2) - logits(1, 2)).max() > 1e-3 and np.abs(logits(2, 2) - logits(2, 1)).max() > 1e-3


def test_a_kind_is_embedded_as_shape_plus_colour():
    embed = ByteEmbedding(SMALL, nnx.Rngs(0))
    red_ball, green_ball, red_cube, green_cube = embed(jnp.array([0x10, 0x11, 0x20, 0x21], jnp.uint8))
    np.testing.assert_allclose(green_cube, green_ball + red_cube - red_ball, atol=1e-6)


def test_what_is_told_says_how_cells_are_read():
    """Each number of a cell's vector by itself, and all cells alike."""
    modulation, size = Modulation(SMALL, nnx.Rngs(0)), SMALL.embedding_size
    scale, shift = np.zeros((2, SMALL.encoder_size, size), np.float32)
    scale[0, 3] = scale[1, 5] = 2  # one goal asks for the 3rd number, another for the 5th
    shift[2] = 4
    modulation.dense.kernel[...] = np.concatenate([scale, shift], axis=1)
    modulation.dense.bias[...] = np.concatenate([np.full(size, -1), np.zeros(size)]).astype(np.float32)
    cells = jnp.eye(size)[jnp.array([5, 3, 0, 3])] - jnp.eye(size)[0]
    one, other, third = (np.asarray(modulation(cells, told)) for told in jnp.eye(SMALL.encoder_size)[:3])
    np.testing.assert_allclose(one.sum(1), [0, 2, 0, 2], atol=1e-5)
    np.testing.assert_allclose(other.sum(1), [2, 0, 0, 0], atol=1e-5)
    np.testing.assert_allclose(third, 4, atol=1e-5)


def test_a_network_reads_its_view_by_what_it_is_told(recording):
    agent = make_agent(CONFIGS["gru"], env_config())
    params = rough_params(agent)
    before = unroll(agent, params, recording.timestep, recording.briefing)
    kernel = params["observation"]["modulation"]["dense"]["kernel"]
    kernel[...] = jnp.zeros_like(kernel[...])  # all briefings modulate alike
    after = unroll(agent, params, recording.timestep, recording.briefing)
    assert steps_that_differ(after, before) == list(range(LENGTH))


def from_seat_1(kinds: jax.Array) -> jax.Array:
    """What is about agent 0 is about agent 1."""
    return jnp.where(kinds == 0xF0, 0xF1, kinds)


def test_two_agents_share_parameters_and_not_memories(recording):
    pair = make_agent(SMALL, dataclasses.replace(env_config(), num_agents=2))
    params = rough_params(pair)

    def double(tree: object, axis: int) -> object:
        """The single agents of environments 0, 1, 2 and of 3, 4, 5 as agents 0 and 1 of the same environments."""
        return jax.tree.map(lambda leaf: jnp.concatenate(jnp.split(leaf, 2, axis - 1), axis), tree)

    observation = recording.timestep.observation
    per_agent = {
        name: double(getattr(observation, name), 2)
        for name in ("view", "held", "direction", "last_action", "last_reward")
    }
    shared = {name: getattr(observation, name)[:, :3] for name in ("trial", "trials_left", "time_left", "trial_length")}
    joined = dataclasses.replace(observation, **per_agent, **shared)
    briefing = double(recording.briefing, 1)
    rules = briefing.rules.at[:, 1, :, 2:4].set(from_seat_1(briefing.rules[:, 1, :, 2:4]))
    goal = briefing.goal.at[:, 1, ..., 2:4].set(from_seat_1(briefing.goal[:, 1, ..., 2:4]))
    briefing = dataclasses.replace(briefing, goal=goal, rules=rules)
    is_reset = recording.timestep.is_first[:, :3]
    told = jax.jit(pair.encode_briefing)(params, briefing)
    output = jax.jit(pair.unroll)(params, joined, told, pair.start_memory(3), is_reset)
    logits, values = output.logits, output.value

    single = make_agent(SMALL, env_config())
    alone_logits, alone_values, _ = unroll(single, params, recording.timestep, recording.briefing)
    np.testing.assert_allclose(logits, double(alone_logits, 2), atol=1e-5)
    np.testing.assert_allclose(values, double(alone_values, 2), atol=1e-5)


def test_equal_agents_share_compiled_code(agent):
    again = make_agent(agent.config, env_config())
    assert again == agent and hash(again) == hash(agent)


def test_distribution_has_known_values():
    logits = jnp.log(jnp.array([[0.5, 0.25, 0.25], [1.0, 1e-30, 1e-30]]))
    np.testing.assert_allclose(distribution.entropy(logits), [1.5 * np.log(2), 0], atol=1e-6)
    np.testing.assert_allclose(distribution.log_probability(logits, jnp.array([1, 0])), [np.log(0.25), 0], atol=1e-6)
    drawn = distribution.sample(jax.random.key(0), jnp.broadcast_to(logits[0], (20_000, 3)))
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 20_000, [0.5, 0.25, 0.25], atol=0.015)


def test_the_same_is_seen_and_told_from_both_seats():
    """Agents are named from the seat: what is about agent 0 there is about agent 1 here, but for the seat's number."""
    pair = make_agent(SMALL, dataclasses.replace(env_config(), num_agents=2))
    params = rough_params(pair)
    params["briefing"]["agent_id"] = jnp.zeros_like(params["briefing"]["agent_id"])

    def told(me: int, other: int) -> jax.Array:
        """I am to hold a thing that comes of what the other touches, and there is a rule that nobody knows."""
        rules = [(2, 0, 0x12, 0xF0 + other, 0x23, 0, 0), (255, 0, 0, 0, 0, 0, 0)]
        goal = [[(3, 0, 0xF0 + me, 0x23, 0)]]
        to_both = [jnp.array([each, each], jnp.uint8) for each in (goal, rules)]
        return jax.jit(pair.encode_briefing)(params, Briefing(*to_both, agent_id=jnp.arange(2, dtype=jnp.uint8)))

    one, two = told(0, 1), told(1, 0)
    np.testing.assert_allclose(one, two[::-1], atol=1e-6)
    assert abs(one[0] - one[1]).max() > 0.01  # to hold it oneself is not to have it held

    def logits(seen_from_0: int, seen_from_1: int, held: int) -> jax.Array:
        """Of the first step, with another agent in view."""
        view = jnp.zeros((2, 5, 5, 3), jnp.uint8).at[:, 2, 2, 1].set(jnp.array([seen_from_0, seen_from_1], jnp.uint8))
        none, number = jnp.zeros(2, jnp.uint8), jnp.int32(0)
        observation = Observation(
            view.at[:, 2, 2, 2].set(held), none, none, none, jnp.zeros(2), number, number, number, jnp.int32(20)
        )
        output = jax.jit(pair.step)(params, observation, jnp.zeros_like(one), pair.start_memory(), jnp.bool_(True))
        return output.logits

    facing = 3  # a kind of 0xF0 + 4 * the other's id + where it faces
    seen = logits(0xF4 + facing, 0xF0 + facing, held=0x23)
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-6)
    for other in (logits(0xF4, 0xF0, held=0x23), logits(0xF4 + facing, 0xF0 + facing, held=0x12)):
        assert abs(seen - other).max() > 1e-3  # it does see where the other looks, and what that holds
