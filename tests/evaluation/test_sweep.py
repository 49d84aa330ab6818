"""AdA's protocol: known answers, resuming, what is written, and what is refused."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluation_tasks import CONFIG, ENV, make_room, stack
from rich.console import Console
from scipy.special import ndtri

from xworld import ConfigError
from xworld.agents import Expert, NoopPolicy, RandomPolicy, make_player
from xworld.agents.players import check_same_physics, own_player
from xworld.evaluation import (
    Reference,
    Scores,
    SweepConfig,
    draw_players,
    estimate,
    expert_reference,
    fine_tuned_reference,
    players_table,
    run_sweep,
    statistics_table,
    summarise,
    sweep_scores,
    write_sweep,
)
from xworld.evaluation.reference import BY_FINE_TUNED, BY_HALF, halves
from xworld.evaluation.report.files import choose_tasks
from xworld.evaluation.report.look import to_png
from xworld.evaluation.report.page import html_table
from xworld.evaluation.report.plots import draw_breakdown, draw_statistics
from xworld.evaluation.report.tables import breakdown_table
from xworld.evaluation.scores import sweep as sweep_module
from xworld.evaluation.scores.schema import SCHEMA
from xworld.evaluation.scores.statistics import interval, share_interval, wilson
from xworld.evaluation.scores.summary import STATISTICS, as_json, last_statistics
from xworld.evaluation.scores.sweep import mean_sweep
from xworld.tasks import TaskCollection

EMPTY = "0....|.....|.....|.....|....."
REACHED, ALWAYS, NEVER = range(3)
# A ball in front of the agent, two steps: a random agent picks it up in the first (1/7), and then does not put it back
# (6/7), or in the second, unless it turned away (4/7 * 1/7).
RANDOM_REACHES = 1 / 7 + 1 / 7 * 6 / 7 + 4 / 7 * 1 / 7
BEST = np.array([2, 3, 0], np.float32)  # nothing can be earned in the third task
SWEEP = SweepConfig(num_trials=(1, 3), num_repetitions=128, seed=7, batch_size=96)
NUM_BATCHES = 4  # for each number of trials: 3 * 128 episodes


@pytest.fixture(scope="module")
def collection():
    rooms = [
        make_room("0x...|.....|.....|.....|.....", goal='"hold(agent, red ball)"', rules="[]", trial_length=2),
        make_room(EMPTY, goal='"not hold(agent, black cube)"', rules="[]", trial_length=3),
        make_room(EMPTY, goal='"hold(agent, black cube)"', trial_length=5),
    ]
    return TaskCollection("three rooms", ENV, stack(rooms))


@pytest.fixture(scope="module")
def random_sweep(collection):
    return run_sweep(ENV, collection.tasks, RandomPolicy(), SWEEP, show_progress=False)


@pytest.fixture(scope="module")
def reference():
    return Reference("a person's best return", BEST)


def test_noop_and_random_earn_what_arithmetic_says(collection, random_sweep):
    noop = run_sweep(ENV, collection.tasks, NoopPolicy(), SWEEP, show_progress=False)
    for num_trials in SWEEP.num_trials:
        expected = np.broadcast_to(np.array([0, 3, 0])[:, None, None], (3, 128, num_trials))
        np.testing.assert_array_equal(noop[num_trials], expected)
        np.testing.assert_array_equal(random_sweep[num_trials][[ALWAYS, NEVER]], expected[[ALWAYS, NEVER]])
    trials = np.concatenate([random_sweep[num_trials][REACHED].ravel() for num_trials in SWEEP.num_trials])
    assert trials.size == 512 and set(trials) == {0, 1, 2}
    assert abs(trials.mean() - RANDOM_REACHES) < 4 * trials.std() / trials.size**0.5
    scores = summarise(sweep_scores("noop", noop, Reference("", BEST)))["scores"]["noop"]["3"]["last"]
    assert scores["mean"]["value"] == 0.5 and scores["share_at_0"]["value"] == 0.5
    assert scores["median"]["value"] == 0.5 and scores["percentile_20"]["value"] == pytest.approx(0.2)


def test_every_repetition_and_number_of_trials_has_its_own_chance(random_sweep):
    one, three = (random_sweep[num_trials][REACHED, :, 0] for num_trials in SWEEP.num_trials)
    assert (one != three).any() and len(set(one)) > 1
    assert (random_sweep[3][REACHED, :, 0] != random_sweep[3][REACHED, :, 2]).any()


def test_means_of_a_sweep_are_over_repetitions(collection, random_sweep):
    means = mean_sweep(ENV, collection.tasks, RandomPolicy(), SWEEP, show_progress=False)
    assert {k: one.tolist() for k, one in means.items()} == {k: one.mean(1).tolist() for k, one in random_sweep.items()}


def test_all_numbers_of_trials_are_one_compilation(collection):
    traced = []

    @jax.tree_util.register_dataclass
    @dataclasses.dataclass(frozen=True)
    class Counting(NoopPolicy):
        def start(self, key, state, briefing):
            traced.append(1)
            return ()

    config = SweepConfig(num_trials=(1, 2, 4), num_repetitions=5, batch_size=6)
    run_sweep(ENV, collection.tasks, Counting(), config, show_progress=False)
    assert len(traced) == 1


def test_what_was_interrupted_goes_on_and_gives_the_same_bytes(
    collection, random_sweep, reference, tmp_path, monkeypatch
):
    player = make_player("random", RandomPolicy())
    play_batch, calls = sweep_module.play_batch, []

    def play_until(limit):
        def play(*arguments):
            if len(calls) == limit:
                raise KeyboardInterrupt
            calls.append(1)
            return play_batch(*arguments)

        return play

    def run(folder, show_progress=False):
        return run_sweep(ENV, collection.tasks, player.policy, SWEEP, folder, player.about, show_progress=show_progress)

    monkeypatch.setattr(sweep_module, "play_batch", play_until(NUM_BATCHES + 1))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "a")
    monkeypatch.setattr(sweep_module, "play_batch", play_until(2 * NUM_BATCHES))
    resumed = run(tmp_path / "a", show_progress=True)
    assert len(calls) == 2 * NUM_BATCHES  # nothing was played twice
    for num_trials, returns in random_sweep.items():
        np.testing.assert_array_equal(resumed[num_trials], returns)

    monkeypatch.setattr(sweep_module, "play_batch", play_batch)
    (tmp_path / "b").mkdir()
    content = write_sweep(tmp_path / "a", collection, player, SWEEP, resumed, reference)
    write_sweep(tmp_path / "b", collection, player, SWEEP, random_sweep, reference)
    for name in ("scores.json", "report.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    check_content(content, collection, random_sweep)

    page = (tmp_path / "a" / "report.html").read_text()
    assert (
        page.count("data:image/png") == 4 and page.count("data:image/gif") == 2
    )  # the worst of two is the typical one
    assert "src=" in page and page.count("src=") == page.count('src="data:')  # it needs no other file
    console = Console(width=150, record=True, file=(tmp_path / "table.txt").open("w"))
    console.print(statistics_table(content))
    console.file.close()
    table = console.export_text()
    assert "20th percentile" in table and "None" not in table

    other = {**player.about, "digest": "0"}
    with pytest.raises(ConfigError, match="digest: .* there, 0 here"):
        run_sweep(ENV, collection.tasks, player.policy, SWEEP, tmp_path / "a", other, show_progress=False)
    damaged = tmp_path / "a" / "returns" / "1-trials-batch-0.npy"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(ConfigError, match="damaged"):
        run(tmp_path / "a")
    np.save(damaged, np.zeros((2, 1), np.float32))
    with pytest.raises(ConfigError, match=r"its shape is \[2, 1\]"):
        run(tmp_path / "a")

    tuned = fine_tuned_reference(tmp_path / "a", collection.content_hash)
    even, odd = (
        np.stack([random_sweep[k][:, half::2, -1].mean(1, dtype=np.float64) for k in SWEEP.num_trials])
        for half in (0, 1)
    )
    rooms = np.arange(3)
    expected = (even[odd.argmax(0), rooms] + odd[even.argmax(0), rooms]) / 2
    np.testing.assert_allclose(tuned.best, expected, rtol=1e-6)
    with pytest.raises(ConfigError, match="of other tasks"):
        fine_tuned_reference(tmp_path / "a" / "scores.json", "0")


def check_content(content, collection, returns):
    """What `scores.json` says, against the returns."""
    assert content["schema"] == "xworld.scores/2"
    assert content["task_set"] == {"name": "three rooms", "content_hash": collection.content_hash}
    assert content["num_scored"] == {"1": 2, "3": 2}
    assert content["num_tasks"] == 3 and content["reference"]["num_tasks_without"] == 1
    assert content["env"] == json.loads(json.dumps(dataclasses.asdict(CONFIG)))
    scores = returns[3][:2, :, -1].mean(1) / BEST[:2]
    np.testing.assert_allclose([task["score"]["random"]["3"] for task in content["tasks"][:2]], scores, rtol=1e-6)
    assert content["tasks"][NEVER]["score"]["random"] == {"1": None, "3": None}
    assert content["tasks"][NEVER]["num_hidden_rules"] == content["tasks"][NEVER]["num_rules"] == 1
    curve = (returns[3][:2].mean(1) / BEST[:2, None]).mean(0)
    np.testing.assert_allclose(content["scores"]["random"]["3"]["score"]["value"], curve, rtol=1e-6)
    mean = content["scores"]["random"]["3"]["last"]["mean"]
    assert mean["low"] <= mean["value"] <= mean["high"] and mean["value"] == pytest.approx(scores.mean())
    (few, many) = content["breakdown"]["num_objects"]
    assert (few["value"], few["num_tasks"], many["value"], many["num_tasks"]) == (0, 1, 1, 1)
    # One task says nothing of others, so that its group has no interval; the figures draw it all the same.
    assert many["scores"]["random"]["3"]["mean"] == {"value": pytest.approx(scores[REACHED]), "low": None, "high": None}


def test_statistics_and_intervals_of_known_scores():
    scores = np.arange(11) / 10
    values = {name: float(statistic(scores)) for name, statistic in STATISTICS.items()}
    expected = {"median": 0.5, "percentile_20": 0.2, "mean": 0.5, "share_above_0.8": 2 / 11, "share_at_0": 1 / 11}
    assert values == pytest.approx(expected | {"mean_clipped": 0.5, "share_above_1": 0})
    above = np.array([0.5, 1 + 1e-7, 3.0, 1.1])  # the second by rounding only
    assert STATISTICS["share_above_1"](above) == 0.5 and STATISTICS["mean_clipped"](above) == pytest.approx(3.5 / 4)
    many = np.random.default_rng(0).uniform(size=2_000)
    low, high = interval(many, STATISTICS["median"])
    half = 1.96 * 0.5 / 2_000**0.5  # of the median of uniform values: half their density's inverse over sqrt(n)
    assert high - low == pytest.approx(2 * half, rel=0.2) and low < 0.5 < high
    assert interval(many, STATISTICS["median"]) == (low, high)
    assert interval(np.full(5, 0.3), STATISTICS["mean"]) == pytest.approx((0.3, 0.3))


def test_statistics_of_several_rows_are_of_all_pairs():
    """They do not depend on how many rows there are: the same row twice is as good as once."""
    values = np.random.default_rng(0).uniform(0, 1.2, (3, 40))
    values[:, :9] = values[0, 10:] = 0
    pooled, twice = last_statistics(values), last_statistics(np.repeat(values, 2, axis=0))
    for name, statistic in STATISTICS.items():
        assert pooled[name]["value"] == pytest.approx(float(statistic(values.ravel()))), name
        assert twice[name]["value"] == pytest.approx(pooled[name]["value"], abs=0.02), name
    assert pooled["share_at_0"]["value"] == pytest.approx((values == 0).mean())
    values[::2, ::3] = np.nan  # people, who play some of the tasks
    for name, share in (("median", 0.5), ("percentile_20", 0.2)):
        assert last_statistics(values)[name]["value"] == pytest.approx(np.nanquantile(values, share))
    stacked = np.stack([values.ravel(), values[::-1].ravel()])
    np.testing.assert_allclose(STATISTICS["percentile_20"](stacked), np.nanquantile(stacked, 0.2, axis=-1))
    share = (values == 0).sum() / (~np.isnan(values)).sum()
    np.testing.assert_allclose(STATISTICS["share_at_0"](stacked), share)


def test_shares_of_none_and_of_all_have_a_width():
    """Wilson's, for one row and for several that agree in everything."""
    most = 1.959964**2 / (40 + 1.959964**2)
    for num_rows in (1, 3):
        none = last_statistics(np.full((num_rows, 40), 0.5))
        assert none["share_at_0"] == {"value": 0, "low": 0, "high": pytest.approx(most)}
        full = last_statistics(np.full((num_rows, 40), 0.9))["share_above_0.8"]
        assert full == {"value": 1, "low": pytest.approx(1 - most), "high": 1}
    assert wilson(0.25, 60) == pytest.approx((0.1578, 0.3723), abs=1e-4)
    content = summarise(sweep_scores("agent", {1: np.full((40, 2, 1), 0.5)}, Reference("one", np.ones(40))))
    assert "~.09" in "".join([*statistics_table(content).columns[-1].cells])  # of none at 0


