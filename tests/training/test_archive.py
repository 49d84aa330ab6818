"""Who is credited for what was played, and the archive that keeps the best tasks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hand_made import CLOCK, SIZES, TASKS, episodes, follow, held, insert, pick, steps_of, update
from tiny_rooms import SANITY_TASKS

from xworld.tasks import TaskSet
from xworld.training import NoopConfig
from xworld.training.curriculum.archive import EMPTY, Archive, rank_weights, staleness_weights
from xworld.training.rollouts.episodes import Tally, finished_episodes, follow_trials
from xworld.training.rollouts.rollout import Context, Rollout


def column(*values):
    return [[value] for value in values]


def pairs(first, second):
    """[T, 2] of two environments."""
    return [list(both) for both in zip(first, second, strict=True)]


def test_trials_are_credited_to_the_task_that_was_played():
    """An episode ends in the middle of a rollout, and its environment goes on with another task (minimax #6)."""
    # Task 5, two trials of three steps, of which the first began before, then task 7; beside it all of 3, then 8.
    steps = steps_of(
        pairs((2, 1, 3, 2, 1, 3, 2), (3, 2, 1, 3, 2, 1, 3)), pairs((0, 0, 1, 1, 1, 0, 0), (0, 0, 0, 1, 1, 1, 0)),
        pairs((1, 0, 0, 1, 1, 1, 1), (0, 0, 1, 0, 0, 1, 9)), pairs((0, 0, 0, 0, 0, 1, 1), (0, 0, 0, 0, 0, 0, 1)),
        pairs((5, 5, 5, 5, 5, 7, 7), (3, 3, 3, 3, 3, 3, 8)), pairs((1, 1, 1, 1, 0, 1, 1), (1, 1, 1, 1, 1, 0, 1)),
    )  # fmt: skip
    errors = jnp.asarray(pairs((4, -2, 1, -2, 3, 100, 100), (1, 1, 1, -3, 3, 3, 50)), jnp.float32)[..., None]
    before = Tally(jnp.array([[1, 1], [0, 0]]), jnp.array([[1.0, 1], [0, 0]]), jnp.array([[6.0, 6], [0, 0]]))
    tally, trials = follow_trials(before, steps, errors)
    assert trials.is_end.T.tolist() == [
        [False, True, False, False, True, False, False],
        [False, False, True] * 2 + [False],
    ]
    assert np.argwhere(trials.is_last).tolist() == [[4, 0], [5, 1]]
    np.testing.assert_allclose(trials.return_[jnp.array([1, 4]), 0], [2 / 3, 2 / 3])
    np.testing.assert_allclose(trials.error[jnp.array([1, 4]), 0], [12 / 3, 6 / 3])
    np.testing.assert_allclose(trials.episode_error[4, 0], 18 / 6)
    assert (trials.length == 3).all()
    assert tally.num_steps.tolist() == [[2, 2], [1, 1]] and tally.reward.tolist() == [[2, 2], [9, 9]]

    context = Context((pick([5, 3]), pick([7, 8])), briefings=None, memory=None, last_value=None)
    found = finished_episodes(trials, Rollout(steps, context))
    assert found.task_id[..., 1].tolist() == [[5, 7], [3, 8]]
    assert found.num_finished.tolist() == [[1, 0], [1, 0]] and found.has_moved_on.tolist() == [True, True]
    np.testing.assert_allclose(found.return_[:, 0], [2 / 3, 1 / 3], rtol=1e-6)
    assert found.error[:, 0].tolist() == [2, 3] and found.episode_error[:, 0].tolist() == [3, 2]

    # What the environment plays now is in the archive too: its score stays.
    archive = insert(Archive.start(SANITY_TASKS, 4), pick([5, 7]), jnp.array([1.0, 2.0]), jnp.ones(2, bool), CLOCK(1))
    after = follow(archive, found, CLOCK(9), found.error)
    assert held(after) == {7: 2.0, 5: 2.0}
    assert dict(zip(after.tasks.game_id.tolist(), after.num_playing.tolist(), strict=True))[7] == 1


def test_an_episode_that_ends_with_a_rollouts_last_step_is_not_played_any_more():
    steps = steps_of(pairs((2, 1), (3, 2)), pairs((1, 1), (0, 0)), pairs((1, 1), (0, 0)), pairs((0, 0), (0, 0)),
                     pairs((5, 5), (3, 3)), pairs((1, 0), (1, 1)))  # fmt: skip
    _, trials = follow_trials(Tally.start(2), steps, steps.reward)
    context = Context((pick([5, 3]), pick([7, 8])), briefings=None, memory=None, last_value=None)
    found = finished_episodes(trials, Rollout(steps, context))
    assert found.has_moved_on.tolist() == [True, False]
    archive = insert(Archive.start(SANITY_TASKS, 4), pick([3, 5, 7, 8]), jnp.arange(4.0), jnp.ones(4, bool), CLOCK(1))
    after = follow(archive, found, CLOCK(2))
    playing = dict(zip(after.tasks.game_id.tolist(), after.num_playing.tolist(), strict=True))
    assert playing == {3: 1, 5: 0, 7: 1, 8: 1}
    rule = update(NoopConfig(capacity=12).make(TaskSet(TASKS), SIZES), found)
    assert rule.num_drawn == 1  # environments that take a new task


def test_an_episode_that_was_not_seen_from_its_first_step_does_not_count():
    """As at the start of a run, where environments begin at random moments."""
    steps = steps_of(column(2, 1, 3, 2, 1), column(0, 0, 1, 1, 1), column(0, 0, 1, 1, 1), column(*[0] * 5),
                     column(*[5] * 5), column(1, 1, 1, 1, 0))  # fmt: skip
    _, trials = follow_trials(Tally.start(1), steps, steps.reward)
    assert trials.is_end[:, 0].tolist() == [False] * 4 + [True] and not trials.is_last.any()


def test_idle_environments_are_looked_at_though_nothing_is_learned_from_them():
    steps = steps_of(column(1), column(0), column(1), column(0), column(0), column(0), length=1, weight=0.0)
    _, trials = follow_trials(Tally.start(1), steps, steps.reward)
    assert trials.is_last.all() and trials.return_.tolist() == [[1.0]]


def test_errors_of_a_demonstrated_trial_are_not_the_learners():
    """Of two trials of two steps, the first is somebody else's, across the border of two rollouts."""
    shown, own = ((2, 1), (0, 0), 0.0), ((2, 1), (1, 1), 1.0)
    tally, found = Tally.start(1), []
    for time_left, trial, weight in (shown, own):
        steps = steps_of(column(*time_left), column(*trial), column(1, 1), column(0, 0), column(5, 5),
                         column(1, 1 - weight), length=2, weight=weight)  # fmt: skip
        errors = jnp.full((2, 1, 1), 2.0 if weight else 100.0)
        tally, trials = follow_trials(tally, steps, errors)
        found.append(trials)
    assert found[1].is_last.tolist() == [[False], [True]]
    assert found[1].episode_error[1, 0] == found[1].error[1, 0] == 2
    assert found[0].is_end[1, 0] and found[0].return_[1, 0] == 1  # what all earn is looked at


def test_an_archive_keeps_the_best():
    archive = Archive.start(SANITY_TASKS, 3)
    assert held(archive) == {} and not archive.where(jnp.zeros((1, 2), jnp.int32)).any()  # an empty place has no id
    yes = jnp.ones(2, bool)
    archive = insert(archive, pick([4, 4]), jnp.array([0.5, 1.0]), yes, CLOCK(1))
    assert held(archive) == {4: 1.0}  # once, though it was offered twice
    archive = insert(archive, pick([1, 2]), jnp.array([3.0, 2.0]), yes, CLOCK(2))
    assert held(archive) == {1: 3.0, 2: 2.0, 4: 1.0}
    archive = insert(archive, pick([5, 6]), jnp.array([2.5, 0.5]), yes, CLOCK(3))
    assert held(archive) == {1: 3.0, 5: 2.5, 2: 2.0}  # full: the worst is gone, what is worse does not come in
    same = insert(archive, pick([7, 8]), jnp.array([9.0, 9.0]), ~yes, CLOCK(4))
    jax.tree.map(np.testing.assert_array_equal, same, archive)  # nothing was offered
    equal = insert(archive, pick([7, 8]), jnp.array([2.0, 2.0]), yes, CLOCK(4))
    assert held(equal) == {1: 3.0, 5: 2.5, 2: 2.0}  # of equals, what was there longer
    assert archive.born.tolist() == [2, 3, 2]
    ids = jnp.array([[0, 5], [0, 11]], jnp.int32)
    assert archive.age(ids, CLOCK(10)).tolist() == [7.0, 0.0]


def test_a_replay_without_a_finished_episode_changes_no_score():
    archive = Archive.start(SANITY_TASKS, 4)
    archive = insert(archive, pick([1, 2, 3]), jnp.array([3.0, 2.0, 1.0]), jnp.ones(3, bool), CLOCK(1))
    seen = episodes([[1, 2], [1, 9]], finished=[[0, 2], [0, 1]])
    after = follow(archive, seen, CLOCK(5), jnp.array([[7.0, 4.0], [8.0, 9.0]]))
    assert held(after) == {1: 3.0, 2: 4.0, 3: 1.0}
    assert after.played.tolist()[:3] == [5, 5, 1] and after.num_episodes.tolist()[:3] == [0, 2, 0]
    both = follow(archive, episodes([[1, 1], [1, 9]]), CLOCK(5), jnp.array([[7.0, 4.0], [1.0, 9.0]]))
    assert held(both)[1] == 4.0  # the mean of three


@pytest.mark.parametrize("temperature", [1.0, 0.3, 0.01])
@pytest.mark.parametrize(
    "score", [[1.0, 3.0, 2.0, 0.5], [2.0, 2.0, 2.0, 2.0], [1.0, EMPTY, 5.0, EMPTY], [-3.0, EMPTY, EMPTY, EMPTY]]
)
def test_weights_by_rank_are_those_of_plain_python(score, temperature):
    order = sorted(range(4), key=lambda place: -float(score[place]))
    expected = [0.0] * 4
    for rank, place in enumerate(order, 1):
        if score[place] > EMPTY:
            expected[place] = (1 / rank) ** (1 / temperature)
    expected = [value / sum(expected) for value in expected]
    found = rank_weights(jnp.array(score), temperature)
    assert jnp.isfinite(found).all()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-30)


def test_weights_of_an_empty_archive_and_of_what_is_stale():
    assert rank_weights(jnp.full(3, EMPTY), 1.0).tolist() == [0, 0, 0]
    filled = jnp.array([True, True, False])
    np.testing.assert_allclose(staleness_weights(jnp.array([1, 4, 0]), filled, CLOCK(5)), [0.8, 0.2, 0])
    np.testing.assert_allclose(staleness_weights(jnp.array([5, 5, 0]), filled, CLOCK(5)), [0.5, 0.5, 0])
    assert staleness_weights(jnp.zeros(3, jnp.int32), ~filled & filled, CLOCK(5)).tolist() == [0, 0, 0]
