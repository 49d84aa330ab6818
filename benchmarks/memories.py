"""The three memories side by side: the preset `memory`, the same data, about the same size, several seeds.

Every agent trains on episodes of four to six trials and is then evaluated on held-out tasks with 13. A run that was
finished before is not trained again, and one that was stopped goes on. Prints JSON, and writes it with its figure:

    python -m benchmarks.memories --total-steps 30000000
    python -m benchmarks.memories --memories gru --name memory_preset

Two runs at a time, each on a core of its own, take less time than one after the other on both. Runs are found by their
memory and seed, so that parts may be trained beforehand, in any order:

    taskset -c 0 python -m benchmarks.memories --total-steps 30000000 --num-devices 1 --seeds 0 --name part

Memories of one length of training can come into one file and figure one after the other:

    python -m benchmarks.memories --memories transformer_xl --name memory_preset --keep
"""

import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

from benchmarks import measure
from benchmarks.adaptation import load_policy, train_once
from xworld import ConfigError, Env
from xworld.agents import MEMORIES, agent_preset
from xworld.base.files import check_folder
from xworld.evaluation import AGENT, Scores, compare, estimate, sample_tasks
from xworld.evaluation.report.look import label_ends, new_figure, write_title
from xworld.evaluation.scores.scores import EXPERT, NOOP, RANDOM, SEARCHER, SEARCHER_WITHOUT_MEMORY
from xworld.tasks import Universe
from xworld.training import PRESETS, RunConfig, use_host_devices

# The bars; scores are shares of the expert's return. Trials are counted from 1.
LAST_TRAINED_TRIAL, NUM_TRIALS = 6, 13
LAST_TRIAL, GAIN, FIRST_TO_SEARCHER, MOST_LOST, MINUTES = 0.65, 0.25, 0.85, 0.05, 60.0
EVALUATION_KEY = 30_000  # far from the seeds of training
LINES = {
    "gru": ("#b5651d", "GRU"),
    "gru_attention": ("#5b6abf", "GRU + attention"),
    "transformer_xl": ("#1b8a5a", "TXL"),
}


@dataclass(frozen=True)
class Options:
    """Trains and evaluates agents that differ in their memory."""

    memories: tuple[str, ...] = MEMORIES
    seeds: tuple[int, ...] = (0, 1, 2)  # one run of each memory for every seed
    total_steps: int | None = None  # train each for this long instead of as the preset says
    num_tasks: int = 512  # held-out tasks
    num_devices: int = 2  # devices to make of the CPU
    runs: Path = Path("runs/memories")  # folder for the runs
    output: Path = Path("docs/results")  # folder for what is found
    name: str = "memories"  # of the JSON file and of the figure
    keep: bool = False  # keep the other memories that the JSON file of this name has


def main(options: Options) -> dict[str, Any]:
    """Runs the benchmark; returns what it prints.

    Raises:
      ConfigError: no seeds, an unknown memory, a folder that cannot be used, memories to keep that cannot be compared
        with these, or training was stopped by a signal.
    """
    if not options.seeds or not options.memories:
        raise ConfigError("There is nothing to train. Write at least one seed and one memory, as in --seeds 0.")
    runs, output = check_folder(options.runs), check_folder(options.output)
    use_host_devices(options.num_devices)
    config = PRESETS["memory"]()
    if options.total_steps is not None:
        config = dataclasses.replace(config, total_steps=options.total_steps)
    sizes = {"num_tasks": options.num_tasks, "seeds": list(options.seeds), "total_steps": config.total_steps}
    path = output / f"{options.name}.json"
    earlier = read_earlier(path, sizes) if options.keep else None
    configs = {memory: with_memory(config, memory) for memory in options.memories}
    folders = {memory: [runs / f"{memory}-seed{seed}" for seed in options.seeds] for memory in options.memories}
    seconds = {
        memory: [
            train_once(dataclasses.replace(configs[memory], seed=seed), folder)[0]
            for seed, folder in zip(options.seeds, folders[memory], strict=True)
        ]
        for memory in options.memories
    }
    tasks = sample_tasks(
        Universe(config.env, config.universe).with_split("test"), jax.random.key(EVALUATION_KEY), options.num_tasks
    )
    # Every memory is compared with the scripted players alike; these play once.
    key, env = jax.random.key(EVALUATION_KEY + 1), Env(config.env)
    compared = {
        memory: compare(env, tasks, [load_policy(folder) for folder in folders[memory]], key, NUM_TRIALS)
        for memory in options.memories
    }
    scripted = {
        name: curve(next(iter(compared.values())), name)
        for name in (RANDOM, NOOP, SEARCHER_WITHOUT_MEMORY, SEARCHER, EXPERT)
    }
    origin = {"command": " ".join(["python", *sys.argv]), "machine": measure.machine()}
    agents = {
        memory: {
            "score": curve(compared[memory], AGENT),
            "seeds": [
                judge(scores, scripted[SEARCHER_WITHOUT_MEMORY]["mean"][0], took)
                for scores, took in zip(per_seed(compared[memory]), seconds[memory], strict=True)
            ],
            "parameters": count_parameters(folders[memory][0]),
            **origin,
        }
        for memory in options.memories
    }
    if earlier is not None:
        check_same_scores(path, earlier["scripted"], scripted)
        agents = earlier["agents"] | agents
    num_scored = next(iter(compared.values())).num_scored[NUM_TRIALS]
    result = {"benchmark": "memories", "agents": agents, "scripted": scripted, "num_scored": num_scored} | sizes
    path.write_text(json.dumps(result, indent=2) + "\n")
    draw(result, path.with_suffix(".png"))
    return result


