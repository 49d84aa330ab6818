"""The report of a study: people beside agents, as a page, a table, figures and files with all scores."""

import csv
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from xworld.apps.study.config import find_study
from xworld.apps.study.figures import draw_people, draw_trials
from xworld.apps.study.results import People, read_people
from xworld.apps.study.scores import PEOPLE, STATISTICS, Scores, curves, find_scores, summarise
from xworld.base.files import check_folder, write_atomically
from xworld.evaluation import SweepConfig
from xworld.evaluation.report.page import embed, wrap_page
from xworld.evaluation.report.sweep_plots import to_png

SCHEMA = "xworld.study/1"
_BATCH_SIZE = 512


@dataclass(frozen=True)
class ReportConfig:
    """Who is compared, and how."""

    agents: tuple[str, ...] = ()  # players beside random, noop and expert, as `find_player` takes them
    study: str | None = None  # whose records count, as `find_study` takes it; by default that with most records
    exclude: tuple[str, ...] = ()  # ids of participants who do not count
    unfinished: bool = False  # whether the finished tasks of people count who have not finished
    num_repetitions: int = 50  # episodes that players play of each task, for each number of trials
    seed: int = 0  # decides directions and chance of players


def make_report(folders: Sequence[Path], config: ReportConfig, output: Path, best_returns: Path) -> dict[str, Any]:
    """Reads what people did, lets players play the same, and writes the report.

    Writes report.html, scores.json, scores.csv, people.png and trials.png. What players earn is kept as it comes, so
    that a report that was stopped goes on.

    Args:
      folders: of participants, or with many of these.
      config: who is compared.
      output: folder for the report, made if it is not there.
      best_returns: folder where the expert's best returns are kept.

    Returns:
      The content of scores.json.

    Raises:
      ConfigError: nobody has finished a task, a player that there is not, or a folder that cannot be used.
    """
    check_folder(output)
    digest = None if config.study is None else find_study(config.study).digest
    people = read_people(folders, digest, config.exclude, unfinished=config.unfinished)
    num_trials = tuple(sorted({len(episode.returns) for episode in people.episodes}))
    sweep = SweepConfig(num_trials, config.num_repetitions, config.seed, _BATCH_SIZE)
    scores = find_scores(people, config.agents, sweep, output, best_returns)
    # Through JSON, so that figures are drawn from what a reader finds in the file.
    text = json.dumps(_collect(people, scores, sweep), indent=1) + "\n"
    content = json.loads(text)
    figures = {"people.png": to_png(draw_people(content)), "trials.png": to_png(draw_trials(content))}
    files = {
        "scores.json": text.encode(),
        "scores.csv": _csv(content).encode(),
        **figures,
        "report.html": _page(content, list(figures.values())).encode(),
    }
    for name, written in files.items():
        write_atomically(output / name, written)
    return content


def people_table(content: Mapping[str, Any]) -> Table:
    """A rich table: a row for people and each player, a column for each number of trials, medians with intervals."""
    names = list(content["summary"][PEOPLE])
    title = f"Median over tasks of the last trial's score, and 95 % interval: {content['study']['title']}"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("trials")
    for name in names:
        table.add_column(name, justify="right")
    for player, of_player in content["summary"].items():
        cells = (of_player[name]["median"] if name in of_player else None for name in names)
        texts = (f"{cell['value']:.2f}\n{cell['low']:.2f}~{cell['high']:.2f}" if cell else "" for cell in cells)
        table.add_row(player, *texts, style="bold" if player == PEOPLE else None)
    table.caption = "; ".join([_counts(content), *content["notes"]])
    return table


def _collect(people: People, scores: Scores, sweep: SweepConfig) -> dict[str, Any]:
    """The content of scores.json, as JSON types."""
    numbers = list(people.tasks)
    names = {episode.number: episode.name for episode in people.episodes}
    best = dict(zip(numbers, scores.best.tolist(), strict=True))
    return {
        "schema": SCHEMA,
        "study": {"title": people.title, "digest": people.digest},
        "protocol": asdict(sweep),
        "participants": list(people.participants),
        "statuses": people.statuses,
        "left_out": [asdict(one) for one in people.left_out],
        "notes": list(scores.notes),
        "summary": summarise(scores),
        "mean_score_by_trial": curves(scores),
        "episodes": [
            {**asdict(episode), "score": episode.returns[-1] / best[episode.number] if best[episode.number] else None}
            for episode in people.episodes
        ],
        "tasks": [
            {
                "number": number,
                "name": names[number],
                "best": best[number],
                "score": {
                    player: {
                        str(k): None if np.isnan(of_k[place, -1]) else float(of_k[place, -1])
                        for k, of_k in of_player.items()
                    }
                    for player, of_player in scores.players.items()
                },
            }
            for place, number in enumerate(numbers)
        ],
    }


