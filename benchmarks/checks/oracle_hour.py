"""Compares the environment with the oracle of the tests on fresh random examples until time is up.

    python -m benchmarks.checks.oracle_hour --minutes 60

Prints progress, and at the end a summary as JSON. When the two disagree it prints the smallest failing example that
hypothesis finds, and exits with 1.
"""

import argparse
import json
import platform
import random
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import jax
from hypothesis import given, seed, settings

from xworld import EnvConfig

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "helpers"))

EXAMPLES_PER_ROUND = 200
# Beside the small worlds of the tests, one of the size and crowd that agents are trained in.
LARGE = EnvConfig(height=13, width=13, num_agents=2, max_rules=9, view_size=9)


def main() -> int:
    """Runs rounds of examples until time is up or one fails; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60, help="how long to go on")
    parser.add_argument("--seed", type=int, help="of the examples; random if not given")
    arguments = parser.parse_args()
    if arguments.minutes <= 0:
        parser.error(f"--minutes is {arguments.minutes:g}; write a number above 0")
    first_seed = random.SystemRandom().randrange(2**32) if arguments.seed is None else arguments.seed

    from comparison import CONFIGS, Comparison

    comparisons = {name: Comparison(config) for name, config in {**CONFIGS, "large": LARGE}.items()}
    seen: Counter[str] = Counter()
    seeds = random.Random(first_seed)
    start = time.monotonic()
    rounds, failed = 0, None
    while failed is None and time.monotonic() - start < 60 * arguments.minutes:
        name = list(comparisons)[rounds % len(comparisons)]
        try:
            compare(comparisons[name], seeds.randrange(2**32), seen)
        except AssertionError as error:
            traceback.print_exception(error)
            failed = name
        rounds += 1
        minutes = (time.monotonic() - start) / 60
        print(f"{minutes:.1f} min: {seen['examples']:,} examples, {name}", file=sys.stderr, flush=True)

    summary = {
        "failed": failed,
        "seed": first_seed,
        "minutes": round(minutes, 1),
        "examples_per_configuration_and_round": EXAMPLES_PER_ROUND,
        "rounds": rounds,
        "examples_in_which": dict(seen.most_common()),
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "python": platform.python_version(),
    }
    print(json.dumps(summary, indent=2))
    return 0 if failed is None else 1


def compare(comparison: Any, round_seed: int, seen: Counter[str]) -> None:
    """Compares a round of examples, and counts what happened in them.

    Raises:
      AssertionError: environment and oracle disagree.
    """
    from comparison import features
    from strategies import Example, examples

    @seed(round_seed)
    @settings(max_examples=EXAMPLES_PER_ROUND, deadline=None, database=None)
    @given(examples(comparison.config))
    def check(example: Example) -> None:
        records = comparison.check(example)
        seen.update({"examples", *features(records)})

    check()


if __name__ == "__main__":
    sys.exit(main())
