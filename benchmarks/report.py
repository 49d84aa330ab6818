"""Makes the tables and figures of `docs/speed.md` from the JSON files of the benchmarks.

    python -m benchmarks.report

A table goes between its two markers in the page; a benchmark that has not been run leaves how to run it there.
"""

import argparse
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks import measure
from benchmarks.speed import first_steps
from benchmarks.speed.vs_xland_minigrid import EVERYTHING, NEW_TASKS, OURS, PEER, SAME_RULESETS, STEP

Results = dict[str, Any]


def main() -> None:
    """Writes figures beside the results and tables into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, default=measure.RESULTS, help="folder of JSON files")
    parser.add_argument("--page", type=Path, default=measure.RESULTS.parent.parent / "speed.md")
    arguments = parser.parse_args()
    found = {path.stem: json.loads(path.read_text()) for path in sorted(arguments.results.glob("*.json"))}
    for name, results in found.items():
        draw = _FIGURES.get(results["benchmark"])
        if draw is not None:
            draw(results).savefig(arguments.results / f"{name}.png", dpi=110)
    folder = arguments.results.resolve().relative_to(arguments.page.resolve().parent)
    arguments.page.write_text(fill(arguments.page.read_text(), found, folder.as_posix()))


def fill(page: str, found: dict[str, Results], folder: str) -> str:
    """The page with every marked section made anew.

    Args:
      page: markdown with `<!-- results: BENCHMARK -->` and `<!-- end -->` around what is replaced.
      found: results by the stem of their file.
      folder: where figures are, as links in the page name it.
    """

    def section(match: re.Match[str]) -> str:
        benchmark = match[1]
        parts: list[str] = []
        for name, results in found.items():
            if results["benchmark"] == benchmark:
                parts += [_origin(results), *_TABLES[benchmark](results)]
                if benchmark in _FIGURES:
                    parts.append(f"![{benchmark}]({folder}/{name}.png)")
        command = _COMMANDS.get(benchmark, benchmark)
        text = (
            "\n\n".join(parts)
            or f"No results are here: run `python -m benchmarks.{_HOMES.get(benchmark, 'speed')}.{command}`."
        )
        return f"<!-- results: {benchmark} -->\n{text}\n<!-- end -->"

    return re.sub(r"<!-- results: (\w+) -->\n.*?<!-- end -->", section, page, flags=re.DOTALL)


def replace_section(page: str, name: str, text: str) -> str:
    """The page with what is between `<!-- results: NAME -->` and `<!-- end -->` replaced."""
    marked = re.compile(rf"(<!-- results: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    return marked.sub(lambda match: f"{match[1]}{text}\n{match[2]}", page)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _origin(results: Results) -> str:
    machine = results.get("machine") or results["compiled_on"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    sizes = ", ".join(f"{name} {value}" for name, value in results["sizes"].items() if not isinstance(value, dict))
    devices = f"{machine['num_devices']} {machine['backend']} device(s), load before {machine['load_before']}"
    return f"{machine['processor']}, {machine['num_cores']} cores, {devices}; {versions}. {sizes}."


def _versus_tables(results: Results) -> list[str]:
    rows = [
        [
            result["world"],
            result["system"],
            ", ".join(str(result[key]) for key in ("case", "ends") if key in result),
            result["devices"],
            *(f"{result['steps_per_s'][key]:,}" for key in ("median", "min", "max")),
            result["compile_s"],
        ]
        for result in results["results"]
    ]
    ratios = [
        [
            row["world"],
            row["system"],
            row["case"],
            row.get("ends", ""),
            row["ratio"],
            f"{row['floor']:g}" if "floor" in row else "",
        ]
        for row in results["ratios"]
    ]
    costs = [
        [row["world"], row["system"], row["case"], row["ends"], row["percent"], _yes(row["percent"] <= MOST_RESET)]
        for row in results["reset_cost"]
    ]
    return [
        table(("world", "system", "case", "episodes", "times as fast as the peer", "floor"), ratios),
        "What automatic reset and refill add to a step alone:",
        table(("world", "system", "case", "episodes", "%", f"at most {MOST_RESET}"), costs),
        "All measurements, in environment steps per second:",
        table(("world", "system", "case", "devices", "median", "min", "max", "compile, s"), rows),
    ]


def _scaling_tables(results: Results) -> list[str]:
    bars = [[row["bar"], row["physics"], row["value"], row["limit"], _yes(row["is_met"])] for row in results["bars"]]
    costs = [
        [row["physics"], row["sweep"], row["value"], row["cost"], row["compile_s"], row["bytes_per_environment"]]
        for row in results["costs"]
    ]
    return [
        table(("bar", "physics", "measured", "at most", "met"), bars),
        table(("physics", "what grows", "to", "cost of a step", "compile, s", "bytes per environment"), costs),
    ]


def _tasks_tables(results: Results) -> list[str]:
    peer = results["peer"]
    rows = [
        ["xworld, complete tasks", f"{result['pool']:,} worlds x {result['pool']:,} games"]
        + [f"{result['tasks_per_s'][key]:,}" for key in ("median", "min", "max")]
        for result in results["results"]
    ]
    rate = [f"{peer[key]:,.0f}" for key in ("rulesets_per_s", "min", "max")]
    rows.append([f"{PEER}, rulesets, {peer['seconds']:.0f} s in one process", "without end", *rate])
    return [
        table(("system", "pool", "per second, median", "min", "max"), rows),
        f"{results['ratio']} times as many tasks as the peer's generator makes rulesets.",
    ]


def _estimate_tables(results: Results) -> list[str]:
    costs = [
        [row["physics"], row["bytes_one_kernel"], row["bytes_as_compiled"], row["operations"], row["kernels"]]
        for row in results["results"]
    ]
    rates = [
        [row["physics"], f"{rate['environments']:,}"]
        + [f"{rate[key] / 1e6:,.1f}" for key in ("one_kernel", "as_compiled")]
        for row in results["results"]
        for rate in row["steps_per_s"]
    ]
    head = ("physics", "bytes, one kernel", "bytes, as compiled", "operations", "kernels a step")
    return [
        table(head, costs),
        table(
            ("physics", "environments", "M steps/s, one kernel (estimate)", "M steps/s, as compiled (estimate)"), rates
        ),
    ]


def _adapters_tables(results: Results) -> list[str]:
    rows = [
        [row["num_envs"], row["loop"], row["system"], row["observation"]]
        + [_median_and_range(row["of_vector_env"].get(loop)) for loop in ("scan", "Python")]
        for row in results["results"]
    ]
    head = ("environments", "loop", "interface", "observation")
    return [table((*head, "of `VectorEnv` in a scan", "of `VectorEnv` in Python"), rows)]


def _median_and_range(found: Results | None) -> str:
    return "" if found is None else f"{found['median']:.2f} ({found['min']:.2f} to {found['max']:.2f})"


def _train_tables(results: Results) -> list[str]:
    rows = [
        [row["memory"], row["size"], f"{row['parameters']:,}", row["environments"]]
        + [f"{speed:.2f}" for speed in _training_speeds(results, row)]
        + [f"{100 * row['shares'][part]['median']:.1f}" for part in _PARTS]
        + [row["compile_s"], row["peak_process_mb"], row.get("xla_temporary_mb", "")]
        for row in results["results"]
    ]
    head = ("memory", "size", "parameters", "environments", "speed, median", "min", "max")
    return [table((*head, *(f"{part}, %" for part in _PARTS), "compile, s", "process, MB", "XLA, MB"), rows)]


def _training_speeds(results: Results, row: Results) -> list[float]:
    """Median, least and greatest steps per second, over the median of the first row."""
    unit = results["results"][0]["steps_per_s"]["median"]
    return [row["steps_per_s"][key] / unit for key in ("median", "min", "max")]


def _train_versus_tables(results: Results) -> list[str]:
    ratios = [
        [
            row["size"],
            row["environments"],
            row["tasks"],
            *row["ratio"].values(),
            row.get("floor", ""),
            _yes(row.get("is_met")),
        ]
        for row in results["ratios"]
    ]
    rows = [
        [row["system"], row["tasks"], row["environments"], row["devices"], f"{row['parameters']:,}"]
        + [f"{row['steps_per_s'][key]:,}" for key in ("median", "min", "max")]
        + [f"{100 * row['shares']['environment']['median']:.1f}" if "shares" in row else ""]
        + [row["compile_s"], row["peak_process_mb"]]
        for row in results["results"]
    ]
    head = ("system", "tasks", "environments", "devices", "parameters", "steps/s, median", "min", "max")
    return [
        table(("size", "environments", "tasks", "times as fast as the peer", "min", "max", "at least", "met"), ratios),
        table((*head, "environment, %", "compile, s", "process, MB"), rows),
    ]


def _draw_train(results: Results) -> Figure:
    """Speed against environments, and what takes the time."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    rates, parts = figure.subplots(1, 2)
    kinds = dict.fromkeys((row["memory"], row["size"]) for row in results["results"])
    for memory, size in kinds:
        rows = [row for row in results["results"] if (row["memory"], row["size"]) == (memory, size)]
        speeds = [_training_speeds(results, row) for row in rows]
        medians = [median for median, _, _ in speeds]
        errors = [[median - least for median, least, _ in speeds], [most - median for median, _, most in speeds]]
        style = {"marker": "o", "capsize": 3, "linestyle": "-" if size == "tiny" else "--"}
        rates.errorbar([row["environments"] for row in rows], medians, errors, label=f"{memory}, {size}", **style)
    rates.set_xscale("log", base=2)
    rates.set_yscale("log")
    rates.yaxis.set_major_formatter("{x:g}")
    rates.set_xlabel("environments")
    rates.set_ylabel("training steps per second, first row = 1")
    rates.legend(fontsize=8)
    names = [f"{row['memory']}, {row['size']}, {row['environments']}" for row in results["results"]]
    left = [0.0] * len(names)
    for part, colour in zip(_PARTS, ("#e6550d", "#9ecae1", "#08519c"), strict=True):
        widths = [100 * row["shares"][part]["median"] for row in results["results"]]
        parts.barh(names, widths, left=left, color=colour, label=part)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    parts.invert_yaxis()
    parts.set_xlabel("% of the time of training")
    parts.tick_params(axis="y", labelsize=8)
    parts.legend(fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def _draw_versus(results: Results) -> Figure:
    """Bars of steps per second, log scale: the peer's faster way beside ours, steps alone and with reset."""
    groups = [
        (PEER, STEP, "#bbbbbb"),
        (PEER, SAME_RULESETS, "#777777"),
        (OURS, STEP, "#9ecae1"),
        (OURS, SAME_RULESETS, "#4292c6"),
        (OURS, NEW_TASKS, "#08519c"),
        (EVERYTHING, NEW_TASKS, "#e6550d"),
    ]
    worlds = list(dict.fromkeys(result["world"] for result in results["results"]))
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for index, (system, case, colour) in enumerate(groups):
        heights = [_rate(results, world, system, case) for world in worlds]
        places = [place + (index - 2.5) * 0.14 for place in range(len(worlds))]
        axes.bar(places, heights, 0.13, color=colour, label=f"{system}: {case}")
    axes.set_yscale("log")
    axes.set_xticks(range(len(worlds)), worlds)
    axes.set_ylabel("environment steps per second")
    axes.set_title(f"{results['sizes']['num_envs']:,} environments, {results['machine']['num_devices']} devices")
    axes.legend(fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.07))
    return figure


