"""Times the xworld that PYTHONPATH names, a run at a time, for `compare_commits.py`.

Prints a line of JSON when all is compiled, and one with the rates of all cases for every line it reads.
"""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import measure


def main() -> None:
    """Compiles the cases, then runs them as often as it is told."""
    folder, num_envs, devices = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    measure.use_devices(devices)
    import xworld

    found = Path(xworld.__file__ or "").resolve()
    if not found.is_relative_to(folder.resolve()):
        sys.exit(f"xworld was found at {found}, not in {folder}; is another one ahead of PYTHONPATH?")
    cases = make_cases(num_envs, measure.machine()["num_devices"])
    for case in cases:
        case.run()
    print(json.dumps({case.labels["case"]: round(case.compile_s, 2) for case in cases}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({case.labels["case"]: case.num_steps / case.run() for case in cases}), flush=True)


def make_cases(num_envs: int, devices: int) -> list[Any]:
    """Rollouts with reset, of the relations XLand-MiniGrid's rulesets need and of everything."""
    from benchmarks.speed import scaling

    sizes = scaling.Sizes(environments=num_envs)
    cases = []
    for physics in (scaling.NEEDED, scaling.EVERYTHING):
        case = scaling.make_case(physics, "usual", sizes, devices)
        case.labels = {"case": physics}
        cases.append(case)
    return cases


if __name__ == "__main__":
    main()
