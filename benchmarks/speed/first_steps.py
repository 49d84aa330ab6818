"""How long a person waits for the first step, from starting Python, beside XLand-MiniGrid.

    python -m benchmarks.speed.first_steps

Each is a process of its own with nothing compiled before, in turn. Writes a JSON file from which `report.py` makes a
table.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import measure

PEER = "XLand-MiniGrid-R4-13x13"
_PEER_SCRIPT = f"""
import jax, xminigrid
env, params = xminigrid.make("{PEER}")
timestep = jax.jit(env.reset)(params, jax.random.key(0))
timestep = jax.jit(env.step)(params, timestep, 0)
jax.block_until_ready(timestep)
"""
_OURS = """
import jax, xworld
env = xworld.make("rooms4-13x13")
task = {task}
state, timestep = jax.jit(env.reset)(jax.random.key(1), task)
state, timestep = {step}(state, jax.numpy.array([0]))
jax.block_until_ready(timestep)
"""
_SAMPLED = 'jax.jit(xworld.make_universe("rooms4-13x13").sample)(jax.random.key(0))'
_FROM_FILE = "xworld.tasks.parse(open({path!r}).read(), env.config)"
_AGAIN = """
import time
began = time.perf_counter()
for _ in range(20):
    jax.block_until_ready(env.step(state, jax.numpy.array([0])))
print((time.perf_counter() - began) / 20)
"""
_TASK = """
goal = "hold(agent, black cube)"
rules = ["touch(purple ball, yellow cube) -> black cube"]
trial_length = 50
map = '''
#############
#0..b.......#
#...c.......#
#############
'''
[legend]
b = "purple ball"
c = "yellow cube"
"""


def main() -> None:
    """Measures all in turn and writes them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--output", type=Path, default=measure.RESULTS / "first_steps.json")
    arguments = parser.parse_args()
    task = arguments.output.with_suffix(".toml")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    task.write_text(_TASK)
    try:
        measured = [measure_all(scripts(task)) for _ in range(arguments.repetitions)]
    finally:
        task.unlink()
    rows = [
        {
            "case": case,
            "seconds": round(statistics.median(row[case] for row in measured), 3),
            "min": round(min(row[case] for row in measured), 3),
            "max": round(max(row[case] for row in measured), 3),
        }
        for case in measured[0]
    ]
    machine = measure.machine()
    sizes = {"repetitions": arguments.repetitions}
    measure.write(arguments.output, {"benchmark": "first_steps", "machine": machine, "sizes": sizes, "results": rows})


def scripts(task: Path) -> dict[str, str]:
    """What is run, by what it shows."""
    sampled = _OURS.format(task=_SAMPLED, step="jax.jit(env.step)")
    of_package = _OURS.format(task='xworld.tasks.starters("rooms4-13x13").task(0)', step="jax.jit(env.step)")
    from_file = _OURS.format(task=_FROM_FILE.format(path=str(task)), step="jax.jit(env.step)")
    unjitted = _OURS.format(task=_FROM_FILE.format(path=str(task)), step="env.step") + _AGAIN
    return {
        PEER: _PEER_SCRIPT,
        "rooms4-13x13, a task of the package": of_package,
        "rooms4-13x13, a generated task": sampled,
        "rooms4-13x13, a task file": from_file,
        "rooms4-13x13, a task file, without jit": unjitted,
    }


def measure_all(named: dict[str, str]) -> dict[str, float]:
    """Seconds of each script; of one that prints a number of seconds, that as well."""
    found: dict[str, float] = {}
    for name, script in named.items():
        seconds, printed = time_script(script)
        found[name] = seconds
        if printed.strip():
            found[f"{name}, each further step"] = float(printed)
        measure.say(f"{name}: {seconds:.1f} s")
    return found


def time_script(script: str) -> tuple[float, str]:
    """The seconds from starting Python to its end, and what it prints."""
    environment = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return time.perf_counter() - began, done.stdout


if __name__ == "__main__":
    main()
