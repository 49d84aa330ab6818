"""Task files on disk."""

from pathlib import Path

from xworld.base.errors import ConfigError
from xworld.base.files import as_path, read_text
from xworld.core.config import EnvConfig
from xworld.core.types import Task
from xworld.tasks.language.reading import config_for, parse


def read_task(path: Path) -> tuple[EnvConfig, Task]:
    """The task in a file, and a configuration that fits it.

    Raises:
      ConfigError: the file cannot be read, or has a mistake.
    """
    path = as_path(path)
    text = read_text(path, "Name a task file.")
    try:
        config = config_for(text)
        return config, parse(text, config)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
