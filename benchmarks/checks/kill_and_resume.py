"""Kills a training run at random moments, again and again, and resumes it: it has to end as if nothing had happened.

    python -m benchmarks.checks.kill_and_resume

Trains once undisturbed. Then trains the same run, killed by SIGKILL at moments that are drawn from all of its training,
and goes on with it each time until it is finished. Compiled code is kept between starts. Prints JSON, and exits with 1
if the final parameters are not the same, bit for bit.
"""

import argparse
import hashlib
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from benchmarks import measure
from benchmarks.worker import ROOT

Process = subprocess.Popen[bytes]
_METRICS = "metrics.jsonl"  # has a new row after each chunk of updates
_POLL_S = 0.001


def main() -> int:
    """Runs everything; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="decides the moments")
    parser.add_argument("--chunks", type=int, default=120, help="of two updates each; saved after every one")
    parser.add_argument("--devices", type=int, default=2, help="devices the CPU appears as")
    arguments = parser.parse_args()
    from xworld.training import PRESETS

    steps = arguments.chunks * 2 * PRESETS["smoke"]().steps_per_update
    command = [sys.executable, "-m", "xworld", "train", "--preset", "smoke", "--continue-if-started"]
    command += ["--total-steps", str(steps), "--updates-per-chunk", "2", "--chunks-per-checkpoint", "1"]
    command += ["--num-devices", str(arguments.devices), "--run"]
    with tempfile.TemporaryDirectory() as scratch:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "JAX_COMPILATION_CACHE_DIR": str(Path(scratch) / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }

        def start(folder: Path) -> Process:
            return subprocess.Popen([*command, str(folder)], env=environment, stdout=sys.stderr)

        found = compare(start, parameters, Path(scratch), arguments.kills, arguments.chunks, arguments.seed)
    sizes = {"chunks": arguments.chunks, "updates_per_chunk": 2, "devices": arguments.devices, "seed": arguments.seed}
    print(json.dumps({"benchmark": "kill_and_resume", "machine": measure.machine(), "sizes": sizes} | found, indent=1))
    return 0 if found["are_equal"] else 1


def compare(
    start: Callable[[Path], Process],
    result: Callable[[Path], str],
    scratch: Path,
    num_kills: int,
    num_chunks: int,
    seed: int,
) -> dict[str, Any]:
    """Whether a run that is killed comes to the same result as one that is not.

    Args:
      start: begins the run in a folder, or goes on with it there.
      result: what a finished run in a folder came to.
      scratch: a folder to work in.
      num_kills: less than `num_chunks`.
      num_chunks: of the run, each a row of metrics.
      seed: decides the moments.
    """
    undisturbed, disturbed = scratch / "undisturbed", scratch / "disturbed"
    chunk_s = seconds_per_chunk(start(undisturbed), undisturbed, num_chunks)
    kills = []
    for row, chunks in draw_moments(num_kills, num_chunks, seed):
        process = start(disturbed)
        wait_for_row(process, disturbed, row)
        time.sleep(chunks * chunk_s)
        process.kill()
        if process.wait() == 0:
            sys.exit("The run was finished before it could be killed. Write more --chunks.")
        was_saving = any(disturbed.glob("unfinished-*"))
        kills.append({"row": row, "rows_written": num_rows(disturbed), "was_saving": was_saving})
        measure.say(f"killed: {kills[-1]}")
    finish(start(disturbed))
    results = {folder.name: result(folder) for folder in (undisturbed, disturbed)}
    return {
        "seconds_per_chunk": round(chunk_s, 3),
        "kills": kills,
        "num_kills_while_saving": sum(kill["was_saving"] for kill in kills),
        "results": results,
        "are_equal": len(set(results.values())) == 1,
    }


def draw_moments(num_kills: int, num_chunks: int, seed: int) -> list[tuple[int, float]]:
    """When to kill: after which row of metrics, in order, and how many times as long as a chunk takes after that."""
    draw = random.Random(seed)
    rows = sorted(draw.sample(range(1, max(num_chunks * 9 // 10, num_kills + 1)), num_kills))
    return [(row, draw.uniform(0, 2)) for row in rows]


def seconds_per_chunk(process: Process, folder: Path, num_chunks: int) -> float:
    """The median time between two rows of metrics of a run, which is waited for to its end."""
    times = []
    for row in range(1, num_chunks + 1):
        wait_for_row(process, folder, row)
        times.append(time.perf_counter())
    finish(process)
    return statistics.median(after - before for before, after in itertools.pairwise(times))


def wait_for_row(process: Process, folder: Path, row: int) -> None:
    """Waits until a run has written so many rows of metrics."""
    while num_rows(folder) < row:
        if process.poll() is not None:
            sys.exit(f"The run in {folder} ended with {process.returncode} before row {row} of its metrics.")
        time.sleep(_POLL_S)


def finish(process: Process) -> None:
    """Waits for the end of a run."""
    if process.wait() != 0:
        sys.exit(f"A run ended with {process.returncode}; its error is above.")


def num_rows(folder: Path) -> int:
    """Rows of metrics in a run's folder."""
    path = folder / _METRICS
    return path.read_bytes().count(b"\n") if path.exists() else 0


def parameters(folder: Path) -> str:
    """A hash of a run's final parameters, bit for bit."""
    from xworld.agents import load

    digest = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(load(folder).params):
        digest.update(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}".encode())
        digest.update(jax.device_get(leaf).tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
