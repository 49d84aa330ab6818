"""The optimiser: Adam with parameters that start anew, parts that stay as they are, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from tiny_rooms import SMALL_AGENT, env_config

from xworld import ConfigError
from xworld.agents import make_agent
from xworld.base.xla.devices import make_mesh
from xworld.training import Batch, OptimiserConfig, PlasticityConfig, PPOConfig
from xworld.training.learners.learner import Trained


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(beta1=1.0), "OptimiserConfig.beta1 is 1.0; write a number from 0 to below 1"),
        (dict(eps=0.0), "OptimiserConfig.eps is 0.0; write a number above 0"),
        (dict(weight_decay=-1.0), "OptimiserConfig.weight_decay is -1.0; write a number of at least 0"),
        (dict(frozen="memory"), r"OptimiserConfig.frozen is 'memory'; write names of parts .* such as \('memory',\)"),
        (dict(frozen=(1,)), r"OptimiserConfig.frozen is \(1,\); write names of parts"),
    ],
)
def test_bad_optimisers_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        OptimiserConfig(**change)


def test_adam_goes_on_with_new_parameters_as_with_its_first_step():
    """And with the others as if nothing had been forgotten."""
    optimiser, batch = OptimiserConfig(max_gradient_norm=1e9), Batch(1, 1)
    gradients = jax.random.normal(jax.random.key(0), (43, 6))
    is_new = jnp.arange(6) < 3

    def steps(gradients, forget_at=None):
        def step(carry, now):
            params, moments = carry
            gradient, index = now
            new, moments, _ = optimiser.step(params, moments, gradient, jnp.float32(0.1), batch)
            if forget_at is not None:
                moments = optimiser.forget(moments, new, is_new & (index == forget_at), batch)
            return (new, moments), new - params

        start = jnp.ones(6), optimiser.start(jnp.ones(6), forgets=forget_at is not None)
        return jax.lax.scan(step, start, (gradients, jnp.arange(len(gradients))))[1]

    def run(gradients, **options):
        run = jax.shard_map(
            lambda gradients: steps(gradients, **options),
            mesh=make_mesh(),
            in_specs=P(),
            out_specs=P(),
            check_vma=False,
        )
        return np.asarray(jax.jit(run)(gradients))

    found, fresh, never = run(gradients, forget_at=39), run(gradients[40:]), run(gradients)
    np.testing.assert_allclose(found[40:, :3], fresh[:, :3], rtol=1e-3)
    np.testing.assert_allclose(np.abs(fresh[0]), 0.1, rtol=1e-3)  # a first step is as large as the learning rate
    np.testing.assert_allclose(found[:, 3:], never[:, 3:], rtol=1e-4)


def test_frozen_parts_stay_as_they_are_and_the_others_learn_as_if_alone():
    """Their gradients count for no norm, and nothing decays."""
    params = {"memory": {"layers": [{"kernel": jnp.ones(3), "bias": jnp.ones(2)}]}, "policy": {"kernel": jnp.ones(2)}}
    gradient = jax.tree.map(lambda leaf: 3.0 * leaf, params)

    def step(frozen, params, gradient):
        optimiser = OptimiserConfig(weight_decay=0.1, max_gradient_norm=1.0, frozen=frozen)
        run = jax.shard_map(
            lambda params: optimiser.step(params, optimiser.start(params), gradient, jnp.float32(0.1), Batch(1, 1)),
            mesh=make_mesh(), in_specs=P(), out_specs=P(), check_vma=False,
        )  # fmt: skip
        new, _, norm = jax.jit(run)(params)
        return jax.device_get(new), float(norm)

    new, norm = step(("memory",), params, gradient)
    alone, norm_alone = step((), params["policy"], gradient["policy"])
    assert (new["memory"]["layers"][0]["kernel"] == 1).all() and (new["memory"]["layers"][0]["bias"] == 1).all()
    np.testing.assert_array_equal(new["policy"]["kernel"], alone["kernel"])
    assert norm == norm_alone == pytest.approx(3 * 2**0.5)
    new, _ = step(["bias", "policy"], params, gradient)  # a list, as from JSON
    assert (new["memory"]["layers"][0]["bias"] == 1).all() and (new["policy"]["kernel"] == 1).all()
    assert (new["memory"]["layers"][0]["kernel"] != 1).all()


def test_what_is_to_be_frozen_is_a_part_of_the_network():
    agent = make_agent(SMALL_AGENT, env_config(5))
    trained = Trained(jax.eval_shape(agent.init, jax.random.key(0)), ())
    with pytest.raises(
        ConfigError, match=r"^OptimiserConfig.frozen has 'memori', no part's name. Did you mean 'memory'\?"
    ):
        jax.eval_shape(OptimiserConfig(frozen=("memori",)).start, trained)
    with pytest.raises(ConfigError, match=r"frozen keeps parts .* Leave one of the two out\.$"):
        PPOConfig(optimiser=OptimiserConfig(frozen=("memory",)), plasticity=PlasticityConfig(replacement=0.1))
    jax.eval_shape(OptimiserConfig(frozen=("memory", "policy_output", "agent")).start, trained)
