"""The command says in one line what to install where a package is missing, and where it cannot know the cores."""

import builtins
import importlib.metadata
import importlib.util
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import xworld
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


def test_an_interrupt_is_heard_where_exceptions_are_swallowed():
    """Python prints what is raised while it collects garbage, in jax's callback, and goes on."""

    def _xla_gc_callback():
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, entry._interrupt)
    try:
        _xla_gc_callback()  # nothing is raised in it
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            time.sleep(30)
        assert time.monotonic() - began < 20  # it does not sleep to the end
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_package_is_there_before_jax_is():
    """So that the command answers at once, and an interrupt finds little to print."""
    code = (
        "import sys, xworld, xworld.__main__\n"
        "assert 'jax' not in sys.modules and set(xworld.__all__) <= set(dir(xworld))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_public_name_is_found():
    assert {*xworld._MODULES, "tasks"} == set(xworld.__all__)
    for name in xworld.__all__:
        assert getattr(xworld, name).__name__.rpartition(".")[2] == name
    with pytest.raises(AttributeError, match="no attribute 'Enw'"):
        xworld.Enw  # noqa: B018


# The command in a process that hears Ctrl-C: it is ignored where the tests run behind a shell.
LISTENING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, "-m", "xworld"])
"""


def test_ctrl_c_while_importing_ends_the_process(tmp_path):
    """Also where the module that is imported swallows the exception."""
    (tmp_path / "tyro.py").write_text(
        "import time\ntry:\n    print('now', flush=True); time.sleep(60)\n"
        "except KeyboardInterrupt:\n    time.sleep(60)\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(cli.__file__).parents[3]}"}
    with subprocess.Popen(
        [sys.executable, "-c", LISTENING], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"now\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate()[1] == b"xworld: interrupted\n"
    assert process.returncode == 130


def test_a_reader_that_goes_away_is_no_error(monkeypatch, capsys):
    class Pipe(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Pipe())
    assert cli.main(["study", "show"]) == cli.NOBODY_READS
    assert capsys.readouterr().err == ""


def test_a_full_disk_behind_the_output_is_one_line(monkeypatch, capsys):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    assert cli.main(["study", "show"]) == 2
    assert capsys.readouterr().err == "xworld: the system says: No space left on device.\n"


def test_what_the_output_cannot_say_is_a_question_mark(monkeypatch):
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(cli, "main", lambda: print("\u00e9") or 0)
    assert entry.main() == 0
    output.flush()
    assert output.buffer.getvalue() == b"?\n"


def test_output_may_be_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(cli, "main", lambda: sys.stdout.write("x") and 0)
    assert entry.main() == 0
    sys.stdout.close()


@pytest.mark.parametrize(
    "box",
    [
        "\x1b[1m╭─ Parsing error ──╮\x1b[0m\n\x1b[31m│\x1b[0m Unrecognized: trian \x1b[31m│\x1b[0m\n"
        "│ ────────────────── │\n│ For full helptext, run xworld --help │\n╰────────────────────╯",
        "+- Parsing error -----+\n| Unrecognized: trian |\n| ------------------- |\n"
        "| For full helptext, see xworld --help |\n+---------------------+",
    ],
)
def test_complaints_of_the_parser_lose_colours_and_frames(box):
    assert cli._one_line(box) == "Unrecognized: trian. See xworld --help."


def test_complaints_name_the_help_of_the_command_and_are_sentences(capsys):
    assert cli.main(["imitate", "x"]) == 2
    assert capsys.readouterr().err.endswith("(required). See xworld imitate --help.\n")
    box = "╭─ a ─╮\n│ Missing: │\n│   --x │\n│ ─────── │\n│ Unrecognized: y. │\n│ ──────── │\n"
    pointer = "│ For full helptext, run: │\n│     xworld imitate --help │\n╰───────╯"
    assert cli._one_line(box + pointer) == "Missing: --x. Unrecognized: y. See xworld imitate --help."


def test_a_home_folder_is_found_in_every_argument(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cli._expand("~/a.toml") == f"{tmp_path}/a.toml"
    assert cli._expand("--output=~/a") == f"--output={tmp_path}/a"
    for same in ("a~b", "--seed=3", "a=~/b", "-1"):
        assert cli._expand(same) == same


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
