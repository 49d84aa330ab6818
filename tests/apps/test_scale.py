"""Sweeps and their fits: known curves are found again, points are where they should be, and a tiny sweep runs."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import toy_experiment

from xworld import ConfigError
from xworld.agents import make_agent
from xworld.apps.commands.main import main
from xworld.apps.laboratory import Job, Outcome, run_experiment
from xworld.apps.laboratory.experiments import scale
from xworld.apps.laboratory.report import fits
from xworld.apps.laboratory.report.fits import (
    HELD_OUT,
    TRAINED_ON,
    akaike,
    compare_shapes,
    compare_slopes,
    estimate_gap,
    fit_line,
    fit_scores,
    to_line,
)
from xworld.training import PRESETS

X = (64.0, 512.0, 4096.0, 65536.0)
SLOPE, INTERCEPT = 0.25, -0.6


def test_a_power_law_is_a_line():
    scores = 1 - np.exp(-INTERCEPT) * np.array(X) ** -SLOPE
    np.testing.assert_allclose(to_line(scores), INTERCEPT + SLOPE * np.log(X), rtol=1e-9)
    np.testing.assert_allclose(fit_line(np.array(X), scores), (INTERCEPT, SLOPE), rtol=1e-9)
    assert to_line(np.array([1.3])) == to_line(np.array([0.999]))  # better than the expert is as good as .999
    with pytest.raises(ConfigError, match="at least two different points"):
        fit_line(np.array([3.0, 3.0]), np.array([0.1, 0.2]))


def points(slope, num_seeds=3, num_tasks=200, noise=0.02, seed=0):
    """Scores [num_seeds, num_tasks] at each of X, whose medians follow a power law."""
    generator = np.random.default_rng(seed)
    by_task = generator.normal(0, 0.05, num_tasks)
    by_task -= np.median(by_task)
    return [1 - np.exp(-INTERCEPT) * x**-slope + by_task + generator.normal(0, noise, (num_seeds, 1)) * 0.1 for x in X]


def test_intervals_hold_the_slope_and_one_seed_has_none():
    line = fit_scores(X, points(SLOPE), "median")
    assert line.low < SLOPE < line.high and line.slope == pytest.approx(SLOPE, abs=0.01)
    assert line.high - line.low < 0.1
    alone = fit_scores(X, points(SLOPE, num_seeds=1), "median")
    assert np.isnan(alone.low) and alone.slope == pytest.approx(SLOPE, abs=0.01)
    with pytest.raises(ConfigError, match="have \\[100, 200\\] tasks"):
        fit_scores(X, [*points(SLOPE)[:3], points(SLOPE, num_tasks=100)[3]], "median")


def test_slopes_are_compared_by_task_and_seed():
    steeper = compare_slopes(X, points(0.1), points(0.3), "median")
    assert steeper["low"] > 0.1 and steeper["p"] < 1e-6 and steeper["value"] == pytest.approx(0.2, abs=0.02)
    same = compare_slopes(X, points(0.2), points(0.2), "median")
    assert same["low"] <= 0 <= same["high"] and same["p"] == 1  # the same draws: no chance is left
    assert compare_slopes(X, points(0.1, num_seeds=1), points(0.3, num_seeds=1), "median") is None


@pytest.mark.slow  # statistics; quicker: the two tests above
def test_intervals_of_slopes_cover(monkeypatch):
    """Three seeds at each point, which vary more than tasks do; and the p of a difference is as likely as it says."""
    monkeypatch.setattr(fits, "_NUM_DRAWS", 50)
    generator, covered, ps = np.random.default_rng(0), 0, []
    for _ in range(200):
        by_task = generator.normal(0, 0.05, (60, 2))
        by_task -= by_task.mean(0)
        seeds = generator.normal(0, 0.03, (len(X), 3, 1, 2))
        both = [(1 - np.exp(-INTERCEPT) * x**-SLOPE) + by_task + of_seed for x, of_seed in zip(X, seeds, strict=True)]
        first, last = ([one[..., place] for one in both] for place in (0, 1))
        line = fit_scores(X, first, "mean")
        covered += line.low <= SLOPE <= line.high
        ps.append(compare_slopes(X, first, last, "mean")["p"])
    assert covered / 200 > 0.92
    assert (np.array(ps) < 0.05).mean() < 0.09 and np.mean(ps) == pytest.approx(0.5, abs=0.1)


def test_shapes_are_told_apart():
    x = np.repeat(X, 3)
    noise = np.random.default_rng(0).normal(0, 0.004, len(x))
    units = x / x.min()
    power = compare_shapes(x, 1 - 0.7 * units**-0.3 + noise)
    assert power["power"]["aic"] < power["saturation"]["aic"]
    assert power["power"]["exponent"] == pytest.approx(0.3, abs=0.02)
    flat = compare_shapes(x, 0.6 - 0.4 * units**-0.8 + noise)
    assert flat["saturation"]["aic"] < flat["power"]["aic"]
    assert flat["saturation"]["ceiling"] == pytest.approx(0.6, abs=0.02)
    assert flat["saturation"]["exponent"] == pytest.approx(0.8, abs=0.1)


def test_akaikes_criterion_has_known_values():
    assert akaike(2.0, 10, 3) == pytest.approx(10 * np.log(0.2) + 6 + 24 / 6)
    assert akaike(1.0, 4, 3) == float("inf")


@pytest.mark.parametrize("num_seeds", [1, 4])
def test_the_interval_of_a_gap_covers(num_seeds):
    """A seed's agent, its tasks, the held-out tasks and the rest vary; with one seed the agent does not."""
    generator, num_draws, num_tasks = np.random.default_rng(0), 1000, 40
    of_agent = 0.1 if num_seeds > 1 else 0.0
    covered = 0
    for _ in range(num_draws):
        agents = generator.normal(0.3, of_agent, num_seeds)
        trained_on = [generator.normal(0.5 + agent, 0.2, num_tasks) for agent in agents]
        held_out = 0.5 + generator.normal(0, 0.2, num_tasks) + generator.normal(0, 0.2, (num_seeds, num_tasks))
        gap = estimate_gap(trained_on, held_out)
        covered += gap.low <= 0.3 <= gap.high
    assert covered / num_draws > 0.93
    assert gap.high - gap.low < (0.25 if num_seeds == 1 else 0.6)


