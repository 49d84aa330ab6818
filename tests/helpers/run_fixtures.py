"""A finished run that several modules of tests look at."""

from pathlib import Path

import pytest
from devices_worker import everything, short_config

from xworld.training import train


@pytest.fixture(scope="session")
def run_with_everything(tmp_path_factory) -> Path:
    """The folder of `short_config` with `everything`, on this process's one device. It is left as it is."""
    folder = tmp_path_factory.mktemp("run_with_everything") / "run"
    assert train(short_config(), folder, **everything(), show_progress=False)
    return folder
