"""Demonstrators: first trials that somebody else plays, from which nothing is learned."""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hand_made import TASKS as TASKS_BY_ID
from hand_made import TWO_ENVS, held, pick, steps_of, update
from tiny_rooms import SMALL_AGENT, TinyRooms, env_config

from xworld import ConfigError, Env, VectorEnv
from xworld.agents import make_agent
from xworld.tasks import TaskSet
from xworld.training import PLRConfig, make_demonstrators
from xworld.training.rollouts.rollout import Context, Rollout, collect, start_actor, unroll
from xworld.training.run.given import Given
from xworld.training.run.scouting import beside


@jax.tree_util.register_static
@dataclass(frozen=True)
class PaidRooms(TinyRooms):
    """Rooms that pay as long as one does not hold the thing, so that everybody earns something."""

    def sample(self, key):
        task = super().sample(key)
        goals = dataclasses.replace(task.goals, negated=jnp.ones_like(task.goals.negated))
        return dataclasses.replace(task, goals=goals)


TASKS = PaidRooms(trial_length=4, num_trials=2)  # episodes of 8 steps
LENGTH, NUM_ENVS, NUM_ROLLOUTS = 10, 32, 3
SHARE = 0.5


def rough(params):
    return jax.tree.map(lambda leaf: leaf + 0.3 * jax.random.normal(jax.random.key(1), leaf.shape), params)


@pytest.fixture(scope="module")
def rollouts():
    """Of each rollout its steps, where an episode begins, the demonstrator's logits, and what is reported of trials."""
    agent, vec = make_agent(SMALL_AGENT, env_config()), VectorEnv(Env(env_config()), NUM_ENVS)
    other = make_agent(dataclasses.replace(SMALL_AGENT, memory_size=16), env_config())

    def parts_of(key):
        # Large weights, so that one action has nearly all of the probability, and it can be told who acted.
        return agent.init(key), jax.tree.map(lambda leaf: 8 * leaf, rough(other.init(key)))

    params, theirs = jax.jit(parts_of)(jax.random.key(3))
    demonstrators = make_demonstrators(theirs, other, SHARE)
    start = jax.jit(lambda key: start_actor(agent, vec, key, TASKS, partners=demonstrators))

    @jax.jit
    def roll(actor, memory, key):
        actor, rollout, trials = collect(agent, params, vec, actor, key, TASKS, LENGTH, partners=demonstrators)
        output = unroll(other, theirs, rollout, memory)
        taken, seen = rollout.steps, rollout.steps.observation
        is_first = (seen.trial == 0) & (seen.time_left == seen.trial_length)
        return actor, output.memory, (taken, is_first, output.logits, trials)

    actor, memory, parts = start(jax.random.key(3)), demonstrators.start(NUM_ENVS)[0], []
    for key in jax.random.split(jax.random.key(4), NUM_ROLLOUTS):
        actor, memory, part = roll(actor, memory, key)
        parts.append(part)
    return parts


@pytest.fixture(scope="module")
def played(rollouts):
    """[T, B] trials, weights and where an episode begins, the demonstrator's logits, and what was done."""
    parts = [
        (steps.observation.trial, steps.weight, is_first, logits, steps.action)
        for steps, is_first, logits, _ in rollouts
    ]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def test_a_demonstrated_trial_is_none_of_the_learners(rollouts):
    """The returns that a run reports are those of the trials that the learner played itself, added up by hand."""
    returns, num_shown, seen = [[], []], 0, rollouts[0][0].observation
    current = np.where(seen.time_left[0] == seen.trial_length[0], 0, np.nan)  # of trials that began before the run
    for steps, _, _, _ in rollouts:
        for t in range(LENGTH):
            current += np.asarray(steps.reward[t, :, 0])
            for env in np.flatnonzero(steps.observation.time_left[t] == 1):
                is_shown = steps.weight[t, env, 0] == 0
                num_shown += is_shown
                if not is_shown and not np.isnan(current[env]):
                    returns[steps.observation.trial[t, env]].append(current[env])
                current[env] = 0
    reported = jax.tree.map(lambda *leaves: np.sum(leaves, axis=0), *(trials for *_, trials in rollouts))
    first, last = returns
    assert num_shown > 20 and sum(first) > 0 and sum(last) > 0
    np.testing.assert_array_equal(reported.counts[[0, 1, -1]], [len(first), len(last), len(last)])
    np.testing.assert_allclose(reported.sums[[0, 1, -1]], [sum(first), sum(last), sum(last)])


