"""The laboratory runs its experiments: one after the other or side by side, stopped and gone on with, or refused."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import toy_experiment
from toy_experiment import EXPERIMENT

from xworld import ConfigError
from xworld.agents import MEMORIES
from xworld.apps import laboratory
from xworld.apps.commands.main import main
from xworld.apps.laboratory import Job, Outcome, known_experiments, run_experiment, worker
from xworld.apps.laboratory.experiments.remembering import gradient_reach, learning_rate, memories
from xworld.apps.laboratory.training import can_go_on
from xworld.base.files import locked
from xworld.training import Prediction, TaskInference


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
        # as in a terminal, also where the tests run in the background, whose processes ignore Ctrl-C
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
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
        ("memories", "control", "gated_delta-modulated", {"num_layers": 2, "modulates_view": True}),
        ("memories", "fetch", "gru-kinds", {"modulates_view": True, "kinds_to_memory": True}),
        ("memories", "long-trials", "gru_txl-vectors", {"modulates_view": False, "kinds_to_memory": True}),
        ("memories", "long-trials", "gru_txl-wide", {"memory_size": 144, "kept_size": 32}),
        ("memories", "control", "gru_txl-steady", {"trials_told": 2, "num_kept": 20}),
        ("gradient_reach", "all", "gated_delta-12", {"gradient_window": 12}),
        ("gradient_reach", "all", "gru-12", {"gradient_window": 12}),
    ],
)
@pytest.mark.parametrize("is_quick", [False, True])
def test_arms_differ_in_what_they_say(name, family, arm, expected, is_quick, tmp_path, monkeypatch):
    module = sys.modules[known_experiments()[name].run.__module__]
    configs = []

    def remember(config, job, exam, **_):
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


def test_recall_is_trained_with_fewer_rules_than_it_is_examined_with(tmp_path):
    """But for the family that has eight from the first task on; nothing else of a universe differs."""
    families = ("recall", "recall-eight", "fetch", "recall-four", "control")
    jobs = [Job(family, "gru", 0, tmp_path) for family in families]
    trained = [memories.config_of(job).universe for job in jobs]
    examined = [memories._exam(job).config.universe for job in jobs]
    assert [universe.num_chains for universe in trained] == [(2, 8), (8, 8), (2, 8), (2, 4), (1, 1)]
    most = [dataclasses.replace(universe, num_chains=(universe.num_chains[1],) * 2) for universe in trained]
    assert most == examined


def test_arms_that_predict_or_infer_learn_by_one_term_more(tmp_path, monkeypatch):
    runs = {}

    def remember(config, job, exam, terms):
        runs[job.arm] = (config, terms)
        return Outcome({1: np.zeros((1, 1))})

    monkeypatch.setattr(memories, "train_to_end", remember)
    pairs = {"gated_delta": "gated_delta-predicts", "gated_delta-kinds": "gated_delta-infers"}
    for arm in (*pairs, *pairs.values()):
        memories.EXPERIMENT.run(Job("recall-four", arm, 0, tmp_path))
    terms = [runs[arm][1] for arm in pairs.values()]
    assert terms == [(Prediction(weight=0.5),), (TaskInference(weight=0.02),)]
    for plain, arm in pairs.items():
        assert runs[plain] == (runs[arm][0], ())
    plain, given = (runs[arm][0] for arm in pairs)
    agent = dataclasses.replace(plain.agent, modulates_view=True, kinds_to_memory=True)
    assert given == dataclasses.replace(plain, agent=agent)


def test_arms_differ_in_their_learning_rates(tmp_path, monkeypatch):
    """And those with the presets' rate are the runs of `gradient_reach` with the whole rollout."""
    configs = {}

    def remember(config, job, exam):
        configs[job.arm] = config
        return Outcome({1: np.zeros((1, 1))})

    for module, arms in (
        (learning_rate, learning_rate.EXPERIMENT.arms),
        (gradient_reach, [f"{memory}-96" for memory in MEMORIES]),
    ):
        monkeypatch.setattr(module, "train_to_end", remember)
        for arm in arms:
            module.run(Job("all", arm, 0, tmp_path))
    assert all(configs[f"{memory}-96"] == configs.pop(f"{memory}-0.001") for memory in MEMORIES)
    for memory in MEMORIES:
        usual = configs.pop(f"{memory}-96")
        for arm in [arm for arm in configs if arm.rpartition("-")[0] == memory]:
            rate = float(arm.rpartition("-")[2])
            rates = {"learning_rate": rate, "final_learning_rate": rate / 10}
            assert configs.pop(arm) == dataclasses.replace(usual, learner=dataclasses.replace(usual.learner, **rates))
    assert not configs


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
    assert bool(content["course"]) == (name == "curricula")
    assert (tmp_path / f"{name}-numbers.png").exists() == (name in ("curricula", "memories"))
    assert bool(content["kept_tasks"]) == (tmp_path / f"{name}-gallery.png").exists() == (name == "curricula")
    assert f"Wrote {name}.json" in capsys.readouterr().out


def test_no_player_is_called_as_an_arm_is(tmp_path):
    experiment = dataclasses.replace(EXPERIMENT, arms=(*EXPERIMENT.arms, "noop"))
    with pytest.raises(ConfigError, match="toy has an arm 'noop' and a player of that name. Call the arm otherwise"):
        run_experiment(experiment, tmp_path, arms=["high"])
