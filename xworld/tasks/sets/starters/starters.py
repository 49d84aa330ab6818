"""`starters`: a few hundred tasks of every named environment, made before and kept in the package.

python -m xworld.tasks.sets.starters.starters [NAME ...]

makes the files of these environments anew, by default of all.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp

from xworld.base.errors import ConfigError, did_you_mean
from xworld.tasks.sets.named import environment_names, make, make_universe
from xworld.tasks.sets.storage import load, save
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
    ids = jnp.arange(NUM_TASKS, dtype=jnp.int32)
    return TaskSet(jax.jit(jax.vmap(make_universe(name).task))(ids, ids))


def main() -> None:
    """Writes the files."""
    for name in sys.argv[1:] or environment_names():
        path = save(FOLDER / f"{name}.npz", generate(name), make(name).config)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} KB", flush=True)


if __name__ == "__main__":
    main()