LADDER = {"low": 64.0, "middle": 512.0, "high": 4096.0}


def ladder(job):
    """Scores that follow a power law, a little higher with each seed; the last arm is at no point."""
    at = LADDER.get(job.arm)
    share = 0.95 if at is None else 1 - 0.9 * (at / 64) ** -0.3
    share += job.seed / 1000
    returns = {k: share * toy_experiment.TASKS[:, :k] * (1 if k == 3 else 0.5) for k in (1, 3)}
    numbers = {} if at is None else {"place": at}
    own = (
        {} if at is None else {TRAINED_ON: np.array([0.8, 1.0]), HELD_OUT: np.array([0.0, 0.1, 0.2]) - job.seed / 1000}
    )
    return Outcome(returns, numbers, by_task=own)


def baselines(job):
    scores = toy_experiment.EXPERIMENT.baselines(job)
    return dataclasses.replace(scores, returns={"noop": {k: np.zeros((1, 6, k)) for k in (1, 3)}})


EXPERIMENT = dataclasses.replace(
    toy_experiment.EXPERIMENT,
    arms=(*LADDER, "unlimited"),
    run=ladder,
    baselines=baselines,
    families=("pool", "other"),
    arms_of={"pool": (*LADDER, "unlimited"), "other": ("unlimited",)},
    fit_along="place",
)


