"""Turns what agents mean to do into actions, so that random examples open doors, carry things and meet."""

from collections import deque

import oracle
from oracle import Cell, World
from strategies import WILD_ACTIONS, Intention

PATIENCE = 10  # steps after which an agent gives an intention up


class Planner:
    """The state of one agent's plan."""

    def __init__(self, agent_id: int, plan: list[Intention]) -> None:
        self.agent_id = agent_id
        self.plan = list(plan)
        self.steps_left = PATIENCE

    def next_action(self, world: World) -> int:
        """What to do now: the next step of the first intention that is possible, or nothing."""
        agent = world.agents[self.agent_id]
        while self.plan:
            verb, number = self.plan[0]
            if verb == "raw":
                self._next_intention()
                return number % 7
            if verb == "wild":
                self._next_intention()
                return WILD_ACTIONS[number % len(WILD_ACTIONS)]
            wish = self._wish(world, verb, number) if agent.cell and self.steps_left else None
            if wish is None:
                self._next_intention()
                continue
            target, final_action = wish
            action = _approach(world, self.agent_id, target)
            if action is not None:
                self.steps_left -= 1
                return action
            if _facing(world, self.agent_id) != target:  # out of reach
                self._next_intention()
                continue
            if verb != "unlock" or final_action == oracle.TOGGLE:
                self._next_intention()
            return final_action
        return oracle.NOOP

    def _next_intention(self) -> None:
        self.plan.pop(0)
        self.steps_left = PATIENCE

    def _wish(self, world: World, verb: str, number: int) -> tuple[Cell, int] | None:
        """The cell to face and what to do there, if there is such a thing in this world."""
        held = world.held_by(self.agent_id)
        things = [slot for slot in world.slots if slot.cell]
        loose = [slot.cell for slot in things if not slot.is_frozen]
        doors = [cell for cell in world.doors if cell]
        others = [agent.cell for i, agent in enumerate(world.agents) if agent.cell and i != self.agent_id]
        if verb == "put":
            return _pick(_free_cells_around(world, self.agent_id), number, oracle.PUT_DOWN) if held else None
        if verb == "take":
            return _pick(loose, number, oracle.PICK_UP) if not held else None
        if verb == "push":
            return _pick(loose, number, oracle.FORWARD)
        if verb == "door":
            return _pick(doors, number, oracle.TOGGLE)
        if verb == "meet":
            return _pick(others, number, oracle.NOOP)
        if verb == "visit":
            return _pick([slot.cell for slot in things], number, oracle.NOOP)
        if verb == "walk":
            return _pick(_free_cells_around(world, self.agent_id), number, oracle.FORWARD)
        locked = [cell for cell in doors if world.state_of_door(cell) == oracle.LOCKED]
        if not locked:
            return None
        row, column = door = locked[number % len(locked)]
        key = oracle.KEY * 16 + world.terrain[row][column] % 16
        if held and held.kind == key:
            return door, oracle.TOGGLE
        if held:
            return _pick(_free_cells_around(world, self.agent_id), number, oracle.PUT_DOWN)
        return _pick([slot.cell for slot in things if slot.kind == key and not slot.is_frozen], 0, oracle.PICK_UP)


def _pick(cells: list[Cell], number: int, action: int) -> tuple[Cell, int] | None:
    return (cells[number % len(cells)], action) if cells else None


def _facing(world: World, agent_id: int) -> Cell:
    agent = world.agents[agent_id]
    return oracle.beside(agent.cell, agent.direction)


def _free_cells_around(world: World, agent_id: int) -> list[Cell]:
    cells = [oracle.beside(world.agents[agent_id].cell, direction) for direction in range(4)]
    return [cell for cell in cells if world.can_hold_object(cell) and world.is_empty(cell)]


def _approach(world: World, agent_id: int, target: Cell) -> int | None:
    """The next action on a shortest way to face `target`, or None when there or when there is no way."""
    agent = world.agents[agent_id]
    first_moves = {agent.cell: None}  # cell -> direction of the first move toward it
    queue = deque([agent.cell])
    while queue:
        cell = queue.popleft()
        for direction in range(4):
            ahead = oracle.beside(cell, direction)
            if ahead == target:
                first_move = direction if cell == agent.cell else first_moves[cell]
                if first_move != agent.direction:
                    return oracle.RIGHT if (first_move - agent.direction) % 4 < 3 else oracle.LEFT
                return None if cell == agent.cell else oracle.FORWARD
            if ahead not in first_moves and world.is_walkable(ahead) and world.is_empty(ahead):
                first_moves[ahead] = direction if cell == agent.cell else first_moves[cell]
                queue.append(ahead)
    return None
