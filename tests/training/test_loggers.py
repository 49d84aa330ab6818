import json
import math
import struct
import sys
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from xworld import ConfigError
from xworld.training import RunConfig
from xworld.training.logs.loggers import check_loggers, open_loggers

ROW = {"steps": 4096.0, "loss": 0.5, "return_trial_4": math.nan}


def scalars(folder: Path) -> list[tuple[int, str, float]]:
    """What is in the event files: step, name and value. A record is its length, a checksum, the event, a checksum."""
    found = []
    for path in folder.glob("events.*"):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
            data = data[16 + length :]
    return found


def test_tensorboard_gets_what_there_is_to_report(tmp_path):
    with open_loggers(["tensorboard"], tmp_path, RunConfig()) as [logger]:
        logger.write(ROW)
        logger.write(ROW | {"steps": 8192.0})
    expected = [(4096, "steps", 4096), (4096, "loss", 0.5), (8192, "steps", 8192), (8192, "loss", 0.5)]
    assert scalars(tmp_path / "tensorboard") == expected


def test_wandb_goes_on_with_the_folders_run(tmp_path, monkeypatch):
    """A stand-in for the package that notes how it is called; the real one wants an account or a service."""
    (tmp_path / "wandb.py").write_text(
        "import json\n"
        "class Run:\n"
        "    def log(self, values, step):\n"
        "        print(json.dumps(['log', values, step]))\n"
        "    def finish(self):\n"
        "        print(json.dumps(['finish']))\n"
        "def init(*, project, name, id, dir, config, resume):\n"
        "    print(json.dumps(['init', project, name, id, resume, config['seed']]))\n"
        "    return Run()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    folders = [tmp_path / "monday" / "night", tmp_path / "tuesday" / "night"]
    calls = []
    monkeypatch.setattr("builtins.print", lambda line: calls.append(json.loads(line)))
    for folder in (folders[0], *folders):
        folder.mkdir(parents=True, exist_ok=True)
        with open_loggers(["wandb"], folder, RunConfig(seed=3)) as [logger]:
            logger.write(ROW)
    first, second = ((folder / "wandb-id").read_text() for folder in folders)
    assert first != second
    assert calls[::3] == [["init", "xworld", "night", id_, "allow", 3] for id_ in (first, first, second)]
    assert calls[1:3] == [["log", {"steps": 4096.0, "loss": 0.5}, 4096], ["finish"]]


def test_unknown_and_missing_loggers_are_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    check_loggers(["tensorboard"])
    with pytest.raises(ConfigError, match="No logger is called 'tensorbord'. Did you mean 'tensorboard'?"):
        check_loggers(["tensorbord"])
    with pytest.raises(ConfigError, match=r"Logging to wandb needs the package wandb: pip install 'xworld\[wandb\]'"):
        check_loggers(["wandb"])
