"""Runs that several modules of tests look at: a finished one, and those that commands would begin."""

from pathlib import Path

import pytest
from devices_worker import everything, short_config

from xworld.training import RunConfig, train


@pytest.fixture(scope="session")
def run_with_everything(tmp_path_factory) -> Path:
    """The folder of `short_config` with `everything`, on this process's one device. It is left as it is."""
    folder = tmp_path_factory.mktemp("run_with_everything") / "run"
    assert train(short_config(), folder, **everything(), show_progress=False)
    return folder


@pytest.fixture
def runs(monkeypatch) -> list[RunConfig]:
    """The configurations that commands would train."""
    found: list[RunConfig] = []
    monkeypatch.setattr("xworld.training.train", lambda config, *_, **__: found.append(config) or True)
    monkeypatch.setattr("xworld.training.use_host_devices", lambda _: None)
    return found
