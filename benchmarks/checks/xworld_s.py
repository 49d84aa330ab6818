"""How hard the tasks of the benchmark `xworld-s` are: time that the expert needs, scores of scripted players, agents.

    python -m benchmarks.checks.xworld_s --agents runs/s

Everything is on the validation split, so that nothing is chosen by looking at the test set. Writes a JSON file and the
tables of `docs/xworld-s.md`.
"""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import replace_section, table
from xworld.agents import Expert
from xworld.agents.expert.expert import PlanTable
from xworld.agents.players import SCRIPTED, agent_folder, player_by_name
from xworld.evaluation import Reference, SweepConfig, run_sweep, sweep_scores
from xworld.evaluation.scores.summary import STATISTIC_NAMES, last_statistics
from xworld.tasks import TaskCollection, tasks_by_name
from xworld.training.logs.metrics import MetricsWriter

DOCS = Path(__file__).resolve().parents[2] / "docs"
LENGTHS = ((30, 60), (35, 60), (40, 60))  # trials that were thought of
LONG = 100  # steps, in which every plan fits
NUM_TRIALS, NUM_REPETITIONS = 6, 10
SHOWN = ("median", "percentile_20", "mean", "share_at_0")


def main() -> None:
    """Measures, writes and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", default="s:validation", help="their name")
    parser.add_argument("--num-tasks", type=int, default=500)
    parser.add_argument("--agents", nargs="*", default=[], help="folders of training runs")
    parser.add_argument("--output", type=Path, default=DOCS / "results" / "xworld_s_calibration.json")
    parser.add_argument("--page", type=Path, default=DOCS / "xworld-s.md")
    arguments = parser.parse_args()
    collection = tasks_by_name(arguments.tasks).collect(arguments.num_tasks)
    plans = Expert(collection.env).plan_all(collection.tasks)
    content = {
        "benchmark": "xworld_s",
        "tasks": arguments.tasks,
        "num_tasks": arguments.num_tasks,
        "content_hash": collection.content_hash,
        "num_trials": NUM_TRIALS,
        "num_repetitions": NUM_REPETITIONS,
        "expert": describe_expert(collection, plans),
        "time": measure_time(collection),
        "players": [measure_player(name, collection, plans) for name in (*SCRIPTED, *arguments.agents)],
    }
    arguments.output.write_text(json.dumps(content, indent=1) + "\n")
    tables = make_tables(content)
    arguments.page.write_text(replace_section(arguments.page.read_text(), "xworld_s", tables))
    print(tables)


def describe_expert(collection: TaskCollection, plans: PlanTable) -> dict[str, Any]:
    """How many tasks it solves, and in which share of a trial's steps the goal then holds."""
    lengths = np.asarray(collection.tasks.trial_length)
    is_solved = np.array([reason is None for reason in plans.reasons])
    return {
        "solved": round(float(is_solved.mean()), 4),
        "return_of_length": round(float((plans.mean_returns / lengths).mean()), 3),
        "reasons": sorted(reason for reason in plans.reasons if reason is not None),
    }


def measure_time(collection: TaskCollection) -> dict[str, Any]:
    """Steps until the expert's goal holds, by firings, and the share of tasks that would be lost to shorter trials.

    Of a task it is the direction from which it takes longest. A trial's length is drawn apart from the rest, so a task
    is lost with the share of lengths that are too short for it.
    """
    lengths = np.full_like(collection.tasks.trial_length, LONG)
    plans = Expert(collection.env).plan_all(dataclasses.replace(collection.tasks, trial_length=lengths))
    steps = LONG + 1 - np.where(plans.can_occur, plans.returns, LONG).min(axis=1)  # more than LONG without a plan
    firings = collection.features["num_firings"]
    return {
        "by_firings": [
            {
                "firings": int(number),
                "num_tasks": int((firings == number).sum()),
                **{str(share): float(np.percentile(steps[firings == number], share)) for share in (50, 90, 99)},
            }
            for number in np.unique(firings)
        ],
        "lost": [
            {
                "trial_length": length,
                "share": round(float((steps[:, None] > np.arange(length[0], length[1] + 1)).mean()), 4),
            }
            for length in LENGTHS
        ],
    }


def measure_player(name: str, collection: TaskCollection, plans: PlanTable) -> dict[str, Any]:
    """Scores in the last of `NUM_TRIALS` trials, in all and by the number of firings; of an agent, its training."""
    player = player_by_name(name, collection.env, collection.tasks)
    config = SweepConfig((NUM_TRIALS,), NUM_REPETITIONS)
    returns = run_sweep(collection.env, collection.tasks, player.policy, config, show_progress=False)
    scores = sweep_scores(name, returns, Reference("the expert's plans", plans.mean_returns))
    last, firings = scores.score(name)[0, :, -1], collection.features["num_firings"]
    is_scored = ~np.isnan(last)
    described = last_statistics(last[None, is_scored])
    content: dict[str, Any] = {
        "name": name if agent_folder(name) is None else "GRU",
        "score": {key: {part: round(value, 4) for part, value in described[key].items()} for key in SHOWN},
        "by_firings": {
            str(number): round(float(last[is_scored & (firings == number)].mean()), 4) for number in np.unique(firings)
        },
    }
    if agent_folder(name) is not None:
        *_, row = MetricsWriter.read(Path(name))
        content["steps"] = int(row["steps"])
    return content


def make_tables(content: dict[str, Any]) -> str:
    """Markdown: the time that the expert needs, what shorter trials would cost, and scores."""
    time, expert = content["time"], content["expert"]
    needed = table(
        ("firings", "share of tasks", "steps, median", "90 % within", "99 % within"),
        [
            (
                row["firings"],
                f"{row['num_tasks'] / content['num_tasks']:.0%}",
                *(f"{row[share]:.0f}" for share in ("50", "90", "99")),
            )
            for row in time["by_firings"]
        ],
    )
    lost = table(
        ("trials of", "tasks that the expert cannot do in time"),
        [("{} to {} steps".format(*row["trial_length"]), f"{row['share']:.2%}") for row in time["lost"]],
    )
    firings = [str(row["firings"]) for row in time["by_firings"]]
    scores = table(
        ("player", *(STATISTIC_NAMES[name] for name in SHOWN), *(f"mean, {number} firings" for number in firings)),
        [
            (
                player["name"] + (f", {player['steps'] / 1e6:.1f} M steps" if "steps" in player else ""),
                *("{value:.3f} ({low:.3f} to {high:.3f})".format(**player["score"][name]) for name in SHOWN),
                *(f"{player['by_firings'][number]:.3f}" for number in firings),
            )
            for player in content["players"]
        ],
    )
    solved = (
        f"Of {content['num_tasks']} tasks `{content['tasks']}` the expert solves {expert['solved']:.1%} from every "
        f"direction; its goal holds in {expert['return_of_length']:.0%} of a trial's steps."
    )
    about = f"Scores of the last of {content['num_trials']} trials, {content['num_repetitions']} episodes of each task:"
    return "\n\n".join((needed, lost, solved, about, scores))


if __name__ == "__main__":
    main()
