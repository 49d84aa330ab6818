"""Files of JSON lines, written while things happen, so that a process killed at any moment loses no whole line."""

import codecs
import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xworld.base.errors import ConfigError
from xworld.base.files import reason_of


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
            self._file = path.open("a+b", buffering=0)
            self._file.seek(0)
            self._file.truncate(self._file.read().rfind(b"\n") + 1)
            self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {reason_of(error)}. Choose another path.") from error
        self._starts: list[int] = []  # where in the file the lines begin that this writer wrote

    def write(self, content: Mapping[str, Any]) -> None:
        """Adds a line.

        Raises:
          ConfigError: the disk is full. The lines before are kept.
        """
        start = self._file.tell()
        try:
            left = memoryview(to_line(content))
            while left:  # a full disk may take a part
                left = left[self._file.write(left) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(start)  # what fitted of the line
            raise ConfigError(f"{self.path} cannot be written: {reason_of(error)}. Make room on the disk.") from error
        self._starts.append(start)

    def undo(self) -> None:
        """Takes the last line that this writer wrote away again."""
        self._file.seek(self._starts.pop())
        self._file.truncate()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def to_line(content: Mapping[str, Any]) -> bytes:
    """The bytes of a line, its end included; what UTF-8 cannot say, as in some files' names, is escaped as in JSON."""
    return (json.dumps(content, ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def read_lines(path: Path) -> list[bytes]:
    """The whole lines of a file, without their ends. What comes after the last end was cut off, and is left out.

    Raises:
      ConfigError: it cannot be read.
    """
    try:
        *lines, _ = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {reason_of(error)}. Name another file.") from error
    return lines
