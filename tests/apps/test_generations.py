"""The experiment of generations: who is taught by whom, for how many steps; and a tiny run."""

import json

import numpy as np
import pytest

from xworld.agents import LoadedAgent, make_agent
from xworld.apps.commands.main import main
from xworld.apps.laboratory import Job
from xworld.apps.laboratory.experiments.teaching import generations
from xworld.training import PRESETS, PlasticityConfig


class Trained:
    """Stands in for `train`: notes what is trained, and leaves what a finished run leaves."""

    def __init__(self):
        self.runs = []

    def __call__(self, config, folder, *, resume, terms=(), **given):
        self.runs.append((folder.name, config, terms, given))
        folder.mkdir(parents=True)
        row = {"update": 2, "steps": 10, "seconds": 1.5, "dead_units": 0.1, "feature_rank": 5.0}
        rows = [row, row | {"update": 4, "steps": 20, "seconds": 2.0, "validation_last_trial": 0.25}]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return True


class Exam:
    """Stands in for the exam: all returns are the generation's number."""

    def play(self, folder):
        return {1: np.full((2, 1), int(folder.name[-1]))}


@pytest.fixture
def trained(monkeypatch):
    config, found = PRESETS["smoke"](), Trained()
    agent = make_agent(config.agent, config.env)
    monkeypatch.setattr(generations, "train", found)
    monkeypatch.setattr(
        generations, "load", lambda folder: LoadedAgent(agent, {"of": np.zeros(7)}, f"scale of {folder.name}")
    )
    monkeypatch.setattr(generations, "make_teacher", lambda loaded, *_: (loaded.return_scale, _[-1]))
    monkeypatch.setattr(generations, "benchmark_exam", lambda is_quick: Exam())
    return found


def test_each_generation_is_taught_by_the_one_before(trained, tmp_path):
    total = PRESETS["smoke"]().total_steps
    outcome = generations.run(Job("long", "three", 7, tmp_path / "three", is_quick=True))
    names, configs, terms, given = zip(*trained.runs, strict=True)
    assert names == ("generation-1", "generation-2", "generation-3", "new-universe")
    assert [config.seed for config in configs] == [7, 1007, 2007, 7]
    assert [config.total_steps for config in configs[:3]] == [2 * total // 3] * 3
    assert [of_run and of_run[0][0] for of_run in terms] == [(), "scale of generation-1", "scale of generation-2", ()]
    assert terms[1][0][1].schedule == "constant" and [of_run["params"] for of_run in given[:3]] == [None] * 3
    assert given[3]["return_scale"] == "scale of generation-3"  # who learns something new is the last
    assert (outcome.returns[1] == 3).all()
    assert outcome.numbers == {
        "training_seconds": 6.0, "parameters": 7, "combined_steps": 60, "dead_units": 0.1, "feature_rank": 5.0,
        "new_universe_score": 0.25,
    }  # fmt: skip
    rows = [json.loads(line) for line in (tmp_path / "three" / "metrics.jsonl").read_text().splitlines()]
    assert [row["steps"] for row in rows] == [10, 20, 30, 40, 50, 60]
    assert [row["update"] for row in rows] == [2, 4, 6, 8, 10, 12] and rows[-1]["seconds"] == 6.0


@pytest.mark.parametrize(
    ("arm", "plasticity"),
    [
        ("alone", PlasticityConfig(measures=True)),
        ("resets", PlasticityConfig(reset="heads", reset_at=(0.25, 0.5), measures=True)),
        ("continual", PlasticityConfig(replacement=1e-3, measures=True)),
    ],
)
def test_arms_without_a_teacher_are_one_run(trained, tmp_path, arm, plasticity):
    outcome = generations.run(Job("short", arm, 0, tmp_path / arm, is_quick=True, total_steps=1000))
    (_, config, terms, _), (_, new, _, given), *others = trained.runs
    assert config.total_steps == 1000 and terms == () and config.learner.plasticity == plasticity
    assert new.total_steps == 50 and new.agent == config.agent and given["params"] is not None
    assert ("new_universe_score_from_scratch" in outcome.numbers) == (arm == "alone") == bool(others)
    for name, config, _, given in others:  # the control: all is the same but what the agent knows
        assert name == "new-universe-from-scratch" and config == new and given["params"] is None


def test_a_student_listens_by_score(trained, tmp_path):
    generations.run(Job("short", "two-by-score", 0, tmp_path / "two", is_quick=True))
    (_, first, none, _), (_, second, (taught,), _), _ = trained.runs
    assert none == () and taught[1].schedule == "score" and taught[1].l2 > 0
    assert first.total_steps == second.total_steps == PRESETS["smoke"]().total_steps // 2


def test_a_restart_has_no_teacher_but_the_parameters_of_before(trained, tmp_path):
    generations.run(Job("short", "restart", 3, tmp_path / "restart", is_quick=True))
    (_, first, none, start), (name, second, terms, given), _ = trained.runs
    assert name == "generation-2" and none == terms == () and start["params"] is None
    assert given["params"] is not None and given["return_scale"] == "scale of generation-1"
    assert first.total_steps == second.total_steps == PRESETS["smoke"]().total_steps // 2


@pytest.mark.slow  # four runs are compiled
def test_two_generations_run(tmp_path, capsys):
    arguments = ["lab", "generations", "--families", "short", "--arms", "two", "--seeds", "0", "--quick"]
    assert main([*arguments, "--output", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "generations.json").read_text())
    (run,) = content["families"]["short"]["runs"]
    assert run["numbers"]["combined_steps"] == PRESETS["smoke"]().total_steps
    assert 1 <= run["numbers"]["feature_rank"] <= 16 and np.isfinite(run["numbers"]["new_universe_score"])
    assert (tmp_path / "short-two-seed0" / "generation-2" / "given.json").read_text().count("teacher") == 1
    (of_run,) = content["course"][0]["runs"]
    assert of_run["at"][-1] == run["numbers"]["combined_steps"]
    assert "Wrote generations.json" in capsys.readouterr().out