def test_a_sweep_ends_in_fits_a_figure_and_a_paragraph(tmp_path):
    content = run_experiment(EXPERIMENT, tmp_path, families=["pool"], seeds=[0, 1])
    fit = content["families"]["pool"]["fit"]
    assert [(point["arm"], point["at"]) for point in fit["points"]] == [*LADDER.items(), ("unlimited", None)]
    assert fit["lines"]["median"]["3"]["slope"] == pytest.approx(0.3, abs=0.02)
    assert fit["lines"]["median"]["3"]["low"] is not None and fit["test"]["median"]["low"] > 0
    gap = fit["points"][0]["gap"]
    assert gap["low"] < gap["value"] < gap["high"] and gap["value"] == pytest.approx(0.8005)
    assert "gap" not in fit["points"][-1]
    assert fit["lines"]["mean"]["3"]["slope"] == pytest.approx(0.3, abs=0.02) and fit["at_floor"] == []
    assert fit["shapes"]["power"]["exponent"] == pytest.approx(0.3, abs=0.02)
    assert (tmp_path / "toy-fit.png").read_bytes()[:4] == b"\x89PNG"
    page = (tmp_path / "toy.html").read_text()
    assert "Slope of -log(1 - median)" in page and "minus held-out score: low 0.800 (0." in page
    alone = run_experiment(EXPERIMENT, tmp_path, families=["pool"], seeds=[0])
    assert alone["families"]["pool"]["fit"]["lines"]["median"]["3"]["low"] is None
    assert "One seed: there is no interval" in (tmp_path / "toy.html").read_text()
    few = run_experiment(EXPERIMENT, tmp_path, families=["pool"], arms=["low"], seeds=[0])
    assert "fit" not in few["families"]["pool"]


def test_families_have_arms_of_their_own(tmp_path):
    run_experiment(EXPERIMENT, tmp_path, seeds=[0])
    assert {path.name for path in tmp_path.glob("other-*")} == {"other-unlimited-seed0", "other-baselines"}
    with pytest.raises(ConfigError, match=r"The family 'other' has none of the arms \['low'\]"):
        run_experiment(EXPERIMENT, tmp_path, arms=["low"])


class SomePool:
    """Looks like a pool of 8 worlds and 8 games; its tasks are their ids."""

    num_games, first = 8, 100
    universe = SimpleNamespace(stacked=lambda worlds, games: (np.stack([worlds, games], axis=1), None))

    def __len__(self):
        return 64


@pytest.mark.parametrize(("asked", "number"), [(500, 64), (64, 64), (20, 20)])
def test_each_task_of_a_pool_is_examined_once(asked, number):
    ids = np.asarray(scale._some_of(SomePool(), asked))
    assert len(ids) == len(set(map(tuple, ids.tolist()))) == number
    assert ids.min() >= 100 and ids.max() < 108
    np.testing.assert_array_equal(ids, scale._some_of(SomePool(), asked))


@pytest.fixture
def trained(monkeypatch):
    """The runs that would be trained, with the tasks that they are given."""
    found = []

    def remember(config, job, exam, tasks=None):
        found.append((config, tasks, exam))
        return Outcome({1: np.zeros((1, 1))}, {"parameters": 77})

    monkeypatch.setattr(scale, "train_to_end", remember)
    monkeypatch.setattr(scale, "training_flops", lambda agent, config: 10.0)
    monkeypatch.setattr(scale, "_scores_on", lambda *_: np.array([0.4, 0.6]))
    return found


@pytest.mark.parametrize(
    ("family", "arm", "at"),
    [
        ("size", "width-32", 77),
        ("memory", "reach-192", 192),
        ("pool", "pool-2^9", 512),
        ("pool", "pool-unlimited", None),
        ("trials", "up-to-24", 24),
        ("complexity-one-room", "width-512", 77),
    ],
)
def test_points_are_where_they_should_be(trained, tmp_path, family, arm, at):
    outcome = scale.run(Job(family, arm, 0, tmp_path))
    (config, tasks, exam), default = trained[0], PRESETS["s"]()
    assert outcome.numbers.get(scale.AT) == at and outcome.numbers["training_flops"] == 10.0 * default.total_steps
    assert (tasks is None) == (family != "pool" or at is None) and (tasks is None or len(tasks) == at)
    assert (outcome.by_task.keys() == {TRAINED_ON, HELD_OUT}) == (family == "pool")
    assert outcome.numbers.get(TRAINED_ON) == (0.5 if family == "pool" else None)
    whence = PRESETS["memory" if family in ("memory", "trials") else "s"]()
    assert config.total_steps == default.total_steps and config.env == whence.env
    assert config.universe.num_trials == ((1, 24) if family == "trials" else whence.universe.num_trials)
    assert exam.config.num_trials[-1] == (48 if family == "trials" else 13)
    assert config.universe.world.rooms == ((1,) if family == "complexity-one-room" else whence.universe.world.rooms)
    changes = {"size": {"memory_size": 32}, "memory": {"cache_size": 192, "memory": "transformer_xl"}}.get(family, {})
    assert changes.items() <= dataclasses.asdict(config.agent).items()
    if family in ("pool", "trials"):
        assert config.agent == whence.agent


