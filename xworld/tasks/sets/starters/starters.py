"""`starters`: a few hundred tasks of every named environment, made before and kept in the package."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.errors import ConfigError, did_you_mean
from xworld.tasks.sets.named import make, make_universe
from xworld.tasks.sets.storage import load
from xworld.tasks.sets.task_set import TaskSet

NUM_TASKS = 256
FOLDER = Path(__file__).parent


def starters(name: str) -> TaskSet:
    """256 tasks of `make_universe(name)`, those with world and game ids 0, 0 to 255, 255, without generating them.

    They are tasks of its training split, to begin with; the universe has more than anybody can play.

    Raises:
      ConfigError: no environment that comes with the package has this name.
    """
    path = FOLDER / f"{name}.npz"
    if not path.is_file():
        known = sorted(one.stem for one in FOLDER.glob("*.npz"))
        raise ConfigError(f"No tasks of {name!r} come with the package. {did_you_mean(name, known)}")
    return load(path, make(name).config)


def generate(name: str) -> TaskSet:
    """The same tasks, generated."""
    ids = np.arange(NUM_TASKS)
    return TaskSet(jax.tree.map(jnp.asarray, make_universe(name).stacked(ids, ids)[0]))
