"""The laboratory: runs that stop and go on, side by side, what they leave, and a tiny run of each experiment."""

import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import toy_experiment
from tiny_rooms import SANITY_TASKS, SMALL_AGENT, env_config
from toy_experiment import EXPERIMENT

from xworld import ConfigError, Env
from xworld.agents import AgentPolicy, load, make_agent, save
from xworld.apps import laboratory
from xworld.apps.commands.main import main
from xworld.apps.laboratory import Job, Outcome, SweepExam, known_experiments, run_experiment, worker
from xworld.apps.laboratory.crossing import agent_name
from xworld.apps.laboratory.report.figures import draw_courses
from xworld.apps.laboratory.report.missing import lines_of_missing
from xworld.apps.laboratory.training import Along, can_go_on
from xworld.base.files import locked
from xworld.evaluation import CrossPlay, Reference, Scores, SweepConfig, run_sweep
from xworld.tasks import TaskCollection


def test_an_experiment_ends_in_one_table_one_figure_and_one_page(tmp_path):
    content = run_experiment(EXPERIMENT, tmp_path)
    (of_family,) = content["families"].values()
    assert list(of_family["scores"]) == ["high", "low", "noop", "expert"]
    means = {player: of_player["3"]["score"]["value"] for player, of_player in of_family["scores"].items()}
    assert means["high"] == pytest.approx([0.51] * 3) and means["low"] == pytest.approx([0.26] * 3)
    assert means["noop"] == [0] * 3 and means["expert"] == [1] * 3
    assert of_family["scores"]["low"]["3"]["num_rows"] == 2
    assert of_family["scores"]["low"]["3"]["difference"]["value"] == pytest.approx(-0.25)
    worst = of_family["scores"]["low"]["3"]["difference_of_percentile_20"]
    assert worst["to"] == "high" and worst["value"] == pytest.approx(-0.25) and worst["low"] < -0.25 < worst["high"]
    assert "20th percentile minus high&#x27;s" in (tmp_path / "toy.html").read_text()
    assert [(run["arm"], run["seed"], run["numbers"]["luck"]) for run in of_family["runs"]] == [
        ("high", 0, 0), ("high", 2, 2), ("low", 0, 0), ("low", 2, 2),
    ]  # fmt: skip
    assert json.loads((tmp_path / "toy.json").read_text()) == content
    assert (tmp_path / "toy.png").read_bytes()[:4] == b"\x89PNG"
    page = (tmp_path / "toy.html").read_text()
    assert "Is &lt;high&gt; above low?" in page and "<th>luck</th>" in page


def test_the_page_says_how_many_tasks_are_scored(tmp_path):
    """In one of six tasks the expert earns nothing in the last trial."""
    best = toy_experiment.TASKS.copy()
    best[4, 2] = 0.0
    experiment = dataclasses.replace(
        EXPERIMENT, baselines=lambda job: Scores({"expert": {3: best[None]}}, Reference("the expert", best))
    )
    run_experiment(experiment, tmp_path)
    assert "Means over the 5 of 6 tasks that have a score" in (tmp_path / "toy.html").read_text()


def test_families_of_tasks_have_a_table_and_a_panel_each(tmp_path):
    experiment = dataclasses.replace(EXPERIMENT, families=("easy", "hard"), against="luck")
    content = run_experiment(experiment, tmp_path)
    means = {
        (family, arm): of_family["scores"][arm]["3"]["score"]["value"][0]
        for family, of_family in content["families"].items()
        for arm in ("high", "low")
    }
    expected = {("easy", "high"): 0.51, ("easy", "low"): 0.26, ("hard", "high"): 0.31, ("hard", "low"): 0.06}
    assert means == pytest.approx(expected)
    assert (tmp_path / "hard-low-seed2" / "outcome.json").exists() and (tmp_path / "easy-baselines").is_dir()
    assert (tmp_path / "toy-gain.png").read_bytes()[:4] == b"\x89PNG"
    page = (tmp_path / "toy.html").read_text()
    assert page.count("<h2>") == 2 and page.count("<figure>") == 2
    again = run_experiment(experiment, tmp_path, families=["hard"])
    assert again["families"] == {"hard": content["families"]["hard"]}


