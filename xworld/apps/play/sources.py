"""What the window shows, by name: tasks, or a history."""

from pathlib import Path

from xworld.histories import SUFFIX, History, read_history
from xworld.tasks import NamedTasks, tasks_by_name


def find_source(name: str, seed: int = 0) -> NamedTasks | History:
    """The history in a file, or the tasks called `name`, as `tasks_by_name` finds them.

    Raises:
      ConfigError: there is nothing of that name, or a file has a mistake.
    """
    path = Path(name)
    return read_history(path) if path.suffix == SUFFIX else tasks_by_name(name, seed)
