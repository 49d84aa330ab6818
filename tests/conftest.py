"""Shared set-up: compiled functions are cached on disk between tests, workers, runs, and the processes tests start."""

import gc
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "helpers"))

import pytest
from machine_code import QUICKLY

os.environ.update(QUICKLY | os.environ)  # unless they are told otherwise
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import jax

pytest_plugins = ["window_fixtures", "run_fixtures", "script_fixtures"]

MOST_MAPS = (
    30_000  # Linux lets a process have 65,530; a compiled function has nine, and JAX dies where there are no more
)
MAPS = Path("/proc/self/maps")

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


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Between files, what was compiled is given up if there is much of it."""
    is_new_file = nextitem is not None and nextitem.path != item.path
    if is_new_file and MAPS.exists() and len(MAPS.read_bytes().splitlines()) > MOST_MAPS:
        jax.clear_caches()
        gc.collect()
