"""Shapes of what comes into the simulator are checked when it is traced; nothing is compiled here."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xworld import ConfigError, Env, EnvConfig, VectorEnv
from xworld.core.step.checks import as_actions, check_task, unshared
from xworld.histories import play_actions
from xworld.tasks import TaskSet, make_task

CONFIG = EnvConfig(height=4, width=5, num_agents=2, max_objects=2, max_rules=1, max_doors=1)
TASK = make_task(CONFIG, terrain=[[16, 16]], agents={0: (0, 0), 1: (0, 1)}, goals=())


@pytest.mark.parametrize("actions", [[0, 1], np.array([0, 1]), jnp.array([0, 1]), np.array([0, 1], np.int64)])
def test_actions_of_any_kind_are_taken(actions):
    assert as_actions(actions, (2,), "[A]").tolist() == [0, 1]


@pytest.mark.parametrize("action", [256, 2**32, 2**63, -(2**32), -1, 7])
def test_an_action_outside_the_range_is_never_another_one(action):
    found = as_actions(np.array([action]), (1,), "[A]")
    assert not (found >= 0).all() or (found > 5).all()


@pytest.mark.parametrize("actions", [[0], [0, 1, 2], [[0, 1]], 0, [0.0, 1.0], [True, False], [[0], [0, 1]], None, "ab"])
def test_other_actions_are_refused(actions):
    with pytest.raises(ConfigError, match=r"integers of the shape \[A\]"):
        as_actions(actions, (2,), "[A]")


def test_steps_refuse_actions_of_another_shape():
    env = Env(CONFIG)
    state = jax.eval_shape(env.start, jnp.uint32(0), TASK)
    for shape in ((), (1,), (3,), (1, 2)):
        with pytest.raises(ConfigError, match=r"the shape \[A\], which is \[2\] here"):
            jax.eval_shape(env.step, state, jnp.zeros(shape, jnp.int32))
    with pytest.raises(ConfigError, match="float32"):
        jax.eval_shape(env.step, state, jnp.zeros(2))
    vec = VectorEnv(env, 4)
    for shape in ((4,), (2,), (1, 2), (4, 1), (2, 4)):
        with pytest.raises(ConfigError, match=r"the shape \[num_envs, A\], which is \[4, 2\] here"):
            jax.eval_shape(vec.step, None, jnp.zeros(shape, jnp.int32))
    for shape in ((3,), (3, 1)):
        with pytest.raises(ConfigError, match=r"\[T, A\]"):
            play_actions(env, TASK, 0, np.zeros(shape, np.uint8))


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "x", None])
def test_an_episodes_seed_is_a_whole_number(seed):
    with pytest.raises(ConfigError, match=f"seed is {seed!r}; write a whole number from 0 to 4294967295"):
        play_actions(Env(CONFIG), TASK, seed, np.zeros((3, 2), np.uint8))


@pytest.mark.parametrize(
    ("field", "value"),
    [("height", 5), ("width", 9), ("num_agents", 1), ("max_objects", 3), ("max_rules", 2), ("max_doors", 2),
     ("goal_clauses", 2), ("goal_literals", 2)],
)  # fmt: skip
def test_a_task_of_another_size_is_refused(field, value):
    fields = {name: getattr(CONFIG, name) for name in CONFIG.__dataclass_fields__} | {field: value}
    env = Env(EnvConfig(**fields))
    words = f"for another environment: its {field} is .*, EnvConfig.{field} is {value}"
    with pytest.raises(ConfigError, match=words):
        check_task(env.config, TASK)
    with pytest.raises(ConfigError, match=words):
        jax.eval_shape(env.reset, jax.random.key(0), TASK)
    with pytest.raises(ConfigError, match=words):
        jax.eval_shape(env.briefing, TASK)
    with pytest.raises(ConfigError, match=words):
        jax.eval_shape(VectorEnv(env, 2).reset, jax.random.key(0), TaskSet.from_tasks([TASK]))


def test_what_was_shared_can_be_donated():
    one = jnp.arange(3)
    tree = {"a": one, "b": one}
    give = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf + 1, tree), donate_argnums=0)
    given = give(unshared(tree))
    assert given["a"].tolist() == given["b"].tolist() == [1, 2, 3]
    assert one.tolist() == [0, 1, 2]  # the user's lives on
