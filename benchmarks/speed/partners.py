"""What partners cost: seconds of training for an environment step with each of them, beside `self`.

    python -m benchmarks.speed.partners

In one process, in turn, on the same tasks: so many updates that a pool draws its partners anew once. With `self` the
learner plays both seats and learns from both; with the others it learns from one, so that a step of the environment
that costs as much gives half as many steps of its own.
"""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from benchmarks import measure
from xworld.core.types import TaskSource
from xworld.evaluation import sample_tasks
from xworld.tasks import TaskSet, Universe
from xworld.training import PRESETS, FixedConfig, NoisySelfConfig, PartnersConfig, PoolConfig, RunConfig, make_trainer

ITSELF = "self"
OTHERS: dict[str, PartnersConfig] = {"noisy-self": NoisySelfConfig(), "pool": PoolConfig(), "random": FixedConfig()}
MOST = {"noisy-self": 1.15, "pool": 1.35}  # times the seconds of `self`
NUM_TASKS = 512


def main() -> None:
    """Measures, and writes a JSON file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", default="duo", choices=PRESETS)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--devices", type=int, default=2, help="devices the CPU appears as")
    parser.add_argument("--output", type=Path, default=measure.RESULTS / "partners.json")
    arguments = parser.parse_args()
    measure.use_devices(arguments.devices)
    config = dataclasses.replace(PRESETS[arguments.preset](), updates_per_chunk=PoolConfig().updates_per_draw)
    tasks = TaskSet(sample_tasks(Universe(config.env, config.universe), jax.random.key(0), NUM_TASKS))
    calls = {ITSELF: training(config, ITSELF, tasks)}
    for name, partners in OTHERS.items():
        calls[name] = training(dataclasses.replace(config, partners=partners), name, tasks)
    seconds = measure.time_in_turn(calls, arguments.repetitions)
    ratios = {
        name: measure.summary([one / of_self for one, of_self in zip(seconds[name], seconds[ITSELF], strict=True)], 2)
        for name in OTHERS
    }
    bars = [
        {"bar": f"{name}, times self", "value": ratios[name]["median"], "limit": most}
        | {"is_met": ratios[name]["median"] <= most}
        for name, most in MOST.items()
    ]
    about = {"benchmark": "partners", "machine": measure.machine(), "preset": arguments.preset}
    measure.write(arguments.output, about | {"times_self": ratios, "bars": bars})


def training(config: RunConfig, name: str, tasks: TaskSource) -> Callable[[], Any]:
    """A chunk of updates, which goes on where the one before it ended."""
    trainer = make_trainer(config)
    given = trainer.given(tasks, partners=config.partners.make(trainer.agent, config.env, config.sizes))
    state = trainer.start(given)
    compiled, _ = measure.compile_timed({"case": name}, trainer.chunk, state, given)

    def update() -> Any:
        nonlocal state, given
        state, given, *rest = compiled(state, given)
        return state, rest

    return update


if __name__ == "__main__":
    main()
