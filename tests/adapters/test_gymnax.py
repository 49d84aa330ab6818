from importlib.util import find_spec

import adapter_tasks
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xworld import ConfigError
from xworld.adapters.gymnax import GymnaxEnv

EPISODE = 8  # steps
NUM_ENVS = 5
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def tasks():
    return adapter_tasks.numbered(adapter_tasks.ALONE)


@pytest.fixture(scope="module")
def one(tasks):
    env, source = tasks
    return GymnaxEnv(source, env)


def test_five_values_and_a_new_task_after_the_end(one):
    observation, state = one.reset(KEY)
    assert observation.shape == (one.observer.layout.size,) and observation.dtype == jnp.float32
    first = int(state.state.task.world_id)
    for time in range(1, EPISODE + 1):
        observation, state, reward, done, info = one.step(jax.random.key(time), state, adapter_tasks.PICK_UP)
        assert (float(reward), bool(done)) == (1.0, time == EPISODE)
    assert float(info["discount"]) == 0 and int(state.state.task.world_id) != first and int(state.time) == 0
    assert one.observer.layout.part(observation, "time_left") == 4
    # The classic kind of key does as well.
    again = one.step(jax.random.PRNGKey(EPISODE), state, adapter_tasks.PICK_UP)
    assert float(again[2]) == 1.0


def test_six_values_tell_the_end_from_a_cut(tasks):
    env, source = tasks
    one = GymnaxEnv(source, env, num_values=6, observation="structured")
    params = one.default_params.replace(max_steps_in_episode=3)
    observation, state = one.reset(KEY, params)
    for time in range(1, 4):
        before = observation
        observation, state, _, terminated, truncated, info = one.step(KEY, state, adapter_tasks.NOOP, params)
        assert (bool(terminated), bool(truncated)) == (False, time == 3)
    assert int(before["time_left"]) == 2 and int(info["final_observation"]["time_left"]) == 1
    assert int(observation["time_left"]) == 4 and float(info["discount"]) == 1
    assert bool(info["truncated"]) and not bool(info["terminated"])


def test_without_automatic_reset_the_state_stays(tasks):
    env, source = tasks
    one = GymnaxEnv(source, env, auto_reset=False)
    _, state = one.reset(KEY)
    for _ in range(EPISODE + 2):
        observation, state, reward, done, _ = one.step(KEY, state, adapter_tasks.PICK_UP)
    assert bool(done) and float(reward) == 0 and one.observer.layout.part(observation, "time_left") == 0


@pytest.mark.slow  # quicker: `test_it_equals_a_loop_of_single_environments`
def test_vmapped_steps_are_single_steps(one):
    """Also where some episodes end, of different lengths of life, in a batch larger than is made at once."""
    size, params = 20, one.default_params
    keys = jax.random.split(KEY, size)
    _, states = jax.vmap(one.reset, in_axes=(0, None))(keys, params)
    ages = jnp.arange(size) % 4
    time = states.state.time + ages.astype(states.state.time.dtype)
    trial = jnp.ones_like(states.state.trial)
    scene = type(states.state)(**{**vars(states.state), "time": time, "trial": trial})
    states = type(states)(**{**vars(states), "state": scene})
    actions = jnp.arange(size) % 7
    together = jax.jit(jax.vmap(one.step, in_axes=(0, 0, 0, None)))(keys, states, actions, params)
    assert together[3].sum() == size // 4
    for env_id in range(size):
        single = one.step(keys[env_id], jax.tree.map(lambda leaf, i=env_id: leaf[i], states), actions[env_id], params)
        jax.tree.map(
            lambda a, b, i=env_id: np.testing.assert_array_equal(np.asarray(a)[i], np.asarray(b)), together, single
        )