def read_earlier(path: Path, sizes: dict[str, Any]) -> dict[str, Any]:
    """What was found by an earlier run of the benchmark, for others to stand beside it.

    Raises:
      ConfigError: there is no such file, or its agents were trained or evaluated with other sizes.
    """
    if not path.is_file():
        raise ConfigError(f"There is no {path} to keep memories of. Write the --name of a file that is there.")
    earlier = json.loads(path.read_text())
    others = {name: earlier[name] for name, size in sizes.items() if earlier[name] != size}
    if others:
        raise ConfigError(f"{path} cannot be added to: there it is {others}. Write the same here, or leave out --keep.")
    return earlier


def check_same_scores(path: Path, earlier: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuses to put agents side by side that were evaluated on different tasks: scripted players tell.

    Raises:
      ConfigError: these players' scores are not the same.
    """
    for name, score in now.items():
        if not np.allclose(earlier[name]["mean"], score["mean"], atol=1e-4):
            raise ConfigError(
                f"The {name} policy scores {score['mean'][0]:.4f} in trial 1, and {earlier[name]['mean'][0]:.4f} in "
                f"{path}, which is of other tasks. Evaluate its memories anew, by naming them in --memories."
            )


def with_memory(config: RunConfig, memory: str) -> RunConfig:
    """The run with another memory, of about the same size."""
    return dataclasses.replace(config, agent=agent_preset("mini", memory))


def curve(comparison: Scores, name: str) -> dict[str, list[float]]:
    """A policy's score in every trial, with its interval over tasks and seeds."""
    found = estimate(comparison.score(name))
    return {part: getattr(found, part).tolist() for part in ("mean", "low", "high")}


def per_seed(comparison: Scores) -> list[list[float]]:
    """The agent's mean score in every trial, of each seed."""
    return np.nanmean(comparison.score(AGENT), axis=1).tolist()


def judge(scores: list[float], searcher_first: float, seconds: float) -> dict[str, Any]:
    """A seed's scores, and which bars they pass."""
    first, sixth, last = scores[0], scores[LAST_TRAINED_TRIAL - 1], scores[-1]
    bars = {
        "last_trial": sixth >= LAST_TRIAL,
        "gain": sixth - first >= GAIN,
        "first_trial": first >= FIRST_TO_SEARCHER * searcher_first,
        "thirteen_trials": last >= sixth - MOST_LOST,
        "minutes": seconds <= 60 * MINUTES,
    }
    return {
        "score": scores,
        "gain": sixth - first,
        "first_to_searcher": first / searcher_first,
        "train_seconds": round(seconds, 1),
        "bars": bars,
        "passed": all(bars.values()),
    }


def count_parameters(folder: Path) -> int:
    """Of the agent of a run."""
    return sum(leaf.size for leaf in jax.tree.leaves(load_policy(folder).params))


def draw(result: dict[str, Any], path: Path) -> None:
    """Score against trial, a line for each memory, with its interval."""
    figure, axes = new_figure(width=0.62)
    trials, ends = np.arange(1, NUM_TRIALS + 1), []
    for memory, agent in result["agents"].items():
        colour, name = LINES[memory]
        score = agent["score"]
        axes.plot(trials, score["mean"], color=colour, linewidth=2)
        axes.fill_between(trials, score["low"], score["high"], color=colour, alpha=0.18, linewidth=0)
        ends.append((name, score["mean"][-1], colour, "bold"))
    for name in (SEARCHER_WITHOUT_MEMORY, RANDOM):
        mean = result["scripted"][name]["mean"]
        axes.plot(trials, mean, color="#8a8a8a", linewidth=1, linestyle="--")
        ends.append((name, mean[-1], "#8a8a8a", "normal"))
    axes.axvline(LAST_TRAINED_TRIAL, color="#c8c8c8", linewidth=1)
    axes.set_ylim(0, 1)
    axes.set_xticks(trials)
    axes.set_xlabel("trial")
    axes.set_ylabel("score (share of the expert's return)")
    label_ends(axes, ends)
    steps = result["total_steps"] / 1e6
    write_title(
        axes,
        "From trial to trial, by memory",
        f"{result['num_tasks']} held-out tasks, {len(result['seeds'])} seeds, {steps:.0f} M steps each; trained on at "
        "most 6 trials",
    )
    figure.savefig(path)


if __name__ == "__main__":
    try:
        print(json.dumps(main(tyro.cli(Options)), indent=2))
    except ConfigError as error:
        sys.exit(f"memories: {error}")
