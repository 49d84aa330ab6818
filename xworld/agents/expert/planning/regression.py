"""Backwards from the goal through the rules: what is worth doing next, and about how far away the goal still is."""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

from xworld.agents.expert.world.ground import members
from xworld.agents.expert.world.model import Model
from xworld.agents.expert.world.situation import Condition, Literal, Situation
from xworld.core import kinds
from xworld.core.step.relations import HOLD, NEAR, ON, TOUCH

OUT_OF_REACH = 10_000.0  # actions; more than any plan has
_LOCKED_DOOR = 12  # actions to get a key, roughly
_HAND_OVER = 6  # actions to pass a thing over a counter, roughly
_APART = 8  # actions to take one of several pairs apart, roughly
_AGENTS = kinds.agent_kind(0)


class Wish(NamedTuple):
    """A condition that can be made to hold, or not to hold, with what is there now."""

    condition: Condition
    rule: int | None  # the rule that is to fire by it, None for a part of the goal
    is_negated: bool = False


class Regression:
    """What a model's goal asks for, in any situation."""

    def __init__(self, model: Model) -> None:
        """Sorts the model's rules by what they make and use."""
        self.model = model
        self._makers: dict[int, list[int]] = {}  # by kind
        self._users: dict[int, list[int]] = {}
        self._movers: dict[int, list[int]] = {}  # rules that make a kind, and perhaps only move it
        for number, rule in enumerate(model.rules):
            for kind in set(rule.products):
                self._movers.setdefault(kind, []).append(number)
                if rule.products.count(kind) > rule.consumed.count(kind):
                    self._makers.setdefault(kind, []).append(number)
            for kind in set(rule.consumed):
                if rule.consumed.count(kind) > rule.products.count(kind):
                    self._users.setdefault(kind, []).append(number)
        self.needed = self._find_needed()
        # They turn things that nothing needs into others that nothing needs, and may fire at any time.
        self.harmless = frozenset(
            number
            for number, rule in enumerate(model.rules)
            if not self.needed & {*rule.consumed, *rule.products} and len(rule.products) <= len(rule.consumed) > 0
        )
        self._wishes: dict[tuple, list[Wish]] = {}
        self._distances: dict[tuple, dict[int, int]] = {}

    def _find_needed(self) -> set[int]:
        """The kinds that the goal, or a rule on the way to it, is about."""
        needed: set[int] = set()
        waiting: list[int] = []
        for condition, is_negated in itertools.chain(*self.model.goal):
            waiting += condition[2:]
            for kind in condition[2:] if is_negated else ():
                for number in self._users.get(kind, ()):
                    waiting += self.model.rules[number].condition[2:]
        while waiting:
            kind = waiting.pop()
            if kind not in needed:
                needed.add(kind)
                for number in self._makers.get(kind, ()):
                    waiting += self.model.rules[number].condition[2:]
        return needed

    def wishes(self, situation: Situation, is_thorough: bool) -> list[Wish]:
        """What is worth making true now.

        If `is_thorough`, also what would make or move a kind that is there, or remove what could do harm.
        """
        unmet = tuple(
            tuple(literal for literal in clause if self._is_unmet(situation, literal)) for clause in self.model.goal
        )
        there = self._kinds_there(situation)
        key = unmet, there, is_thorough
        if key not in self._wishes:
            found: dict[Wish, None] = {}
            for clause in unmet:
                for literal in clause:
                    self._collect(literal, there, is_thorough, found)
            if is_thorough:
                self._collect_removers(there, found)
            self._wishes[key] = list(found)
        return self._wishes[key]

    def _is_unmet(self, situation: Situation, literal: Literal) -> bool:
        return self.model.holds(situation, literal.condition) == literal.is_negated

    def _kinds_there(self, situation: Situation) -> frozenset[int]:
        return frozenset((*self.model.layout(situation).slots, *(_AGENTS + agent for agent in self.model.agents)))

    def _collect(self, literal: Literal, there: frozenset[int], is_thorough: bool, found: dict[Wish, None]) -> None:
        """Adds the wishes that lead to a literal."""
        visited: set[int] = set()

        def reach(wish: Wish) -> None:
            missing = [kind for kind in _operands(wish.condition) if kind not in there]
            if not missing:
                found[wish] = None
            for kind in _operands(wish.condition) if is_thorough else missing:
                make(kind)

        def make(kind: int) -> None:
            for number in (self._movers if is_thorough else self._makers).get(kind, ()):
                fire(number)

        def fire(number: int) -> None:
            if number not in visited:
                visited.add(number)
                reach(Wish(self.model.rules[number].condition, number))

        if not literal.is_negated:
            reach(Wish(literal.condition, None))
            return
        found[Wish(literal.condition, None, is_negated=True)] = None
        for kind in _operands(literal.condition):
            for number in self._users.get(kind, ()):
                fire(number)

    def _collect_removers(self, there: frozenset[int], found: dict[Wish, None]) -> None:
        """Adds the rules that use up what is only good for doing harm."""
        for number, rule in enumerate(self.model.rules):
            if number not in self.harmless and self.needed & {*rule.consumed}:
                for kind in {*rule.consumed} - self.needed:
                    for remover in self._users.get(kind, ()):
                        condition = self.model.rules[remover].condition
                        if there.issuperset(_operands(condition)):
                            found.setdefault(Wish(condition, remover))

    def estimate(self, situation: Situation) -> float:
        """About how many actions it takes until the goal holds; `OUT_OF_REACH` when it cannot any more."""
        sketch = _Sketch(self, situation)
        return min((sum(map(sketch.literal, clause)) for clause in self.model.goal), default=OUT_OF_REACH)

    def makers(self, kind: int) -> Iterable[int]:
        """The rules that make more of a kind than they use up."""
        return self._makers.get(kind, ())

    def users(self, kind: int) -> Iterable[int]:
        """The rules that use up more of a kind than they make."""
        return self._users.get(kind, ())

    def distance(self, doors: tuple[int, ...], start: int, end: int) -> float:
        """Steps between two cells; what lies about does not matter, shut doors cost a little, locked ones more."""
        if (doors, start) not in self._distances:  # the way back is as long, and the end lies still more often
            start, end = end, start
        return self.distances(doors, start).get(end, OUT_OF_REACH)

    def distances(self, doors: tuple[int, ...], start: int) -> dict[int, int]:
        """Likewise, to all cells that can be reached."""
        distances = self._distances.get((doors, start))
        if distances is None:
            distances = self._distances[doors, start] = self._spread(doors, start)
        return distances

    def _spread(self, doors: tuple[int, ...], start: int) -> dict[int, int]:
        """Steps to every cell from one. Counters are reached, and with company things cross them."""
        ground = self.model.ground
        walkable = self.model.walkable(doors)
        slow: list[tuple[int, int]] = []
        counters = ground.storable & ~ground.floor
        if len(self.model.agents) > 1:
            slow.append((counters, _HAND_OVER))
        for door, state in zip(ground.doors, doors, strict=True):
            if door and state != kinds.OPEN:
                slow.append((1 << door, 1 if state == kinds.CLOSED else _LOCKED_DOOR))
        return spread(ground.beside, 1 << start, walkable, slow, ends=counters)


