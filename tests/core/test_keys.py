"""Random keys of both styles are taken wherever keys are taken; what is none is refused in one line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import xworld
from xworld import ConfigError, VectorEnv
from xworld.agents import AgentConfig, NoopPolicy, make_agent
from xworld.core.keys import as_key
from xworld.evaluation import evaluate, record, sample_tasks
from xworld.tasks import TaskPool, TaskSet, probes

PROBE = probes("navigation")[0]
ENV = xworld.Env(PROBE.config)
TASKS = TaskSet(jax.tree.map(lambda leaf: jnp.stack([leaf] * 2), PROBE.task()))
VEC = VectorEnv(ENV, 2)
UNIVERSE = xworld.make_universe("trivial")
POLICY = NoopPolicy()
RESET = jax.jit(VEC.reset)

TAKERS = {
    "Env.reset": lambda key: ENV.reset(key, PROBE.task()),
    "VectorEnv.reset": lambda key: VEC.reset(key, TASKS),
    "VectorEnv.refill": lambda key: VEC.refill(RESET(jax.random.key(0), TASKS)[0], key, TASKS),
    "TaskSet.sample": TASKS.sample,
    "Universe.sample": UNIVERSE.sample,
    "TaskPool.sample": TaskPool(UNIVERSE, 10, 10).sample,
    "Agent.init": make_agent(AgentConfig(), ENV.config).init,
}


@pytest.mark.parametrize("name", TAKERS)
def test_keys_of_both_styles_are_taken(name):
    take = TAKERS[name]
    new, old = (jax.eval_shape(take, make(0)) for make in (jax.random.key, jax.random.PRNGKey))
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), new) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), old
    )
    with pytest.raises(ConfigError, match=r"write jax\.random\.key\(0\)"):
        take(jnp.zeros(3, jnp.uint32))


@pytest.mark.slow
def test_both_styles_give_the_same():
    new, old = jax.random.key(7), jax.random.PRNGKey(7)
    assert as_key(new) is new and (as_key(old) == new).item()
    for first, second in zip(jax.tree.leaves(RESET(new, TASKS)), jax.tree.leaves(RESET(old, TASKS)), strict=True):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(*(evaluate(ENV, TASKS.tasks, POLICY, key).returns for key in (new, old)))
    assert all((a == b).all() for a, b in zip(*(record(ENV, PROBE.task(), POLICY, key)[0].scene.__dict__.values()
                                                for key in (new, old)), strict=True))  # fmt: skip
    np.testing.assert_array_equal(*(sample_tasks(TASKS, key, 5).object_kind for key in (new, old)))


@pytest.mark.parametrize("key", [0, "a seed", np.uint32([1, 2, 3]), jax.random.split(jax.random.key(0)), jnp.ones(2)])
def test_what_is_no_key_is_refused(key):
    with pytest.raises(ConfigError, match=r"^The key is .*; write jax\.random\.key\(0\), with a seed of your own"):
        ENV.reset(key, PROBE.task())


def test_a_seed_may_be_a_plain_number():
    task = PROBE.task()
    state, _ = jax.eval_shape(lambda: ENV.reset_from_seed(5, task))
    assert state.seed.dtype == jnp.uint32 and state.seed.shape == ()
    for seed in (-1, 2**32, True):
        with pytest.raises(ConfigError, match="seed is"):
            ENV.reset_from_seed(seed, task)
