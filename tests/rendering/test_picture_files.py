"""The files that pictures become, GIFs, films and PNGs, and what is said where they cannot be written."""

import resource
import signal
import subprocess

import imageio_ffmpeg
import numpy as np
import PIL.Image
import pytest

from xworld.base.errors import ConfigError
from xworld.rendering import save_animation, save_picture


def moving_squares(num_frames, height=46, width=62):
    frames = np.full((num_frames, height, width, 3), 20, np.uint8)
    for number, frame in enumerate(frames):
        frame[8:24, 4 * number : 4 * number + 16] = (230, 60, 60)
    return list(frames)


def test_gif(tmp_path):
    frames = moving_squares(6)
    path = save_animation(frames[:3] + [frames[3]] * 4 + frames[4:], tmp_path / "new" / "run.gif", fps=10)
    with PIL.Image.open(path) as image:
        assert image.size == (62, 46)
        assert image.info["loop"] == 0
        durations, pictures = [], []
        for number in range(image.n_frames):
            image.seek(number)
            durations.append(image.info["duration"])
            pictures.append(np.asarray(image.convert("RGB")))
    assert durations == [100, 100, 100, 400, 100, 100]  # equal frames are one that is shown longer
    assert np.abs(np.stack(pictures).astype(int) - np.stack(frames)).max() < 16
    assert [file.name for file in path.parent.iterdir()] == ["run.gif"]


@pytest.mark.parametrize("size", [(46, 62), (45, 61)])
def test_mp4(tmp_path, size):
    frames = moving_squares(7, *size)
    path = save_animation(iter(frames), str(tmp_path / "run.MP4"), fps=5)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    decoded = subprocess.run(command, check=True, capture_output=True)
    assert b"5 fps" in decoded.stderr and b"62x46" in decoded.stderr
    pictures = np.frombuffer(decoded.stdout, np.uint8).reshape(7, 46, 62, 3)[:, : size[0], : size[1]]
    assert np.abs(pictures.astype(int) - np.stack(frames)).mean() < 6


@pytest.mark.parametrize(
    ("name", "frames", "fps", "message"),
    [
        ("run.avi", moving_squares(2), 8, "has the suffix '.avi'; write a name that ends in .gif or .mp4"),
        ("run", moving_squares(2), 8, "has the suffix ''"),
        ("run.gif", [], 8, "no frames"),
        ("run.mp4", [], 8, "no frames"),
        ("run.gif", moving_squares(2), 0, "fps is 0"),
        ("run.gif", moving_squares(2), 60, "fps is 60.0; write a number from 0.01 to 50"),
        ("run.gif", moving_squares(2), 1e-9, "fps is 1e-09; write a number from 0.01"),
        ("run.mp4", moving_squares(2), float("inf"), "fps is inf"),
        ("run.mp4", moving_squares(1) + moving_squares(1, 48, 62), 8, r"Frame 1 is \(48, 62, 3\)"),
        ("run.gif", [np.zeros((4, 4, 3))], 8, "Frame 0 is float64"),
        ("run.gif", [np.zeros((4, 4), np.uint8)], 8, r"uint8 \[h, w, 3\]"),
        ("file/run.gif", moving_squares(2), 8, "file/run.gif cannot be written: File exists"),
        ("file/run.mp4", moving_squares(2), 8, "cannot be written"),
    ],
)
def test_files_that_cannot_be_meant(tmp_path, name, frames, fps, message):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigError, match=message):
        save_animation(frames, tmp_path / name, fps=fps)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_what_ffmpeg_says_is_passed_on(tmp_path, monkeypatch):
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\necho the disk is full >&2\nexit 1\n")
    broken.chmod(0o700)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(broken))
    with pytest.raises(ConfigError, match=r"run\.mp4 cannot be written: the disk is full"):
        save_animation(moving_squares(3, 400, 400), tmp_path / "run.mp4")
    assert [file.name for file in tmp_path.iterdir()] == ["ffmpeg"]


@pytest.mark.parametrize("error", [ValueError("no"), BrokenPipeError("closed"), FileNotFoundError("episode.npz")])
@pytest.mark.parametrize("name", ["run.gif", "run.mp4"])
def test_errors_of_the_frames_are_not_those_of_the_path(tmp_path, name, error):
    def frames():
        yield from moving_squares(2)
        raise error

    with pytest.raises(type(error)) as caught:
        save_animation(frames(), tmp_path / name)
    assert caught.value is error and not list(tmp_path.iterdir())


def test_a_broken_film_leaves_the_old_file(tmp_path):
    path = tmp_path / "run.mp4"
    path.write_bytes(b"old")
    with pytest.raises(ConfigError, match="Frame 3"):
        save_animation(moving_squares(3) + moving_squares(1, 48, 62), path)
    assert path.read_bytes() == b"old"


def test_pictures_are_saved_as_png(tmp_path):
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    path = save_picture(picture, tmp_path / "new" / "picture.png")
    assert (np.asarray(PIL.Image.open(path)) == picture).all()
    with pytest.raises(ConfigError, match="ends in .png"):
        save_picture(picture, tmp_path / "picture.jpg")
    for wrong in (picture[..., 0], picture[..., :2], picture.astype(np.float32), picture[:0]):
        with pytest.raises(ConfigError, match="The picture is .*; give uint8"):
            save_picture(wrong, path)
    assert (np.asarray(PIL.Image.open(path)) == picture).all()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        save_picture(picture, tmp_path / "file" / "picture.png")


def test_a_picture_that_does_not_fit_leaves_the_old_one(tmp_path):
    path = save_picture(np.zeros((4, 4, 3), np.uint8), tmp_path / "picture.png")
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # as if the disk was full
    try:
        with pytest.raises(ConfigError, match="cannot be written: File too large"):
            save_picture(np.random.default_rng(0).integers(255, size=(99, 99, 3), dtype=np.uint8), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["picture.png"]