def spread(beside, start: int, free: int, slow: list[tuple[int, int]], ends: int = 0) -> dict[int, int]:
    """Steps from the cells of `start` to all others that can be reached.

    Args:
      beside: `Ground.beside`.
      start: set of cells.
      free: cells that can be entered at once.
      slow: sets of cells that take so many steps more.
      ends: cells that are reached, but not left.
    """
    distances: dict[int, int] = {}
    seen, frontier, time = 0, start, 0
    late: dict[int, int] = {}
    entered = start
    while frontier or late:
        frontier |= late.pop(time, 0)
        new = frontier & ~seen
        for cell in members(new):
            distances[cell] = time
        seen |= new
        ahead = beside(new & (free | entered), 15) & ~seen
        for cells, extra in slow:
            waiting = ahead & cells & ~entered
            if waiting:
                entered |= waiting
                late[time + 1 + extra] = late.get(time + 1 + extra, 0) | waiting
        frontier = ahead & (free | ends & ~entered)
        time += 1
    return distances


class _Sketch:
    """A rough plan: every kind that is missing is made by the rule that makes it soonest, one after the other."""

    def __init__(self, regression: Regression, situation: Situation) -> None:
        self._regression = regression
        self._model = regression.model
        self._situation = situation
        self._layout = self._model.layout(situation)
        self._open: set[int] = set()  # rules that are being looked at
        self._made: dict[int, tuple[float, int]] = {}

    def literal(self, literal: Literal) -> float:
        """Actions until a literal is true."""
        condition, is_negated = literal
        if self._model.holds(self._situation, condition) != is_negated:
            return 0.0
        if not is_negated:
            return self.condition(condition)[0]
        ways = [OUT_OF_REACH]
        for kind in _operands(condition):
            if kind >= _AGENTS:
                ways.append(3.0)
            for slot in self._layout.slots.get(kind, ()):
                if not self._situation.frozen >> slot & 1:
                    ways.append(self._to_agents(self._place(slot)) + 1.0)
            ways += [self._fire(number)[0] for number in self._regression.users(kind)]
        return min(ways) + _APART * (self._num_related(condition) - 1)

    def _num_related(self, condition: Condition) -> int:
        """How many things of one kind have to be moved at least so that the condition holds no longer."""
        _, _, first, second = condition
        if first >= _AGENTS or condition.relation == ON or second >= _AGENTS:
            return 1
        lying = self._layout.lying
        firsts, seconds = lying.get(first, 0), lying.get(second, 0)
        return min(
            (firsts & self._model.related_back(condition, seconds)).bit_count(),
            (seconds & self._model.related(condition, firsts)).bit_count(),
        )

    def condition(self, condition: Condition) -> tuple[float, int]:
        """Actions until a condition holds, and where that will be."""
        relation, _, first, second = condition
        slack = 2.0 if relation == NEAR else 1.0 if relation == TOUCH else 0.0
        if first >= _AGENTS:
            cell = self._situation.cells[first - _AGENTS]
            if relation == ON:
                distance, place = min(
                    ((self._distance(cell, pad), pad) for pad in members(self._model.ground.floor_kinds[second])),
                    default=(OUT_OF_REACH, 0),
                )
                return distance, place
            if second >= _AGENTS:
                place = self._situation.cells[second - _AGENTS]
                return max(self._distance(cell, place) - slack, 1.0), place
            cost, place, is_there = self._thing(second, cell)
            # Who makes a thing stands beside it.
            distance = self._distance(cell, place) if is_there else 2.0
            if relation == HOLD and self._layout.held[first - _AGENTS] >= 0:
                distance += 1.0
            return cost + max(distance - slack, 0.0) + 1.0, place
        if relation == ON:
            cost, place, _ = self._thing(first, 0)
            approach = self._to_agents(place) if not cost else 1.0
            distance, pad = min(
                ((self._distance(place, pad), pad) for pad in members(self._model.ground.floor_kinds[second])),
                default=(OUT_OF_REACH, 0),
            )
            return cost + approach + distance + 2.0, pad
        cost_a, place_a, _ = self._thing(first, 0)
        if second >= _AGENTS:
            return cost_a + max(self._to_agents(place_a) - slack, 0.0) + 1.0, place_a
        cost_b, place_b, _ = self._thing(second, place_a)
        approach = 1.0 if cost_a or cost_b else min(self._to_agents(place_a), self._to_agents(place_b))
        between = max(self._distance(place_a, place_b) - slack, 0.0)
        return cost_a + cost_b + approach + between + (2.0 if between else 1.0), place_b

    def _thing(self, kind: int, near: int) -> tuple[float, int, bool]:
        """Actions until there is a thing of a kind, where it is, and whether it is there already."""
        slots = self._layout.slots.get(kind)
        if slots:
            places = [self._place(slot) for slot in slots]
            place = places[0] if len(places) == 1 or not near else min(places, key=lambda p: self._distance(near, p))
            return 0.0, place, True
        made = self._made.get(kind)
        if made is None:
            made = min((self._fire(number) for number in self._regression.makers(kind)), default=(OUT_OF_REACH, 0))
            if made[0] < OUT_OF_REACH or not self._open:  # else it may be out of reach only because of what is open
                self._made[kind] = made
        return (*made, False)

    def _fire(self, number: int) -> tuple[float, int]:
        if number in self._open:
            return OUT_OF_REACH, 0
        self._open.add(number)
        found = self.condition(self._model.rules[number].condition)
        self._open.discard(number)
        return found

    def _place(self, slot: int) -> int:
        place = self._situation.places[slot]
        return place if place > 0 else self._situation.cells[-1 - place]

    def _to_agents(self, place: int) -> float:
        return min(self._distance(self._situation.cells[agent], place) for agent in self._model.agents)

    def _distance(self, start: int, end: int) -> float:
        if not start or not end:
            return 0.0
        return self._regression.distance(self._situation.doors, start, end)


def _operands(condition: Condition) -> tuple[int, ...]:
    """The kinds of things that a condition needs; floor is always there."""
    return condition[2:3] if condition.relation == ON else condition[2:]
