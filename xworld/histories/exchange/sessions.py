"""Data sets of what people did: the histories that `xworld play` and `xworld study run` leave."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from xworld.base.digest import digest
from xworld.base.errors import ConfigError, located
from xworld.base.files import as_path, parse_json
from xworld.base.lines import read_lines
from xworld.core.types import Task
from xworld.histories.dataset.header import DatasetHeader
from xworld.histories.dataset.reader import Dataset
from xworld.histories.dataset.writer import DatasetWriter, Recorded
from xworld.histories.exchange.placing import placed
from xworld.histories.files import SUFFIX, read_history
from xworld.histories.history import History
from xworld.histories.replay import check_step
from xworld.tasks import TaskSet

_BATCH = 64  # episodes that are derived at a time

Advance = Callable[[int], None]


def collect_histories(source: str | Path, folder: str | Path, advance: Advance = lambda steps: None) -> Dataset:
    """A data set of recorded histories, each an episode. What came of each step is derived again and compared.

    What only a history has is left out: when each step was taken. `about` in the header says, for each episode, which
    file it is from, who played and what its task is called.

    Args:
      source: a file, or a folder with such files in it or in its folders; of a study, all its participants'.
      folder: of the new data set.
      advance: told how many steps were compared.

    Raises:
      ConfigError: there are no histories with steps, they are of several environments, one is damaged or comes out
        otherwise, or the folder cannot be written.
    """
    source = as_path(source)
    paths = [source] if source.is_file() else sorted(path for path in source.rglob(f"*{SUFFIX}") if _is_history(path))
    found = [(path, history) for path in paths if (history := read_history(path)).steps]
    if not found:
        raise ConfigError(f"There are no histories with steps in {source}. Name what `xworld play` has written.")
    config = found[0][1].header.config
    for path, history in found:
        if history.header.config != config:
            raise ConfigError(
                f"{path} is of another environment than {found[0][0]}, and a data set is of one. Import each by itself."
            )
    tasks, rows = _tasks([history for _, history in found])
    names = [str(path) if path == source else path.relative_to(source).as_posix() for path, _ in found]
    about = {
        "files": names,
        "players": [history.header.players for _, history in found],
        "task_names": [history.header.task_name for _, history in found],
    }
    players = tuple(dict.fromkeys(player for _, history in found for player in history.header.players))
    lengths = np.array([len(history.steps) for _, history in found])
    seeds = np.array([history.header.seed for _, history in found], np.uint32)
    actions = np.concatenate([history.actions for _, history in found])
    with placed(folder) as place:
        with DatasetWriter(place, DatasetHeader(config, players=players, about=about), tasks) as writer:
            writer.append(Recorded(rows[:, None], seeds, lengths, actions))
        data = Dataset(place)
        for start in range(0, len(found), _BATCH):
            _compare(data, np.arange(start, min(start + _BATCH, len(found))), found)
            advance(int(lengths[start : start + _BATCH].sum()))
    return Dataset(folder)


def _is_history(path: Path) -> bool:
    """Whether the first line says so; a study's journal says something else."""
    lines = read_lines(path)
    try:
        content = parse_json(lines[0]) if lines else None
    except ConfigError:
        return True  # damaged, as will be told
    return isinstance(content, dict) and str(content.get("format")).startswith("xworld history")


def _tasks(histories: list[History]) -> tuple[TaskSet, np.ndarray]:
    """The different tasks, and [E] which of them each history is of."""
    numbers: dict[str, int] = {}
    tasks: list[Task] = []
    rows: list[int] = []
    for history in histories:
        name = digest(history.header.task)
        if name not in numbers:
            numbers[name] = len(tasks)
            tasks.append(history.header.task)
        rows.append(numbers[name])
    return TaskSet.from_tasks(tasks), np.array(rows)


def _compare(data: Dataset, numbers: np.ndarray, found: list[tuple[Path, History]]) -> None:
    """Raises ConfigError unless some episodes come out as their histories say."""
    timesteps = data.episodes(numbers).derive(data.env)
    rewards, events = jax.device_get((timesteps.reward, timesteps.event))
    for index, number in enumerate(numbers.tolist()):
        path, history = found[number]
        with located(str(path)):
            for time, step in enumerate(history.steps, start=1):
                check_step(time, step, rewards[time, index], int(events[time, index]))
