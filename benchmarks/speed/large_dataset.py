"""How fast a data set of many steps is written and sampled, and how much memory that takes.

    python -m benchmarks.speed.large_dataset --steps 1e7 --folder FOLDER

Actions are random and nothing is simulated: what is measured is writing, hashing, and drawing windows from all over the
files. Windows are drawn on the host, with their tasks, as learning gets them. Memory is what the process has for itself
(on Linux; elsewhere the most it ever had): files that are mapped belong to the system, which takes them back.
"""

import argparse
import dataclasses
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import xworld
from benchmarks import measure
from xworld.histories import Dataset, DatasetHeader, DatasetWriter, Recorded, draw_windows
from xworld.tasks import TaskSet

NAME = "trivial"
NUM_TASKS = 1024
STEPS_AT_A_TIME = 1_000_000
NUM_WINDOWS, WINDOW = 32, 160
MOST_GROWTH = 1.1  # of memory, from a tenth of the work on


def main() -> None:
    """Measures and writes the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=float, default=1e9)
    parser.add_argument("--episode", type=int, default=1000, help="steps of an episode")
    parser.add_argument("--batches", type=int, default=1000, help="batches of windows that are drawn")
    parser.add_argument(
        "--folder", type=Path, help="where the data set is made and removed; by default a temporary one"
    )
    parser.add_argument("--output", type=Path, default=measure.RESULTS / "large-dataset.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        num_parts = max(round(args.steps / STEPS_AT_A_TIME), 1)
        written = write(Path(folder) / "data", num_parts, args.episode)
        data = Dataset(Path(folder) / "data")
        sampled = sample(data, args.batches)
        num_bytes = sum(path.stat().st_size for path in data.folder.iterdir() if path.suffix != ".npz")
    memory = [*written.pop("memory_mb"), *sampled.pop("memory_mb")]
    growth = max(memory) / memory[0]
    content = {
        "benchmark": "large-dataset",
        "machine": measure.machine(),
        "sizes": {"steps": data.num_steps, "episodes": data.num_episodes, "windows": [NUM_WINDOWS, WINDOW]},
        "results": {**written, **sampled, "bytes_a_step": round(num_bytes / data.num_steps, 3), "memory_mb": memory},
        "bars": [{"bar": "growth of memory", "limit": MOST_GROWTH, "value": round(growth, 3)}],
    }
    measure.write(args.output, content)


def write(folder: Path, num_parts: int, episode: int) -> dict[str, Any]:
    """Writes the data set, part by part. Tasks are of one episode that is longer than these."""
    env = xworld.make(NAME)
    tasks = TaskSet.from_source(xworld.make_universe(NAME), jax.random.key(0), NUM_TASKS).tasks
    tasks = dataclasses.replace(tasks, num_trials=jnp.full_like(tasks.num_trials, 2**16 - 1))
    chance, number = np.random.default_rng(0), max(STEPS_AT_A_TIME // episode, 1)
    length = np.full(number, episode)
    memory, seconds = [], 0.0
    with DatasetWriter(folder, DatasetHeader(env.config), TaskSet(tasks)) as writer:
        for part in range(num_parts):
            actions = chance.integers(6, size=(number * episode, env.config.num_agents), dtype=np.uint8)
            rows = chance.integers(NUM_TASKS, size=(number, 1))
            recorded = Recorded(rows, chance.integers(2**32, size=number, dtype=np.uint32), length, actions)
            start = time.perf_counter()
            writer.append(recorded)
            seconds += time.perf_counter() - start
            if (part + 1) % max(num_parts // 10, 1) == 0:
                memory.append(memory_mb())
    steps = num_parts * number * episode
    return {"written_steps_per_s": round(steps / seconds), "memory_mb": memory}


def sample(data: Dataset, num_batches: int) -> dict[str, Any]:
    """Draws windows from all over it."""
    chance, memory = np.random.default_rng(1), []
    draw_windows(data, chance, NUM_WINDOWS, WINDOW)
    start = time.perf_counter()
    for batch in range(num_batches):
        draw_windows(data, chance, NUM_WINDOWS, WINDOW)
        if (batch + 1) % max(num_batches // 10, 1) == 0:
            memory.append(memory_mb())
    steps = num_batches * NUM_WINDOWS * WINDOW
    return {"drawn_steps_per_s": round(steps / (time.perf_counter() - start)), "memory_mb": memory}


def memory_mb() -> float:
    """What the process has for itself."""
    status = Path("/proc/self/status")
    if not status.exists():
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("RssAnon:"))
    return round(int(line.split()[1]) / 1e3, 1)


if __name__ == "__main__":
    main()
