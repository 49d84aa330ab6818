"""The commands `xworld export` and `xworld import`. As in `commands/main.py`, heavy imports happen inside."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from xworld.base.errors import ConfigError


@dataclass
class Export:
    """Write a data set of histories for another project, with all that was seen.

    minari makes a folder for Minari, hdf5 one file with the layout of XLand-100B: see docs/histories.md.
    """

    data: Annotated[Positional[Path], arg(metavar="DATA")]  # the folder of a data set that `xworld record` made
    format: Literal["minari", "hdf5"]
    output: Path  # the file; for minari the folder, with a version in its name, as in ~/.minari/datasets/lives-v0

    def run(self) -> int:
        """Exports."""
        from xworld.base.progress import progress_bar
        from xworld.histories import Dataset

        data = Dataset(self.data)
        with progress_bar(data.num_steps, True) as advance:
            advance(0, "exporting")
            if self.format == "minari":
                from xworld.apps.exchange.minari import export_minari

                export_minari(data, self.output, advance)
                print(f"Wrote {self.output}: {data.num_episodes} episodes with {data.num_steps} steps")
                return 0
            from xworld.histories import export_xland_100b

            length, left_out = export_xland_100b(data, self.output, advance)
        cut = f"; {left_out} steps of longer ones are left out" if left_out else ""
        print(f"Wrote {self.output}: {data.num_streams} streams with {length} steps each{cut}")
        return 0


@dataclass
class Import:
    """Make a data set of what `xworld export` has written, or of the histories of people.

    What came of the actions is derived again and compared with what is there.
    """

    # an HDF5 file; a folder of Minari's; a history that `xworld play` or `xworld study run` left, or a folder of them
    source: Annotated[Positional[Path], arg(metavar="SOURCE")]
    output: Path  # folder of the data set

    def run(self) -> int:
        """Imports."""
        from xworld.base.progress import progress_bar
        from xworld.histories import SUFFIX, collect_histories, import_xland_100b

        if not self.source.exists():
            raise ConfigError(f"There is no {self.source}. Name an HDF5 file, a folder of Minari's, or histories.")
        with progress_bar(None, True) as advance:
            advance(0, "importing")
            if self.source.suffix == SUFFIX or (self.source.is_dir() and any(self.source.rglob(f"*{SUFFIX}"))):
                data = collect_histories(self.source, self.output, advance)
            elif self.source.is_dir():
                from xworld.apps.exchange.minari import import_minari

                data = import_minari(self.source, self.output, advance)
            else:
                data = import_xland_100b(self.source, self.output, advance)
        print(f"{self.output} has {data.num_episodes} episodes with {data.num_steps} steps")
        return 0
