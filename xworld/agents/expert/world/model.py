"""The rules of the world in plain Python, fast enough to search with. `test_expert.py` holds it to the simulator.

What plans claim is confirmed by the simulator itself (`confirm.py`), so an error here costs plans and not truth.
"""

import numpy as np

from xworld.agents.expert.world.ground import NO_POSES, Ground, Poses, members
from xworld.agents.expert.world.situation import (
    Condition,
    Layout,
    Literal,
    Situation,
    all_at_once,
    read_goals,
    read_rules,
    read_start,
)
from xworld.core import kinds
from xworld.core.config import EnvConfig
from xworld.core.step.actions import FORWARD, NOOP, PICK_UP, PUT_DOWN, TOGGLE, TURN_LEFT, TURN_RIGHT
from xworld.core.step.relations import HOLD, NEAR, ON, SEE, TOUCH, opposite_directions
from xworld.core.types import Task

_AGENTS = kinds.agent_kind(0)  # kinds from here on are agents


class Model:
    """One task's rules and one of its goals. `step` is the simulator's step within a trial."""

    def __init__(self, config: EnvConfig, task: Task, goal_id: int = 0) -> None:
        """Reads one task, its leaves on the host; of its goals, if there are several, that of this number."""
        self.ground = Ground(config, task)
        self.push = config.push
        self.view_size = config.view_size
        self.trial_length = int(task.trial_length)
        self.rules = read_rules(task)
        self.agents = np.flatnonzero(task.is_present).tolist()
        self.goals = read_goals(task, goal_id, self.agents)  # by agent, of those that have one
        self.goal = all_at_once(self.goals.values())
        self.facing = tuple(task.agent_facing.tolist())
        everywhere = self.ground.inside
        self.all_poses: Poses = (everywhere,) * 4
        self._no_rule = len(self.rules)
        self._start = read_start(self.ground, task)
        self._layouts: dict[tuple, Layout] = {}
        self._clear: dict[tuple[int, ...], int] = {}
        self._walkable: dict[tuple[int, ...], int] = {}

    def start(self, directions: tuple[int, ...]) -> Situation:
        """The beginning of a trial in which the agents face these directions."""
        return self._start._replace(directions=directions)

    def layout(self, situation: Situation) -> Layout:
        """What follows from the objects' kinds and places."""
        key = situation.kinds, situation.places
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layouts[key] = Layout(situation)
        return layout

    def walkable(self, doors: tuple[int, ...]) -> int:
        """Floor and open doors."""
        cells = self._walkable.get(doors)
        if cells is None:
            cells = self._walkable[doors] = self.ground.floor | self._open(doors)
        return cells

    def clear(self, doors: tuple[int, ...]) -> int:
        """The cells that agents can see through."""
        cells = self._clear.get(doors)
        if cells is None:
            cells = self._clear[doors] = self.ground.clear | self._open(doors)
        return cells

    def _open(self, doors: tuple[int, ...]) -> int:
        states = zip(self.ground.doors, doors, strict=True)
        return sum(1 << door for door, state in states if door and state == kinds.OPEN)

    def bodies(self, situation: Situation, but: int = -1) -> int:
        """The cells of the agents, but for one."""
        return sum(1 << cell for agent, cell in enumerate(situation.cells) if cell and agent != but)

    def step(self, situation: Situation, actions: dict[int, int]) -> tuple[Situation, int]:
        """The situation after the agents' actions (noop for those left out), and 1 + the rule that fired, or 0."""
        for agent in sorted(actions):
            situation = self.act(situation, agent, actions[agent])
        return self.fire(situation)

    def act(self, situation: Situation, agent: int, action: int) -> Situation:
        """One agent acts."""
        if action == NOOP:
            return situation
        cell, direction = situation.cells[agent], situation.directions[agent]
        if action in (TURN_RIGHT, TURN_LEFT):
            turned = (direction + (1 if action == TURN_RIGHT else 3)) & 3
            return situation._replace(directions=_put(situation.directions, agent, turned))
        ahead = cell + self.ground.deltas[direction]
        layout = self.layout(situation)
        slot = layout.at.get(ahead, -1)
        is_empty = slot < 0 and not self.bodies(situation) >> ahead & 1
        is_loose = slot >= 0 and not situation.frozen >> slot & 1
        held = layout.held[agent]
        if action == FORWARD and self.walkable(situation.doors) >> ahead & 1:
            if is_empty:
                return situation._replace(cells=_put(situation.cells, agent, ahead))
            beyond = ahead + self.ground.deltas[direction]
            if self.push and is_loose and self._can_lie(situation, layout, beyond):
                return situation._replace(
                    cells=_put(situation.cells, agent, ahead), places=_put(situation.places, slot, beyond)
                )
        elif action == PICK_UP and held < 0 and is_loose:
            return situation._replace(places=_put(situation.places, slot, -1 - agent))
        elif action == PUT_DOWN and held >= 0 and self._can_lie(situation, layout, ahead):
            return situation._replace(places=_put(situation.places, held, ahead))
        elif action == TOGGLE and ahead in self.ground.doors:
            door = self.ground.doors.index(ahead)
            key = kinds.KEY * 16 + self.ground.door_colours[door]
            state = situation.doors[door]
            if state == kinds.CLOSED or (state == kinds.LOCKED and held >= 0 and situation.kinds[held] == key):
                return situation._replace(doors=_put(situation.doors, door, kinds.OPEN))
            if state == kinds.OPEN and is_empty:
                return situation._replace(doors=_put(situation.doors, door, kinds.CLOSED))
        return situation

    def _can_lie(self, situation: Situation, layout: Layout, cell: int) -> bool:
        free = self.ground.storable & ~layout.occupied & ~self.bodies(situation)
        return bool(free >> cell & 1)

    def fire(self, situation: Situation) -> tuple[Situation, int]:
        """The lowest rule that holds fires once: the situation after it, and 1 + its index, or 0 when none holds."""
        number = self.next_rule(situation)
        if number == self._no_rule:
            return situation, 0
        condition, products = self.rules[number]
        layout = self.layout(situation)
        first, second = self._first_pair(situation, layout, condition)
        consumed = [slot for slot in (first, second) if slot is not None]
        centre = situation.places[consumed[0]] if consumed else 0
        if centre <= 0:
            centre = situation.cells[condition.first - _AGENTS]
        new_kinds, places, frozen = list(situation.kinds), list(situation.places), situation.frozen
        for slot, kind in zip(consumed, products + (0, 0), strict=False):
            new_kinds[slot] = kind
            if not kind:
                places[slot] = 0
                frozen &= ~(1 << slot)
        extra = products[len(consumed) :]
        if extra:
            free = self.ground.storable & ~self.bodies(situation) & ~sum(1 << place for place in places if place > 0)
            cells = [centre + delta for delta in self.ground.deltas if free >> centre + delta & 1]
            slots = [slot for slot, kind in enumerate(new_kinds) if not kind]
            for kind, cell, slot in zip(extra, cells, slots, strict=False):
                new_kinds[slot], places[slot] = kind, cell
        return situation._replace(kinds=tuple(new_kinds), places=tuple(places), frozen=frozen), number + 1

    def next_rule(self, situation: Situation) -> int:
        """The lowest rule that holds now, or the number of rules."""
        layout = self.layout(situation)
        lowest = self.standing(situation, layout)
        for number in self.agent_rules(layout):
            if number >= lowest:
                break
            if self.holds(situation, self.rules[number].condition):
                return number
        return lowest

    def agent_rules(self, layout: Layout) -> list[int]:
        """The rules about where an agent stands, whose kinds are there."""
        return [
            number
            for number, rule in enumerate(self.rules)
            if rule.condition.first >= _AGENTS
            and rule.condition.relation != HOLD
            and (rule.condition.relation == ON or rule.condition.second in layout.lying)
        ]

    def standing(self, situation: Situation, layout: Layout) -> int:
        """The lowest rule that holds because of what lies or is held where, or the number of rules."""
        if layout.standing is None:
            layout.standing = next(
                (
                    number
                    for number, (condition, _) in enumerate(self.rules)
                    if (condition.first < _AGENTS or condition.relation == HOLD)
                    and self._first_pair(situation, layout, condition) != (None, None)
                ),
                self._no_rule,
            )
        return layout.standing

    def _first_pair(self, situation: Situation, layout: Layout, condition: Condition) -> tuple[int | None, int | None]:
        """The slots of the first pair for which a rule's condition holds; None for agents and floor, and for none."""
        first, second = condition.first, condition.second
        if first >= _AGENTS:
            agent = first - _AGENTS
            if agent not in self.agents:
                return None, None
            if condition.relation == HOLD:
                slot = layout.held[agent]
                return (None, slot) if slot >= 0 and situation.kinds[slot] == second else (None, None)
            cells = self._related_to_agent(situation, condition, agent) & layout.lying.get(second, 0)
            return None, min((layout.at[cell] for cell in members(cells)), default=None)
        for slot in layout.slots.get(first, ()):
            place = situation.places[slot]
            if place <= 0:
                continue
            if condition.relation == ON:
                if self.ground.floor_kinds[second] >> place & 1:
                    return slot, None
                continue
            cells = self.related(condition, 1 << place) & layout.lying.get(second, 0) & ~(1 << place)
            if cells:
                return slot, min(layout.at[cell] for cell in members(cells))
        return None, None

    def related(self, condition: Condition, cells: int) -> int:
        """The cells to which the relation holds from an object in any of `cells`. Not for `hold` and `on`."""
        if condition.relation == TOUCH:
            return self.ground.beside(cells, condition.directions)
        return self.ground.around(cells) if condition.relation == NEAR else self.ground.in_line(cells)

    def related_back(self, condition: Condition, cells: int) -> int:
        """The cells from which the relation holds to an object in any of `cells`. Not for `hold` and `on`."""
        return self.related(condition._replace(directions=opposite_directions(condition.directions)), cells)

    def _related_to_agent(self, situation: Situation, condition: Condition, agent: int) -> int:
        cell = situation.cells[agent]
        if condition.relation == SEE:
            return self.ground.view(cell, situation.directions[agent], self.clear(situation.doors))
        return self.related(condition, 1 << cell)

    def holds(self, situation: Situation, condition: Condition) -> bool:
        """Whether any pair satisfies the condition. Agents that are absent are in no relation."""
        relation, _, first, second = condition
        layout = self.layout(situation)
        if relation == HOLD:
            slot = layout.held[first - _AGENTS]
            return slot >= 0 and situation.kinds[slot] == second
        firsts = self._cells_of(situation, layout, first)
        if relation == ON:
            return bool(firsts & self.ground.floor_kinds[second])
        seconds = self._cells_of(situation, layout, second)
        if not firsts or not seconds:
            return False
        if first >= _AGENTS:
            return bool(self._related_to_agent(situation, condition, first - _AGENTS) & seconds & ~firsts)
        if first != second:
            return bool(self.related(condition, firsts) & seconds)
        return any(self.related(condition, 1 << cell) & seconds & ~(1 << cell) for cell in members(firsts))

    def _cells_of(self, situation: Situation, layout: Layout, kind: int) -> int:
        """Where things of a kind are on the ground."""
        if kind < _AGENTS:
            return layout.lying.get(kind, 0)
        cell = situation.cells[kind - _AGENTS]
        return 1 << cell if cell else 0

    def is_rewarded(self, situation: Situation) -> bool:
        """Whether the goals of all agents hold."""
        return self.satisfies(situation, self.goal)

    def satisfies(self, situation: Situation, goal: list[list[Literal]]) -> bool:
        """Whether a goal holds."""
        return any(
            all(self.holds(situation, condition) != is_negated for condition, is_negated in clause) for clause in goal
        )

    def poses_of(self, situation: Situation, agent: int, condition: Condition) -> Poses:
        """The poses of one agent in which the condition would hold, all else as it is. All or none if it is no part."""
        kind = _AGENTS + agent
        layout = self.layout(situation)
        if kind not in condition[2:] or condition.relation == HOLD:
            return self.all_poses if self.holds(situation, condition) else NO_POSES
        if condition.relation == ON:
            return (self.ground.floor_kinds[condition.second],) * 4
        is_first = condition.first == kind
        other = condition.second if is_first else condition.first
        if other == kind:
            return NO_POSES
        cells = self._cells_of(situation, layout, other)
        if not cells:
            return NO_POSES
        if condition.relation == SEE and is_first:
            return self.ground.seers(cells, self.clear(situation.doors))
        if is_first:
            return (self.related_back(condition, cells),) * 4
        if condition.relation == SEE and other >= _AGENTS:
            return (self._related_to_agent(situation, condition, other - _AGENTS),) * 4
        return (self.related(condition, cells),) * 4

    def goal_poses(self, situation: Situation, agent: int) -> Poses:
        """The poses of one agent in which the goal would hold, all else as it is."""
        found = list(NO_POSES)
        for clause in self.goal:
            poses = list(self.all_poses)
            for condition, is_negated in clause:
                holds = self.poses_of(situation, agent, condition)
                for direction in range(4):
                    poses[direction] &= ~holds[direction] if is_negated else holds[direction]
            for direction in range(4):
                found[direction] |= poses[direction]
        return found[0], found[1], found[2], found[3]

    def rule_poses(self, situation: Situation, agent: int) -> dict[int, Poses]:
        """By rule about where this agent stands: the poses in which it would hold."""
        return {
            number: self.poses_of(situation, agent, self.rules[number].condition)
            for number in self.agent_rules(self.layout(situation))
            if self.rules[number].condition.first == _AGENTS + agent
        }


def _put(values: tuple[int, ...], index: int, value: int) -> tuple[int, ...]:
    return (*values[:index], value, *values[index + 1 :])
