"""The page of an experiment: its question, its figures, and tables of everything that was found."""

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xworld.apps.laboratory.experiment import ALL_ARMS
from xworld.apps.laboratory.report.fits import describe_fit
from xworld.apps.laboratory.report.missing import lines_of_missing
from xworld.evaluation.report.page import embed, html_table, wrap_page
from xworld.evaluation.scores.summary import STATISTIC_NAMES


def make_page(content: Mapping[str, Any], figures: Sequence[bytes]) -> str:
    """The question, the figures, and for each family scores by trial and what each run measured."""
    families = content["families"]
    parts = [f"<h1>{html.escape(content['experiment'])}</h1><p>{html.escape(content['question'])}</p>"]
    parts += [f"<p>{html.escape(line)}</p>" for line in lines_of_missing(content["missing"])]
    parts += [f"<figure>{embed(figure, 'png')}</figure>" for figure in figures]
    parts += [_over_families(content)] * (len(families) > 1)
    parts += [_table_of_rows(content["of_all_rows"])] * bool(content["of_all_rows"])
    parts += [_about_cross_play(content["cross_play"])] * bool(content["cross_play"])
    for family, of_family in families.items():
        parts += [f"<h2>{html.escape(family)}</h2>"] * (len(families) > 1)
        first = of_family["runs"][0]["arm"] if of_family["runs"] else content["arms"][0]
        parts += [_by_trial(first, of_family, content["unit"]), _by_number_of_trials(first, of_family)]
        parts += [_after_training(of_family["after_training"]), _to_needed(of_family["to_needed"])]
        parts += [_gain_kept(of_family["gain_kept"])]
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
        ratio, minus = one["ratio"], one["ratio"].get("difference", {})
        cells = [one["with_themselves"], one["with_others"], *(ratio[name] for name in ("value", "low", "high"))]
        lines.append(_row(title, [*cells, *(minus.get(name) for name in ("value", "low", "high"))]))
    names = ("arm", "with themselves", "with others", "ratio", "low", "high", "minus the first", "low", "high")
    about = (
        "Last trials of tasks for two, both ways to sit. Low and high: 95 % intervals, of a ratio over tasks, of the "
        "difference to the first arm's over tasks and seeds, or with two seeds over tasks."
    )
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
            of_k.get("later_gain"),
            of_k.get("difference"),
            of_k.get("difference_of_percentile_20"),
        ]
        for player, of_k in of_players.items()
    }
    headings = (
        "player",
        *(f"{unit.split()[0]} {trial + 1}" for trial in range(num_trials)),
        "gain",
        "later gain",
        f"minus {first}",
        f"20th percentile minus {first}'s",
    )
    about = (
        f"A score of 1 is {content['reference']['kind']}. Means over the {content['num_scored'][str(num_trials)]} of "
        f"{content['num_tasks']} tasks that have a score, and the seeds of an arm, with 95 % intervals over both, or "
        f"over tasks where there is one seed. Gain is the last {unit} minus the first, later gain minus "
        f"number {middle(num_trials)}. {_about_seeds(content['runs'])}"
    )
    return html_table(by_trial, headings) + f"<p><small>{html.escape(about)}</small></p>"


def middle(num_trials: int) -> int:
    """The trial in the middle, from 1, that later gains begin with: the sixth of 13."""
    return num_trials // 2


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


def _after_training(of_players: Mapping[str, Any]) -> str:
    """A table of what becomes of scores in more trials than were trained on; none where there are no more."""
    if not of_players:
        return ""
    rows = {
        f"{player}; lowest in trial {one['lowest']['trial']}": [one["last"], one["lowest"]]
        for player, one in of_players.items()
    }
    one = next(iter(of_players.values()))
    headings = ("player", f"trial {one['to']} minus trial {one['from']}", f"lowest minus trial {one['from']}")
    return f"<h3>More trials than the {one['from']} of training</h3>{html_table(rows, headings)}"


def _to_needed(of_arms: Mapping[str, Any]) -> str:
    """A table of what each arm has more than the run that it began with; none where no arm needs another's."""
    rows = {f"{arm} minus {found['to']}": [found] for arm, found in of_arms.items()}
    headings = ("arms", "last trial, seed by seed")
    return f"<h3>Minus the run that each needed</h3>{html_table(rows, headings)}" if rows else ""


def _gain_kept(of_arms: Mapping[str, Any]) -> str:
    """A table of the share of another arm's gain that each arm keeps; none where there are no two of a group."""
    rows = {f"{arm} of {kept['of']}": [kept] for arm, kept in of_arms.items()}
    return f"<h3>Share of the gain that is kept</h3>{html_table(rows, ('arms', 'share'))}" if rows else ""


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
