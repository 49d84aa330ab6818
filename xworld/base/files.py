"""Files that are whole or not there, arrays in files, and whether a folder can be written to."""

import io
import os
import tempfile
from pathlib import Path

import numpy as np

from xworld.base.errors import ConfigError


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file beside `path` that then takes its place, so that a process killed at any moment leaves a whole one.

    Raises:
      ConfigError: it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        try:
            unfinished.write_bytes(content)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}. Choose another folder.") from error


def check_folder(folder: str | Path) -> Path:
    """Makes the folder if need be, and makes sure that files can be written there; to be called before long work.

    Raises:
      ConfigError: it cannot be made or written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written to: {error.strerror}. Choose another folder.") from error
    return folder


def write_array(path: Path, values: np.ndarray) -> None:
    """Writes a .npy file, as `write_atomically` does."""
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    write_atomically(path, file.getvalue())


def read_array(path: Path, num_dimensions: int) -> np.ndarray | None:
    """The float32 array in a .npy file, or None if there is no file.

    Raises:
      ConfigError: the file holds something else, or is damaged.
    """
    if not path.exists():
        return None
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"{path} is damaged: {error}. Remove it, and what was in it is made again.") from error
    if values.dtype != np.float32 or values.ndim != num_dimensions:
        raise ConfigError(
            f"{path} is damaged: it holds {values.dtype}{list(values.shape)}. "
            "Remove it, and what was in it is made again."
        )
    return values
