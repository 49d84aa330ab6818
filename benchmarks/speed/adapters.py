"""How much of `VectorEnv`'s speed is left in the adapters, measured side by side in one run.

python -m benchmarks.speed.adapters [--quick]

The gymnax-style loop (observation, state, reward, done and info of every step, in a compiled scan) stands beside the
scan of `VectorEnv.step` with `refill` at the same moments. Gymnasium's loop is Python's, so it stands beside a Python
loop that calls a compiled `VectorEnv.step` and fetches what it gives, and beside the scan too.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp

import xworld
from benchmarks import measure
from benchmarks.measure import Case
from xworld.adapters.episodes import Batches
from xworld.adapters.gymnax import GymnaxEnv
from xworld.core.types import TaskSource
from xworld.core.vector import VectorEnv
from xworld.tasks import TaskSet

NAME = "trivial"
NUM_TASKS = 1024  # a set: what is compared is steps, not the sampler
GYMNAX_ENVS, GYMNASIUM_ENVS = 1024, 256
FORMS = {"flat, no briefing": ("flat", False), "flat": ("flat", True), "structured": ("structured", True)}


def scan_case(labels: dict[str, Any], reset: Callable, step: Callable, num_envs: int, num_steps: int) -> Case:
    """`num_steps` steps of all environments in one compiled scan, with every output read."""

    def run(state: Any, inputs: tuple[jax.Array, Any]) -> tuple[Any, Any]:
        actions, params = inputs
        return measure.scan(lambda state, actions: step(state, actions, params), state, actions)

    state, params = reset()
    actions = jnp.asarray(measure.draw_actions(1, num_steps, num_envs, 1)[0, :, :, 0])
    state, inputs = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], (state, (actions, params)))
    return measure.make_case(labels, run, state, inputs, num_envs * num_steps)


def vector_case(env: xworld.Env, tasks: TaskSource, num_envs: int, num_steps: int) -> Case:
    """`VectorEnv`, refilled as the adapters do it."""
    batches = Batches(VectorEnv(env, num_envs))

    def step(state: Any, actions: jax.Array, tasks: TaskSource) -> tuple[Any, Any]:
        return batches.step(state, actions[:, None], jax.random.key(0), tasks)

    return scan_case(
        {"system": "VectorEnv", "loop": "scan", "num_envs": num_envs},
        lambda: (jax.jit(batches.start)(jax.random.key(0), tasks)[0], tasks),
        step,
        num_envs,
        num_steps,
    )


def gymnax_cases(env: xworld.Env, tasks: TaskSource, num_envs: int, num_steps: int) -> list[Case]:
    """The gymnax adapter, by `jax.vmap` and batched, in each form of observation."""
    cases = []
    for form, (observation, briefing) in FORMS.items():
        one = GymnaxEnv(tasks, env, observation=observation, briefing=briefing)  # type: ignore[arg-type]
        many = one.batched(num_envs)
        by_vmap = jax.vmap(one.reset, in_axes=(0, None)), jax.vmap(one.step, in_axes=(0, 0, 0, None))
        for way, (reset, step) in {"vmap": by_vmap, "batched": (many.reset, many.step)}.items():
            keys = jax.random.split(jax.random.key(0), num_envs)

            def one_step(state: Any, actions: jax.Array, params: Any, step: Callable = step) -> tuple[Any, Any]:
                keys = jax.random.split(jax.random.key(0), num_envs)
                observation, state, reward, done, info = step(keys, state, actions, params)
                return state, (observation, reward, done, info)

            labels = {"system": f"gymnax, {way}", "observation": form, "loop": "scan", "num_envs": num_envs}
            start = partial(_start, reset, keys, one.default_params)
            cases.append(scan_case(labels, start, one_step, num_envs, num_steps))
    return cases


def _start(reset: Callable, keys: jax.Array, params: Any) -> tuple[Any, Any]:
    return jax.jit(reset)(keys, params)[1], params


def python_loops(env: xworld.Env, tasks: TaskSource, num_envs: int, num_steps: int) -> dict[str, Callable[[], float]]:
    """By name, a function that takes `num_steps` steps in a Python loop and gives the seconds."""
    from xworld.adapters.gymnasium import GymnasiumVectorEnv

    actions = measure.draw_actions(1, num_steps, num_envs, 1)[0, :, :, 0]
    batches = Batches(VectorEnv(env, num_envs))
    step = jax.jit(batches.step, donate_argnums=0)
    batch, _ = jax.jit(batches.start)(jax.random.key(0), tasks)
    envs = {
        form: GymnasiumVectorEnv(tasks, env, num_envs=num_envs, observation=observation, briefing=briefing)  # type: ignore[arg-type]
        for form, (observation, briefing) in FORMS.items()
    }
    for one in envs.values():
        one.reset(seed=0)

    def plain() -> float:
        nonlocal batch
        start = time.perf_counter()
        for chosen in actions:
            batch, timestep = step(batch, chosen[:, None], jax.random.key(0), tasks)
            jax.device_get((timestep.observation, timestep.reward, timestep.is_last))
        return time.perf_counter() - start

    def gymnasium(form: str) -> float:
        start = time.perf_counter()
        for chosen in actions:
            envs[form].step(chosen)
        return time.perf_counter() - start

    return {"VectorEnv": plain} | {f"gymnasium, {form}": partial(gymnasium, form) for form in FORMS}


def measure_loops(loops: dict[str, Callable[[], float]], num_steps: int, repetitions: int) -> list[dict[str, Any]]:
    """Environment steps per second of the loops, in turn; the first round warms up."""
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for repetition in range(repetitions + 1):
        for name, loop in loops.items():
            seconds = loop()
            if repetition:
                rates[name].append(num_steps / seconds)
    return [
        {"system": name, "loop": "Python", "num_envs": GYMNASIUM_ENVS, "steps_per_s": measure.summary(seen)}
        for name, seen in rates.items()
    ]


def main() -> None:
    """Measures, and writes docs/results/speed/adapters.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few steps, once: shows that everything runs; no file")
    is_quick = parser.parse_args().quick
    repetitions, num_steps = (1, 20) if is_quick else (5, 1000)
    env = xworld.make(NAME)
    tasks = TaskSet.from_source(xworld.make_universe(NAME), jax.random.key(0), 64 if is_quick else NUM_TASKS)
    results = measure.measure(
        [vector_case(env, tasks, GYMNAX_ENVS, num_steps), *gymnax_cases(env, tasks, GYMNAX_ENVS, num_steps)],
        repetitions,
    )
    if find_spec("gymnasium") is not None:
        results += measure.measure([vector_case(env, tasks, GYMNASIUM_ENVS, num_steps)], repetitions)
        loops = python_loops(env, tasks, GYMNASIUM_ENVS, num_steps)
        results += measure_loops(loops, num_steps * GYMNASIUM_ENVS, repetitions)
    for result in results:
        same = [one for one in results if one["num_envs"] == result["num_envs"] and one["system"] == "VectorEnv"]
        rates = {one["loop"]: one["steps_per_s"]["median"] for one in same}
        result["of_vector_env"] = {
            loop: round(result["steps_per_s"]["median"] / rate, 3) for loop, rate in rates.items()
        }
        print(result)
    if not is_quick:
        measure.write(measure.RESULTS / "adapters.json", {"machine": measure.machine(), "results": results})


if __name__ == "__main__":
    main()
