"""What reports of the laboratory compute, on scores and rows that are known."""

import dataclasses

import numpy as np
import pytest
from scipy.special import stdtrit
from toy_experiment import EXPERIMENT

from xworld.apps.laboratory import Job, Outcome, run_experiment
from xworld.apps.laboratory.experiment import BASELINES
from xworld.apps.laboratory.experiments import curricula
from xworld.apps.laboratory.experiments.remembering import memories
from xworld.apps.laboratory.report.figures import draw_families
from xworld.apps.laboratory.report.page import with_other_arms
from xworld.evaluation import Reference, Scores
from xworld.evaluation.scores.statistics import contrast, crossed_interval, difference, estimate, interval
from xworld.evaluation.scores.summary import STATISTICS, as_json


def test_what_the_rows_of_all_curricula_say(tmp_path):
    """The share of steps at which an arm is where uniform tasks end, and how the firings of trained tasks change."""

    def rows(scores, firings, steps=100):
        found = []
        for place, (score, value) in enumerate(zip(scores, firings, strict=True)):
            row = {"steps": steps * (place + 1), "seconds": 0.0, "task_firings": value}
            found += [row | {"validation_last_trial": np.nan}, {**row, "validation_last_trial": score}]
        return found

    def job(arm, seed=0):
        return Job("xworld-s", arm, seed, tmp_path)

    flat = [1.0] * 4
    found = curricula.of_all_rows(
        {
            job("uniform", 0): rows([0.0, 0.1, 0.2, 0.3], flat),  # its last three have the mean .2
            job("uniform", 1): rows([0.0, 0.3, 0.4, 0.5], flat),  # and both together .3
            job("plr", 0): rows([0.0, 0.2, 0.7, 0.9], [1.0, 1.0, 1.0, 1.75]),  # 0, .1, .3, .6
            job("plr", 1): rows([0.0, 0.2, 0.7, 0.9], [1.0, 1.0, 1.0, 1.25]),
            job("noop-filter"): rows([0.25, 0.0, 0.0, 0.0], [np.nan, 2.0, 2.0, 1.0]),  # above the end of seed 0
            job("accel"): rows([0.0, 0.1, 0.1, 0.3], flat, steps=50),
            job("progress", 2): rows([1.0, 1.0, 1.0, 1.0], flat),  # no seed of uniform's
        }
    )
    assert {arm: one["xworld-s_share_of_steps_to_uniform"] for arm, one in found.items()} == {
        "uniform": 1.0, "noop-filter": 0.25, "plr": 0.75, "progress": None, "accel": None,
    }  # fmt: skip
    # Of eight rows the first and the last that say something; a tenth of twenty are two.
    rises = {arm: one["xworld-s_rise_of_firings"] for arm, one in found.items()}
    assert rises == {"uniform": 0, "noop-filter": -1, "plr": 0.5, "progress": 0, "accel": 0}
    elsewhere = Job("long-chains-10", "plr", 0, tmp_path)
    long = curricula.of_all_rows(
        {job("uniform"): rows([0.1] * 4, flat), elsewhere: rows([0.1] * 10, [1.0] * 9 + [3.0])}
    )
    assert long["plr"] == {"long-chains-10_share_of_steps_to_uniform": None, "long-chains-10_rise_of_firings": 2.0}


def test_the_players_that_a_run_is_compared_with_are_those_of_its_family(tmp_path):
    """Where what the expert earns is kept: once for all runs of a family."""
    for prefix in ("", "long-chains-10-"):
        job = Job("any", "plr-all-tasks", 3, tmp_path / f"{prefix}plr-all-tasks-seed3")
        assert job.beside(BASELINES) == tmp_path / f"{prefix}baselines"
        assert job.beside("uniform") == tmp_path / f"{prefix}uniform-seed3"


def test_memories_are_compared_at_equal_seconds(tmp_path):
    def rows(seconds, scores):
        return [
            {"steps": place, "seconds": at, "validation_last_trial": score}
            for place, (at, score) in enumerate(zip(seconds, scores, strict=True))
        ]

    def job(arm, family="control", seed=0):
        return Job(family, arm, seed, tmp_path)

    found = memories.of_all_rows(
        {
            job("gru"): rows([10.0, 20.0], [0.3, 0.5]),  # ends at 20 seconds, with .4 over both evaluations
            job("gru", seed=1): rows([10.0, 20.0], [0.3, 0.5]),
            job("transformer_xl"): rows([10.0, 30.0, 50.0], [0.2, 0.6, 0.7]),  # .2, .4, .5: half-way to .4 at 20
            job("gru_txl"): rows([5.0, 10.0], [0.5, 0.6]),  # ended before: .55
            job("gru_txl", "search"): rows([5.0, 10.0], [0.5, 0.6]),
        }
    )
    assert found == {
        "gru": {"control_at_equal_seconds": 0.0},
        "transformer_xl": {"control_at_equal_seconds": -0.1},
        "gru_txl": {"control_at_equal_seconds": 0.15, "search_at_equal_seconds": None},
    }


