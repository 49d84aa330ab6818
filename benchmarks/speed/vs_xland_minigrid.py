"""This simulator and XLand-MiniGrid side by side: the same rulesets, in one process, in turn.

    python -m benchmarks.speed.vs_xland_minigrid
    python -m benchmarks.speed.vs_xland_minigrid --num-envs 8192

Needs `pip install -e '.[bench]'`. Writes a JSON file from which `report.py` makes tables and figures.
"""

import argparse
import itertools
import random
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.peer.rulesets import (
    EPISODE_LENGTH,
    NUM_OBJECTS,
    NUM_RULES,
    WORLDS,
    World,
    draw_ruleset,
    env_config,
    make_tasks,
    sizes,
)

STEP = "step only"
SAME_RULESETS = "auto-reset, rulesets of a set"
NEW_TASKS = "auto-reset, newly generated tasks"
FINAL = ", final observation read too"  # an output that neither the peer nor a step alone has
OURS, EVERYTHING, PEER = "xworld", "xworld, everything on", "XLand-MiniGrid"
FLOORS = {"R1-9x9": 20, "R4-13x13": 30, "R9-25x25": 45}  # ratios with auto-reset; half of it with everything on


def main() -> None:
    """Measures all cases and writes them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--num-envs", type=int, default=1024, help="environments, each with a task of its own")
    parser.add_argument("--steps", type=int, default=500, help="steps of ours in a run; a multiple of 250")
    parser.add_argument("--peer-steps", type=int, help="steps of the peer in a run; 51200 / num-envs if not given")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--devices", type=int, default=2, help="devices the CPU appears as")
    parser.add_argument("--worlds", nargs="+", default=[world.name for world in WORLDS])
    parser.add_argument("--output", type=Path, help="JSON file; in docs/results/speed if not given")
    arguments = parser.parse_args()
    measure.use_devices(arguments.devices)
    machine = measure.machine()
    num_devices = machine["num_devices"]
    peer_steps = arguments.peer_steps or max(51200 // arguments.num_envs, 10)

    results: list[dict[str, Any]] = []
    for world in WORLDS:
        if world.name in arguments.worlds:
            cases = make_cases(world, arguments.num_envs, arguments.steps, peer_steps, num_devices)
            results += measure.measure(cases, arguments.repetitions)
    backend = "" if machine["backend"] == "cpu" else f"-{machine['backend']}"
    name = f"vs_xland_minigrid{backend}-{arguments.num_envs}.json"
    measure.write(
        arguments.output or measure.RESULTS / name,
        {
            "benchmark": "vs_xland_minigrid",
            "machine": machine,
            "sizes": {
                "num_envs": arguments.num_envs,
                "steps_per_run": arguments.steps,
                "peer_steps_per_run": peer_steps,
                "repetitions": arguments.repetitions,
                "unroll": 1,
                "rules": NUM_RULES,
                "objects": NUM_OBJECTS,
                "view_size": 5,
                "episode_length": EPISODE_LENGTH,
            },
            "results": results,
            "ratios": ratios(results),
            "reset_cost": reset_cost(results),
        },
    )


def make_cases(world: World, num_envs: int, num_steps: int, peer_steps: int, devices: int) -> list[measure.Case]:
    """All cases of a world."""
    import jax
    import jax.numpy as jnp

    from benchmarks.peer import simulator as peer
    from benchmarks.speed import ours
    from xworld import Env, EnvConfig
    from xworld.tasks import TaskSet, Universe, UniverseConfig, WorldConfig

    draw = random.Random(0)
    rulesets = [draw_ruleset(draw) for _ in range(num_envs)]
    needed = env_config(world)
    tasks = jax.tree.map(jnp.asarray, make_tasks(needed, world, rulesets))
    # The universe's games, with exactly as many rules and objects as the rulesets have.
    universe = UniverseConfig(
        split="all",  # of empty rooms there is but one
        world=WorldConfig(rooms=(world.rooms,), closed_door_percent=100, locked_door_percent=0),
        chain_length=(7, 7),
        num_dead_ends=(2, 2),
        num_distractors=(4, 4),
        goal_relations=("touch",),
        rule_relations=("touch",),
        pair_percent=100,
        trial_length=(EPISODE_LENGTH, EPISODE_LENGTH),
        num_trials=(1, 1),
    )

    encoded = peer.stack_rulesets(rulesets)
    cases = []
    for has_reset in (False, True):
        for num_devices in sorted({1, devices}):
            labels: dict[str, Any] = {"world": world.name, "system": PEER}
            labels |= {"case": SAME_RULESETS if has_reset else STEP, "devices": num_devices}
            cases.append(peer.make_case(labels, world, encoded, peer_steps, num_devices, has_reset))
    for system, config in ((OURS, needed), (EVERYTHING, EnvConfig(**sizes(world)))):
        env = Env(config)
        labels = {"world": world.name, "system": system, "case": STEP, "devices": devices}
        cases.append(ours.step_case(labels, env, tasks, num_steps, devices))
        sources: dict[str, Any] = {NEW_TASKS: Universe(config, universe)}
        if system == OURS:
            sources = {SAME_RULESETS: TaskSet(tasks), **sources}
        for (case, source), reads_final in itertools.product(sources.items(), (False, True)):
            cases += ours.reset_cases(
                {**labels, "case": case + FINAL if reads_final else case},
                env,
                source,
                num_envs,
                num_steps,
                devices,
                EPISODE_LENGTH,
                ends=(ours.SPREAD, ours.TOGETHER),
                reads_final=reads_final,
            )
    return cases


def ratios(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ours over the faster of the peer's ways to use the devices, of medians; with auto-reset beside its floor."""
    rows = []
    for result in results:
        if result["system"] == PEER:
            continue
        world, case = result["world"], result["case"]
        peer_case = STEP if case == STEP else SAME_RULESETS
        peer_rate = max(
            other["steps_per_s"]["median"]
            for other in results
            if other["system"] == PEER and other["world"] == world and other["case"] == peer_case
        )
        row: dict[str, Any] = {key: result[key] for key in ("world", "system", "case", "ends") if key in result}
        row["ratio"] = round(result["steps_per_s"]["median"] / peer_rate, 1)
        if case != STEP:
            row["floor"] = FLOORS[world] / (2 if result["system"] == EVERYTHING else 1)
        rows.append(row)
    return rows


def reset_cost(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How much longer ours takes with auto-reset and refill than for steps alone, in percent, of medians."""
    alone = {(r["world"], r["system"]): r["steps_per_s"]["median"] for r in results if r["case"] == STEP}
    rows = []
    for result in results:
        if result["system"] != PEER and result["case"] != STEP:
            row = {key: result[key] for key in ("world", "system", "case", "ends")}
            rate = result["steps_per_s"]["median"]
            row["percent"] = round(100 * (alone[result["world"], result["system"]] / rate - 1), 1)
            rows.append(row)
    return rows


if __name__ == "__main__":
    main()
