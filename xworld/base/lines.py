"""Files of JSON lines, written while things happen, so that a process killed at any moment loses no whole line."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xworld.base.errors import ConfigError


class LineWriter:
    """Adds lines to a file; each is handed to the operating system at once."""

    def __init__(self, path: Path) -> None:
        """Opens the file to go on after its last whole line, or makes it, and missing folders.

        What comes after the end of the last line was cut off when its writer was killed, and is removed.

        Raises:
          ConfigError: it cannot be written.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
            self._file.seek(0)
            self._file.truncate(self._file.read().rfind(b"\n") + 1)
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}. Choose another path.") from error
        self._starts: list[int] = []  # where in the file the lines begin that this writer wrote

    def write(self, content: Mapping[str, Any]) -> None:
        """Adds a line.

        Raises:
          ConfigError: the disk is full.
        """
        self._starts.append(self._file.tell())
        try:
            self._file.write(to_line(content))
            self._file.flush()
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be written: {error.strerror}.") from error

    def undo(self) -> None:
        """Takes the last line that this writer wrote away again."""
        self._file.seek(self._starts.pop())
        self._file.truncate()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def to_line(content: Mapping[str, Any]) -> bytes:
    """The bytes of a line, its end included."""
    return (json.dumps(content, ensure_ascii=False) + "\n").encode()


def read_lines(path: Path) -> list[bytes]:
    """The whole lines of a file, without their ends. What comes after the last end was cut off, and is left out.

    Raises:
      ConfigError: it cannot be read.
    """
    try:
        *lines, _ = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    return lines
