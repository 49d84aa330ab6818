"""How the generator's tasks compare with AdA's test set, in means.

    python -m benchmarks.checks.calibration

Writes a JSON file and the table of `docs/tasks.md`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.report import replace_section, table
from xworld.tasks import TaskInfo, Universe, preset

DOCS = Path(__file__).resolve().parents[2] / "docs"
# Read off the figures of arXiv 2301.07608, appendix D: the means over its 1000 test tasks.
ADA = {
    "rules": 3.35,
    "firings needed": 1.77,
    "hidden rules that matter": 1.12,
    "dead ends": 0.81,
    "hidden dead ends": 0.45,
    "objects at the start": 7.5,
    "distractors": 3.6,
}
TOLERANCE = 0.10


def main() -> None:
    """Samples tasks of both splits and writes their means."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=["ada", "ada-two-player"])
    parser.add_argument("--num-tasks", type=int, default=20_000, help="of each preset and split")
    parser.add_argument("--output", type=Path, default=DOCS / "results" / "calibration.json")
    parser.add_argument("--page", type=Path, default=DOCS / "tasks.md")
    arguments = parser.parse_args()
    results = [
        {"preset": name, "split": split, **measure(preset(name).with_split(split), arguments.num_tasks)}
        for name in arguments.presets
        for split in ("train", "test")
    ]
    content = {"benchmark": "calibration", "num_tasks": arguments.num_tasks, "ada": ADA, "results": results}
    arguments.output.write_text(json.dumps(content, indent=1) + "\n")
    arguments.page.write_text(replace_section(arguments.page.read_text(), "calibration", make_table(content)))
    print(make_table(content))


def measure(universe: Universe, num_tasks: int) -> dict[str, Any]:
    """Means with 95 % intervals (normal), and which of them are within the tolerance of AdA's."""
    ids = np.arange(num_tasks, dtype=np.int32)
    values = properties(jax.jit(jax.vmap(lambda i: universe.task_with_info(i, i)[1]))(ids))
    means = {name: float(value.mean()) for name, value in values.items()}
    margins = {name: 1.96 * float(value.std()) / num_tasks**0.5 for name, value in values.items()}
    return {
        "mean": {name: round(mean, 3) for name, mean in means.items()},
        "margin": {name: round(margin, 3) for name, margin in margins.items()},
        "is_met": {name: abs(means[name] / ADA[name] - 1) <= TOLERANCE for name in ADA},
    }


def properties(info: TaskInfo) -> dict[str, np.ndarray]:
    """[num_tasks] float64 each, of stacked tasks, in AdA's words."""
    of = {name: np.asarray(value, np.float64) for name, value in vars(info).items()}
    return {
        "rules": of["num_firings"] + of["num_dead_ends"] + of["num_decoys"],
        "firings needed": of["num_firings"],
        "hidden rules that matter": of["num_hidden_rules"],
        "dead ends": of["num_dead_ends"],
        "hidden dead ends": of["num_hidden_dead_ends"],
        "objects at the start": of["num_objects"],
        "distractors": of["num_distractors"],
    }


def make_table(content: dict[str, Any]) -> str:
    """Markdown: a row for each property, a column for AdA and for each preset and split."""
    results = content["results"]
    head = ["mean of", "AdA", *(f"`{result['preset']}`, {result['split']}" for result in results)]
    rows = [
        [name, mean]
        + [
            f"{result['mean'][name]:.2f} ± {result['margin'][name]:.2f} ({result['mean'][name] / mean - 1:+.0%})"
            for result in results
        ]
        for name, mean in content["ada"].items()
    ]
    return table(head, rows)


if __name__ == "__main__":
    main()
