"""What a sweep leaves behind: scores.json with every number, and replays of the best, a typical and the worst task."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xworld.agents.players import Player
from xworld.base.errors import ConfigError
from xworld.base.files import check_folder, write_atomically
from xworld.evaluation.reference import SCHEMA, Reference
from xworld.evaluation.report.page import Film, make_page
from xworld.evaluation.report.plots import plot_learning_curve, plot_scores
from xworld.evaluation.scores.comparison import Comparison
from xworld.evaluation.scores.summary import summarise, summarise_sweep, task_rows
from xworld.evaluation.scores.sweep import Sweep, replay
from xworld.evaluation.task_sets import TaskCollection
from xworld.histories import history_of, write_history
from xworld.rendering import episode_frames, save_animation
from xworld.tasks import to_text

_FPS = 10.0


def collect_scores(collection: TaskCollection, player: Player, sweep: Sweep, reference: Reference) -> dict[str, Any]:
    """The content of `scores.json`, as JSON types. Nothing in it depends on when or where it was made.

    Raises:
      ConfigError: no task has a reference.
    """
    ids = {name: np.asarray(getattr(collection.tasks, name)) for name in ("world_id", "game_id")}
    rows = task_rows(sweep, reference, ids | collection.features)
    if collection.task_names is not None:
        rows = [{"name": name, **row} for name, row in zip(collection.task_names, rows, strict=True)]
    return {
        "schema": SCHEMA,
        "player": player.about,
        "task_set": {"name": collection.name, "content_hash": collection.content_hash},
        "env": dataclasses.asdict(collection.env.config),
        "protocol": dataclasses.asdict(sweep.config),
        **summarise_sweep(sweep, reference, collection.features),
        "tasks": rows,
    }


def write_scores(
    folder: Path, collection: TaskCollection, player: Player, sweep: Sweep, reference: Reference
) -> dict[str, Any]:
    """Writes `scores.json`, `report.html` and up to three replays, as films and as histories, into the folder.

    Returns:
      The content of `scores.json`.

    Raises:
      ConfigError: a file cannot be written, or no task has a reference.
    """
    content = collect_scores(collection, player, sweep, reference)
    # Through JSON, so that figures are drawn from what a reader finds in the file.
    text = json.dumps(content, indent=1) + "\n"
    content = json.loads(text)
    write_atomically(folder / "scores.json", text.encode())
    films = list(_film_tasks(folder, collection, player, sweep, content))
    write_atomically(folder / "report.html", make_page(content, films).encode())
    return content


def choose_tasks(scores: np.ndarray) -> dict[str, int]:
    """The indices of the best, a typical and the worst of [num_tasks] scores; tasks with NaN have none.

    Typical is what is nearest to the median. Of equals the first is taken.
    """
    median = np.nanmedian(scores)
    return {
        "best": int(np.nanargmax(scores)),
        "typical": int(np.nanargmin(np.abs(scores - median))),
        "worst": int(np.nanargmin(scores)),
    }


def _film_tasks(
    folder: Path, collection: TaskCollection, player: Player, sweep: Sweep, content: dict[str, Any]
) -> Iterator[Film]:
    """Films the first and the last trial of an episode of each chosen task, with the most trials."""
    num_trials = sweep.config.num_trials[-1]
    scores = np.array([task["score"][str(num_trials)] for task in content["tasks"]], np.float64)
    chosen = {task_id: name for name, task_id in reversed(choose_tasks(scores).items())}  # of few tasks, each once
    for task_id, name in reversed(chosen.items()):
        last = sweep.returns[num_trials][task_id, :, -1]
        repetition = int(np.abs(last - last.mean()).argmin())
        states, timesteps = replay(
            collection.env, collection.tasks, player.policy, sweep.config, num_trials, task_id, repetition
        )
        players, task_name = [player.name] * collection.env.config.num_agents, f"{collection.name}-{task_id}"
        history = history_of(collection.env, states, timesteps, players, task_name)
        write_history(folder / f"replay-{name}.jsonl", history)
        frames = episode_frames(collection.env, states, timesteps, trials=(0, num_trials - 1))
        path = save_animation(frames, folder / f"replay-{name}.gif", fps=_FPS)
        caption = (
            f"The {name} task, number {task_id}: score {scores[task_id]:.2f} with {num_trials} trials. "
            f"The last trial of this episode returned {last[repetition]:g}, the mean is {last.mean():g}. "
            "Shown are the first trial and the last."
        )
        task = jax.tree.map(lambda leaf, task_id=task_id: leaf[task_id], collection.tasks)
        yield Film(caption, path.read_bytes(), to_text(task))


def write_report(
    folder: str | Path, comparison: Comparison, about: Mapping[str, Any], metrics: str | Path | None = None
) -> dict[str, Any]:
    """Writes `scores.json` and `scores.png`, and `learning_curve.png` if there are `metrics`, into `folder`.

    Args:
      folder: made if it is not there.
      comparison: from `compare`.
      about: what else belongs into `scores.json`: configuration, command, seeds; JSON types only.
      metrics: a `metrics.csv` of training.

    Returns:
      What was written to `scores.json`.

    Raises:
      ConfigError: the folder cannot be written to, or the metrics cannot be read.
    """
    folder = check_folder(folder)
    content = {**summarise(comparison), "about": dict(about)}
    text = json.dumps(content, indent=2) + "\n"
    try:
        (folder / "scores.json").write_text(text)
        plot_scores(comparison, folder / "scores.png")
        if metrics is not None:
            plot_learning_curve(metrics, folder / "learning_curve.png")
    except OSError as error:
        raise ConfigError(
            f"The report cannot be written to {folder}: {error.strerror}. Choose another folder."
        ) from error
    return content
