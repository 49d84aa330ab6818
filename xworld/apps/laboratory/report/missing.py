"""What was asked for and is not in a report: runs that diverged, or are not finished, and a first arm without any."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from xworld.apps.laboratory.experiment import BASELINES, Experiment, Job


def describe_missing(
    experiment: Experiment, asked: Sequence[Job], finished: Sequence[Job], diverged: Mapping[Job, Mapping[str, Any]]
) -> dict[str, Any]:
    """What a report says of what is not in it, as JSON types.

    Args:
      experiment: whose arms have an order.
      asked: runs and baselines.
      finished: those of them that have an outcome.
      diverged: others, each with after how many "steps", and for which "reason".

    Returns:
      "asked", seeds by family and arm, "diverged" and "not_finished" runs, and by family "compared_with", where its
      first arm has no finished run: that arm, and the one that differences are to "instead".
    """
    seeds: dict[str, dict[str, list[int]]] = {}
    for job in asked:
        seeds.setdefault(job.family, {}).setdefault(job.arm, []).append(job.seed)
    compared: dict[str, dict[str, str]] = {}
    for family, of_arms in seeds.items():
        there = {job.arm for job in finished if job.family == family}
        arms = [arm for arm in experiment.arms if arm in of_arms]
        left = [arm for arm in arms if arm in there]
        if left and left[0] != arms[0]:
            compared[family] = {"first": arms[0], "instead": left[0]}
    return {
        "asked": seeds,
        "diverged": [{**_about(job), "steps": one["steps"], "reason": one["reason"]} for job, one in diverged.items()],
        "not_finished": [_about(job) for job in asked if job not in finished and job not in diverged],
        "compared_with": compared,
    }


def lines_of_missing(missing: Mapping[str, Any]) -> list[str]:
    """A line for each run that diverged, one for all that are not finished, and one for each first arm without runs."""
    lines = [
        f"{one['run']} diverged at {one['steps']:,} steps and has no score: {one['reason'].partition('. ')[0]}."
        for one in missing["diverged"]
    ]
    asked, rest = missing["asked"], missing["not_finished"]
    if rest:
        num_asked = sum(len(seeds) for arms in asked.values() for arm, seeds in arms.items() if arm != BASELINES)
        number = sum(one["arm"] != BASELINES for one in rest)
        names = "; ".join(_families(asked, rest))
        lines.append(f"Not finished are {number} of {num_asked} runs: {names}.")
    for family, one in missing["compared_with"].items():
        where = f" in {family}" if len(asked) > 1 else ""
        lines.append(f"{one['first']} has no finished run{where}: differences are to {one['instead']}.")
    return lines


def _about(job: Job) -> dict[str, Any]:
    return {"run": job.folder.name, "family": job.family, "arm": job.arm, "seed": job.seed}


def _families(asked: Mapping[str, Mapping[str, list[int]]], rest: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What of each family is not finished: seeds of an arm are named where others of it are."""
    for family, arms in asked.items():
        left = {arm: [one["seed"] for one in rest if (one["family"], one["arm"]) == (family, arm)] for arm in arms}
        if left == arms:
            yield f"all of {family}" if len(asked) > 1 else "all"
        elif any(left.values()):
            names = [
                arm if seeds == arms[arm] else f"{arm} (seed{'s'[: len(seeds) - 1]} {', '.join(map(str, seeds))})"
                for arm, seeds in left.items()
                if seeds
            ]
            yield (f"of {family} " if len(asked) > 1 else "") + ", ".join(names)
