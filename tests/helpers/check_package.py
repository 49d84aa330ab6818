"""Installs what is published, a wheel and a source distribution, each into a bare environment, and uses it from there.

    python tests/helpers/check_package.py

Prints how long each step takes. Warnings of the README's lines are errors. `make test-package` calls it.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROBE = "crafting_tree_visible"
SECONDS_OF_PLAY = 60
PINS = ("--constraint", str(ROOT / "constraints.txt"))


def main() -> None:
    """Builds, installs, and runs."""
    lines = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        python = environment(base / "builder", "build")
        dist = base / "dist"
        timed("build", [python, "-m", "build", "--outdir", dist, ROOT], base)
        (base / "readme.py").write_text(lines, encoding="utf-8")
        for archive in sorted(dist.iterdir()):
            place = base / archive.name.rpartition("-")[2]
            python = environment(place / ".venv")
            timed(f"pip install {archive.name}", [python, "-m", "pip", "install", "--quiet", *PINS, archive], place)
            timed(f"the README's lines, {archive.name}", [python, "-W", "error", base / "readme.py"], place)
            if archive.suffix == ".whl":
                use_commands(python, archive, place)


def use_commands(python: Path, archive: Path, folder: Path) -> None:
    """What a person does next: the extras, a report, the pretrained agent, a window."""
    extras = f"{archive}[agents,play]"
    timed("pip install [agents,play]", [python, "-m", "pip", "install", "--quiet", *PINS, extras], folder)
    xworld = python.parent / "xworld"
    timed("xworld doctor", [xworld, "doctor"], folder)
    timed("xworld evaluate", [xworld, "evaluate", "--agent", "pretrained", "--num-tasks", "32"], folder)
    window = subprocess.Popen(
        [xworld, "play", PROBE],
        cwd=folder,
        env=os.environ | {"SDL_VIDEODRIVER": "dummy"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        window.wait(SECONDS_OF_PLAY)
        sys.exit(f"xworld play has ended by itself: {window.communicate()[1]}")
    except subprocess.TimeoutExpired:
        window.send_signal(signal.SIGINT)
    complaint = window.communicate(timeout=SECONDS_OF_PLAY)[1]
    if "Traceback" in complaint or "Warning:" in complaint:
        sys.exit(complaint)
    print(f"xworld play {PROBE}: open for {SECONDS_OF_PLAY} s, and closed", flush=True)


def environment(folder: Path, *packages: str) -> Path:
    """The Python of a new environment with these packages."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    if packages:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def timed(what: str, command: list[str | Path], folder: Path) -> None:
    """Runs a command; says how long it took, or what it complained of."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": ""})
    if done.returncode or "Warning:" in done.stderr:
        sys.exit(f"{what} failed with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    print(f"{what}: {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
