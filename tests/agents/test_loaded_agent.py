"""`LoadedAgent`: the same actions as `Agent.step` by hand, a memory of one episode, and clear words for misuse."""

import dataclasses
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from habit_network import Habit
from tiny_rooms import SMALL_AGENT, env_config

from xworld import Briefing, ConfigError, Observation
from xworld.agents import Agent, AgentConfig, LoadedAgent, make_agent, save

ENV_CONFIG = env_config(side=5)
TRIAL = 3  # steps
DOCS = Path(__file__).parents[2] / "docs"


def make_loaded(config: AgentConfig) -> LoadedAgent:
    """An agent whose actions are far from uniform."""
    agent, draw = make_agent(config, ENV_CONFIG), np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(0, 0.4, leaf.shape), leaf.dtype),
        jax.eval_shape(agent.init, jax.random.key(0)),
    )
    return LoadedAgent(agent, params)


@pytest.fixture
def loaded() -> LoadedAgent:
    return make_loaded(SMALL_AGENT)


def briefing_of(*batch: int) -> Briefing:
    goal = jnp.broadcast_to(jnp.array([3, 0, 0xF0, 0x12, 0], jnp.uint8), (*batch, 1, 1, 1, 5))
    rules = jnp.broadcast_to(jnp.array([255, 0, 0, 0, 0, 0, 0], jnp.uint8), (*batch, 1, 1, 7))
    return Briefing(goal=goal, rules=rules, agent_id=jnp.zeros((*batch, 1), jnp.uint8))


def observations(*batch: int, num: int = 3 * TRIAL, seed: int = 0) -> list[Observation]:
    """Made-up ones of an episode."""
    draw = np.random.default_rng(seed)

    def one(time: int) -> Observation:
        def all_of(value: int) -> np.ndarray:
            return np.full(batch, value, np.int32)

        return Observation(
            view=draw.integers(0, 60, (*batch, 1, 5, 5, 3)).astype(np.uint8),
            held=draw.integers(0, 60, (*batch, 1)).astype(np.uint8),
            direction=draw.integers(0, 4, (*batch, 1)).astype(np.uint8),
            last_action=draw.integers(0, 7, (*batch, 1)).astype(np.uint8),
            last_reward=draw.integers(0, 2, (*batch, 1)).astype(np.float32),
            trial=all_of(time // TRIAL),
            trials_left=all_of(2 - time // TRIAL),
            time_left=all_of(TRIAL - time % TRIAL),
            trial_length=all_of(TRIAL),
        )

    return [one(time) for time in range(num)]


def play(loaded: LoadedAgent, seen: list[Observation]) -> list[np.ndarray]:
    """The probabilities at every step of an episode."""
    loaded.start(briefing_of())
    return [(loaded.act(observation), loaded.probabilities)[1] for observation in seen]


@pytest.mark.parametrize("clear", [False, True])
def test_it_acts_as_agent_step_does(clear):
    loaded = make_loaded(dataclasses.replace(SMALL_AGENT, clear_memory_at_trials=clear))
    agent, params = loaded.agent, loaded.params
    loaded.start(briefing_of(), is_greedy=True)
    told, memory = jax.jit(agent.encode_briefing)(params, briefing_of()), agent.start_memory()
    step = jax.jit(agent.step)
    for time, observation in enumerate(observations()):
        is_reset = jnp.bool(time == 0 or (clear and time % TRIAL == 0))
        output = step(params, observation, told, memory, is_reset)
        logits, value, memory = output.logits, output.value, output.memory
        actions = loaded.act(observation)
        assert actions.shape == (1,) and actions[0] == logits.argmax()
        np.testing.assert_allclose(loaded.probabilities, jax.nn.softmax(logits), atol=1e-6)
        np.testing.assert_allclose(loaded.value, value, atol=1e-6)


def test_trials_are_remembered_and_episodes_are_not(loaded):
    seen = observations()
    other = observations(seed=1)[:TRIAL] + seen[TRIAL:]
    alone, after_another = play(loaded, seen), play(loaded, other)
    assert all((one != two).any() for one, two in zip(alone, after_another, strict=True))  # up to the last trial
    for one, again in zip(alone, play(loaded, seen), strict=True):
        np.testing.assert_array_equal(one, again)


class Forgetful(Habit):
    """A network of one's own that counts the steps that it remembers, and begins again with every trial."""

    def is_reset(self, timestep):
        return timestep.is_trial_first

    def step(self, params, observation, told, memory, is_reset):
        memory = jnp.where(is_reset[..., None, None], 0, memory) + 1
        return dataclasses.replace(super().step(params, observation, told, memory, is_reset), value=memory[..., 0])


@pytest.mark.parametrize("batch", [(), (2,)])
def test_a_network_of_ones_own_says_when_it_forgets(batch):
    agent = Forgetful()
    loaded = LoadedAgent(agent, agent.init(None), env_config=ENV_CONFIG)
    loaded.start(briefing_of(*batch))
    counts = [(loaded.act(observation), loaded.value)[1] for observation in observations(*batch)]
    expected = np.broadcast_to(np.arange(3 * TRIAL) % TRIAL + 1, (*batch, 1, 3 * TRIAL))
    np.testing.assert_array_equal(np.stack(counts, -1), expected)


def test_actions_are_drawn_by_their_probabilities(loaded):
    batch = 2000
    (observation,) = observations(num=1)
    many = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (batch, *np.shape(leaf))), observation)
    loaded.start(briefing_of(batch))
    actions = loaded.act(many)
    assert actions.shape == loaded.value.shape == (batch, 1)
    shares = np.bincount(actions[:, 0], minlength=7) / batch
    np.testing.assert_allclose(shares, loaded.probabilities[0, 0], atol=0.04)
    assert (loaded.probabilities[0] < 0.9).all()

    loaded.start(briefing_of(batch))  # the next episode is drawn anew, and the same one with the same key
    assert (loaded.act(many) != actions).any()
    drawn = []
    for _ in range(2):
        loaded.start(briefing_of(batch), jax.random.key(5))
        drawn.append(loaded.act(many))
    np.testing.assert_array_equal(*drawn)


