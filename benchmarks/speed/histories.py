"""How fast observations are derived again from a data set, beside reading stored ones from a file.

    python -m benchmarks.speed.histories

The stored ones lie as in XLand-100B: an HDF5 file with a row for each history, in chunks of 4096 steps, compressed by
gzip at level 6. Where h5py is not installed they lie in a plain array that is mapped into memory, without compression,
which is faster to read and larger; the results say which it was. Both ways give the same bytes, which is checked.
"""

import argparse
import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import xworld
from benchmarks import measure
from xworld.histories import Dataset, DatasetHeader, DatasetWriter, Recorded, derive, derive_windows, read_windows
from xworld.tasks import TaskSet

NAME = "trivial"
NUM_TASKS = 1024
CHUNK = 4096  # steps in a chunk of XLand-100B's files
LEAST_RATE, LEAST_RATIO, MOST_BYTES = 3_000_000, 5, 1.3


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is read."""

    histories: int
    steps: int  # of a history
    batch: int  # histories that are read at a time
    window: int  # steps of a window, where windows are read
    devices: int


def main() -> None:
    """Measures and writes the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--histories", type=int, default=512)
    parser.add_argument("--steps", type=int, default=4096, help="of a history")
    parser.add_argument("--batch", type=int, default=1024, help="histories or windows read at a time, at most all")
    parser.add_argument("--window", type=int, default=1024, help="steps of a window")
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--output", type=Path, default=measure.RESULTS / "histories.json")
    args = parser.parse_args()
    sizes = Sizes(args.histories, args.steps, min(args.batch, args.histories), args.window, args.devices)
    measure.use_devices(sizes.devices)
    machine = measure.machine()
    with tempfile.TemporaryDirectory() as folder:
        data = write_dataset(Path(folder) / "data", sizes)
        with stored(Path(folder), data, sizes) as (form, num_bytes, read):
            results = time_all(data, read, sizes, args.repetitions)
        per_step = data_bytes(data) / data.num_steps
    rate = {(row["what"], row["from"]): row["steps_per_s"]["median"] for row in results}
    ratio = rate["whole histories", "derived"] / rate["whole histories", "stored"]
    bars = [
        {"bar": "steps a second, derived", "limit": LEAST_RATE, "value": rate["whole histories", "derived"]},
        {"bar": "times as fast as the stored ones", "limit": LEAST_RATIO, "value": round(ratio, 2)},
        {"bar": "bytes a step", "limit": MOST_BYTES, "value": round(per_step, 3)},
    ]
    found = {"stored_as": form, "stored_bytes_a_step": round(num_bytes / data.num_steps, 2), "bars": bars}
    about = {"benchmark": "histories", "machine": machine, "sizes": {"environment": NAME, **vars(sizes)}}
    measure.write(args.output, about | {"results": results} | found)


def write_dataset(folder: Path, sizes: Sizes) -> Dataset:
    """Histories of random actions. Tasks are of one episode that is longer than these."""
    env = xworld.make(NAME)
    tasks = TaskSet.from_source(xworld.make_universe(NAME), jax.random.key(0), NUM_TASKS).tasks
    tasks = dataclasses.replace(tasks, num_trials=jnp.full_like(tasks.num_trials, 2**16 - 1))
    generator = np.random.default_rng(0)
    with DatasetWriter(folder, DatasetHeader(env.config), TaskSet(tasks)) as writer:
        for first in range(0, sizes.histories, sizes.batch):
            numbers = np.arange(first, min(first + sizes.batch, sizes.histories))
            seeds = generator.integers(2**32, size=len(numbers), dtype=np.uint32)
            actions = generator.integers(6, size=(len(numbers) * sizes.steps, env.config.num_agents), dtype=np.uint8)
            length = np.full(len(numbers), sizes.steps)
            writer.append(Recorded(numbers[:, None] % NUM_TASKS, seeds, length, actions))
    return Dataset(folder)


def data_bytes(data: Dataset) -> int:
    """What the data set takes on the disk, without the tasks."""
    return sum(path.stat().st_size for path in data.folder.iterdir() if path.suffix != ".npz")


