"""Scores: their means, intervals and differences, whoever has none, and the table that tells them."""

import itertools

import numpy as np
import pytest
from rich.console import Console

from xworld import ConfigError
from xworld.evaluation import (
    Reference,
    Scores,
    difference,
    estimate,
    gain,
    most_telling,
    normalise,
    summarise,
    trials_table,
)
from xworld.evaluation.scores.statistics import count_scored
from xworld.evaluation.scores.summary import _compare


def test_scores_are_means_of_ratios():
    returns, best = np.array([[1.0, 4.0], [6.0, 6.0]]), np.array([[2.0, 4.0], [6.0, 8.0]])
    np.testing.assert_array_equal(normalise(returns, best), [[0.5, 1.0], [1.0, 0.75]])
    np.testing.assert_array_equal(normalise(returns[None], best).mean(1), [[0.75, 0.875]])
    # Where nothing can be earned there is no score, and the task counts nowhere.
    scores = normalise(returns[None], np.array([[2.0, 4.0], [6.0, 0.0]]))
    np.testing.assert_array_equal(scores, [[[0.5, 1.0], [np.nan, np.nan]]])
    np.testing.assert_array_equal(estimate(scores).mean, [0.5, 1.0])
    np.testing.assert_array_equal(most_telling(scores[0]), [0, 1])
    np.testing.assert_array_equal(count_scored(np.array([[2.0, 4.0], [6.0, 0.0], [0.0, 1.0]])), [2, 1])
    with pytest.raises(ConfigError, match="one task that has a score"):
        estimate(scores[:, 1:])
    with pytest.raises(ConfigError, match="same tasks"):
        normalise(returns, best[:1])


def test_intervals_against_known_values():
    generator = np.random.default_rng(0)
    scores = generator.normal(0.5, 0.2, (1, 400, 3))
    points = estimate(scores)
    np.testing.assert_allclose(points.mean, scores[0].mean(0))
    half = 1.966 * scores[0].std(0, ddof=1) / 20  # Student's t for 400 tasks
    np.testing.assert_allclose(points.high - points.mean, half, rtol=1e-3)
    np.testing.assert_allclose(points.mean - points.low, half, rtol=1e-3)

    constant = estimate(np.full((3, 10), 0.25))
    np.testing.assert_allclose([constant.low, constant.mean, constant.high], 0.25)
    # Seeds that differ by 0.4 in all tasks: the interval over tasks has no width, and t of 1 degree of freedom is 12.7.
    differing = estimate(np.stack([np.full(50, 0.2), np.full(50, 0.6)]))
    np.testing.assert_allclose([differing.low, differing.mean, differing.high], [-2.1412, 0.4, 2.9412], rtol=1e-4)
    one_task = estimate(np.array([[0.2], [0.4], [0.6]]))
    np.testing.assert_allclose(one_task.high, 0.4 + 4.30265 * 0.2 / 3**0.5, rtol=1e-5)
    alone = estimate(np.array([[0.3]]))
    assert alone.low == alone.mean == alone.high == 0.3
    with pytest.raises(ConfigError, match="at least one seed"):
        estimate(np.zeros((0, 5)))


def draw_scores(generator, num_cases, num_seeds, by_task, of_seed):
    """[num_seeds, num_tasks, num_cases] scores with the mean 0; every case has a seed's effect of its own."""
    effects = of_seed * generator.normal(size=(num_seeds, 1, num_cases))
    return effects + by_task + 0.3 * generator.normal(size=(num_seeds, len(by_task), num_cases))


