"""How much of `VectorEnv`'s speed is left in the adapters, measured side by side in one run.

python -m benchmarks.speed.adapters

The gymnax-style loop (observation, reward, done and info of every step read, in a compiled scan) stands beside scans of
`VectorEnv.step` with `refill` between them. Gymnasium's loop is Python's, so it stands beside a Python loop that calls
a compiled `VectorEnv.step` and fetches what it gives, and beside the scan too.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import xworld
from benchmarks import measure
from benchmarks.measure import Case
from xworld.adapters.gymnax import GymnaxEnv
from xworld.core.types import TaskSource
from xworld.core.vector import VectorEnv
from xworld.tasks import TaskSet

NAME = "trivial"
NUM_TASKS = 1024  # a set: what is compared is steps, not the sampler
GYMNAX_ENVS, GYMNASIUM_ENVS = 1024, 256
REFILL_EVERY = 100  # steps of `VectorEnv`
KEY = jax.random.key(0)
Loops = dict[tuple[str, str], Callable[[], float]]  # by system, and form of the observation
FORMS = {"flat, no briefing": ("flat", False), "flat": ("flat", True), "structured": ("structured", True)}


def gymnax_case(labels: dict[str, Any], env: Any, reset: Callable, step: Callable, num_steps: int) -> Case:
    """`num_steps` steps of all environments in one compiled scan, with every output read."""
    num_envs = labels["num_envs"]

    def one_step(params: Any, state: Any, actions: jax.Array) -> tuple[Any, Any]:
        observation, state, reward, done, info = step(jax.random.split(KEY, num_envs), state, actions, params)
        return state, (observation, reward, done, info)

    def run(state: Any, inputs: tuple[jax.Array, Any]) -> tuple[Any, Any]:
        actions, params = inputs
        return measure.scan(partial(one_step, params), state, actions)

    _, state = jax.jit(reset)(jax.random.split(KEY, num_envs), env.default_params)
    actions = measure.draw_actions(1, num_steps, num_envs, 1)[0, :, :, 0]
    state, inputs = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], (state, (actions, env.default_params)))
    return measure.make_case(labels, run, state, inputs, num_envs * num_steps)


def vector_case(env: xworld.Env, tasks: TaskSource, num_envs: int, num_steps: int) -> Case:
    """`VectorEnv` as its users run it: scans of steps, and `refill` after each. Reads what adapters give, too."""
    vec = VectorEnv(env, num_envs)

    def step(state: Any, actions: jax.Array) -> tuple[Any, Any]:
        state, timestep = vec.step(state, actions)
        return state, {name: value for name, value in vars(timestep).items() if name != "final_observation"}

    def run(state: Any, inputs: tuple[jax.Array, Any]) -> tuple[Any, Any]:
        actions, tasks = inputs

        def rollout(state: Any, actions: jax.Array) -> tuple[Any, Any]:
            state, totals = measure.scan(step, state, actions)
            return vec.refill(state, KEY, tasks), totals

        return jax.lax.scan(rollout, state, actions)

    state, _ = jax.jit(vec.reset)(KEY, tasks)
    actions = measure.draw_actions(1, num_steps, num_envs, 1)[0].reshape(-1, REFILL_EVERY, num_envs, 1)
    state, inputs = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], (state, (actions, tasks)))
    labels = {"system": "VectorEnv", "observation": "", "loop": "scan", "num_envs": num_envs}
    return measure.make_case(labels, run, state, inputs, num_envs * num_steps)


def gymnax_cases(env: xworld.Env, tasks: TaskSource, num_envs: int, num_steps: int) -> list[Case]:
    """The gymnax adapter, by `jax.vmap` and batched, in each form of observation."""
    cases = []
    for form, (observation, briefing) in FORMS.items():
        one = GymnaxEnv(tasks, env, observation=observation, briefing=briefing)  # type: ignore[arg-type]
        many = one.batched(num_envs)
        by_vmap = jax.vmap(one.reset, in_axes=(0, None)), jax.vmap(one.step, in_axes=(0, 0, 0, None))
        for way, (reset, step) in {"vmap": by_vmap, "batched": (many.reset, many.step)}.items():
            labels = {"system": f"gymnax, {way}", "observation": form, "loop": "scan", "num_envs": num_envs}
            cases.append(gymnax_case(labels, one, reset, step, num_steps))
    return cases


def python_loops(env: xworld.Env, tasks: TaskSource, num_envs: int, num_steps: int) -> Loops:
    """Functions that take `num_steps` steps in a Python loop and give the seconds."""
    from xworld.adapters.gymnasium import GymnasiumVectorEnv

    actions = measure.draw_actions(1, num_steps, num_envs, 1)[0]
    vec = VectorEnv(env, num_envs)
    step, refill = jax.jit(vec.step, donate_argnums=0), jax.jit(vec.refill, donate_argnums=0)
    state, _ = jax.jit(vec.reset)(KEY, tasks)
    envs = {
        form: GymnasiumVectorEnv(tasks, env, num_envs=num_envs, observation=observation, briefing=briefing)  # type: ignore[arg-type]
        for form, (observation, briefing) in FORMS.items()
    }
    for one in envs.values():
        one.reset(seed=0)

    def plain() -> float:
        nonlocal state
        start = time.perf_counter()
        for index, chosen in enumerate(actions, start=1):
            state, timestep = step(state, chosen)
            jax.device_get((timestep.observation, timestep.reward, timestep.is_last))
            if index % REFILL_EVERY == 0:
                state = refill(state, KEY, tasks)
        return time.perf_counter() - start

    def gymnasium(form: str) -> float:
        start = time.perf_counter()
        for chosen in actions[..., 0]:
            envs[form].step(chosen)
        return time.perf_counter() - start

    return {("VectorEnv", ""): plain} | {("gymnasium", form): partial(gymnasium, form) for form in FORMS}


def label_loops(loops: Loops, num_envs: int, num_steps: int, seconds: list[list[float]]) -> list[dict[str, Any]]:
    """The results of the loops, of the seconds that each run took."""
    return [
        {
            "system": system,
            "observation": form,
            "loop": "Python",
            "num_envs": num_envs,
            "steps_per_s": measure.summary([num_envs * num_steps / each for each in taken]),
        }
        for (system, form), taken in zip(loops, seconds, strict=True)
    ]


def beside(results: list[dict[str, Any]], seconds: list[list[float]]) -> None:
    """Adds how fast each is as a share of `VectorEnv` in the same loop or scan: median, min and max over the rounds.

    Each run is compared with the one of its own round: a machine that others use is faster at one time than at another.
    """
    for result, taken in zip(results, seconds, strict=True):
        result["of_vector_env"] = {
            row["loop"]: measure.summary([of / each for of, each in zip(base, taken, strict=True)], digits=3)
            for row, base in zip(results, seconds, strict=True)
            if row["system"] == "VectorEnv"
        }


def main() -> None:
    """Measures and writes the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000, help=f"of a run, a multiple of {REFILL_EVERY}")
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--output", type=Path, default=measure.RESULTS / "adapters.json")
    args = parser.parse_args()
    machine, env = measure.machine(), xworld.make(NAME)
    tasks = TaskSet.from_source(xworld.make_universe(NAME), KEY, NUM_TASKS)
    scans = [vector_case(env, tasks, GYMNAX_ENVS, args.steps), *gymnax_cases(env, tasks, GYMNAX_ENVS, args.steps)]
    seconds = measure.seconds_in_turn([case.run for case in scans], args.repetitions)
    results = measure.summarize(scans, seconds)
    beside(results, seconds)
    if find_spec("gymnasium") is not None:
        scan = vector_case(env, tasks, GYMNASIUM_ENVS, args.steps)
        loops = python_loops(env, tasks, GYMNASIUM_ENVS, args.steps)
        seconds = measure.seconds_in_turn([scan.run, *loops.values()], args.repetitions)
        rows = measure.summarize([scan], seconds[:1])
        rows += label_loops(loops, GYMNASIUM_ENVS, args.steps, seconds[1:])
        beside(rows, seconds)
        results += rows
    sizes = {"environment": NAME, "steps_per_run": args.steps, "repetitions": args.repetitions}
    written = {"benchmark": "adapters", "machine": machine, "sizes": sizes, "results": results}
    measure.write(args.output, written)


if __name__ == "__main__":
    main()
