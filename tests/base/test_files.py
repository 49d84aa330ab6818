"""Files: whole or not at all, text of any origin, documents that are damaged, and folders in use."""

import ast
import contextlib
import errno
import fcntl
import os
import resource
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import xworld
from xworld.base.errors import ConfigError
from xworld.base.files import (
    as_file_name,
    as_path,
    locked,
    parse_json,
    parse_toml,
    read_array,
    read_text,
    write_array,
    write_atomically,
)
from xworld.base.lines import LineWriter, read_lines


@contextlib.contextmanager
def full_disk(num_bytes: int = 1000):
    """No file can be longer than so many bytes, as if the disk was full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_file_that_cannot_be_written_leaves_the_one_before(tmp_path):
    path = tmp_path / "a.txt"
    write_atomically(path, b"before")
    with full_disk(), pytest.raises(ConfigError, match="a.txt cannot be written: File too large"):
        write_atomically(path, bytes(2000))
    assert path.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


def test_a_line_that_does_not_fit_leaves_the_lines_before(tmp_path):
    lines = LineWriter(tmp_path / "a.jsonl")
    lines.write({"a": 1})
    with full_disk(), pytest.raises(ConfigError, match="cannot be written"):
        lines.write({"a": "x" * 2000})
    lines.write({"a": 2})
    lines.close()
    assert read_lines(lines.path) == [b'{"a": 1}', b'{"a": 2}']


@pytest.mark.parametrize("content", [b"a\nb", b"a\r\nb", b"\xef\xbb\xbfa\r\nb", b"a\rb"])
def test_text_is_the_same_with_any_mark_and_line_ends(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content)
    assert read_text(tmp_path / "a.txt") == "a\nb"


@pytest.mark.parametrize(
    ("content", "words"), [(None, "No such file"), (b"\xff\xfe\x00a", "no UTF-8 text"), ("folder", "Is a directory")]
)
def test_what_is_no_text_is_said(tmp_path, content, words):
    path = tmp_path / "a.txt"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        read_text(path)


@pytest.mark.parametrize("parse", [parse_json, parse_toml])
@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "This is not"), ("[" * 100_000, "deeply|not TOML"), ("a = " + "[" * 20_000, "deeply|JSON")],
)
def test_damaged_documents_are_said(parse, text, words):
    with pytest.raises(ConfigError, match=words):
        parse(text)


def test_a_number_of_too_many_digits_is_said_without_advice_to_python():
    for parse, text in ((parse_json, "1" * 5000), (parse_toml, "a = " + "1" * 5000)):
        with pytest.raises(ConfigError, match="has too many digits") as refused:
            parse(text)
        assert "set_int_max_str_digits" not in str(refused.value)


def test_a_damaged_array_is_said_without_advice_to_load_it_unsafely(tmp_path):
    path = tmp_path / "a.npy"
    write_array(path, np.arange(3, dtype=np.float32))
    assert read_array(path, 1).tolist() == [0, 1, 2]
    for content in (b"", b"\x80\x04pickle", path.read_bytes()[:-2], b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="is damaged") as refused:
            read_array(path, 1)
        assert "pickle" not in str(refused.value)


def test_a_folder_in_use_says_by_whom(tmp_path):
    with locked(tmp_path):
        with pytest.raises(ConfigError, match=f"is in use by process {os.getpid()} on "), locked(tmp_path):
            pass
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    assert not any(tmp_path.iterdir())
    with locked(tmp_path):
        pass


def test_a_lock_ends_with_its_process(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from xworld.base.files import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"locked\n"
        with pytest.raises(ConfigError, match=f"in use by process {other.pid}"), locked(tmp_path):
            pass
        other.kill()
        other.wait()
    with locked(tmp_path):  # what it left behind is no lock
        pass


class Msvcrt:
    """What the lock uses of Python's module on Windows: a lock on bytes, which belongs to the open file."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def locking(self, number, mode, num_bytes):
        kind = fcntl.F_UNLCK if mode == self.LK_UNLCK else fcntl.F_WRLCK
        start = os.lseek(number, 0, os.SEEK_CUR)
        assert 100_000_000 < start < 2**31, "behind what others read of the file, and a 32-bit number as Windows has it"
        try:
            fcntl.fcntl(number, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", kind, os.SEEK_SET, start, num_bytes, 0))
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None


def unlink_on_windows(path, missing_ok=False):
    """As there, a file that is open cannot be removed."""
    if any(os.path.exists(one) and os.path.samefile(one, path) for one in Path("/proc/self/fd").iterdir()):
        raise PermissionError(errno.EACCES, "Permission denied")
    os.unlink(path)


def test_a_folder_in_use_on_windows(tmp_path, monkeypatch):
    with monkeypatch.context() as windows:
        windows.setattr(sys, "platform", "win32")
        windows.setitem(sys.modules, "msvcrt", Msvcrt())
        windows.setattr(Path, "unlink", unlink_on_windows)
        for _ in range(2):  # the second time after the first has ended
            with locked(tmp_path):
                with pytest.raises(ConfigError, match=f"is in use by process {os.getpid()} on "), locked(tmp_path):
                    pass
                with pytest.raises(PermissionError):
                    (tmp_path / ".lock").unlink()
            assert not any(tmp_path.iterdir())


def test_a_disk_that_knows_no_locks_has_none(tmp_path, monkeypatch):
    def refuse(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path), locked(tmp_path):
        pass
    assert not any(tmp_path.iterdir())


def test_names_of_files():
    assert as_file_name("rooms4-13x13, 512 tasks: a_b") == "rooms4-13x13-512-tasks-a_b"
    names = ["测试.toml", "задачи.toml", "é", "..", "🎮.toml", "🎲.toml", "*", "?"]
    assert len({as_file_name(name) for name in names}) == len(names)
    assert all("/" not in as_file_name(name) and as_file_name(name).strip(".") for name in [*names, "/", "../.."])


def test_the_home_folder_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert as_path("~/a") == tmp_path / "a" and as_path("~") == tmp_path
    assert as_path("a/~") == Path("a/~") and as_path("~nobody-at-all/a") == Path("~nobody-at-all/a")


def _calls_without_encoding(path: Path) -> list[str]:
    """Methods that read or write text in whatever encoding the machine has."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or any(keyword.arg == "encoding" for keyword in node.keywords):
            continue
        is_method = isinstance(node.func, ast.Attribute)  # `read_text` alone is that of `base.files`
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        modes = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        is_open = name == "open" and not any("b" in str(mode) for mode in modes) and ast.unparse(node.func) not in BYTES
        if is_open or (is_method and name in ("read_text", "write_text")):
            found.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")
    return found


BYTES = ("os.open", "bz2.open")  # by themselves


def test_every_text_names_its_encoding():
    paths = sorted(Path(xworld.__file__).parent.rglob("*.py"))
    assert len(paths) > 100
    assert [call for path in paths for call in _calls_without_encoding(path)] == []
