"""Reading XLand-MiniGrid's benchmark files: compressed pickles, of which only arrays and plain values are let in."""

import bz2
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from xworld.base.errors import ConfigError
from xworld.base.files import as_path, reason_of

FIELDS = ("goals", "rules", "init_tiles")


class Rulesets(Protocol):
    """Stacked rulesets: a `RulesetArrays`, or that package's `Benchmark`."""

    @property
    def goals(self) -> Any:
        """[S, 5] integers."""
        ...

    @property
    def rules(self) -> Any:
        """[S, R, 7] integers."""
        ...

    @property
    def init_tiles(self) -> Any:
        """[S, N, 2] integers."""
        ...


@dataclass(frozen=True)
class RulesetArrays:
    """S rulesets in XLand-MiniGrid's numbers, padded with zeros."""

    goals: np.ndarray  # [S, 5] number of the goal, then its tiles and position
    rules: np.ndarray  # [S, R, 7] number of the rule, then its tiles and its product
    init_tiles: np.ndarray  # [S, N, 2] tile and colour of what lies around at the start


def read_xland_minigrid(path: str | Path) -> RulesetArrays:
    """The rulesets in a benchmark file of XLand-MiniGrid.

    Nothing in the file can run code: of all that a pickle may name, only what makes up arrays is known.

    Args:
      path: of the file; or a benchmark's name, such as `medium-1m` or `medium_1m_v3`, of those that XLand-MiniGrid has
        downloaded: they are where it keeps them, in `XLAND_MINIGRID_DATA` or `~/.xland_minigrid`.

    Raises:
      ConfigError: there is no such file, or something else is in it.
    """
    path = _find(path)
    try:
        with bz2.open(path) as file:
            content = _ArrayUnpickler(file).load()
    except FileNotFoundError as error:
        raise ConfigError(
            f"There is no file {path}, and no benchmark of that name in {_kept()}. Name a file, or download it with "
            "xminigrid.load_benchmark."
        ) from error
    except Exception as error:  # a damaged pickle fails in many ways
        raise ConfigError(
            f"{path} is no benchmark file of XLand-MiniGrid that can be read: {reason_of(error)}."
        ) from error
    if not isinstance(content, dict) or not all(isinstance(content.get(name), np.ndarray) for name in FIELDS):
        raise ConfigError(f"{path} is no benchmark file of XLand-MiniGrid: it should hold {', '.join(FIELDS)}.")
    return RulesetArrays(**{name: content[name] for name in FIELDS})


def _kept() -> Path:
    """The folder where XLand-MiniGrid keeps what it has downloaded."""
    return as_path(os.environ.get("XLAND_MINIGRID_DATA") or "~/.xland_minigrid")


def _find(name: str | Path) -> Path:
    """The file of that path, or of the benchmark of that name, in its newest version if none is named."""
    path = as_path(name)
    if path.exists() or len(path.parts) != 1:
        return path
    stem = path.name.replace("-", "_")
    versions = [found for found in _kept().glob(f"{stem}_v*") if found.name.removeprefix(f"{stem}_v").isdigit()]
    versions.sort(key=lambda found: int(found.name.removeprefix(f"{stem}_v")))
    return next((found for found in (_kept() / stem, *reversed(versions)) if found.is_file()), path)


def _make_array(make: Callable[..., np.ndarray], arguments: tuple, state: tuple, _: object) -> np.ndarray:
    """What JAX does to unpickle an array, up to the step that puts it on a device."""
    array = make(*arguments)
    array.__setstate__(state)
    return array


# The functions with which NumPy unpickles arrays, in older and in newer pickles.
_EMPTY_ARRAY, _FROM_BUFFER = (np.zeros(0, np.uint8).__reduce_ex__(protocol)[0] for protocol in (4, 5))
# Module and name, as written by JAX and by NumPy before and since its version 2.
_KNOWN = {
    ("jax._src.array", "_reconstruct_array"): _make_array,
    ("numpy.core.multiarray", "_reconstruct"): _EMPTY_ARRAY,
    ("numpy._core.multiarray", "_reconstruct"): _EMPTY_ARRAY,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """What a pickle means by a name.

        Raises:
          UnpicklingError: anything but parts of arrays.
        """
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it names {module}.{name}, and only arrays are read")
        return _KNOWN[module, name]
