"""Frames into a file that plays: GIF or MP4."""

import itertools
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from xworld.base.checks import check_number
from xworld.base.errors import ConfigError
from xworld.base.files import as_path, reason_of
from xworld.rendering.drawing.backend import PIL, imageio_ffmpeg
from xworld.rendering.files.still import check_picture

_SUFFIXES = (".gif", ".mp4")
_MIN_FPS, _MAX_FPS = 0.01, 1000.0  # a GIF's frame lasts 655 s at most
_MAX_GIF_FPS = 50.0  # browsers play anything faster slowly
_PALETTE_FRAMES = 32  # frames that are looked at to choose a GIF's colours
_COMMON = 400  # pixels from which on a colour weighs no more in that choice


def save_animation(frames: Iterable[np.ndarray], path: str | Path, *, fps: float = 8.0) -> Path:
    """Writes frames as a GIF that repeats for ever, or as an MP4 (H.264), as the suffix of `path` says.

    Args:
      frames: [h, w, 3] uint8 each, all of one size. An MP4 is written frame by frame, its odd sizes padded by a pixel;
        a GIF needs all frames at once, and joins equal ones that follow each other into one that is shown longer.
      path: ends in .gif or .mp4. Missing folders are made; a file that is there is replaced once all is well.
      fps: frames per second, 0.01 to 1000; at most 50 in a GIF, where the time of a frame is rounded to 1/100 s.

    Returns:
      The path.

    Raises:
      ConfigError: another suffix, a path that cannot be written, no frames, frames that are no pictures of one size,
        or an `fps` out of range. What `frames` raises goes on as it is.
    """
    path = as_path(path)
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise ConfigError(f"{path.name!r} has the suffix {path.suffix!r}; write a name that ends in .gif or .mp4.")
    fps = check_number("fps", fps, _MIN_FPS, _MAX_GIF_FPS if suffix == ".gif" else _MAX_FPS)
    unfinished = path.with_name(f".{path.stem}.unfinished{suffix}")
    raised: list[Exception] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.touch()  # before anything is drawn, so that a folder that cannot be written is said at once
        try:
            write = _write_gif if suffix == ".gif" else _write_mp4
            write(_checked(_watched(frames, raised)), unfinished, fps)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except ConfigError:
        raise
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        if error in raised:
            raise
        raise ConfigError(f"{path} cannot be written: {reason_of(error)}. Choose another path.") from error
    return path


def _watched(frames: Iterable[np.ndarray], raised: list[Exception]) -> Iterator[np.ndarray]:
    """The frames; an error of theirs, which is not one of the path, is put into `raised` too."""
    try:
        yield from frames
    except Exception as error:
        raised.append(error)
        raise


def _checked(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The frames; raises a `ConfigError` at one that does not belong, and when there are none."""
    shape: tuple[int, ...] | None = None
    for number, frame in enumerate(frames):
        check_picture(f"Frame {number}", frame)
        if shape is not None and frame.shape != shape:
            raise ConfigError(f"Frame {number} is {frame.shape}, the ones before it {shape}; make them of one size.")
        shape = frame.shape
        yield frame
    if shape is None:
        raise ConfigError("There are no frames to write; an animation has at least one.")


def _write_gif(frames: Iterator[np.ndarray], path: Path, fps: float) -> None:
    pictures = list(frames)
    palette = _palette(pictures[:: -(-len(pictures) // _PALETTE_FRAMES)])
    # One palette for all frames and no dithering: what does not move is then equal in them, and costs nothing.
    first, *rest = (
        PIL.Image.fromarray(picture).quantize(palette=palette, dither=PIL.Image.Dither.NONE) for picture in pictures
    )
    first.save(path, save_all=True, append_images=rest, duration=10 * round(100 / fps), loop=0, optimize=False)


def _palette(pictures: list[np.ndarray]) -> PIL.Image.Image:
    """An image whose palette has the up to 256 colours that these pictures need."""
    red, green, blue = np.moveaxis(np.stack(pictures).astype(np.uint32), -1, 0)
    packed, counts = np.unique(red << 16 | green << 8 | blue, return_counts=True)
    colours = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=-1).astype(np.uint8)
    # Common colours weigh alike, so that a large floor does not crowd out a small object.
    weighed = np.repeat(colours, np.minimum(counts, _COMMON), axis=0)
    return PIL.Image.fromarray(weighed[None]).quantize(256, method=PIL.Image.Quantize.FASTOCTREE)


def _write_mp4(frames: Iterator[np.ndarray], path: Path, fps: float) -> None:
    first = next(frames)
    height, width = first.shape[0] + first.shape[0] % 2, first.shape[1] + first.shape[1] % 2  # H.264 takes even sizes

    def pixels(frame: np.ndarray) -> bytes:
        padding = ((0, height - frame.shape[0]), (0, width - frame.shape[1]), (0, 0))
        return np.pad(frame, padding, mode="edge").tobytes()

    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "-"]
    target = ["-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", "-movflags", "+faststart", f"file:{path}"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *source, *target]
    # Started without Python code in the child, which JAX, being multithreaded, could deadlock.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        for frame in itertools.chain([first], frames):
            try:
                process.stdin.write(pixels(frame))
            except BrokenPipeError:  # it gave up, and says why
                break
        errors = process.communicate()[1]
    if process.returncode:
        raise OSError(errors.decode(errors="replace").strip())