def test_the_briefing_can_be_taken_away_without_a_recompile(one):
    layout = one.observer.layout
    told, untold = (one.reset(KEY, one.default_params.replace(is_briefed=jnp.array(flag)))[0] for flag in (True, False))
    assert layout.part(told, "goal").any() and not layout.part(untold, "goal").any()
    start = layout.fields["goal"].start
    np.testing.assert_array_equal(told[:start], untold[:start])
    assert not layout.part(untold, "rules").any()


def test_so_can_a_goal_that_changes():
    env, task = adapter_tasks.make(adapter_tasks.CHANGING)
    one = GymnaxEnv(task, env)
    told, untold = (one.reset(KEY, one.default_params.replace(is_briefed=jnp.array(flag)))[0] for flag in (True, False))
    assert one.observer.layout.part(told, "goal").any() and not one.observer.layout.part(untold, "goal").any()


def test_params_may_be_static(one):
    """As in the wrappers of Craftax_Baselines."""
    shapes = [jax.jit(one.reset, static_argnums=at).eval_shape(KEY, one.default_params) for at in (1, ())]
    assert shapes[0] == shapes[1]


@pytest.mark.slow  # quicker: `test_vmapped_steps_are_single_steps`
def test_a_batch_does_what_vmap_does(tasks):
    env, source = tasks
    one = GymnaxEnv(source, env, num_values=6)
    many, params = one.batched(NUM_ENVS), one.default_params
    keys = jax.random.split(KEY, NUM_ENVS)
    seen, batch = many.reset(keys, params)
    vmapped_seen, states = jax.vmap(one.reset, in_axes=(0, None))(keys, params)
    step = jax.jit(jax.vmap(one.step, in_axes=(0, 0, 0, None)))
    np.testing.assert_array_equal(seen, vmapped_seen)
    numbers = set()
    for time in range(3 * EPISODE):
        keys = jax.random.split(jax.random.key(time), NUM_ENVS)
        actions = (jnp.arange(NUM_ENVS) * 3 + time) % 7
        numbers |= set(np.asarray(many.batches.vec.states(batch.vector).task.world_id).tolist())
        seen, batch, *rest = many.step(keys, batch, actions, params)
        vmapped_seen, states, *vmapped_rest = step(keys, states, actions, params)
        np.testing.assert_array_equal(seen, vmapped_seen)
        jax.tree.map(np.testing.assert_array_equal, rest, vmapped_rest)
    assert len(numbers) == 3 * NUM_ENVS


def test_spaces(tasks):
    env, source = tasks
    for observation in ("flat", "one_hot", "structured"):
        one = GymnaxEnv(source, env, observation=observation)
        seen, _ = one.reset(KEY)
        space = one.observation_space(one.default_params)
        # gymnax' own Dict takes its parts for attributes, and so does not contain its own samples.
        parts, found = (space.spaces, seen) if observation == "structured" else ({"": space}, {"": seen})
        assert set(parts) == set(found) and all(bool(part.contains(found[name])) for name, part in parts.items())
    assert space.spaces["view"].shape == (5, 5, 3)
    actions = one.action_space(one.default_params)
    assert actions.n == 7 and bool(actions.contains(actions.sample(KEY)))
    own = find_spec("gymnax") is None
    assert type(actions).__module__ == ("xworld.adapters.gymnax" if own else "gymnax.environments.spaces")


def test_what_is_wrong_is_said(tasks):
    env, source = tasks
    two, task = adapter_tasks.make(adapter_tasks.TOGETHER)
    for call, message in (
        (lambda: GymnaxEnv(task, two), "for 2 agents; use xworld.adapters.jaxmarl"),
        (lambda: GymnaxEnv(source, env, num_values=4), "num_values: 4 is unknown"),
        (lambda: GymnaxEnv(source, env, observation="rgb"), "'rgb' is unknown"),
        (lambda: GymnaxEnv(source, env, auto_reset=False).batched(2), "write auto_reset=True"),
        (lambda: GymnaxEnv(source, env).batched(0), "num_envs is 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            call()
