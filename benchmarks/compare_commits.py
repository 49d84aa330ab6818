"""Guards the speed: runs two commits in turn and says how much faster the second is, as a ratio.

    python benchmarks/compare_commits.py HEAD~1            # against what is in the working tree
    python benchmarks/compare_commits.py v0.1 --head main

Exits with 1 when a case runs at less than `--limit` of the first commit's speed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import measure

ROOT = Path(__file__).resolve().parent.parent


class Worker:
    """A process that times one version of xworld whenever it is asked to."""

    def __init__(self, folder: Path, num_envs: int, devices: int) -> None:
        """Starts it; it is ready when everything is compiled."""
        script = Path(__file__).with_name("commit_worker.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), str(folder), str(num_envs), str(devices)],
            env={**os.environ, "PYTHONPATH": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.compile_s: dict[str, float] = self._read()

    def run(self) -> dict[str, float]:
        """Environment steps per second of every case."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        return self._read()

    def stop(self) -> None:
        """Ends the process."""
        self._process.communicate()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit("A commit could not be timed; its error is above.")
        return json.loads(line)


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
        workers = [Worker(at, arguments.num_envs, arguments.devices) for at in (base, head)]
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
        "compile_s": {"base": workers[0].compile_s, "head": workers[1].compile_s},
        "cases": cases,
    }
    print(json.dumps(summary, indent=1))
    return 0 if all(case["passes"] for case in cases) else 1


def export(repository: Path, commit: str, folder: Path) -> Path:
    """Unpacks the package as it was at a commit into `folder`."""
    archive = subprocess.run(
        ["git", "archive", "--format=tar", commit, "xworld"], cwd=repository, stdout=subprocess.PIPE, check=False
    )
    if archive.returncode != 0:
        sys.exit(f"git has no xworld at {commit!r}; write a commit, branch or tag.")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


def judge(rounds: list[tuple[dict[str, float], dict[str, float]]], limit: float) -> list[dict[str, Any]]:
    """For every case the ratio of head's rate to base's in the same round: median, min, max, and whether it passes."""
    cases = []
    for name in rounds[0][0]:
        ratios = [head[name] / base[name] for base, head in rounds]
        median = statistics.median(ratios)
        row: dict[str, Any] = {"case": name, "ratio": round(median, 3)}
        cases.append(row | {"min": round(min(ratios), 3), "max": round(max(ratios), 3), "passes": median >= limit})
    return cases


if __name__ == "__main__":
    sys.exit(main())
