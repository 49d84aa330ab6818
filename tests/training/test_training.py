import dataclasses
import functools
from dataclasses import replace
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_rooms import SANITY_TASKS, TinyRooms, TinyRoomsOfTwoGoals, env_config, sanity_config
from tiny_rooms import SMALL_AGENT as SMALL

from xworld import ConfigError, Env, Task, VectorEnv
from xworld.agents import MEMORIES, distribution, make_agent
from xworld.agents.return_scale import ReturnScale
from xworld.base.configs import from_json, to_json
from xworld.core.env import Outcome
from xworld.training import PRESETS, PPOConfig, RunConfig, use_host_devices
from xworld.training.learners.losses import clipped_surrogate
from xworld.training.learners.returns import generalised_advantage, rewards_to_go
from xworld.training.learners.schedules import anneal, warm_up
from xworld.training.logs.metrics import mean_row
from xworld.training.rollouts.rollout import collect, start_actor, unroll
from xworld.training.run.trainer import make_trainer

BATCH, LENGTH = 6, 11
TASKS = TinyRooms(trial_length=4, num_trials=2)  # episodes of 8 steps: each rollout has an end in it


# `test_agents` asks of each memory whether it gives the same step by step and along a rollout.
ALL_MEMORIES: list[Any] = ["gru", *(pytest.param(memory, marks=pytest.mark.slow) for memory in MEMORIES[1:])]


def test_advantages_equal_a_plain_loop():
    length, batch = 7, 3
    random = np.random.default_rng(0)
    rewards, values = random.normal(size=(length, batch)), random.normal(size=(length + 1, batch))
    discounts = np.full((length, batch), 0.9)
    discounts[2, 0] = discounts[4, 1] = 0  # two episodes end
    expected = np.zeros((length, batch))
    for b in range(batch):
        for t in range(length):
            weight = 1.0
            for later in range(t, length):
                error = rewards[later, b] + discounts[later, b] * values[later + 1, b] - values[later, b]
                expected[t, b] += weight * error
                weight *= discounts[later, b] * 0.8
    found = generalised_advantage(jnp.array(rewards), jnp.array(values), jnp.array(discounts), 0.8)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_rewards_to_go_equal_a_plain_loop():
    random = np.random.default_rng(0)
    rewards, is_last = random.normal(size=(9, 4)), np.zeros((9, 4), bool)
    is_last[[2, 6, 8, 0], [0, 0, 1, 2]] = True
    expected, is_known = np.zeros((9, 4)), np.zeros((9, 4), bool)
    for env in range(4):
        for step in range(9):
            ends = [later for later in range(step, 9) if is_last[later, env]]
            is_known[step, env] = bool(ends)
            later = np.arange(step, (ends or [8])[0] + 1)
            expected[step, env] = (rewards[later, env] * 0.9 ** (later - step)).sum()
    discounts = jnp.where(is_last, 0, 0.9)
    found, is_reached = rewards_to_go(jnp.array(rewards), discounts, jnp.array(is_last))
    np.testing.assert_array_equal(is_reached, is_known)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_row_is_of_updates_that_have_a_value():
    """But a loss that is not finite once is seen."""
    ones, some = jnp.ones(3), jnp.array([jnp.nan, 2, 4])
    sums = {"trial_sums": jnp.ones((3, 7)), "trial_counts": jnp.ones((3, 7))}
    row = mean_row(sums | {"loss": ones, "explained_variance": some, "other": ones * jnp.nan, "gradient_norm": some})
    assert (row["loss"], row["explained_variance"], row["return_trial_1"]) == (1, 3, 1)
    assert np.isnan(row["other"]) and np.isnan(row["gradient_norm"])


