"""Tasks that a curriculum keeps, as task files in the run's folder: what its archive held, early and late."""

import operator
from pathlib import Path

import jax

from xworld.base.files import read_text, write_atomically
from xworld.core.types import TaskSource
from xworld.tasks import to_text
from xworld.training.curriculum.curriculum import Keeping
from xworld.training.devices.sharding import fetch

NUM_TASKS = 8  # at most, of each time
_FOLDER = "tasks"


def write_kept_tasks(folder: Path, tasks: TaskSource, steps: int, is_writing: bool) -> None:
    """Writes the first tasks of a `Keeping` curriculum, best first, to `tasks/STEPS/1.toml` and on in a run's folder.

    All processes take part, and one writes. Nothing is written of other sources, nor while nothing is kept.
    """
    if not isinstance(tasks, Keeping):
        return
    kept, number = fetch(jax.jit(type(tasks).best, static_argnums=1)(tasks, NUM_TASKS))
    if number == 0 or not is_writing:
        return
    place = folder / _FOLDER / str(steps)
    place.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        text = to_text(jax.tree.map(operator.itemgetter(index), kept))
        write_atomically(place / f"{index + 1}.toml", text.encode())


def read_kept_tasks(folder: Path) -> dict[int, tuple[str, ...]]:
    """The task files of a run by steps, early ones first; of each time the best first."""
    found = sorted((int(path.name), path) for path in (folder / _FOLDER).glob("*") if path.name.isdecimal())
    return {
        steps: tuple(read_text(file) for file in sorted(path.glob("*.toml"), key=lambda file: int(file.stem)))
        for steps, path in found
    }
