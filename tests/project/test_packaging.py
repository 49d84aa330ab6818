"""The simulator and the tasks run where only jax and numpy are installed."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

from machine_code import QUICKLY

ROOT = Path(__file__).parents[2]
STEP = """
import importlib.util
for name in ("flax", "optax", "orbax", "tyro", "rich", "pygame", "matplotlib", "imageio", "PIL", "gymnasium"):
    assert importlib.util.find_spec(name) is None, name
import jax, xworld, xworld.adapters, xworld.adapters.gymnax, xworld.adapters.jaxued
env = xworld.make("trivial")
task = jax.jit(xworld.make_universe("trivial").sample)(jax.random.key(0))
task = xworld.tasks.parse(xworld.tasks.to_text(task), env.config)
state, timestep = jax.jit(env.reset)(jax.random.key(1), task)
state, timestep = jax.jit(env.step)(state, jax.numpy.array([0]))
assert timestep.observation.view.shape == (1, 5, 5, 3)
print("stepped")
"""


def _with_requirements(names: list[str]) -> set[str]:
    """Distributions and all that they require, without extras."""
    found: set[str] = set()
    while names:
        name = names.pop()
        if name not in found:
            found.add(name)
            required = importlib.metadata.requires(name) or []
            names += [re.split(r"[^A-Za-z0-9_.-]", line)[0] for line in required if "extra ==" not in line]
    return found


def test_stepping_needs_jax_and_numpy_only(tmp_path):
    # A folder with links to what jax and numpy consist of, and `-S` to leave all other packages out.
    for name in _with_requirements(["jax", "numpy"]):
        for file in importlib.metadata.files(name) or []:
            top = file.parts[0]
            if top != ".." and not top.startswith("__pycache__") and not (tmp_path / top).exists():
                (tmp_path / top).symlink_to(Path(str(file.locate())).parents[len(file.parts) - 1] / top)
    (tmp_path / "xworld").symlink_to(ROOT / "xworld")
    done = subprocess.run(
        [sys.executable, "-S", "-c", STEP],
        env={"PYTHONPATH": str(tmp_path), "JAX_PLATFORMS": "cpu", "PATH": "/usr/bin:/bin"} | QUICKLY,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "stepped", done.stderr


def test_training_needs_no_pictures():
    """What the extra `agents` does not bring is not asked for before a picture is."""
    modules = "{'pygame', 'imageio_ffmpeg'}"  # matplotlib brings PIL
    script = f"import sys, xworld.training, xworld.evaluation; print({modules} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_extras_are_pinned_and_the_pins_name_no_addresses():
    pins = (ROOT / "constraints.txt").read_text()
    assert not re.search(r"[:/@]", pins)
    pinned = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in pins.splitlines()}
    for line in importlib.metadata.requires("xworld") or []:
        name = re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9_.-]", line)[0]).lower()
        assert name in pinned | {"xworld"}, name
