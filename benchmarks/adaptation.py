"""Does the demo agent adapt? Trains it and a control without memory of earlier trials, and checks both on new tasks.

Every seed of both trains with the demo preset and is then evaluated on the same held-out tasks. The control's memory is
cleared at the start of every trial, while it acts and while it learns. A run that was finished before is not trained
again, and one that was stopped goes on. Prints JSON, and writes it to `adaptation.json` beside the runs:

    python -m benchmarks.adaptation --output runs/adaptation
"""

import csv
import dataclasses
import json
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import tyro

from xworld import ConfigError, Env
from xworld.agents import AgentPolicy, load
from xworld.base.files import check_folder
from xworld.evaluation import AGENT, Scores, compare, estimate, gain, sample_tasks
from xworld.evaluation.scores.scores import SEARCHER_WITHOUT_MEMORY
from xworld.tasks import Universe
from xworld.training import PRESETS, RunConfig, train, use_host_devices

# The bars, and what we aim at: scores are shares of the expert's return.
LAST_TRIAL, GAIN, GAIN_LOW, FIRST_TO_SEARCHER, CONTROL_GAIN = 0.75, 0.35, 0.30, 0.85, 0.05
AIM_LAST_TRIAL, AIM_GAIN = 0.9, 0.5
EVALUATION_KEY = 20_000  # far from the seeds of training


@dataclass(frozen=True)
class Options:
    """Trains and evaluates the demo agent and its control."""

    seeds: tuple[int, ...] = (0, 1, 2)  # one training run of each kind for every seed
    minutes: float = 6.0  # what training may take, compilation apart
    total_steps: int | None = None  # train for this long instead of as the preset says
    control_steps: int | None = None  # train the controls for this long instead
    num_tasks: int = 512  # held-out tasks
    num_repeats: int = 4  # episodes of each, whose mean is the task's score, so that chance blurs less
    num_devices: int = 2  # devices to make of the CPU
    output: Path = Path("runs/adaptation")  # folder for the runs and the result


def main(options: Options) -> dict[str, Any]:
    """Runs the benchmark; returns what it prints.

    Raises:
      ConfigError: no seeds, no tasks or repeats, the output folder cannot be used, or training was stopped by a signal.
    """
    if not options.seeds:
        raise ConfigError("There are no seeds. Write at least one, as in --seeds 0.")
    if options.num_repeats < 1:
        raise ConfigError(f"num_repeats is {options.num_repeats}; write a whole number of at least 1.")
    output = check_folder(options.output)
    use_host_devices(options.num_devices)
    config = PRESETS["demo"]()
    if options.total_steps is not None:
        config = dataclasses.replace(config, total_steps=options.total_steps)
    control_steps = options.control_steps or config.total_steps
    control = dataclasses.replace(
        config, total_steps=control_steps, agent=dataclasses.replace(config.agent, clear_memory_at_trials=True)
    )

    env = Env(config.env)
    tasks = sample_tasks(
        Universe(config.env, dataclasses.replace(config.universe, split="test")),
        jax.random.key(EVALUATION_KEY),
        options.num_tasks,
    )
    tasks = jax.tree.map(lambda leaf: leaf.repeat(options.num_repeats, axis=0), tasks)

    folders = {kind: [output / f"{kind}-seed{seed}" for seed in options.seeds] for kind in ("agent", "control")}
    seconds = {
        kind: [
            train_once(dataclasses.replace(base, seed=seed), folder)
            for seed, folder in zip(options.seeds, folders[kind], strict=True)
        ]
        for kind, base in (("agent", config), ("control", control))
    }
    compared = {
        kind: compare(env, tasks, [load_policy(folder) for folder in folders[kind]], jax.random.key(EVALUATION_KEY + 1))
        for kind in folders
    }
    result = {
        "passed": False,
        "agent": judge_agents(compared["agent"], options, seconds["agent"]),
        "control": judge_controls(compared["control"], options, seconds["control"]),
        "seconds_mean": "train_seconds is in compiled updates, wall_seconds the whole of train()",
        "searcher_without_memory": estimate(compared["agent"].score(SEARCHER_WITHOUT_MEMORY)).mean.tolist(),
        "num_tasks": options.num_tasks,
        "num_repeats": options.num_repeats,
        "config": dataclasses.asdict(config),
        "control_steps": control_steps,
        "device": jax.devices()[0].device_kind,
        "num_devices": jax.device_count(),
        "num_cores": len(os.sched_getaffinity(0)),
        "versions": {"python": platform.python_version(), "jax": jax.__version__},
        "command": " ".join(sys.argv),
    }
    result["passed"] = all(run["passed"] for kind in ("agent", "control") for run in result[kind])
    (output / "adaptation.json").write_text(json.dumps(result, indent=2) + "\n")
    return result


