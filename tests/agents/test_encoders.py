"""What an agent sees and is told: every part of it matters, and it means the same from every seat."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from recorded_play import BATCH, CONFIGS, EPISODE, LENGTH, rough_params, steps_that_differ, unroll, with_observation
from tiny_rooms import SMALL_AGENT as SMALL
from tiny_rooms import env_config

from xworld import Briefing, Observation
from xworld.agents import make_agent
from xworld.agents.network.agent import Network
from xworld.agents.network.encoders import ByteEmbedding, Modulation, Thermometer, kind_ahead


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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gru", "transformer_xl"])  # which reads its view by it, and is given what it names
def test_a_goal_that_is_observed_counts_as_one_that_is_told(name, recording):
    agent = make_agent(CONFIGS[name], env_config())
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


KINDS = dataclasses.replace(SMALL, kinds_to_memory=True)


def observation_of(held: int, ahead: int, view_size: int = 5) -> Observation:
    """Of one agent, in a view whose other cells hold other things."""
    none, number, middle = jnp.zeros(1, jnp.uint8), jnp.int32(0), view_size // 2
    view = jnp.full((1, view_size, view_size, 3), 0x46, jnp.uint8).at[:, view_size - 2, middle, 1].set(ahead)
    return Observation(
        view, jnp.array([held], jnp.uint8), none, none, jnp.zeros(1), number, number, number, jnp.int32(20)
    )


def to_memory(network: Network, observation: Observation, *literals: tuple[int, ...], told: bool = True) -> np.ndarray:
    """[4, E] what goes into the memory: what is asked for, ahead, held, and the last numbers of the dense layer."""
    goal = jnp.array([[literals]], jnp.uint8)
    briefing = Briefing(goal if told else None, jnp.zeros((1, 3, 7), jnp.uint8), jnp.zeros(1, jnp.uint8))
    if not told:
        observation = dataclasses.replace(observation, goal=goal)
    encoded = network.encode(observation, network.tell(briefing))
    assert encoded.shape == (1, KINDS.encoder_size + 3 * KINDS.embedding_size)
    return np.asarray(encoded[0, -4 * KINDS.embedding_size :]).reshape(4, -1)[::-1]


def test_what_is_held_ahead_and_asked_for_comes_to_the_memory_as_embeddings_of_kinds():
    network = Network(KINDS, env_config(5), nnx.Rngs(0))
    hold, near = (3, 0, 0xF0, 0x12, 0), (2, 0, 0x23, 0x31, 0)
    ball, cube, key = np.asarray(network.kinds(jnp.array([0x12, 0x23, 0x31], jnp.uint8)))
    for told in (True, False):
        asked, ahead, held, rest = to_memory(network, observation_of(0x12, 0x12), hold, told=told)
        for vector in (asked, ahead, held):
            np.testing.assert_allclose(vector, ball, atol=1e-6)
        assert rest.min() >= 0 > ball.min()  # of the dense layer
        for literals in ((near, hold), (hold, (*near[:4], 1)), (near, (0, 0, 0x55, 0x12, 0), hold)):
            asked, ahead, held, _ = to_memory(network, observation_of(0x31, 0x23), *literals, told=told)
            np.testing.assert_allclose(asked, ball + cube + key, atol=1e-5)  # all that it names, but for oneself
            np.testing.assert_allclose([ahead, held], [cube, key], atol=1e-6)
        assert (to_memory(network, observation_of(0, 0), (0,) * 5, told=told)[0] == 0).all()


def test_what_is_ahead_is_seen_from_each_seat():
    """Another agent is a kind of its own, wherever it faces. Who sees one cell, its own, sees nothing ahead."""
    view = jnp.zeros((2, 5, 5, 3), jnp.uint8).at[:, 3, 2, 1].set(jnp.array([0xF6, 0xF3], jnp.uint8))
    pair = dataclasses.replace(observation_of(0, 0), view=view, held=jnp.zeros(2, jnp.uint8))
    assert kind_ahead(pair).tolist() == [0xF1, 0xF1]
    assert kind_ahead(observation_of(0, 0x23)).tolist() == [0x23]
    assert kind_ahead(observation_of(0, 0x23, view_size=3)).tolist() == [0x23]
    assert kind_ahead(observation_of(0, 0x23, view_size=1)).tolist() == [0]


def test_a_goal_names_others_and_not_oneself():
    network = Network(KINDS, dataclasses.replace(env_config(5), num_agents=2), nnx.Rngs(0))
    goal = jnp.full((2, 1, 1, 5), jnp.array([3, 0, 0xF1, 0x12, 0]), jnp.uint8)  # agent 1 is to hold it, both are told
    told = network.tell(Briefing(goal, jnp.zeros((2, 3, 7), jnp.uint8), jnp.arange(2, dtype=jnp.uint8)))
    ball, other = network.kinds(jnp.array([0x12, 0xF1], jnp.uint8))
    np.testing.assert_allclose(told[:, KINDS.encoder_size :], [ball + other, ball], atol=1e-6)


def from_seat_1(kinds: jax.Array) -> jax.Array:
    """What is about agent 0 is about agent 1."""
    return jnp.where(kinds == 0xF0, 0xF1, kinds)


@pytest.mark.parametrize("config", [SMALL, KINDS], ids=["plain", "kinds"])
def test_two_agents_share_parameters_and_not_memories(config, recording):
    pair = make_agent(config, dataclasses.replace(env_config(), num_agents=2))
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

    single = make_agent(config, env_config())
    alone_logits, alone_values, _ = unroll(single, params, recording.timestep, recording.briefing)
    np.testing.assert_allclose(logits, double(alone_logits, 2), atol=1e-5)
    np.testing.assert_allclose(values, double(alone_values, 2), atol=1e-5)


@pytest.mark.parametrize("config", [SMALL, KINDS], ids=["plain", "kinds"])
def test_the_same_is_seen_and_told_from_both_seats(config):
    """Agents are named from the seat: what is about agent 0 there is about agent 1 here, but for the seat's number."""
    pair = make_agent(config, dataclasses.replace(env_config(), num_agents=2))
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
