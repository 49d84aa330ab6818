"""Writing files so that one finds them whole or not at all."""

from pathlib import Path

from xworld.errors import ConfigError


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
