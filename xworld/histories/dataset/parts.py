"""The parts of a data set: batches as they were added, each with hashes by which damage is found."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xworld.base.checks import check_whole
from xworld.base.errors import ConfigError
from xworld.base.files import parse_json, reason_of
from xworld.base.lines import read_lines
from xworld.histories.dataset.header import PARTS, Column, DatasetHeader

_BLOCK = 1 << 24  # bytes that are hashed at a time


@dataclass(frozen=True)
class Part:
    """A batch of episodes: which rows of the arrays are its, and their hashes."""

    first_episode: int
    num_episodes: int
    first_step: int
    num_steps: int
    hashes: Mapping[str, str]  # SHA-256 by column

    def rows(self, column: Column) -> tuple[int, int]:
        """Its first row of a column, and how many it has."""
        return (self.first_step, self.num_steps) if column.is_of_steps else (self.first_episode, self.num_episodes)

    def to_json(self) -> dict[str, Any]:
        """Its line."""
        return dict(vars(self)) | {"hashes": dict(self.hashes)}


def read_parts(folder: Path, header: DatasetHeader) -> tuple[list[Part], list[str]]:
    """The parts that `parts.jsonl` tells of, and what is wrong with its lines. A line that was cut off is left out.

    Raises:
      ConfigError: the file cannot be read.
    """
    parts, faults = [], []
    for number, line in enumerate(read_lines(folder / PARTS), start=1):
        try:
            parts.append(_read_part(line, header))
        except (ConfigError, KeyError, TypeError) as error:
            faults.append(f"line {number} of {PARTS} is damaged ({reason_of(error)})")
    return parts, faults


def is_there(folder: Path, header: DatasetHeader, part: Part) -> bool:
    """Whether the files are long enough to have all of a part."""
    return all(sum(part.rows(column)) * column.row_bytes <= _size(folder, column) for column in header.columns)


def is_whole(folder: Path, header: DatasetHeader, part: Part) -> bool:
    """Whether all of a part is as it was written; reads all its bytes."""
    return is_there(folder, header, part) and all(
        _hash_rows(folder, column, *part.rows(column)) == part.hashes[column.name] for column in header.columns
    )


def map_rows(folder: Path, column: Column) -> np.ndarray:
    """All rows of a column, mapped into memory: what is looked at is read, and nothing else."""
    num_rows = _size(folder, column) // column.row_bytes
    shape = (num_rows, *column.shape)
    if not num_rows:
        return np.zeros(shape, column.dtype)  # an empty file cannot be mapped
    return np.memmap(folder / column.file_name, column.dtype, mode="r", shape=shape)


def _read_part(line: bytes, header: DatasetHeader) -> Part:
    content = parse_json(line)
    names = ("first_episode", "num_episodes", "first_step", "num_steps")
    counts = {name: check_whole(name, content[name], 0, 2**62) for name in names}
    return Part(**counts, hashes={column.name: str(content["hashes"][column.name]) for column in header.columns})


def _size(folder: Path, column: Column) -> int:
    path = folder / column.file_name
    return path.stat().st_size if path.is_file() else 0


def _hash_rows(folder: Path, column: Column, first: int, number: int) -> str:
    total, left = hashlib.sha256(), number * column.row_bytes
    with (folder / column.file_name).open("rb") as file:
        file.seek(first * column.row_bytes)
        while left and (block := file.read(min(left, _BLOCK))):
            total.update(block)
            left -= len(block)
    return total.hexdigest()
