"""How the cost of a step grows with grid, objects, rules, agents, view and environments; what it takes to compile.

    python -m benchmarks.speed.scaling

All costs are ratios to the same step at the usual sizes, measured in turn with it. Writes a JSON file from which
`report.py` makes tables and figures.
"""

import argparse
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.peer.rulesets import EPISODE_LENGTH, World, draw_ruleset, make_tasks

STEPS_PER_RUN = 200_000  # about; of all environments together
NUM_TASKS = 1024  # different ones, of which environments get their next at random
NEEDED, EVERYTHING = "touch and hold", "everything on"


@dataclass(frozen=True)
class Sizes:
    """A point at which the step is measured."""

    grid: int = 13
    objects: int = 16
    rules: int = 16
    agents: int = 1
    view: int = 5
    environments: int = 1024


USUAL = Sizes()
SWEEPS: dict[str, tuple[int, ...]] = {
    "grid": (9, 13, 19, 25),
    "objects": (8, 16, 32),
    "rules": (8, 16, 32),
    "agents": (1, 2, 4),
    "view": (3, 5, 7, 9),
    "environments": (256, 1024, 4096, 16384),
}


def main() -> None:
    """Measures all points and writes them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sweeps", nargs="+", choices=SWEEPS, default=list(SWEEPS))
    parser.add_argument("--environments", type=int, nargs="+", help="numbers of environments, instead of 256 to 16384")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--devices", type=int, default=2, help="devices the CPU appears as")
    parser.add_argument("--output", type=Path, help="JSON file; in docs/results/speed if not given")
    arguments = parser.parse_args()
    measure.use_devices(arguments.devices)
    machine = measure.machine()
    sweeps = {name: SWEEPS[name] for name in arguments.sweeps}
    if arguments.environments:
        sweeps["environments"] = tuple(arguments.environments)
    backend = "" if machine["backend"] == "cpu" else f"-{machine['backend']}"
    measure.write(
        arguments.output or measure.RESULTS / f"scaling{backend}.json",
        {"benchmark": "scaling", "machine": machine} | run(sweeps, arguments.repetitions, machine["num_devices"]),
    )


def run(sweeps: dict[str, tuple[int, ...]], repetitions: int, devices: int, usual: Sizes = USUAL) -> dict[str, Any]:
    """Measures the usual sizes and, one at a time, others; and the compile time of a rollout."""
    compiling = {physics: compile_seconds(physics, usual, devices) for physics in (NEEDED, EVERYTHING)}
    cases, bytes_per_environment = [], []
    for physics in (NEEDED, EVERYTHING):
        points = {usual: "usual"}
        for name, values in sweeps.items():
            for value in values:
                points.setdefault(replace(usual, **{name: value}), name)
        for point, sweep in points.items():
            case = make_case(physics, sweep, point, devices)
            cases.append(case)
            bytes_per_environment.append(state_bytes(case))
    results = measure.measure(cases, repetitions)
    for result, size in zip(results, bytes_per_environment, strict=True):
        result["bytes_per_environment"] = size
    return {
        "sizes": {"usual": vars(usual), "steps_per_run": STEPS_PER_RUN, "repetitions": repetitions},
        "results": results,
        "costs": costs(results),
        "compile_s": compiling,
        "bars": bars(results, compiling),
    }


def make_case(physics: str, sweep: str, sizes: Sizes, devices: int) -> measure.Case:
    """`VectorEnv.step` with `refill`, as users run it; rules and objects fill all slots."""
    from benchmarks.speed import ours
    from xworld import Env
    from xworld.tasks import TaskSet

    labels = {"physics": physics, "sweep": sweep, **vars(sizes)}
    env = Env(env_config(physics, sizes))
    num_steps = max(STEPS_PER_RUN // sizes.environments // ours.STEPS_PER_REFILL, 1) * ours.STEPS_PER_REFILL
    return ours.reset_cases(
        labels, env, TaskSet(make_set(env.config, sizes)), sizes.environments, num_steps, devices, EPISODE_LENGTH
    )[0]


def make_set(config: Any, sizes: Sizes) -> Any:
    """Stacked tasks of four rooms."""
    import jax
    import jax.numpy as jnp

    draw = random.Random(0)
    rulesets = [draw_ruleset(draw, sizes.rules, sizes.objects) for _ in range(NUM_TASKS)]
    return jax.tree.map(jnp.asarray, make_tasks(config, World(4, sizes.grid), rulesets))


def env_config(physics: str, sizes: Sizes) -> Any:
    """The configuration of a point: only what XLand-MiniGrid's rulesets need, or all there is."""
    from xworld import EnvConfig

    config = EnvConfig(
        height=sizes.grid,
        width=sizes.grid,
        num_agents=sizes.agents,
        max_objects=sizes.objects,
        max_rules=sizes.rules,
        view_size=sizes.view,
    )
    if physics == NEEDED:
        return replace(config, relations=("touch", "hold"), see_through_walls=True, push=False)
    return config


