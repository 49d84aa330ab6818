"""JaxMARL's adapter, with JaxMARL."""

import adapter_tasks
import jax
import numpy as np
import pytest
from jaxmarl.environments import MultiAgentEnv
from jaxmarl.environments.spaces import Space

from xworld.adapters.jaxmarl import JaxMARLEnv

EPISODE = 10  # steps
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def one():
    env, tasks = adapter_tasks.numbered(adapter_tasks.TOGETHER)
    return JaxMARLEnv(tasks, env)


def test_it_keeps_the_base_classes_promises(one):
    """What JaxMARL's own tests/test_envs_implement_base_api.py asks of an environment."""
    assert isinstance(one, MultiAgentEnv) and one.num_agents == 2 and one.agents == ["agent_0", "agent_1"]
    observations, state = one.reset(KEY)
    actions = {agent: one.action_space(agent).sample(KEY) for agent in one.agents}
    result = one.step(KEY, state, actions)
    assert isinstance(result, tuple) and len(result) == 5
    next_observations, _, rewards, dones, infos = result
    for agent in one.agents:
        assert one.observation_spaces[agent] is one.observation_space(agent)
        assert one.action_spaces[agent] is one.action_space(agent)
        assert isinstance(one.observation_space(agent), Space) and isinstance(one.action_space(agent), Space)
        for seen in (observations, next_observations):
            assert bool(one.observation_space(agent).contains(seen[agent]))
        assert rewards[agent].shape == dones[agent].shape == ()
    assert set(dones) == {"agent_0", "agent_1", "__all__"}
    assert {name: value.shape for name, value in infos.items()} == {"is_trial_first": (2,), "event": (2,)}
    assert one.agent_classes == {"agent": one.agents}


def test_a_new_task_after_the_end(one):
    _, state = one.reset(KEY)
    first = int(state.state.task.world_id)
    total = 0.0
    for time in range(1, EPISODE + 1):
        actions = {"agent_0": np.int32(adapter_tasks.PICK_UP), "agent_1": np.int32(adapter_tasks.NOOP)}
        _, state, rewards, dones, _ = one.step(jax.random.key(time), state, actions)
        total += float(rewards["agent_0"])
        assert bool(dones["__all__"]) == (time == EPISODE) and float(rewards["agent_1"]) == 0
    assert total == EPISODE and int(state.state.task.world_id) != first and int(state.step) == 0


def test_actions_may_be_arrays_of_one(one):
    """As in JaxMARL's baselines, which make them of [number of agents, number of environments, 1]."""
    _, state = one.reset(KEY)
    plain, boxed = ({agent: np.full(shape, 3) for agent in one.agents} for shape in ((), (1,)))
    jax.tree.map(np.testing.assert_array_equal, one.step(KEY, state, plain), one.step(KEY, state, boxed))


def test_a_state_to_reset_to(one):
    _, start = one.reset(KEY)
    state = start
    actions = dict.fromkeys(one.agents, np.int32(1))
    for _ in range(EPISODE):
        observations, state, *_ = one.step(KEY, state, actions, start)
    jax.tree.map(np.testing.assert_array_equal, state, start)
    jax.tree.map(np.testing.assert_array_equal, observations, one.get_obs(start))


def test_who_is_not_there_can_only_wait():
    env, task = adapter_tasks.make(adapter_tasks.WITHOUT_THE_SECOND, num_agents=2)
    one = JaxMARLEnv(task, env)
    seen, state = one.reset(KEY)
    assert seen["agent_0"].any() and not seen["agent_1"].any()
    available = one.get_avail_actions(state)
    assert available["agent_0"].all() and available["agent_1"].tolist() == [False] * 6 + [True]
