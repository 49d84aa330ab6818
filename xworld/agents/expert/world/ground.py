"""What of a task never changes, as sets of cells in the bits of Python integers: terrain, neighbours, lines of sight.

A cell is row + 1 times the stride, plus column + 1: a ring of void around the grid keeps shifted sets from wrapping.
A set of cells is an integer with those bits. A set of poses is four sets of cells, one for each direction.
"""

from collections.abc import Iterator

import numpy as np

from xworld.core import kinds
from xworld.core.config import EnvConfig
from xworld.core.step.view import cells_between
from xworld.core.types import Task

Poses = tuple[int, int, int, int]  # sets of cells in which an agent faces north, east, south, west
NO_POSES: Poses = (0, 0, 0, 0)
STEPS = ((-1, 0), (0, 1), (1, 0), (0, -1))  # rows and columns to the north, east, south, west


class Ground:
    """The terrain of one task. Fields are sets of cells unless they say otherwise."""

    def __init__(self, config: EnvConfig, task: Task) -> None:
        """Reads the terrain of one task, its leaves on the host."""
        terrain = np.asarray(task.terrain)
        self.height, self.width = terrain.shape
        self.stride = self.width + 2
        self.deltas = (-self.stride, 1, self.stride, -1)  # from a cell to the next, by direction
        self.inside = self._set_of(terrain >= 0)
        types = terrain >> 4
        self.floor = self._set_of(types == kinds.FLOOR)
        self.storable = self.floor | self._set_of(types == kinds.COUNTER)
        self.clear = self.storable | self._set_of(types == kinds.WATER)  # can be seen through, doors apart
        self.doors = tuple(self.cell(*place) if place[0] < self.height else 0 for place in task.door_position.tolist())
        self.door_colours = tuple(
            int(terrain[place[0], place[1]]) & 15 if place[0] < self.height else 0
            for place in task.door_position.tolist()
        )
        self.floor_kinds = {
            kinds.FLOOR_SHAPE * 16 + colour: self._set_of(terrain == kinds.FLOOR * 16 + colour)
            for colour in range(len(kinds.COLOURS))
        }
        self._blocks = self.inside & ~self.clear
        self._offsets = _view_offsets(config.view_size, config.see_through_walls)
        self._lines: dict[int, int] = {}
        self._seers: dict[tuple[int, int], Poses] = {}
        self._views: dict[tuple[int, int, int], int] = {}

    def cell(self, row: int, column: int) -> int:
        """The number of a cell."""
        return (row + 1) * self.stride + column + 1

    def place(self, cell: int) -> tuple[int, int]:
        """Row and column of a cell."""
        return cell // self.stride - 1, cell % self.stride - 1

    def shift(self, cells: int, direction: int) -> int:
        """The cells one step further in a direction; those that leave the grid lie in the ring, or are gone."""
        delta = self.deltas[direction]
        return cells << delta if delta > 0 else cells >> -delta

    def beside(self, cells: int, directions: int) -> int:
        """The cells that lie in one of `directions`, a 4-bit mask, of any of these."""
        found = 0
        for direction in range(4):
            if directions >> direction & 1:
                found |= self.shift(cells, direction)
        return found & self.inside

    def around(self, cells: int) -> int:
        """The cells at most two rows and two columns from any of these, themselves included."""
        rows = cells | cells << 1 | cells << 2 | cells >> 1 | cells >> 2
        stride = self.stride
        return (rows | rows << stride | rows << 2 * stride | rows >> stride | rows >> 2 * stride) & self.inside

    def in_line(self, cells: int) -> int:
        """The cells that objects in any of these see along rows and columns, what stops the line included."""
        found = 0
        for cell in members(cells):
            if cell not in self._lines:
                self._lines[cell] = self._line(cell)
            found |= self._lines[cell]
        return found

    def facing(self, cells: int) -> Poses:
        """The poses before any of these cells."""
        stride = self.stride
        return cells << stride, cells >> 1, cells >> stride, cells << 1

    def seers(self, cells: int, clear: int) -> Poses:
        """The poses from which an agent sees any of these cells. `clear` are the cells that can be seen through."""
        north = east = south = west = 0
        for cell in members(cells):
            found = self._seers.get((cell, clear))
            if found is None:
                found = self._seers[cell, clear] = self._find_seers(cell, clear)
            north, east, south, west = north | found[0], east | found[1], south | found[2], west | found[3]
        return north, east, south, west

    def view(self, cell: int, direction: int, clear: int) -> int:
        """The cells that an agent sees."""
        key = (cell, direction, clear)
        if key not in self._views:
            row, column = self.place(cell)
            found = 0
            for rows, columns, between in self._offsets[direction]:
                here = row + rows, column + columns
                if self._is_inside(*here) and all(clear >> self.cell(row + r, column + c) & 1 for r, c in between):
                    found |= 1 << self.cell(*here)
            self._views[key] = found
        return self._views[key]

    def _set_of(self, is_member: np.ndarray) -> int:
        return sum(1 << self.cell(row, column) for row, column in np.argwhere(is_member).tolist())

    def _line(self, cell: int) -> int:
        found = 0
        for delta in self.deltas:
            here = cell + delta
            while self.inside >> here & 1:
                found |= 1 << here
                if self._blocks >> here & 1:
                    break
                here += delta
        return found

    def _is_inside(self, row: int, column: int) -> bool:
        return 0 <= row < self.height and 0 <= column < self.width

    def _find_seers(self, cell: int, clear: int) -> Poses:
        row, column = self.place(cell)
        found = []
        for offsets in self._offsets:
            poses = 0
            for rows, columns, between in offsets:
                here = row - rows, column - columns
                if self._is_inside(*here) and all(clear >> self.cell(here[0] + r, here[1] + c) & 1 for r, c in between):
                    poses |= 1 << self.cell(*here)
            found.append(poses)
        return found[0], found[1], found[2], found[3]


def members(cells: int) -> Iterator[int]:
    """The cells of a set, lowest first."""
    while cells:
        lowest = cells & -cells
        yield lowest.bit_length() - 1
        cells ^= lowest


Offset = tuple[int, int, list[tuple[int, int]]]  # rows and columns to a cell of the view, and to those that may hide it


def _view_offsets(view_size: int, see_through_walls: bool) -> list[list[Offset]]:
    """For every direction, the offsets of all cells of an agent's view."""
    half = view_size // 2
    found = []
    for direction in range(4):
        (row, column), (right_row, right_column) = STEPS[direction], STEPS[(direction + 1) % 4]

        def turned(
            offset: tuple[int, int], row=row, column=column, right_row=right_row, right_column=right_column
        ) -> tuple[int, int]:
            forward, right = offset
            return forward * row + right * right_row, forward * column + right * right_column

        found.append(
            [
                (*turned((forward, right)), [] if see_through_walls else [*map(turned, cells_between(forward, right))])
                for forward in range(view_size)
                for right in range(-half, half + 1)
            ]
        )
    return found
