import adapter_tasks
import jax
import pytest

from xworld import ConfigError
from xworld.adapters.jaxued import JaxUEDEnv

EPISODE = 8  # steps
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def one():
    env, tasks = adapter_tasks.numbered(adapter_tasks.ALONE)
    return JaxUEDEnv(tasks, env)


def test_a_level_is_a_task(one):
    level = one.sample_random_level(KEY)
    assert int(one.sample_random_level(jax.random.PRNGKey(0)).world_id) == int(
        level.world_id
    )  # the classic kind of key
    observation, state = one.reset_to_level(KEY, level, one.default_params)
    assert observation.shape == (one.observer.layout.size,)
    for time in range(1, EPISODE + 2):
        _, state, reward, done, _ = one.step(KEY, state, adapter_tasks.PICK_UP, one.default_params)
        assert (float(reward), bool(done)) == (float(time <= EPISODE), time >= EPISODE)  # nothing resets by itself
    assert int(state.state.task.world_id) == int(level.world_id)
    assert one.action_space(one.default_params).n == 7


def test_several_agents_are_refused():
    env, task = adapter_tasks.make(adapter_tasks.TOGETHER)
    with pytest.raises(ConfigError, match="for 2 agents; use xworld.adapters.jaxmarl, or num_agents=1"):
        JaxUEDEnv(task, env)
