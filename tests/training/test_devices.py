"""A run does the same on one device, on several, and in several processes: with a curriculum, a term and partners."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from devices_worker import everything, short_config

from xworld import ConfigError
from xworld.agents import load
from xworld.training import train
from xworld.training.devices.devices import join_processes
from xworld.training.logs.metrics import MetricsWriter

# Sums over devices are added in another order, and a few updates make more of it.
TOLERANCE = dict(rtol=2e-3, atol=2e-5)


def start(folder: Path, **options: Any) -> subprocess.Popen[str]:
    here = Path(__file__).parents[1]
    command = [sys.executable, str(here / "helpers" / "devices_worker.py"), json.dumps(options), str(folder)]
    return subprocess.Popen(command, cwd=here.parent, stderr=subprocess.PIPE, text=True)


def finish(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors


def assert_same_rows(folder: Path, expected: Path, number: int) -> None:
    rows = MetricsWriter.read(folder)
    assert len(rows) == number
    for row, expected_row in zip(rows, MetricsWriter.read(expected)[:number], strict=True):
        for name in set(row) - {"seconds", "steps_per_second"}:
            np.testing.assert_allclose(row[name], expected_row[name], err_msg=name, **TOLERANCE)


def assert_same_run(folder: Path, expected: Path) -> None:
    assert_same_rows(folder, expected, number=2)
    for leaf, other in zip(*(jax.tree.leaves(load(path).params) for path in (folder, expected)), strict=True):
        np.testing.assert_allclose(leaf, other, **TOLERANCE)


@pytest.mark.slow  # quicker: `tests/core/test_sharded.py`
def test_eight_devices_do_the_same_and_one_goes_on(run_with_everything, tmp_path):
    folder = tmp_path / "run"
    finish(start(folder, num_devices=8, total_devices=8, stops=True))
    assert [row["update"] for row in MetricsWriter.read(folder)] == [2]
    assert train(short_config(), folder, resume=True, **everything(), show_progress=False)
    assert_same_run(folder, run_with_everything)


@pytest.mark.slow
def test_two_processes_that_share_the_parameters_out_do_the_same_stop_together_and_go_on(run_with_everything, tmp_path):
    """To the end: with checkpoints, a resume, an evaluation, and the best agent by it."""
    alone, folder, changes = run_with_everything, tmp_path / "run", {"shard_params": True}
    for number, options in ((1, {"stops": True}), (2, {"resumes": True})):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            coordinator = f"127.0.0.1:{free.getsockname()[1]}"
        both = dict(num_devices=1, total_devices=2, coordinator=coordinator, changes=changes) | options
        finish(*(start(folder, process=process, **both) for process in range(2)))
        assert_same_rows(folder, alone, number)
    assert_same_run(folder, alone)
    assert {path.name for path in folder.iterdir()} == {path.name for path in alone.iterdir()}


def test_a_missing_kind_of_device_is_named(tmp_path):
    command = [sys.executable, "-m", "xworld", "train", "--preset", "smoke", "--run", str(tmp_path / "run")]
    environment = os.environ | {"JAX_PLATFORMS": "fpga"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.startswith("xworld: jax cannot start") and done.stderr.count("\n") == 1
    assert "JAX_PLATFORMS is fpga; set it to a kind of device that is there, such as cpu" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("10.0.0.1:1234", 2, 2), "Process 2 of 2 cannot be; number 2 processes from 0"),
        (("10.0.0.1", 2, 0), "The coordinator is '10.0.0.1'; write its address and port"),
    ],
)
def test_processes_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        join_processes(*arguments)