@pytest.mark.parametrize("num_rows", [1, 3])
def test_intervals_of_small_shares_cover(num_rows):
    """Of a share of .03 in 30 tasks; with one row it is over tasks alone."""
    generator, hits, num_draws = np.random.default_rng(0), 0, 400
    of_row = 0.3 if num_rows > 1 else 0.0
    for _ in range(num_draws):
        values = of_row * generator.normal(size=(num_rows, 1)) + generator.normal(size=30)
        values += generator.normal(size=(num_rows, 30))
        is_it = values > (of_row**2 + 2) ** 0.5 * ndtri(0.97)
        low, high = share_interval(is_it.astype(float), num_resamples=100)
        hits += low <= 0.03 <= high
    assert hits >= 0.93 * num_draws


def test_means_of_few_tasks_have_students_interval():
    """A breakdown's groups are small, and so are the tasks without a reference: both as `estimate` has it."""
    returns = np.random.default_rng(0).uniform(size=(2, 7, 1))
    scores = Scores({"agent": {1: returns}}, Reference("one", np.array([1, 1, 1, 1, 1, 0, 0], np.float32)))
    content = summarise(scores, {"feature": np.array([0, 0, 1, 1, 1, 1, 2])})
    for group, tasks in zip(content["breakdown"]["feature"], (slice(2), slice(2, 5)), strict=True):
        assert group["scores"]["agent"]["1"]["mean"] == as_json(estimate(returns[:, tasks, 0]))
    zeros = np.where(np.arange(7) < 5, returns[..., 0], 0)
    assert content["scores"]["agent"]["1"]["last_with_zeros"]["mean"] == pytest.approx(as_json(estimate(zeros)))
    generator, hits = np.random.default_rng(0), 0
    for _ in range(300):
        mean = last_statistics(generator.normal(size=(1, 2)))["mean"]
        hits += mean["low"] <= 0 <= mean["high"]
    assert hits >= 0.93 * 300


