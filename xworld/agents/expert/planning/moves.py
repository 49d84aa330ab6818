"""What an agent may do next on the way to what is wished for: walks that end with one action that changes things."""

from collections.abc import Iterator, Set
from dataclasses import dataclass

from xworld.agents.expert.planning.regression import Wish
from xworld.agents.expert.planning.walking import Walk
from xworld.agents.expert.world.ground import NO_POSES, Poses, members
from xworld.agents.expert.world.model import Model
from xworld.agents.expert.world.situation import Condition, Situation
from xworld.core import kinds
from xworld.core.step.actions import FORWARD, NOOP, PICK_UP, PUT_DOWN
from xworld.core.step.relations import HOLD, ON

_AGENTS = kinds.agent_kind(0)


@dataclass(frozen=True)
class Leg:
    """One agent walks to a pose and then acts; the other agents wait."""

    agent: int
    cell: int  # where it ends up walking
    direction: int
    last: int  # the action there; NOOP if arriving is all
    actions: tuple[int, ...]  # the way and the last action; at least one


@dataclass(frozen=True)
class Breadth:
    """How many possibilities are looked at."""

    num_places: int  # cells that a thing is put on, for each wish
    is_thorough: bool  # push everything that matters, make more of what is there, take anything


NARROW, WIDE, WIDEST = Breadth(3, False), Breadth(8, True), Breadth(24, True)


