"""With `JAX_ENABLE_X64=1`, which other libraries want, everything is what it is without, in 32 bits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import x64_worker


@pytest.mark.slow
def test_tasks_steps_and_agents_are_the_same_with_64_bits_allowed():
    environment = os.environ | {"JAX_ENABLE_X64": "1"}
    worker = Path(x64_worker.__file__)
    done = subprocess.run([sys.executable, worker], env=environment, capture_output=True, text=True, check=True)
    *same, trained = done.stdout.splitlines()
    assert same == x64_worker.describe()
    assert trained == "trained ['float32'] ['float32'] True"
