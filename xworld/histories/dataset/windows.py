"""Windows of a data set: some steps in a row of streams, across trials and episodes. Only their own bytes are read."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xworld.base.checks import check_number, check_whole
from xworld.base.errors import ConfigError
from xworld.core.step.actions import NOOP
from xworld.core.types import episode_lengths
from xworld.histories.dataset.derive import Pieces
from xworld.histories.dataset.reader import Dataset

_MOST_TRIED = 1000  # streams for each window, until one is long enough


@dataclass(frozen=True)
class _Piece:
    """Steps in a row of one episode, which are a part of a window."""

    window: int
    place: int  # of its first step in the window
    episode: int
    first: int  # of its steps in the episode
    number: int


def draw_windows(
    data: Dataset,
    generator: np.random.Generator,
    num_windows: int,
    length: int,
    start_share: float = 0.0,
    *,
    keep: float = 1.0,
    ends: np.ndarray | None = None,
    among: np.ndarray | None = None,
) -> Pieces:
    """Windows of `length` steps at random: every stream is as likely, and in it every place.

    Args:
      data: where they are drawn from. Streams that are shorter give none.
      generator: the chance.
      num_windows: B.
      length: L, steps of a window.
      start_share: how many of the windows begin where their stream does.
      keep: the share of a stream, from its start on, that windows lie in.
      ends: [num_streams] steps of each stream, from its start on, that are to be learned from, where they are fewer
        than `keep` keeps. A window of a stream with less than `length` of them goes on beyond.
      among: [n] numbers of the streams that are drawn from; by default all.

    Raises:
      ConfigError: no stream is so long, or a number is out of range.
    """
    check_whole("num_windows", num_windows, 1)
    check_whole("length", length, 1)
    check_number("start_share", start_share, 0, 1)
    check_number("keep", keep, 0, 1, excludes_low=True)
    _check_longest(data, length, keep, among)
    streams: list[int] = []
    kept: list[int] = []  # steps of the stream
    num_tried = 0
    while len(streams) < num_windows:
        stream = int(generator.integers(data.num_streams) if among is None else generator.choice(among))
        within = int(data.stream_lengths(stream).sum() * keep)
        num_tried += 1
        if num_tried > _MOST_TRIED * num_windows:
            raise ConfigError(f"Hardly any stream of {data.folder} has {length} steps that are kept. Ask for less.")
        if within >= length:
            streams.append(stream)
            kept.append(within if ends is None else min(within, int(ends[stream])))
    is_at_start = generator.random(num_windows) < start_share
    starts = np.where(is_at_start, 0, generator.integers(np.maximum(np.array(kept) - length, 0) + 1))
    return read_windows(data, np.array(streams), starts, length, np.minimum(np.array(kept) - starts, length))


def _check_longest(data: Dataset, length: int, keep: float, among: np.ndarray | None) -> None:
    """Raises ConfigError where no stream that is drawn from has `length` steps that are kept.

    Of some streams the first that is long enough ends the search: it is made for every draw.
    """
    longest = int(data.longest * keep)
    if among is not None and longest >= length:
        longest = 0
        for stream in among:
            longest = max(longest, int(data.stream_lengths(int(stream)).sum() * keep))
            if longest >= length:
                break
    if longest < length:
        raise ConfigError(
            f"Windows of {length} steps are asked for, but the longest stream in {data.folder} has {longest} that are "
            "kept. Ask for shorter windows, keep more, or record longer streams."
        )


def read_windows(
    data: Dataset, streams: np.ndarray, starts: np.ndarray, length: int, num_kept: np.ndarray | None = None
) -> Pieces:
    """The windows of `length` steps that begin at the [B] steps `starts` of [B] streams.

    Args:
      data: where they are read from.
      streams: [B] numbers.
      starts: [B] steps.
      length: of all windows.
      num_kept: [B] steps of each that are to be learned from; by default all.

    Raises:
      ConfigError: a window does not lie within its stream, or not within the trials of its task.
    """
    pieces = [piece for number in range(len(streams)) for piece in _cut(data, number, streams, starts, length)]
    num_windows = len(streams)
    pieces += [pieces[0]] * (-len(pieces) % num_windows)  # so that few shapes are compiled
    episodes, first, number = (
        np.array([getattr(piece, name) for piece in pieces]) for name in ("episode", "first", "number")
    )
    tasks = data.tasks(episodes)
    trial_length = np.asarray(tasks.trial_length, np.int64)
    num_steps = episode_lengths(tasks)
    if (beyond := first + number > num_steps).any():
        worst = int(beyond.argmax())
        raise ConfigError(
            f"Episode {episodes[worst]} of {data.folder} goes on after the {num_steps[worst]} steps of its task. "
            "Record it again."
        )
    trial = np.maximum(first - 1, 0) // trial_length  # one earlier at a trial's start: the step before is seen in it
    warm = first - trial * trial_length
    size = length + (1 << int(trial_length.max() - 1).bit_length())
    action = data.read("action", episodes, first - warm, warm + number, size, NOOP)
    piece, time = np.zeros((2, length, num_windows), np.int32)
    for index, one in enumerate(pieces):
        part = slice(one.place, one.place + one.number)
        piece[part, one.window] = index
        time[part, one.window] = warm[index] + np.arange(one.number)
    labels: dict[str, Any] = {
        name: _gather(data.read(name, episodes, first, number, length), piece, time - warm[piece])
        for name in data.header.labels
        if name != "stream"
    }
    fields: dict[str, Any] = {  # numpy's arrays, as jit takes them
        "tasks": tasks,
        "seed": data.seeds(episodes),
        "trial": trial.astype(np.uint16),
        "action": action,
        "piece": piece,
        "time": time,
        "is_start": np.asarray(starts) == 0,
        "num_kept": np.full(num_windows, length, np.int32) if num_kept is None else num_kept.astype(np.int32),
        "labels": labels,
    }
    return Pieces(**fields)


def _cut(data: Dataset, window: int, streams: np.ndarray, starts: np.ndarray, length: int) -> list[_Piece]:
    """The pieces of a window."""
    stream, start = int(streams[window]), int(starts[window])
    episodes, lengths = data.stream(stream), data.stream_lengths(stream)
    ends = lengths.cumsum()
    if not 0 <= start <= ends[-1] - length:
        raise ConfigError(f"Stream {stream} has {ends[-1]} steps, too few for {length} from step {start} on.")
    pieces, place = [], 0
    for index in range(int(np.searchsorted(ends, start, side="right")), len(ends)):
        first = start + place - int(ends[index] - lengths[index])
        number = min(int(lengths[index]) - first, length - place)
        pieces.append(_Piece(window, place, int(episodes[index]), first, number))
        place += number
        if place == length:
            break
    return pieces


def _gather(values: np.ndarray, piece: np.ndarray, time: np.ndarray) -> np.ndarray:
    return values[time, piece]
