import dataclasses

import adapter_tasks
import jax
import numpy as np
import pytest

import xworld
from xworld.adapters import FlatLayout
from xworld.adapters.flat import Observer


@pytest.fixture(scope="module")
def seen():
    """An environment for two, what both see after a step, and what they are told."""
    env, task = adapter_tasks.make(adapter_tasks.TOGETHER)
    state, _ = jax.jit(env.reset)(jax.random.key(0), task)
    _, timestep = jax.jit(env.step)(state, np.array([adapter_tasks.PICK_UP, 1]))
    return env, *jax.device_get((timestep.observation, env.briefing(task)))


def test_a_goal_that_changes_from_trial_to_trial_is_where_the_goal_is():
    env, task = adapter_tasks.make(adapter_tasks.CHANGING)
    _, timestep = jax.jit(env.reset)(jax.random.key(0), task)
    observation, briefing = jax.device_get((timestep.observation, env.briefing(task)))
    layout = FlatLayout(env.config)
    assert layout.fields == FlatLayout(dataclasses.replace(env.config, max_goals=1)).fields
    np.testing.assert_array_equal(layout.part(layout.encode(observation, briefing), "goal"), observation.goal)
    np.testing.assert_array_equal(
        Observer(env.config, "structured").observe(observation, briefing)["goal"], observation.goal
    )
    assert "goal" not in Observer(env.config, "structured", briefing=False).observe(observation, briefing)


@pytest.mark.parametrize("one_hot", [False, True])
def test_fields_fill_the_vector_and_the_briefing_comes_behind(one_hot):
    config = xworld.EnvConfig()
    told, untold = FlatLayout(config, one_hot=one_hot), FlatLayout(config, briefing=False, one_hot=one_hot)
    start = 0
    for field in told.fields.values():
        assert field.span.start == start
        start = field.span.stop
    assert start == told.size == len(told.high)
    assert list(told.fields.items())[: len(untold.fields)] == list(untold.fields.items())
    assert list(told.fields)[len(untold.fields) :] == ["goal", "rules", "agent_id"]


def test_the_layout_is_the_documented_one():
    found = {name: (field.start, field.shape) for name, field in FlatLayout(xworld.EnvConfig()).fields.items()}
    assert found == {
        "view": (0, (5, 5, 3)),
        "held": (75, ()),
        "direction": (76, ()),
        "last_action": (77, ()),
        "last_reward": (78, ()),
        "trial": (79, ()),
        "trials_left": (80, ()),
        "time_left": (81, ()),
        "trial_length": (82, ()),
        "goal": (83, (1, 1, 5)),
        "rules": (88, (16, 7)),
        "agent_id": (200, ()),
    }


def test_codes_are_the_numbers_themselves(seen):
    env, observation, briefing = seen
    layout = FlatLayout(env.config)
    flat = np.asarray(layout.encode(observation, briefing))
    assert flat.shape == (2, layout.size) and flat.dtype == np.float32
    for name in layout.fields:
        expected = getattr(observation, name, None)
        expected = getattr(briefing, name) if expected is None else expected
        expected = np.broadcast_to(expected, (2, *layout.fields[name].shape))
        np.testing.assert_array_equal(layout.part(flat, name), expected)
    assert observation.held[0] and observation.last_reward.tolist() == [1, 0] and observation.time_left == 4


def test_one_hot_codes_can_be_read_back(seen):
    env, observation, briefing = seen
    layout = FlatLayout(env.config, one_hot=True)
    flat = np.asarray(layout.encode(observation, briefing))
    for name, value in {"view": observation.view, "held": observation.held, "rules": briefing.rules}.items():
        halves = layout.part(flat, name).reshape(*value.shape, 2, 16)
        assert (halves.sum(axis=-1) == 1).all()
        np.testing.assert_array_equal(halves.argmax(axis=-1) @ [16, 1], value)
    for name in ("direction", "last_action"):
        np.testing.assert_array_equal(layout.part(flat, name).argmax(axis=-1), getattr(observation, name))
    np.testing.assert_allclose(layout.part(flat, "time_left"), 4 / 5)
    np.testing.assert_allclose(layout.part(flat, "trials_left"), 1 / 2)
    assert (flat >= 0).all() and (flat <= layout.high).all()


def test_a_dict_has_the_same_fields(seen):
    env, observation, briefing = seen
    observer = Observer(env.config, "structured")
    found = observer.observe(observation, briefing)
    assert list(found) == list(observer.layout.fields)
    for name, value in found.items():
        assert value.shape == (2, *observer.layout.fields[name].shape) and value.dtype == observer.dtype(name)
    np.testing.assert_array_equal(found["view"], observation.view)


def test_what_is_wrong_is_said(seen):
    env, observation, _ = seen
    for call, message in (
        (lambda: FlatLayout(env), "write an EnvConfig"),
        (lambda: FlatLayout(env.config, briefing=1), "briefing is 1"),
        (lambda: FlatLayout(env.config).encode(observation), "give env.briefing"),
        (lambda: FlatLayout(env.config).part(np.zeros(9), "veiw"), "Did you mean 'view'"),
        (lambda: Observer(env.config, "pixels"), "'pixels' is unknown"),
    ):
        with pytest.raises(xworld.ConfigError, match=message):
            call()