def test_episodes_share_compiled_code(loaded, monkeypatch):
    loaded = make_loaded(dataclasses.replace(SMALL_AGENT, head_size=8))
    traces, step = [], Agent.step
    monkeypatch.setattr(Agent, "step", lambda *arguments: traces.append(1) or step(*arguments))
    for is_greedy in (False, True):
        loaded.start(briefing_of(), is_greedy=is_greedy)
        for observation in observations():
            loaded.act(observation)
    assert len(traces) == 1


def test_misuse_is_named(loaded):
    first, *_ = observations(num=1)
    with pytest.raises(ConfigError, match=r"in no episode. Call start\(briefing\) before act"):
        loaded.act(first)
    two = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]), briefing_of())
    with pytest.raises(ConfigError, match="briefing is for 2 agents, but 1 were trained. Use environments of"):
        loaded.start(two)
    loaded.start(briefing_of())
    with pytest.raises(ConfigError, match=r"has not acted in this episode. Call act\(observation\)"):
        _ = loaded.value
    far = dataclasses.replace(first, view=np.zeros((1, 7, 7, 3), np.uint8))
    with pytest.raises(ConfigError, match=r"view has shape \[1, 7, 7, 3\], but the agent's are \[1, 5, 5, 3\]"):
        loaded.act(far)
    with pytest.raises(ConfigError, match=r"held has shape \[2\], but the agent's are \[1\]"):
        loaded.act(dataclasses.replace(first, held=np.zeros(2, np.uint8)))
    loaded.act(first)
    loaded.start(briefing_of())
    with pytest.raises(ConfigError, match="has not acted in this episode"):
        _ = loaded.probabilities


ROOM = '''
goal = "hold(agent, black cube)"
rules = ["hold(agent, purple ball) -> black cube"]
trial_length = 6
num_trials = 2
map = """
#####
#0.b#
#...#
#####
"""
[legend]
b = "purple ball"
'''


def test_the_documented_loop_runs(loaded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("runs/demo", loaded.agent, loaded.params)
    Path("room.toml").write_text(ROOM)
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", (DOCS / "agents.md").read_text(), re.DOTALL)
               if "agents.load" in block)  # fmt: skip
    names: dict[str, object] = {}
    exec(compile(code, "agents.md", "exec"), names)
    assert int(names["state"].trial) == 1 and bool(names["timestep"].is_last)