def test_one_task_has_no_interval():
    scores = Scores({"agent": {k: np.full((1, 1, k), 0.5) for k in (1, 2)}}, Reference("one", np.ones(1)))
    content = json.loads(json.dumps(summarise(scores, {"num_rules": np.array([3])})))
    for of_k in content["scores"]["agent"].values():
        for found in of_k["last"].values():
            assert found["low"] is None and found["high"] is None
    tables = [statistics_table(content), players_table(content), breakdown_table(content, "num_rules", {3: "three"})]
    assert [[*table.columns[-1].cells][-1] for table in tables] == ["0.00", "0.50", "0.50"]
    assert "0.500</td>" in html_table({"agent": [content["scores"]["agent"]["1"]["last"]["median"]]}, ("", ""))
    for figure in (draw_players(content), draw_statistics(content, "agent"), draw_breakdown(content, "agent")):
        assert to_png(figure)


@pytest.mark.parametrize(("of_seeds", "is_whole"), [((0.3, 0.5), False), ((0.39, 0.4, 0.41), True)])
def test_an_interval_far_above_its_line_does_not_flatten_all_lines(of_seeds, is_whole):
    returns = np.tile(np.array(of_seeds)[:, None, None], (1, 4, 1))
    content = summarise(Scores({"agent": {1: returns}}, Reference("one", np.ones(4))))
    high = content["scores"]["agent"]["1"]["last"]["mean"]["high"]
    assert (high < 1.2 * 0.4) == is_whole
    (axes,) = draw_players(content, "mean").axes
    assert axes.get_ylim()[1] == pytest.approx(1.08 * (high if is_whole else 1.2 * 0.4))


