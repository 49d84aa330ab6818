"""A process of the laboratory, which does one run: MODULE FAMILY ARM SEED FOLDER IS_QUICK TOTAL_STEPS."""

import importlib
import signal
import sys
from pathlib import Path

from xworld.apps.laboratory.experiment import Job
from xworld.apps.laboratory.outcomes import run_job
from xworld.base.errors import ConfigError
from xworld.base.xla.devices import num_cores, use_devices


def main(module: str, family: str, arm: str, seed: str, folder: str, is_quick: str, total_steps: str) -> None:
    """Does the run of the experiment in a module; a number of steps of 0 is the experiment's own.

    SIGINT is left to the laboratory, which answers it by SIGTERM: of two signals the second would end the run unsaved.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    use_devices(num_cores())
    job = Job(family, arm, int(seed), Path(folder), is_quick == "True", int(total_steps) or None)
    run_job(importlib.import_module(module).EXPERIMENT, job)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ConfigError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Stopped.")
