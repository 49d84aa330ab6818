"""What the laboratory leaves of an experiment: tables, figures, pages, and who played with whom."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import toy_experiment
from tiny_rooms import SANITY_TASKS, SMALL_AGENT, env_config
from toy_experiment import EXPERIMENT

from xworld import ConfigError, Env
from xworld.agents import AgentPolicy, load, make_agent, save
from xworld.apps.laboratory import Outcome, SweepExam, run_experiment
from xworld.apps.laboratory.crossing import agent_name
from xworld.apps.laboratory.report.figures import draw_courses
from xworld.apps.laboratory.report.missing import lines_of_missing
from xworld.apps.laboratory.training import Along
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
