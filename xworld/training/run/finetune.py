"""Fine-tuning: a run that starts with the parameters of another, and trains on a fixed set of tasks.

AdA's scores are normalised by such an agent, trained further on the tasks that it is evaluated on.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp

from xworld.agents import load
from xworld.base.errors import ConfigError
from xworld.core.types import Task
from xworld.tasks import TaskSet
from xworld.training.run.checkpoint import read_outside
from xworld.training.run.config import RunConfig
from xworld.training.run.given import describe_splits
from xworld.training.run.loop import train

_ORIGIN = "finetune.json"  # in the new run's folder: which tasks it trains on


def finetune(
    run: Path, config: RunConfig, tasks: Task, about: Mapping[str, str], folder: Path, *, show_progress: bool = True
) -> bool:
    """Trains the agent of a run further on `tasks`, as a new run; goes on with it where it was stopped.

    Args:
      run: the folder of the run to start from.
      config: of the new run; environment and agent are those of the old one.
      tasks: stacked tasks, leaves [num_tasks, ...], of which each episode has one.
      about: what tells these tasks from others; compared when the new run goes on.
      folder: of the new run.
      show_progress: whether to draw a progress bar.

    Returns:
      Whether the new run is finished; False when a signal stopped it.

    Raises:
      ConfigError: a folder holds no run, or the new run was started with other tasks or another configuration.
      TrainingDiverged: a loss or a gradient was not finite.
    """
    loaded = load(run)
    origin = folder / _ORIGIN
    is_resumed = origin.exists()
    if is_resumed:
        found = json.loads(origin.read_text())
        if found != dict(about):
            raise ConfigError(f"The run in {folder} trains on other tasks ({found}). Choose another folder.")
    source = TaskSet(jax.tree.map(jnp.asarray, tasks))

    def started() -> None:
        origin.write_text(json.dumps(about) + "\n")

    return train(
        config,
        folder,
        resume=is_resumed,
        tasks=source,
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
        return f"was fine-tuned on {json.loads((folder / _ORIGIN).read_text()).get('name', 'a set of tasks')}"
    outside, own = read_outside(folder), describe_splits(config.universe)
    if own["split"] != "train":
        return f"was trained on the split {own['split']!r} of its universe"
    if outside["splits"] is None:
        return f"was trained on tasks of no universe ({outside['tasks']})"
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