@contextlib.contextmanager
def stored(folder: Path, data: Dataset, sizes: Sizes) -> Iterator[tuple[str, int, Callable[[int, slice], np.ndarray]]]:
    """A file of all views: how it lies, its bytes, and what reads [T, ...] of a history."""
    view = data.env.config.view_size
    shape = (sizes.histories, sizes.steps, view, view, 3)
    path, row = folder / "views", (1, min(CHUNK, sizes.steps), view, view, 3)
    has_hdf5 = find_spec("h5py") is not None
    with contextlib.ExitStack() as stack:
        if has_hdf5:
            import h5py

            file = stack.enter_context(h5py.File(path, "w"))
            views = file.create_dataset("states", shape, np.uint8, compression="gzip", compression_opts=6, chunks=row)
        else:
            views = np.memmap(path, np.uint8, mode="w+", shape=shape)
        for first in range(0, sizes.histories, sizes.batch):
            numbers = np.arange(first, min(first + sizes.batch, sizes.histories))
            seen = data.episodes(numbers).derive(data.env).observation.view[:-1, :, 0]
            views[first : first + len(numbers)] = np.swapaxes(np.asarray(seen), 0, 1)
        (file if has_hdf5 else views).flush()
        form = "HDF5, gzip, chunks of 4096 steps" if has_hdf5 else "a plain array, mapped into memory"
        yield form, path.stat().st_size, lambda history, steps: np.array(views[history, steps])


def time_all(data: Dataset, read: Callable[..., np.ndarray], sizes: Sizes, repetitions: int) -> list[dict[str, Any]]:
    """Steps per second of both ways to whole histories and to windows, in turn; the first round warms up."""
    ways = {
        ("whole histories", "derived"): derived_histories(data, sizes),
        ("whole histories", "stored"): lambda numbers, starts: [read(number, slice(None)) for number in numbers],
        ("windows", "derived"): derived_windows(data, sizes),
        ("windows", "stored"): lambda numbers, starts: [
            read(number, slice(start, start + sizes.window)) for number, start in zip(numbers, starts, strict=True)
        ],
    }
    generator = np.random.default_rng(1)
    check_same(ways, sizes, generator)
    rates: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
    for repetition in range(repetitions + 1):
        for (what, where), way in ways.items():
            numbers = generator.permutation(sizes.histories)[: sizes.batch]
            starts = generator.integers(sizes.steps - sizes.window + 1, size=sizes.batch)
            begin = time.perf_counter()
            jax.block_until_ready(way(numbers, starts))
            seconds = time.perf_counter() - begin
            if repetition:
                num_steps = sizes.batch * (sizes.steps if what == "whole histories" else sizes.window)
                rates[what, where].append(num_steps / seconds)
    return [
        {"what": what, "from": where, "steps_per_s": measure.summary(seen)} for (what, where), seen in rates.items()
    ]


def derived_histories(data: Dataset, sizes: Sizes) -> Callable[..., Any]:
    """What gives [D, T, B / D, ...] timesteps of a batch of histories, each device its share."""
    run = jax.jit(measure.over_devices(lambda _, inputs: ((), derive(data.env, *inputs)), sizes.devices))

    def way(numbers: np.ndarray, starts: np.ndarray) -> Any:
        episodes = data.episodes(numbers)

        def share(leaf: np.ndarray, axis: int) -> np.ndarray:
            return np.stack(np.split(np.asarray(leaf), sizes.devices, axis))

        tasks = jax.tree.map(lambda leaf: share(leaf, 0), episodes.tasks)
        inputs = tasks, share(episodes.seed, 0), share(episodes.action, 1)
        return run((), measure.share_out(inputs))[1]

    return way


def derived_windows(data: Dataset, sizes: Sizes) -> Callable[..., Any]:
    """What gives windows at given places."""
    run = jax.jit(lambda pieces: derive_windows(data.env, pieces))
    return lambda numbers, starts: run(read_windows(data, numbers, starts, sizes.window))


def check_same(ways: dict[tuple[str, str], Callable[..., Any]], sizes: Sizes, generator: np.random.Generator) -> None:
    """Makes sure that both ways give the same views."""
    numbers = generator.permutation(sizes.histories)[: sizes.batch]
    starts = generator.integers(sizes.steps - sizes.window + 1, size=sizes.batch)
    whole = np.asarray(ways["whole histories", "derived"](numbers, starts).observation.view)[:, :-1, :, 0]
    whole = np.swapaxes(np.concatenate(whole, axis=1), 0, 1)
    assert (whole == np.stack(ways["whole histories", "stored"](numbers, starts))).all()
    some = np.swapaxes(np.asarray(ways["windows", "derived"](numbers, starts).observation.view)[:, :, 0], 0, 1)
    assert (some == np.stack(ways["windows", "stored"](numbers, starts))).all()


if __name__ == "__main__":
    main()
