"""HTML pages that need no other file; and the report of a sweep as one: numbers, figures, replays."""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xworld.evaluation.report.look import to_png
from xworld.evaluation.report.plots import draw_breakdown, draw_curves, draw_profile, draw_statistics
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
    """The page of a player with several numbers of trials.

    Args:
      content: of a scores.json with one player.
      films: replays of some of the tasks.
    """
    (player,) = content["scores"]
    of_player, task_set, protocol = content["scores"][player], content["task_set"], content["protocol"]
    num_without = content["reference"]["num_tasks_without"]
    title = f"{player} on {task_set['name']}"
    about = (
        f"{content['num_tasks']} tasks, {protocol['num_repetitions']} episodes of each for every number of trials, "
        f"seed {protocol['seed']}. A task's score is its mean return in the last trial, divided by "
        f"{content['reference']['kind']}. {content['num_tasks'] - num_without} tasks have a score; for {num_without} "
        "no return above 0 is known. In brackets: 95 % intervals over tasks, which say nothing of other training seeds."
    )
    figures = (draw(content, player) for draw in (draw_statistics, draw_curves, draw_profile, draw_breakdown))
    parts = [
        f"<h1>{html.escape(title)}</h1><p>{html.escape(about)}</p>",
        _statistics_table({k: of_k["last"] for k, of_k in of_player.items()}),
        *([_about_zeros(num_without)] if num_without else []),
        *([_statistics_table({k: of_k["last_with_zeros"] for k, of_k in of_player.items()})] if num_without else []),
        *(f"<figure>{embed(to_png(figure), 'png')}</figure>" for figure in figures),
        "<h2>Replays</h2>",
        *(_film(film) for film in films),
        f"<p><small>Tasks {task_set['content_hash'][:16]}, player {content['players'][player]['digest'][:16]}. "
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


def html_table(rows: Mapping[str, Sequence[Mapping[str, float | None] | None]], headings: Sequence[str]) -> str:
    """A table of values with their intervals, if any: a row for each name, a column for each heading but the first."""
    head = "".join(f"<th>{html.escape(heading)}</th>" for heading in headings)
    lines = [f"<tr>{head}</tr>"]
    for name, cells in rows.items():
        texts = "".join(f"<td>{_cell(cell)}</td>" for cell in cells)
        lines.append(f"<tr><th>{html.escape(name)}</th>{texts}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _cell(found: Mapping[str, float | None] | None) -> str:
    if found is None:
        return ""
    has_interval = found["low"] is not None
    return f"{found['value']:.3f}" + (
        f" <small>({found['low']:.3f} to {found['high']:.3f})</small>" if has_interval else ""
    )


def _statistics_table(by_k: Mapping[str, Any]) -> str:
    rows = {k: [cells[name] for name in STATISTIC_NAMES] for k, cells in by_k.items()}
    return html_table(rows, ("trials", *STATISTIC_NAMES.values()))


def _about_zeros(num_without: int) -> str:
    return (
        f"<p>With the {num_without} tasks without a reference counted as 0. Where the reference finds nothing in hard "
        "tasks, the table above is of the easier ones.</p>"
    )


def _film(film: Film) -> str:
    return (
        f"<figure>{embed(film.gif, 'gif')}<figcaption>{html.escape(film.caption)}</figcaption></figure>"
        f"<details><summary>The task</summary><pre>{html.escape(film.task_text)}</pre></details>"
    )