def _rate(results: Results, world: str, system: str, case: str) -> int:
    """Median steps per second: of the peer's faster way to use the devices, of our slower way for episodes to end."""
    rates = [
        result["steps_per_s"]["median"]
        for result in results["results"]
        if (result["world"], result["system"], result["case"]) == (world, system, case)
    ]
    return max(rates) if system == PEER else min(rates)


def _draw_scaling(results: Results) -> Figure:
    """The cost of a step against each size, as a ratio to the usual sizes."""
    sweeps = list(dict.fromkeys(row["sweep"] for row in results["costs"]))
    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3, squeeze=False)
    for panel in panels.flat[len(sweeps) :]:
        panel.set_visible(False)
    for panel, sweep in zip(panels.flat, sweeps, strict=False):
        for physics in dict.fromkeys(row["physics"] for row in results["costs"]):
            points = [r for r in results["costs"] if r["sweep"] == sweep and r["physics"] == physics]
            panel.plot([r["value"] for r in points], [r["cost"] for r in points], marker="o", label=physics)
        panel.set_xlabel({"grid": "side of the grid, cells", "view": "side of the view, cells"}.get(sweep, sweep))
        if sweep == "environments":
            panel.set_xscale("log", base=2)
        panel.set_ylim(0, 1.1 * max(r["cost"] for r in results["costs"] if r["sweep"] == sweep))
    panels[0, 0].set_ylabel("cost of a step, usual = 1")
    panels[0, 0].legend(fontsize=8)
    return figure