def train_once(config: RunConfig, folder: Path) -> tuple[float, float]:
    """Trains a run unless it is finished; seconds it spent in compiled updates, and in all.

    A run that was stopped goes on, and its seconds are added up.

    Raises:
      ConfigError: it was stopped again.
    """
    path = folder / "seconds.json"
    before = json.loads(path.read_text()) if path.exists() else {"is_finished": False, "seconds": 0.0}
    if before["is_finished"]:
        return seconds_in_updates(folder), before["seconds"]
    began = time.perf_counter()
    is_finished = train(config, folder, resume=(folder / "config.json").exists())
    seconds = before["seconds"] + time.perf_counter() - began
    path.write_text(json.dumps({"is_finished": is_finished, "seconds": seconds}) + "\n")
    if not is_finished:
        raise ConfigError(f"Training in {folder} was stopped. The same command goes on with it.")
    return seconds_in_updates(folder), seconds


def seconds_in_updates(folder: Path) -> float:
    """What the run's last row of metrics says."""
    with (folder / "metrics.csv").open(newline="") as file:
        return float(list(csv.DictReader(file))[-1]["seconds"])


def load_policy(folder: Path) -> AgentPolicy:
    """The trained agent in a run's folder, which draws its actions."""
    loaded = load(folder)
    return AgentPolicy(loaded.params, loaded.agent)


def judge_agents(comparison: Scores, options: Options, seconds: list[tuple[float, float]]) -> list[dict[str, Any]]:
    """For each seed its scores, and which bars they pass."""
    searcher_first = estimate(comparison.score(SEARCHER_WITHOUT_MEMORY)).mean[0]
    runs = []
    for run in describe(comparison, options, seconds):
        first, last, gained = run["score"][0], run["score"][-1], run["gain"]
        to_searcher = float(first / searcher_first)
        bars = {
            "last_trial": last >= LAST_TRIAL,
            "gain": gained["mean"] >= GAIN,
            "gain_low": gained["low"] > GAIN_LOW,
            "first_trial": to_searcher >= FIRST_TO_SEARCHER,
            "minutes": run["train_seconds"] <= 60 * options.minutes,
        }
        aims = {"last_trial": last >= AIM_LAST_TRIAL, "gain": gained["mean"] >= AIM_GAIN}
        runs.append(run | {"first_to_searcher": to_searcher, "bars": bars, "aims": aims, "passed": all(bars.values())})
    return runs


def judge_controls(comparison: Scores, options: Options, seconds: list[tuple[float, float]]) -> list[dict[str, Any]]:
    """For each seed the control's scores, and whether it gains as little as it should."""
    return [run | {"passed": run["gain"]["mean"] < CONTROL_GAIN} for run in describe(comparison, options, seconds)]


def describe(comparison: Scores, options: Options, seconds: list[tuple[float, float]]) -> list[dict[str, Any]]:
    """For each seed the score of every trial, and the gain with its 95 % interval over tasks."""
    runs = []
    for seed, episodes, took in zip(options.seeds, comparison.score(AGENT), seconds, strict=True):
        scores = episodes.reshape(options.num_tasks, options.num_repeats, -1).mean(axis=1)
        gained = estimate(gain(scores[None]))
        runs.append(
            {
                "seed": seed,
                "score": estimate(scores[None]).mean.tolist(),
                "gain": {"mean": float(gained.mean), "low": float(gained.low), "high": float(gained.high)},
                "train_seconds": round(took[0], 1),
                "wall_seconds": round(took[1], 1),
            }
        )
    return runs


if __name__ == "__main__":
    try:
        print(json.dumps(main(tyro.cli(Options)), indent=2))
    except ConfigError as error:
        sys.exit(f"adaptation: {error}")
