"""What returns are divided by: the best return of each task by the expert or of an agent trained on the tasks."""

from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from xworld.agents import Expert
from xworld.base.digest import digest
from xworld.base.errors import ConfigError
from xworld.base.files import check_folder, read_array, write_array
from xworld.base.progress import progress_bar
from xworld.core.env import Env
from xworld.core.types import Task
from xworld.evaluation.scores.schema import read_scores

BY_EXPERT = "the expert's best known return"
BY_EXPERTS_EPISODE = "the expert's return in the same task and trial"
BY_FINE_TUNED = "the best last trial of an agent trained on the tasks"
BY_HALF = "last_return_by_half"  # of a task in scores.json: by number of trials, `halves` of its episodes
_TASKS_AT_A_TIME = 16  # between two writes of the file of best returns


@dataclass(frozen=True)
class Reference:
    """The return of a trial that scores 1."""

    kind: str  # where it is from: one of the names above
    best: np.ndarray  # [num_tasks] float32, or of single trials [num_tasks, num_trials]; 0 where none is known


def expert_reference(
    tasks: Task,
    expert: Expert,
    folder: Path,
    *,
    show_progress: bool = True,
) -> Reference:
    """The expert's best returns, kept in `folder`, so that they are found out once.

    A file is named by the tasks' content hash, the physics, and the expert's version and time limit, as another
    expert may find other plans. It is written as returns come, and one that was stopped goes on.

    Args:
      tasks: stacked tasks, leaves [num_tasks, ...].
      expert: of the environment the tasks are for.
      folder: made if it is not there.
      show_progress: whether to draw a progress bar.

    Raises:
      ConfigError: the folder cannot be used, or the file in it is damaged.
    """
    tasks = jax.device_get(tasks)
    num_tasks = len(tasks.trial_length)
    made_by = f"v{expert.version}-{expert.time_limit_s:g}s"
    path = check_folder(folder) / f"{digest((tasks, _physics(expert.env)))[:16]}-{made_by}.npy"
    stored = read_array(path, 1)
    best = np.zeros(0, np.float32) if stored is None else stored
    if len(best) > num_tasks:
        raise ConfigError(f"{path} is damaged: it is of {len(best)} tasks, not {num_tasks}. Remove it.")

    def slice_tasks(start: int) -> Task:
        return jax.tree.map(lambda leaf: leaf[start : start + _TASKS_AT_A_TIME], tasks)

    with progress_bar(num_tasks, show_progress and len(best) < num_tasks) as advance:
        advance(len(best), "looking for the best plans")
        while len(best) < num_tasks:
            found = np.asarray(expert.best_returns(slice_tasks(len(best))), np.float32)
            best = np.concatenate([best, found])
            write_array(path, best)
            advance(len(found))
    return Reference(BY_EXPERT, best)


def fine_tuned_reference(scores: Path, content_hash: str) -> Reference:
    """The last-trial return with the best number of trials, from the scores of an agent trained on the same tasks.

    Cross-fitted: a task's best number of trials is chosen by one half of its episodes, and its return read from the
    other half; the same the other way round, and the mean of both. The highest of several means that vary by chance
    is too high, so that an equally good agent would seem to be worse.

    Source: AdA, arXiv 2301.07608, where the agent that is evaluated is trained further on the test tasks.

    Args:
      scores: a `scores.json`, or the folder with it.
      content_hash: of the tasks.

    Raises:
      ConfigError: the file cannot be read, is something else, is of other tasks, or of one episode of each.
    """
    path = scores / "scores.json" if scores.is_dir() else scores
    content = read_scores(path)
    try:
        task_set = content.get("task_set", {"name": "of no named set", "content_hash": None})
        name, found_hash, tasks, _ = task_set["name"], task_set["content_hash"], content["tasks"], content["scores"]
        has_halves = content.get("protocol", {}).get("num_repetitions", 1) > 1
        by_half = [list(task[BY_HALF].values()) for task in tasks] if has_halves else []
        best = _cross_fit(np.array(by_half, np.float64)) if has_halves else np.zeros(0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ConfigError(f"{path} is damaged. Evaluate the fine-tuned agent again.") from error
    if found_hash != content_hash:
        raise ConfigError(
            f"{path} is of other tasks ({name}). Evaluate the fine-tuned agent on these tasks, and name its folder."
        )
    if not has_halves:
        raise ConfigError(
            f"{path} is of one episode of each task, and a reference needs two: one half chooses the number of trials, "
            "the other says what it earns. Evaluate the fine-tuned agent with --repetitions 2 or more."
        )
    return Reference(BY_FINE_TUNED, best.astype(np.float32))


def halves(returns: np.ndarray) -> np.ndarray:
    """[num_tasks, 2] mean last-trial returns of the even and the odd episodes of [num_tasks, num_repetitions, k]."""
    return np.stack([returns[:, half::2, -1].mean(axis=1, dtype=np.float64) for half in (0, 1)], axis=-1)


def _cross_fit(by_half: np.ndarray) -> np.ndarray:
    """[num_tasks] returns of [num_tasks, number, 2], each half's with the number that is best in the other half."""
    chosen = by_half[..., ::-1].argmax(axis=1, keepdims=True)
    return np.asarray(np.take_along_axis(by_half, chosen, axis=1).mean(axis=(1, 2)))


def _physics(env: Env) -> list[int]:
    """What of an environment decides what can be earned, and is not in the tasks' shapes."""
    return [env.config.view_size, env.config.see_through_walls, env.config.push]
