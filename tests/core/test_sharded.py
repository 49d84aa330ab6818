"""A batch shared out to several devices is the whole batch; cores are made devices before jax starts, or never."""

import subprocess
import sys
from pathlib import Path

import jax
import pytest
import sharded_worker

import xworld
from xworld.base.xla import devices


def test_a_sharded_batch_is_the_whole_batch():
    command = [sys.executable, sharded_worker.__file__, "4"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
    assert done.stdout.splitlines() == [
        "4 4",
        "num_envs is 0; write a whole number of at least 1.",
        "num_envs is 13, which 4 devices do not divide. Write a multiple of 4, such as 16.",
        "[1, 3, 4, 1, 4]",
        "the same [1, 4]",
    ]


def test_a_mesh_has_the_devices_there_are():
    assert devices.make_mesh(1).size == 1
    for number in (0, jax.device_count() + 1):
        with pytest.raises(xworld.ConfigError, match=f"num_devices is {number}; write a whole number from 1 to "):
            devices.make_mesh(number)


def test_cores_become_devices_before_jax_starts_or_never(monkeypatch):
    jax.devices()
    monkeypatch.setattr(devices, "num_cores", lambda: jax.local_device_count())
    assert xworld.use_all_cores() == jax.local_device_count()
    monkeypatch.setattr(devices, "num_cores", lambda: jax.local_device_count() + 1)
    with pytest.raises(xworld.ConfigError, match="use_all_cores comes too late: jax has started"):
        xworld.use_all_cores()
