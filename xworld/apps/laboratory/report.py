"""What an experiment leaves: one JSON, one figure (or two), one page."""

import html
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xworld.apps.laboratory.experiment import ALL_ARMS, Experiment, Job
from xworld.apps.laboratory.figures import draw_course, draw_families, draw_gains, draw_numbers
from xworld.apps.laboratory.fits import describe_fit, draw_fits, fit_runs
from xworld.apps.laboratory.gallery import draw_gallery, kept_early_and_late
from xworld.base.files import write_atomically
from xworld.evaluation import CrossPlay, Reference, Scores, draw_cross_play, summarise
from xworld.evaluation.report.look import to_png
from xworld.evaluation.report.page import embed, html_table, wrap_page
from xworld.evaluation.scores.statistics import difference_of
from xworld.evaluation.scores.summary import STATISTIC_NAMES, STATISTICS, as_json
from xworld.training.logs.metrics import MetricsWriter

Found = Sequence[tuple[Job, Mapping[str, Any]]]  # runs and baselines, and what they have written


def write_report(
    experiment: Experiment, folder: Path, found: Found, cross_plays: Mapping[str, CrossPlay]
) -> dict[str, Any]:
    """Writes NAME.json, NAME.png and NAME.html into the folder, of runs and baselines; the content of the first.

    NAME-numbers.png too, of an experiment that plays several numbers of trials, NAME-gain.png of one that says what
    gains are drawn against, NAME-course.png of one that says which columns of its runs are drawn, NAME-fit.png of one
    that is fitted, NAME-gallery.png of one whose curricula keep tasks, and NAME-cross-play.png of one whose
    agents have played with each other.
    """
    arms = list(dict.fromkeys(job.arm for job, _ in found if job.arm in experiment.arms))
    runs = [job for job, _ in found if job.arm in experiment.arms]
    content = {
        "experiment": experiment.name,
        "question": experiment.question,
        "arms": arms,
        "num_columns": experiment.num_columns,
        "unit": experiment.unit,
        "families": {family: _of_family(experiment, of_it) for family, of_it in _by_family(experiment, found).items()},
        "course": _course(experiment, [(job, outcome["numbers"]) for job, outcome in found if job in runs]),
        "of_all_rows": _of_all_rows(experiment, runs),
        "kept_tasks": kept_early_and_late(runs),
        "cross_play": {title: one.describe() for title, one in cross_plays.items()},
    }
    text = json.dumps(content, indent=1) + "\n"
    content = json.loads(text)
    figures = {f"{experiment.name}.png": to_png(draw_families(content))}
    if any(len(by_k) > 1 for of_family in content["families"].values() for by_k in of_family["scores"].values()):
        figures[f"{experiment.name}-numbers.png"] = to_png(draw_numbers(content))
    if experiment.against is not None:
        figures[f"{experiment.name}-gain.png"] = to_png(draw_gains(content, experiment.against))
    if experiment.course:
        figures[f"{experiment.name}-course.png"] = to_png(draw_course(content))
    if any("fit" in of_family for of_family in content["families"].values()):
        figures[f"{experiment.name}-fit.png"] = to_png(draw_fits(content))
    if content["kept_tasks"]:
        figures[f"{experiment.name}-gallery.png"] = to_png(draw_gallery(content["kept_tasks"]))
    if content["cross_play"]:
        figures[f"{experiment.name}-cross-play.png"] = to_png(draw_cross_play(content["cross_play"]))
    page = _page(content, list(figures.values()))
    files = {f"{experiment.name}.json": text.encode(), **figures, f"{experiment.name}.html": page.encode()}
    for name, written in files.items():
        write_atomically(folder / name, written)
    return content


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
    of_arms = sorted(
        ((job, outcome) for job, outcome in found if job.arm in experiment.arms),
        key=lambda one: experiment.arms.index(one[0].arm),
    )
    runs = [
        {"arm": job.arm, "seed": job.seed, **{name: outcome[name] for name in ("options", "numbers", "machine")}}
        for job, outcome in of_arms
    ]
    by_task = [outcome.get("by_task", {}) for _, outcome in of_arms]
    fit = None if experiment.fit_along is None else fit_runs(scores, runs, by_task, experiment.fit_along)
    content = {"runs": runs, **({} if fit is None else {"fit": fit}), **summarise(scores)}
    _compare_to_first(scores, content)
    return content