def test_clipping_has_known_values_and_gradients():
    ratio, advantage = jnp.array([0.5, 0.9, 1.1, 1.5, 0.5, 1.5]), jnp.array([1.0, 1.0, 1.0, 1.0, -1.0, -1.0])
    loss = clipped_surrogate(jnp.log(ratio), advantage, clip=0.2)
    np.testing.assert_allclose(loss, [-0.5, -0.9, -1.1, -1.2, 0.8, 1.5], atol=1e-6)
    gradient = jax.grad(lambda log_ratio: clipped_surrogate(log_ratio, advantage, 0.2).sum())(jnp.log(ratio))
    np.testing.assert_allclose(gradient, [-0.5, -0.9, -1.1, 0, 0, 1.5], atol=1e-6)  # -ratio * A, or 0 beyond the clip


@pytest.mark.parametrize("shape, halfway_down", [("linear", 2.5), ("cosine", 3 - 2 * 0.1464466)])
def test_schedules_fall_and_stay(shape, halfway_down):
    found = [float(anneal(3.0, 1.0, jnp.float32(progress), shape)) for progress in (0, 0.25, 0.5, 1, 2)]
    np.testing.assert_allclose(found, [3, halfway_down, 2, 1, 1], rtol=1e-6)


def test_the_learning_rate_warms_up():
    found = [float(warm_up(jnp.float32(progress), 0.1)) for progress in (0, 0.05, 0.1, 1)]
    np.testing.assert_allclose(found, [1e-3, 0.5, 1, 1], rtol=1e-6)
    assert warm_up(jnp.float32(0), 0.0) == 1


def test_returns_are_normalised_by_running_moments():
    scale = ReturnScale.start()
    np.testing.assert_allclose(scale.to_returns(jnp.array([2.0])), [2])  # nothing seen yet
    returns = np.random.default_rng(0).normal(7, 3, size=(50, 1000))
    for some in returns:
        scale = scale.update(jnp.float32(some.mean()), jnp.float32(some.var()), decay=0.9)
    np.testing.assert_allclose(scale.to_values(jnp.array([7.0, 10.0, 1.0])), [0, 1, -2], atol=0.05)
    np.testing.assert_allclose(scale.to_returns(scale.to_values(jnp.array([4.0]))), [4], rtol=1e-5)
    first = ReturnScale.start().update(jnp.float32(5), jnp.float32(0), decay=0.9)  # all the same: no division by 0
    np.testing.assert_allclose(first.to_values(jnp.array([5.0, 6.0])), [0, 100], atol=0.1)


def test_a_large_mean_return_leaves_the_deviation_as_it_is():
    for mean in (0, 100, 10_000):
        scale = ReturnScale.start()
        for some in np.random.default_rng(0).normal(mean, 1, size=(50, 1000)):
            scale = scale.update(jnp.float32(some.mean()), jnp.float32(some.var()), decay=0.99)
        np.testing.assert_allclose(scale.to_returns(jnp.float32(1)) - scale.to_returns(jnp.float32(0)), 1, atol=0.02)


def test_moments_of_returns_are_those_of_all_updates_by_their_weights():
    updates, decay = [(1.0, 4.0), (3.0, 1.0), (-2.0, 0.0)], 0.8  # means and variances
    scale = ReturnScale.start()
    for mean, variance in updates:
        scale = scale.update(jnp.float32(mean), jnp.float32(variance), decay)
    weights = np.array([decay**2, decay, 1.0])
    means, variances = np.transpose(updates)
    mean = np.average(means, weights=weights)
    variance = np.average(variances + (means - mean) ** 2, weights=weights)
    np.testing.assert_allclose([scale.mean, scale.variance], [mean, variance], rtol=1e-5)


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Mixed:
    """Episodes of 1 to 3 trials of 3 to 6 steps."""

    def sample(self, key: jax.Array) -> Task:
        task_key, length_key, number_key = jax.random.split(key, 3)
        length = jax.random.randint(length_key, (), 3, 7).astype(jnp.uint16)
        number = jax.random.randint(number_key, (), 1, 4).astype(jnp.uint16)
        return dataclasses.replace(TASKS.sample(task_key), trial_length=length, num_trials=number)


