"""The choice of a learner: in JSON, and on the command line with one kind and with two."""

import dataclasses
import json
from dataclasses import dataclass

import jax.numpy as jnp
import pytest
from rich.console import Console

from xworld import ConfigError
from xworld.apps.commands.main import main
from xworld.base.configs import differences, from_json, to_json
from xworld.training import LEARNERS, PRESETS, PLRConfig, PPOConfig, Report, RunConfig, train
from xworld.training.logs.progress import _learning
from xworld.training.run.trainer import make_trainer


@dataclass(frozen=True)
class OwnConfig:
    """Of a learner of one's own."""

    weight: float = 0.5  # of something
    rollout_length: int = 16
    num_minibatches: int = 1

    def make(self, agent):
        return agent


@pytest.fixture
def own_learner(monkeypatch):
    monkeypatch.setitem(LEARNERS, "own", OwnConfig)


def test_a_learner_of_ones_own_in_json(own_learner):
    config = RunConfig(learner=OwnConfig(weight=0.25))
    text = to_json(config)
    assert json.loads(text)["learner"] == {"kind": "own", "weight": 0.25, "rollout_length": 16, "num_minibatches": 1}
    assert json.loads(to_json(RunConfig()))["learner"]["kind"] == "ppo"
    assert from_json(RunConfig, text) == config and config.steps_per_update == 256 * 16
    changed = differences(RunConfig(), config)
    assert changed == [
        "learner.kind: ppo -> own",
        "learner.rollout_length: 48 -> 16",
        "learner.num_minibatches: 8 -> 1",
    ]
    with pytest.raises(ConfigError, match="of the kind 'own', has no field 'clip'"):
        from_json(RunConfig, '{"learner": {"kind": "own", "clip": 0.1}}')


def test_a_learner_that_is_not_known_is_refused():
    with pytest.raises(ConfigError, match=r"RunConfig.learner is OwnConfig\(.*; write one of: PPOConfig"):
        RunConfig(learner=OwnConfig())


def test_a_learner_with_other_rollouts_than_steps_are_counted_by_is_refused():
    with pytest.raises(ConfigError, match=r"rollout_length is 16, and that of RunConfig.learner 48, by which"):
        make_trainer(PRESETS["smoke"](), learner=OwnConfig())


@dataclass(frozen=True)
class Lazy:
    """Learns nothing, and says nothing of values."""

    rollout_length: int = 48
    reported: tuple[str, ...] = ("loss", "gradient_norm")

    def start(self, trained, key):
        return ()

    def learn(self, trained, state, rollout, extras, terms, key, progress, batch):
        return trained, state, Report({name: jnp.float32(0) for name in self.reported}, {})


@pytest.mark.slow
def test_a_learner_that_cannot_judge_is_refused_before_the_folder_is_taken(tmp_path):
    config = PRESETS["smoke"]()
    searching = dataclasses.replace(config, curriculum=PLRConfig(capacity=config.num_envs, min_filled=8))
    with pytest.raises(ConfigError, match="needs the learner.s one-step errors"):
        train(searching, tmp_path / "run", learner=Lazy(), show_progress=False)
    with pytest.raises(ConfigError, match="columns has 'loss', which every run has"):
        train(config, tmp_path / "run", columns=("loss",), show_progress=False)
    with pytest.raises(ConfigError, match="The learner reports no 'gradient_norm'"):
        train(config, tmp_path / "run", learner=Lazy(reported=("loss",)), show_progress=False)
    assert not (tmp_path / "run").exists()


def test_what_a_learner_does_not_measure_is_not_shown():
    console = Console(width=200)
    with console.capture() as shown:
        console.print(_learning({"loss": 1.5, "gradient_norm": 0.25}))
    assert "0.25" in shown.get() and "nan" not in shown.get()


@pytest.mark.parametrize(
    ("arguments", "learner"),
    [
        ([], PPOConfig()),
        (["--learner.clip", "0.1"], PPOConfig(clip=0.1)),
        (["learner:ppo", "--learner.clip", "0.1"], PPOConfig(clip=0.1)),
        (["learner:own", "--learner.weight", "2"], OwnConfig(weight=2)),
    ],
)
def test_several_learners_are_subcommands(own_learner, monkeypatch, tmp_path, arguments, learner):
    runs = []
    monkeypatch.setattr("xworld.training.train", lambda config, *_, **__: runs.append(config) or True)
    monkeypatch.setattr("xworld.training.use_host_devices", lambda _: None)
    assert main(["train", "--preset", "smoke", "--run", str(tmp_path / "run"), "--seed", "3", *arguments]) == 0
    assert runs == [dataclasses.replace(PRESETS["smoke"](), seed=3, learner=learner)]


def test_help_names_the_learners_if_there_are_several(own_learner, capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    printed = capsys.readouterr().out
    assert "learner:ppo" in printed and "learner:own" in printed and "--learner.clip" in printed
