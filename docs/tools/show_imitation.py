"""Writes the tables of docs/imitation.md, and draws its picture, from what its two experiments left in docs/results.

python docs/tools/show_imitation.py
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xworld.apps.laboratory.experiments.byrnes_cut.arms import ARMS
from xworld.apps.laboratory.experiments.byrnes_cut.cuts import CUTS, LEVELS, NUM_BLOCKS
from xworld.apps.laboratory.experiments.byrnes_cut.lives import FAMILIES
from xworld.evaluation.report.look import FAINT, INK, add_axes, blank_figure, to_png

PAGE = Path(__file__).parents[1] / "imitation.md"
LAB = Path(__file__).parents[1] / "results" / "lab"
OUTCOMES = LAB / "byrnes-cut"
SEEDS = range(3)
BLOCKS = {0: "1 to 20", 1: "21 to 40", 4: "81 to 100", 9: "181 to 200", 19: "381 to 400"}
MEANS = ("return_seen", "policy_seen", "gain", "after_late", "greedy", "gain_forgetful")
TRIALS = (1, 5, 10, 20)  # of distil
DRAWN = {
    "q-learner": "Teacher: a Q-learner, which learns at once",
    "reinforce": "Teacher: REINFORCE, which learns slowly",
}
TEACHER, IMITATOR = "#3b6fb6", "#d1495b"
NULLS = ("teacher", *(f"stopped-{cut}" for cut in (*CUTS, *LEVELS)), "random")


def main() -> None:
    """Puts each table between the lines that begin and end it, and draws the picture."""
    (PAGE.parent / "images" / "imitation.png").write_bytes(drawn())
    text = PAGE.read_text()
    for family in ("q-learner", "q-learner-6x6", "scripted-learner", "reinforce"):
        text = replaced(text, family, arms_table(family))
    text = replaced(replaced(text, "teachers", teachers_table()), "details", details_table())
    families = json.loads((LAB / "distil" / "distil.json").read_text())["families"]
    text = replaced(text, "tasks-4096", trials_table(families["tasks-4096"]))
    PAGE.write_text(replaced(text, "distil", tasks_table(families)))


def drawn() -> bytes:
    """What is seen, and what comes of it: a panel for each of two teachers, as a PNG file."""
    figure = blank_figure(11.0, 4.3)
    for number, (family, title) in enumerate(DRAWN.items()):
        axes = add_axes(figure, (0.06 + 0.49 * number, 0.13, 0.42, 0.76))
        nulls = read(f"{family}-baselines")
        teacher, stopped = returns(nulls, "teacher"), returns(nulls, "stopped-10")[0]
        imitator = np.mean([returns(one, "ad-10") for one in outcomes(family, "ad-10")], axis=0)
        middle = 20 * np.arange(NUM_BLOCKS) + 10  # of blocks of 20 trials
        axes.axvspan(0, 20, color=TEACHER, alpha=0.15, linewidth=0)
        axes.plot(middle, teacher, color=TEACHER, linewidth=1.6, linestyle=(0, (4, 2)))
        axes.plot(middle[:1], teacher[:1], "o", color=TEACHER, markersize=5)
        axes.axhline(stopped, color=FAINT, linewidth=1.2, linestyle=(0, (1, 2)))
        axes.plot(middle, imitator, color=IMITATOR, linewidth=2.4)
        axes.set(xlim=(0, 400), ylim=(0, 5), xlabel="trial of a life")
        axes.set_title(title, loc="left", color=INK, fontsize=11.5, fontweight="bold", pad=12)
        axes.text(
            24, 0.3, "seen: the first 20 trials\nof 3446 lives in other tasks", color=TEACHER, fontsize=9.5, va="center"
        )
        axes.text(395, teacher[-1] + 0.15, "the teacher goes on, unseen", color=TEACHER, fontsize=9.5, ha="right")
        axes.text(395, stopped - 0.22, "the teacher stops after 20 trials", color=FAINT, fontsize=9.5, ha="right")
        above = imitator[-1] > stopped
        height = imitator[-1] + 0.15 if above else imitator[-1] - 0.3
        axes.text(395, height, "the imitator goes on, its weights frozen", color=IMITATOR, fontsize=9.5, ha="right")
    figure.axes[0].set_ylabel("return of a trial")
    return to_png(figure)


def replaced(text: str, name: str, table: Sequence[str]) -> str:
    """The page with another table of a name."""
    begin, end = f"<!-- table {name} -->\n", "<!-- end -->"
    before, _, rest = text.partition(begin)
    return before + begin + "\n" + "\n".join(table) + "\n\n" + end + rest.partition(end)[2]


def arms_table(family: str) -> list[str]:
    """A row for each arm, mean of its seeds, and for each null."""
    lines = head(["", *(f"trials {name}" for name in BLOCKS.values()), "`above_stopped`, seed by seed"])
    for arm in ARMS:
        found = outcomes(family, arm)
        if found:
            blocks = np.mean([returns(one, arm) for one in found], axis=0)
            lines.append(row([f"`{arm}`", *chosen(blocks), margins(found)]))
    nulls = read(f"{family}-baselines")
    for name in filter(nulls["returns"].__contains__, NULLS):
        lines.append(row([f"`{name}`", *chosen(returns(nulls, name)), ""]))
    return lines


def details_table() -> list[str]:
    """A row for each arm of each family with all of its numbers, mean of its seeds."""
    lines = head(["teacher", "imitator", *(f"`{name}`" for name in MEANS), "seeds"])
    for family in FAMILIES:
        for arm in ARMS:
            found = outcomes(family, arm)
            means = [f"{np.mean([one['numbers'][name] for one in found]):.2f}" for name in MEANS if found]
            lines += [row([f"`{family}`", f"`{arm}`", *means, str(len(found))])] * bool(found)
    return lines


def teachers_table() -> list[str]:
    """A row for each teacher, the quickest first: what it is worth, and what becomes of its imitator."""
    worth = ["trials 1 to 20", "`policy_seen`", "181 to 200", "stopped", "`ad-10`"]
    late = ["`after_late`, teacher", "`after_late`, `ad-10`"]
    lines = []
    for family in FAMILIES:
        found, nulls = outcomes(family, "ad-10"), read(f"{family}-baselines")
        if found:
            teacher, stopped = returns(nulls, "teacher"), returns(nulls, "stopped-10")
            student = np.mean([returns(one, "ad-10")[9] for one in found])
            numbers = {name: np.mean([one["numbers"][name] for one in found]) for name in found[0]["numbers"]}
            values = [teacher[0], numbers["policy_seen"], teacher[9], stopped[9], student]
            values += [numbers["after_late_teacher"], numbers["after_late"]]
            cells = [f"{numbers['trials_to_master']:.0f}", *(f"{value:.2f}" for value in values), str(len(found))]
            lines.append((numbers["trials_to_master"], row([f"`{family}`", *cells, margins(found)])))
    heading = head(["teacher", "`trials_to_master`", *worth, *late, "seeds", "`above_stopped`"])
    return [*heading, *(line for _, line in sorted(lines))]


def trials_table(of_family: dict[str, Any]) -> list[str]:
    """Of a family of distil: a row for each player, with the intervals of the last trial and of the gain."""
    lines = head(["", *(f"trial {number}" for number in TRIALS), "gain", "seeds"])
    for player, (of_player,) in by_player(of_family):
        score = of_player["score"]
        early = [f"{score['value'][number - 1]:.2f}" for number in TRIALS[:-1]]
        last = interval({part: values[TRIALS[-1] - 1] for part, values in score.items()})
        seeds = [run["seed"] for run in of_family["runs"] if run["arm"] == player]
        lines.append(row([f"`{player}`", *early, last, interval(of_player["gain"]), str(len(seeds) or "")]))
    return lines


def tasks_table(families: dict[str, Any]) -> list[str]:
    """Of distil: the last trial's score by how many tasks there were to train on."""
    names = list(dict.fromkeys(run["arm"] for of_family in families.values() for run in of_family["runs"]))
    lines = head(["", *(f"{family.removeprefix('tasks-')} tasks" for family in families)])
    for name in names:
        of_families = [dict(by_player(of_family)).get(name) for of_family in families.values()]
        cells = ["" if found is None else interval(found[0]["last"]["mean"]) for found in of_families]
        lines.append(row([f"`{name}`", *cells]))
    return lines


