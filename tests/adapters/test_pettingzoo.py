import adapter_tasks
import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

from xworld import ConfigError
from xworld.adapters.pettingzoo import PettingZooEnv
from xworld.tasks import TaskSet

EPISODE = 10  # steps


@pytest.fixture(scope="module")
def tasks():
    return adapter_tasks.numbered(adapter_tasks.TOGETHER, adapter_tasks.TOGETHER.replace(".01#", "1.0#"))


@pytest.mark.parametrize("observation", ["flat", pytest.param("structured", marks=pytest.mark.slow)])
def test_pettingzoo_finds_nothing_to_complain_of(tasks, observation):
    env, source = tasks
    parallel_api_test(PettingZooEnv(source, env, observation=observation), num_cycles=30)


def test_seeds(tasks):
    env, source = tasks
    parallel_seed_test(lambda: PettingZooEnv(source, env), num_cycles=30)


def test_agents_are_paid_on_their_own(tasks):
    env, _ = tasks
    one = PettingZooEnv(adapter_tasks.make(adapter_tasks.TOGETHER)[1], env)
    assert one.agents == []
    one.reset(seed=0)
    seen, rewards, over, cut, infos = one.step({"agent_0": adapter_tasks.PICK_UP, "agent_1": adapter_tasks.NOOP})
    assert rewards == {"agent_0": 1.0, "agent_1": 0.0}
    assert over == cut == {"agent_0": False, "agent_1": False} and set(infos) == set(seen) == set(one.agents)
    for _ in range(EPISODE - 1):
        *_, over, _, _ = one.step(dict.fromkeys(one.agents, adapter_tasks.NOOP))
    assert over == {"agent_0": True, "agent_1": True} and one.agents == []


def test_who_is_not_in_a_task_is_not_among_the_agents():
    env, task = adapter_tasks.make(adapter_tasks.WITHOUT_THE_SECOND, num_agents=2)
    one = PettingZooEnv(TaskSet.from_tasks([task]), env)
    seen, infos = one.reset(seed=0)
    assert one.agents == list(seen) == list(infos) == ["agent_0"] and len(one.possible_agents) == 2
    assert one.step({"agent_0": adapter_tasks.PICK_UP})[1] == {"agent_0": 1.0}


def test_pictures_and_words(tasks):
    env, source = tasks
    one = PettingZooEnv(source, env, render_mode="rgb_array")
    one.reset(seed=0)
    assert one.render().shape == (160, 160, 3) and one.render().dtype == np.uint8
    one = PettingZooEnv(source, env, render_mode="ansi")
    one.reset(seed=0)
    assert "You are agent0." in one.render() and "You are agent1." in one.render()


def test_what_is_wrong_is_said(tasks):
    env, source = tasks
    one = PettingZooEnv(source, env)
    with pytest.raises(ConfigError, match=r"Call reset\(\)"):
        one.step({})
    with pytest.raises(ConfigError, match="seed is -1; write a whole number"):
        one.reset(seed=-1)
    one.reset(seed=0)
    with pytest.raises(ConfigError, match="write one for each of"):
        one.step({"agent_0": 0})
    with pytest.raises(ConfigError, match="The action of agent_1 is 9"):
        one.step({"agent_0": 0, "agent_1": 9})
    with pytest.raises(ConfigError, match="The action of agent_1 is "):
        one.step({"agent_0": 0, "agent_1": np.array([1, 2])})
    with pytest.raises(ConfigError, match="is a str; write a task"):
        one.reset(options={"task": "probes:two_players"})
