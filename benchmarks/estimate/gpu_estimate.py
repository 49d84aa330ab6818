"""What one H200 might do, from what a step moves and computes: an estimate, not a measurement.

    python -m benchmarks.estimate.gpu_estimate

The step is compiled for the CPU, whose program is taken as a stand-in for the GPU's. Two figures: `one kernel` reads
and writes state, actions and timestep once; `as compiled` counts every kernel's traffic and a launch for each. Both
assume that memory or arithmetic runs at the card's limit. `vs_xland_minigrid.py` and `scaling.py` measure it on a card.
"""

import argparse
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.speed import scaling

MEMORY_BYTES_PER_S = 4.8e12  # H200: HBM3e
OPERATIONS_PER_S = 132 * 64 * 1.98e9  # multiprocessors x integer lanes x clock
LAUNCH_S = 2e-6  # from one kernel to the next, without CUDA graphs
ENVIRONMENTS = (1024, 16384, 131072, 1048576)
COMPILED_ENVIRONMENTS = 1024


def main() -> None:
    """Estimates and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=measure.RESULTS / "gpu_estimate.json")
    arguments = parser.parse_args()
    results = [estimate(physics) for physics in (scaling.NEEDED, scaling.EVERYTHING)]
    limits = {"bytes_per_s": MEMORY_BYTES_PER_S, "operations_per_s": OPERATIONS_PER_S, "launch_s": LAUNCH_S}
    measure.write(
        arguments.output,
        {
            "benchmark": "gpu_estimate",
            "is_estimate": True,
            "card": "NVIDIA H200",
            "limits": limits,
            "compiled_on": measure.machine(),
            "sizes": vars(scaling.USUAL),
            "results": results,
        },
    )


def estimate(physics: str, num_envs: int = COMPILED_ENVIRONMENTS) -> dict[str, Any]:
    """Costs of `VectorEnv.step` per environment, and the steps per second that they would allow."""
    import jax
    import jax.numpy as jnp

    from benchmarks.estimate.hlo_cost import program_cost
    from xworld import Env, VectorEnv
    from xworld.tasks import TaskSet

    env = Env(scaling.env_config(physics, scaling.USUAL))
    vec = VectorEnv(env, num_envs)
    tasks = TaskSet(scaling.make_set(env.config, scaling.USUAL))
    state = jax.eval_shape(lambda key: vec.reset(key, tasks)[0], jax.random.key(0))
    actions = jax.ShapeDtypeStruct((num_envs, 1), jnp.int32)
    compiled = jax.jit(vec.step, donate_argnums=0).lower(state, actions).compile()
    memory: Any = compiled.memory_analysis()
    by_xla: Any = compiled.cost_analysis()
    cost = program_cost(str(compiled.as_text()))
    once = (memory.argument_size_in_bytes + memory.output_size_in_bytes) / num_envs
    moved, operations = cost.bytes / num_envs, cost.operations / num_envs
    return {
        "physics": physics,
        "bytes_one_kernel": round(once),
        "bytes_as_compiled": round(moved),
        "operations": round(operations),
        "kernels": round(cost.kernels),
        "xla_cost_analysis_loops_once": {name: round(by_xla[name] / num_envs) for name in ("flops", "bytes accessed")},
        "steps_per_s": [
            {
                "environments": environments,
                "one_kernel": round(bound(environments, once, operations, 1)),
                "as_compiled": round(bound(environments, moved, operations, cost.kernels)),
            }
            for environments in ENVIRONMENTS
        ],
    }


def bound(num_envs: int, bytes_: float, operations: float, kernels: float) -> float:
    """Environment steps per second when memory, arithmetic and launches are all that takes time."""
    busy = num_envs * max(bytes_ / MEMORY_BYTES_PER_S, operations / OPERATIONS_PER_S)
    return num_envs / (busy + kernels * LAUNCH_S)


if __name__ == "__main__":
    main()
