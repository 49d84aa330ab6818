"""The choice of a curriculum: in JSON, and on the command line."""

import dataclasses
import json

import pytest

from xworld import ConfigError
from xworld.apps.commands.main import main
from xworld.base.configs import from_json, to_json
from xworld.training import CURRICULA, PRESETS, AccelConfig, NoopConfig, PLRConfig, RunConfig, UniformConfig


def test_a_curriculum_in_json():
    config = RunConfig(curriculum=PLRConfig(replay=0.5))
    text = to_json(config)
    assert json.loads(text)["curriculum"]["kind"] == "plr" and from_json(RunConfig, text) == config
    assert json.loads(to_json(RunConfig()))["curriculum"] == {"kind": "uniform"}
    accel = RunConfig(curriculum=AccelConfig(edited=0.25))
    assert json.loads(to_json(accel))["curriculum"]["kind"] == "accel" and from_json(RunConfig, to_json(accel)) == accel
    with pytest.raises(ConfigError, match=r"RunConfig.curriculum is 'plr'; write one of: UniformConfig"):
        RunConfig(curriculum="plr")


@pytest.mark.parametrize(
    ("arguments", "curriculum"),
    [
        ([], UniformConfig()),
        (["--curriculum", "plr"], PLRConfig()),
        (["--curriculum=plr", "--curriculum.replay", "0.3", "--curriculum.capacity", "950"], PLRConfig(950, 900, 0.3)),
        (["--curriculum.high", "0.5", "--curriculum", "noop"], NoopConfig(high=0.5)),
        (["--curriculum", "accel", "--curriculum.edited", "1"], AccelConfig(edited=1.0)),
    ],
)
def test_a_curriculum_on_the_command_line(runs, tmp_path, arguments, curriculum):
    assert main(["train", "--preset", "smoke", "--run", str(tmp_path / "run"), "--seed", "3", *arguments]) == 0
    assert runs == [dataclasses.replace(PRESETS["smoke"](), seed=3, curriculum=curriculum)]


def test_a_run_that_goes_on_keeps_its_curriculum(runs, tmp_path):
    config = dataclasses.replace(PRESETS["smoke"](), curriculum=PLRConfig(replay=0.4))
    (tmp_path / "config.json").write_text(to_json(config))
    (tmp_path / "given.json").write_text("{}")
    assert main(["train", "--resume", str(tmp_path)]) == 0
    assert runs == [config]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--curriculum", "prl"], "--curriculum: 'prl' is unknown. Did you mean 'plr'?"),
        (["--curriculum", "plr", "--curriculum.replay", "2"], "PLRConfig.replay is 2.0; write a number from above 0"),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_line(runs, tmp_path, capsys, arguments, message):
    assert main(["train", "--preset", "smoke", "--run", str(tmp_path / "run"), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not runs


def test_help_names_the_curricula_and_the_options_of_the_chosen_one(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--curriculum", "learnability", "--help"])
    printed = capsys.readouterr().out
    assert all(name in printed for name in CURRICULA) and "--curriculum.updates-per-refresh" in printed
