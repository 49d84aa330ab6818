"""The report of a sweep as one HTML page that needs no other file: numbers, figures, replays."""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xworld.evaluation.report import sweep_plots
from xworld.evaluation.scores.summary import STATISTIC_NAMES

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #2b2f36; max-width: 900px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; } td, th { padding: .3em .8em; text-align: right; border-bottom: 1px solid #e6e8eb; }
th { font-weight: 600; } small { color: #8b929c; } img { max-width: 100%; } pre { white-space: pre-wrap; }
figure { margin: 1.5em 0; } figcaption { color: #5b626c; }
"""


@dataclass(frozen=True)
class Film:
    """A replay in the page."""

    caption: str
    gif: bytes
    task_text: str


def make_page(content: Mapping[str, Any], films: Sequence[Film]) -> str:
    """The page.

    Args:
      content: what is in `scores.json`.
      films: replays of some of the tasks.
    """
    player, task_set, protocol = content["player"], content["task_set"], content["protocol"]
    num_scored = content["num_tasks"] - content["reference"]["num_tasks_without"]
    title = f"{player['name']} on {task_set['name']}"
    about = (
        f"{content['num_tasks']} tasks, {protocol['num_repetitions']} episodes of each for every number of trials, "
        f"seed {protocol['seed']}. A task's score is its mean return in the last trial, divided by "
        f"{content['reference']['kind']}. {num_scored} tasks have a score; for "
        f"{content['reference']['num_tasks_without']} no return above 0 is known. In brackets: 95 % bootstrap "
        "intervals over tasks."
    )
    figures = (
        sweep_plots.draw_scores(content),
        sweep_plots.draw_curves(content),
        sweep_plots.draw_profile(content),
        sweep_plots.draw_breakdown(content),
    )
    parts = [
        f"<h1>{html.escape(title)}</h1><p>{html.escape(about)}</p>",
        _table(content["summary"]),
        *_with_zeros(content),
        *(f"<figure>{embed(sweep_plots.to_png(figure), 'png')}</figure>" for figure in figures),
        "<h2>Replays</h2>",
        *(_film(film) for film in films),
        f"<p><small>Tasks {task_set['content_hash'][:16]}, player {player['digest'][:16]}. "
        "All numbers, task by task: scores.json.</small></p>",
    ]
    return wrap_page(title, parts)


def wrap_page(title: str, parts: Sequence[str]) -> str:
    """A whole page, of a title that is not yet escaped and of parts that are HTML."""
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def embed(picture: bytes, kind: str) -> str:
    """An HTML element with a picture of a kind, such as png, in it."""
    return f'<img alt="" src="data:image/{kind};base64,{base64.b64encode(picture).decode()}">'


def _table(summary: Mapping[str, Any]) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("trials", *STATISTIC_NAMES.values()))
    rows = []
    for num_trials, of_k in summary.items():
        cells = (of_k[name] for name in STATISTIC_NAMES)
        values = "".join(
            f"<td>{cell['value']:.3f} <small>({cell['low']:.3f} to {cell['high']:.3f})</small></td>" for cell in cells
        )
        rows.append(f"<tr><th>{num_trials}</th>{values}</tr>")
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _with_zeros(content: Mapping[str, Any]) -> list[str]:
    """The table once more, with tasks that have no reference, if there are any."""
    num_without = content["reference"]["num_tasks_without"]
    if not num_without:
        return []
    text = (
        f"<p>With the {num_without} tasks without a reference counted as 0. Where the reference finds nothing in hard "
        "tasks, the table above is of the easier ones.</p>"
    )
    return [text, _table(content["summary_with_zeros"])]


def _film(film: Film) -> str:
    return (
        f"<figure>{embed(film.gif, 'gif')}<figcaption>{html.escape(film.caption)}</figcaption></figure>"
        f"<details><summary>The task</summary><pre>{html.escape(film.task_text)}</pre></details>"
    )
