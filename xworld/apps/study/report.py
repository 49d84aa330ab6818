"""The report of a study: people beside agents, as a page, a table, figures and files with all scores."""

import csv
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from xworld.apps.study.config import find_study
from xworld.apps.study.results import People, read_people
from xworld.apps.study.scores import find_scores
from xworld.base.files import check_folder, write_atomically
from xworld.evaluation import Scores, SweepConfig, draw_players, draw_trials, players_table
from xworld.evaluation.report.files import write_json
from xworld.evaluation.report.look import to_png
from xworld.evaluation.report.page import embed, html_table, wrap_page
from xworld.evaluation.scores.scores import people_with
from xworld.evaluation.scores.summary import make_content

_BATCH_SIZE = 512


@dataclass(frozen=True)
class ReportConfig:
    """Who is compared, and how."""

    agents: tuple[str, ...] = ()  # players beside random, noop and expert, as `player_by_name` takes them
    network: str | None = None  # `module:function` that makes the network of one's own that saved ones among them have
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
    scores, notes = find_scores(people, config.agents, sweep, output, best_returns, config.network)
    content = write_json(output, _collect(people, scores, notes, sweep))
    main = _people(content)
    figures = {
        "people.png": to_png(draw_players(content, main=main)),
        "trials.png": to_png(draw_trials(content, main=main)),
    }
    files = {
        "scores.csv": _csv(content).encode(),
        **figures,
        "report.html": _page(content, list(figures.values())).encode(),
    }
    for name, written in files.items():
        write_atomically(output / name, written)
    return content


def people_table(content: Mapping[str, Any]) -> Table:
    """A rich table: a row for people and each player, a column for each number of trials, medians with intervals."""
    table = players_table(content)
    table.title = f"{table.title}: {content['study']['title']}"
    table.caption = "; ".join([_counts(content), *content["study"]["notes"]])
    return table


def _collect(people: People, scores: Scores, notes: Sequence[str], sweep: SweepConfig) -> dict[str, Any]:
    """The content of scores.json, as JSON types."""
    names = {episode.number: episode.name for episode in people.episodes}
    content = make_content(
        scores,
        {},
        {"number": list(people.tasks), "name": [names[number] for number in people.tasks]},
        {},
        protocol=asdict(sweep),
    )
    best = {task["number"]: task["best"] for task in content["tasks"]}
    study = {
        "title": people.title,
        "digest": people.digest,
        "participants": list(people.participants),
        "statuses": people.statuses,
        "left_out": [asdict(one) for one in people.left_out],
        "notes": list(notes),
        "episodes": [
            {**asdict(episode), "score": episode.returns[-1] / best[episode.number] if best[episode.number] else None}
            for episode in people.episodes
        ],
    }
    return {**content, "study": study}


_COLUMNS = (
    *("player", "participant", "partner", "task_number", "task", "num_trials", "score", "best_return", "last_return"),
    *("reading_seconds", "playing_seconds", "num_timed_out", "num_resumed"),
)


def _csv(content: Mapping[str, Any]) -> str:
    """A row for every episode of a person, and for every player, task and number of trials."""
    file = io.StringIO()
    writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    best = {task["number"]: task["best"] for task in content["tasks"]}
    timed = ("reading_seconds", "playing_seconds", "num_timed_out", "num_resumed")
    for episode in content["study"]["episodes"]:
        row = {
            "player": people_with(episode["partner"]),
            "participant": episode["participant"],
            "partner": episode["partner"],
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
            for k, score in of_player.items() if player not in _people(content) else ():
                returns = task["return_by_trial"][player][k]
                last = None if returns is None else returns[-1]
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
        np.array([episode[name] / len(episode["returns"]) for episode in content["study"]["episodes"]])
        for name in ("reading_seconds", "playing_seconds")
    )
    stops = sum(episode["num_resumed"] for episode in content["study"]["episodes"])
    timed_out = sum(episode["num_timed_out"] for episode in content["study"]["episodes"])
    num_trials = sum(len(episode["returns"]) for episode in content["study"]["episodes"])
    times = (
        f"Before a trial people read for {np.median(reading):.1f} s (median over episodes), and they played for "
        f"{np.median(playing):.1f} s. Of {num_trials} trials, {timed_out} ran out of time. Tasks were gone on with "
        f"after a stop {stops} times."
    )
    left_out = "".join(
        f"<li>{html.escape(one['folder'])}: {html.escape(one['reason'])}</li>" for one in content["study"]["left_out"]
    )
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in content["study"]["notes"])
    parts = [
        f"<h1>{html.escape(title)}</h1><p>{html.escape(about)}</p><p>{_num_tasks(content)}</p>{notes}",
        *(f"<p>{html.escape(line)}</p>" for line in _between_partners(content)),
        *(f"<h2>{name.capitalize()} over tasks</h2>{_players_table(content, name)}" for name in ("median", "mean")),
        *(f"<figure>{embed(picture, 'png')}</figure>" for picture in pictures),
        f"<h2>Time</h2><p>{times}</p>",
        f"<h2>Who does not count</h2>{f'<ul>{left_out}</ul>' if left_out else '<p>Everybody counts.</p>'}",
        f"<p><small>Study {content['study']['digest'][:16]}. All numbers: scores.json and scores.csv.</small></p>",
    ]
    return wrap_page(title, parts)


def _players_table(content: Mapping[str, Any], statistic: str) -> str:
    names = list(content["scores"][_people(content)[0]])
    rows = {
        player: [of_player[k]["last"][statistic] if k in of_player else None for k in names]
        for player, of_player in content["scores"].items()
    }
    return html_table(rows, ("trials", *names))


def _between_partners(content: Mapping[str, Any]) -> list[str]:
    """Lines that compare people who played with other partners."""
    first, *others = _people(content)
    lines = []
    for name in others:
        for k, of_k in content["scores"][name].items():
            found = of_k["difference"]
            lines.append(
                f"With {k} trials {name} score {found['value']:+.2f} ({found['low']:+.2f} to {found['high']:+.2f}) "
                f"beside {first}, mean over tasks."
            )
    return lines


def _people(content: Mapping[str, Any]) -> tuple[str, ...]:
    """What people are called, with each of their partners."""
    return tuple(dict.fromkeys(people_with(episode["partner"]) for episode in content["study"]["episodes"]))


def _num_tasks(content: Mapping[str, Any]) -> str:
    """A line about how many tasks people played with each number of trials."""
    numbers = (f"{of_k['num_tasks']} with {k}" for k, of_k in content["scores"][_people(content)[0]].items())
    return f"Tasks by number of trials: {', '.join(numbers)}."


def _counts(content: Mapping[str, Any]) -> str:
    """A line about who counts."""
    study = content["study"]
    statuses = ", ".join(f"{number} {status}" for status, number in study["statuses"].items())
    return (
        f"{len(study['participants'])} participants count ({statuses}; {len(study['left_out'])} left out), "
        f"{len(study['episodes'])} episodes of {len(content['tasks'])} tasks"
    )
