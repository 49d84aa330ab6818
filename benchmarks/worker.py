"""A process that times something whenever it is asked to, so that cases with a process of their own run in turn."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class Worker:
    """A script that prints a line of JSON when it is ready, and another for every line that it reads."""

    def __init__(self, script: str, arguments: Sequence[str], folder: Path = ROOT, python: str = sys.executable):
        """Starts a script of the benchmarks in `folder`, with the xworld there, and waits until it is ready."""
        self._script = script
        self._process = subprocess.Popen(
            [python, str(folder / "benchmarks" / script), *arguments],
            # Several workers share an accelerator's memory.
            env={**os.environ, "PYTHONPATH": str(folder), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ready: Any = self._read()

    def run(self) -> Any:
        """What the script measures, once more."""
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        return self._read()

    def stop(self) -> None:
        """Ends the process."""
        self._process.communicate()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self._script} could not be run; its error is above.")
        return json.loads(line)
