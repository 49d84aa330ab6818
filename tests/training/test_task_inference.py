"""A term that asks the agent what makes the goal: what it asks, where, and what not knowing costs."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluation_tasks import CONFIG, make_room, stack

from xworld import Env, Task
from xworld.core.kinds import object_kind
from xworld.training import TaskInference
from xworld.training.learners.terms.inference import source_of

ENV = Env(dataclasses.replace(CONFIG, relations=("hold", "near"), goal_clauses=2, goal_literals=2))
BALL, STAR, HEX = object_kind("ball", "red"), object_kind("star", "green"), object_kind("hex", "blue")
NOTHING = 0
RULES = '["hold(agent, red ball) -> black cube", "near(blue hex, green star) -> pink key, black cube"]'


def room(goal: str = "hold(agent, black cube)", rules: str = RULES) -> Task:
    return make_room("0.xyz|.....|.....|.....|.....", config=ENV.config, goal=f'"{goal}"', rules=rules)


@pytest.mark.parametrize(
    ("goal", "kind"),
    [
        ("hold(agent, black cube)", BALL),  # the first of two rules that make it
        ("hold(agent, pink key)", STAR),  # the second thing that the rule takes
        ("near(green star, pink key)", STAR),  # either thing may be the one that is made
        ("hold(agent, green star)", NOTHING),  # lies there
        ("not hold(agent, black cube)", NOTHING),  # not asked for
        ("not hold(agent, black cube) and hold(agent, pink key)", STAR),
        ("hold(agent, green star) or hold(agent, black cube)", BALL),
    ],
)
def test_what_makes_a_goal_is_what_the_first_rule_takes_that_makes_it(goal, kind):
    task = room(goal)
    assert source_of(task.rules, ENV.briefing(task).goal).tolist() == [kind]


def test_each_step_is_asked_about_its_own_task():
    """Those of an environment that has moved on to the next one about that one's."""
    now, following = (stack([room("hold(agent, pink key)", rules)] * 2) for rules in ("[]", RULES))
    is_next_task = np.array([[False, False], [False, True], [True, True]])
    kinds = asked(is_next_task, now, following, goal=None)
    assert kinds[..., 0].tolist() == [[NOTHING, NOTHING], [NOTHING, STAR], [STAR, STAR]]


def test_the_goal_of_a_trial_is_the_one_that_is_asked_about():
    """Where every trial has a goal of its own, it is seen, and no briefing says it."""
    goals = [ENV.briefing(room(f"hold(agent, {name})")).goal for name in ("pink key", "black cube", "blue hex")]
    tasks = stack([room()])
    kinds = asked(np.zeros((3, 1), bool), tasks, tasks, jnp.stack(goals)[:, None])
    assert kinds.ravel().tolist() == [STAR, BALL, NOTHING]


def asked(is_next_task: np.ndarray, now: Task, following: Task, goal: jax.Array | None) -> jax.Array:
    briefings = [jax.vmap(ENV.briefing)(tasks) for tasks in (now, following)]
    if goal is not None:
        briefings = [dataclasses.replace(briefing, goal=None) for briefing in briefings]
    steps = SimpleNamespace(is_next_task=jnp.asarray(is_next_task), observation=SimpleNamespace(goal=goal))
    context = SimpleNamespace(tasks=(now, following), briefings=tuple(briefings))
    _, kinds = TaskInference().follow((), SimpleNamespace(steps=steps, context=context))
    return kinds


def test_who_knows_nothing_pays_for_a_shape_and_a_colour_of_sixteen():
    """Who is sure of what is not so pays for it, and nobody is asked where nothing makes the goal."""
    term = TaskInference(weight=0.5)
    output = SimpleNamespace(features=jnp.ones((3, 1, 1, 4)))
    own = term.init(jax.random.key(0), output)
    kinds = jnp.array([BALL, NOTHING, HEX])[:, None, None]
    losses = term.loss(own, output, None, kinds, jnp.float32(0))
    np.testing.assert_allclose(losses.ravel(), [0.5 * np.log(256), 0, 0.5 * np.log(256)], rtol=1e-6)
    shape, colour = divmod(BALL, 16)
    own["output_bias"] = own["output_bias"].at[jnp.array([shape, 16 + colour])].set(50.0)
    losses = term.loss(own, output, None, kinds, jnp.float32(0)).ravel()
    np.testing.assert_allclose(losses, [0, 0, 0.5 * 100], atol=1e-4)
