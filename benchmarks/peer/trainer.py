"""Times XLand-MiniGrid's own trainer for `train.py`, from a checkout of its repository, a run at a time.

Runs `make_states` and `make_train` of its `training/train_meta_task.py` as they are. Its evaluation between updates is
set to no episodes, and its rulesets are ours instead of a download. Two things are needed to import it: where wandb,
which only logs, is not installed, an empty module takes its place; and since Python 3.11 refuses arrays as defaults of
dataclasses, the statistics of its evaluation begin as numbers instead.
"""

import contextlib
import importlib
import importlib.util
import json
import random
import sys
import time
import types
from collections.abc import Callable
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import measure
from benchmarks.peer import rulesets


def main() -> None:
    """Compiles, then trains as often as it is told."""
    folder, setting = sys.argv[1], json.loads(sys.argv[2])
    measure.use_devices(setting["devices"])
    with contextlib.redirect_stdout(sys.stderr):  # standard output is for what is measured
        run, about = make_run(load_trainer(folder), setting)
        run()
    about |= {"peak_process_mb": measure.peak_process_mb(), "machine": measure.machine()}
    print(json.dumps(about), flush=True)
    for _ in sys.stdin:
        print(json.dumps({"training": run()}), flush=True)


def load_trainer(folder: str) -> Any:
    """The module `train_meta_task` of a folder."""
    if importlib.util.find_spec("wandb") is None:
        sys.modules["wandb"] = types.ModuleType("wandb")
    sys.path.insert(0, folder)
    importlib.import_module("xminigrid.environment")  # not under the patch
    with mock.patch.object(jnp, "asarray", lambda value: np.asarray(value)[()]):
        importlib.import_module("utils")
    return importlib.import_module("train_meta_task")


def make_run(trainer: Any, setting: dict[str, Any]) -> tuple[Callable[[], float], dict[str, Any]]:
    """A function that trains and returns environment steps per second, and what there is to say about it."""
    # These make arrays when they are imported, which is too early above: devices are chosen first.
    import xminigrid
    from flax.jax_utils import replicate
    from xminigrid.benchmarks import Benchmark

    from benchmarks.peer.simulator import stack_rulesets

    draw = random.Random(0)
    stacked = stack_rulesets([rulesets.draw_ruleset(draw) for _ in range(setting["num_rulesets"])])
    num_rules = jnp.full(setting["num_rulesets"], rulesets.NUM_RULES)
    benchmark = Benchmark(stacked.goal, stacked.rules, stacked.init_tiles, num_rules)
    xminigrid.load_benchmark = lambda name: benchmark

    num_steps = setting["environments"] * setting["rollout_length"] * setting["updates"]
    config = trainer.TrainConfig(
        env_id=f"XLand-MiniGrid-{setting['world']}",
        rnn_hidden_dim=setting["memory_size"],
        num_envs=setting["environments"],
        num_steps_per_env=setting["rollout_length"] * setting["updates"],
        num_steps_per_update=setting["rollout_length"],
        update_epochs=setting["num_epochs"],
        num_minibatches=setting["num_minibatches"],
        total_timesteps=num_steps,
        eval_num_envs=setting["devices"],
        eval_num_episodes=0,
    )
    key, env, env_params, benchmark, hidden, state = trainer.make_states(config)
    keys = jax.random.split(key, setting["devices"])
    state, hidden = replicate(state), replicate(hidden)
    train = trainer.make_train(env, env_params, benchmark, config)
    compiled, compile_s = measure.compile_timed({"system": "peer"} | setting, train, keys, state, hidden)
    num_parameters = sum(leaf[0].size for leaf in jax.tree.leaves(state.params))

    def run() -> float:
        start = time.perf_counter()
        jax.block_until_ready(compiled(keys, state, hidden))
        return num_steps / (time.perf_counter() - start)

    return run, {"compile_s": round(compile_s, 2), "parameters": num_parameters}


if __name__ == "__main__":
    main()