def test_each_seed_has_a_pool_of_its_own(trained, tmp_path):
    for seed in (0, 1, 2):
        scale.run(Job("pool", "pool-2^20", seed, tmp_path))
    first, second, third = (pool.first for _, pool, _ in trained)
    assert 0 == first < first + 2**20 < second < second + 2**20 < third
    with pytest.raises(ConfigError, match="a seed is at most 15, not 16: others have no own tasks"):
        scale.run(Job("pool", "pool-2^6", 16, tmp_path))


def test_what_is_at_the_floor_is_said(tmp_path):
    def poor(job):
        outcome = ladder(job)
        few = np.arange(6) < 1  # one task of six is solved at all: its share is the mean's, and not the median's
        return dataclasses.replace(outcome, returns={k: few[:, None] * one for k, one in outcome.returns.items()})

    experiment = dataclasses.replace(EXPERIMENT, run=poor)
    content = run_experiment(experiment, tmp_path, families=["pool"], seeds=[0, 1])
    assert content["families"]["pool"]["fit"]["at_floor"] == ["median", "percentile_20"]
    page = (tmp_path / "toy.html").read_text()
    assert "The median is at the floor" in page and "Slope of -log(1 - mean)" in page


@pytest.mark.slow
def test_operations_grow_with_the_agent():
    config = PRESETS["smoke"]()
    counts = []
    for size in (16, 64):
        agent = make_agent(dataclasses.replace(config.agent, memory_size=size), config.env)
        counts.append(scale.training_flops(agent, config))
    passes = 1 + 3 * config.learner.num_epochs
    # Of the GRU alone: three gates, each a product with what comes in and one with the state, an addition a factor.
    of_gru = [2 * 3 * size * (config.agent.input_size + size) * passes for size in (16, 64)]
    assert counts[0] > of_gru[0] and counts[1] - counts[0] > 0.9 * (of_gru[1] - of_gru[0])
    assert counts[1] < 10 * of_gru[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scale", "--axis", "pol"], "Did you mean 'pool'?"),
        (["scale", "--axis", "pool", "--families", "size"], "exclude each other"),
        (["memories", "--axis", "pool"], "--axis is of scale; memories has --families"),
        (["scale", "--axis", "pool", "--arms", "width-32"], "The family 'pool' has none of the arms"),
    ],
)
def test_axes_that_cannot_be_meant(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["lab", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.slow  # two runs, with an exam on their pools each
def test_a_sweep_of_pools_runs(tmp_path, capsys):
    arms = ["pool-2^6", "pool-2^20"]
    arguments = ["lab", "scale", "--axis", "pool", "--arms", *arms, "--seeds", "0", "--quick"]
    assert main([*arguments, "--output", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "scale.json").read_text())
    fit = content["families"]["pool"]["fit"]
    assert [point["at"] for point in fit["points"]] == [64, 2**20]
    assert fit["points"][0]["gap"]["low"] < fit["points"][0]["gap"]["high"] and (tmp_path / "scale-fit.png").exists()
    runs = {run["arm"]: run["numbers"] for run in content["families"]["pool"]["runs"]}
    assert all(numbers["training_flops"] > 1e6 for numbers in runs.values())
    assert "Wrote scale.json" in capsys.readouterr().out
