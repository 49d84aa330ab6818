"""The tables of `inspection.json`, for a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from xworld.evaluation.inspection.inspect import FORGETFUL, PLACES
from xworld.evaluation.report.tables import shown_trials
from xworld.evaluation.scores.scores import AGENT


def inspection_tables(content: Mapping[str, Any]) -> Iterator[Table]:
    """Scores and probe by trial; attention by head, if there is any; training by quarters, if it was a run's.

    Of more than six trials the first table shows some, so that it fits a terminal.
    """
    (k,) = content["scores"][AGENT]
    yield _by_trial(content, int(k))
    if content["attention"] is not None:
        yield _attention(content["attention"])
    if content["training"] is not None:
        yield _training(content["training"])


def _by_trial(content: Mapping[str, Any], num_trials: int) -> Table:
    table = Table(title="by trial", title_justify="left")
    table.add_column("")
    trials = shown_trials(num_trials, most=6)
    for trial in trials:
        table.add_column(str(trial + 1), justify="right")
    for player, name in {AGENT: "score", **{name: f"score, {name}" for name in FORGETFUL}}.items():
        values = content["scores"][player][str(num_trials)]["score"]["value"]
        table.add_row(name, *(f"{values[trial]:.2f}" for trial in trials))
    probe = content["probe"]
    if "memory" in probe:
        for part, name in (("memory", "probe: what made the goal"), ("no_memory", "probe, memory emptied")):
            table.add_row(name, "", *(f"{probe[part]['value'][trial - 1]:.2f}" for trial in trials[1:]))
        table.add_row("probe, chance", "", *[f"{probe['chance']:.2f}"] * (len(trials) - 1))
    return table


def _attention(layers: list[list[dict[str, Any]]]) -> Table:
    table = Table(title="share of attention after the first trial", title_justify="left")
    table.add_column("layer, head")
    for place in PLACES:
        table.add_column(place.replace("_", " "), justify="right")
    for i, layer in enumerate(layers, start=1):
        for j, head in enumerate(layer, start=1):
            table.add_row(f"{i}, {j}", *(f"{head[place]:.2f}" for place in PLACES))
    return table


def _training(quarters: list[dict[str, float]]) -> Table:
    table = Table(title="training, by quarters of the run", title_justify="left")
    table.add_column("quarter")
    for name in quarters[0]:
        table.add_column(name.replace("_", " "), justify="right")
    for number, quarter in enumerate(quarters, start=1):
        table.add_row(str(number), *(f"{value:.3f}" for value in quarter.values()))
    return table
