"""A picture into a PNG file."""

from pathlib import Path

import numpy as np

from xworld.base.errors import ConfigError
from xworld.rendering.drawing.backend import PIL


def save_picture(picture: np.ndarray, path: str | Path) -> Path:
    """Writes an [h, w, 3] uint8 picture as a PNG file. Missing folders are made.

    Returns:
      The path.

    Raises:
      ConfigError: a suffix other than .png, or a path that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ConfigError(f"{path.name!r} has the suffix {path.suffix!r}; write a name that ends in .png.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(picture).save(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}. Choose another path.") from error
    return path
