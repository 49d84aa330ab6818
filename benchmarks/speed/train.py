"""Speed of training: by memory, size and number of environments, and beside XLand-MiniGrid's own trainer.

    python -m benchmarks.speed.train
    python -m benchmarks.speed.train --peer xland-minigrid/training --peer-python peer/bin/python

The peer's trainer is in its repository, not in its package, and needs more than its package does:

    git clone https://github.com/dunnolab/xland-minigrid
    git -C xland-minigrid checkout 719846cf21562f921141ed8d9ef92a2ddc7ecd3d
    python -m venv peer
    peer/bin/pip install xminigrid==0.9.3 jax==0.10.2 distrax pyrallis

Every setting has a process of its own; those of one size are run in turn. Writes a JSON file after each size, so that
what is there is kept if the rest is interrupted; `report.py` makes tables and figures from it.
"""

import argparse
import dataclasses
import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.speed.train_worker import (
    ACTING,
    ENVIRONMENT,
    GENERATED,
    NUM_RULESETS,
    PEER_PARAMETERS,
    PEER_SIZE,
    PPO,
    RULESETS,
    TRAINING,
    WORLD,
    Setting,
    run_config,
)
from benchmarks.speed.vs_xland_minigrid import OURS, PEER
from benchmarks.worker import Worker
from xworld.agents import MEMORIES

STEPS_PER_RUN = 16_384  # of all environments together; at least an update
ENVIRONMENTS = {"tiny": (64, 256, 1024), "small": (256,)}
PEER_ENVIRONMENTS = (256, 1024)
FLOORS = {256: 4, 1024: 8}  # ratios to the peer's speed, by the number of environments
MOST_ENVIRONMENT = 0.15  # of the time of training

Round = dict[str, float]  # environment steps per second, by what was run


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--memories", nargs="+", choices=MEMORIES, default=list(MEMORIES))
    parser.add_argument("--sizes", nargs="+", choices=ENVIRONMENTS, default=list(ENVIRONMENTS))
    parser.add_argument("--environments", type=int, nargs="+", help="numbers of environments, multiples of 64")
    parser.add_argument("--peer", metavar="FOLDER", help="measure beside the peer's trainer, which is in this folder")
    parser.add_argument("--peer-python", metavar="PYTHON", help="the Python that has what the peer's trainer needs")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--devices", type=int, default=2, help="devices the CPU appears as")
    parser.add_argument("--output", type=Path, help="JSON file; in docs/results/speed if not given")
    arguments = parser.parse_args()
    if arguments.peer is not None and not (Path(arguments.peer) / "train_meta_task.py").is_file():
        parser.error(f"there is no train_meta_task.py in {arguments.peer}; write the folder `training` of a checkout.")
    name, measure_all = ("train", measure_ours) if arguments.peer is None else ("train_vs_peer", measure_beside_peer)
    sizes = {"steps_per_run": STEPS_PER_RUN, "repetitions": arguments.repetitions}
    sizes |= {name: getattr(PPO, name) for name in ("rollout_length", "num_minibatches", "num_epochs")}
    for found in measure_all(arguments):  # what there is so far; kept if the rest is interrupted
        machine = found["results"][0]["machine"]
        backend = "" if machine["backend"] == "cpu" else f"-{machine['backend']}"
        measure.write(
            arguments.output or measure.RESULTS / f"{name}{backend}.json",
            {"benchmark": name, "machine": machine, "sizes": sizes} | found,
        )