def test_the_course_of_runs_has_a_panel_for_each_pair_of_columns(tmp_path):
    course = (("height", "steps"), ("height", "seconds"), ("height", "luck"))
    experiment = dataclasses.replace(EXPERIMENT, course=course)
    run_experiment(EXPERIMENT, tmp_path, seeds=[2])  # all runs are done
    for arm in EXPERIMENT.arms:
        folder = tmp_path / f"{arm}-seed2"
        rows = [{"update": 1, "steps": 10, "seconds": 1, "height": 0.5}, {"update": 2, "steps": 20, "seconds": 3}]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    content = run_experiment(experiment, tmp_path, seeds=[2])
    assert [(panel["column"], panel["along"]) for panel in content["course"]] == list(course)
    of_seconds = [(run["arm"], run["at"], run["values"]) for run in content["course"][1]["runs"]]
    assert of_seconds == [("high", [1], [0.5]), ("low", [1], [0.5])]
    luck = {run["arm"]: run["numbers"]["luck"] for run in content["families"]["all"]["runs"]}
    of_luck = {run["arm"]: run["at"] for run in content["course"][2]["runs"]}
    assert of_luck == {arm: [pytest.approx(number / 2)] for arm, number in luck.items()}  # half of the steps
    assert (tmp_path / "toy-course.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "toy.html").read_text().count("<figure>") == 2


def test_each_family_has_a_course_of_its_own_with_the_same_colours():
    runs = [
        {"family": family, "arm": arm, "seed": seed, "at": [1, 2], "values": [seed, 3]}
        for family, arms in (("easy", ("high", "low")), ("hard", ("low",)))
        for arm in arms
        for seed in (0, 1)
    ]
    courses = draw_courses({"arms": ["high", "low"], "course": [{"column": "height", "along": "steps", "runs": runs}]})
    colours = {family: [line.get_color() for line in figure.axes[0].get_lines()] for family, figure in courses.items()}
    names = {family: [text.get_text() for text in figure.legends[0].get_texts()] for family, figure in courses.items()}
    assert names == {"easy": ["high", "low"], "hard": ["low"]}
    high, low = colours["easy"][0], colours["easy"][-1]
    assert high != low and colours == {"easy": [high, high, low, low], "hard": [low, low]}


def test_several_numbers_of_trials_have_a_table_each_and_a_figure(tmp_path):
    def run(job):
        outcome = toy_experiment.run(job)
        return Outcome({1: outcome.returns[3][:, :1] / 2, **outcome.returns})

    def baselines(job):
        scores = EXPERIMENT.baselines(job)
        return dataclasses.replace(scores, returns={"noop": {k: np.zeros((1, 6, k)) for k in (1, 3)}})

    content = run_experiment(dataclasses.replace(EXPERIMENT, run=run, baselines=baselines), tmp_path, seeds=[2])
    of_high = content["families"]["all"]["scores"]["high"]
    assert {k: of_k["last"]["mean"]["value"] for k, of_k in of_high.items()} == pytest.approx({"1": 0.26, "3": 0.52})
    assert (tmp_path / "toy-numbers.png").read_bytes()[:4] == b"\x89PNG"
    page = (tmp_path / "toy.html").read_text()
    assert "Last trial of 1" in page and "Last trial of 3" in page and "<th>trial 3</th>" in page


def test_several_exams_have_a_table_and_a_panel_each_and_agents_of_several_seeds_cross_play(tmp_path, capsys):
    def run(job):
        returns = toy_experiment.run(job).returns
        return Outcome({}, {"luck": job.seed}, exams={"easy": returns, "hard": {3: returns[3][:4] / 2}})

    def baselines(job):
        scores = EXPERIMENT.baselines(job)
        few = {name: {3: by_k[3][:, :4]} for name, by_k in scores.returns.items()}
        reference = dataclasses.replace(scores.reference, best=scores.reference.best[:4])
        return {"easy": scores, "hard": dataclasses.replace(scores, returns=few, reference=reference)}

    def together(jobs, store):
        played.append([job.arm for job in jobs])
        if gone:
            raise ConfigError("There is no agent.")
        with_others = 1.5 if {job.arm for job in jobs} == {"low"} else 2.4
        returns = np.where(np.eye(len(jobs), dtype=bool), 3.0, with_others)[..., None] * np.array([1.0, 2.0])
        return CrossPlay(tuple(f"{job.arm} {job.seed}" for job in jobs), returns + 1e-6)

    played, gone = [], []
    experiment = dataclasses.replace(EXPERIMENT, run=run, baselines=baselines, cross_play=together, num_columns=3)
    content = run_experiment(experiment, tmp_path)
    scores = {family: of_family["scores"]["high"]["3"] for family, of_family in content["families"].items()}
    assert {family: of_high["num_tasks"] for family, of_high in scores.items()} == {"easy": 6, "hard": 4}
    means = {family: of_high["last"]["mean"]["value"] for family, of_high in scores.items()}
    assert means == pytest.approx({"easy": 0.51, "hard": 0.255})
    assert [run["seed"] for run in content["families"]["hard"]["runs"]] == [0, 2, 0, 2]
    assert played == [["high"] * 2, ["low"] * 2, ["high", "low"] * 2]
    assert content["cross_play"]["low"]["ratio"]["value"] == 0.5
    minus = content["cross_play"]["low"]["ratio"]["difference"]
    assert minus == {"to": "high", **dict.fromkeys(("value", "low", "high"), pytest.approx(-0.3))}  # in both tasks
    assert (tmp_path / "toy-cross-play.png").exists()
    page = (tmp_path / "toy.html").read_text()
    assert "<th>hard</th>" in page and "with agents of other arms" in page and page.count("<figure>") == 2
    assert run_experiment(experiment, tmp_path) == content and len(played) == 3  # kept
    assert "cross_play" in run_experiment(experiment, tmp_path, arms=["low"], seeds=[2]) and len(played) == 3
    gone.append("the agents")  # as from a folder of results alone
    few = run_experiment(experiment, tmp_path, arms=["low"], seeds=[2, 0])  # in another order
    assert played[3:] == [["low"] * 2] and few["cross_play"] == {} and few["families"].keys() == scores.keys()
    assert "low-cross-play is left out: There is no agent." in capsys.readouterr().out
    (tmp_path / "low-cross-play.json").write_text("{")
    with pytest.raises(ConfigError, match="low-cross-play.json is damaged; remove it, and it is played again"):
        run_experiment(experiment, tmp_path)


def test_a_sweep_plays_agents_and_baselines_by_the_same_protocol(tmp_path):
    env = Env(env_config(side=5))
    tasks = jax.tree.map(
        lambda *leaves: np.stack(leaves), *map(SANITY_TASKS.sample, jax.random.split(jax.random.key(0), 4))
    )
    agent = make_agent(SMALL_AGENT, env.config)
    save(tmp_path / "agent", agent, jax.jit(agent.init)(jax.random.key(0)), env_config=env.config)
    config = SweepConfig((1, 2), num_repetitions=3)
    exam = SweepExam(lambda: TaskCollection("rooms", env, tasks), config)
    policy = AgentPolicy(load(tmp_path / "agent").params, agent)
    expected = run_sweep(env, tasks, policy, config, show_progress=False)
    for k, returns in exam.play(tmp_path / "agent").items():
        np.testing.assert_allclose(returns, expected[k].mean(1), rtol=1e-6)
    scores = exam.baselines(tmp_path / "baselines")
    assert set(scores.returns) == {"random", "noop"} and scores.num_trials == (1, 2)
    assert not scores.score("noop", 2).any() and (scores.reference.best > 0).all()
    (kept,) = (tmp_path / "baselines").glob("*.npy")  # what scores 1
    written = kept.stat().st_mtime_ns

    # Along a run the first tasks are played, with the same reference.
    along = Along(exam, 2, SweepConfig((1, 2), num_repetitions=6), tmp_path / "baselines")
    row = along(load(tmp_path / "agent"), None, {})
    assert tuple(row) == along.columns and along.columns[:2] == ("test_mean_of_1", "test_percentile_20_of_1")
    few = run_sweep(env, jax.tree.map(lambda leaf: leaf[:2], tasks), policy, along.config, show_progress=False)
    of_tasks = few[2][..., -1].mean(1) / scores.reference.best[:2]
    expected = [of_tasks.mean(), np.quantile(of_tasks, 0.2)]
    np.testing.assert_allclose([row["test_mean_of_2"], row["test_percentile_20_of_2"]], expected, rtol=1e-5)
    assert kept.stat().st_mtime_ns == written


def test_a_report_has_what_an_experiment_reads_off_all_rows(tmp_path):
    def count(rows):
        return {"high": {"number_of_runs": len(rows)}, "low": {"number_of_runs": None}}

    experiment = dataclasses.replace(EXPERIMENT, of_all_rows=count)
    content = run_experiment(experiment, tmp_path)
    assert content["of_all_rows"] == {"high": {"number_of_runs": 4}, "low": {"number_of_runs": None}}
    assert "<th>number of runs</th></tr><tr><th>high</th><td>4.000</td></tr>" in (tmp_path / "toy.html").read_text()


def test_arms_are_compared_with_the_experiments_first_in_whatever_order_they_are_asked_for(tmp_path):
    experiment = dataclasses.replace(EXPERIMENT, seeds_of={"high": (2,)})  # so that another arm's run is the first
    content = run_experiment(experiment, tmp_path, arms=["low", "high"])
    assert content["arms"] == ["high", "low"]
    of_low = content["families"]["all"]["scores"]["low"]["3"]["difference"]
    assert of_low["to"] == "high" and of_low["value"] == pytest.approx(-0.25)
    assert "minus high" in (tmp_path / "toy.html").read_text()


def test_cross_play_of_families_is_compared_in_each(tmp_path):
    def together(jobs, store):
        ratio = {"high": 0.5, "low": 0.4}[jobs[0].arm] + (jobs[0].family == "hard") * (jobs[0].arm == "low") * 0.3
        returns = np.where(np.eye(len(jobs), dtype=bool), 1.0, ratio)[..., None]
        return CrossPlay(tuple(f"{job.arm} {job.seed}" for job in jobs), returns)

    experiment = dataclasses.replace(EXPERIMENT, families=("easy", "hard"), cross_play=together)
    found = run_experiment(experiment, tmp_path)["cross_play"]
    minus = {title: one["ratio"].get("difference", {}).get("value") for title, one in found.items()}
    assert minus.pop("easy, low") == pytest.approx(-0.1) and minus.pop("hard, low") == pytest.approx(0.2)
    assert set(minus.values()) == {None}
    low = run_experiment(experiment, tmp_path, arms=["low"])["cross_play"]
    assert all("difference" not in one["ratio"] for one in low.values())  # there is no first arm


def test_a_report_alone_is_of_what_is_finished(tmp_path):
    with pytest.raises(ConfigError, match=r"has no finished run of toy and its .* Leave --report-only out"):
        run_experiment(EXPERIMENT, tmp_path, is_report_only=True)
    run_experiment(EXPERIMENT, tmp_path, arms=["high"], seeds=[2])
    content = run_experiment(EXPERIMENT, tmp_path, is_report_only=True)
    assert content["arms"] == ["high"] and [run["seed"] for run in content["families"]["all"]["runs"]] == [2]
    assert not (tmp_path / "low-seed0").exists()
    plays = dataclasses.replace(EXPERIMENT, cross_play=lambda jobs, store: pytest.fail("nothing is played"))
    for seed in (0, 2):
        run_experiment(EXPERIMENT, tmp_path, seeds=[seed])
    assert run_experiment(plays, tmp_path, is_report_only=True)["cross_play"] == {}


def test_finished_runs_are_not_done_again(tmp_path):
    def stop(job):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_experiment(dataclasses.replace(EXPERIMENT, baselines=stop), tmp_path)
    first = run_experiment(EXPERIMENT, tmp_path)
    assert run_experiment(EXPERIMENT, tmp_path) == first
    assert run_experiment(EXPERIMENT, tmp_path, arms=["low"], seeds=[2])["arms"] == ["low"]
    assert {path.read_text() for path in tmp_path.glob("*/count")} == {"1"}
    other = dataclasses.replace(EXPERIMENT, name="game")  # whose runs are called as those of the toy are
    with pytest.raises(ConfigError, match=r"was begun with other options \(experiment: toy there, game here\)"):
        run_experiment(other, tmp_path)
    (tmp_path / "options.json").unlink()  # as from a folder of results alone
    with pytest.raises(ConfigError, match="was run with other options"):
        run_experiment(EXPERIMENT, tmp_path, is_quick=True)
    with pytest.raises(ConfigError, match=r"is a run of the experiment 'toy', not of 'game'\. Choose another --output"):
        run_experiment(other, tmp_path)
    outcome = tmp_path / "low-seed0" / "outcome.json"
    content = json.loads(outcome.read_text())
    assert content.pop("experiment") == "toy"
    outcome.write_text(json.dumps(content))  # as older ones are
    assert run_experiment(EXPERIMENT, tmp_path) == first
    (tmp_path / "low-seed0" / "outcome.json").write_text("{")
    with pytest.raises(ConfigError, match="is damaged"):
        run_experiment(EXPERIMENT, tmp_path)


def test_what_a_miniature_has_begun_is_not_gone_on_with_in_earnest(tmp_path):
    """What it recorded and trained before its first outcome would be taken for the whole experiment's."""

    def stop(job):
        (tmp_path / "lives").mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_experiment(dataclasses.replace(EXPERIMENT, run=stop), tmp_path, is_quick=True)
    assert not list(tmp_path.glob("*/outcome.json"))
    for others, words in (({}, "is_quick: True there, False"), ({"total_steps": 5}, "total_steps: None there, 5")):
        with pytest.raises(ConfigError, match=rf"was begun with other options \(.*{words} here\)\. Choose another"):
            run_experiment(EXPERIMENT, tmp_path, **others)
    assert run_experiment(EXPERIMENT, tmp_path, is_quick=True)["arms"] == ["high", "low"]
    (tmp_path / "options.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"options.json is damaged; remove the folder, or choose another: It has not"):
        run_experiment(EXPERIMENT, tmp_path, is_quick=True)


def test_results_alone_go_on_without_a_file_of_their_options(tmp_path):
    run_experiment(EXPERIMENT, tmp_path, seeds=[2])
    (tmp_path / "options.json").unlink()
    assert run_experiment(EXPERIMENT, tmp_path, is_report_only=True)["arms"] == ["high", "low"]
    assert not (tmp_path / "options.json").exists()
    run_experiment(EXPERIMENT, tmp_path, seeds=[0])
    assert json.loads((tmp_path / "options.json").read_text()) == {
        "experiment": "toy", "is_quick": False, "total_steps": None,
    }  # fmt: skip


def test_what_is_asked_for_in_vain_is_refused_before_anything_is_written(tmp_path):
    experiment = dataclasses.replace(EXPERIMENT, why_no_steps="The toy has no steps")
    with pytest.raises(ConfigError, match=r"^The toy has no steps\. Leave --total-steps out\.$"):
        run_experiment(experiment, tmp_path / "lab", total_steps=5)
    assert not (tmp_path / "lab").exists()


def test_a_run_that_diverges_is_told_of_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(laboratory, "experiment_by_name", lambda name: EXPERIMENT)
    command = ["lab", "toy", "--output", str(tmp_path), "--seeds", "2", "15"]
    assert main(command) == 1
    printed, error = capsys.readouterr()
    line = "high-seed15 diverged at 2,500 steps and has no score: The loss is nan."
    assert line in printed and "Wrote toy.json, toy.png and toy.html" in printed
    assert error == "xworld: 1 run diverged, and will not be done again. To train one anew, remove its folder.\n"
    found = json.loads((tmp_path / "high-seed15" / "diverged.json").read_text())
    assert found["steps"] == 2500 and found["reason"] == "The loss is nan. Try something else."
    content = json.loads((tmp_path / "toy.json").read_text())
    assert content["missing"]["diverged"] == [
        {"run": "high-seed15", "family": "all", "arm": "high", "seed": 15, "steps": 2500, "reason": found["reason"]}
    ]
    assert content["missing"]["not_finished"] == [] and content["missing"]["compared_with"] == {}
    runs = [(run["arm"], run["seed"]) for run in content["families"]["all"]["runs"]]
    assert runs == [("high", 2), ("low", 2), ("low", 15)]
    assert f"<p>{line}</p>" in (tmp_path / "toy.html").read_text()
    assert main([*command, "--report-only"]) == 1 and line in capsys.readouterr().out
    assert main(command) == 1 and "begins" not in capsys.readouterr().out  # it would diverge again
    assert {path.read_text() for path in tmp_path.glob("*/count")} == {"1"}
    with pytest.raises(ConfigError, match="seed15 was run with other options"):
        (tmp_path / "options.json").unlink()
        run_experiment(EXPERIMENT, tmp_path, arms=["high"], seeds=[15], total_steps=5)


def test_where_all_diverged_the_report_says_so_and_no_more(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(laboratory, "experiment_by_name", lambda name: EXPERIMENT)
    assert main(["lab", "toy", "--output", str(tmp_path), "--seeds", "14"]) == 1
    printed, error = capsys.readouterr()
    assert "Wrote toy.json and toy.html" in printed and "xworld: 2 runs diverged" in error
    content = json.loads((tmp_path / "toy.json").read_text())
    assert content["families"] == {} and len(content["missing"]["diverged"]) == 2
    assert not (tmp_path / "toy.png").exists() and "low-seed14 diverged" in (tmp_path / "toy.html").read_text()


def test_a_report_says_what_is_not_finished_and_what_differences_are_to(tmp_path):
    def lines(content):
        return lines_of_missing(content["missing"])

    families = dataclasses.replace(EXPERIMENT, families=("easy", "hard"))
    run_experiment(families, tmp_path, families=["easy"], arms=["low"])
    content = run_experiment(families, tmp_path, is_report_only=True)
    assert [(one["run"], one["arm"], one["seed"]) for one in content["missing"]["not_finished"]][:2] == [
        ("easy-high-seed0", "high", 0), ("easy-high-seed2", "high", 2),
    ]  # fmt: skip
    assert lines(content) == [
        "Not finished are 6 of 8 runs: of easy high; all of hard.",
        "high has no finished run in easy: differences are to low.",
    ]
    page = (tmp_path / "toy.html").read_text()
    assert all(f"<p>{line}</p>" in page for line in lines(content)) and "minus low" in page
    run_experiment(families, tmp_path, families=["easy"], arms=["high"], seeds=[2])
    assert lines(run_experiment(families, tmp_path, is_report_only=True)) == [
        "Not finished are 5 of 8 runs: of easy high (seed 0); all of hard."
    ]
    assert lines(run_experiment(families, tmp_path, arms=["low"], families=["easy"], is_report_only=True)) == []
    (tmp_path / "easy-baselines" / "outcome.json").unlink()  # without which there is no report of its family
    run_experiment(families, tmp_path, families=["hard"], seeds=[2])
    left = lines(run_experiment(families, tmp_path, seeds=[2], is_report_only=True))
    assert left == ["Not finished are 0 of 4 runs: of easy baselines."]


def test_agents_that_were_trained_again_play_again(tmp_path, capsys):
    def together(jobs, store):
        players = [agent_name(job) for job in jobs]
        returns = np.ones((len(jobs), len(jobs), 2))
        for i, j in np.ndindex(len(jobs), len(jobs)):
            name = f"{players[i]} with {players[j]}"
            if store.read(name, (2,)) is None:
                played.append((i, j))
                store.write(name, np.full(2, len(played), np.float32))
            returns[i, j] = store.read(name, (2,))
        return CrossPlay(tuple(players), returns)

    played = []
    experiment = dataclasses.replace(EXPERIMENT, cross_play=together)
    first = run_experiment(experiment, tmp_path, arms=["high"])
    assert first["cross_play"]["high"]["players"] == ["high 0", "high 2"] and len(played) == 4
    assert run_experiment(experiment, tmp_path, arms=["high"]) == first and len(played) == 4
    outcome = tmp_path / "high-seed2" / "outcome.json"
    outcome.write_text(outcome.read_text().replace('"luck":2', '"luck":3'))  # as if the run had been removed
    assert run_experiment(experiment, tmp_path, arms=["high"], is_report_only=True)["cross_play"] == {}
    assert "high-cross-play.json is of runs that have been trained again since" in capsys.readouterr().out
    second = run_experiment(experiment, tmp_path, arms=["high"])
    assert played[4:] == [(0, 1), (1, 0), (1, 1)]  # the other has not changed
    assert second["cross_play"] != first["cross_play"]
    again = run_experiment(experiment, tmp_path, arms=["high"], is_report_only=True)
    assert again["cross_play"] == second["cross_play"]


def test_arms_and_families_may_have_other_seeds_and_a_miniature_has_one(tmp_path):
    experiment = dataclasses.replace(
        EXPERIMENT, families=("easy", "hard"), seeds_of={"high": (0, 2, 5), "hard": (2,), "low": (2,)}
    )
    content = run_experiment(experiment, tmp_path)
    easy, hard = (content["families"][family] for family in ("easy", "hard"))
    assert [(run["arm"], run["seed"]) for run in easy["runs"]] == [("high", 0), ("high", 2), ("high", 5), ("low", 2)]
    assert [(run["arm"], run["seed"]) for run in hard["runs"]] == [("high", 2), ("low", 2)]
    found = easy["scores"]["low"]["3"]["difference"]
    assert found["seeds"] == [2] and found["value"] == pytest.approx(-0.25)  # of seed 2 alone
    assert "seeds" not in hard["scores"]["low"]["3"]["difference"]
    page = (tmp_path / "toy.html").read_text()
    assert "Seeds: high 3, low 1; a difference is of the seeds that both arms have." in page
    assert "Seeds of each arm: 1." in page
    quick = run_experiment(experiment, tmp_path / "quick", families=["easy"], is_quick=True)
    assert [(run["arm"], run["seed"]) for run in quick["families"]["easy"]["runs"]] == [("high", 0), ("low", 2)]


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(tmp_path):
    assert not can_go_on(tmp_path / "none")
    killed = tmp_path / "killed"
    (killed / "unfinished-checkpoint-0").mkdir(parents=True)
    for name in ("config.json", "given.json", "unfinished-checkpoint-0/part"):
        (killed / name).write_text("{}")
    with locked(killed), pytest.raises(ConfigError, match="is in use by"):
        can_go_on(killed)
    assert not can_go_on(killed) and not list(killed.iterdir())
    for name, kept in (("begun", "checkpoint-0/part"), ("results", "metrics.jsonl")):
        path = tmp_path / name / kept
        path.parent.mkdir(parents=True)
        path.write_text('{"update": 1}\n')
        (tmp_path / name / "config.json").write_text("{}")
        assert can_go_on(tmp_path / name) and path.exists()


@pytest.mark.slow
def test_runs_side_by_side_give_the_same(tmp_path, monkeypatch):
    helpers = Path(toy_experiment.__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(helpers), os.environ.get("PYTHONPATH", "")]))
    one, other = (run_experiment(EXPERIMENT, tmp_path / str(jobs), num_jobs=jobs, seeds=[2]) for jobs in (1, 2))
    assert one["families"]["all"]["scores"] == other["families"]["all"]["scores"]
    content = run_experiment(EXPERIMENT, tmp_path / "2", num_jobs=2, seeds=[2, 15, 16])
    assert [of["run"] for of in content["missing"]["diverged"]] == ["high-seed15"]
    assert [run["seed"] for run in content["families"]["all"]["runs"]] == [2, 16, 2, 15, 16]
    with pytest.raises(ConfigError, match=r"low-seed13 ended without an outcome: 13 brings bad luck. See .*seed13.log"):
        run_experiment(EXPERIMENT, tmp_path / "2", num_jobs=2, seeds=[2, 13])


def test_a_run_beside_others_leaves_ctrl_c_to_the_laboratory(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "use_devices", lambda number: None)
    answers = []
    monkeypatch.setattr(worker, "run_job", lambda experiment, job: answers.append(signal.getsignal(signal.SIGINT)))
    before = signal.getsignal(signal.SIGINT)
    try:
        worker.main("toy_experiment", "all", "low", "0", str(tmp_path), "False", "0")
    finally:
        signal.signal(signal.SIGINT, before)
    assert answers == [signal.SIG_IGN]


@pytest.mark.slow  # starts three processes; quicker: the test above
@pytest.mark.parametrize(("tell", "number"), [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)])
def test_runs_side_by_side_save_when_they_are_stopped(tmp_path, tell, number):
    """A terminal gives Ctrl-C to all processes at once; a scheduler asks the first of them to end."""
    script = (
        "from pathlib import Path; from toy_experiment import EXPERIMENT; "
        "from xworld.apps.laboratory import run_experiment; "
        f"run_experiment(EXPERIMENT, Path({str(tmp_path)!r}), seeds=[17], num_jobs=2)"
    )
    paths = os.pathsep.join(map(str, (Path(toy_experiment.__file__).parent, *sys.path)))
    process = subprocess.Popen(
        [sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": paths}, start_new_session=True
    )
    try:
        while len(list(tmp_path.glob("*/begun"))) < 2:
            assert process.poll() is None
            time.sleep(0.1)
        tell(process.pid, number)
        process.wait(60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert len(list(tmp_path.glob("*/saved"))) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["adaption"], "Did you mean 'adaptation'?"),
        (["memories", "--arms", "gruu"], "Did you mean 'gru'?"),
        (["memories", "--families", "seach"], "Did you mean 'search'?"),
        (["memories", "--seeds", "-1"], "A seed is -1"),
        (["memories", "--jobs", "0"], "--jobs is 0"),
        (["memories", "--total-steps", "0"], "--total-steps is 0"),
    ],
)
def test_what_cannot_be_meant(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert main(["lab", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_all_experiments_are_listed(capsys):
    assert main(["lab"]) == 0
    printed = capsys.readouterr().out
    assert {"adaptation", "memories"} <= set(known_experiments())
    assert all(f"{name}: {one.question}" in printed for name, one in known_experiments().items())


@pytest.mark.parametrize(
    ("name", "family", "arm", "expected"),
    [
        ("adaptation", "all", "control", {"clear_memory_at_trials": True}),
        ("memories", "search", "transformer_xl", {"num_layers": 2, "gradient_window": None}),
        ("gradient_reach", "all", "transformer_xl-12", {"window": 12}),
        ("gradient_reach", "all", "gru_attention-12", {"gradient_window": 12}),
        ("memories", "long-trials", "gated_delta", {"num_layers": 2}),
        ("memories", "long-trials", "transformer_xl", {"cache_size": 300}),
        ("memories", "recall", "transformer_xl", {"cache_size": 260}),
        ("memories", "recall", "gated_delta", {"num_layers": 2}),
        ("gradient_reach", "all", "gated_delta-12", {"gradient_window": 12}),
        ("gradient_reach", "all", "gru-12", {"gradient_window": 12}),
    ],
)
@pytest.mark.parametrize("is_quick", [False, True])
def test_arms_differ_in_what_they_say(name, family, arm, expected, is_quick, tmp_path, monkeypatch):
    module = importlib.import_module(f"xworld.apps.laboratory.experiments.{name}")
    configs = []

    def remember(config, job, exam):
        configs.append(config)
        return Outcome({1: np.zeros((1, 1))})

    monkeypatch.setattr(module, "train_to_end", remember)
    for each in (module.EXPERIMENT.arms[0], arm):
        module.EXPERIMENT.run(Job(family, each, 0, tmp_path, is_quick))
    first, other = (dataclasses.asdict(config.agent) for config in configs)
    assert first != other and expected.items() <= other.items()
    warm_ups = [config.learner.warm_up for config in configs]
    assert warm_ups == [0.02 if agent["memory"] == "transformer_xl" else 0 for agent in (first, other)]
    learner = dataclasses.replace(configs[1].learner, warm_up=warm_ups[0])
    assert configs[0] == dataclasses.replace(configs[1], agent=configs[0].agent, learner=learner)
    if family in ("long-trials", "recall"):  # which say nothing of it: all learn from whole rollouts
        name_of = {True: "window", False: "gradient_window"}
        windows = {agent[name_of[agent["memory"] == "transformer_xl"]] for agent in (first, other)}
        assert windows == {configs[0].learner.rollout_length}


@pytest.mark.parametrize(
    ("name", "arm", "options", "folder", "seed"),
    [
        pytest.param("adaptation", "agent", [], "agent-seed4", 4, marks=pytest.mark.slow),
        pytest.param("memories", "gru", ["--families", "control"], "control-gru-seed0", 0, marks=pytest.mark.slow),
        pytest.param("gradient_reach", "gru-12", [], "gru-12-seed4", 4, marks=pytest.mark.slow),
        pytest.param(
            "curricula",
            "plr-all-tasks",
            ["--families", "xworld-s"],
            "xworld-s-plr-all-tasks-seed4",
            4,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_each_experiment_runs(name, arm, options, folder, seed, tmp_path, capsys):
    arguments = ["lab", name, "--arms", arm, *options, "--seeds", str(seed), "--quick", "--output", str(tmp_path)]
    assert main(arguments) == 0
    content = json.loads((tmp_path / f"{name}.json").read_text())
    (of_family,) = content["families"].values()
    assert list(of_family["scores"])[0] == arm and of_family["scores"]["noop"]
    (run,) = of_family["runs"]
    assert run["seed"] == seed and run["numbers"]["parameters"] > 1000 and run["options"]["is_quick"]
    config = json.loads((tmp_path / folder / "config.json").read_text())
    assert config["agent"]["memory"] == "gru" and config["seed"] == seed
    for panel in content["course"]:
        (of_run,) = panel["runs"]
        assert len(of_run["at"]) == len(of_run["values"]) > 0 and (tmp_path / f"{name}-course.png").exists()
    assert bool(content["course"]) == (tmp_path / f"{name}-numbers.png").exists() == (name == "curricula")
    assert bool(content["kept_tasks"]) == (tmp_path / f"{name}-gallery.png").exists() == (name == "curricula")
    assert f"Wrote {name}.json" in capsys.readouterr().out


def test_no_player_is_called_as_an_arm_is(tmp_path):
    experiment = dataclasses.replace(EXPERIMENT, arms=(*EXPERIMENT.arms, "noop"))
    with pytest.raises(ConfigError, match="toy has an arm 'noop' and a player of that name. Call the arm otherwise"):
        run_experiment(experiment, tmp_path, arms=["high"])
