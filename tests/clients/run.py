"""Tests the adapters against other projects, in environments of their own: checkers, documents, and foreign trainers.

python tests/clients/run.py            # all; what `make test-clients` runs
python tests/clients/run.py jax        # one of the environments below

Each environment is a folder of `.venv-clients`, made anew when its list of packages changes.
"""

import os
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
FOLDER = ROOT / ".venv-clients"
PYTEST = ["-m", "pytest", "-q", "-rs", "--lenient"]
OURS = ["tests/adapters", "tests/histories/test_exchange.py"]
CHECKS = [*PYTEST, *(str(path.relative_to(ROOT)) for path in sorted(HERE.glob("check_*.py"))), *OURS]
DOCUMENTS = [*PYTEST, "tests/project/test_docs.py", "-k", "adapters or coming"]

# By name of a list of packages beside this file: what is run there.
RUNS = {
    "jax": [
        CHECKS,
        DOCUMENTS,
        ["tests/clients/learn_rejax.py"],
        ["tests/clients/learn_memorax.py"],
        ["tests/clients/learn_jaxmarl.py"],
    ],
    "torch": [["tests/clients/learn_stable_baselines3.py"]],
}


def main(names: list[str]) -> int:
    """Runs all that is asked for; returns the number of failures."""
    failures = []
    for name in names or RUNS:
        python = make_environment(name)
        for arguments in RUNS[name]:
            start = time.perf_counter()
            print(f"--- {name}: {' '.join(arguments)}", flush=True)
            status = subprocess.run([python, *arguments], cwd=ROOT, env=settings()).returncode
            print(f"--- {'failed' if status else 'passed'} in {time.perf_counter() - start:.0f} s", flush=True)
            failures += [f"{name}: {' '.join(arguments)}"] * (status != 0)
    print("\n".join(["failed:", *failures]) if failures else "all clients passed")
    return len(failures)


def make_environment(name: str) -> Path:
    """The Python of an environment that has what the list asks for.

    What NAME-no-deps.txt names is put in without its dependencies.
    """
    packages, alone = HERE / f"{name}.txt", HERE / f"{name}-no-deps.txt"
    folder, ready = FOLDER / name, FOLDER / name / "packages.txt"
    python = folder / "bin" / "python"
    text = packages.read_text() + (alone.read_text() if alone.exists() else "")
    if not ready.exists() or ready.read_text() != text:
        venv.create(folder, clear=True, with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt"]
        subprocess.run([*install, "--requirement", packages, "--editable", "."], cwd=ROOT, check=True)
        if alone.exists():
            subprocess.run([*install, "--no-deps", "--requirement", alone], cwd=ROOT, check=True)
        ready.write_text(text)
    return python


def settings() -> dict[str, str]:
    """The environment variables of what is run: the tests' helpers can be imported, and compiled code is kept."""
    paths = os.pathsep.join(str(path) for path in (ROOT, ROOT / "tests" / "helpers", HERE))
    ours = {"PYTHONPATH": paths, "JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache")}
    return os.environ | ours


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
