"""Learners that learn one task from their own stream: they get better, and the stream alone says what they do."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_rooms import TinyRooms, env_config

from xworld import ConfigError, Env
from xworld.agents import LEARNERS, ActorCritic, QLearner, ScriptedLearner, Stopping, has_reached, make_learner
from xworld.core.config import EnvConfig
from xworld.evaluation import follow, record_tasks, sample_tasks
from xworld.histories import DatasetHeader

ENV = Env(env_config(5))
TRIAL_LENGTH, NUM_TRIALS, NUM_TASKS = 8, 200, 32


@pytest.fixture(scope="module")
def tasks():
    rooms = TinyRooms(side=5, trial_length=TRIAL_LENGTH, num_trials=NUM_TRIALS)
    sampled = jax.device_get(sample_tasks(rooms, jax.random.key(0), NUM_TASKS))
    return dataclasses.replace(sampled, agent_facing=np.zeros((NUM_TASKS, 1), np.uint8))  # north


@pytest.fixture(scope="module", params=LEARNERS)
def lived(request, tasks, tmp_path_factory):
    """A learner, and a data set of its lives."""
    learner = make_learner(request.param, ENV.config, TRIAL_LENGTH)
    folder = tmp_path_factory.mktemp("lives") / "data"
    header = DatasetHeader(ENV.config, labels=("log_probability",))
    return learner, record_tasks(folder, header, tasks, learner, jax.random.key(1), batch_size=NUM_TASKS)


def test_they_get_better(lived):
    _, data = lived
    reward = np.asarray(data.episodes(np.arange(NUM_TASKS)).derive(ENV).reward)[1:, :, 0]
    returns = reward.reshape(NUM_TRIALS, TRIAL_LENGTH, NUM_TASKS).sum(1).mean(1)
    first, last = returns[:4].mean(), returns[-NUM_TRIALS // 10 :].mean()
    assert last > 3 * first and last > 2.5


def test_the_stream_alone_gives_the_probabilities_of_its_actions(lived):
    learner, data = lived
    few = data.episodes([5])  # without the others that it was played beside
    _, found = follow(ENV, learner, few, jax.random.key(77))
    assert np.abs(found - few.labels["log_probability"]).max() < 1e-4
    assert found[-TRIAL_LENGTH:].mean() > found[:TRIAL_LENGTH].mean() + 0.3  # they are no constants


def one_room():
    """A room with one object, which chance picks up now and then."""
    rooms = TinyRooms(side=5, num_candidates=1, trial_length=TRIAL_LENGTH, num_trials=NUM_TRIALS)
    return jax.device_get(rooms.sample(jax.random.key(2)))


def observed(task, seed, actions):
    """The timesteps [T + 1, ...] and states of an episode."""

    def step(carry, action):
        following = ENV.step(carry[0], action)
        return following, following

    first = ENV.reset_from_seed(jnp.uint32(seed), task)
    _, after = jax.lax.scan(step, first, jnp.asarray(actions))
    return jax.tree.map(lambda one, many: jnp.concatenate([one[None], many]), first, after)


def test_q_learning_is_what_it_says():
    """Against a few lines of numpy."""
    learner = QLearner(5, 5, TRIAL_LENGTH, learning_rate=0.5, lambda_=0.6, discount=0.8)
    actions = np.random.default_rng(0).integers(0, 5, (100 * TRIAL_LENGTH, 1))
    states, timesteps = jax.jit(observed)(one_room(), 3, actions)
    places = np.asarray(jax.vmap(learner.place)(states, timesteps))
    rewards = np.asarray(timesteps.reward)[1:, 0]
    assert rewards.any()
    table = np.zeros((learner.num_places, 5))
    for trial in range(100):
        return_ = following = 0.0
        for time in reversed(range(trial * TRIAL_LENGTH, (trial + 1) * TRIAL_LENGTH)):
            return_ = rewards[time] + 0.8 * (0.4 * following + 0.6 * return_)
            row = table[places[time]]
            row[actions[time, 0]] += 0.5 * (return_ - row[actions[time, 0]])
            following = row.max()

    # The episode goes on after these trials, so that the last of them has been learned from.
    assert np.abs(np.asarray(after(learner, states, timesteps).table) - table).max() < 1e-5


def test_a_policy_gradient_is_that_of_the_policy_that_is_played():
    """At a temperature that changes from trial to trial, against automatic differentiation and a few lines of numpy."""
    learner = ActorCritic(5, 5, TRIAL_LENGTH, temperature=0.5, final_temperature=2.0, num_annealed=3)
    row, action = jnp.array([0.3, -0.2, 0.0, 0.7, 0.1]), 3
    tables = jnp.zeros((learner.num_places, 5)).at[4].set(row), learner.first_baseline()
    for trial in map(jnp.int32, (1, 5)):
        gradient = jax.grad(lambda row, trial=trial: jax.nn.log_softmax(learner.logits(row, trial))[action])(row)
        table, baseline = learner.improve(tables, 4, action, 3.0, 1.0, learner.temperature_in(trial))
        np.testing.assert_allclose(table[4] - row, 0.2 * 3 * gradient, rtol=1e-4, atol=1e-6)
        assert baseline[4] == pytest.approx(0.6)

    actions = np.random.default_rng(0).integers(0, 5, (40 * TRIAL_LENGTH, 1))
    states, timesteps = jax.jit(observed)(one_room(), 3, actions)
    places, rewards = np.asarray(jax.vmap(learner.place)(states, timesteps)), np.asarray(timesteps.reward)[1:, 0]
    assert rewards.any()
    table, baseline = np.zeros((learner.num_places, 5)), np.zeros(learner.num_places)
    for trial in range(40):
        return_, temperature = 0.0, 0.5 * 4 ** min(trial / 3, 1)
        for time in reversed(range(trial * TRIAL_LENGTH, (trial + 1) * TRIAL_LENGTH)):
            return_ = rewards[time] + 0.9 * return_
            row, surprise = table[places[time]], return_ - baseline[places[time]]
            chances = np.exp(row / temperature) / np.exp(row / temperature).sum()
            row += 0.2 * surprise * (np.eye(5)[actions[time, 0]] - chances) / temperature
            baseline[places[time]] += 0.2 * surprise
    np.testing.assert_allclose(after(learner, states, timesteps).table, table, atol=1e-4)


@functools.partial(jax.jit, static_argnums=0)
def after(learner, states, timesteps):
    """What a learner has learned at the end of an episode."""

    def step(life, moment):
        return learner.decide(life, jax.random.key(0), *moment)[0], None

    start = learner.start(jax.random.key(0), jax.tree.map(lambda leaf: leaf[0], states), None)
    return jax.lax.scan(step, start, (states, timesteps))[0]


def test_who_has_learned_takes_the_best_action_and_learns_no_more():
    """From the trial on that it stops at; until then all is as it would be."""
    actions = np.random.default_rng(0).integers(0, 5, (100 * TRIAL_LENGTH, 1))
    moments = jax.jit(observed)(one_room(), 3, actions)

    @functools.partial(jax.jit, static_argnums=0)
    def lives(learner):
        def step(life, moment):
            life, _, logits, _ = learner.decide(life, jax.random.key(0), *moment)
            return life, (life.table, jax.nn.log_softmax(logits[0]))

        start = learner.start(jax.random.key(0), jax.tree.map(lambda leaf: leaf[0], moments[0]), None)
        return jax.lax.scan(step, start, moments)[1]

    learner = QLearner(5, 5, TRIAL_LENGTH)
    (tables, logits), (stopped, greedy) = lives(learner), lives(dataclasses.replace(learner, num_learned=60))
    end = 60 * TRIAL_LENGTH
    assert (tables[: end + 1] == stopped[: end + 1]).all()
    np.testing.assert_allclose(logits[:end], greedy[:end], rtol=1e-5, atol=1e-5)  # of two compiled functions
    assert (stopped[end:] == stopped[end]).all() and not (tables[-1] == tables[end]).all()
    assert np.allclose(greedy[end:].max(1), 0, atol=1e-6)


@pytest.mark.parametrize("name", LEARNERS)
def test_who_stops_at_a_level_takes_the_best_action_from_then_on(name):
    learner, level = make_learner(name, ENV.config, TRIAL_LENGTH), 0.1
    actions = np.random.default_rng(0).integers(0, 5, (100 * TRIAL_LENGTH, 1))
    states, timesteps = jax.jit(observed)(one_room(), 3, actions)

    @functools.partial(jax.jit, static_argnums=0)
    def chances(who):
        def step(life, moment):
            life, _, logits, _ = who.decide(life, jax.random.key(0), *moment)
            return life, jax.nn.softmax(logits[0])

        start = who.start(jax.random.key(0), jax.tree.map(lambda leaf: leaf[0], states), None)
        return jax.lax.scan(step, start, (states, timesteps))[1]

    returns = np.asarray(timesteps.observation.last_reward)[1:, 0]  # a step's reward is seen after it
    returns = np.append(returns, 0)[: 99 * TRIAL_LENGTH].reshape(99, TRIAL_LENGTH).sum(1)
    end = (np.flatnonzero(has_reached(returns, level))[0] + 1) * TRIAL_LENGTH + 1
    goes_on, stops = chances(learner), chances(Stopping(learner, level))
    np.testing.assert_allclose(stops[:end], goes_on[:end], rtol=1e-5, atol=1e-5)
    assert np.isclose(stops[end:].max(1), 1, atol=1e-5).all() and end < len(stops)
    assert not np.isclose(goes_on[end:].max(1), 1, atol=1e-5).all()


def test_schedules_go_from_the_first_values_to_the_last():
    learner = QLearner(
        5, 5, 8, temperature=1.0, final_temperature=0.01, epsilon=1.0, final_epsilon=0.0, num_annealed=10
    )
    row = jnp.array([0.0, 0.0, 1.0, 0.0, 0.0])
    chances = [np.exp(jax.nn.log_softmax(learner.logits(row, jnp.int32(trial)))) for trial in (0, 5, 10, 99)]
    assert np.allclose(chances[0][:5], 0.2) and np.allclose(chances[0][5:], 0)
    assert np.isclose(chances[1][2], 0.5 * np.exp(10) / (4 + np.exp(10)) + 0.5 / 5)
    assert np.isclose(chances[2][2], 1) and (chances[2] == chances[3]).all()


def test_the_scripted_learner_is_as_good_as_its_history():
    """Chance is gone by as much as trials have paid."""
    learner = ScriptedLearner(num_trials=4)
    actions = np.random.default_rng(0).integers(0, 5, (200 * TRIAL_LENGTH, 1))
    states, timesteps = jax.jit(observed)(one_room(), 3, actions)

    @jax.jit
    def logits():
        def step(life, moment):
            life, _, logits, _ = learner.decide(life, jax.random.key(0), *moment)
            return life, logits[0]

        start = learner.start(jax.random.key(0), jax.tree.map(lambda leaf: leaf[0], states), None)
        return jax.lax.scan(step, start, (states, timesteps))[1]

    is_paid = np.asarray(timesteps.reward)[1:, 0].reshape(-1, 8).any(1)
    num_paid = np.minimum(is_paid.cumsum() - is_paid, 4)
    assert set(num_paid) == set(range(5))
    least = np.exp(np.asarray(jax.nn.log_softmax(logits())))[:-1, :5].min(1).reshape(-1, 8)
    assert np.allclose(least, ((1 - num_paid / 4) / 5)[:, None], atol=1e-6)


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="has 2 agents"):
        make_learner("reinforce", EnvConfig(num_agents=2), 8)
    for change, words in (
        ({"temperature": 0}, "QLearner.temperature is 0"),
        ({"actions": (0, 0)}, "write different actions"),
        ({"actions": (9,)}, "An action of QLearner is 9"),
        ({"lambda_": 2}, "QLearner.lambda_ is 2"),
    ):
        with pytest.raises(ConfigError, match=words):
            QLearner(5, 5, 8, **change)
    with pytest.raises(ConfigError, match="ActorCritic.baseline_rate is 2"):
        ActorCritic(5, 5, 8, baseline_rate=2)
    with pytest.raises(
        ConfigError, match="ActorCritic.final_epsilon is 0.1, but it learns by the gradient of its soft"
    ):
        ActorCritic(5, 5, 8, final_epsilon=0.1)
    with pytest.raises(ConfigError, match="ScriptedLearner.num_trials is 0"):
        ScriptedLearner(num_trials=0)