def measure_ours(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The memories beside each other, for each size and number of environments."""
    results: list[dict[str, Any]] = []
    for size in arguments.sizes:
        for environments in arguments.environments or ENVIRONMENTS[size]:
            settings = [setting(memory, size, environments, GENERATED, arguments) for memory in arguments.memories]
            workers = [start(one) for one in settings]
            for one, worker, rounds in zip(settings, workers, in_turn(workers, arguments.repetitions), strict=True):
                results.append(result(dataclasses.asdict(one), worker.ready, rounds))
            yield {"results": results}


def measure_beside_peer(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Ours on the peer's rulesets and on new tasks, and the peer on all devices and on one, in turn."""
    results, ratios = [], []
    for environments in arguments.environments or PEER_ENVIRONMENTS:
        ours = [
            setting("gru", size, environments, tasks, arguments)
            for size, tasks in ((PEER_SIZE, RULESETS), (PEER_SIZE, GENERATED), (PEER_PARAMETERS, RULESETS))
        ]
        theirs = [dataclasses.replace(ours[0], devices=devices) for devices in sorted({1, arguments.devices})]
        workers = [start(one) for one in ours] + [start_peer(one, arguments) for one in theirs]
        rounds = in_turn(workers, arguments.repetitions)
        systems = [OURS] * len(ours) + [PEER] * len(theirs)
        for system, one, worker, seen in zip(systems, ours + theirs, workers, rounds, strict=True):
            results.append(result({"system": system} | dataclasses.asdict(one), worker.ready, seen))
        for one, seen in zip(ours, rounds, strict=False):
            ratios.append(ratio(one, seen, rounds[len(ours) :]))
        yield {"results": results, "ratios": ratios}


def setting(memory: str, size: str, environments: int, tasks: str, arguments: argparse.Namespace) -> Setting:
    """A setting, with as many updates in a run as make about `STEPS_PER_RUN`."""
    updates = max(STEPS_PER_RUN // (environments * PPO.rollout_length), 1)
    return Setting(memory, size, environments, tasks, arguments.devices, updates)


def start(one: Setting) -> Worker:
    """The process that runs a setting."""
    return Worker("speed/train_worker.py", [json.dumps(dataclasses.asdict(one))])


def start_peer(one: Setting, arguments: argparse.Namespace) -> Worker:
    """The process in which the peer trains at the same sizes."""
    config = run_config(one)
    sizes = {name: getattr(one, name) for name in ("environments", "devices", "updates")}
    sizes |= {name: getattr(PPO, name) for name in ("rollout_length", "num_minibatches", "num_epochs")}
    sizes |= {"memory_size": config.agent.memory_size, "world": WORLD.name, "num_rulesets": NUM_RULESETS}
    python = {} if arguments.peer_python is None else {"python": arguments.peer_python}
    return Worker("peer/trainer.py", [arguments.peer, json.dumps(sizes)], **python)


def in_turn(workers: Sequence[Worker], repetitions: int) -> list[list[Round]]:
    """Runs every worker `repetitions` times, one after the other, and ends them. For each worker, what it measured."""
    rounds = [[worker.run() for worker in workers] for _ in range(repetitions)]
    for worker in workers:
        worker.stop()
    return [list(seen) for seen in zip(*rounds, strict=True)]


def result(labels: dict[str, Any], about: dict[str, Any], rounds: Sequence[Round]) -> dict[str, Any]:
    """A row of the results."""
    row = labels | about | {"steps_per_s": measure.summary([seen[TRAINING] for seen in rounds])}
    if ENVIRONMENT in rounds[0]:
        parts = [shares(seen) for seen in rounds]
        row["shares"] = {name: measure.summary([part[name] for part in parts], 3) for name in parts[0]}
        row["is_environment_met"] = row["shares"]["environment"]["median"] <= MOST_ENVIRONMENT
    measure.say(f"{measure.describe(labels)}: {row['steps_per_s']['median']:,} steps/s")
    return row


def shares(seen: Round) -> dict[str, float]:
    """What the environment, the acting agent and the update take of the time of training, in one round."""
    environment, acting = seen[TRAINING] / seen[ENVIRONMENT], seen[TRAINING] / seen[ACTING]
    return {"environment": environment, "inference": acting - environment, "update": 1 - acting}


def ratio(one: Setting, ours: Sequence[Round], peers: Sequence[Sequence[Round]]) -> dict[str, Any]:
    """Ours over the peer, round by round; the peer in the way to use the devices that is faster for it."""
    peer = max(peers, key=lambda rounds: statistics.median(seen[TRAINING] for seen in rounds))
    found = measure.summary([one[TRAINING] / other[TRAINING] for one, other in zip(ours, peer, strict=True)], 2)
    row: dict[str, Any] = {"size": one.size, "environments": one.environments, "tasks": one.tasks, "ratio": found}
    floor = FLOORS.get(one.environments)
    return row if floor is None else row | {"floor": floor, "is_met": found["median"] >= floor}


if __name__ == "__main__":
    main()
