"""Shared set-up: compiled functions are cached on disk between tests, workers, runs, and the processes tests start.

With the pinned jaxlib only: 0.12 has crashed while it wrote what it had compiled (`put_executable_and_time`).
"""

import gc
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "helpers"))

import pytest
from machine_code import IS_PINNED, QUICKLY

os.environ.update(QUICKLY | os.environ)  # unless they are told otherwise
os.environ.setdefault("JAX_PLATFORMS", "cpu")
if IS_PINNED:
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".jax_cache"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
else:
    os.environ.setdefault("JAX_ENABLE_COMPILATION_CACHE", "0")  # commands under test would turn it on
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import jax

pytest_plugins = ["window_fixtures"]

gc.set_threshold(50_000, 20, 50)  # tracing makes millions of small objects, which are slow to look through
jax.devices()  # jax starts here, so that no command under test gives a worker more devices than the others have


def pytest_addoption(parser: pytest.Parser) -> None:
    """For packages that are not pinned: what they warn of is shown, what xworld's own code causes is an error."""
    parser.addoption("--lenient", action="store_true", help="let only warnings of xworld's own modules fail tests")


def pytest_configure(config: pytest.Config) -> None:
    """Later filters come first."""
    if config.getoption("--lenient"):
        config.addinivalue_line("filterwarnings", "default")
        config.addinivalue_line("filterwarnings", r"error:::xworld(\..*)?$")
