"""What an experiment leaves: one JSON, one figure, one page; and the table that the terminal shows."""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xworld.agents.players import EXPERT
from xworld.apps.laboratory.experiment import Experiment, Job
from xworld.base.files import write_atomically
from xworld.evaluation import Reference, Scores, draw_trials, summarise
from xworld.evaluation.reference import BY_EXPERTS_EPISODE
from xworld.evaluation.report.look import to_png
from xworld.evaluation.report.page import embed, html_table, wrap_page


def write_report(
    experiment: Experiment, folder: Path, found: Sequence[tuple[Job, Mapping[str, Any]]]
) -> dict[str, Any]:
    """Writes NAME.json, NAME.png and NAME.html into the folder, of runs and baselines; the content of the first.

    Scores are shares of what the expert among the baselines earns in the same task and trial. An arm's seeds are its
    rows, so that intervals are over seeds and tasks.
    """
    rows: dict[str, list[list[list[float]]]] = {}
    for _, outcome in found:
        for player, returns in outcome["returns"].items():
            rows.setdefault(player, []).append(returns)
    returns = {player: np.array(values) for player, values in rows.items()}  # [num_seeds, num_tasks, num_trials]
    reference = Reference(BY_EXPERTS_EPISODE, returns[EXPERT][0])
    scores = Scores({player: {values.shape[2]: values} for player, values in returns.items()}, reference)
    of_arms = [(job, outcome) for job, outcome in found if job.arm in experiment.arms]
    content = {
        "experiment": experiment.name,
        "question": experiment.question,
        "arms": list(dict.fromkeys(job.arm for job, _ in of_arms)),
        "runs": [
            {"arm": job.arm, "seed": job.seed, **{name: outcome[name] for name in ("options", "numbers", "machine")}}
            for job, outcome in of_arms
        ],
        **summarise(scores),
    }
    text = json.dumps(content, indent=1) + "\n"
    content = json.loads(text)
    figure = to_png(draw_trials(content, main=content["arms"]))
    files = {"json": text.encode(), "png": figure, "html": _page(content, figure).encode()}
    for suffix, written in files.items():
        write_atomically(folder / f"{experiment.name}.{suffix}", written)
    return content


def _page(content: Mapping[str, Any], figure: bytes) -> str:
    """The question, scores by trial, the figure, and what each run measured."""
    of_players = {player: next(iter(by_k.values())) for player, by_k in content["scores"].items()}
    num_trials = len(next(iter(of_players.values()))["score"]["value"])
    by_trial = {
        player: [
            *({part: of_k["score"][part][trial] for part in ("value", "low", "high")} for trial in range(num_trials)),
            of_k["gain"],
            of_k.get("difference"),
        ]
        for player, of_k in of_players.items()
    }
    first = content["arms"][0]
    headings = ("player", *(f"trial {trial + 1}" for trial in range(num_trials)), "gain", f"minus {first}")
    names = list(dict.fromkeys(name for run in content["runs"] for name in run["numbers"]))
    lines = [
        f"<tr><th>{html.escape(run['arm'])}</th><td>{run['seed']}</td>"
        + "".join(f"<td>{run['numbers'].get(name, '')}</td>" for name in names)
        + f"<td>{html.escape(run['machine']['device'])}, {run['machine']['num_cores']} cores</td></tr>"
        for run in content["runs"]
    ]
    head = "".join(f"<th>{html.escape(name.replace('_', ' '))}</th>" for name in ("arm", "seed", *names, "machine"))
    about = (
        f"A score of 1 is {content['reference']['kind']}. Means over {content['num_tasks']} tasks and the seeds of an "
        "arm, with 95 % intervals over both. Gain is the last trial minus the first."
    )
    parts = [
        f"<h1>{html.escape(content['experiment'])}</h1><p>{html.escape(content['question'])}</p>",
        html_table(by_trial, headings),
        f"<p><small>{html.escape(about)}</small></p>",
        f"<figure>{embed(figure, 'png')}</figure>",
        f"<h2>Runs</h2><table><tr>{head}</tr>{''.join(lines)}</table>",
    ]
    return wrap_page(content["experiment"], parts)
