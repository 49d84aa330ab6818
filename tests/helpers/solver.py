"""Plays a generated task to its goal in the plain-Python world, by the argument of docs/tasks.md that this is possible.

It opens every locked door, and then makes one condition of the chain after the other hold: it goes to things, picks
them up, brings them to anchors, and puts together what has to meet on an empty block of 3 x 3 cells, where no dead end
holds. Two players take turns: the one that a condition is about acts, and the other gets out of the way.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import oracle
from oracle import (
    FORWARD,
    HOLD,
    LEFT,
    LOCKED,
    NEAR,
    NOOP,
    ON,
    PICK_UP,
    PUT_DOWN,
    RIGHT,
    SEE,
    TOGGLE,
    TOUCH,
    Cell,
    Slot,
    World,
)
from universe_checks import find_chain, walk

OPEN_WAYS = {0: True, 1: True, 2: False}
AGENT = 240


class Done(Exception):
    """The goal holds."""


class Changed(Exception):
    """A rule fired, so that plans have to be made again."""


class Player:
    def __init__(self, world: World) -> None:
        self.world = world
        self.me = 0  # the agent that acts
        self.conditions, self.chain = find_chain(world)
        self.is_negated = world.goals[0][0][0][4] == 1
        self.needed = {kind for _, condition in self.conditions for kind in condition[2:]}
        self.start = {slot.cell: slot.kind for slot in world.slots if slot.cell}
        self.middle = self.find_workspace()
        self.home: dict[int, Cell] = {}  # where what is in each hand lay
        self.num_steps = 0
        self.events: list[int] = []

    def solve(self) -> None:
        """Reaches the goal, or raises an AssertionError."""
        try:
            for _ in range(100):
                try:
                    self.open_locked_doors()
                    self.tidy()
                    self.advance()
                except Changed:
                    continue
            raise AssertionError("The goal is not reached.")
        except Done:
            return

    def open_locked_doors(self) -> None:
        world = self.world
        self.me = 0
        while LOCKED in world.door_state:
            reached = self.reached()
            for door, state in zip(world.doors, world.door_state, strict=True):
                sides = {oracle.beside(door, d) for d in range(4)} & reached if door and state == LOCKED else set()
                if sides and door:
                    kind = oracle.KEY * 16 + world.terrain[door[0]][door[1]] % 16
                    self.take(self.find(kind))
                    self.face(door, sides)
                    self.step(TOGGLE)
                    break
            else:
                raise AssertionError("a locked door cannot be reached")

    def tidy(self) -> None:
        """Carries off what rules made that is of no use and lies in the workspace, or in the way."""
        for thing in self.world.slots:
            if (
                thing.cell is None
                or thing.is_frozen
                or self.is_useful(thing)
                or self.start.get(thing.cell) == thing.kind
            ):
                continue
            if not self.is_reachable(thing.cell):
                continue
            if thing.cell in self.workspace() or self.num_beside(thing.cell) or not self.is_harmless(thing.cell):
                self.take(thing)
                self.drop()
                self.start[thing.cell] = thing.kind

    def advance(self) -> None:
        """Works on the condition that is next."""
        number = max(k for k, (spine, _) in enumerate(self.conditions) if self.is_there(spine))
        spine, (relation, directions, first, second) = self.conditions[number]
        thing = self.find(spine)
        self.me = first - AGENT if first >= AGENT else 0
        if (self.is_negated and number == len(self.conditions) - 1) or relation == HOLD:
            self.take(thing)
        elif relation == ON:
            self.take(thing)
            pads = [cell for cell in self.floor() if self.world.kind_of_floor(cell) == second]
            self.put(next(cell for cell in pads if self.world.object_at(cell) is None))
        elif first >= AGENT:
            self.approach(thing, directions if relation == TOUCH else 15)
        else:
            self.bring_together(spine, self.find(first), self.find(second), directions if relation == TOUCH else 15)
        self.step(NOOP)

    def approach(self, thing: Slot, directions: int) -> None:
        """Stands beside a thing, on a side that is asked for."""
        for is_moved in (False, True):
            if is_moved or thing.cell is None:
                self.take(thing)
                self.put(self.middle or self.home[self.me])
            assert thing.cell is not None
            sides = {oracle.beside(thing.cell, d ^ 2) for d in range(4) if directions >> d & 1} & self.reached()
            if sides:
                self.face(thing.cell, sides)
                return

    def bring_together(self, spine: int, first: Slot, second: Slot, directions: int) -> None:
        """Puts one into the middle of the workspace, and the other beside it where it is asked for."""
        direction = next(d for d in range(4) if directions >> d & 1)
        # What was made last goes first: the agent stands beside it, perhaps with no other way out.
        middle, other = (first, second) if first.kind == spine else (second, first)
        if other.is_frozen:
            self.bring_to_anchor(middle, other)
            return
        assert self.middle
        if other.cell == self.middle or (other.holder is not None and middle.cell != self.middle):
            middle, other = other, middle
        if middle is second:
            direction ^= 2
        if middle.cell != self.middle:
            self.take(middle)
            self.put(self.middle)
        self.take(other)
        self.put(oracle.beside(self.middle, direction))

    def bring_to_anchor(self, thing: Slot, anchor: Slot) -> None:
        """Puts a thing beside one that is frozen."""
        self.take(thing)
        assert anchor.cell is not None
        sides = [oracle.beside(anchor.cell, d) for d in range(4)]
        sides = [cell for cell in sides if self.is_free(cell, with_agents=False)]
        ways = [cell for cell in sides if cell in self.reached()]
        if not ways:
            self.clear_a_way(sides)
        self.put(ways[0])

    def clear_a_way(self, cells: list[Cell]) -> None:
        """Takes away something that lies beside one of the cells, as what a rule made besides may, and plans again."""
        assert self.middle
        self.put(self.middle)
        ways = {oracle.beside(cell, d) for cell in cells for d in range(4)}
        reached = self.reached()
        self.take(
            next(
                slot
                for slot in self.world.slots
                if slot.cell in ways
                and not slot.is_frozen
                and {oracle.beside(slot.cell, d) for d in range(4)} & reached
            )
        )
        self.put(oracle.beside(self.middle, 0))
        raise Changed

    def find_workspace(self) -> Cell | None:
        """The middle of 3 x 3 free cells; no dead end of something needed holds in it and in the cells beside it."""
        free = set(self.floor(through=LOCKED))
        for row, column in sorted(free):
            block = set(itertools.product(range(row - 1, row + 2), range(column - 1, column + 2)))
            cells = [(row, column), *(oracle.beside((row, column), direction) for direction in range(4))]
            if block <= free and all(self.is_safe(cell) for cell in cells):
                return row, column
        return None

    def workspace(self) -> set[Cell]:
        if self.middle is None:
            return set()
        row, column = self.middle
        return set(itertools.product(range(row - 1, row + 2), range(column - 1, column + 2)))

    def is_safe(self, cell: Cell) -> bool:
        """Whether no dead end would hold between anything that the chain needs, in this cell, and what lies around."""
        for index, rule in enumerate(self.world.rules):
            if index in self.chain or rule.relation not in (TOUCH, NEAR, SEE) or rule.first >= AGENT:
                continue
            for other in self.world.slots:
                if other.cell is None:
                    continue
                if rule.first in self.needed and other.kind == rule.second and self.is_related(rule, cell, other.cell):
                    return False
                if rule.second in self.needed and other.kind == rule.first and self.is_related(rule, other.cell, cell):
                    return False
        return True

    def is_useful(self, thing: Slot) -> bool:
        return thing.kind in self.needed or thing.kind >> 4 == oracle.KEY

    def num_beside(self, cell: Cell) -> int:
        """How many objects lie beside a cell."""
        return sum(self.world.object_at(oracle.beside(cell, d)) is not None for d in range(4))

    def is_harmless(self, cell: Cell) -> bool:
        """Whether something may lie in a cell without parting the cells around it."""
        row, column = cell
        if any(self.world.terrain_type(oracle.beside(cell, d)) == oracle.DOOR for d in range(4)):
            return False
        ring = [(row - 1, column - 1), (row - 1, column), (row - 1, column + 1), (row, column + 1)]
        ring += [(row + 1, column + 1), (row + 1, column), (row + 1, column - 1), (row, column - 1)]
        free = [self.is_free(beside, with_agents=False) for beside in ring]
        edges = (1, 3, 5, 7)
        links = sum(free[i] and free[i + 1] and free[(i + 2) % 8] for i in edges[:3]) + (
            free[7] and free[0] and free[1]
        )
        return links >= sum(free[i] for i in edges) - 1

    def is_free(self, cell: Cell, with_agents: bool = True) -> bool:
        """Whether a cell is floor on which nothing lies, and no agent stands."""
        is_floor = self.world.terrain_type(cell) == oracle.FLOOR and self.world.object_at(cell) is None
        return is_floor and not (with_agents and any(agent.cell == cell for agent in self.world.agents))

    def is_related(self, rule: oracle.Rule, first: Cell, second: Cell) -> bool:
        """Whether an object in one cell has the rule's relation to one in another."""
        any_object = len(self.world.agents)
        return oracle._are_related(self.world, rule.relation, rule.directions, any_object, first, second)

    def take(self, thing: Slot) -> None:
        if thing.holder == self.me:
            return
        if thing.holder is not None:
            with self.turn_of(thing.holder):
                self.drop()
        if self.world.held_by(self.me):
            self.drop()
        assert thing.cell is not None
        self.home[self.me] = thing.cell
        self.face(thing.cell)
        self.step(PICK_UP)
        assert thing.holder == self.me, "it can be picked up"

    def drop(self) -> None:
        """Puts down what is in the hand: where it lay at the start, in the workspace, or, if useless, away."""
        thing = self.world.held_by(self.me)
        if thing is None:
            return
        plus = [self.middle, *(oracle.beside(self.middle, d) for d in range(4))] if self.middle else []
        if self.is_useful(thing):
            home = self.home[self.me]
            spots = [home, *plus] if self.start.get(home) == thing.kind else [*plus, home]
            self.put(next(cell for cell in spots if self.is_free(cell)))
        else:
            asked = {rule.second for rule in self.world.rules} | {self.world.goals[0][0][0][3]}
            spots = [cell for cell in self.floor() if self.world.kind_of_floor(cell) not in asked]
            spots = [cell for cell in spots if self.is_free(cell) and cell not in plus and self.is_harmless(cell)]
            needed = {slot.cell for slot in self.world.slots if self.is_useful(slot)}
            beside_needed = {oracle.beside(cell, d) for cell in needed if cell for d in range(4)}
            spots.sort(key=lambda cell: (cell in beside_needed, self.num_beside(cell), cell in self.workspace()))
            self.put(next(cell for cell in spots if self.is_reachable(cell)))

    def is_reachable(self, cell: Cell) -> bool:
        return any(oracle.beside(cell, d) in self.reached() for d in range(4))

    def put(self, cell: Cell) -> None:
        self.make_way({cell})
        self.face(cell)
        self.step(PUT_DOWN)
        assert self.world.held_by(self.me) is None, "it can be put down"

    def face(self, target: Cell, sides: set[Cell] | None = None) -> None:
        """Walks to a cell beside the target, one of `sides` if given, and turns to it."""
        around = {oracle.beside(target, direction) for direction in range(4)}
        for cell in self.path((sides or around) & around):
            self.turn_to(cell)
            if self.world.terrain_type(cell) == oracle.DOOR and not self.world.is_walkable(cell):
                self.step(TOGGLE)
            self.step(FORWARD)
        self.turn_to(target)

    def path(self, goals: set[Cell]) -> list[Cell]:
        path = self.find_path(goals, with_agents=True)
        if path is None:  # a shortest way that is free but for the other agent, which leaves it
            wanted = self.find_path(goals, with_agents=False)
            assert wanted is not None, f"There is no way to {goals}."
            self.make_way({*wanted, *goals})
            path = self.find_path(goals, with_agents=True)
            assert path is not None, f"There is still no way to {goals}."
        return path

    @contextmanager
    def turn_of(self, agent: int) -> Iterator[None]:
        """Lets another agent act."""
        me, self.me = self.me, agent
        try:
            yield
        finally:
            self.me = me

    def make_way(self, cells: set[Cell]) -> None:
        """Has the other agent leave these cells."""
        for other, agent in enumerate(self.world.agents):
            if other == self.me or agent.cell not in cells:
                continue
            mine = self.world.agents[self.me].cell
            with self.turn_of(other):
                spots = [cell for cell in self.floor() if cell not in cells and cell != mine and self.is_free(cell)]
                paths = [path for cell in spots if (path := self.find_path({cell}, with_agents=True))]
                for cell in min(paths, key=len):
                    self.turn_to(cell)
                    if self.world.terrain_type(cell) == oracle.DOOR and not self.world.is_walkable(cell):
                        self.step(TOGGLE)
                    self.step(FORWARD)

    def find_path(self, goals: set[Cell], with_agents: bool) -> list[Cell] | None:
        start = self.world.agents[self.me].cell
        assert start is not None
        others = {agent.cell for agent in self.world.agents} if with_agents else set()
        came_from: dict[Cell, Cell | None] = {start: None}
        queue = [start]
        for cell in queue:
            if cell in goals:
                path = []
                while came_from[cell] is not None:
                    path.append(cell)
                    cell = came_from[cell]
                return path[::-1]
            for direction in range(4):
                beside = oracle.beside(cell, direction)
                kind = self.world.terrain_type(beside)
                is_door = kind == oracle.DOOR and self.world.state_of_door(beside) != LOCKED
                is_floor = kind == oracle.FLOOR and self.world.object_at(beside) is None
                if (is_door or is_floor) and beside not in came_from and beside not in others:
                    came_from[beside] = cell
                    queue.append(beside)
        return None

    def turn_to(self, cell: Cell) -> None:
        agent = self.world.agents[self.me]
        assert agent.cell is not None
        wanted = next(d for d in range(4) if oracle.beside(agent.cell, d) == cell)
        while agent.direction != wanted:
            self.step(RIGHT if (wanted - agent.direction) % 4 < 3 else LEFT)

    def step(self, action: int) -> None:
        oracle.act(self.world, self.me, action)
        event = oracle.fire_a_rule(self.world)
        self.num_steps += 1
        if event:
            self.events.append(event - 1)
        if oracle.holds_formula(self.world, self.world.goals[0]):
            raise Done
        if event:
            raise Changed

    def reached(self) -> set[Cell]:
        return self.walked(OPEN_WAYS)

    def walked(self, is_passable_door: dict[int, bool]) -> set[Cell]:
        start = self.world.agents[self.me].cell
        assert start is not None
        return walk(self.world, start, is_passable_door)

    def floor(self, through: int = oracle.CLOSED) -> list[Cell]:
        """Free floor behind doors of states up to `through`."""
        cells = self.walked({state: state <= through for state in range(3)})
        return [cell for cell in sorted(cells) if self.world.terrain_type(cell) == oracle.FLOOR]

    def is_there(self, kind: int) -> bool:
        return any(slot.kind == kind for slot in self.world.slots)

    def find(self, kind: int) -> Slot:
        return next(slot for slot in self.world.slots if slot.kind == kind)