def _compare_to_first(scores: Scores, content: Mapping[str, Any]) -> None:
    """Adds to the scores of each player its last trials' 20th percentile minus that of the first, paired by task.

    Where an arm and the first have other seeds, differences are of those that both have, if there are any.
    """
    seeds: dict[str, list[int]] = {}
    for run in content["runs"]:
        seeds.setdefault(run["arm"], []).append(run["seed"])
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
            found = difference_of(values, others, STATISTICS["percentile_20"])
            content["scores"][player][str(k)]["difference_of_percentile_20"] = {"to": first, **as_json(found)}


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
    if experiment.of_all_rows is None:
        return {}
    found = experiment.of_all_rows({job: MetricsWriter.read(job.folder) for job in runs})
    return {arm: dict(numbers) for arm, numbers in found.items()}


def _page(content: Mapping[str, Any], figures: Sequence[bytes]) -> str:
    """The question, the figures, and for each family scores by trial and what each run measured."""
    families = content["families"]
    parts = [f"<h1>{html.escape(content['experiment'])}</h1><p>{html.escape(content['question'])}</p>"]
    parts += [f"<figure>{embed(figure, 'png')}</figure>" for figure in figures]
    parts += [_over_families(content)] * (len(families) > 1)
    parts += [_table_of_rows(content["of_all_rows"])] * bool(content["of_all_rows"])
    parts += [_about_cross_play(content["cross_play"])] * bool(content["cross_play"])
    for family, of_family in families.items():
        parts += [f"<h2>{html.escape(family)}</h2>"] * (len(families) > 1)
        first = of_family["runs"][0]["arm"] if of_family["runs"] else content["arms"][0]
        parts += [_by_trial(first, of_family, content["unit"]), _by_number_of_trials(first, of_family)]
        parts += [describe_fit(of_family["fit"])] if "fit" in of_family else []
        parts += [_runs(of_family["runs"])]
    return wrap_page(content["experiment"], parts)


def _over_families(content: Mapping[str, Any]) -> str:
    """Two tables, mean and 20th percentile of the last trial with the most trials: a column for each family."""
    families = content["families"]
    players = dict.fromkeys(player for of_family in families.values() for player in of_family["scores"])
    parts = []
    for statistic in ("mean", "percentile_20"):
        rows = {player: [_last(of_family, player, statistic) for of_family in families.values()] for player in players}
        parts.append(f"<h3>Last trial: {STATISTIC_NAMES[statistic]}</h3>{html_table(rows, ('player', *families))}")
    return "".join(parts)


def _last(of_family: Mapping[str, Any], player: str, statistic: str) -> Mapping[str, float] | None:
    by_k = of_family["scores"].get(player)
    return list(by_k.values())[-1]["last"][statistic] if by_k else None


def _table_of_rows(of_arms: Mapping[str, Mapping[str, float | None]]) -> str:
    """A table of numbers that come of the rows of all runs; where there is none the cell is empty."""
    names = list(dict.fromkeys(name for numbers in of_arms.values() for name in numbers))
    lines = [_row(arm, [numbers.get(name) for name in names]) for arm, numbers in of_arms.items()]
    return _table([name.replace("_", " ") for name in ("arm", *names)], lines)


def _about_cross_play(cross_play: Mapping[str, Any]) -> str:
    """Tables of what the agents of each arm earn with themselves, with other seeds, and with those of other arms."""
    lines = []
    for title, one in cross_play.items():
        ratio = one["ratio"]
        cells = [one["with_themselves"], one["with_others"], ratio["value"], ratio["low"], ratio["high"]]
        lines.append(_row(title, cells))
    names = ("arm", "with themselves", "with others", "ratio", "low", "high")
    about = "Last trials of tasks for two, both ways to sit. Low and high: the ratio's 95 % interval over tasks."
    parts = [f"<h2>Cross-play</h2>{_table(names, lines)}<p><small>{about}</small></p>"]
    for title, one in cross_play.items():
        strangers = with_other_arms(one) if title.endswith(ALL_ARMS) else {}
        lines = [_row(arm, [earned]) for arm, earned in strangers.items()]
        parts += [_table((title, "with agents of other arms"), lines)] * bool(strangers)
    return "".join(parts)


