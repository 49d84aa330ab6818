"""The command line: what it prints and writes, and that bad input is one line and exit status 2."""

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import xworld
import xworld.training
from xworld.apps.commands.main import main
from xworld.tasks import parse

TASK = '''
goal = "hold(agent, black cube)"
rules = ["hold(agent, purple ball) -> black cube"]
hidden = "all"
trial_length = 12
num_trials = 2
map = """
#####
#0.b#
#...#
#####
"""
[legend]
b = "purple ball"
'''


@pytest.fixture
def task_file(tmp_path):
    path = tmp_path / "task.toml"
    path.write_text(TASK)
    return path


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run of the smoke preset, trained by the command on this process's one device."""
    folder = tmp_path_factory.mktemp("runs") / "smoke"
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.setattr(xworld.training, "use_host_devices", lambda number: None)  # jax has started
        assert main(["train", "--preset", "smoke", "--run", str(folder), "--film"]) == 0
    assert "xworld evaluate" in printed.getvalue()
    assert "validation tasks, reward a step by trial: 0." in printed.getvalue()
    return folder


def _xworld(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "xworld", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def _refused(capsys, *arguments: object) -> str:
    """The one line that a refused command prints."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("xworld: ") and captured.err.count("\n") == 1
    return captured.err


def test_train_leaves_a_run(run_folder):
    assert json.loads((run_folder / "config.json").read_text())["num_envs"] == 32
    rows = (run_folder / "metrics.csv").read_text().splitlines()
    assert len(rows) == 1 + 6  # chunks
    assert len((run_folder / "metrics.jsonl").read_text().splitlines()) == 6
    assert (run_folder / "first.gif").read_bytes()[:6] == b"GIF89a"


def test_evaluate_writes_scores_and_plots(run_folder, tmp_path, capsys):
    arguments = ["evaluate", "--agent", str(run_folder), "--num-tasks", "16", "--output", str(tmp_path / "report")]
    assert main(arguments) == 0
    assert "expert" in capsys.readouterr().out
    scores = json.loads((tmp_path / "report" / "scores.json").read_text())
    assert scores["num_tasks"] == 16
    assert scores["scores"]["expert"]["4"]["score"]["value"] == [1.0] * 4
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "scores.json",
        "scores.png",
        "learning_curve.png",
    }


@pytest.mark.parametrize(
    "metrics", [None, *(pytest.param(text, marks=pytest.mark.slow) for text in ("", "steps,return_trial_1\n100,\n"))]
)
def test_a_run_without_metrics_is_evaluated_without_a_learning_curve(metrics, run_folder, tmp_path, capsys):
    """As a run whose configuration and checkpoints alone were copied, or that has just begun."""
    copy, report = tmp_path / "copy", tmp_path / "report"
    shutil.copytree(run_folder, copy, ignore=shutil.ignore_patterns("metrics.*"))
    if metrics is not None:
        (copy / "metrics.csv").write_text(metrics)
    arguments = ["evaluate", "--agent", str(copy), "--num-tasks", "4", "--num-trials", "1", "--output", str(report)]
    assert main(arguments) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "has no metrics.csv with a finished trial, so that there is no learning curve." in printed
    assert "Score of each trial" in printed and "Wrote scores.json and scores.png to" in printed
    assert {path.name for path in report.iterdir()} == {"scores.json", "scores.png"}


def test_damaged_metrics_are_refused_before_anything_is_played(run_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("xworld.evaluation.compare", lambda *_, **__: pytest.fail("it is played"))
    copy = tmp_path / "copy"
    shutil.copytree(run_folder, copy)
    (copy / "metrics.csv").write_text("steps,return_trial_1\n1,two\n")
    assert "has a row that is not numbers" in _refused(capsys, "evaluate", "--agent", copy)


def test_scores_of_other_ways_to_play_have_folders_of_their_own(run_folder, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("xworld.evaluation.compare", stop)
    arguments = ["evaluate", "--agent", str(run_folder), "--num-tasks", "16"]
    assert main([*arguments, "--greedy"]) == 130 and (run_folder / "greedy").is_dir()
    assert main([*arguments, "--which", "best"]) == 130 and (run_folder / "best").is_dir()


@pytest.mark.slow  # quicker: the film of training, `test_train_leaves_a_run`
@pytest.mark.parametrize("num_trials", [None, [1, 4]])  # as it is, or tasks of several numbers of trials
def test_render_films_a_run(run_folder, num_trials, tmp_path, capsys):
    if num_trials is not None:
        run_folder = shutil.copytree(run_folder, tmp_path / "run")
        config = json.loads((run_folder / "config.json").read_text())
        config["universe"]["num_trials"] = num_trials
        (run_folder / "config.json").write_text(json.dumps(config))
    assert main(["render", str(run_folder), "--output", str(tmp_path / "replay.gif")]) == 0
    assert (tmp_path / "replay.gif").read_bytes()[:6] == b"GIF89a"
    assert "held-out task" in capsys.readouterr().out


def test_a_finished_run_can_be_continued_and_is_not_started_again(run_folder, capsys, monkeypatch):
    before, asked = (run_folder / "metrics.csv").read_bytes(), []
    options = ["train", "--preset", "smoke", "--run", str(run_folder), "--num-devices", "2"]
    monkeypatch.setattr(xworld.training, "use_host_devices", asked.append)  # jax has started
    assert main([*options, "--continue-if-started"]) == 0
    assert "Finished" in capsys.readouterr().out
    assert (run_folder / "metrics.csv").read_bytes() == before
    assert "not empty" in _refused(capsys, *options)
    assert asked == [2, 2]


def test_training_that_diverges_ends_in_one_line(tmp_path, capsys, monkeypatch):
    def diverge(*given, **named):
        raise xworld.training.TrainingDiverged("Training diverged before update 4: the loss is nan.", 100)

    monkeypatch.setattr(xworld.training, "use_host_devices", lambda number: None)
    monkeypatch.setattr(xworld.training, "train", diverge)
    assert main(["train", "--preset", "smoke", "--run", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err == "xworld: Training diverged before update 4: the loss is nan.\n"


@pytest.mark.slow
def test_a_finished_run_can_be_continued_on_two_devices(run_folder):
    before = (run_folder / "metrics.csv").read_bytes()
    options = ["--preset", "smoke", "--run", run_folder, "--continue-if-started", "--num-devices", "2"]
    done = _xworld("train", *options)
    assert done.returncode == 0, done.stderr
    assert (run_folder / "metrics.csv").read_bytes() == before


def test_render_draws_a_task_file(task_file):
    assert main(["render", str(task_file)]) == 0
    assert task_file.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("player", ["random", "expert"])
def test_render_films_a_task_file(task_file, player):
    assert main(["render", str(task_file), "--agent", player]) == 0
    assert task_file.with_name(f"task-by-{player}.gif").read_bytes()[:6] == b"GIF89a"
    assert not task_file.with_suffix(".gif").exists()


def test_tasks_show_says_what_the_agent_is_told(task_file, capsys):
    assert main(["tasks", "show", str(task_file)]) == 0
    printed = capsys.readouterr().out
    assert "hold(agent, purple ball) -> black cube" in printed
    assert "agent0 is told: goal hold(agent, black cube); rules ?" in printed


def test_tasks_check(task_file, tmp_path, capsys):
    assert main(["tasks", "check", str(task_file)]) == 0
    assert "ok" in capsys.readouterr().out
    broken = tmp_path / "broken.toml"
    broken.write_text(TASK.replace("purple ball ", "purpel ball ").replace('"purple ball"', '"purpel ball"'))
    assert main(["tasks", "check", str(task_file), str(broken)]) == 2
    complaint = capsys.readouterr().err
    assert "broken.toml" in complaint and "'purple'" in complaint and complaint.count("\n") == 1


def test_tasks_sample_writes_tasks_that_parse(tmp_path, capsys):
    arguments = ["tasks", "sample", "--env", "trivial", "--number", "2", "--output", str(tmp_path)]
    assert main(arguments) == 0
    texts = [path.read_text() for path in sorted(tmp_path.glob("*.toml"))]
    assert len(texts) == 2 and texts[0] != texts[1]
    config = xworld.make("trivial").config
    assert {int(parse(text, config).game_id) >= 0 for text in texts} == {True}
    assert main(arguments[:-2]) == 0  # the same seed, printed instead
    printed = capsys.readouterr().out
    assert all(text in printed for text in texts)


def test_help_of_every_command(capsys):
    def help_of(*command):
        with pytest.raises(SystemExit) as stop:
            main([*command, "--help"])
        assert stop.value.code == 0
        return capsys.readouterr().out

    (names,) = re.findall(r"\{([\w,-]+)\}", help_of().replace("\n", ""))
    helps = {name: help_of(name) for name in names.split(",")}
    assert all(f"xworld {name}" in printed for name, printed in helps.items())
    assert "--learner.learning-rate" in helps["train"] and "sample" in helps["tasks"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], "trian"),
        (["train", "--preset", "dmeo"], "Did you mean 'demo'?"),
        (["train", "--learner.learning-rat", "1"], "--learner.learning-rate"),
        (["train", "--learner.learning-rate", "fast"], "fast"),
        (["train", "--learner.clip", "-1"], "PPOConfig.clip is -1"),
        (["train", "--env.view-size", "4"], "no middle column"),
        (["train", "--preset", "demo", "--resume", "somewhere"], "exclude"),
        (["train", "--run", "here", "--resume", "somewhere"], "exclude"),
        (["train", "--resume", "nowhere"], "nowhere"),
        (["evaluate", "--agent", "nowhere"], "nowhere"),
        (["evaluate"], "--agent"),
        (["render", "nowhere.toml"], "nowhere.toml"),
        (["tasks", "show", "nowhere.toml"], "nowhere.toml"),
        (["tasks", "check"], "nothing to check"),
        (["tasks", "sample", "--env", "rooms4-13x14"], "rooms4-13x13"),
        (["tasks", "sample", "--number", "0"], "--number"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, words):
    assert words in _refused(capsys, *arguments)


def test_who_stops_a_run_is_told_all_that_it_goes_on_with(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(xworld.training, "use_host_devices", lambda number: None)
    monkeypatch.setattr(xworld.training, "train", lambda *args, **options: False)
    options = ["--record", "histories", "--log", "tensorboard", "wandb", "--film", "--num-devices", "2"]
    run = tmp_path / "a run"
    assert main(["train", "--preset", "smoke", "--run", str(run), *options]) == 130
    assert f"Go on with: xworld train --resume '{run}' {' '.join(options)}\n" in capsys.readouterr().out


def test_unwritable_output_is_said_before_anything_is_trained(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(xworld.training, "use_host_devices", lambda number: None)
    blocker = tmp_path / "file"
    blocker.write_text("")
    assert "cannot be written" in _refused(capsys, "train", "--preset", "smoke", "--run", blocker / "run")


def test_damaged_checkpoint_is_one_line(run_folder, tmp_path, capsys):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run_folder, copy)
    for file in copy.rglob("*"):
        if file.is_file() and file.suffix not in (".json", ".csv", ".jsonl"):
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert "checkpoint-12 is damaged: params" in _refused(capsys, "evaluate", "--agent", copy)


def test_a_taskfile_that_is_not_text(tmp_path, capsys):
    path = tmp_path / "noise.toml"
    path.write_bytes(np.arange(256, dtype=np.uint8).tobytes())
    assert "noise.toml" in _refused(capsys, "tasks", "check", path)


def test_a_run_names_its_held_out_tasks(run_folder, capsys):
    assert main(["tasks", "show", str(run_folder), "--number", "3"]) == 0
    assert "is told: goal hold(" in capsys.readouterr().out
    assert "Did you mean 'random'" in _refused(capsys, "render", run_folder, "--agent", "randum")


def test_module_path_is_the_same_command():
    done = _xworld("--help")
    assert done.returncode == 0 and "evaluate" in done.stdout
    assert Path(sys.executable).with_name("xworld").exists()
