"""Resets, continual backprop, dead units and the rank of features."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from devices_worker import short_config
from tiny_rooms import SANITY_TASKS, SMALL_AGENT, env_config

from xworld import ConfigError
from xworld.agents import make_agent
from xworld.training import PlasticityConfig, PPOConfig, make_trainer
from xworld.training.learners.plasticity import PlasticityState, Units, _choose, effective_rank, measure, renew

H = 4  # hidden units of a head
HEADS = ("policy", "policy_output", "value", "value_output")
AGENT = make_agent(dataclasses.replace(SMALL_AGENT, head_size=H), env_config())


@functools.cache
def params():
    """Trained parameters, as it were: nothing in them is as it was drawn."""
    return jax.jit(lambda key: jax.tree.map(lambda leaf: leaf + 1, AGENT.init(key)))(jax.random.key(0))


def arrays(tree):
    """By layer and part, of the heads."""
    found = {}
    for path, leaf in jax.tree.flatten_with_path(tree)[0]:
        if path[0].key in HEADS:
            found.setdefault(path[0].key, {})[path[1].key] = np.asarray(leaf)
    return found


def renewed(config, state, found, progress):
    new, is_new, state = _renewed(config, params(), state, found, jnp.float32(progress))
    return new, arrays(is_new), state


@functools.partial(jax.jit, static_argnums=0)
def _renewed(config, params, state, found, progress):
    return renew(config, AGENT, params, state, found, jax.random.key(7), progress)


def changed(new):
    """The layers in which anything is new."""
    leaves, old = jax.tree.flatten_with_path(new)[0], jax.tree.leaves(params())
    return {path[0].key for (path, leaf), was in zip(leaves, old, strict=True) if (leaf != was).any()}


@pytest.mark.parametrize(("reset", "layers"), [("outputs", {"policy_output", "value_output"}), ("heads", set(HEADS))])
def test_resets_come_once_and_draw_their_layers_again(reset, layers):
    config = PlasticityConfig(reset=reset, reset_at=(0.25, 0.5))
    state, found = PlasticityState(jnp.int32(0), {}), []
    for progress in (0.2, 0.25, 0.3, 0.7, 1.0):
        new, is_new, state = renewed(config, state, {}, progress)
        found.append(changed(new))
        is_chosen = {name for name, of_layer in is_new.items() if all(part.all() for part in of_layer.values())}
        assert is_chosen == found[-1]
    assert found == [set(), layers, set(), layers, set()] and int(state.num_resets) == 2
    drawn = arrays(jax.jit(AGENT.init)(jax.random.key(7)))
    again, _, _ = renewed(config, PlasticityState(jnp.int32(0), {}), {}, 0.3)
    for name in layers:
        np.testing.assert_allclose(arrays(again)[name]["kernel"], drawn[name]["kernel"], atol=1e-6)


def units(utility, age, due=0.0):
    return Units(jnp.array(utility, jnp.float32), jnp.array(age, jnp.int32), jnp.float32(due))


def test_continual_backprop_replaces_the_least_useful_of_the_mature():
    config = PlasticityConfig(replacement=0.25, maturity=10, utility_decay=0.5)
    size = np.abs(arrays(params())["policy_output"]["kernel"]).sum(1)
    # Of the policy's units three are mature, and 0.9 of one was due before: 0.9 + 0.25 * 3 is one, and 0.65 are left.
    policy = units([0.4, 0.0, 0.8, 0.3], [10, 3, 50, 11], due=0.9)
    value = units([0.0] * H, [1] * H)
    found = {"policy_size": jnp.array([0.2, 0.0, 0.2, 0.2]), "value_size": jnp.ones(H)}
    state = PlasticityState(jnp.int32(0), {"policy": policy, "value": value})
    new, is_new, after = renewed(config, state, found, 0.5)

    utility = 0.5 * np.array([0.4, 0.0, 0.8, 0.3]) + 0.5 * np.array([0.2, 0, 0.2, 0.2]) * size
    least = [0, 2, 3][int(np.argmin(utility[[0, 2, 3]]))]
    is_unit = np.arange(H) == least
    np.testing.assert_allclose(after.units["policy"].utility, np.where(is_unit, 0, utility), rtol=1e-5)
    np.testing.assert_array_equal(after.units["policy"].age, np.where(is_unit, 0, [11, 4, 51, 12]))
    np.testing.assert_allclose(after.units["policy"].due, 0.65, rtol=1e-5)
    np.testing.assert_array_equal(after.units["value"].age, [2] * H)

    assert changed(new) == {"policy", "policy_output"}
    drawn, old, new = (arrays(tree) for tree in (jax.jit(AGENT.init)(jax.random.key(7)), params(), new))
    expected = np.where(is_unit, drawn["policy"]["kernel"], old["policy"]["kernel"])
    np.testing.assert_allclose(new["policy"]["kernel"], expected, atol=1e-6)
    expected = np.where(is_unit[:, None], 0, old["policy_output"]["kernel"])
    np.testing.assert_allclose(new["policy_output"]["kernel"], expected, atol=1e-6)
    np.testing.assert_array_equal(new["policy_output"]["bias"], old["policy_output"]["bias"])
    np.testing.assert_array_equal(is_new["policy"]["kernel"].all(0), is_unit)
    np.testing.assert_array_equal(is_new["policy_output"]["kernel"].all(1), is_unit)
    assert not is_new["policy_output"]["bias"].any() and not is_new["value"]["kernel"].any()


def test_utilities_are_compared_without_the_zeros_that_they_begin_with():
    config = PlasticityConfig(replacement=0.5, maturity=1, utility_decay=0.9)
    # The first has contributed 1 in each of two updates, the second 0.8 in each of many.
    after, is_new = _choose(config, units([0.1, 0.8], [1, 200]), jnp.array([1.0, 0.8]))
    np.testing.assert_array_equal(is_new, [False, True])
    np.testing.assert_allclose(after.utility, [0.19, 0], rtol=1e-5)


def test_measures_have_known_values():
    assert effective_rank(jnp.eye(5)) == 5 and effective_rank(jnp.ones((5, 5))) == 1
    assert effective_rank(jnp.diag(jnp.array([1.0, 0.25, 1e-6]))) == 2  # 1 and 0.5 are more than 99 % of 1.501
    found = {"policy_active": jnp.array([0, 0.1, 0.5, 1]), "value_active": jnp.zeros(4), "products": jnp.eye(3)}
    assert measure(PlasticityConfig(measures=True), found) == {"dead_units": 5 / 8, "feature_rank": 3}
    assert measure(PlasticityConfig(), {}) == {}


def run(plasticity):
    """The sanity task for four updates."""
    config = short_config()
    config = dataclasses.replace(config, learner=dataclasses.replace(config.learner, plasticity=plasticity))
    trainer = make_trainer(config)
    given = trainer.given(SANITY_TASKS)
    state, rows = trainer.start(given), []
    for _ in range(2):
        state, given, metrics, _ = trainer.chunk(state, given)
        rows.append(jax.device_get(metrics))
    return dataclasses.replace(state, key=None), rows


@pytest.mark.slow  # two runs are compiled; the test below measures too
def test_what_is_only_measured_changes_nothing():
    plain, _ = run(PlasticityConfig())
    measured, rows = run(PlasticityConfig(measures=True))
    for leaf, expected in zip(*map(jax.tree.leaves, (measured.params, plain.params)), strict=True):
        np.testing.assert_allclose(leaf, expected, rtol=1e-3, atol=1e-5)
    for row in rows:
        assert ((row["feature_rank"] > 1) & (row["feature_rank"] <= SMALL_AGENT.memory_size)).all()
        assert ((row["dead_units"] >= 0) & (row["dead_units"] < 0.5)).all()


@pytest.mark.slow  # quicker: `test_resets_come_once_and_draw_their_layers_again`
def test_a_run_resets_its_heads_and_their_moments():
    """At the end of four updates, with everything on; and without the reset units are replaced one by one."""
    plasticity = PlasticityConfig(reset="heads", reset_at=(0.9,), replacement=0.5, maturity=1, measures=True)
    state, rows = run(plasticity)
    assert int(state.learner.plasticity.num_resets) == 1
    moments = state.learner.moments.value
    for name in HEADS:
        assert all((leaf == 0).all() for leaf in jax.tree.leaves((moments.mu.agent[name], moments.nu.agent[name])))
    assert any((leaf != 0).any() for leaf in jax.tree.leaves(moments.mu.agent["memory"]))
    assert (state.learner.plasticity.units["policy"].age == 0).all()
    assert np.isfinite(rows[-1]["loss"]).all()
    assert ((rows[0]["feature_rank"] > 1) & (rows[0]["feature_rank"] <= SMALL_AGENT.memory_size)).all()
    assert ((rows[0]["dead_units"] >= 0) & (rows[0]["dead_units"] < 0.5)).all()


@pytest.mark.slow  # the test above has the same code, and ends with a reset
def test_a_run_replaces_units():
    state, rows = run(PlasticityConfig(replacement=0.5, maturity=1))
    ages = np.asarray(state.learner.plasticity.units["policy"].age)
    assert (ages < 4).sum() >= 8 and (ages == 4).any()  # of 32 units
    assert np.isfinite(rows[-1]["loss"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(reset="all"), "PlasticityConfig.reset: 'all' is unknown"),
        (dict(reset="heads"), "PlasticityConfig.reset is 'heads' and reset_at (): nothing would be reset"),
        (dict(reset_at=(0.5,)), "PlasticityConfig.reset is 'none' and reset_at (0.5,): nothing would be reset"),
        (dict(reset="heads", reset_at=(0.5, 0.5)), "write each share once, in ascending order"),
        (
            dict(reset="heads", reset_at=(1.0,)),
            "A share of PlasticityConfig.reset_at is 1.0; write a number from above",
        ),
        (dict(reset="heads", reset_at=0.5), "PlasticityConfig.reset_at is 0.5; write shares, such as (0.5,)"),
        (dict(replacement=2.0), "PlasticityConfig.replacement is 2.0; write a number from 0 to 1"),
        (dict(maturity=0), "PlasticityConfig.maturity is 0; write a whole number of at least 1"),
        (dict(measures=1), "PlasticityConfig.measures is 1; write True or False"),
    ],
)
def test_bad_plasticity_is_refused(change, message):
    with pytest.raises(ConfigError) as error:
        PlasticityConfig(**change)
    assert message in str(error.value)


def test_a_network_of_ones_own_has_no_heads_that_are_known():
    with pytest.raises(ConfigError, match="knows the heads of xworld's own networks, not those of str"):
        PPOConfig(plasticity=PlasticityConfig(measures=True)).make("a network")