def test_a_curriculum_credits_no_episode_whose_only_trial_was_demonstrated():
    """Two environments with the same rewards; in the first one the learner has no seat."""
    rule = PLRConfig(capacity=4, min_filled=4, is_robust=False).make(TaskSet(TASKS_BY_ID), TWO_ENVS)
    context = Context((pick([5, 3]), pick([7, 8])), briefings=None, memory=None, last_value=None)

    @jax.jit
    def follow(share):
        zeros, ones = np.zeros((4, 2), int), np.ones((4, 2))
        time_left, discount = (np.transpose([column] * 2) for column in ((4, 3, 2, 1), (1, 1, 1, 0)))
        steps = steps_of(time_left, zeros, ones, zeros, zeros + [5, 3], discount, length=4)
        weight = steps.weight.at[:, 0].set(share)
        rollout = Rollout(dataclasses.replace(steps, weight=weight), context)
        return rule.follow(rule.start(2), rollout, {"td_error": jnp.ones_like(weight)})[1]

    seen = follow(0.0)
    assert seen.num_finished.tolist() == [[0, 0], [1, 0]] and seen.has_moved_on.all()
    assert held(update(rule, seen).archive).keys() == {3}
    assert follow(1.0).num_finished.tolist() == [[1, 0], [1, 0]]


@pytest.mark.slow
def test_some_first_trials_are_the_demonstrators_and_have_no_weight(played):
    trial, weight, _, logits, action = played
    is_shown = weight[..., 0] == 0
    assert not is_shown[trial == 1].any() and is_shown.sum() > 100
    # Its memory ran along: where it is sure, its action was taken.
    likeliest, chance = logits[..., 0, :].argmax(-1), np.asarray(jax.nn.softmax(logits[..., 0, :])).max(-1)
    is_sure = is_shown & (chance > 0.999)
    assert is_sure.sum() > 30 and (action[..., 0][is_sure] == likeliest[is_sure]).all()
    is_other = (weight[..., 0] == 1) & (chance > 0.999)
    assert (action[..., 0][is_other] != likeliest[is_other]).mean() > 0.3  # the learner does something else


def test_half_of_the_episodes_have_a_demonstration_from_their_first_step_to_the_trials_end(played):
    trial, weight, is_first, _, _ = played
    is_shown, in_first = weight[..., 0] == 0, trial == 0
    same = is_shown[1:] == is_shown[:-1]
    assert same[in_first[1:] & in_first[:-1] & ~is_first[1:]].all()
    assert 0.3 < is_shown[is_first].mean() < 0.7


@jax.tree_util.register_static
@dataclass(frozen=True)
class OpenRooms(PaidRooms):
    """The same, and nothing is hidden."""

    def sample(self, key):
        task = super().sample(key)
        return dataclasses.replace(task, hidden=jax.tree.map(jnp.zeros_like, task.hidden))


@pytest.mark.slow  # half a minute, most of it compiling
def test_who_is_told_all_acts_as_if_nothing_were_hidden():
    agent, vec = make_agent(SMALL_AGENT, env_config()), VectorEnv(Env(env_config()), NUM_ENVS)
    params = jax.tree.map(lambda leaf: 8 * leaf, rough(jax.jit(agent.init)(jax.random.key(3))))

    def first_trials(tasks, is_told_all):
        """[T, B] what is done until the first trial has ended everywhere, all of it by demonstrators."""
        shows = make_demonstrators(params, agent, 1.0, is_told_all=is_told_all)

        @jax.jit
        def play(key):
            actor = start_actor(agent, vec, key, tasks, partners=shows)
            return collect(agent, params, vec, actor, key, tasks, LENGTH, partners=shows)[1].steps

        steps = play(jax.random.key(5))
        first = np.asarray(np.cumsum(steps.observation.trial > 0, axis=0) == 0)
        assert (steps.weight[..., 0][first] == 0).all() and first.sum() > NUM_ENVS
        return np.where(first, steps.action[..., 0], -1)

    knows = first_trials(TASKS, True)
    np.testing.assert_array_equal(knows, first_trials(OpenRooms(trial_length=4, num_trials=2), False))
    assert (knows != first_trials(TASKS, False))[knows >= 0].mean() > 0.1


def test_a_run_goes_on_with_its_own_demonstrators_only():
    agent = make_agent(SMALL_AGENT, env_config())
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape), jax.eval_shape(agent.init, jax.random.key(0)))
    others = jax.tree.map(lambda leaf: leaf + 1, params)
    told = {
        Given(TASKS, (), make_demonstrators(*of)).describe()["partners"]
        for of in ((params, agent, 0.5), (params, agent, 0.25), (others, agent, 0.5))
    }
    told.add(Given(TASKS, (), make_demonstrators(params, agent, 0.5, is_told_all=True)).describe()["partners"])
    assert len(told) == 4 and all(text.startswith("Demonstrators (parameters ") for text in told)
    scouts_play_with = beside(Given(TASKS, (), make_demonstrators(params, agent, 0.5)))
    assert scouts_play_with is None  # a curriculum that tries tasks out sees what the learner itself earns
    with pytest.raises(ConfigError, match="demonstrated episodes is 0.0; write a number from above 0 to 1"):
        make_demonstrators(params, agent, 0)
