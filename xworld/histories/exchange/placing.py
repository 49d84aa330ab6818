"""A folder that is there when all in it is right, and not before."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xworld.base.errors import ConfigError
from xworld.base.files import as_path, reason_of

_UNFINISHED = "unfinished-"


@contextmanager
def placed(folder: str | Path) -> Iterator[Path]:
    """A folder beside `folder`, which takes its place at the end; after an error it is removed.

    Raises:
      ConfigError: there is something already, or it cannot be written.
    """
    folder = as_path(folder)
    if folder.exists():
        raise ConfigError(f"{folder} is there already. Choose another folder, or remove it.")
    unfinished = folder.with_name(_UNFINISHED + folder.name)
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        yield unfinished
        unfinished.rename(folder)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {reason_of(error)}. Make room, or choose another.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
