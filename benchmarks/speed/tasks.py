"""How many complete tasks are sampled per second, beside XLand-MiniGrid's generator.

    python -m benchmarks.speed.tasks

Ours: worlds of 4 rooms, 13x13, chains of up to 4 rules, 16 rule slots; goal, rules, hiding, world, doors, and the
places of everything. The peer: rulesets (goal, rules and initial tiles, without a world). Needs `pip install -e
'.[bench]'`. Writes a JSON file from which `report.py` makes a table.
"""

import argparse
import dataclasses
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks import measure

POOLS = (2**16, 2**23, 2**30)  # worlds, and games, of which tasks are drawn
FLOOR = 50_000  # tasks per second on two cores


def main() -> None:
    """Measures both and writes the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=8192, help="tasks sampled at once, on all devices together")
    parser.add_argument("--repetitions", type=int, default=25)
    parser.add_argument("--devices", type=int, default=2, help="devices the CPU appears as")
    parser.add_argument("--peer-seconds", type=float, default=60, help="how long the peer's generator runs")
    parser.add_argument("--output", type=Path, help="JSON file; in docs/results/speed if not given")
    arguments = parser.parse_args()
    measure.use_devices(arguments.devices)
    machine = measure.machine()
    ours = measure_ours(arguments.batch, arguments.repetitions, machine["num_devices"])
    peer = measure_peer(arguments.peer_seconds)
    largest = ours[-1]["steps_per_s"]["median"]
    rates = [result["steps_per_s"]["median"] for result in ours]
    backend = "" if machine["backend"] == "cpu" else f"-{machine['backend']}"
    measure.write(
        arguments.output or measure.RESULTS / f"tasks{backend}.json",
        {
            "benchmark": "tasks",
            "machine": machine,
            "sizes": {"batch": arguments.batch, "repetitions": arguments.repetitions},
            "results": [as_tasks(result) for result in ours],
            "peer": peer,
            "ratio": round(largest / peer["rulesets_per_s"]),
            "bars": [
                {"bar": "tasks per second", "value": largest, "limit": FLOOR, "is_met": largest >= FLOOR},
                {
                    "bar": "slowest pool over fastest, seconds per task",
                    "value": round(max(rates) / min(rates), 2),
                    "limit": 1.1,
                    "is_met": max(rates) / min(rates) <= 1.1,
                },
            ],
        },
    )


def measure_ours(batch: int, repetitions: int, devices: int) -> list[dict[str, Any]]:
    """Tasks per second from pools of several sizes; each run has new keys."""
    import jax
    import jax.numpy as jnp

    from xworld import EnvConfig, Task
    from xworld.tasks import TaskPool, Universe, UniverseConfig, WorldConfig

    universe = Universe(EnvConfig(), UniverseConfig(world=WorldConfig(rooms=(4,))))
    cases = []
    for pool in POOLS:
        tasks_of_pool = TaskPool(universe, pool, pool)

        def run(key: jax.Array, _: jax.Array, source: TaskPool = tasks_of_pool) -> tuple[jax.Array, Task]:
            key, sample_key = jax.random.split(key)
            tasks = jax.vmap(source.sample)(jax.random.split(sample_key, batch // devices))
            return key, tasks

        keys = jax.random.split(jax.random.key(0), devices)
        cases.append(measure.make_case({"pool": pool}, run, keys, jnp.zeros(devices), batch))
    return measure.measure(cases, repetitions)


def as_tasks(result: dict[str, Any]) -> dict[str, Any]:
    """A result of `measure` whose steps are tasks, called so."""
    names = {"steps_per_s": "tasks_per_s", "environment_steps_per_run": "tasks_per_run"}
    return {names.get(name, name): value for name, value in result.items()}


def measure_peer(seconds: float) -> dict[str, Any]:
    """Rulesets per second of the peer's procedure in one Python process, in five parts of the time."""
    import jax

    from benchmarks.peer.generator import BENCHMARKS, Generator

    settings = BENCHMARKS["medium"]
    generator = Generator(seed=0, settings=settings)
    generator.draw()  # compiles what it calls
    rates, num_rulesets = [], 0
    for _ in range(5):
        start, made = time.perf_counter(), []
        while time.perf_counter() - start < seconds / 5:
            made.append(generator.draw())
        jax.block_until_ready(made)
        rates.append(len(made) / (time.perf_counter() - start))
        num_rulesets += len(made)
    measure.say(f"XLand-MiniGrid's generator: {statistics.median(rates):,.0f} rulesets/s")
    return {
        "rulesets_per_s": round(statistics.median(rates), 1),
        "min": round(min(rates), 1),
        "max": round(max(rates), 1),
        "seconds": seconds,
        "rulesets": num_rulesets,
        "settings": dataclasses.asdict(settings),
        "processes": 1,
    }


if __name__ == "__main__":
    main()
