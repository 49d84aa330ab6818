"""How many tasks the expert solves, how long it takes, and whether its plans are the best there are.

    python -m benchmarks.checks.expert --tasks 2000 --preset rooms4-13x13 rooms1-7x7 --tiny 200

For each named environment: tasks of its universe, all directions in which the agents may face at the start. Every plan
is played in the simulator once more and has to earn what it claims. Seconds are those of the processor, so that other
work on the machine does not count. `--tiny` compares plans for tasks of 4 x 4 cells with an exhaustive search over the
simulator's own steps. Results go into a JSON file after every few tasks, so after Ctrl-C the same command goes on; what
the file has already, of as many tasks and the same seed, is not measured again. In the end all that the file has goes
into the tables of `docs/expert.md`.
"""

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np

import xworld
from benchmarks import measure
from benchmarks.report import replace_section, table
from xworld import Env
from xworld.agents.expert.confirm import confirm
from xworld.agents.expert.expert import Expert, NoPlan, PlanTable
from xworld.base.files import write_atomically

ROOT = Path(__file__).resolve().parents[2]
CHUNK = 16  # tasks between two lines of progress
SOLVED, SOLVED_SHORT, SECONDS, OPTIMAL = 0.95, 0.99, 2.0, 0.95  # bars
SHORT = 2  # firings
SHARES = (
    "solved, of all tasks",
    f"solved, of those with up to {SHORT} firings",
    "solved, of those with time enough for the shortest plan found",
    f"solved, of those with up to {SHORT} firings and time enough",
)


def main() -> None:
    """Measures what is asked for and adds it to the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", type=int, default=200, help="of each preset")
    parser.add_argument("--preset", nargs="*", default=[], help=f"among {', '.join(xworld.environment_names())}")
    parser.add_argument("--tiny", type=int, default=0, help="tasks that are searched exhaustively")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results" / "expert.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "expert.md")
    arguments = parser.parse_args()
    if min(arguments.tasks, arguments.tiny + 1) < 1:
        parser.error("--tasks has to be at least 1, --tiny at least 0")

    path: Path = arguments.output
    path.parent.mkdir(parents=True, exist_ok=True)
    asked = [(name, arguments.tasks) for name in arguments.preset]
    asked += [("tiny", arguments.tiny)] if arguments.tiny else []
    for name, num_tasks in asked:
        run = measure_tiny if name == "tiny" else measure_preset
        run(Results(path, name, num_tasks, arguments.seed))
    tables = make_tables({name: entry for name, entry in read(path).items() if "bars" in entry})
    arguments.page.write_text(replace_section(arguments.page.read_text(), "expert", tables))
    print(tables)


@dataclass(frozen=True)
class Results:
    """What the file has of one preset: parts, one for every `CHUNK` tasks, until all are there."""

    path: Path
    name: str
    num_tasks: int
    seed: int

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to measure."""
        return "bars" in self._entry()

    @property
    def parts(self) -> list[dict[str, Any]]:
        """What was measured so far, in order."""
        return self._entry().get("parts", [])

    def add(self, part: dict[str, Any]) -> None:
        """Keeps what was measured of the next tasks."""
        self._write({"parts": [*self.parts, part]})

    def finish(self, results: dict[str, Any]) -> None:
        """Keeps what came out, in place of the parts."""
        self._write({**results, "machine": measure.machine()})

    def _entry(self) -> dict[str, Any]:
        entry = read(self.path).get(self.name, {})
        is_same = (entry.get("num_tasks"), entry.get("seed")) == (self.num_tasks, self.seed)
        return entry if is_same else {}

    def _write(self, entry: dict[str, Any]) -> None:
        results = {**read(self.path), self.name: {"num_tasks": self.num_tasks, "seed": self.seed, **entry}}
        write_atomically(self.path, (json.dumps(results, indent=1) + "\n").encode())


def read(path: Path) -> dict[str, Any]:
    """What the file has, by preset."""
    return json.loads(path.read_text()) if path.exists() else {}


