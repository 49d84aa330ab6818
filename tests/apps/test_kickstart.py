"""The experiment of kickstarting: who is taught by whom and for how long; and arms that need another's run."""

import dataclasses
import json

import numpy as np
import pytest

from xworld.apps.commands.main import main
from xworld.apps.laboratory import Job, Outcome, outcomes, runner
from xworld.apps.laboratory.experiments.teaching import kickstart
from xworld.apps.laboratory.runner import run_experiment
from xworld.apps.laboratory.training import Exam
from xworld.evaluation import Reference, Scores
from xworld.training import TrainingDiverged

RETURNS = {1: np.ones((2, 1))}


@pytest.mark.parametrize(
    ("arm", "memory", "window"),
    [
        ("teacher", "gru", 96),
        ("alone", "gru", 12),
        ("taught", "gru", 12),
        ("alone-transformer", "transformer_xl", 96),
        ("taught-transformer", "transformer_xl", 96),
    ],
)
def test_the_student_has_half_the_steps_and_the_teacher_of_its_seed(arm, memory, window, tmp_path, monkeypatch):
    found = {}

    def remember(config, job, *, terms):
        found.update(config=config, job=job, terms=terms)
        return {}

    monkeypatch.setattr(kickstart, "train_run", remember)
    monkeypatch.setattr(kickstart, "_taught_by", lambda config, job: (job.beside("teacher"),))
    monkeypatch.setattr(Exam, "play", lambda exam, folder: {13: folder} if exam.num_trials == 13 else {})
    job = Job("all", arm, 3, tmp_path / f"{arm}-seed3")
    assert kickstart.run(job).returns == {13: job.folder}
    agent, is_taught = found["config"].agent, arm.startswith("taught")
    assert (agent.memory, agent.window if memory == "transformer_xl" else agent.gradient_window) == (memory, window)
    assert found["config"].total_steps == 50_000_000
    assert found["terms"] == ((tmp_path / "teacher-seed3",) if is_taught else ())
    assert found["job"] == (dataclasses.replace(job, total_steps=25_000_000) if is_taught else job)


@pytest.mark.parametrize("diverges", [False, True])
@pytest.mark.parametrize("num_jobs", [1, 2])
def test_a_run_that_others_need_is_done_first_and_without_it_they_are_left_out(
    num_jobs, diverges, tmp_path, monkeypatch, capsys
):
    done = []

    def run(job):
        done.append(job.arm)
        if diverges:
            raise TrainingDiverged("The loss is nan.", 5)
        assert job.arm != "taught" or (job.beside("teacher") / "outcome.json").exists()
        return Outcome(RETURNS)

    class Process:
        """Stands in for a process: it does nothing before somebody looks whether it has ended."""

        def __init__(self, experiment, job):
            self.job, self.experiment, self.is_over = job, experiment, False

        def poll(self):
            if not self.is_over:
                outcomes.run_job(self.experiment, self.job)
                self.is_over = True
            return 0

    monkeypatch.setattr(
        runner,
        "_start",
        lambda experiment, job, place, _: runner._Process(job, tmp_path / "log", Process(experiment, job), place),
    )
    reference = Reference("the expert's return", np.ones(2))
    experiment = dataclasses.replace(
        kickstart.EXPERIMENT,
        run=run,
        course=(),
        baselines=lambda job: Scores({"noop": {1: np.zeros((1, 2, 1))}}, reference),
    )
    content = run_experiment(experiment, tmp_path / "lab", arms=["taught"], seeds=[5], num_jobs=num_jobs)
    assert done == (["teacher"] if diverges else ["teacher", "taught"])
    missing = content["missing"]
    names = [[one["run"] for one in missing[part]] for part in ("diverged", "not_finished")]
    assert names == ([["teacher-seed5"], ["taught-seed5"]] if diverges else [[], []])
    said = "taught-seed5 is left out: it needs teacher-seed5." in capsys.readouterr().out
    assert said == diverges


@pytest.mark.slow
def test_a_student_is_taught_and_examined_beside_its_teacher(tmp_path):
    assert main(["lab", "kickstart", "--arms", "taught", "--seeds", "4", "--quick", "--output", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "kickstart.json").read_text())
    assert {"teacher", "taught", "noop"} <= set(content["families"]["all"]["scores"])
    first, other = (
        (tmp_path / f"{arm}-seed4" / "metrics.csv").read_text().splitlines()[0] for arm in ("teacher", "taught")
    )
    assert "weight_teacher" in other and "weight_teacher" not in first
