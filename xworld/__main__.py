"""The entry of the command `xworld`, also of `python -m xworld`: says what to install where a package is missing.

It imports little before `main` runs, so that Ctrl-C is answered in one line from the first moment on.
"""

import os
import signal
import sys
import threading
from types import FrameType

from xworld.base.errors import INTERRUPTED

_SECONDS_TO_LEAVE = 0.01  # what swallows exceptions


def main() -> int:
    """Runs the command line; returns its exit status."""
    before = signal.getsignal(signal.SIGINT)
    is_caught = threading.current_thread() is threading.main_thread() and before is signal.default_int_handler
    if is_caught:  # not where it is ignored, as a shell has it for background jobs
        signal.signal(signal.SIGINT, _interrupt)
    try:
        return _run()
    except KeyboardInterrupt:  # before or after the command line is read
        print("xworld: interrupted", file=sys.stderr)
        return INTERRUPTED
    finally:
        if is_caught:
            signal.signal(signal.SIGINT, before)


def _run() -> int:
    from xworld.apps.doctor import EXTRAS, Doctor, how_to_install, version

    _prepare_output()
    if sys.argv[1:] == ["--version"]:
        print(version())
        return 0
    if sys.argv[1:] == ["doctor"]:  # without the packages that read a command line: they may be missing
        return Doctor().run()
    try:
        from xworld.apps.commands import main as cli

        return cli.main()
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        print(f"xworld: this needs {module}, which is not installed: {how_to_install(module)}", file=sys.stderr)
        return 2


def _prepare_output() -> None:
    """Lets every text be printed: to a closed stream, and where a character is unknown, as a question mark."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open as long as the process)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _interrupt(number: int, frame: FrameType | None) -> None:
    """As Python answers Ctrl-C, but where an exception would be swallowed or be the end of the process.

    While a module is imported the process ends at once; in what runs when memory is freed it is told again, later.
    """
    name = frame.f_code.co_name if frame is not None else ""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            os.write(2, b"xworld: interrupted\n")
            os._exit(INTERRUPTED)
        frame = frame.f_back
    if name == "_xla_gc_callback":
        threading.Timer(_SECONDS_TO_LEAVE, _interrupt_again).start()
        return
    raise KeyboardInterrupt


def _interrupt_again() -> None:
    """Tells the main thread, which a signal to another thread would not wake."""
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGINT)
    else:
        main_thread = threading.main_thread().ident
        assert main_thread is not None
        signal.pthread_kill(main_thread, signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