@pytest.mark.parametrize(("num_seeds", "of_seed"), [(1, 0.0), *itertools.product((3, 5, 10), (0.0, 0.02, 0.07, 0.2))])
def test_intervals_cover(num_seeds, of_seed):
    """Of 95 % intervals at least 93 % hold the truth, few seeds or many; with one seed, if seeds do not differ."""
    generator = np.random.default_rng(num_seeds)
    num_cases, num_tasks = 1500, 60
    by_task = 0.35 * generator.normal(size=(num_tasks, num_cases))
    found = estimate(draw_scores(generator, num_cases, num_seeds, by_task, of_seed))
    assert ((found.low <= 0) & (found.high >= 0)).mean() >= 0.93
    # Of two players, one with other seeds or with one alone, who find the same tasks hard.
    for num_others, of_others in ((3, of_seed), (1, 0.0)):
        found = difference(
            draw_scores(generator, num_cases, num_seeds, by_task, of_seed),
            draw_scores(generator, num_cases, num_others, by_task, of_others),
        )
        assert ((found.low <= 0) & (found.high >= 0)).mean() >= 0.93
    if of_seed == 0 and num_seeds >= 5:  # nor are they much too wide
        exact = 1.96 * (0.35**2 / num_tasks + 0.3**2 / (num_tasks * num_seeds)) ** 0.5
        found = estimate(draw_scores(generator, num_cases, num_seeds, by_task, of_seed))
        assert np.median(found.high - found.mean) < 1.15 * exact


def test_differences_are_paired():
    generator = np.random.default_rng(0)
    by_task = generator.normal(size=40)
    one, other = by_task + 0.1 * generator.normal(size=(3, 40)), by_task + 0.1 * generator.normal(size=(2, 40))
    same = difference(one, one)
    assert same.low < same.mean == 0 < same.high
    found, back = difference(one + 0.5, other), difference(other, one + 0.5)
    np.testing.assert_allclose(found.mean, 0.5 + one.mean() - other.mean())
    np.testing.assert_allclose([back.low, back.high], [-found.high, -found.low])
    alone, whole = difference(one[:1] + 0.5, other[:1]), estimate(one[:1])
    assert alone.high - alone.low < 0.1 < 0.4 < whole.high - whole.low  # what tasks have in common is gone
    paired = estimate(one[:1] + 0.5 - other[:1])
    np.testing.assert_allclose([alone.low, alone.high], [paired.low, paired.high])
    one[:, 3] = other[:, 5] = np.nan
    found, rest = difference(one, other), np.delete(np.arange(40), [3, 5])
    np.testing.assert_allclose(found.mean, (one[:, rest].mean() - other[:, rest].mean()))
    with pytest.raises(ConfigError, match="same tasks"):
        difference(one, other[:, :9])
    with pytest.raises(ConfigError, match="of both players"):
        difference(np.array([[1.0, np.nan]]), np.array([[np.nan, 1.0]]))


def test_gain_and_the_most_telling_episode():
    scores = np.array([[0.0, 1, 0.5], [0.2, 1, 1], [0, 0.5, 1], [0, 1, 1], [0, 1, 1]])
    np.testing.assert_allclose(gain(scores), [0.5, 0.8, 1, 1, 1])
    np.testing.assert_array_equal(most_telling(scores), [3, 4, 2, 1, 0])


@pytest.mark.parametrize(("num_trials", "shown"), [(5, [1, 2, 3, 4, 5]), (13, [1, 2, 5, 13])])
def test_the_table_fits_a_terminal(num_trials, shown, tmp_path):
    returns = np.random.default_rng(0).uniform(0, 5, (2, 20, num_trials))
    played = {"searcher-without-memory": {num_trials: returns}, "agent": {num_trials: returns + 5}}
    content = summarise(Scores(played, Reference("ten", np.full(20, 10.0))))
    console = Console(width=80, record=True, file=(tmp_path / "table.txt").open("w"))
    console.print(trials_table(content))
    console.file.close()
    table = console.export_text()
    assert all(word in table for word in ("searcher", "without", "memory")) and "…" not in table
    header = " ".join(table.partition("─")[0].splitlines()[1:])  # below the title
    assert "minus" in header
    assert [int(word) for word in header.split() if word.isdigit()] == shown


def test_bounds_of_ten_and_more_keep_their_digits():
    returns = np.array([10.4, 10.6, 10.5, 10.5]).reshape(1, 4, 1)
    content = summarise(Scores({"agent": {1: returns}}, Reference("one", np.ones(4))))
    (_, cell, *_) = ([*column.cells][0] for column in trials_table(content).columns)
    assert cell == "10.50\n[dim]10.37~10.63[/dim]"


