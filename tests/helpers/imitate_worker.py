"""An imitation in a process of its own, on as many devices as it is told: `python imitate_worker.py NUMBER PICKLE`."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any


def imitate_on_devices(number: int, data: Path, config: Any, folder: Path, terms: tuple[Any, ...] = ()) -> Any:
    """What `imitation.json` in the folder then has."""
    job = folder.with_suffix(".pickle")
    job.write_bytes(pickle.dumps((data, config, folder, terms)))
    command = [sys.executable, __file__, str(number), str(job)]
    process = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    return json.loads((folder / "imitation.json").read_text())


def main() -> None:
    from xworld.training import use_host_devices

    use_host_devices(int(sys.argv[1]))
    from xworld.histories import Dataset
    from xworld.training.imitation.imitate import imitate

    data, config, folder, terms = pickle.loads(Path(sys.argv[2]).read_bytes())
    imitate(Dataset(data), config, folder, terms=terms, show_progress=False)


if __name__ == "__main__":
    main()
