"""What an evaluation leaves behind: scores.json with every number, a report, and replays of some of the tasks."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xworld.agents.players import Player
from xworld.base.files import check_folder, write_atomically
from xworld.evaluation.reference import BY_HALF, Reference, halves
from xworld.evaluation.report.learning_curve import draw_learning_curve
from xworld.evaluation.report.look import to_png
from xworld.evaluation.report.page import Film, make_page
from xworld.evaluation.report.plots import draw_trials
from xworld.evaluation.scores.scores import Scores
from xworld.evaluation.scores.summary import make_content
from xworld.evaluation.scores.sweep import SweepConfig, play_again, sweep_scores
from xworld.histories import history_of, write_history
from xworld.tasks import TaskCollection, to_text

_FPS = 10.0


def write_json(folder: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Writes `scores.json`; its content as a reader finds it there, so that figures and tables are drawn from that.

    Raises:
      ConfigError: it cannot be written.
    """
    text = json.dumps(content, indent=1) + "\n"
    write_atomically(folder / "scores.json", text.encode())
    read: dict[str, Any] = json.loads(text)
    return read


def write_comparison(
    folder: str | Path, scores: Scores, about: Mapping[str, Any], metrics: str | Path | None = None
) -> dict[str, Any]:
    """Writes `scores.json` and `scores.png`, and `learning_curve.png` if there are `metrics`, into `folder`.

    Args:
      folder: made if it is not there.
      scores: from `compare`.
      about: what else belongs into `scores.json`: configuration, command, seeds; JSON types only.
      metrics: a `metrics.csv` of training.

    Returns:
      The content of `scores.json`.

    Raises:
      ConfigError: the folder cannot be written to, or the metrics cannot be read.
    """
    folder = check_folder(folder)
    content = write_json(folder, make_content(scores, {}, {}, {}, about=dict(about)))
    write_atomically(folder / "scores.png", to_png(draw_trials(content)))
    if metrics is not None:
        write_atomically(folder / "learning_curve.png", to_png(draw_learning_curve(metrics)))
    return content


def write_sweep(
    folder: Path,
    collection: TaskCollection,
    player: Player,
    config: SweepConfig,
    returns: Mapping[int, np.ndarray],
    reference: Reference,
    cooperation: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes `scores.json`, `report.html` and up to three replays, as films and as histories, into the folder.

    Args:
      folder: made if it is not there.
      collection: the tasks.
      player: who played them.
      config: what was played.
      returns: from `run_sweep`.
      reference: of the tasks.
      cooperation: from `measure_cooperation`, of a player with a partner.

    Returns:
      The content of `scores.json`.

    Raises:
      ConfigError: a file cannot be written, or no task has a reference.
    """
    ids = {name: np.asarray(getattr(collection.tasks, name)).tolist() for name in ("world_id", "game_id")}
    names = {} if collection.task_names is None else {"name": collection.task_names}
    content = make_content(
        sweep_scores(player.name, returns, reference),
        {player.name: player.about},
        {**names, **ids, **_by_half(returns, config)},
        collection.features,
        task_set={"name": collection.name, "content_hash": collection.content_hash},
        env=asdict(collection.env.config),
        protocol=asdict(config),
        **({} if cooperation is None else {"cooperation": cooperation}),
    )
    content = write_json(check_folder(folder), content)
    films = list(_film_tasks(folder, collection, player, config, returns, content))
    write_atomically(folder / "report.html", make_page(content, films).encode())
    return content


def _by_half(returns: Mapping[int, np.ndarray], config: SweepConfig) -> dict[str, list[dict[str, list[float]]]]:
    """The column that `fine_tuned_reference` reads; none of one episode of each task."""
    if config.num_repetitions < 2:
        return {}
    by_k = {str(k): halves(played).tolist() for k, played in returns.items()}
    num_tasks = len(next(iter(returns.values())))
    return {BY_HALF: [{k: of_tasks[task_id] for k, of_tasks in by_k.items()} for task_id in range(num_tasks)]}


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
    folder: Path,
    collection: TaskCollection,
    player: Player,
    config: SweepConfig,
    returns: Mapping[int, np.ndarray],
    content: dict[str, Any],
) -> Iterator[Film]:
    """Films the first and the last trial of an episode of each chosen task, with the most trials."""
    from xworld.rendering import episode_frames, save_animation  # scores need no package that draws films

    num_trials = config.num_trials[-1]
    scores = np.array([task["score"][player.name][str(num_trials)] for task in content["tasks"]], np.float64)
    chosen = {task_id: name for name, task_id in reversed(choose_tasks(scores).items())}  # of few tasks, each once
    for task_id, name in reversed(chosen.items()):
        last = returns[num_trials][task_id, :, -1]
        repetition = int(np.abs(last - last.mean()).argmin())
        states, timesteps = play_again(
            collection.env, collection.tasks, player.policy, config, num_trials, task_id, repetition
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
