"""`check_env` lets good environments pass and says what is wrong with bad ones."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import ALL_PARTS, make_example, small_config

from xworld import ConfigError, Env, EnvConfig, State, Task, TimeStep
from xworld.core.testing import CheckError, check_env, check_task
from xworld.core.types import NOWHERE

CONFIG = small_config(num_agents=2)
TINY = EnvConfig(
    height=3, width=4, max_objects=2, max_rules=1, max_doors=1, view_size=3, see_through_walls=True, relations=("hold",)
)


def crowded_task(seed: int) -> Task:
    return make_example(CONFIG, seed, ALL_PARTS).task


def tiny_task(**changes: Any) -> Task:
    """An agent in the corner of a bare floor with an object in the opposite corner."""
    task = jax.tree.map(np.copy, make_example(TINY, 0, bytes(256)).task)
    start = {
        "terrain": np.full((3, 4), 0x16, np.uint8),
        "agent_position": np.array([[0, 0]], np.uint8),
        "object_kind": np.array([0x10, 0], np.uint8),
        "object_position": np.array([[2, 3], [NOWHERE, NOWHERE]], np.uint8),
        "trial_length": np.uint16(4),
        "num_trials": np.uint16(2),
    }
    return dataclasses.replace(task, **start | changes)


def test_good_environments_pass() -> None:
    for seed in range(10):
        check_env(Env(CONFIG), crowded_task(seed), key=jax.random.key(seed), num_steps=40)


def test_a_whole_episode_is_the_default() -> None:
    check_env(Env(TINY), tiny_task())


@dataclasses.dataclass(frozen=True)
class ChangedEnv(Env):
    """An environment whose steps end in a change that breaks a promise."""

    change: Callable[[State, TimeStep], tuple[State, TimeStep]] = lambda state, timestep: (state, timestep)

    def step(self, state: State, actions: jax.Array) -> tuple[State, TimeStep]:
        return self.change(*super().step(state, actions))


def lose_objects(state: State, timestep: TimeStep) -> tuple[State, TimeStep]:
    nowhere = jnp.full_like(state.scene.object_row, NOWHERE)
    scene = dataclasses.replace(
        state.scene,
        object_kind=jnp.zeros_like(state.scene.object_kind),
        object_row=nowhere,
        object_column=nowhere,
    )
    return dataclasses.replace(state, scene=scene), timestep


def leave_the_grid(state: State, timestep: TimeStep) -> tuple[State, TimeStep]:
    scene = dataclasses.replace(state.scene, agent_row=jnp.full_like(state.scene.agent_row, 7))
    return dataclasses.replace(state, scene=scene), timestep


def never_end(state: State, timestep: TimeStep) -> tuple[State, TimeStep]:
    return state, dataclasses.replace(timestep, discount=jnp.ones_like(timestep.discount))


def pay_double(state: State, timestep: TimeStep) -> tuple[State, TimeStep]:
    return state, dataclasses.replace(timestep, reward=jnp.full_like(timestep.reward, 2))


def pay_whole_numbers(state: State, timestep: TimeStep) -> tuple[State, TimeStep]:
    return state, dataclasses.replace(timestep, reward=timestep.reward.astype(jnp.int32))


def draw_the_viewer(state: State, timestep: TimeStep) -> tuple[State, TimeStep]:
    view = timestep.observation.view.at[:, -1, 1, 1].set(0xF0)
    return state, dataclasses.replace(timestep, observation=dataclasses.replace(timestep.observation, view=view))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lose_objects, "After step 1 it is not true that objects come, go and change by rules only."),
        (leave_the_grid, "After step 1 it is not true that agents stand only where they can walk."),
        (never_end, "After step 8 it is not true that discount is 1, and 0 when the episode is over."),
        (pay_double, "After step 1 it is not true that a reward is 0 or 1."),
        (pay_whole_numbers, "timestep.reward of step is ShapeDtypeStruct(shape=(1,), dtype=int32), not float32[1]."),
        (draw_the_viewer, "After step 1 it is not true that an agent does not see itself."),
    ],
)
def test_a_broken_promise_is_named(change: Callable[[State, TimeStep], tuple[State, TimeStep]], message: str) -> None:
    with pytest.raises(CheckError) as error:
        check_env(ChangedEnv(TINY, change), tiny_task())
    assert str(error.value) == message


NOWHERE_AT_ALL = np.full((1, 2), NOWHERE, np.uint8)
TWO_PLACES = np.array([[2, 3], [2, 3]], np.uint8)


NO_CODE = "which is none of its codes; docs/contract.md lists them."


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"terrain": np.zeros((3, 5), np.uint8)},
            "task.terrain is uint8[3, 5] where uint8[3, 4] is needed. "
            "Build the task with the configuration of this environment.",
        ),
        (
            {"trial_length": np.int32(4)},
            "task.trial_length is int32[] where uint16[] is needed. "
            "Build the task with the configuration of this environment.",
        ),
        *[
            ({name: np.full_like(getattr(tiny_task(), name), code)}, f"task.{name} has {code}, {NO_CODE}")
            for name, code in (
                ("terrain", 200),
                ("door_state", 7),
                ("agent_facing", 9),
                ("object_kind", 0xE6),
                ("object_frozen", 2),
            )
        ],
        (
            {
                "terrain": np.array([[0x50, *[0x16] * 3], *[[0x16] * 4] * 2], np.uint8),
                "door_position": np.zeros((1, 2), np.uint8),
                "door_state": np.ones(1, np.uint8),
            },
            "The task places agent 0 in a shut door, at row 0, column 0; open the door.",
        ),
        ({"num_trials": np.uint16(0)}, "task.num_trials is 0; write at least 1."),
        ({"agent_position": NOWHERE_AT_ALL}, "The task has no agent; place at least one."),
        (
            {"agent_position": np.array([[3, 0]], np.uint8)},
            "The task places agent 0 at row 3, column 0; put it on floor or door.",
        ),
        (
            {"object_kind": np.array([0x10, 0x10], np.uint8), "object_position": TWO_PLACES},
            "The task places object 1 where object 0 is, at row 2, column 3.",
        ),
        (
            {"object_kind": np.zeros(2, np.uint8)},
            "task.object_kind has to be 0 in the slots whose object_position is NOWHERE, and only there.",
        ),
        (
            {"object_frozen": np.array([0, 1], np.uint8)},
            "task.object_frozen has to be 0 in empty slots; what is produced into them is not frozen.",
        ),
        (
            {"door_position": np.array([[1, 1]], np.uint8)},
            "task.door_position is [[1, 1]]; list every door cell of task.terrain once, and no other.",
        ),
        (
            {"rules": dataclasses.replace(tiny_task().rules, relation=np.ones(1, np.uint8))},
            "task.rules has relation 1, but EnvConfig.relations has only hold.",
        ),
    ],
)
def test_a_task_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_task(TINY, tiny_task(**changes))
    assert str(error.value) == message
