"""The scoreboard: entries in files, the command that adds and checks them, and the page."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from tiny_rooms import SANITY_TASKS, sanity_config

from xworld import Env
from xworld.agents import make_agent, save
from xworld.agents.saved.saved import checkpoint_folder
from xworld.apps.commands.main import main
from xworld.apps.commands.scoreboard import Scoreboard
from xworld.base.errors import ConfigError
from xworld.evaluation import difference, estimate
from xworld.evaluation.scoreboard.entry import NUM_TRIALS, Entry, Training, read_entries, read_entry, write_entry
from xworld.evaluation.scoreboard.page import draw, make_page
from xworld.evaluation.scoreboard.playing import check_entry, compare_again
from xworld.tasks import TaskCollection, TaskSet
from xworld.training.run.checkpoint import save_config

ROOT = Path(__file__).parents[2]
FEW = ("--repetitions", "3")


def make_entry(name="gru", num_players=3, seed=0, **changes) -> Entry:
    scores = {k: np.random.default_rng(seed + k).random((num_players, 20)).round(4) for k in NUM_TRIALS}
    for values in scores.values():
        values[:, 3] = np.nan
    trainings = tuple(Training(seed, 50_000_000, 900.5 + seed) for seed in range(num_players))
    entry = Entry(
        name=name,
        about="a GRU",
        players=tuple(f"agents/{name}-{seed}" for seed in range(num_players)),
        trainings=trainings,
        hardware="two cores",
        num_tasks=20,
        content_hash="abc",
        best_returns_digest="def",
        num_repetitions=10,
        seed=0,
        scores=scores,
    )
    return dataclasses.replace(entry, **changes)


def test_an_entry_survives_its_file(tmp_path):
    entry = make_entry()
    write_entry(tmp_path, entry)
    (read,) = read_entries(tmp_path)
    assert dataclasses.replace(read, scores={}) == dataclasses.replace(entry, scores={})
    assert {k: values.tolist() for k, values in read.scores.items()}.keys() == entry.scores.keys()
    for k, values in entry.scores.items():
        np.testing.assert_array_equal(read.scores[k], values)
    assert entry.scored(6).shape == (3, 19)
    assert len((tmp_path / "gru.json").read_text().splitlines()) < 100  # a line for each player and number of trials


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(schema="xworld.scoreboard/0"), "not of the schema"),
        (lambda content: content["scores"].pop("6"), "is damaged"),
        (lambda content: content["scores"]["6"][0].pop(), "is no entry"),
        (lambda content: content["scores"]["6"].pop(), "is damaged"),
        (lambda content: content.pop("about"), "is no entry"),
        (lambda content: content.update(more=1), "is no entry"),
    ],
)
def test_a_damaged_entry_is_refused(tmp_path, change, message):
    write_entry(tmp_path, make_entry())
    path = tmp_path / "gru.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=message):
        read_entry(tmp_path, "gru")
    with pytest.raises(ConfigError, match="has no entry 'grv'. Did you mean 'gru'"):
        read_entry(tmp_path, "grv")


def test_the_page_says_what_the_statistics_say():
    default, other = make_entry(), make_entry("other", num_players=1, seed=50, trainings=(), hardware="")
    default.scores[1][:, 5] = np.nan  # and in no other number of trials
    page = make_page([default, other], "entries", "scores.png")
    mean, minus = estimate(default.scored(6)), difference(other.scores[6], default.scores[6])
    row, _ = (line.split(" | ") for line in page.splitlines() if line.startswith("| `gru` | 0"))
    assert row[3] == f"{mean.mean:.3f} ({mean.low:.3f} to {mean.high:.3f})"
    assert row[1].startswith(f"{np.median(default.scored(6)):.3f} (")
    assert row[2].startswith(f"{np.quantile(default.scored(6), 0.2):.3f} (")
    gain = estimate(np.delete(default.scores[6] - default.scores[1], [3, 5], axis=1))
    assert row[4] == f"{gain.mean:.3f} ({gain.low:.3f} to {gain.high:.3f})" and gain.low < gain.mean != 0
    assert f"| {minus.mean:.3f} ({minus.low:.3f} to {minus.high:.3f}) |" in page
    assert "0, 1, 2 | 50.0 M | 900 to 902 | two cores |" in page
    assert "1 have no such return" in page and "![" in page
    assert len(draw([default, other]).axes[0].lines) == 2
    alone = make_page([other], "entries", "scores.png")
    assert "minus" not in alone
    with pytest.raises(ConfigError, match="different tasks"):
        make_page([default, dataclasses.replace(other, content_hash="abd")], "entries", "scores.png")
    with pytest.raises(ConfigError, match="different best returns"):
        make_page([default, dataclasses.replace(other, best_returns_digest="deg")], "entries", "scores.png")
    with pytest.raises(ConfigError, match="There are no entries"):
        make_page([], "entries", "scores.png")


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Eight tiny tasks in the place of the test set, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    source = TaskSet.from_source(SANITY_TASKS, jax.random.key(3), 8)
    collection = TaskCollection("tiny", Env(sanity_config().env), source.tasks)
    serve(monkeypatch, collection)
    return collection


def serve(monkeypatch, collection):
    monkeypatch.setattr(
        "xworld.evaluation.scoreboard.playing.benchmark_tasks",
        lambda number=None: collection if number is None else collection.first(number),
    )


def make_run(folder: Path, seed: int) -> str:
    """What a run of the tiny tasks leaves, of an agent that has learned nothing; its folder."""
    config, run = dataclasses.replace(sanity_config(), seed=seed), folder / "runs" / str(seed)
    agent = make_agent(config.agent, config.env)
    save(checkpoint_folder(run, "last", 10), agent, jax.jit(agent.init)(jax.random.key(seed)))
    save_config(run, config, {})
    (run / "metrics.jsonl").write_text('{"update": 10, "steps": 10240, "seconds": 3.25}\n')
    return str(run.relative_to(folder))


@pytest.mark.slow
def test_entries_are_added_checked_and_shown(tiny, tmp_path, capsys, monkeypatch):
    runs = [make_run(tmp_path, seed) for seed in (4, 7)]
    for name in ("random", "expert"):
        assert main(["scoreboard", "--add", name, "--agents", name, *FEW]) == 0
    assert main(["scoreboard", "--add", "gru", "--agents", *runs, "--about", "two seeds", *FEW]) == 0

    entries = tmp_path / "docs" / "results" / "scoreboard"
    entry = read_entry(entries, "gru")
    assert [(training.seed, training.steps) for training in entry.trainings] == [(4, 10240), (7, 10240)]
    assert entry.about == "two seeds"
    assert entry.players == ("agents/gru-4", "agents/gru-7") and entry.hardware and entry.trainings[0].seconds == 3.2
    assert all(values.shape == (2, 8) and np.isfinite(values).all() for values in entry.scores.values())
    assert any((rows[0] != rows[1]).any() for rows in entry.scores.values())  # the seeds are different agents
    np.testing.assert_allclose(read_entry(entries, "expert").scores[13].mean(), 1, atol=0.2)
    page = (tmp_path / "docs" / "scoreboard.md").read_text()
    assert "(results/scoreboard/scores.png)" in page and (entries / "scores.png").exists()
    assert all(f"| `{name}` |" in page for name in ("random", "expert", "gru")) and "minus `gru`" in page

    capsys.readouterr()
    for name in ("gru", "expert"):
        assert main(["scoreboard", "--check", name]) == 0
        assert "the same" in capsys.readouterr().out
    # Of the kept agents, not of the runs; and played with 6 trials alone they earn what they earned with all.
    lower = dataclasses.replace(entry, scores={k: values - 5 for k, values in entry.scores.items()})
    write_entry(entries, lower)
    assert main(["scoreboard", "--check", "gru"]) == 1
    assert "DIFFERENT" in capsys.readouterr().out
    check = check_entry(entry, entries, show_progress=False)
    np.testing.assert_allclose(check.difference.mean, 0, atol=1e-4)
    write_entry(entries, dataclasses.replace(entry, best_returns_digest="0" * 16))
    assert main(["scoreboard", "--check", "gru"]) == 2
    assert "shares of other best returns" in capsys.readouterr().err
    write_entry(entries, entry)
    serve(monkeypatch, dataclasses.replace(tiny, tasks=jax.tree.map(lambda leaf: leaf[::-1], tiny.tasks)))
    assert main(["scoreboard", "--check", "gru"]) == 2
    assert "is of other tasks" in capsys.readouterr().err


def test_damage_is_told_from_rounding_and_from_episodes_that_went_another_way():
    """Of the entry `gru`, whose interval for other tasks and seeds is .26 to .34, and which says .298."""
    entry, generator = read_entry(ROOT / Scoreboard().entries, "gru"), np.random.default_rng(0)
    listed = entry.scores[6]

    def is_same(scores):
        return compare_again(entry, scores).is_same.tolist()

    assert is_same(listed + generator.uniform(-5e-5, 5e-5, listed.shape)) == [True] * 3
    drawn_anew = generator.normal(0, 0.15, listed.shape) * (generator.random(listed.shape) < 0.2)
    assert is_same(listed + drawn_anew) == [True] * 3
    assert is_same(0.87 * listed) == [False] * 3
    one = listed.copy()
    one[1] *= 0.9
    assert is_same(one) == [True, False, True]  # however well the others do
    check = compare_again(entry, one)
    assert check.difference.mean == pytest.approx([0, -0.1 * listed[1].mean(), 0])
    assert check.listed == pytest.approx(listed.mean(axis=1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--add", "a", "--check", "b"], "exclude each other"),
        (["--agents", "random"], "--agents goes with --add"),
        (["--add", "A b", "--agents", "random"], "cannot be an entry's name"),
        (["--add", "a"], "--agents takes"),
        (["--add", "a", "--agents", "random", "noop"], "--agents takes"),
        (["--add", "a", "--agents", "runs/nothing"], "runs/nothing"),
        (["--add", "a", "--agents", "random", "--repetitions", "0"], "num_repetitions is 0"),
        (["--check", "a"], "has no entry 'a'"),
        (["--check", "a", "--seed", "0"], "--seed goes with --add. Name the entry to add, or leave --seed out."),
        (["--check", "a", "--which", "last"], "--which goes with --add"),
        (["--check", "a", "--num-tasks", "3"], "--num-tasks goes with --add"),
        (["--check", "a", "--page", "b.md"], "--page goes with --add or alone: --check writes no page. Leave one out."),
        (["--check", "a", "--runs", "b"], "--runs goes with --add"),
        (["--about", "b"], "--about goes with --add"),
        ([], "There are no entries"),
    ],
)
def test_what_cannot_be_meant_is_refused(tiny, capsys, options, message):
    assert main(["scoreboard", *options]) == 2
    assert message in capsys.readouterr().err


def test_a_large_agent_is_refused(tiny, tmp_path, capsys, monkeypatch):
    run = make_run(tmp_path, 4)
    monkeypatch.setattr("xworld.apps.commands.scoreboard.MOST_BYTES", 1000)
    before = tmp_path / "docs" / "results" / "scoreboard" / "agents" / "gru-4"  # of an entry that is to be replaced
    before.mkdir(parents=True)
    (before / "manifest.json").write_text("{}")
    assert main(["scoreboard", "--add", "gru", "--agents", run, *FEW]) == 2
    assert "an entry's may have 0.001 MB" in capsys.readouterr().err
    assert [path.name for path in before.iterdir()] == ["manifest.json"]


def test_agents_of_a_replaced_entry_do_not_stay(tiny, tmp_path, monkeypatch):
    entries = tmp_path / "entries"
    for player in ("mine-0", "mine-1", "mine-1-0"):  # the last is of the entry mine-1
        (entries / "agents" / player).mkdir(parents=True)
    write_entry(entries, make_entry("mine", 2))
    playing = "xworld.evaluation.scoreboard.playing"
    monkeypatch.setattr(f"{playing}.benchmark_reference", lambda *_: SimpleNamespace(best=np.ones(8)))
    monkeypatch.setattr(f"{playing}.play", lambda *_: {k: np.ones((1, 8)) for k in NUM_TRIALS})
    monkeypatch.setattr(Scoreboard, "_make_page", lambda _: None)
    assert main(["scoreboard", "--add", "mine", "--agents", "random", "--entries", str(entries), *FEW]) == 0
    assert read_entry(entries, "mine").players == ("random",)
    assert [path.name for path in (entries / "agents").iterdir()] == ["mine-1-0"]


def test_the_page_here_is_that_of_the_entries_here():
    """Or there are neither."""
    folder, page = Scoreboard().entries, ROOT / "docs" / "scoreboard.md"
    entries = read_entries(ROOT / folder)
    assert page.exists() == bool(entries)
    if entries:
        assert page.read_text() == make_page(entries, folder.as_posix(), "results/scoreboard/scores.png")
    for entry in entries:
        assert all((ROOT / folder / player / "agent.json").exists() for player in entry.players if entry.trainings)