def test_scores_above_1_are_counted_and_clipped():
    """An expert that earns 1 at the end of a short trial, and an agent that earns 3."""
    returns = {"agent": {1: np.array([[[3.0], [0.5], [1.0]]])}, "expert": {1: np.ones((1, 3, 1))}}
    content = summarise(Scores(returns, Reference("the expert", np.array([[1.0], [1.0], [0.0]]))))
    agent, expert = (content["scores"][name]["1"]["last"] for name in ("agent", "expert"))
    assert (agent["mean"]["value"], agent["mean_clipped"]["value"]) == (1.75, 0.75)
    assert (agent["share_above_1"]["value"], expert["share_above_1"]["value"]) == (0.5, 0)
    assert content["num_scored"] == {"1": 2}
    assert "agent is above 1 in 50.0% of tasks; mean clipped at 1: 0.75" in trials_table(content).caption
    assert "one training seed" in trials_table(content).caption  # and two say more
    content["scores"]["agent"]["1"]["num_rows"] = 2
    assert "one training seed" not in trials_table(content).caption


def test_a_reference_of_single_trials_says_how_many_tasks_are_scored_with_fewer():
    best = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    scores = Scores({"agent": {3: np.ones((1, 3, 3))}}, Reference("the expert", best))
    assert scores.num_scored == {1: 3, 2: 2, 3: 1}
    assert scores.is_scored(2).tolist() == [True, False, True] and np.isnan(scores.score("agent", 3)[0, 1:]).all()


def test_people_are_a_player_who_plays_some_of_the_tasks():
    """Two people, each with half of the tasks, and a player who played them all once."""
    people = np.full((2, 4, 1), np.nan)
    people[0, :2], people[1, 2:] = 1.0, 3.0
    scores = Scores({"people": {1: people}, "random": {1: np.ones((1, 4, 1))}}, Reference("five", np.full(4, 5.0)))
    content = summarise(scores)
    found, random = (content["scores"][name]["1"] for name in ("people", "random"))
    assert (found["num_rows"], found["num_tasks"], found["last"]["mean"]["value"]) == (2, 4, pytest.approx(0.4))
    assert found["last"]["mean"]["low"] < 0 < 0.8 < found["last"]["mean"]["high"]  # two people tell little
    assert random["difference"]["value"] == pytest.approx(-0.2)
    assert random["difference"]["low"] < -0.2 < random["difference"]["high"]


def test_who_has_no_score_on_the_tasks_of_a_difference_does_not_count_in_it():
    """Three people with a task each; then others who have played none of these."""
    few = np.full((3, 4, 1), np.nan)
    few[range(3), range(3), 0] = 0.2, 0.9, 0.5
    others = np.full((27, 4, 1), np.nan)
    others[:13, 3] = 0.7
    agent = np.array([0.6, 0.8, 0.7, np.nan])[None, :, None]
    for rows, row in ((few, agent), (few[:1], agent[:, [0, 3, 3, 3]]), (few, few[::-1])):
        found = _compare(row, rows, "people")
        assert found is not None and not np.isnan([found["low"], found["high"]]).any()
        assert _compare(row, np.concatenate([rows, others]), "people") == found
        turned = _compare(np.concatenate([others, rows]), row, "agent")
        assert turned is not None and turned["low"] == pytest.approx(-found["high"])


def test_a_zero_of_somebody_without_a_score_counts_among_the_zeros():
    """Of two tasks one has a reference; each is played by one person."""
    people = np.array([[[0.5], [np.nan]], [[np.nan], [0.3]], [[np.nan], [np.nan]]])
    content = summarise(Scores({"people": {1: people}}, Reference("one", np.array([1.0, 0.0]))))
    found = content["scores"]["people"]["1"]
    assert (found["num_rows"], found["num_tasks"], found["last"]["mean"]["value"]) == (1, 1, 0.5)
    assert found["last_with_zeros"]["mean"]["value"] == 0.25 and found["last_with_zeros"]["share_at_0"]["value"] == 0.5
    assert found["return"]["value"] == [pytest.approx(0.4)]


def test_scores_that_cannot_be_meant():
    with pytest.raises(ConfigError, match="no returns"):
        Scores({}, Reference("nobody", np.ones(3)))
    with pytest.raises(ConfigError, match=r"with 2 trials have the shape \[1, 3, 1\]"):
        Scores({"agent": {2: np.ones((1, 3, 1))}}, Reference("nobody", np.ones(3)))