def by_player(of_family: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Each player, and its scores by number of trials."""
    return [(player, list(by_k.values())) for player, by_k in of_family["scores"].items()]


def interval(value: dict[str, float]) -> str:
    """A mean with its 95 % interval."""
    return "{value:.2f} ({low:.2f} to {high:.2f})".format(**value)


def outcomes(family: str, arm: str) -> list[dict[str, Any]]:
    """Those of the seeds that are there."""
    found = [read(f"{family}-{arm}-seed{seed}") for seed in SEEDS]
    return [one for one in found if one]


def read(name: str) -> dict[str, Any]:
    """The outcome of a run; nothing if it is not there."""
    path = OUTCOMES / name / "outcome.json"
    return json.loads(path.read_text()) if path.exists() else {}


def returns(outcome: dict[str, Any], player: str) -> np.ndarray:
    """[blocks] mean over tasks."""
    return np.array(outcome["returns"][player][str(NUM_BLOCKS)]).reshape(-1, NUM_BLOCKS).mean(0)


def margins(found: Sequence[dict[str, Any]]) -> str:
    """By how much the stopped teachers were beaten, seed by seed, with its interval."""
    keys = ("above_stopped", "above_stopped_low", "above_stopped_high")
    return ", ".join("{:.2f} ({:.2f} to {:.2f})".format(*(one["numbers"][key] for key in keys)) for one in found)


def chosen(blocks: np.ndarray) -> list[str]:
    """The cells of some blocks."""
    return [f"{blocks[number]:.2f}" for number in BLOCKS]


def head(cells: Sequence[str]) -> list[str]:
    """The first two lines of a table."""
    return [row(cells), "|" + "---|" * len(cells)]


def row(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
