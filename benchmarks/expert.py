"""How many tasks the expert solves, how long it takes, and whether its plans are the best there are.

    python benchmarks/expert.py --tasks 2000 --preset rooms4-13x13 rooms1-7x7 --tiny 200

For each named environment: tasks of its universe, all directions in which the agents may face at the start. Every plan
is played in the simulator once more and has to earn what it claims. `--tiny` compares plans for tasks of 4 x 4 cells
with an exhaustive search over the simulator's own steps. Results go into a JSON file, one entry for each preset, as
soon as they are there; those that the file has already, of as many tasks and the same seed, are not measured again.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import measure
import numpy as np

import xworld
from xworld import Env
from xworld.evaluation.expert import Expert, NoPlan, PlanTable
from xworld.evaluation.planning.replay import replay

ROOT = Path(__file__).resolve().parent.parent
CHUNK = 16  # tasks between two lines of progress
SOLVED, SOLVED_SHORT, SECONDS, OPTIMAL = 0.95, 0.99, 2.0, 0.95  # bars
SHORT = 2  # firings


def main() -> None:
    """Measures what is asked for and adds it to the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", type=int, default=200, help="of each preset")
    parser.add_argument("--preset", nargs="*", default=[], help=f"among {', '.join(xworld.environment_names())}")
    parser.add_argument("--tiny", type=int, default=0, help="tasks that are searched exhaustively")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results" / "expert.json")
    arguments = parser.parse_args()
    if min(arguments.tasks, arguments.tiny + 1) < 1:
        parser.error("--tasks has to be at least 1, --tiny at least 0")

    results = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    asked = [(name, arguments.tasks) for name in arguments.preset]
    asked += [("tiny", arguments.tiny)] if arguments.tiny else []
    for name, num_tasks in asked:
        done = results.get(name, {})
        if (done.get("num_tasks"), done.get("seed")) != (num_tasks, arguments.seed):
            run = measure_tiny if name == "tiny" else measure_preset
            measured = run(name, num_tasks, arguments.seed)
            results[name] = {"num_tasks": num_tasks, "seed": arguments.seed, **measured, "machine": measure.machine()}
            arguments.output.parent.mkdir(parents=True, exist_ok=True)
            arguments.output.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps({name: results[name] for name, _ in asked}, indent=1))


def measure_preset(name: str, num_tasks: int, seed: int) -> dict[str, Any]:
    """Plans for tasks of a named universe."""
    env, universe = xworld.make(name), xworld.make_universe(name)
    keys = jax.random.split(jax.random.key(seed), num_tasks)
    tasks, info = jax.device_get(jax.jit(jax.vmap(universe.sample_with_info))(keys))
    expert = Expert(env)
    expert.plan_all(jax.tree.map(lambda leaf: leaf[:1], tasks))  # compiles what plays the plans
    is_found, returns, reasons, seconds, num_wrong = [], [], {}, [], 0
    for first in range(0, num_tasks, CHUNK):
        part = jax.tree.map(lambda leaf, first=first: leaf[first : first + CHUNK], tasks)
        start = time.perf_counter()
        table = expert.plan_all(part)
        seconds.append(time.perf_counter() - start)
        num_wrong += count_wrong(env, part, table)
        is_found.append(table.is_found)
        returns.append(table.mean_returns)
        reasons |= {first + number: reason for number, reason in enumerate(table.reasons) if reason}
        measure.say(f"{name}: {first + len(table.returns)} of {num_tasks}, {len(reasons)} without a plan")
    found, num_firings = np.concatenate(is_found), np.asarray(info.num_firings)
    is_too_short = np.array(["but a trial has" in reasons.get(number, "") for number in range(num_tasks)])
    is_few = num_firings <= SHORT
    per_task = sum(seconds) / num_tasks
    lengths = np.asarray(tasks.trial_length)
    return {
        "solved": float(found.mean()),
        "trial_too_short": float(is_too_short.mean()),  # for the shortest plan found
        "solved_by_firings": {str(n): float(found[num_firings == n].mean()) for n in np.unique(num_firings)},
        "seconds_per_task": round(per_task, 4),
        "plans_that_do_not_earn_what_they_claim": num_wrong,
        "mean_return": round(float(np.concatenate(returns).mean()), 2),
        "mean_share_of_steps": round(float((np.concatenate(returns) / lengths).mean()), 4),
        "without_plan": {str(number): reason for number, reason in reasons.items()},
        "bars": [
            bar("solved, of all tasks", found, SOLVED),
            bar("solved, of those with time enough for the shortest plan found", found[~is_too_short], SOLVED),
            bar(f"solved, of those with up to {SHORT} firings", found[is_few], SOLVED_SHORT),
            bar(
                f"solved, of those with up to {SHORT} firings and time enough",
                found[is_few & ~is_too_short],
                SOLVED_SHORT,
            ),
            {"bar": "seconds per task", "value": per_task, "limit": SECONDS, "is_met": per_task <= SECONDS},
            {"bar": "plans that do not earn what they claim", "value": num_wrong, "limit": 0, "is_met": not num_wrong},
        ],
    }


def count_wrong(env: Env, tasks: Any, table: PlanTable) -> int:
    """How many plans do not earn in the simulator what they claim, or could not be believed in the first place."""
    index, ways = np.nonzero(table.returns)
    refused = sum(reason is not None and "model is wrong" in reason for reason in table.reasons)
    if not len(index):
        return refused
    replays = replay(env, tasks, index, table.directions[ways], table.actions[index, ways])
    return refused + int((replays.returns[:, 0] != table.returns[index, ways]).sum())


def measure_tiny(name: str, num_tasks: int, seed: int) -> dict[str, Any]:
    """Plans for tiny tasks beside what an exhaustive search finds."""
    sys.path.insert(0, str(ROOT / "tests"))
    import exhaustive
    import tiny_tasks

    env, generator = Env(tiny_tasks.CONFIG), np.random.default_rng(seed)
    expert = Expert(env)
    counts = {"solved at the start": 0, "cannot be solved": 0, "best": 0, "not the best": 0, "not found": 0}
    seconds = 0.0
    for number in range(1, num_tasks + 1):
        task = jax.device_get(tiny_tasks.tiny_task(generator))
        start = time.perf_counter()
        attempt = expert.attempt(task)
        seconds += time.perf_counter() - start
        return_ = 0 if isinstance(attempt, NoPlan) else int(attempt.return_)
        can_do_better = exhaustive.can_earn_more(env, task, return_)
        if return_ == tiny_tasks.TRIAL_LENGTH:
            counts["solved at the start"] += 1
        elif return_:
            counts["not the best" if can_do_better else "best"] += 1
        else:
            counts["not found" if can_do_better else "cannot be solved"] += 1
        if number % CHUNK == 0:
            measure.say(f"{name}: {number} of {num_tasks}, {counts}")
    is_best = np.array([True] * counts["best"] + [False] * (counts["not the best"] + counts["not found"]))
    return {
        "tasks": counts,
        "seconds_per_task": round(seconds / num_tasks, 4),
        "bars": [bar("best plan, of tasks in which there is something to do", is_best, OPTIMAL)],
    }


def bar(what: str, is_so: np.ndarray, limit: float) -> dict[str, Any]:
    """A share of tasks that has to be at least so much; 1 of none."""
    value = float(is_so.mean()) if is_so.size else 1.0
    return {"bar": what, "value": value, "limit": limit, "is_met": value >= limit}


if __name__ == "__main__":
    main()
