"""Fine-tuning: a run that starts with the parameters of another, and trains on a fixed set of tasks.

AdA's scores are normalised by such an agent, trained further on the tasks that it is evaluated on.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from xworld.agents import Agent, load
from xworld.base.digest import digest
from xworld.base.errors import ConfigError, located
from xworld.base.files import as_path, parse_json, read_text, write_atomically
from xworld.core.types import Task
from xworld.tasks import TaskSet
from xworld.training.run.checkpoint import read_outside
from xworld.training.run.config import RunConfig
from xworld.training.run.given import describe_splits
from xworld.training.run.loop import train

_ORIGIN = "finetune.json"  # in the new run's folder: which tasks it trains on, and what it began with
_START = "params"  # name in it of the digest of the parameters that it began with


def finetune(
    run: Path,
    config: RunConfig,
    tasks: Task,
    about: Mapping[str, str],
    folder: Path,
    *,
    agent: Agent | None = None,
    show_progress: bool = True,
) -> bool:
    """Trains the agent of a run further on `tasks`, as a new run; goes on with it where it was stopped.

    Args:
      run: the folder of the run to start from.
      config: of the new run; environment and agent are those of the old one.
      tasks: stacked tasks, leaves [num_tasks, ...], of which each episode has one.
      about: what tells these tasks from others; compared when the new run goes on.
      folder: of the new run.
      agent: the network of one's own that the run was trained with, if it was.
      show_progress: whether to draw a progress bar.

    Returns:
      Whether the new run is finished; False when a signal stopped it.

    Raises:
      ConfigError: a folder holds no run, or the new run was started with other tasks or parameters, or another
        configuration.
      TrainingDiverged: a loss or a gradient was not finite.
    """
    folder = as_path(folder)
    loaded = load(run, agent=agent)
    origin = folder / _ORIGIN
    is_resumed = origin.exists()
    start = digest(loaded.params)[:16]
    if is_resumed:
        _check_origin(folder, about, start)
    source = TaskSet(jax.tree.map(jnp.asarray, tasks))

    def started() -> None:
        write_atomically(origin, (json.dumps({**about, _START: start}) + "\n").encode())

    return train(
        config,
        folder,
        resume=is_resumed,
        tasks=source,
        agent=agent,
        params=None if is_resumed else loaded.params,
        return_scale=None if is_resumed else loaded.return_scale,
        on_start=started,
        show_progress=show_progress,
    )


def why_seen(folder: Path, config: RunConfig) -> str | None:
    """Why the run in `folder` may have trained on the test split of its universe, as a clause; None if it has not.

    Args:
      folder: of the run.
      config: the run's.

    Raises:
      ConfigError: the folder does not say what the run trained on.
    """
    if (folder / _ORIGIN).exists():
        return f"was fine-tuned on {_read_origin(folder).get('name', 'a set of tasks')}"
    outside, own = read_outside(folder), describe_splits(config.universe)
    if own["split"] != "train":
        return f"was trained on the split {own['split']!r} of its universe"
    if outside["splits"] is None:
        return f"was trained on tasks of no universe: {outside['tasks']}"
    if outside["splits"] != own:
        return f"was trained on tasks of other splits ({outside['splits']}) than its configuration's ({own})"
    return None


def check_not_fine_tuned(folder: Path) -> None:
    """Refuses a run that trains on a set of tasks, which its configuration does not name.

    Raises:
      ConfigError: it is such a run.
    """
    if (folder / _ORIGIN).exists():
        raise ConfigError(f"The run in {folder} trains on a set of tasks. Go on with it by xworld finetune.")


def _check_origin(folder: Path, about: Mapping[str, str], start: str) -> None:
    """Raises ConfigError unless the run in `folder` trains on these tasks, and began with parameters of this digest."""
    found = _read_origin(folder)
    began = found.pop(_START, "none")
    if found != dict(about):
        raise ConfigError(f"The run in {folder} trains on other tasks ({found}). Choose another folder.")
    if began != start:
        raise ConfigError(
            f"The run in {folder} began with another agent (digest {began} there, {start} here). Name the agent of "
            "then, or choose another folder."
        )


def _read_origin(folder: Path) -> dict[str, Any]:
    """What tells the tasks that the run in `folder` was fine-tuned on from others."""
    with located(str(folder / _ORIGIN)):
        found = parse_json(read_text(folder / _ORIGIN))
        if not isinstance(found, dict):
            raise ConfigError("It does not say on which tasks the run trains.")
    return found
