"""Plays a generated task to its goal in the plain-Python world, by the argument of docs/tasks.md that this is possible.

It opens every locked door, and then makes one condition of the chain after the other hold: it goes to things, picks
them up, and puts together what has to meet on an empty block of 3 x 3 cells, where no dead end holds.
"""

import itertools

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
from universe_checks import walk

OPEN_WAYS = {0: True, 1: True, 2: False}
AGENT = 240


class Done(Exception):
    """The goal holds."""


class Changed(Exception):
    """A rule fired, so that plans have to be made again."""


class Player:
    def __init__(self, world: World) -> None:
        self.world = world
        self.conditions, self.chain = find_chain(world)
        self.is_negated = world.goals[0][0][0][4] == 1
        self.middle = self.find_workspace()
        self.home: Cell = (0, 0)  # where what is in the hand lay
        self.num_steps = 0
        self.events: list[int] = []

    def solve(self) -> None:
        """Reaches the goal, or raises an AssertionError."""
        try:
            for _ in range(100):
                try:
                    self.open_locked_doors()
                    self.advance()
                except Changed:
                    continue
            raise AssertionError("The goal is not reached.")
        except Done:
            return

    def open_locked_doors(self) -> None:
        world = self.world
        while True:
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
                assert LOCKED not in world.door_state, "a locked door cannot be reached"
                return

    def advance(self) -> None:
        """Works on the condition that is next."""
        number = max(k for k, (spine, _) in enumerate(self.conditions) if self.is_there(spine))
        spine, (relation, directions, first, second) = self.conditions[number]
        thing = self.find(spine)
        if self.is_negated or relation == HOLD:
            self.take(thing)
        elif relation == ON:
            self.take(thing)
            pads = [cell for cell in self.floor() if self.world.kind_of_floor(cell) == second]
            self.put(next(cell for cell in pads if self.world.object_at(cell) is None))
        elif first == AGENT:
            self.approach(thing, directions if relation == TOUCH else 15)
        else:
            self.bring_together(spine, self.find(first), self.find(second), directions if relation == TOUCH else 15)
        self.step(NOOP)

    def approach(self, thing: Slot, directions: int) -> None:
        """Stands beside a thing, on a side that is asked for."""
        for is_moved in (False, True):
            if is_moved or thing.cell is None:
                self.take(thing)
                self.put(self.middle or self.home)
            assert thing.cell is not None
            sides = {oracle.beside(thing.cell, d ^ 2) for d in range(4) if directions >> d & 1} & self.reached()
            if sides:
                self.face(thing.cell, sides)
                return

    def bring_together(self, spine: int, first: Slot, second: Slot, directions: int) -> None:
        """Puts one into the middle of the workspace, and the other beside it where it is asked for."""
        assert self.middle
        direction = next(d for d in range(4) if directions >> d & 1)
        # What was made last goes first: the agent stands beside it, perhaps with no other way out.
        middle, other = (first, second) if first.kind == spine else (second, first)
        if other.cell == self.middle or (other.holder == 0 and middle.cell != self.middle):
            middle, other = other, middle
        if middle is second:
            direction ^= 2
        if middle.cell != self.middle:
            self.take(middle)
            self.put(self.middle)
        self.take(other)
        self.put(oracle.beside(self.middle, direction))

    def find_workspace(self) -> Cell | None:
        """The middle of 3 x 3 free cells; no dead end of something needed holds in it and in the cells beside it."""
        free = set(self.floor(through=LOCKED))
        for row, column in sorted(free):
            block = set(itertools.product(range(row - 1, row + 2), range(column - 1, column + 2)))
            cells = [(row, column), *(oracle.beside((row, column), direction) for direction in range(4))]
            if block <= free and all(self.is_safe(cell) for cell in cells):
                return row, column
        return None

    def is_safe(self, cell: Cell) -> bool:
        """Whether no dead end would hold between anything that the chain needs, in this cell, and what lies around."""
        needed = {kind for _, condition in self.conditions for kind in condition[2:]}
        for index, rule in enumerate(self.world.rules):
            if index in self.chain or rule.relation not in (TOUCH, NEAR, SEE) or rule.first == AGENT:
                continue
            for other in self.world.slots:
                if other.cell is None:
                    continue
                if rule.first in needed and other.kind == rule.second and self.is_related(rule, cell, other.cell):
                    return False
                if rule.second in needed and other.kind == rule.first and self.is_related(rule, other.cell, cell):
                    return False
        return True

    def is_related(self, rule: oracle.Rule, first: Cell, second: Cell) -> bool:
        """Whether an object in one cell has the rule's relation to one in another."""
        any_object = len(self.world.agents)
        return oracle._are_related(self.world, rule.relation, rule.directions, any_object, first, second)

    def take(self, thing: Slot) -> None:
        if thing.holder == 0:
            return
        if self.world.held_by(0):
            self.put(self.home)
        assert thing.cell is not None
        self.home = thing.cell
        self.face(thing.cell)
        self.step(PICK_UP)
        assert thing.holder == 0, "it can be picked up"

    def put(self, cell: Cell) -> None:
        self.face(cell)
        self.step(PUT_DOWN)
        assert self.world.held_by(0) is None, "it can be put down"

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
        start = self.world.agents[0].cell
        assert start is not None
        came_from: dict[Cell, Cell | None] = {start: None}
        queue = [start]
        for cell in queue:
            if cell in goals and self.world.terrain_type(cell) == oracle.FLOOR:
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
                if (is_door or is_floor) and beside not in came_from:
                    came_from[beside] = cell
                    queue.append(beside)
        raise AssertionError(f"There is no way to {goals}.")

    def turn_to(self, cell: Cell) -> None:
        agent = self.world.agents[0]
        assert agent.cell is not None
        wanted = next(d for d in range(4) if oracle.beside(agent.cell, d) == cell)
        while agent.direction != wanted:
            self.step(RIGHT if (wanted - agent.direction) % 4 < 3 else LEFT)

    def step(self, action: int) -> None:
        oracle.act(self.world, 0, action)
        event = oracle.fire_a_rule(self.world)
        self.num_steps += 1
        if event:
            self.events.append(event - 1)
        if oracle.holds_formula(self.world, self.world.goals[0]):
            raise Done
        if event:
            raise Changed

    def reached(self) -> set[Cell]:
        start = self.world.agents[0].cell
        assert start is not None
        return walk(self.world, start, OPEN_WAYS)

    def floor(self, through: int = oracle.CLOSED) -> list[Cell]:
        """Free floor behind doors of states up to `through`."""
        start = self.world.agents[0].cell
        assert start is not None
        cells = walk(self.world, start, {state: state <= through for state in range(3)})
        return [cell for cell in sorted(cells) if self.world.terrain_type(cell) == oracle.FLOOR]

    def is_there(self, kind: int) -> bool:
        return any(slot.kind == kind for slot in self.world.slots)

    def find(self, kind: int) -> Slot:
        return next(slot for slot in self.world.slots if slot.kind == kind)


def find_chain(world: World) -> tuple[list[tuple[int, tuple[int, int, int, int]]], list[int]]:
    """The conditions in the order in which they have to hold, each with its spine's kind, and the chain's rules.

    Found backwards from the goal: what is not there at the start has to be made, and just one rule makes it.
    """
    there = {slot.kind for slot in world.slots}
    condition = tuple(world.goals[0][0][0][:4])
    conditions, chain = [], []
    while True:
        objects = [kind for kind in condition[2:] if 1 <= kind >> 4 <= 6]
        missing = [kind for kind in objects if kind not in there]
        if not missing:
            makers = {kind for rule in world.rules for kind in rule.products}
            assert not makers & set(objects), "nothing makes what is there"
            conditions.append((objects[0], condition))
            return conditions[::-1], chain[::-1]
        assert len(missing) == 1
        conditions.append((missing[0], condition))
        makers = [index for index, rule in enumerate(world.rules) if missing[0] in rule.products]
        assert len(makers) == 1
        rule = world.rules[makers[0]]
        chain.append(makers[0])
        condition = (rule.relation, rule.directions, rule.first, rule.second)
