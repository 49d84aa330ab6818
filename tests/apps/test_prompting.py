"""The experiment of prompting: who is trained with whom, what is compared, and a tiny run."""

import json

import numpy as np
import pytest

from xworld.agents import LoadedAgent, NoopPolicy, make_agent
from xworld.apps.commands.main import main
from xworld.apps.laboratory import Job
from xworld.apps.laboratory.experiments.teaching import prompting
from xworld.evaluation import Reference
from xworld.training import PRESETS

BEST = np.array([2.0, 4, 0])  # nothing can be earned in the third task
EARNED = {"alone": {1: 0.25, 2: 0.4, 6: 0.5}, "prompted": {2: 0.75}, "another task": {2: 0.25}}


@pytest.fixture
def trained(monkeypatch):
    """The runs that would be trained: folder, universe, seed, steps and partners of each."""
    runs, config = [], PRESETS["smoke"]()
    agent = make_agent(config.agent, config.env)

    def remember(config, job, partners=None):
        runs.append((job.folder.name, config.universe, job.seed, job.total_steps, partners))
        return {"training_seconds": 1.5, "parameters": 7}

    def play(self, player):
        assert isinstance(player.policy, NoopPolicy)
        return {exam: {k: share * np.stack([BEST] * k, 1) for k, share in of.items()} for exam, of in EARNED.items()}

    monkeypatch.setattr(prompting, "train_run", remember)
    monkeypatch.setattr(prompting, "newest_policy", lambda folder: NoopPolicy())
    monkeypatch.setattr(prompting, "load", lambda folder: LoadedAgent(agent, {"of": folder.name}))
    monkeypatch.setattr(prompting.PromptingExam, "play", play)
    monkeypatch.setattr(prompting.PromptingExam, "reference", lambda self, folder: Reference("", BEST))
    return runs


def test_the_demonstrator_is_told_all_and_trained_for_half_as_long(trained, tmp_path):
    outcome = prompting.run(Job("all", "shown", 3, tmp_path / "shown-seed3", is_quick=True, total_steps=1000))
    (first, open_, seed, steps, none), (second, hidden, own_seed, own_steps, partners) = trained
    assert (first, second) == ("shown-seed3-demonstrator", "shown-seed3")
    assert (open_.hide_percent, hidden.hide_percent) == (0, 100) and none is None
    assert (seed, steps) == (1003, 500) and (own_seed, own_steps) == (3, 1000)
    assert partners.is_told_all and partners.share == 0.5 and partners.params == {"of": "shown-seed3-demonstrator"}
    assert outcome.numbers["demonstrators_training_seconds"] == 1.5
    prompting.run(Job("all", "agent", 3, tmp_path / "agent-seed3", is_quick=True))
    name, hidden_too, _, _, nobody = trained[-1]
    assert name == "agent-seed3" and hidden_too == hidden and nobody is None and len(trained) == 3


def test_what_is_compared_are_last_trials_of_tasks_in_which_something_can_be_earned(trained, tmp_path):
    numbers = prompting.run(Job("all", "agent", 0, tmp_path / "agent", is_quick=True)).numbers
    for name, expected in {
        "prompted_second_over_own_sixth": 0.25,
        "prompted_second_over_own_second": 0.35,
        "another_task_second_over_own_first": 0.0,
    }.items():
        assert [numbers[f"{name}{end}"] for end in ("", "_low", "_high")] == pytest.approx([expected] * 3)


@pytest.mark.slow  # three runs, and exams of two agents
def test_prompting_runs(tmp_path):
    arguments = ["lab", "prompting", "--seeds", "0", "--quick", "--output", str(tmp_path)]
    assert main(arguments) == 0
    content = json.loads((tmp_path / "prompting.json").read_text())
    assert list(content["families"]) == ["alone", "prompted", "another task", "at random"]
    runs = {run["arm"]: run["numbers"] for run in content["families"]["alone"]["runs"]}
    assert np.isfinite(runs["shown"]["prompted_second_over_own_sixth"])
    assert (tmp_path / "shown-seed0-demonstrator" / "config.json").exists()
    assert "Demonstrators" in (tmp_path / "shown-seed0" / "given.json").read_text()
