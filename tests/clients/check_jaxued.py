"""JaxUED's adapter, with JaxUED."""

import adapter_tasks
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xworld.adapters.jaxued import JaxUEDEnv

EPISODE = 8  # steps
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def one():
    env, tasks = adapter_tasks.numbered(adapter_tasks.ALONE)
    return JaxUEDEnv(tasks, env)


@pytest.fixture
def old_name(monkeypatch):
    """The release of JaxUED calls `jax.tree_map`, which jax no longer has; its repository does not."""
    monkeypatch.setattr(jax, "tree_map", jax.tree.map, raising=False)


def test_the_level_sampler_keeps_tasks(one, old_name):
    from jaxued.level_sampler import LevelSampler

    sampler = LevelSampler(capacity=8, duplicate_check=True)
    levels = jax.vmap(one.sample_random_level)(jax.random.split(KEY, 6))

    @jax.jit
    def fill(levels):
        buffer = sampler.initialize(jax.tree.map(lambda leaf: leaf[0], levels))
        buffer, _ = sampler.insert_batch(buffer, levels, jnp.arange(6.0))
        buffer, index = sampler.insert(buffer, jax.tree.map(lambda leaf: leaf[2], levels), 9.0)  # it is there already
        buffer, (indices, drawn) = sampler.sample_replay_levels(buffer, KEY, 4)
        buffer = sampler.update_batch(buffer, indices, jnp.full(4, 7.0))
        return buffer, index, indices, drawn

    buffer, index, indices, drawn = fill(levels)
    assert int(buffer["size"]) == 6 and int(index) == 2
    np.testing.assert_array_equal(drawn.world_id, np.asarray(levels.world_id)[np.asarray(indices)])
    assert (np.asarray(buffer["scores"])[np.asarray(indices)] == 7).all()
    _, state = one.reset_to_level(KEY, jax.tree.map(lambda leaf: leaf[0], drawn))
    assert int(state.state.task.world_id) == int(drawn.world_id[0])


def test_the_replay_wrapper_plays_a_level_again(one, old_name):
    from jaxued.wrappers import AutoReplayWrapper

    env = AutoReplayWrapper(one)
    level = one.sample_random_level(KEY)
    _, state = env.reset_to_level(KEY, level, env.default_params)
    for _ in range(EPISODE):
        observation, state, _, done, _ = env.step(KEY, state, adapter_tasks.NOOP, env.default_params)
    assert bool(done) and one.observer.layout.part(observation, "time_left") == 4
    assert int(state.env_state.state.task.world_id) == int(level.world_id)
