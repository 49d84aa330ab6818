"""The command says in one line what to install where a package is missing, and where it cannot know the cores."""

import builtins
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from xworld import __main__ as entry
from xworld.apps import doctor
from xworld.apps.commands import main as cli
from xworld.base.xla.devices import num_cores


@pytest.mark.parametrize(
    ("module", "extras"),
    [("tyro", "agents,play"), ("rich", "agents,play"), ("flax", "agents"), ("matplotlib", "agents"), ("PIL", "play")],
)
def test_what_is_missing_is_said_in_one_line(module, extras, monkeypatch, capsys):
    def run() -> int:
        raise ModuleNotFoundError(f"No module named '{module}.parts'", name=f"{module}.parts")

    monkeypatch.setattr(cli, "main", run)
    assert entry.main() == 2
    assert (
        capsys.readouterr().err
        == f"xworld: this needs {module}, which is not installed: pip install 'xworld[{extras}]'\n"
    )


def test_a_package_that_is_none_of_ours_is_an_error_of_its_own(monkeypatch):
    def run() -> int:
        raise ModuleNotFoundError("No module named 'my_network'", name="my_network")

    monkeypatch.setattr(cli, "main", run)
    with pytest.raises(ModuleNotFoundError, match="my_network"):
        entry.main()


def test_without_tyro_every_command_says_so(tmp_path):
    (tmp_path / "tyro.py").write_text("raise ModuleNotFoundError(\"No module named 'tyro'\", name='tyro')")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(cli.__file__).parents[1]}"}
    for arguments in ([], ["--help"], ["play", "trivial"]):
        done = subprocess.run(
            [sys.executable, "-m", "xworld", *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1, done.stderr
        assert "this needs tyro, which is not installed" in done.stderr


def test_an_interrupt_while_importing_is_one_line(monkeypatch, capsys):
    real = builtins.__import__

    def interrupted(name, *rest, **named):
        if name == "xworld.apps.commands" and rest[2:3] == (("main",),):
            raise KeyboardInterrupt
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    assert entry.main() == 130
    assert capsys.readouterr().err == "xworld: interrupted\n"


def test_cores_are_counted_where_the_system_tells_no_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert num_cores() == 6


def test_the_version_is_said(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["xworld", "--version"])
    assert entry.main() == 0
    assert capsys.readouterr().out == importlib.metadata.version("xworld") + "\n"


def test_the_doctor_says_what_is_here_and_what_is_missing(monkeypatch, capsys):
    """Also where nothing but Python can be imported."""
    monkeypatch.setattr(sys, "argv", ["xworld", "doctor"])
    monkeypatch.setattr(cli, "main", lambda: pytest.fail("it has to work without tyro"))
    assert entry.main() == 0
    out = capsys.readouterr().out
    assert f"jax              {importlib.metadata.version('jax')}\n" in out and "\ndevices          cpu: " in out
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("pygame", "numpy") else find(name))
    monkeypatch.setattr(doctor.importlib, "import_module", lambda name: exec("raise ImportError('no jax')"))
    assert entry.main() == 1
    out = capsys.readouterr().out
    assert "pygame           missing, for the window and pictures: pip install 'xworld[play]'\n" in out
    assert "numpy            missing, nothing works without it: pip install xworld\n" in out
    assert "devices          jax does not start (ImportError: no jax)\n" in out
