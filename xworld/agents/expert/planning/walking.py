"""Shortest ways over poses: sets of poses that are reached at the same time, moved on all at once."""

from collections.abc import Iterator

from xworld.agents.expert.world.ground import Ground, Poses, members
from xworld.core.step.actions import FORWARD, TOGGLE, TURN_LEFT, TURN_RIGHT


class Walk:
    """Where an agent can get without changing anything but doors, and after how many actions at the earliest."""

    def __init__(self, ground: Ground, cell: int, direction: int, free: int, shut: int, avoid: Poses) -> None:
        """Floods the poses.

        Args:
          ground: the terrain.
          cell: where the agent stands.
          direction: which way it faces.
          free: cells that can be entered.
          shut: closed doors, which can be entered after they were opened.
          avoid: poses from which nothing is to be reached; they themselves are.
        """
        self._ground = ground
        self._shut = shut
        self._avoid = avoid
        self.layers: list[Poses] = []  # [n]: poses first reached after n actions
        stride = ground.stride
        reached = [1 << cell if facing == direction else 0 for facing in range(4)]
        n, e, s, w = reached
        seen_n, seen_e, seen_s, seen_w = reached
        late_n = late_e = late_s = late_w = 0  # doors that were opened for these poses and are entered next
        avoid_n, avoid_e, avoid_s, avoid_w = avoid
        while n | e | s | w | late_n | late_e | late_s | late_w:
            self.layers.append((n, e, s, w))
            n, e, s, w = n & ~avoid_n, e & ~avoid_e, s & ~avoid_s, w & ~avoid_w
            ahead_n, ahead_e, ahead_s, ahead_w = n >> stride, e << 1, s << stride, w >> 1
            next_n = (ahead_n & free | late_n | e | w) & ~seen_n
            next_e = (ahead_e & free | late_e | n | s) & ~seen_e
            next_s = (ahead_s & free | late_s | e | w) & ~seen_s
            next_w = (ahead_w & free | late_w | n | s) & ~seen_w
            late_n, late_e, late_s, late_w = ahead_n & shut, ahead_e & shut, ahead_s & shut, ahead_w & shut
            n, e, s, w = next_n, next_e, next_s, next_w
            seen_n, seen_e, seen_s, seen_w = seen_n | n, seen_e | e, seen_s | s, seen_w | w
        self.reached: Poses = (seen_n, seen_e, seen_s, seen_w)

    @property
    def cells(self) -> int:
        """The cells that can be reached."""
        north, east, south, west = self.reached
        return north | east | south | west

    def nearest(self, poses: Poses, start: int = 0) -> tuple[int, int, int] | None:
        """The first of these poses that is reached, not before `start` actions: actions, cell, direction."""
        north, east, south, west = poses
        if not (north & self.reached[0] | east & self.reached[1] | south & self.reached[2] | west & self.reached[3]):
            return None
        for time in range(start, len(self.layers)):
            n, e, s, w = self.layers[time]
            if n & north | e & east | s & south | w & west:
                for direction, found in enumerate((n & north, e & east, s & south, w & west)):
                    if found:
                        return time, found.bit_length() - 1, direction
        return None

    def nearest_before(self, cells: int, is_facing: tuple[bool, ...] = (True,) * 4) -> Iterator[tuple[int, int, int]]:
        """For each of these cells, nearest first, the first pose before it: actions, cell of the pose, direction."""
        for time, layer in enumerate(self.layers):
            for direction in range(4):
                if not is_facing[direction]:
                    continue
                found = self._ground.shift(layer[direction] & ~self._avoid[direction], direction) & cells
                if found:
                    cells &= ~found
                    delta = self._ground.deltas[direction]
                    for cell in members(found):
                        yield time, cell - delta, direction
            if not cells:
                return

    def way(self, time: int, cell: int, direction: int) -> list[int]:
        """The actions that lead to a pose which `layers[time]` has."""
        actions: list[int] = []
        while time:
            delta = self._ground.deltas[direction]
            behind = cell - delta
            if self._leaves(time - 1, behind, direction) and not self._shut >> cell & 1:
                actions.append(FORWARD)
                cell, time = behind, time - 1
            elif self._leaves(time - 1, cell, (direction + 1) & 3):
                actions.append(TURN_LEFT)
                direction, time = (direction + 1) & 3, time - 1
            elif self._leaves(time - 1, cell, (direction - 1) & 3):
                actions.append(TURN_RIGHT)
                direction, time = (direction - 1) & 3, time - 1
            else:
                actions += [FORWARD, TOGGLE]
                cell, time = behind, time - 2
        actions.reverse()
        return actions

    def _leaves(self, time: int, cell: int, direction: int) -> bool:
        """Whether a way goes on from this pose at this time."""
        return bool(self.layers[time][direction] & ~self._avoid[direction] & (1 << cell))