_COLUMNS = (
    *("player", "participant", "task_number", "task", "num_trials", "score", "best_return", "last_return"),
    *("reading_seconds", "playing_seconds", "num_timed_out", "num_resumed"),
)


def _csv(content: Mapping[str, Any]) -> str:
    """A row for every episode of a person, and for every player, task and number of trials."""
    file = io.StringIO()
    writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    best = {task["number"]: task["best"] for task in content["tasks"]}
    timed = ("reading_seconds", "playing_seconds", "num_timed_out", "num_resumed")
    for episode in content["episodes"]:
        row = {
            "player": PEOPLE,
            "participant": episode["participant"],
            "task_number": episode["number"],
            "task": episode["name"],
            "num_trials": len(episode["returns"]),
            "score": episode["score"],
            "best_return": best[episode["number"]],
            "last_return": episode["returns"][-1],
        }
        writer.writerow(row | {name: episode[name] for name in timed})
    for task in content["tasks"]:
        common = {"task_number": task["number"], "task": task["name"], "best_return": task["best"]}
        for player, of_player in task["score"].items():
            for k, score in of_player.items():
                last = None if score is None else score * task["best"]
                writer.writerow(common | {"player": player, "num_trials": k, "score": score, "last_return": last})
    return file.getvalue()


def _page(content: Mapping[str, Any], pictures: Sequence[bytes]) -> str:
    title = f"People and agents: {content['study']['title']}"
    about = (
        f"{_counts(content)}. A score is the return of an episode's last trial, divided by the expert's best known "
        "return. Everybody counts on the tasks that people played with that number of trials. In brackets: 95 % "
        "intervals, for people over participants and tasks, for players over tasks."
    )
    reading, playing = (
        np.array([episode[name] / len(episode["returns"]) for episode in content["episodes"]])
        for name in ("reading_seconds", "playing_seconds")
    )
    stops = sum(episode["num_resumed"] for episode in content["episodes"])
    timed_out = sum(episode["num_timed_out"] for episode in content["episodes"])
    num_trials = sum(len(episode["returns"]) for episode in content["episodes"])
    times = (
        f"Before a trial people read for {np.median(reading):.1f} s (median over episodes), and they played for "
        f"{np.median(playing):.1f} s. Of {num_trials} trials, {timed_out} ran out of time. Tasks were gone on with "
        f"after a stop {stops} times."
    )
    left_out = "".join(
        f"<li>{html.escape(one['folder'])}: {html.escape(one['reason'])}</li>" for one in content["left_out"]
    )
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in content["notes"])
    parts = [
        f"<h1>{html.escape(title)}</h1><p>{html.escape(about)}</p>{notes}",
        *(f"<h2>{name.capitalize()} over tasks</h2>{_html_table(content['summary'], name)}" for name in STATISTICS),
        *(f"<figure>{embed(picture, 'png')}</figure>" for picture in pictures),
        f"<h2>Time</h2><p>{times}</p>",
        f"<h2>Who does not count</h2>{f'<ul>{left_out}</ul>' if left_out else '<p>Everybody counts.</p>'}",
        f"<p><small>Study {content['study']['digest'][:16]}. All numbers: scores.json and scores.csv.</small></p>",
    ]
    return wrap_page(title, parts)


def _html_table(summary: Mapping[str, Any], statistic: str) -> str:
    names = list(summary[PEOPLE])
    rows = ["<tr><th>trials</th>" + "".join(f"<th>{name}</th>" for name in names) + "</tr>"]
    counts = "".join(f"<td>{summary[PEOPLE][name]['num_tasks']}</td>" for name in names)
    for player, of_player in summary.items():
        cells = []
        for name in names:
            cell = of_player[name][statistic] if name in of_player else None
            brackets = f" <small>({cell['low']:.3f} to {cell['high']:.3f})</small>" if cell else ""
            cells.append(f"<td>{cell['value']:.3f}{brackets}</td>" if cell else "<td></td>")
        rows.append(f"<tr><th>{html.escape(player)}</th>{''.join(cells)}</tr>")
    return f"<table>{''.join(rows)}<tr><th>tasks</th>{counts}</tr></table>"


def _counts(content: Mapping[str, Any]) -> str:
    statuses = ", ".join(f"{number} {status}" for status, number in content["statuses"].items())
    return (
        f"{len(content['participants'])} participants count ({statuses}; {len(content['left_out'])} left out), "
        f"{len(content['episodes'])} episodes of {len(content['tasks'])} tasks"
    )