def with_other_arms(cross_play: Mapping[str, Any]) -> dict[str, float]:
    """What each arm's agents, called `ARM SEED`, earn on average beside those of other arms."""
    arms = np.array([name.rpartition(" ")[0] for name in cross_play["players"]])
    matrix = np.array(cross_play["matrix"])
    return {arm: float(matrix[arms == arm][:, arms != arm].mean()) for arm in dict.fromkeys(arms.tolist())}


def _table(names: Sequence[str], lines: Sequence[str]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _row(name: str, cells: Sequence[float | None]) -> str:
    texts = ("" if cell is None else f"{cell:.3f}" for cell in cells)
    return f"<tr><th>{html.escape(name)}</th>{''.join(f'<td>{text}</td>' for text in texts)}</tr>"


def _by_trial(first: str, content: Mapping[str, Any], unit: str) -> str:
    """Scores from trial to trial, or from unit to unit, in episodes of the most trials, and what they are."""
    of_players = {player: list(by_k.values())[-1] for player, by_k in content["scores"].items()}
    num_trials = len(next(iter(of_players.values()))["score"]["value"])
    by_trial = {
        player: [
            *({part: of_k["score"][part][trial] for part in ("value", "low", "high")} for trial in range(num_trials)),
            of_k["gain"],
            of_k.get("difference"),
            of_k.get("difference_of_percentile_20"),
        ]
        for player, of_k in of_players.items()
    }
    headings = (
        "player",
        *(f"{unit.split()[0]} {trial + 1}" for trial in range(num_trials)),
        "gain",
        f"minus {first}",
        f"20th percentile minus {first}'s",
    )
    about = (
        f"A score of 1 is {content['reference']['kind']}. Means over {content['num_tasks']} tasks and the seeds of an "
        f"arm, with 95 % intervals over both. Gain is the last {unit} minus the first. {_about_seeds(content['runs'])}"
    )
    return html_table(by_trial, headings) + f"<p><small>{html.escape(about)}</small></p>"


def _about_seeds(runs: Sequence[Mapping[str, Any]]) -> str:
    """How many seeds each arm has."""
    numbers = Counter(run["arm"] for run in runs)
    if len(set(numbers.values())) < 2:
        return f"Seeds of each arm: {max(numbers.values(), default=0)}."
    of_arms = ", ".join(f"{arm} {number}" for arm, number in numbers.items())
    return f"Seeds: {of_arms}; a difference is of the seeds that both arms have."


def _by_number_of_trials(first: str, content: Mapping[str, Any]) -> str:
    """A table of the last trial's scores for each number of trials; none where all episodes have as many."""
    numbers = list(next(iter(content["scores"].values())))
    parts = []
    for k in numbers if len(numbers) > 1 else []:
        rows = {
            player: [*(by_k[k]["last"][name] for name in STATISTIC_NAMES), by_k[k].get("difference")]
            for player, by_k in content["scores"].items()
            if k in by_k
        }
        headings = ("player", *STATISTIC_NAMES.values(), f"minus {first}")
        parts.append(f"<h3>Last trial of {k}</h3>{html_table(rows, headings)}")
    return "".join(parts)


def _runs(runs: Sequence[Mapping[str, Any]]) -> str:
    """What each run measured, and on what."""
    names = list(dict.fromkeys(name for run in runs for name in run["numbers"]))
    lines = [
        f"<tr><th>{html.escape(run['arm'])}</th><td>{run['seed']}</td>"
        + "".join(f"<td>{run['numbers'].get(name, '')}</td>" for name in names)
        + f"<td>{html.escape(run['machine']['device'])}, {run['machine']['num_cores']} cores</td></tr>"
        for run in runs
    ]
    return _table([name.replace("_", " ") for name in ("arm", "seed", *names, "machine")], lines)