@functools.cache
def played(does_clear=False):
    """Four rollouts of `Mixed`: what was done, the trials that ended, and what the agent says along each afterwards.

    Steps [4, T, B, ...]; sums and counts of trials [4, ...]; log-probabilities and values [4, T, B, 1]; and the
    differences [4] between the two briefings of a rollout.
    """
    agent = make_agent(replace(SMALL, clear_memory_at_trials=does_clear), env_config())
    vec, source = VectorEnv(Env(env_config()), BATCH), Mixed()

    @jax.jit
    def start(key):
        params = jax.tree.map(lambda leaf: leaf + 0.3 * jax.random.normal(key, leaf.shape), agent.init(key))
        return params, start_actor(agent, vec, key, source)

    @jax.jit
    def roll_out(params, actor, key):
        actor, rollout, trials = collect(agent, params, vec, actor, key, source, LENGTH)
        told_now, told_next = (agent.encode_briefing(params, briefing) for briefing in rollout.context.briefings)
        output = unroll(agent, params, rollout)
        log_probability = distribution.log_probability(output.logits, rollout.steps.action)
        return actor, (rollout.steps, trials, log_probability, output.value, jnp.abs(told_next - told_now).max())

    params, actor = start(jax.random.key(0))
    found = []
    for index in range(4):
        actor, rest = roll_out(params, actor, jax.random.key(index))
        found.append(rest)
    assert roll_out._cache_size() == 1
    return jax.tree.map(lambda *leaves: np.stack(leaves), *found)


@pytest.mark.parametrize("does_clear", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_training_sees_what_acting_saw(does_clear):
    """The outputs computed again along rollouts, across new episodes and new briefings, are those acted on."""
    steps, trials, log_probability, values, briefing_difference = played(does_clear)
    np.testing.assert_allclose(log_probability, steps.log_probability, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(values, steps.value, rtol=1e-5, atol=1e-5)
    assert briefing_difference.min() > 0.01
    is_first = np.asarray(steps.discount) == 0  # [4, T, B], whether an episode begins after this step
    began = np.cumsum(np.pad(is_first, ((0, 0), (1, 0), (0, 0))), axis=1)[:, :-1] > 0
    np.testing.assert_array_equal(steps.is_next_task, began)

    # Trials end at every step, some of them begun in one rollout and ended in the next.
    sums, counts = np.zeros(7), np.zeros(7)
    seen = jax.tree.map(np.asarray, steps.observation)
    is_whole = seen.time_left[0, 0] == seen.trial_length[0, 0]  # of the rest, the run began in the midst of a trial
    so_far = np.where(is_whole, 0, np.nan)
    for rollout, time in np.ndindex(len(is_first), LENGTH):
        so_far += np.asarray(steps.reward)[rollout, time, :, 0]
        for env in np.flatnonzero(seen.time_left[rollout, time] == 1):
            columns = [int(seen.trial[rollout, time, env])] + [6] * int(seen.trials_left[rollout, time, env] == 0)
            if not np.isnan(so_far[env]):
                sums[columns] += so_far[env]
                counts[columns] += 1
            so_far[env] = 0
    assert counts[:2].all() and is_whole.any() and not is_whole.all()
    np.testing.assert_allclose(trials.sums.sum(0), sums)
    np.testing.assert_array_equal(trials.counts.sum(0), counts)


@pytest.mark.parametrize(("rooms", "max_goals"), [(TinyRooms, 1), (TinyRoomsOfTwoGoals, 2)])
def test_first_episodes_start_at_random_moments(rooms, max_goals):
    """So that an update sees all parts of episodes; what is seen is the state's."""
    env, num_envs, length = Env(dataclasses.replace(env_config(), max_goals=max_goals)), 256, 10
    vec, agent = VectorEnv(env, num_envs), make_agent(SMALL, env.config)
    tasks = rooms(trial_length=length, num_trials=4)
    actor = jax.jit(lambda key: start_actor(agent, vec, key, tasks))(jax.random.key(0))
    states = vec.states(actor.env_state)
    moments = np.asarray(states.trial, int) * length + np.asarray(states.time)
    counts = np.bincount(moments, minlength=4 * length)
    assert len(counts) == 4 * length
    assert counts.max() < 20  # of 6.4 expected
    assert (counts > 0).sum() > 30
    no = jnp.zeros(num_envs, bool)
    outcome = Outcome(reward=states.last_reward, event=no.astype(jnp.int32), is_trial_first=no, is_last=no)
    expected = jax.jit(jax.vmap(env.timestep))(states, outcome, no).observation
    chex.assert_trees_all_equal(actor.observation, expected)
    assert actor.is_reset.all()  # the memory is empty


@pytest.mark.slow  # quicker: `test_bfloat16_stays_near_float32`
@pytest.mark.parametrize("memory", MEMORIES)
def test_bfloat16_learns_what_it_acted(memory):
    """Acting and unrolling round in different ways; the policy that learning starts from is the one it computes."""
    config = sanity_config(memory)
    learner = replace(config.learner, learning_rate=1e-12, final_learning_rate=0.0)
    agent = make_agent(replace(config.agent, dtype="bfloat16"), config.env)
    trainer = make_trainer(replace(config, learner=learner, agent=agent.config, updates_per_chunk=1))
    given = trainer.given(SANITY_TASKS)
    *_, metrics, _ = trainer.chunk(trainer.start(given), given)
    assert float(metrics["clip_fraction"].max()) == 0
    assert float(metrics["kl"].max()) < 1e-10


def test_episodes_of_different_lengths_fill_rollouts_without_gaps():
    steps, trials, *_ = played()
    steps = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), steps)
    seen = steps.observation
    assert (seen.time_left > 0).all()  # after an episode's end the next begins at once
    assert {3, 4, 5, 6} == set(seen.trial_length.ravel())
    is_first_step = (seen.time_left == seen.trial_length) & (seen.trial == 0)
    assert steps.is_reset[0].all()  # a run begins with an empty memory, in the midst of episodes
    np.testing.assert_array_equal(steps.is_reset[1:], is_first_step[1:])
    np.testing.assert_array_equal(steps.discount[:-1] == 0, steps.is_reset[1:])
    is_known = np.cumsum(seen.time_left == seen.trial_length, axis=0) > 0  # not in trials that began before the run
    assert (~is_known & (seen.time_left == 1)).any()
    is_trial_end = is_known & (seen.time_left == 1)
    ended = [(is_trial_end & (seen.trial == trial)).sum() for trial in range(3)]
    counts = trials.counts.sum(0)
    np.testing.assert_array_equal(counts, [*ended, 0, 0, 0, (is_trial_end & (seen.trials_left == 0)).sum()])
    assert ended[0] > ended[1] > ended[2] > 0