def test_trials_beyond_those_of_training_are_told_apart(tmp_path):
    """The toy plays three trials; in the second all tasks earn .1 less, in the third from nothing to .2 more."""
    spread = np.linspace(0, 0.2, 6)

    def run(job):
        share = {"high-3": 1.0, "high-1": 0.5, "flat-3": 0.0, "flat-1": 1.0}[job.arm]  # of the rise
        score = np.stack([np.full(6, 0.5), np.full(6, 0.4), 0.5 + share * spread], axis=1)
        return Outcome({3: score}, {"reach": float(job.arm[-1])})

    def baselines(job):
        return Scores({"expert": {3: np.ones((1, 6, 3))}}, Reference("the expert", np.ones((6, 3))))

    experiment = dataclasses.replace(
        EXPERIMENT,
        arms=("high-3", "high-1", "flat-3", "flat-1"),
        run=run,
        baselines=baselines,
        trained_trials={"all": 1},
        against="reach",
    )
    everything = run_experiment(experiment, tmp_path)
    content = everything["families"]["all"]
    found = content["after_training"]["high-3"]
    half = stdtrit(5, 0.975) * spread.std(ddof=1) / 6**0.5  # both seeds are alike
    assert (found["from"], found["to"], found["lowest"]["trial"]) == (1, 3, 2)
    assert [found["last"][name] for name in ("value", "low", "high")] == pytest.approx([0.1, 0.1 - half, 0.1 + half])
    assert [found["lowest"][name] for name in ("value", "low", "high")] == pytest.approx([-0.1] * 3)
    kept = content["gain_kept"].pop("high-1")
    assert kept.pop("of") == "high-3" and kept == dict.fromkeys(("value", "low", "high"), pytest.approx(0.5))
    assert content["gain_kept"] == {}  # no share of no gain
    page = (tmp_path / "toy.html").read_text()
    assert "More trials than the 1 of training" in page and "high-3; lowest in trial 2" in page
    assert "<th>high-1 of high-3</th><td>0.500" in page
    panels = [{text.get_text() for text in axes.texts} for axes in draw_families(everything, by_group=True).axes]
    assert [panel & {*experiment.arms, "expert"} for panel in panels] == [
        {"high-3", "high-1", "expert"},
        {"flat-3", "flat-1", "expert"},
    ]
    plain = run_experiment(dataclasses.replace(EXPERIMENT, trained_trials={"all": 3}), tmp_path / "plain")["families"]
    assert plain["all"]["after_training"] == plain["all"]["gain_kept"] == {}
    assert "of training" not in (tmp_path / "plain" / "toy.html").read_text()


def test_an_arm_that_needs_anothers_run_is_compared_with_it_seed_by_seed(tmp_path):
    tasks, last = np.linspace(0, 0.4, 5), {0: 0.1, 1: 0.5, 2: 0.2}  # what the needed run has, by seed

    def run(job):
        more = {"first": 0.0, "second": 0.1 + 0.02 * job.seed}[job.arm]
        score = np.full(5, last[job.seed] + more) + tasks * (1 + (job.arm == "second"))
        return Outcome({2: np.stack([score, score], axis=1)}, {})

    def baselines(job):
        return Scores({"expert": {2: np.ones((1, 5, 2))}}, Reference("the expert", np.ones((5, 2))))

    experiment = dataclasses.replace(
        EXPERIMENT, arms=("first", "second"), needs={"second": "first"}, run=run, baselines=baselines, seeds=(0, 1, 2)
    )
    content = run_experiment(experiment, tmp_path)["families"]["all"]
    found, told = content["to_needed"], content["scores"]["second"]["2"]["difference"]
    of_both = np.array([0.1, 0.12, 0.14])[:, None] + tasks
    assert (found["second"].pop("to"), found["second"].pop("seeds")) == ("first", [0, 1, 2])
    assert found == {"second": {name: pytest.approx(value) for name, value in as_json(estimate(of_both)).items()}}
    # What the seeds of both have in common is not in it, as it is where they have nothing to do with each other.
    assert told["value"] == pytest.approx(found["second"]["value"])
    assert told["high"] - told["low"] > 2 * (found["second"]["high"] - found["second"]["low"])
    assert "<th>second minus first</th><td>0.320" in (tmp_path / "toy.html").read_text()


