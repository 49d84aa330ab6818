"""What an experiment leaves: one JSON, a figure or more, and one page."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri

from xworld.apps.laboratory.experiment import ALL_ARMS, Experiment, Job, group_of
from xworld.apps.laboratory.report.figures import draw_courses, draw_families, draw_gains, draw_numbers, plays_several
from xworld.apps.laboratory.report.fits import draw_fits, finite, fit_runs
from xworld.apps.laboratory.report.gallery import draw_gallery, kept_early_and_late
from xworld.apps.laboratory.report.page import make_page, middle
from xworld.base.files import write_atomically
from xworld.evaluation import CrossPlay, Reference, Scores, draw_cross_play, summarise
from xworld.evaluation.report.look import to_png
from xworld.evaluation.scores.statistics import contrast, estimate, gain
from xworld.evaluation.scores.summary import STATISTICS, as_json
from xworld.training.logs.metrics import MetricsWriter

Found = Sequence[tuple[Job, Mapping[str, Any]]]  # runs and baselines, and what they have written


def write_report(
    experiment: Experiment,
    folder: Path,
    found: Found,
    cross_plays: Mapping[str, CrossPlay],
    missing: Mapping[str, Any],
) -> dict[str, Any]:
    """Writes NAME.json, NAME.png and NAME.html into the folder, of runs and baselines; the content of the first.

    NAME-numbers.png too, of an experiment that plays several numbers of trials, NAME-gain.png of one that says what
    gains are drawn against, NAME-course.png of one that says which columns of its runs are drawn (of several families
    NAME-course-FAMILY.png of each), NAME-fit.png of one that is fitted, NAME-gallery.png of one whose curricula keep
    tasks, and NAME-cross-play.png of one whose agents have played with each other. `missing` is of
    `describe_missing`. Where nothing is found there are no figures.
    """
    arms = list(dict.fromkeys(job.arm for job, _ in found if job.arm in experiment.arms))
    runs = [job for job, _ in found if job.arm in experiment.arms]
    content = {
        "experiment": experiment.name,
        "question": experiment.question,
        "arms": arms,
        "missing": missing,
        "num_columns": experiment.num_columns,
        "unit": experiment.unit,
        "families": {family: _of_family(experiment, of_it) for family, of_it in _by_family(experiment, found).items()},
        "course": _course(experiment, [(job, outcome["numbers"]) for job, outcome in found if job in runs]),
        "of_all_rows": _of_all_rows(experiment, runs),
        "kept_tasks": kept_early_and_late(runs),
        "cross_play": _describe_cross_plays(experiment, cross_plays),
    }
    text = json.dumps(content, indent=1) + "\n"
    content = json.loads(text)
    figures = _figures(experiment, content) if content["families"] else {}
    page = make_page(content, list(figures.values()))
    files = {f"{experiment.name}.json": text.encode(), **figures, f"{experiment.name}.html": page.encode()}
    for name, written in files.items():
        write_atomically(folder / name, written)
    return content


def _figures(experiment: Experiment, content: Mapping[str, Any]) -> dict[str, bytes]:
    """By the names of their files."""
    figures = {f"{experiment.name}.png": to_png(draw_families(content, by_group=experiment.against is not None))}
    if any(map(plays_several, content["families"].values())):
        figures[f"{experiment.name}-numbers.png"] = to_png(draw_numbers(content))
    if experiment.against is not None:
        figures[f"{experiment.name}-gain.png"] = to_png(draw_gains(content, experiment.against))
    if experiment.course:
        figures |= _draw_courses(experiment, content)
    if any("fit" in of_family for of_family in content["families"].values()):
        figures[f"{experiment.name}-fit.png"] = to_png(draw_fits(content))
    if content["kept_tasks"]:
        figures[f"{experiment.name}-gallery.png"] = to_png(draw_gallery(content["kept_tasks"]))
    if content["cross_play"]:
        figures[f"{experiment.name}-cross-play.png"] = to_png(draw_cross_play(content["cross_play"]))
    return figures


def _draw_courses(experiment: Experiment, content: Mapping[str, Any]) -> dict[str, bytes]:
    """By file: of several families a figure each."""
    courses = draw_courses(content)
    return {
        f"{experiment.name}-course" + (f"-{family}" if len(courses) > 1 else "") + ".png": to_png(figure)
        for family, figure in courses.items()
    }


def _describe_cross_plays(experiment: Experiment, cross_plays: Mapping[str, CrossPlay]) -> dict[str, Any]:
    """By title; an arm's ratio with its difference to the one of the experiment's first arm on the family's tasks."""
    described: dict[str, Any] = {}
    for title, one in cross_plays.items():
        described[title] = one.describe()
        family, comma, name = title.rpartition(", ")
        first = f"{family}{comma}{experiment.arms[0]}"
        if name != ALL_ARMS and title != first and first in cross_plays:
            found = as_json(one.ratio_minus(cross_plays[first]))
            described[title]["ratio"]["difference"] = {"to": experiment.arms[0], **finite(found)}
    return described