def test_tasks_in_which_the_reference_earns_nothing_are_reported_with_and_without():
    """The hard tasks drop out where the tuned agent fails, and the 20th percentile rises."""
    returns = np.arange(10, dtype=np.float32)[:, None, None] / 10
    best = np.where(np.arange(10) < 4, 0, 1).astype(np.float32)
    content = summarise(sweep_scores("agent", {1: returns}, Reference(BY_FINE_TUNED, best)))
    of_k = content["scores"]["agent"]["1"]
    assert content["num_tasks"] == 10 and content["num_scored"] == {"1": 6}
    assert of_k["last"]["percentile_20"]["value"] == pytest.approx(0.5)
    zeros = of_k["last_with_zeros"]
    assert zeros["percentile_20"]["value"] == 0 and zeros["share_at_0"]["value"] == 0.4
    assert zeros["mean"]["value"] == pytest.approx(0.39)


def test_chosen_tasks():
    assert choose_tasks(np.array([0.5, 0.125, np.nan, 0.875, 0.625])) == {"best": 3, "typical": 0, "worst": 1}


def test_best_returns_are_kept_and_their_search_goes_on(collection, tmp_path, monkeypatch):
    tasks = jax.tree.map(lambda leaf: jnp.concatenate([leaf] * 12), collection.tasks)
    asked = []

    def best_returns(_, some):
        if len(asked) == 1:
            asked.append(0)
            raise KeyboardInterrupt
        asked.append(len(some.trial_length))
        return np.where(np.asarray(some.trial_length) == 5, 0, np.asarray(some.trial_length))

    class Counting(Expert):
        """An expert that finds what is known."""

    Counting.best_returns = best_returns
    expert = Counting(ENV)
    with pytest.raises(KeyboardInterrupt):
        expert_reference(tasks, expert, tmp_path, show_progress=False)
    found = expert_reference(tasks, expert, tmp_path)
    np.testing.assert_array_equal(found.best, np.tile(BEST, 12))
    assert asked == [16, 0, 16, 4]
    np.testing.assert_array_equal(expert_reference(tasks, expert, tmp_path).best, found.best)
    assert len(asked) == 4
    (path,) = tmp_path.iterdir()
    assert path.name.endswith("-v1-10s.npy")
    # An expert that may find other plans has a file of its own.
    expert_reference(tasks, dataclasses.replace(expert, time_limit_s=0.5), tmp_path)
    assert len(asked) == 7 and len(list(tmp_path.iterdir())) == 2
    monkeypatch.setattr(Counting, "version", 2)
    expert_reference(tasks, expert, tmp_path)
    assert len(asked) == 10 and len(list(tmp_path.iterdir())) == 3
    monkeypatch.undo()
    np.save(path, np.zeros((3, 2), np.float32))
    with pytest.raises(ConfigError, match="damaged"):
        expert_reference(tasks, expert, tmp_path)


