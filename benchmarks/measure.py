"""How all benchmarks measure: compiled apart, interleaved, blocked on the whole output, nothing left unused.

A case is a function (state, inputs) -> (state, outputs) over some number of environment steps. It runs on one device
or is shared out to several by `over_devices`; state and inputs then have a leading axis of devices.
"""

import dataclasses
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from benchmarks.load import LOAD_BEFORE
from xworld.base.xla.devices import AXIS, make_mesh

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "speed"
Run = Callable[[Any, Any], tuple[Any, Any]]


@dataclass
class Case:
    """A compiled function and the state that one run hands on to the next."""

    labels: dict[str, Any]  # what tells it apart in the results
    num_steps: int  # environment steps in a run, of all environments together
    compiled: jax.stages.Compiled
    compile_s: float
    state: Any
    inputs: Any

    def run(self) -> float:
        """Runs it once; returns seconds until everything it computes is there."""
        start = time.perf_counter()
        self.state, *outputs = self.compiled(self.state, self.inputs)
        jax.block_until_ready((self.state, outputs))
        return time.perf_counter() - start

    def again(self, labels: dict[str, Any], state: Any) -> "Case":
        """The same compiled function from another state."""
        return dataclasses.replace(self, labels=labels, state=share_out(state))


def use_devices(num_devices: int) -> None:
    """Makes the CPU appear as several devices. Call it before anything makes an array."""
    jax.config.update("jax_num_cpu_devices", num_devices)


def over_devices(run: Run, num_devices: int) -> Run:
    """`run` on each of the first `num_devices` devices, on its part of a leading axis of devices."""

    def run_part(state: Any, inputs: Any) -> tuple[Any, Any]:
        state, inputs = jax.tree.map(lambda leaf: leaf[0], (state, inputs))
        return jax.tree.map(lambda leaf: leaf[None], run(state, inputs))

    # The simulator's loops start from constants, which the check of what varies over devices would refuse.
    return jax.shard_map(run_part, mesh=make_mesh(num_devices), in_specs=P(AXIS), out_specs=P(AXIS), check_vma=False)


def share_out(tree: Any) -> Any:
    """Puts a tree whose leaves have a leading axis of devices on the devices."""
    num_devices = jax.tree.leaves(tree)[0].shape[0]
    return jax.device_put(tree, NamedSharding(make_mesh(num_devices), P(AXIS)))


def make_case(labels: dict[str, Any], run: Run, state: Any, inputs: Any, num_steps: int) -> Case:
    """Compiles `run` for as many devices as the leading axis of `state` and `inputs` has."""
    state, inputs = share_out((state, inputs))
    num_devices = jax.tree.leaves(inputs)[0].shape[0]
    compiled, compile_s = compile_timed(labels, jax.jit(over_devices(run, num_devices)), state, inputs)
    return Case(labels, num_steps, compiled, compile_s, state, inputs)


def compile_timed(
    labels: dict[str, Any], function: jax.stages.Wrapped, *arguments: Any
) -> tuple[jax.stages.Compiled, float]:
    """A jitted function, compiled for the arguments, and how many seconds that took."""
    start = time.perf_counter()
    compiled = function.lower(*arguments).compile()
    seconds = time.perf_counter() - start
    say(f"{describe(labels)}: compiled in {seconds:.1f} s")
    return compiled, seconds


def measure(cases: Sequence[Case], repetitions: int) -> list[dict[str, Any]]:
    """Runs the cases in turn, once to warm up and then `repetitions` times.

    Returns:
      For each case its labels, sizes, compile time, and median, min and max of environment steps per second.
    """
    return summarize(cases, seconds_in_turn([case.run for case in cases], repetitions))


def seconds_in_turn(runs: Sequence[Callable[[], float]], repetitions: int) -> list[list[float]]:
    """For each of `runs` the seconds that it returns, `repetitions` times, in turn; a first round warms up."""
    for run in runs:
        run()
    rounds = [[run() for run in runs] for _ in range(repetitions)]
    return [list(seconds) for seconds in zip(*rounds, strict=True)]


def summarize(cases: Sequence[Case], seconds: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """What `measure` returns, of the seconds that each run of each case took."""
    results = []
    for case, taken in zip(cases, seconds, strict=True):
        seen = [case.num_steps / each for each in taken]
        result = {
            **case.labels,
            "environment_steps_per_run": case.num_steps,
            "compile_s": round(case.compile_s, 2),
            "steps_per_s": summary(seen),
        }
        say(f"{describe(case.labels)}: {statistics.median(seen):,.0f} steps/s")
        results.append(result)
    return results


def time_in_turn(calls: Mapping[str, Callable[[], Any]], repetitions: int) -> dict[str, list[float]]:
    """Seconds of each call, by name: all in turn, once to warm up and then `repetitions` times."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for repetition in range(repetitions + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            jax.block_until_ready(call())
            if repetition:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def summary(values: Sequence[float], digits: int | None = None) -> dict[str, float]:
    """Median, min and max, rounded to `digits`, or to whole numbers."""
    found = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, digits) for name, value in found.items()}


def peak_process_mb() -> float:
    """The most memory that this process has used, in megabytes."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)


def scan(step: Callable[[Any, Any], tuple[Any, Any]], state: Any, inputs: Any) -> tuple[Any, Any]:
    """`jax.lax.scan`, but of what the steps put out the sums over time, so that none of it is dead code.

    Adding up reads each number, as a learner would. Sums are flat: adding arrays with a short last axis, such as the
    three bytes of a view's cell, is slow in itself.
    """
    shapes = jax.eval_shape(step, state, jax.tree.map(lambda leaf: leaf[0], inputs))[1]
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.size, jnp.uint8 if leaf.dtype == bool else leaf.dtype), shapes)

    def step_and_add(carry: tuple[Any, Any], step_inputs: Any) -> tuple[tuple[Any, Any], None]:
        state, outputs = step(carry[0], step_inputs)
        totals = jax.tree.map(lambda total, leaf: total + leaf.reshape(-1).astype(total.dtype), carry[1], outputs)
        return (state, totals), None

    return jax.lax.scan(step_and_add, (state, zeros), inputs)[0]


def draw_actions(num_devices: int, num_steps: int, num_envs: int, num_agents: int, seed: int = 0) -> np.ndarray:
    """[num_devices, num_steps, num_envs / num_devices, num_agents] int32, uniform over the six actions that do things.

    Both systems count them alike: forward, turn right, turn left, pick up, put down, toggle.
    """
    shape = num_devices, num_steps, num_envs // num_devices, num_agents
    return np.random.default_rng(seed).integers(0, 6, shape, dtype=np.int32)


def machine() -> dict[str, Any]:
    """What the numbers were measured on, and how busy that was before."""
    devices = jax.devices()
    versions = {"python": platform.python_version()}
    for package in ("jax", "jaxlib", "numpy", "xminigrid"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "backend": devices[0].platform,
        "device": devices[0].device_kind,
        "processor": _processor(),
        "num_cores": os.cpu_count(),
        "num_devices": len(devices),
        "load_before": LOAD_BEFORE,
        "versions": versions,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def describe(labels: dict[str, Any]) -> str:
    """Labels in one line."""
    return ", ".join(str(value) for value in labels.values())


def say(line: str) -> None:
    """A line of progress."""
    print(line, file=sys.stderr, flush=True)


def write(path: Path, results: dict[str, Any]) -> None:
    """Writes results as JSON, and prints them."""
    text = json.dumps(results, indent=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")
    print(text)
    say(f"written to {path}")
