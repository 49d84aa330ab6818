"""An update of PPO by hand-made steps: what has no weight changes nothing, and what an advice makes of the loss."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from habit_network import Habit
from jax.sharding import PartitionSpec as P

from xworld.base.xla.devices import make_mesh
from xworld.core.types import Observation
from xworld.training.learners.learner import Batch, Trained
from xworld.training.learners.ppo import PPO, PPOConfig
from xworld.training.learners.terms.term import Advice, Guidance
from xworld.training.rollouts.rollout import Context, Rollout, Steps

LENGTH, NUM_ENVS = 5, 4
SHAPE = LENGTH, NUM_ENVS


class Told(Habit):
    """A habit that is told an array."""

    def encode_briefing(self, params, briefing):
        return briefing


LEARNER = PPO(PPOConfig(rollout_length=LENGTH, num_minibatches=2, num_epochs=1), Told())


def rollout_of(weight, log_probability):
    """Steps of one agent, in no episode that ends, with [T, B] weights and log-probabilities of random actions."""
    random = np.random.default_rng(0)
    held, number = jnp.zeros((*SHAPE, 1), jnp.uint8), jnp.zeros(SHAPE, jnp.int32)
    observation = Observation(
        view=jnp.ones((*SHAPE, 1, 1, 1, 3), jnp.uint8), held=held, direction=held, last_action=held,
        last_reward=held.astype(jnp.float32), trial=number, trials_left=number, time_left=number + 2,
        trial_length=number + 9,
    )  # fmt: skip
    steps = Steps(
        weight=jnp.asarray(weight)[..., None], task_id=jnp.zeros((*SHAPE, 2), jnp.int32), observation=observation,
        is_reset=jnp.zeros(SHAPE, bool), is_next_task=jnp.zeros(SHAPE, bool),
        action=jnp.asarray(random.integers(0, 7, (*SHAPE, 1)), jnp.int32),
        log_probability=jnp.asarray(log_probability)[..., None], value=jnp.zeros((*SHAPE, 1)),
        reward=jnp.asarray(random.normal(size=(*SHAPE, 1)), jnp.float32), discount=jnp.ones(SHAPE),
    )  # fmt: skip
    told = jnp.zeros((NUM_ENVS, 1, 1))
    context = Context(None, (told, told), memory=jnp.zeros((NUM_ENVS, 1, 1)), last_value=jnp.zeros((NUM_ENVS, 1)))
    return Rollout(steps, context)


@jax.jit
@partial(jax.shard_map, mesh=make_mesh(1), in_specs=P(), out_specs=P(), check_vma=False)
def learn(trained, state, rollout):
    return LEARNER.learn(
        trained, state, rollout, (), (), jax.random.key(1), jnp.float32(0), Batch(num_envs=NUM_ENVS, num_groups=1)
    )


@pytest.fixture(scope="module")
def begun():
    """Parameters and a state after an update, so that moments and scale are not those of the start."""
    trained = Trained(LEARNER.agent.init(None), ())
    state = LEARNER.start(trained, jax.random.key(0))
    return learn(trained, state, rollout_of(np.ones(SHAPE, np.float32), np.full(SHAPE, -np.log(7), np.float32)))[:2]


@jax.tree_util.register_static
class Adviser:
    """Has values near 3; leaves a quarter of the policy gradient."""

    name = "adviser"

    def loss(self, own, output, steps, extra, progress):
        return jnp.square(output.value - extra)

    def in_values(self, extra, scale):
        return 3 * extra

    def guide(self, progress):
        return Guidance(weight=jnp.float32(0.5), own=jnp.float32(0.25), l2=jnp.float32(0.1))


def test_an_advice_leaves_a_part_of_the_policys_loss_and_adds_its_own():
    config = PPOConfig(rollout_length=LENGTH, num_minibatches=1, num_epochs=1, entropy_weight=0.05)
    learner, term = PPO(config, Told()), Adviser()
    trained = Trained({"logits": jnp.arange(7) / 7, "value": jnp.float32(0.4)}, ((),))
    before = np.random.default_rng(1).normal(-2, 1, SHAPE).astype(np.float32)

    @jax.jit
    @partial(jax.shard_map, mesh=make_mesh(1), in_specs=P(), out_specs=P(), check_vma=False)
    def update(trained, rollout, extra):
        state, batch = learner.start(trained, jax.random.key(0)), Batch(num_envs=NUM_ENVS, num_groups=1)
        key = jax.random.key(1)
        return learner.learn(trained, state, rollout, (extra,), (term,), key, jnp.float32(0), batch)[2].metrics

    found = update(trained, rollout_of(np.ones(SHAPE, np.float32), before), jnp.ones((*SHAPE, 1)))
    found = {name: float(value) for name, value in found.items()}
    assert isinstance(term, Advice) and found["weight_adviser"] == 0.5
    assert found["term_adviser"] == pytest.approx((3 - 0.4) ** 2, rel=1e-5)
    assert abs(found["policy_loss"]) > 0.01 and found["entropy_weight"] == pytest.approx(0.05)
    squares = float(jnp.square(trained.agent["logits"]).sum()) + 0.4**2
    expected = 0.25 * found["policy_loss"] + config.value_weight * found["value_loss"]
    expected += found["term_adviser"] - 0.05 * found["entropy"] + 0.5 * 0.1 * squares
    assert found["loss"] == pytest.approx(expected, rel=1e-5)


def assert_equal(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_an_update_without_a_learned_step_changes_nothing(begun):
    never = np.zeros(SHAPE, np.float32)
    trained, state, report = learn(*begun, rollout_of(never, np.full(SHAPE, -2, np.float32)))
    assert_equal((trained, state), begun)
    assert float(report.metrics["gradient_norm"]) == 0
    once = never.copy()
    once[2, 1] = 1
    trained, state, _ = learn(*begun, rollout_of(once, np.full(SHAPE, -2, np.float32)))
    assert state.return_scale.weight > begun[1].return_scale.weight
    assert (trained.agent["logits"] != begun[0].agent["logits"]).any()


def test_what_has_no_weight_counts_for_nothing_however_unlikely_it_was(begun):
    """A partner's action may be one that the learner hardly ever takes: its ratio is infinite later."""
    weight = np.ones(SHAPE, np.float32)
    weight[1:3, 2] = 0
    likely = np.full(SHAPE, -2, np.float32)
    expected = learn(*begun, rollout_of(weight, likely))
    found = learn(*begun, rollout_of(weight, np.where(weight > 0, likely, -300).astype(np.float32)))
    assert_equal(found, expected)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found[0]))
