"""Several goals, of which every trial has one: which it is, who is told, and what is paid."""

import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xworld import ConfigError, Env, EnvConfig, VectorEnv
from xworld.core.step.goals import goal_id, num_goals, told_goal
from xworld.core.testing import check_env
from xworld.tasks import TaskSet, config_for, goal_text, parse

NUM_TRIALS, TRIAL_LENGTH = 12, 3
# What agent 0 has in its hand is what agent 1 is to hold at other times.
TEXT = f'''
goals = [
  ["hold(agent, red ball)", "hold(agent, blue cube)", "hold(agent, green star) or hold(agent, red ball)"],
  ["near(agent1, agent)", "hold(agent1, red ball)", "not near(agent1, agent)"],
]
trial_length = {TRIAL_LENGTH}
num_trials = {NUM_TRIALS}
facing = "east"
map = """
#####
#0a1#
#####
"""
[legend]
a = "red ball"
'''
CONFIG = dataclasses.replace(config_for(TEXT), max_goals=4, view_size=3, relations=("near", "hold"))
ENV = Env(CONFIG)
PICK_UP, NOOP = 3, 6


@pytest.fixture(scope="module")
def task():
    return parse(TEXT, CONFIG)


@pytest.fixture(scope="module")
def play():
    """Timesteps [T, ...] of an episode in which agent 0 takes the ball at once and nobody does anything else."""

    @jax.jit
    def play(seed, task):
        state, first = ENV.reset_from_seed(seed, task)

        def step(state, number):
            actions = jnp.array([jnp.where(number % TRIAL_LENGTH == 0, PICK_UP, NOOP), NOOP])
            return ENV.step(state, actions)

        _, following = jax.lax.scan(step, state, jnp.arange(TRIAL_LENGTH * NUM_TRIALS))
        return jax.tree.map(lambda one, many: jnp.concatenate([one[None], many]), first, following)

    return play


def test_a_trial_has_one_goal_and_the_next_one_maybe_another(task, play):
    timesteps = jax.device_get(play(jnp.uint32(5), task))
    goal, trial = timesteps.observation.goal, timesteps.observation.trial
    assert goal.shape == (TRIAL_LENGTH * NUM_TRIALS + 1, 2, 2, 1, 5) and goal.dtype == np.uint8
    ids = [int(goal_id(task, 5, number)) for number in range(NUM_TRIALS)]
    assert set(ids) == {0, 1, 2}, "all of them come, and the padding does not"
    fields = (task.goals.relation, task.goals.directions, task.goals.first, task.goals.second, task.goals.negated)
    known = np.stack(fields, axis=-1)  # [G, A, C, L, 5]
    np.testing.assert_array_equal(goal, known[np.array(ids)[trial]])
    # The last step of a trial is paid by its own goal, though the next one's is seen already.
    took_it = np.array([[True, False, True], [True, False, False]])  # goals 0 to 2 hold for agents 0 and 1
    acted_in = np.arange(TRIAL_LENGTH * NUM_TRIALS) // TRIAL_LENGTH
    np.testing.assert_array_equal(timesteps.reward[1:], took_it[:, np.array(ids)[acted_in]].T)


def test_seed_and_trial_decide_the_goal_and_nothing_else_does(task, play):
    chex.assert_trees_all_equal(play(jnp.uint32(5), task), play(jnp.uint32(5), task))
    draw = jax.jit(jax.vmap(jax.vmap(partial(goal_id, task), (None, 0)), (0, None)))
    ids = np.asarray(draw(jnp.arange(3000), jnp.arange(4)))
    for trial in range(4):
        np.testing.assert_allclose(np.bincount(ids[:, trial], minlength=3) / 3000, 1 / 3, atol=0.04)
    pairs = np.bincount(ids[:, 0] * 3 + ids[:, 1], minlength=9) / 3000
    np.testing.assert_allclose(pairs, 1 / 9, atol=0.03)
    longer = dataclasses.replace(task, num_trials=np.uint16(500), trial_length=np.uint16(9))
    assert [int(goal_id(longer, 7, n)) for n in range(4)] == ids[7].tolist()
    assert int(num_goals(task)) == 3


def test_who_is_told_the_goal(task, play):
    briefing = jax.device_get(ENV.briefing(task))
    assert briefing.goal is None and briefing.rules.shape == (2, 1, 7)
    observation = jax.device_get(play(jnp.uint32(0), task)).observation
    goals = {goal_text(goal[1]) for goal in told_goal(observation, briefing)}
    assert goals == {"near(agent1, agent)", "hold(agent1, red ball)", "not near(agent1, agent)"}


def test_a_task_with_one_goal_has_the_arrays_that_it_had():
    rest = TEXT[TEXT.index("trial_length") :]
    one = f'goals = ["hold(agent, red ball)", "never"]\n{rest}'
    config = config_for(one)
    assert config.max_goals == 1
    task = parse(one, config)
    assert task.goals.relation.shape == (2, 1, 1) and not task.has_several_goals
    state, timestep = jax.eval_shape(Env(config).reset_from_seed, jnp.uint32(0), task)
    assert timestep.observation.goal is None and len(jax.tree.leaves(state.task)) == 25
    assert int(goal_id(task, 0, 3)) == 0 and int(num_goals(task)) == 1
    assert Env(config).briefing(task).goal.shape == (2, 1, 1, 5)


def test_many_environments_at_once_have_the_goals_that_each_has_alone(task):
    vec = VectorEnv(ENV, 6)
    state, timestep = jax.jit(vec.reset)(jax.random.key(0), TaskSet.from_tasks([task]))
    step = jax.jit(vec.step)
    seen = []
    for _ in range(2 * TRIAL_LENGTH + 1):
        seen.append(np.asarray(timestep.observation.goal))
        one = jax.device_get(vec.states(state))
        fields = vars(one.task.goals)
        for number in range(6):
            index = int(goal_id(task, one.seed[number], one.trial[number]))
            wanted = np.stack([np.asarray(field)[number, index] for field in fields.values()], axis=-1)
            np.testing.assert_array_equal(seen[-1][number], wanted)
        state, timestep = step(state, jnp.full((6, 2), NOOP))
    assert not np.array_equal(seen[0], seen[-1])


def test_check_env_knows_several_goals(task):
    check_env(ENV, task)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (dataclasses.replace(CONFIG, max_goals=1), "its max_goals is 4, EnvConfig.max_goals is 1."),
        (dataclasses.replace(CONFIG, max_goals=3), "its max_goals is 4, EnvConfig.max_goals is 3."),
    ],
)
def test_a_task_for_other_numbers_of_goals_is_refused(task, config, message):
    with pytest.raises(ConfigError, match=message):
        Env(config).reset(jax.random.key(0), task)
    with pytest.raises(ConfigError, match="max_goals is 0; write a whole number from 1 to 255"):
        EnvConfig(max_goals=0)
