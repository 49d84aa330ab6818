"""Makes an agent that comes with the package of a run's: its configuration, its metrics, its last parameters.

python -m xworld.agents.saved.export runs/mine [--output FOLDER]
"""

import argparse
import shutil
import sys
from pathlib import Path

from xworld.agents import PRETRAINED, load, save
from xworld.agents.saved.saved import checkpoint_folder, checkpoints
from xworld.agents.saved.trees import UNFINISHED
from xworld.base.errors import ConfigError

MOST_BYTES = 10_000_000


def main() -> None:
    """Replaces what came with the package."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished training run")
    parser.add_argument("--output", type=Path, default=PRETRAINED, help="by default where `pretrained` is")
    arguments = parser.parse_args()
    try:
        export(arguments.run, arguments.output)
    except ConfigError as error:
        sys.exit(f"export: {error}")


def export(run: Path, output: Path) -> None:
    """Writes what `xworld evaluate` needs of the run into `output`, in place of what was there.

    Raises:
      ConfigError: the run has no checkpoint, is in `output`, or its agent is too large for the package; what was there
        stays.
    """
    if output.resolve() in (run.resolve(), *run.resolve().parents):
        raise ConfigError(f"{output} is to be replaced, and the run is in it. Choose another --output.")
    loaded = load(run)
    update = int(checkpoints(run, "last")[-1].name.rpartition("-")[2])
    unfinished = output.with_name(UNFINISHED + output.name)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name in ("config.json", "given.json", "metrics.csv"):
        shutil.copy(run / name, unfinished / name)
    save(checkpoint_folder(unfinished, "last", update), loaded.agent, loaded.params, loaded.return_scale)
    num_bytes = sum(path.stat().st_size for path in unfinished.rglob("*") if path.is_file())
    if num_bytes > MOST_BYTES:
        shutil.rmtree(unfinished)
        raise ConfigError(
            f"The agent of {run} has {num_bytes / 1e6:.1f} MB; at most {MOST_BYTES / 1e6:.0f} MB come with a package."
        )
    shutil.rmtree(output, ignore_errors=True)
    unfinished.rename(output)
    print(f"Wrote {num_bytes / 1e6:.1f} MB to {output}")


if __name__ == "__main__":
    main()