def test_an_equally_good_agent_scores_1_beside_a_fine_tuned_one(tmp_path):
    """Nothing but chance tells the numbers of trials apart: the highest of six means would be a sixth too high."""
    generator, num_tasks, numbers = np.random.default_rng(0), 400, (1, 2, 3, 5, 8, 13)

    def played():
        return {k: generator.normal(5, 4, (num_tasks, 20, 1)) for k in numbers}

    by_half = {str(k): halves(returns).tolist() for k, returns in played().items()}
    content = {
        "schema": SCHEMA,
        "task_set": {"name": "any", "content_hash": "0"},
        "protocol": {"num_repetitions": 20},
        "scores": {},
        "tasks": [{BY_HALF: {k: values[task] for k, values in by_half.items()}} for task in range(num_tasks)],
    }
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(content))
    reference = fine_tuned_reference(path, "0")
    last = np.mean([returns[..., -1].mean(axis=1) for returns in played().values()], axis=0)
    assert last.mean() / reference.best.mean() == pytest.approx(1, abs=0.02)
    highest = np.max([np.mean(values, axis=-1) for values in by_half.values()], axis=0)
    assert last.mean() / highest.mean() < 0.85
    content["protocol"]["num_repetitions"] = 1
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="of one episode of each task, and a reference needs two"):
        fine_tuned_reference(path, "0")


def test_no_scores_without_any_reference(random_sweep):
    with pytest.raises(ConfigError, match="None of the 3 tasks"):
        sweep_scores("random", random_sweep, Reference("nobody", np.zeros(3, np.float32)))
    with pytest.raises(ConfigError, match="of 2 tasks"):
        sweep_scores("random", random_sweep, Reference("nobody", np.ones(2, np.float32)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_trials": ()}, "at least one, rising"),
        ({"num_trials": (3, 1)}, "at least one, rising"),
        ({"num_trials": (1, 1)}, "at least one, rising"),
        ({"num_trials": (0, 1)}, "num_trials is 0"),
        ({"num_repetitions": 0}, "num_repetitions is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_sweeps_that_cannot_be_meant(fields, message):
    with pytest.raises(ConfigError, match=message):
        SweepConfig(**fields)


@pytest.mark.parametrize(
    ("text", "message"), [(None, "cannot be read"), ("{", "is not JSON"), ('{"unit": 1}', "has the schema None")]
)
def test_score_files_that_are_none(text, message, tmp_path):
    path = tmp_path / "scores.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        fine_tuned_reference(path, "0")


def test_own_players_and_other_environments():
    assert isinstance(own_player("test_sweep:make_noop", ENV).policy, NoopPolicy)
    for name, message in {
        "no_such_module:make": "No module",
        "test_sweep:nothing": "no attribute",
        "test_sweep:make_nonsense": "is no policy",
    }.items():
        with pytest.raises(ConfigError, match=message):
            own_player(name, ENV)
    with pytest.raises(ConfigError, match="push: False -> True"):
        check_same_physics(CONFIG, dataclasses.replace(CONFIG, push=True))


def make_noop(env):
    return NoopPolicy()


def make_nonsense(env):
    return 3
