"""The scripts of the benchmarks, as tests import and run them."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
HAS_PEER = importlib.util.find_spec("xminigrid") is not None


def load(name: str) -> ModuleType:
    """A module of the folder of benchmarks, as its scripts import each other."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a script of the benchmarks with arguments; gives what it returns, and what it prints as JSON."""
    monkeypatch.setattr(load("measure"), "use_devices", lambda number: None)  # jax has started

    def run_one(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        returned = load(name).main()
        return returned, capsys.readouterr().out

    return run_one