def measure_preset(results: Results) -> None:
    """Plans for tasks of a named universe."""
    if results.is_done:
        return
    name, num_tasks = results.name, results.num_tasks
    env, universe = xworld.make(name), xworld.make_universe(name)
    keys = jax.random.split(jax.random.key(results.seed), num_tasks)
    tasks, info = jax.device_get(jax.jit(jax.vmap(universe.sample_with_info))(keys))
    expert = Expert(env)
    expert.plan_all(jax.tree.map(lambda leaf: leaf[:1], tasks))  # compiles what plays the plans
    for first in range(len(results.parts) * CHUNK, num_tasks, CHUNK):
        part = jax.tree.map(lambda leaf, first=first: leaf[first : first + CHUNK], tasks)
        start = time.process_time()
        plans = expert.plan_all(part)
        seconds = time.process_time() - start
        results.add(
            {
                "seconds": seconds,
                "num_wrong": count_wrong(env, part, plans),
                "is_found": plans.is_found.tolist(),
                "returns": plans.mean_returns.tolist(),
                "reasons": {str(first + number): reason for number, reason in enumerate(plans.reasons) if reason},
            }
        )
        num_without = sum(len(part["reasons"]) for part in results.parts)
        measure.say(f"{name}: {min(first + CHUNK, num_tasks)} of {num_tasks}, {num_without} without a plan")
    results.finish(preset_summary(results.parts, np.asarray(info.num_firings), np.asarray(tasks.trial_length)))


def preset_summary(parts: list[dict[str, Any]], num_firings: np.ndarray, lengths: np.ndarray) -> dict[str, Any]:
    """What came out over all tasks, and the bars. `num_firings` and `lengths` (of trials) are [num_tasks]."""
    found = np.concatenate([part["is_found"] for part in parts])
    returns = np.concatenate([part["returns"] for part in parts])
    reasons = {number: reason for part in parts for number, reason in part["reasons"].items()}
    num_wrong = sum(part["num_wrong"] for part in parts)
    per_task = sum(part["seconds"] for part in parts) / len(found)
    is_too_short = np.array(["but a trial has" in reasons.get(str(number), "") for number in range(len(found))])
    is_few = num_firings <= SHORT
    return {
        "solved": float(found.mean()),
        "trial_too_short": float(is_too_short.mean()),  # for the shortest plan found
        "solved_by_firings": {str(n): float(found[num_firings == n].mean()) for n in np.unique(num_firings)},
        "seconds_per_task": round(per_task, 4),
        "plans_that_do_not_earn_what_they_claim": num_wrong,
        "mean_return": round(float(returns.mean()), 2),
        "mean_share_of_steps": round(float((returns / lengths).mean()), 4),
        "without_plan": reasons,
        "bars": [
            bar(SHARES[0], found, SOLVED),
            bar(SHARES[1], found[is_few], SOLVED_SHORT),
            bar(SHARES[2], found[~is_too_short], SOLVED),
            bar(SHARES[3], found[is_few & ~is_too_short], SOLVED_SHORT),
            {"bar": "seconds per task", "value": per_task, "limit": SECONDS, "is_met": per_task <= SECONDS},
            {"bar": "plans that do not earn what they claim", "value": num_wrong, "limit": 0, "is_met": not num_wrong},
        ],
    }


def count_wrong(env: Env, tasks: Any, plans: PlanTable) -> int:
    """How many plans do not earn in the simulator what they claim, or could not be believed in the first place."""
    index, ways = np.nonzero(plans.returns)
    refused = sum(reason is not None and "model is wrong" in reason for reason in plans.reasons)
    if not len(index):
        return refused
    replays = confirm(env, tasks, index, plans.directions[ways], plans.actions[index, ways])
    num_agents = tasks.is_present[index].sum(axis=1)
    returns = replays.is_rewarded.sum(axis=(1, 2)) / num_agents
    return refused + int((returns.astype(np.float32) != plans.returns[index, ways]).sum())