class Mover:
    """One agent in a situation."""

    def __init__(
        self, model: Model, situation: Situation, agent: int, breadth: Breadth, harmless: Set[int] | None
    ) -> None:
        """`harmless` are the rules that may fire on the way; None if all may."""
        self.model, self.situation, self.agent, self.breadth = model, situation, agent, breadth
        self.harmless = harmless
        self.ground = model.ground
        self.layout = model.layout(situation)
        self.held = self.layout.held[agent]
        self.rule_poses = model.rule_poses(situation, agent)
        self.avoid = _union(
            [poses for rule, poses in self.rule_poses.items() if harmless is not None and rule not in harmless]
        )
        self.bodies = model.bodies(situation, agent)
        self.free = model.walkable(situation.doors) & ~self.layout.occupied & ~self.bodies
        shut = sum(1 << door for door, state in self.doors() if state == kinds.CLOSED) & ~self.bodies
        self.walk = Walk(self.ground, situation.cells[agent], situation.directions[agent], self.free, shut, self.avoid)
        self.storable = self.ground.storable & ~self.layout.occupied & ~self.bodies
        self._trouble: dict[int, list[tuple[int, int]]] = {}

    def doors(self) -> Iterator[tuple[int, int]]:
        """Cells and states of the doors."""
        for door, state in zip(self.ground.doors, self.situation.doors, strict=True):
            if door:
                yield door, state

    # What a wish asks for.

    def for_wish(self, wish: Wish) -> Iterator[Leg]:
        """Legs that bring a wish nearer, when nothing is in the way."""
        condition = wish.condition
        if wish.is_negated:
            yield from self.part(condition)
        elif condition.first >= _AGENTS:
            if condition.first == _AGENTS + self.agent:
                yield from self.meet(wish)
        elif condition.relation == ON:
            yield from self.lay_on(condition.first, self.ground.floor_kinds[condition.second], wish)
        elif condition.second >= _AGENTS:
            yield from self.be_met(condition)
        else:
            yield from self.bring_together(wish)

    def meet(self, wish: Wish) -> Iterator[Leg]:
        """The agent itself has to hold, touch, see ... something."""
        condition = wish.condition
        relation, _, _, second = condition
        if relation == HOLD:
            if self.held >= 0 and self.situation.kinds[self.held] != second:
                yield from self.drop()
            yield from self.take_any(second)
            return
        poses = self.model.poses_of(self.situation, self.agent, condition)
        is_free_of_others = poses
        if wish.rule is not None:
            lower = [other for number, other in self.rule_poses.items() if number < wish.rule]
            is_free_of_others = _without(poses, _union(lower))
        reached = list(self.go(is_free_of_others)) or list(self.go(poses))
        yield from reached
        if relation == ON or second >= _AGENTS:
            return
        if self.held >= 0 and self.situation.kinds[self.held] == second:
            directions = condition.directions or 15
            yield from self.put(self.storable, facing=tuple(bool(directions >> d & 1) for d in range(4)))
        elif not reached or self.breadth.is_thorough:
            yield from self.take_any(second)
            yield from self.push_any(second)
            if self.held >= 0:
                yield from self.drop()

    def be_met(self, condition: Condition) -> Iterator[Leg]:
        """A thing has to touch, see ... an agent."""
        other = condition.second - _AGENTS
        if other == self.agent:
            yield from self.go(self.model.poses_of(self.situation, self.agent, condition))
        cell = self.situation.cells[other]
        cells = self.ground.floor if other == self.agent else self.model.related_back(condition, 1 << cell)
        yield from self.lay_on(condition.first, cells, None)

    def lay_on(self, kind: int, cells: int, wish: Wish | None) -> Iterator[Leg]:
        """A thing of a kind has to lie in one of these cells."""
        if self.held >= 0 and self.situation.kinds[self.held] == kind:
            yield from self.put(self.quiet(kind, self.storable & cells, wish))
            return
        yield from self.take_any(kind)
        yield from self.push_any(kind, cells)
        if self.held >= 0:
            yield from self.drop()

    def bring_together(self, wish: Wish) -> Iterator[Leg]:
        """Two things have to touch, be near or see each other."""
        condition = wish.condition
        first, second = condition.first, condition.second
        to_second = self.model.related_back(condition, self.layout.lying.get(second, 0))
        to_first = self.model.related(condition, self.layout.lying.get(first, 0))
        held = self.situation.kinds[self.held] if self.held >= 0 else 0
        if held in (first, second):
            cells = (to_second if held == first else 0) | (to_first if held == second else 0)
            yield from self.put(self.quiet(held, self.storable & cells, wish))
            return
        for kind, cells in ((first, to_second), (second, to_first)):
            yield from self.take_any(kind)
            yield from self.push_any(kind, cells)
        if held:
            yield from self.drop()

    def lay_aside(self, wish: Wish) -> Iterator[Leg]:
        """Lay what a wish is about where there is room to put something beside it."""
        if self.held >= 0 and self.situation.kinds[self.held] in wish.condition[2:]:
            yield from self.drop()

    def part(self, condition: Condition) -> Iterator[Leg]:
        """What is so related has to be so no longer."""
        relation, _, first, second = condition
        if relation == HOLD:
            if self.held >= 0:
                yield from self.drop()
            return
        if first == _AGENTS + self.agent or second == _AGENTS + self.agent:
            poses = self.model.poses_of(self.situation, self.agent, condition)
            yield from self.go(_without(self.model.all_poses, poses))
        for kind in (first, second):
            if kind < _AGENTS:
                yield from self.take_any(kind)
                yield from self.push_any(kind, self.storable)
        if self.held >= 0:
            yield from self.drop()

    def help(self, wish: Wish, others: list[int]) -> Iterator[Leg]:
        """Fetch what a wish is about and other agents cannot get at, and lay it where they can."""
        condition = wish.condition
        held = self.situation.kinds[self.held] if self.held >= 0 else 0
        for other in others:
            if condition.first >= _AGENTS and condition.first != _AGENTS + other:
                continue
            reach = self.ground.beside(
                Mover(self.model, self.situation, other, self.breadth, self.harmless).walk.cells, 15
            )
            for kind in condition[2:]:
                if not kinds.is_object_kind(kind):
                    continue
                if kind == held:
                    yield from self.put(self.quiet(held, self.storable & reach, None))
                elif not self.layout.lying.get(kind, 0) & reach:
                    yield from self.take_any(kind)
                    yield from self.push_any(kind, self.storable)

    # Ways.

    def go(self, poses: Poses, last: int = NOOP) -> Iterator[Leg]:
        """Walk to the nearest of these poses, and perhaps act there."""
        found = self.walk.nearest(poses)
        if found:
            yield self.leg(*found, last)

    def take_any(self, kind: int) -> Iterator[Leg]:
        """Pick up a thing of a kind: each of those that can be reached."""
        for slot in self.layout.slots.get(kind, ()):
            yield from self.take(slot)

    def take(self, slot: int) -> Iterator[Leg]:
        """Pick up a thing."""
        place = self.situation.places[slot]
        if self.held >= 0 or place <= 0 or self.situation.frozen >> slot & 1:
            return
        for found in self.walk.nearest_before(1 << place):
            yield self.leg(*found, PICK_UP)

    def put(self, cells: int, facing: tuple[bool, ...] = (True,) * 4) -> Iterator[Leg]:
        """Put down what is held into the nearest of these cells."""
        for number, found in enumerate(self.walk.nearest_before(cells, facing)):
            if number == self.breadth.num_places:
                break
            yield self.leg(*found, PUT_DOWN)

    def drop(self) -> Iterator[Leg]:
        """Put down what is held where it does no harm and is in nobody's way."""
        cells = self.quiet(self.situation.kinds[self.held], self.storable, None)
        harmless = sum(1 << cell for cell in members(cells) if self._is_dispensable(cell))
        found = list(self.put(harmless)) or list(self.put(cells)) or list(self.put(self.storable))
        yield from found

    def push_any(self, kind: int, cells: int | None = None) -> Iterator[Leg]:
        """Push a thing of a kind into one of these cells; to anywhere if it cannot be carried without harm."""
        condition = Condition(HOLD, 0, _AGENTS + self.agent, kind)
        is_anywhere = self.breadth.is_thorough or any(rule.condition == condition for rule in self.model.rules)
        for slot in self.layout.slots.get(kind, ()):
            if is_anywhere:
                yield from self.push(slot)
            elif cells:
                yield from self.push(slot, cells)

    def push(self, slot: int, cells: int = -1) -> Iterator[Leg]:
        """Push a thing by one cell, if it comes into one of `cells`."""
        place = self.situation.places[slot]
        if not self.model.push or place <= 0 or self.situation.frozen >> slot & 1:
            return
        if not self.model.walkable(self.situation.doors) >> place & 1:
            return
        for direction, delta in enumerate(self.ground.deltas):
            if (self.storable & cells) >> (place + delta) & 1:
                poses = [0, 0, 0, 0]
                poses[direction] = 1 << place - delta
                found = self.walk.nearest(_without((poses[0], poses[1], poses[2], poses[3]), self.avoid))
                if found:
                    yield self.leg(*found, FORWARD)

    # Places.

    def quiet(self, kind: int, cells: int, wish: Wish | None) -> int:
        """Those of `cells` in which a thing of a kind sets off no rule but the wished one; all if none is."""
        rule = wish.rule if wish else None
        if kind not in self._trouble:
            self._trouble[kind] = list(self._find_trouble(kind))
        found = cells
        for number, wrong in self._trouble[kind]:
            if number != rule:
                found &= ~wrong
        return found or cells

    def _find_trouble(self, kind: int) -> Iterator[tuple[int, int]]:
        """Rules, and the cells in which a thing of a kind would set them off with what lies about."""
        lying = self.layout.lying
        for number, (condition, _) in enumerate(self.model.rules):
            relation, _, first, second = condition
            if first >= _AGENTS:
                continue
            if relation == ON:
                if first == kind:
                    yield number, self.ground.floor_kinds[second]
                continue
            if first == kind and second in lying:
                yield number, self.model.related_back(condition, lying[second])
            if second == kind and first in lying:
                yield number, self.model.related(condition, lying[first])

    def _is_dispensable(self, cell: int) -> bool:
        """Whether the free neighbours of a cell are connected around it, so that a thing in it blocks no way."""
        stride = self.ground.stride
        ring = (-stride, 1 - stride, 1, stride + 1, stride, stride - 1, -1, -1 - stride)
        free = [self.free >> cell + delta & 1 for delta in ring]
        # A neighbour in a corner only joins two others; gaps are counted where a side is followed by no way on.
        gaps = sum(free[i] and not (free[i + 1] and free[(i + 2) & 7]) for i in range(0, 8, 2))
        return gaps <= 1

    def leg(self, time: int, cell: int, direction: int, last: int) -> Leg:
        """The leg to a pose that the walk reaches after `time` actions, and what is done there."""
        way = self.walk.way(time, cell, direction)
        if last != NOOP or not way:
            way.append(last)
        return Leg(self.agent, cell, direction, last, tuple(way))


def _union(parts: list[Poses]) -> Poses:
    found = list(NO_POSES)
    for poses in parts:
        for direction in range(4):
            found[direction] |= poses[direction]
    return found[0], found[1], found[2], found[3]


def _without(poses: Poses, others: Poses) -> Poses:
    return poses[0] & ~others[0], poses[1] & ~others[1], poses[2] & ~others[2], poses[3] & ~others[3]