def test_a_later_gain_is_of_the_second_half(tmp_path):
    rises = np.array([0.1, 0.2, 0.3])  # of three tasks, after the second of five trials

    def run(job):
        return Outcome({5: np.stack([0 * rises, 0 * rises + 0.5, rises, rises, 0.5 + rises], axis=1)}, {})

    def baselines(job):
        return Scores({"expert": {5: np.ones((1, 3, 5))}}, Reference("the expert", np.ones((3, 5))))

    experiment = dataclasses.replace(EXPERIMENT, run=run, baselines=baselines)
    found = run_experiment(experiment, tmp_path)["families"]["all"]["scores"]
    of_arm = found[experiment.arms[0]]["5"]
    assert (of_arm["gain"]["value"], of_arm["later_gain"]["value"]) == pytest.approx((0.7, 0.2))
    half = stdtrit(2, 0.975) * rises.std(ddof=1) / 3**0.5  # the seeds are alike
    assert of_arm["later_gain"]["low"] == pytest.approx(0.2 - half)
    assert found["expert"]["5"]["later_gain"] == {"value": 0, "low": 0, "high": 0}
    assert "<th>later gain</th>" in (tmp_path / "toy.html").read_text()
    assert "minus number 2." in (tmp_path / "toy.html").read_text()


def test_the_interval_of_a_difference_of_statistics_is_paired_by_task_and_knows_of_seeds():
    generator = np.random.default_rng(3)
    hard = generator.uniform(size=400)
    mean, percentile = STATISTICS["mean"], STATISTICS["percentile_20"]
    ours, theirs = hard + 0.1 + 0.05 * generator.normal(size=(1, 400)), hard[None]
    one, known = contrast(ours, theirs, mean), difference(ours[..., None], theirs[..., None])
    assert one.mean == pytest.approx(known.mean[0]) and one.high - one.low == pytest.approx(
        known.high[0] - known.low[0], rel=0.1
    )
    shifted = contrast(hard[None] + 0.1, theirs, percentile)
    assert [shifted.low, shifted.mean, shifted.high] == pytest.approx([0.1] * 3)  # every task alike: no chance
    seeds = contrast(hard + np.array([[0.0], [0.2]]), theirs, percentile)  # standard error .1, one degree
    pooled = np.quantile([*hard, *hard + 0.2], 0.2) - np.quantile(hard, 0.2)
    assert seeds.mean == pytest.approx(pooled) and seeds.high - seeds.mean == pytest.approx(1.2706, abs=1e-3)


@pytest.mark.parametrize("name", ["median", "percentile_20", "share_at_0", "share_above_0.8"])
def test_equal_players_do_not_differ_by_how_many_seeds_they_have(name):
    """One seed against three, of the same player: scores between 0 and 1, many of them at the ends."""
    generator, num_draws, apart, differences = np.random.default_rng(0), 120, 0, []
    for _ in range(num_draws):
        by_task = 0.45 + 0.4 * generator.normal(size=60)
        one, three = (np.clip(by_task + 0.25 * generator.normal(size=(number, 60)), 0, 1) for number in (1, 3))
        found = contrast(one, three, STATISTICS[name], num_resamples=200)
        apart += not found.low <= 0 <= found.high
        differences.append(found.mean)
    assert apart <= 0.08 * num_draws
    assert abs(np.mean(differences)) < 0.02


def test_resampling_a_few_at_a_time_changes_nothing(monkeypatch):
    scores, others = np.random.default_rng(0).uniform(size=(2, 3, 50))
    percentile = STATISTICS["percentile_20"]

    def found():
        one = contrast(scores, others, percentile)
        return [one.low, one.high, *crossed_interval(scores, percentile), *interval(scores[0], percentile)]

    at_once = found()
    monkeypatch.setattr("xworld.evaluation.scores.statistics._RESAMPLED_AT_A_TIME", 7 * 150)
    assert found() == pytest.approx(at_once)


@pytest.mark.parametrize("num_seeds", [1, 3])
def test_the_interval_of_a_ratio_covers(num_seeds):
    """Gains of .3 and .2 that share what is hard in a task; of one seed the interval is over tasks alone."""
    generator, num_draws, covered = np.random.default_rng(0), 300, 0
    of_seed = 0.02 if num_seeds > 1 else 0.0
    for _ in range(num_draws):
        hard = generator.normal(0, 0.2, 200)
        ours, theirs = (
            mean + hard + generator.normal(0, of_seed, (num_seeds, 1)) + generator.normal(0, 0.2, (num_seeds, 200))
            for mean in (0.2, 0.3)
        )
        found = contrast(ours, theirs, STATISTICS["mean"], np.divide, num_resamples=200)
        covered += found.low <= 2 / 3 <= found.high
    assert covered / num_draws >= 0.92


def test_what_agents_earn_beside_those_of_other_arms():
    matrix = [[1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 5.0, 6.0], [3.0, 5.0, 1.0, 7.0], [4.0, 6.0, 7.0, 1.0]]
    found = with_other_arms({"players": ["so so 0", "so so 1", "well 0", "well 1"], "matrix": matrix})
    assert found == {"so so": 4.5, "well": 4.5}
    found = with_other_arms({"players": ["a 0", "b 0", "b 1", "c 0"], "matrix": matrix})
    assert found == pytest.approx({"a": 3.0, "b": 4.5, "c": 17 / 3})
