"""Guards the speed: runs two commits in turn and says how much faster the second is, as a ratio.

    python -m benchmarks.speed.compare_commits HEAD~1            # against what is in the working tree
    python -m benchmarks.speed.compare_commits v0.1 --head main

Each commit is timed by its own `commit_worker.py`, which knows where its modules are; cases are told apart by name.
Exits with 1 when a case runs at less than `--limit` of the first commit's speed, or the second commit lacks it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.worker import ROOT, Worker

_SCRIPTS = ("speed/commit_worker.py", "commit_worker.py")  # where commits have it, the newest place first


def main() -> int:
    """Compares two commits; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("base", help="commit to compare with")
    parser.add_argument("--head", help="commit to judge; the working tree if not given")
    parser.add_argument("--limit", type=float, default=0.9, help="least ratio of speeds that passes")
    parser.add_argument("--num-envs", type=int, default=1024)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--devices", type=int, default=2, help="devices the CPU appears as")
    arguments = parser.parse_args()
    measure.use_devices(arguments.devices)
    with tempfile.TemporaryDirectory() as folder:
        base = export(ROOT, arguments.base, Path(folder) / "base")
        head = export(ROOT, arguments.head, Path(folder) / "head") if arguments.head else ROOT
        sizes = [str(arguments.num_envs), str(arguments.devices)]
        scripts = [find_script(base, arguments.base), find_script(head, arguments.head or "the working tree")]
        workers = [
            Worker(script, [str(at), *sizes], folder=at) for script, at in zip(scripts, (base, head), strict=True)
        ]
        rounds = [[worker.run() for worker in workers] for _ in range(arguments.repetitions)]
        for worker in workers:
            worker.stop()
    cases = judge([(base, head) for base, head in rounds], arguments.limit)
    summary = {
        "benchmark": "compare_commits",
        "base": arguments.base,
        "head": arguments.head or "working tree",
        "machine": measure.machine(),
        "sizes": {"num_envs": arguments.num_envs, "repetitions": arguments.repetitions},
        "compile_s": {"base": workers[0].ready, "head": workers[1].ready},
        "cases": cases,
    }
    print(json.dumps(summary, indent=1))
    return 0 if all(case["passes"] for case in cases) else 1


def export(repository: Path, commit: str, folder: Path) -> Path:
    """Unpacks the repository as it was at a commit into `folder`."""
    archive = subprocess.run(
        ["git", "archive", "--format=tar", commit], cwd=repository, stdout=subprocess.PIPE, check=False
    )
    if archive.returncode != 0:
        sys.exit(f"git has no {commit!r}; write a commit, branch or tag.")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


def find_script(folder: Path, commit: str) -> str:
    """The script in a commit's checkout that times it, as `Worker` takes it."""
    for script in _SCRIPTS:
        if (folder / "benchmarks" / script).exists():
            return script
    log = ["git", "log", "--format=%h", "--diff-filter=A", "--", *(f"benchmarks/{script}" for script in _SCRIPTS)]
    commits = subprocess.run(log, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False).stdout.split()
    sys.exit(f"{commit} cannot be timed: it has no commit_worker.py. The oldest commit that has one is {commits[-1]}.")


def judge(rounds: list[tuple[dict[str, float], dict[str, float]]], limit: float) -> list[dict[str, Any]]:
    """For every case of base, the ratio of head's rate to base's by round: median, min, max, and whether it passes.

    A case that head lacks has no ratio, and does not pass.
    """
    cases: list[dict[str, Any]] = []
    for name in rounds[0][0]:
        if name not in rounds[0][1]:
            cases.append({"case": name, "ratio": None, "passes": False})
            continue
        ratios = [head[name] / base[name] for base, head in rounds]
        median = statistics.median(ratios)
        row: dict[str, Any] = {"case": name, "ratio": round(median, 3)}
        cases.append(row | {"min": round(min(ratios), 3), "max": round(max(ratios), 3), "passes": median >= limit})
    return cases


if __name__ == "__main__":
    sys.exit(main())
