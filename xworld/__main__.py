"""The entry of the command `xworld`, also of `python -m xworld`: says what to install where a package is missing."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

from xworld.apps.doctor import EXTRAS, Doctor, how_to_install, version

_INTERRUPTED = 130


def main() -> int:
    """Runs the command line; returns its exit status."""
    _prepare_output()
    if sys.argv[1:] == ["--version"]:
        print(version())
        return 0
    if sys.argv[1:] == ["doctor"]:  # without the packages that read a command line: they may be missing
        return Doctor().run()
    try:
        with _gone_at_once_when_interrupted():
            from xworld.apps.commands import main as cli

        return cli.main()
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        print(f"xworld: this needs {module}, which is not installed: {how_to_install(module)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # between the two
        print("xworld: interrupted", file=sys.stderr)
        return _INTERRUPTED


def _prepare_output() -> None:
    """Lets every text be printed: to a closed stream, and where a character is unknown, as a question mark."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open as long as the process)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


@contextlib.contextmanager
def _gone_at_once_when_interrupted() -> Iterator[None]:
    """While modules are imported, Ctrl-C ends the process: some modules swallow the exception, or print it."""

    def leave(number: int, frame: object) -> None:
        os.write(2, b"xworld: interrupted\n")
        os._exit(_INTERRUPTED)

    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    if not is_main or before is not signal.default_int_handler:  # ignored, as a shell has it for background jobs
        yield
        return
    signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    sys.exit(main())
