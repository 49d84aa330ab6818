"""gymnax' adapter, with gymnax."""

import adapter_tasks
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import spaces
from gymnax.wrappers.purerl import FlattenObservationWrapper, LogWrapper

from xworld.adapters.gymnax import GymnaxEnv

EPISODE = 8  # steps
NUM_ENVS = 5
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def tasks():
    return adapter_tasks.numbered(adapter_tasks.ALONE)


def test_gymnax_own_wrappers_take_it(tasks):
    env, source = tasks
    one = LogWrapper(FlattenObservationWrapper(GymnaxEnv(source, env, num_values=6)))
    params = one.default_params
    _, state = one.reset(KEY, params)
    for _ in range(EPISODE):
        _, state, _, terminated, _, info = one.step(KEY, state, adapter_tasks.PICK_UP, params)
    assert bool(terminated) and float(info["returned_episode_returns"]) == EPISODE


def test_spaces_are_its_own(tasks):
    env, source = tasks
    for observation, space in (("flat", spaces.Box), ("one_hot", spaces.Box), ("structured", spaces.Dict)):
        one = GymnaxEnv(source, env, observation=observation)
        assert type(one.observation_space(one.default_params)) is space
    assert type(one.action_space()) is spaces.Discrete and one.action_space().n == 7


def test_vmap_over_tasks_and_over_seeds(tasks):
    """Params may be batched, and batches of batches are what an algorithm with several seeds makes."""
    env, source = tasks
    one = GymnaxEnv(source, env)
    sources = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), one.default_params)
    keys = jax.random.split(KEY, (2, NUM_ENVS))
    reset = jax.vmap(jax.vmap(one.reset, in_axes=(0, None)), in_axes=(0, 0))
    step = jax.jit(jax.vmap(jax.vmap(one.step, in_axes=(0, 0, None, None)), in_axes=(0, 0, None, 0)))
    _, states = reset(keys, sources)
    for _ in range(EPISODE):
        _, states, _, done, _ = step(keys, states, adapter_tasks.NOOP, sources)
    assert done.shape == (2, NUM_ENVS) and done.all()
    assert len(np.unique(states.state.task.world_id)) == 2 * NUM_ENVS
