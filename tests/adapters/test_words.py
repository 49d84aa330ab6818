import dataclasses

import adapter_tasks
import jax
import numpy as np
import pytest
import tiny_tasks

import xworld
from xworld.adapters import action_named, briefing_words, observation_words, system_words, useful_actions
from xworld.core import kinds
from xworld.core.step.actions import ACTION_NAMES

NUM_TASKS, NUM_STEPS = 12, 8


def start(text: str):
    env, task = adapter_tasks.make(text)
    state, timestep = jax.jit(env.reset)(jax.random.key(0), task)
    return env, task, state, timestep.observation


def test_an_observation_in_words():
    env, _, _, observation = start(adapter_tasks.ALONE)
    assert observation_words(observation) == "\n".join(
        [
            "Trial 1 of 2; 4 of 4 steps left.",
            "Your last action was noop; it paid 0.",
            "You face north and hold nothing.",
            "Your view (@ is you, ahead is up, ? is hidden or outside):",
            "?????",
            "?????",
            "#####",
            "#.a.#",
            "#.@.#",
            "a: red ball",
        ]
    )
    assert useful_actions(env.config, observation) == ["turn right", "turn left", "pick up", "noop"]


def test_a_goal_that_changes_is_said_with_what_is_seen():
    env, task, _, observation = start(adapter_tasks.CHANGING)
    assert briefing_words(env.briefing(task)).startswith("You are agent.\nEvery trial has a goal of its own.\nRules:\n")
    second = observation_words(observation).splitlines()[1]
    goals = ("hold(agent, red ball)", "near(agent, blue cube)")
    assert second in [f"Your goal in this trial: {goal}" for goal in goals]


def test_another_agent_is_described_as_it_is_seen():
    _, _, _, observation = start(adapter_tasks.TOGETHER)
    assert "a: red ball" in observation_words(observation, 0)
    assert "b: agent1, facing the same way, holding nothing" in observation_words(observation, 0)
    with pytest.raises(xworld.ConfigError, match="agent is 2; write 0 to 1"):
        observation_words(observation, 2)


def test_every_description_has_a_letter_of_its_own():
    _, _, _, observation = start(adapter_tasks.ALONE)
    things = [shape * 16 + colour for shape in range(1, 7) for colour in range(12)]
    view = np.zeros((15, 15, 3), np.uint8)  # the largest there is
    for index, (thing, is_frozen) in enumerate((thing, frozen) for thing in things for frozen in (0, 1)):
        view[index // 15, index % 15] = kinds.BLACK_FLOOR, thing, is_frozen
    words = observation_words(dataclasses.replace(observation, view=view[None])).splitlines()
    letters = [line[0] for line in words if line[1:3] == ": "]
    assert len(letters) == len(set(letters)) == 2 * len(things)
    assert not set(letters) & set("@?#.~+")


def test_what_is_hidden_is_not_told():
    env, task, *_ = start(adapter_tasks.ALONE)
    assert briefing_words(env.briefing(task)) == "You are agent.\nYour goal: hold(agent, red ball)\nRules:\n?"
    assert all(name in system_words(env.config) for name in ACTION_NAMES)


def test_useful_actions_are_those_that_change_something():
    """In tiny tasks of all kinds, without rules: these would change something whatever the agent does."""
    env = xworld.Env(tiny_tasks.CONFIG)
    reset, step = jax.jit(env.reset), jax.jit(jax.vmap(env.step, in_axes=(None, 0)))
    generator = np.random.default_rng(0)
    num_useless = 0
    for _ in range(NUM_TASKS):
        task = tiny_tasks.tiny_task(generator)
        task = xworld.Task(**{**vars(task), "rules": jax.tree.map(np.zeros_like, task.rules)})
        state, timestep = reset(jax.random.key(int(generator.integers(100))), task)
        for _ in range(NUM_STEPS):
            useful = useful_actions(env.config, timestep.observation)
            states, timesteps = step(state, np.arange(7)[:, None])
            before, after = jax.device_get((state.scene, states.scene))
            for action, name in enumerate(ACTION_NAMES[:-1]):
                changes = any((getattr(after, field)[action] != getattr(before, field)).any() for field in vars(before))
                assert changes == (name in useful), (name, useful)
                num_useless += not changes
            action = int(generator.integers(6))
            state, timestep = jax.tree.map(lambda leaf, action=action: leaf[action], (states, timesteps))
    assert num_useless > NUM_TASKS * NUM_STEPS  # most actions do nothing


@pytest.mark.parametrize(
    ("text", "action"),
    [("forward", 0), ("I could turn left, but: PICK_UP.", 3), ("put down", 4), ("no idea, noop", 6)],
)
def test_the_last_action_that_is_named_counts(text, action):
    assert action_named(text) == action


def test_a_reply_without_an_action_is_an_error():
    with pytest.raises(xworld.ConfigError, match="names no action. Write one of: forward"):
        action_named("I give up")
