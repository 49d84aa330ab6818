"""Files: whole or not there, text and documents of any origin, arrays, and folders that one process has at a time."""

import contextlib
import io
import json
import os
import re
import socket
import string
import sys
import tempfile
import tomllib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from xworld.base.errors import ConfigError

LOCK = ".lock"  # in a folder that a process has for itself
_MOST_BYTES = 100_000_000  # of a text that people write or a run describes itself with
_LOCKED_BYTE = 1 << 30  # on Windows nobody can read what is locked, so that this lies behind all that `read_text` reads


def as_path(path: str | Path) -> Path:
    """The path, with a home folder in the place of `~` or `~user` at its start."""
    return Path(os.path.expanduser(path))


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file beside `path` that then takes its place, so that a process killed at any moment leaves a whole one.

    Raises:
      ConfigError: it cannot be written; what was there before is kept.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        try:
            unfinished.write_bytes(content)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {reason_of(error)}. Choose another folder.") from error


def read_text(path: Path, hint: str = "Name another file.") -> str:
    """The text of a UTF-8 file, with a byte-order mark or without, and any line ends.

    Args:
      path: of the file.
      hint: a sentence that says what to do where it cannot be read.

    Raises:
      ConfigError: it cannot be read, is no UTF-8, or is far too large for a text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        raise ConfigError(f"{path} cannot be read: {reason_of(error)}. {hint}") from error
    if len(content) > _MOST_BYTES:
        raise ConfigError(f"{path} is larger than {_MOST_BYTES // 10**6} MB, no text that is read here. {hint}")
    try:
        return io.IncrementalNewlineDecoder(None, translate=True).decode(content.decode("utf-8-sig"), final=True)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no UTF-8 text (byte {error.start} is none). {hint}") from error


def parse_json(text: str | bytes) -> Any:
    """What JSON text says.

    Raises:
      ConfigError: it is no JSON, or nested too deeply, or with a number that is too long.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"This is not JSON: {reason_of(error)}.") from error


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of TOML text.

    Raises:
      ConfigError: it is no TOML, or nested too deeply, or with a number that is too long.
    """
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"This is not TOML: {reason_of(error)}.") from error


def reason_of(error: BaseException) -> str:
    """One line that says what was wrong, without a full stop."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if str(error).startswith("Exceeds the limit"):
        return "a number in it has too many digits"
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(words.split()).rstrip(".") or type(error).__name__


def printable(text: str) -> str:
    """The text with what is in no text escaped: zero bytes, and the bytes of a file's name that is no UTF-8."""
    return re.sub("[\0\ud800-\udfff]", lambda found: found[0].encode("unicode_escape").decode(), text)


def check_folder(folder: str | Path) -> Path:
    """Makes the folder if need be, and makes sure that files can be written there; to be called before long work.

    Raises:
      ConfigError: it cannot be made or written to.
    """
    folder = as_path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            os.fsync(file.fileno())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} cannot be written to: {reason_of(error)}. Choose another folder.") from error
    return folder


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Inside, this process has the folder, which exists, for itself. The lock ends with the process, however that ends.

    Where the system or the folder's disk knows no locks, there is none.

    Raises:
      ConfigError: another process has it, which is named; or the folder cannot be written to.
    """
    path = folder / LOCK
    try:
        file = _open_lock(path)
    except BlockingIOError as error:
        holder = "another process"
        with contextlib.suppress(ConfigError):  # it has just ended
            holder = read_text(path).strip() or holder
        raise ConfigError(
            f"{folder} is in use by {holder}. Wait until that has ended, or choose another folder."
        ) from error
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written to: {reason_of(error)}. Choose another folder.") from error
    try:
        yield
    finally:
        _close_lock(path, file)


def _open_lock(path: Path) -> io.FileIO:
    """The locked file, which says who holds it. Raises BlockingIOError if another process does."""
    while True:
        file = io.FileIO(path, "a+")
        try:
            _lock(file)
            there = os.fstat(file.fileno())
            if not path.exists() or not os.path.samestat(path.stat(), there):  # its holder has ended just now
                file.close()
                continue
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        except BaseException:
            file.close()
            raise
        return file


def _lock(file: io.FileIO) -> None:
    """Locks a file for this process; a lock that the disk cannot have is let pass.

    Raises:
      BlockingIOError: another process has locked it.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:  # the second is what Windows says
        raise BlockingIOError(*error.args) from error
    except OSError:
        pass


def _close_lock(path: Path, file: io.FileIO) -> None:
    """Removes the file and ends the lock, in the order in which no other process is locked out or let in too early."""
    if sys.platform == "win32":  # an open file cannot be removed there, nor what another process has opened since
        import msvcrt

        with contextlib.suppress(OSError):
            file.seek(_LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        file.close()
    with contextlib.suppress(OSError):  # a network's disk may have lost it
        path.unlink()
    file.close()


def as_file_name(name: str) -> str:
    """A name for files: letters and digits of any script, joined by dashes; a check sum for what has neither."""
    left = "-".join(re.findall(r"[\w.]+", name))
    is_lost = not left.strip(".") or any(
        not (letter.isalnum() or letter in string.punctuation or letter.isspace()) for letter in name
    )
    return f"{left}-{zlib.crc32(name.encode(errors='surrogateescape')):08x}".lstrip("-") if is_lost else left


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
        with path.open("rb") as file:
            values = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        # numpy's own words may advise to load it unsafely.
        raise ConfigError(f"{path} is damaged, no .npy file. Remove it, and what was in it is made again.") from error
    if values.dtype != np.float32 or values.ndim != num_dimensions:
        raise ConfigError(
            f"{path} is damaged: it holds {values.dtype}{list(values.shape)}. "
            "Remove it, and what was in it is made again."
        )
    return values
