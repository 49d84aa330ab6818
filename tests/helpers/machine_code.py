"""How machine code is made for the tests, and for users.

Most of the tests' time is compilation, so their code is made quickly rather than well: without LLVM's optimisations,
and by XLA's older way to write kernels, which takes half the time. What users run is checked in processes of its own.
"""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

QUICKLY = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
IS_PINNED = importlib.metadata.version("jaxlib").startswith("0.10.")
if IS_PINNED:  # XLA aborts at a flag it does not know: newer ones do not
    QUICKLY["XLA_FLAGS"] = "--xla_cpu_use_fusion_emitters=false"


def output_as_compiled_for_users(script: str, xla_flags: str = "") -> str:
    """What a Python script prints that may import what the tests may, with machine code as users have it."""
    environment = {name: value for name, value in os.environ.items() if name not in QUICKLY} | {
        "XLA_FLAGS": xla_flags,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-c", script]
    folder = Path(__file__).parent
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