def state_bytes(case: measure.Case) -> int:
    """Bytes of state and task of one environment; `VectorEnv` holds two of them."""
    import jax

    current = case.state[0].current
    return sum(leaf.nbytes for leaf in jax.tree.leaves(current)) // case.labels["environments"]


def compile_seconds(physics: str, sizes: Sizes, devices: int) -> dict[str, float]:
    """Seconds to compile a scan of steps alone, and a rollout whose `refill` generates new tasks."""
    from benchmarks.speed import ours
    from xworld import Env
    from xworld.tasks import Universe, UniverseConfig

    env = Env(env_config(physics, sizes))
    num_envs, num_steps = sizes.environments, ours.STEPS_PER_REFILL
    source = Universe(env.config, UniverseConfig(num_distractors=(4, 6)))  # enough for dead ends of two relations
    labels = {"compile": "rollout", "physics": physics}
    rollout = ours.reset_cases(labels, env, source, num_envs, num_steps, devices, EPISODE_LENGTH)[0]
    labels["compile"] = "step"
    step = ours.step_case(labels, env, make_set(env.config, sizes), num_steps, devices)
    return {"step": round(step.compile_s, 2), "rollout": round(rollout.compile_s, 2)}


def costs(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For every point, how much longer a step of an environment takes than at the usual sizes, of medians."""
    usual = {r["physics"]: r["steps_per_s"]["median"] for r in results if r["sweep"] == "usual"}
    rows = []
    for result in results:
        names = list(SWEEPS) if result["sweep"] == "usual" else [result["sweep"]]
        for name in names:
            rows.append(
                {
                    "physics": result["physics"],
                    "sweep": name,
                    "value": result[name],
                    "cost": round(usual[result["physics"]] / result["steps_per_s"]["median"], 3),
                    "compile_s": result["compile_s"],
                    "bytes_per_environment": result["bytes_per_environment"],
                }
            )
    return sorted(rows, key=lambda row: (row["physics"], row["sweep"], row["value"]))


def bars(results: list[dict[str, Any]], compiling: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """What was asked for beside what was measured; only of the sweeps that were run."""
    rows = []

    def add(name: str, physics: str, value: float, limit: float) -> None:
        rows.append({"bar": name, "physics": physics, "value": value, "limit": limit, "is_met": value <= limit})

    for physics in (NEEDED, EVERYTHING):
        of_physics = [row for row in costs(results) if row["physics"] == physics]
        cost = {(row["sweep"], row["value"]): row["cost"] for row in of_physics}

        def grow(name: str, sweep: str, low: int, high: int, limit: float, physics=physics, cost=cost) -> None:
            if (sweep, low) in cost and (sweep, high) in cost:
                add(name, physics, round(cost[sweep, high] / cost[sweep, low], 2), limit)

        grow("25x25 over 9x9", "grid", 9, 25, 1.2)
        for sweep in ("objects", "rules"):
            grow(f"16 {sweep} over 8", sweep, 8, 16, 2.0)
            grow(f"32 {sweep} over 16", sweep, 16, 32, 2.0)
        grow("two agents over one", "agents", 1, 2, 2.2)
        usual = next(row for row in results if row["physics"] == physics and row["sweep"] == "usual")
        add("seconds to compile the step", physics, compiling[physics]["step"], 15)
        add("seconds to compile the rollout", physics, compiling[physics]["rollout"], 30)
        add("bytes of state and task", physics, usual["bytes_per_environment"], 1500)
    return rows


if __name__ == "__main__":
    main()
