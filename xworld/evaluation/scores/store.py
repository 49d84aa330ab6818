"""Returns on disk: files of a batch or a pair, written as they come, so that an evaluation that was stopped goes on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xworld.base.errors import ConfigError, located
from xworld.base.files import as_path, check_folder, parse_json, read_array, read_text, write_array, write_atomically

_RETURNS, _ABOUT = "returns", "about.json"  # the folder in an evaluation's, and the file in it that says what of


class ReturnsStore:
    """The folder `returns` of an evaluation."""

    def __init__(self, folder: Path, about: Mapping[str, Any]):
        """Opens or makes it.

        Args:
          folder: the evaluation's.
          about: what the returns depend on, JSON types; kept beside them, and compared when they are opened again.

        Raises:
          ConfigError: the folder cannot be written to, or it holds returns that depend on something else.
        """
        self._folder = check_folder(folder / _RETURNS)
        path = self._folder / _ABOUT
        if path.exists():
            _check_same(path, about, is_part=False)
        else:
            write_atomically(path, json.dumps(about, indent=1).encode() + b"\n")

    def read(self, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
        """The float32 array of this name, or None if there is none.

        Raises:
          ConfigError: it is damaged.
        """
        path = self._folder / f"{name}.npy"
        values = read_array(path, len(shape))
        if values is not None and values.shape != shape:
            raise ConfigError(
                f"{path} is damaged: its shape is {list(values.shape)}, not {list(shape)}. "
                "Remove it, and it is played again."
            )
        return values

    def write(self, name: str, values: np.ndarray) -> None:
        """Keeps an array under a name."""
        write_array(self._folder / f"{name}.npy", values)


def check_returns(folder: Path, about: Mapping[str, Any]) -> None:
    """Refuses a folder with returns of another evaluation, by what is known before long work. Writes nothing.

    Args:
      folder: the evaluation's.
      about: a part of what the returns depend on, as for `ReturnsStore`.

    Raises:
      ConfigError: the folder holds returns that depend on something else.
    """
    path = as_path(folder) / _RETURNS / _ABOUT
    if path.exists():
        _check_same(path, about, is_part=True)


def _check_same(path: Path, about: Mapping[str, Any], *, is_part: bool) -> None:
    with located(f"{path} is damaged; remove the folder, or choose another"):
        found = parse_json(read_text(path))
    changed = _differences(found, json.loads(json.dumps(about)), is_part=is_part)
    if changed:
        folder = path.parent.parent
        raise ConfigError(
            f"{folder} holds another evaluation ({'; '.join(changed)}). Choose another folder, or remove it."
        )


def _differences(found: Any, expected: Any, name: str = "", *, is_part: bool) -> list[str]:
    """Lines such as "seed: 0 there, 1 here", one for each value in which two JSON objects differ.

    Of a part, what only the found one has is no difference.
    """
    if isinstance(found, dict) and isinstance(expected, dict):
        names = sorted(expected.keys() if is_part else found.keys() | expected.keys())
        prefix = f"{name}." if name else ""
        pairs = [(found.get(key), expected.get(key), prefix + key) for key in names]
        return [line for pair in pairs for line in _differences(*pair, is_part=is_part)]
    return [] if found == expected else [f"{name}: {found} there, {expected} here"]