def _by_family(experiment: Experiment, found: Found) -> dict[str, list[tuple[Job, Mapping[str, Any]]]]:
    """What is told of each family; of an experiment with several exams each of them is told of as a family is."""
    parts: dict[str, list[tuple[Job, Mapping[str, Any]]]] = {}
    for job, outcome in found:
        for name, of_exam in _exams(outcome):
            several = len(experiment.families) > 1
            title = ", ".join(part for part in (job.family if several or not name else "", name) if part)
            parts.setdefault(title, []).append((job, of_exam))
    return parts


def _exams(outcome: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The outcome by exam; "" where there is one."""
    if "exams" not in outcome:
        yield "", outcome
    for name, of_exam in outcome.get("exams", {}).items():
        yield name, {**outcome, **of_exam}


def _of_family(experiment: Experiment, found: Found) -> dict[str, Any]:
    """What each run was and measured, and the scores.

    An arm's seeds are its rows, so that intervals are over seeds and tasks.
    """
    order = {arm: place for place, arm in enumerate(experiment.arms)}
    found = sorted(found, key=lambda one: order.get(one[0].arm, len(order)))  # the first is compared with
    rows: dict[str, dict[int, list[list[list[float]]]]] = {}
    for _, outcome in found:
        for player, by_k in outcome["returns"].items():
            for k, returns in by_k.items():
                rows.setdefault(player, {}).setdefault(int(k), []).append(returns)
    (reference,) = (outcome["reference"] for _, outcome in found if "reference" in outcome)
    scores = Scores(
        {player: {k: np.array(values) for k, values in by_k.items()} for player, by_k in rows.items()},
        Reference(reference["kind"], np.array(reference["best"])),
    )
    of_arms = [(job, outcome) for job, outcome in found if job.arm in order]
    runs = [
        {"arm": job.arm, "seed": job.seed, **{name: outcome[name] for name in ("options", "numbers", "machine")}}
        for job, outcome in of_arms
    ]
    by_task = [outcome.get("by_task", {}) for _, outcome in of_arms]
    fit = None if experiment.fit_along is None else fit_runs(scores, runs, by_task, experiment.fit_along)
    content = {"runs": runs, **({} if fit is None else {"fit": fit}), **summarise(scores)}
    _compare_to_first(scores, content)
    _add_later_gains(scores, content)
    num_trained = experiment.trained_trials.get(found[0][0].family)
    content["after_training"] = {} if num_trained is None else _after_training(scores, num_trained)
    content["to_needed"] = _to_needed(scores, runs, experiment.needs)
    content["gain_kept"] = {} if experiment.against is None else _gain_kept(scores, runs, experiment.against)
    return content


def _after_training(scores: Scores, num_trained: int) -> dict[str, Any]:
    """By player, what becomes of the score in trials beyond the most that an episode of training had.

    "last" is the last trial of most minus the last of those trained on, and "lowest" the same of the trial where it is
    least, whose number from 1 is its "trial"; paired by task and seed, with 95 % intervals. That of "lowest" is wider
    (Bonferroni), as the trial is chosen among several.
    """
    k, described = scores.num_trials[-1], {}
    for player in scores.returns if k > num_trained else ():
        values = scores.score(player, k)[:, scores.is_scored(k)]
        found = estimate(values[..., num_trained:] - values[..., num_trained - 1 : num_trained])
        lowest = int(found.mean.argmin())
        wider = float(ndtri(1 - 0.025 / (k - num_trained)) / ndtri(0.975))
        last, least = (
            {"value": value, "low": value - times * half, "high": value + times * half}
            for value, half, times in (
                (float(found.mean[at]), float(found.high[at] - found.mean[at]), times)
                for at, times in ((-1, 1.0), (lowest, wider))
            )
        )
        described[player] = {
            "from": num_trained,
            "to": k,
            "last": last,
            "lowest": {"trial": num_trained + 1 + lowest} | least,
        }
    return described


def _to_needed(
    scores: Scores, runs: Sequence[Mapping[str, Any]], needs: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """By arm that needs another's run, its last trial minus that of this run, seed by seed, with 95 % intervals."""
    k, described = scores.num_trials[-1], {}
    seeds = _seeds_of_arms(runs)
    for arm, needed in needs.items():
        both = sorted(set(seeds.get(arm, ())) & set(seeds.get(needed, ())))
        if both and all(k in scores.returns.get(name, ()) for name in (arm, needed)):
            values, others = (
                scores.score(name, k)[[seeds[name].index(seed) for seed in both]] for name in (arm, needed)
            )
            found = estimate((values - others)[:, scores.is_scored(k), -1])
            described[arm] = {"to": needed, "seeds": both, **as_json(found)}
    return described


def _seeds_of_arms(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """In the order of the rows of an arm's scores."""
    seeds: dict[str, list[int]] = {}
    for run in runs:
        seeds.setdefault(run["arm"], []).append(run["seed"])
    return seeds


def _gain_kept(scores: Scores, runs: Sequence[Mapping[str, Any]], against: str) -> dict[str, Any]:
    """By arm, its gain as a share of that of the arm of its group which is farthest along, with 95 % intervals.

    Of a gain whose own interval is not above 0 there are no shares.
    """
    k, described = scores.num_trials[-1], {}
    of_arms: dict[str, list[float]] = {}
    for run in runs:
        of_arms.setdefault(run["arm"], []).append(run["numbers"][against])
    places = {arm: np.mean(numbers) for arm, numbers in of_arms.items()}
    gains = {arm: gain(scores.score(arm, k)[:, scores.is_scored(k)]) for arm in places}
    for arm in places:
        farthest = max((other for other in places if group_of(other) == group_of(arm)), key=lambda one: places[one])
        if farthest != arm and estimate(gains[farthest]).low > 0:
            share = contrast(gains[arm], gains[farthest], STATISTICS["mean"], np.divide)
            described[arm] = {"of": farthest, **as_json(share)}
    return described


def _compare_to_first(scores: Scores, content: Mapping[str, Any]) -> None:
    """Adds to the scores of each player its last trials' 20th percentile minus that of the first, paired by task.

    Where an arm and the first have other seeds, differences are of those that both have, if there are any.
    """
    seeds = _seeds_of_arms(content["runs"])
    first, *players = scores.returns
    for player in players:
        of_first, of_player = set(seeds.get(first, ())), set(seeds.get(player, ()))
        both, part = of_first & of_player, scores
        if both and of_first != of_player:
            returns = {
                name: {k: rows[[seed in both for seed in seeds[name]]] for k, rows in scores.returns[name].items()}
                for name in (first, player)
            }
            part = Scores(returns, scores.reference)
            for k, of_k in summarise(part)["scores"][player].items():
                content["scores"][player][k]["difference"] = of_k["difference"] | {"seeds": sorted(both)}
        for k in set(part.returns[player]) & set(part.returns[first]):
            values, others = (part.score(name, k)[:, part.is_scored(k), -1] for name in (player, first))
            found = contrast(values, others, STATISTICS["percentile_20"])
            content["scores"][player][str(k)]["difference_of_percentile_20"] = {"to": first, **as_json(found)}


def _add_later_gains(scores: Scores, content: Mapping[str, Any]) -> None:
    """Adds to the scores of each player its last trial minus the one in the middle, with 95 % intervals."""
    for player, by_k in content["scores"].items():
        for k in (int(name) for name in by_k if int(name) > 1):
            values = scores.score(player, k)[:, scores.is_scored(k)]
            by_k[str(k)]["later_gain"] = as_json(estimate(gain(values[..., middle(k) - 1 :])))


def _course(experiment: Experiment, found: Sequence[tuple[Job, Mapping[str, float]]]) -> list[dict[str, Any]]:
    """For each pair of columns, what is drawn: of each run two lists, of rows that have both.

    A number that the whole run measures counts as a column, which grows evenly with its steps.
    """
    rows = {job: MetricsWriter.read(job.folder) for job, _ in found} if experiment.course else {}
    panels = []
    for column, along in experiment.course:
        runs = []
        for job, numbers in found:
            of_run = rows[job]
            kept = [row for row in of_run if not math.isnan(row.get(column, math.nan))]
            if along in numbers:
                points = [(numbers[along] * row["steps"] / of_run[-1]["steps"], row[column]) for row in kept]
            else:
                points = [(row[along], row[column]) for row in kept]
            at, values = [x for x, _ in points], [y for _, y in points]
            runs.append({"family": job.family, "arm": job.arm, "seed": job.seed, "at": at, "values": values})
        panels.append({"column": column, "along": along, "runs": runs})
    return panels


def _of_all_rows(experiment: Experiment, runs: Sequence[Job]) -> dict[str, dict[str, float | None]]:
    """By arm, what the experiment reads off the rows of all runs."""
    if experiment.of_all_rows is None or not runs:
        return {}
    found = experiment.of_all_rows({job: MetricsWriter.read(job.folder) for job in runs})
    return {arm: dict(numbers) for arm, numbers in found.items()}