@pytest.mark.parametrize("memory", ALL_MEMORIES)
def test_a_sanity_task_is_learned(memory):
    """Random play gets about 0.3 of 8; who turns to the object and takes it gets 5."""
    config, tasks = sanity_config(memory), SANITY_TASKS
    trainer = make_trainer(config)
    given, rows = trainer.given(tasks), []
    state = trainer.start(given)
    for _ in range(config.num_chunks):
        state, given, metrics, _ = trainer.chunk(state, given)
        rows.append(mean_row(metrics))
    assert rows[0]["return_trial_1"] < 1.5
    assert rows[-1]["return_trial_1"] > 2
    assert rows[-1]["entropy"] < rows[0]["entropy"]
    assert rows[-1]["explained_variance"] > 0.3


def test_every_preset_survives_json_and_can_be_overridden():
    for preset in PRESETS.values():
        config = preset()
        assert from_json(RunConfig, to_json(config)) == config
        assert hash(config) == hash(from_json(RunConfig, to_json(config)))
    changed = dataclasses.replace(config, learner=dataclasses.replace(config.learner, clip=0.1))
    assert from_json(RunConfig, to_json(changed)) == changed != config


def test_a_discount_that_ends_within_a_trial_is_pointed_out():
    assert not any(preset().short_sight for preset in PRESETS.values())
    config = replace(PRESETS["demo"](), universe=replace(PRESETS["demo"]().universe, trial_length=(75, 300)))
    assert config.short_sight.startswith("The discount of 0.99 looks 100 steps ahead, and trials have up to 300")
    assert not replace(config, learner=replace(config.learner, discount=0.9983)).short_sight


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "not JSON"),
        ("[]", r"RunConfig is \[\]; write an object"),
        ('{"num_env": 3}', "RunConfig has no field 'num_env'. Did you mean 'num_envs'?"),
        ('{"learner": {"clip": -1}}', "PPOConfig.clip is -1.0; write a number above 0"),
        ('{"num_envs": {}}', "RunConfig.num_envs is {}"),
        ('{"learner": {"kind": "pop"}}', "RunConfig.learner.kind is 'pop'. Did you mean 'ppo'?"),
        ('{"learner": {"kind": "ppo", "clop": 1}}', "of the kind 'ppo', has no field 'clop'. Did you mean 'clip'?"),
        ('{"learner": 3}', "RunConfig.learner is 3; write an object"),
    ],
)
def test_bad_json_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        from_json(RunConfig, text)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(num_envs=100), "100 environments do not divide into 8 minibatches of each of 8 groups. .* such as 128"),
        (dict(num_groups=0), "RunConfig.num_groups is 0"),
        (dict(chunks_per_evaluation=0), "RunConfig.chunks_per_evaluation is 0"),
        (dict(num_envs=0), "RunConfig.num_envs is 0; write a whole number of at least 1"),
        (dict(total_steps=0), "RunConfig.total_steps is 0"),
        (dict(updates_per_chunk=1.5), "RunConfig.updates_per_chunk is 1.5"),
        (dict(seed=1.5), "RunConfig.seed is 1.5; write a whole number from 0 to 4294967295"),
        (dict(seed=2**32), "RunConfig.seed is 4294967296"),
        (dict(shard_params="yes"), "RunConfig.shard_params is 'yes'; write True or False"),
    ],
)
def test_bad_runs_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        RunConfig(**change)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(rollout_length=0), "PPOConfig.rollout_length is 0; write a whole number of at least 1"),
        (dict(num_minibatches=0), "PPOConfig.num_minibatches is 0"),
        (dict(num_epochs=True), "PPOConfig.num_epochs is True"),
        (dict(discount=1.1), "PPOConfig.discount is 1.1; write a number from 0 to 1"),
        (dict(learning_rate=0.0), "PPOConfig.learning_rate is 0.0; write a number above 0"),
        (dict(entropy_weight=-1.0), "PPOConfig.entropy_weight is -1.0; write a number of at least 0"),
        (dict(clip=float("nan")), "PPOConfig.clip is nan"),
        (dict(schedule="cosin"), "PPOConfig.schedule is 'cosin'. Did you mean 'cosine'?"),
        (dict(old_outputs="unrol"), "PPOConfig.old_outputs is 'unrol'. Did you mean 'unroll'?"),
        (dict(return_decay=1.0), "PPOConfig.return_decay is 1.0; write a number from 0 to below 1"),
        (dict(warm_up=-0.1), "PPOConfig.warm_up is -0.1; write a number from 0 to 1"),
    ],
)
def test_bad_hyperparameters_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        PPOConfig(**change)


def test_numbers_of_numpy_become_pythons():
    config = RunConfig(seed=np.int64(3), learner=PPOConfig(learning_rate=np.float32(0.5), num_epochs=np.int32(3)))
    assert type(config.seed) is int and type(config.learner.learning_rate) is float
    assert from_json(RunConfig, to_json(config)) == config


def test_environments_that_no_number_of_devices_fits():
    with pytest.raises(ConfigError, match="8 groups .* cannot be shared out to 3 devices. .* of 3, such as 9"):
        RunConfig().check_devices(3)


def test_devices_are_chosen_before_jax_starts():
    jax.devices()
    with pytest.raises(ConfigError, match="comes too late: jax has started"):
        use_host_devices(2)
    with pytest.raises(ConfigError, match="num_devices is 0"):
        use_host_devices(0)