def measure_tiny(results: Results) -> None:
    """Plans for tiny tasks beside what an exhaustive search finds."""
    if results.is_done:
        return
    sys.path.insert(0, str(ROOT / "tests" / "helpers"))
    import exhaustive
    import tiny_tasks

    env, generator = Env(tiny_tasks.CONFIG), np.random.default_rng(results.seed)
    expert, num_done = Expert(env), len(results.parts) * CHUNK
    seconds, outcomes = 0.0, []
    for number in range(results.num_tasks):
        task = jax.device_get(tiny_tasks.tiny_task(generator))
        if number < num_done:
            continue
        start = time.process_time()
        attempt = expert.attempt(task)
        seconds += time.process_time() - start
        return_ = 0 if isinstance(attempt, NoPlan) else int(attempt.return_)
        if return_ == tiny_tasks.TRIAL_LENGTH:
            outcomes.append("solved at the start")
        else:
            outcomes.append(compare_with_all(exhaustive, env, task, return_))
        if (number + 1) % CHUNK == 0 or number + 1 == results.num_tasks:
            results.add({"seconds": seconds, "outcomes": outcomes})
            seconds, outcomes = 0.0, []
            measure.say(f"tiny: {number + 1} of {results.num_tasks}, {dict(count_outcomes(results.parts))}")
    counts = count_outcomes(results.parts)
    is_best = np.array([True] * counts["best"] + [False] * (counts["not the best"] + counts["not found"]))
    per_task = sum(part["seconds"] for part in results.parts) / results.num_tasks
    results.finish(
        {
            "tasks": dict(counts),
            "seconds_per_task": round(per_task, 4),
            "bars": [bar("best plan, of tasks in which there is something to do", is_best, OPTIMAL)],
        }
    )


def compare_with_all(exhaustive: ModuleType, env: Env, task: xworld.Task, return_: int) -> str:
    """How a plan's return compares with everything that can be done."""
    try:
        can_do_better = exhaustive.can_earn_more(env, task, return_)
    except exhaustive.TooLarge:
        return "too large to search"
    if return_:
        return "not the best" if can_do_better else "best"
    return "not found" if can_do_better else "cannot be solved"


def count_outcomes(parts: list[dict[str, Any]]) -> Counter[str]:
    """How many tiny tasks ended how."""
    return Counter(outcome for part in parts for outcome in part["outcomes"])


def make_tables(results: dict[str, Any]) -> str:
    """Markdown: a row for each preset, and the tiny worlds."""
    of_presets = {name: entry for name, entry in results.items() if name != "tiny"}
    rows = []
    for name, entry in of_presets.items():
        values = {part["bar"]: part for part in entry["bars"]}
        shares = [
            f"{100 * values[what]['value']:.2f}{'' if values[what]['is_met'] else ' (missed)'}" for what in SHARES
        ]
        too_short = f"{100 * entry['trial_too_short']:.2f}"
        wrong = entry["plans_that_do_not_earn_what_they_claim"]
        rows.append([f"`{name}`", entry["num_tasks"], *shares, too_short, f"{entry['seconds_per_task']:.3f}", wrong])
    names = ("solved, %", f"up to {SHORT} firings", "with time enough", f"both of these, up to {SHORT}")
    parts = [
        table(
            ("preset", "tasks", *names, "trial too short, %", "seconds a task", "plans that earn something else"), rows
        )
    ]
    if "tiny" in results:
        tiny = results["tiny"]
        counts = ", ".join(f"{what} {number}" for what, number in tiny["tasks"].items())
        parts.append(
            f"Tiny worlds: the best plan there is in {100 * tiny['bars'][0]['value']:.1f} % of the tasks in which "
            f"there is something to do, of {tiny['num_tasks']} tasks: {counts}."
        )
    machine = next(iter(results.values()))["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    parts.append(f"One core of {machine['processor']}, seconds of its time; {versions}.")
    return "\n\n".join(parts)


def bar(what: str, is_so: np.ndarray, limit: float) -> dict[str, Any]:
    """A share of tasks that has to be at least so much; 1 of none."""
    value = float(is_so.mean()) if is_so.size else 1.0
    return {"bar": what, "value": value, "limit": limit, "is_met": value >= limit}


if __name__ == "__main__":
    main()
