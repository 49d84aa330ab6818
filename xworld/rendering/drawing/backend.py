"""The optional packages that pictures need, imported in one place so that their absence is said in one way."""

import os

from xworld.base.errors import ConfigError

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

try:
    import imageio_ffmpeg
    import PIL.Image
    import pygame
except ImportError as error:
    raise ConfigError(f"Pictures need a package that is not there ({error}): pip install 'xworld[play]'") from error

__all__ = ["PIL", "imageio_ffmpeg", "pygame"]
