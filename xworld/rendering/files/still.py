"""A picture into a PNG file."""

import io
from pathlib import Path

import numpy as np

from xworld.base.errors import ConfigError
from xworld.base.files import as_path, reason_of, write_atomically
from xworld.rendering.drawing.backend import PIL


def save_picture(picture: np.ndarray, path: str | Path) -> Path:
    """Writes an [h, w, 3] uint8 picture as a PNG file. Missing folders are made; a file that is
    there is replaced once the new one is whole.

    Returns:
      The path.

    Raises:
      ConfigError: an array that is no picture, a suffix other than .png, or a path that cannot be written.
    """
    check_picture("The picture", picture)
    path = as_path(path)
    if path.suffix.lower() != ".png":
        raise ConfigError(f"{path.name!r} has the suffix {path.suffix!r}; write a name that ends in .png.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be written: {reason_of(error)}. Choose another path.") from error
    file = io.BytesIO()
    PIL.Image.fromarray(picture).save(file, "png")
    write_atomically(path, file.getvalue())
    return path


def check_picture(name: str, picture: np.ndarray) -> None:
    """Raises ConfigError unless an array, which errors call by `name`, is uint8 [h, w, 3] with at least one pixel."""
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or not picture.size:
        raise ConfigError(f"{name} is {picture.dtype} {picture.shape}; give uint8 [h, w, 3], of one pixel at least.")