def _first_steps_tables(results: Results) -> list[str]:
    peer = next(row["seconds"] for row in results["results"] if row["case"] == first_steps.PEER)
    rows = [
        [row["case"], row["seconds"], row["min"], row["max"], f"{row['seconds'] / peer:.2f}"]
        for row in results["results"]
    ]
    return [table(["what", "seconds, median", "min", "max", "times the peer's"], rows)]


def _yes(is_met: bool | None) -> str:
    return {True: "yes", False: "no", None: ""}[is_met]


MOST_RESET = 15  # % that automatic reset and refill may add
_PARTS = ("environment", "inference", "update")
_COMMANDS = {"train_vs_peer": "train --peer FOLDER"}  # of those that are not the benchmark's name
_HOMES = {"gpu_estimate": "estimate"}  # folders of those that do not measure speed


_TABLES: dict[str, Callable[[Results], list[str]]] = {
    "vs_xland_minigrid": _versus_tables,
    "scaling": _scaling_tables,
    "tasks": _tasks_tables,
    "adapters": _adapters_tables,
    "gpu_estimate": _estimate_tables,
    "train": _train_tables,
    "train_vs_peer": _train_versus_tables,
    "first_steps": _first_steps_tables,
}
_FIGURES: dict[str, Callable[[Results], Figure]] = {
    "vs_xland_minigrid": _draw_versus,
    "scaling": _draw_scaling,
    "train": _draw_train,
}


if __name__ == "__main__":
    main()
