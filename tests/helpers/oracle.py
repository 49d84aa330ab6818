"""The world in plain Python, written from the design and not from `xworld.core`: what the property tests believe.

`start` puts a task into a `World`, `step` moves it on by one step and says what the environment has to hand out. The
directions at the start of a trial are a hash, and so is which of several goals it has: they are read from the
environment under test.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any

from xworld import EnvConfig, Task

Cell = tuple[int, int]
Pair = tuple[int, int]  # two entities

STEPS = ((-1, 0), (0, 1), (1, 0), (0, -1))  # north, east, south, west
FLOOR, WALL, COUNTER, DOOR = 1, 2, 3, 5
OPEN, CLOSED, LOCKED = 0, 1, 2
KEY, FLOOR_KIND, AGENT_KIND = 4, 14, 15
FORWARD, RIGHT, LEFT, PICK_UP, PUT_DOWN, TOGGLE, NOOP = range(7)
NEVER, TOUCH, NEAR, HOLD, SEE, ON = range(6)
ABSENT = 192  # rows and columns from here on are those of absent things in a task's arrays
RANDOM_FACING = 4


@dataclass
class Agent:
    cell: Cell | None  # None when absent
    direction: int


@dataclass
class Slot:
    kind: int = 0  # 0 when empty
    cell: Cell | None = None  # None when empty or held
    holder: int | None = None  # the agent that has it in its hand
    is_frozen: bool = False


@dataclass(frozen=True)
class Rule:
    relation: int
    directions: int
    first: int
    second: int
    products: list[int]


@dataclass
class World:
    config: EnvConfig
    terrain: list[list[int]]
    doors: list[Cell | None]
    door_state: list[int]
    agents: list[Agent]
    slots: list[Slot]
    rules: list[Rule]
    goals: list[list[list[list[int]]]]  # of the trial, [A][C][L] of relation, directions, first, second, negated
    all_goals: list[list[list[list[list[int]]]]]  # [G][A][C][L]
    task: Task
    trial_length: int
    num_trials: int
    trial: int
    time: int
    last_action: list[int]
    last_reward: list[float]
    matches: list[tuple[int, Pair]] = field(
        default_factory=list
    )  # rules that held in the last step, and on which pairs

    @property
    def is_over(self) -> bool:
        return self.trial == self.num_trials - 1 and self.time == self.trial_length

    def terrain_type(self, cell: Cell) -> int:
        row, column = cell
        if 0 <= row < self.config.height and 0 <= column < self.config.width:
            return self.terrain[row][column] // 16
        return 0

    def kind_of_floor(self, cell: Cell) -> int:
        return FLOOR_KIND * 16 + self.terrain[cell[0]][cell[1]] % 16 if self.terrain_type(cell) == FLOOR else 0

    def state_of_door(self, cell: Cell) -> int:
        return self.door_state[self.doors.index(cell)]

    def is_walkable(self, cell: Cell) -> bool:
        kind = self.terrain_type(cell)
        return kind == FLOOR or (kind == DOOR and self.state_of_door(cell) == OPEN)

    def can_hold_object(self, cell: Cell) -> bool:
        return self.terrain_type(cell) in (FLOOR, COUNTER)

    def is_transparent(self, cell: Cell) -> bool:
        kind = self.terrain_type(cell)
        return kind not in (0, WALL) and not (kind == DOOR and self.state_of_door(cell) != OPEN)

    def object_at(self, cell: Cell) -> Slot | None:
        return next((slot for slot in self.slots if slot.cell == cell), None)

    def agent_at(self, cell: Cell) -> int | None:
        return next((i for i, agent in enumerate(self.agents) if agent.cell == cell), None)

    def is_empty(self, cell: Cell) -> bool:
        return self.object_at(cell) is None and self.agent_at(cell) is None

    def held_by(self, agent_id: int) -> Slot | None:
        return next((slot for slot in self.slots if slot.holder == agent_id), None)

    def kind_held_by(self, agent_id: int) -> int:
        slot = self.held_by(agent_id)
        return slot.kind if slot else 0


def start(config: EnvConfig, task: Task, directions: list[int], goal_id: int = 0) -> World:
    """The world at the start of an episode."""
    rules = task.rules
    rows = zip(*(x.tolist() for x in (rules.relation, rules.directions, rules.first, rules.second)), strict=True)
    goals = task.goals
    parts = [x.tolist() for x in (goals.relation, goals.directions, goals.first, goals.second, goals.negated)]
    parts = parts if config.max_goals > 1 else [[part] for part in parts]
    clauses, literals, agents = range(config.goal_clauses), range(config.goal_literals), range(config.num_agents)
    world = World(
        config=config,
        terrain=task.terrain.tolist(),
        doors=_cells(task.door_position.tolist()),
        door_state=[],
        agents=[],
        slots=[],
        rules=[
            Rule(*row, [kind for kind in products if kind])
            for row, products in zip(rows, rules.products.tolist(), strict=True)
        ],
        goals=[],
        all_goals=[
            [[[[part[g][a][c][n] for part in parts] for n in literals] for c in clauses] for a in agents]
            for g in range(config.max_goals)
        ],
        task=task,
        trial_length=int(task.trial_length),
        num_trials=int(task.num_trials),
        trial=0,
        time=0,
        last_action=[NOOP] * config.num_agents,
        last_reward=[0.0] * config.num_agents,
    )
    start_trial(world, directions, goal_id)
    return world


def start_trial(world: World, directions: list[int], goal_id: int) -> None:
    """Puts everything back as the task says; only directions that the task leaves open and the goal may differ."""
    task = world.task
    world.goals = world.all_goals[goal_id]
    world.time = 0
    world.door_state = task.door_state.tolist()
    world.agents = [
        Agent(cell, direction if facing == RANDOM_FACING else facing)
        for cell, facing, direction in zip(
            _cells(task.agent_position.tolist()), task.agent_facing.tolist(), directions, strict=True
        )
    ]
    world.slots = [
        Slot(kind, cell, None, bool(frozen)) if kind else Slot()
        for kind, cell, frozen in zip(
            task.object_kind.tolist(), _cells(task.object_position.tolist()), task.object_frozen.tolist(), strict=True
        )
    ]


def reset_timestep(world: World) -> dict[str, Any]:
    """What `reset` hands out."""
    return _timestep(world, [0.0] * len(world.agents), event=0, is_first=True, is_trial_first=True)


def step(world: World, actions: list[int], directions: list[int], goal_id: int = 0) -> dict[str, Any]:
    """Moves `world` on and returns what `step` hands out. `directions` and `goal_id` are of a trial that starts."""
    world.matches = []
    if world.is_over:
        return _timestep(world, [0.0] * len(world.agents), event=0)
    for agent_id, action in enumerate(actions):
        act(world, agent_id, action)
    event = fire_a_rule(world)
    rewards = [
        float(agent.cell is not None and holds_formula(world, goal))
        for agent, goal in zip(world.agents, world.goals, strict=True)
    ]
    world.last_action = [
        action if 0 <= action < 7 and agent.cell is not None else NOOP
        for action, agent in zip(actions, world.agents, strict=True)
    ]
    world.last_reward = rewards
    world.time += 1
    is_trial_first = world.time == world.trial_length and world.trial < world.num_trials - 1
    if is_trial_first:
        world.trial += 1
        start_trial(world, directions, goal_id)
    return _timestep(world, rewards, event, is_trial_first=is_trial_first)


def act(world: World, agent_id: int, action: int) -> None:
    """One agent acts."""
    agent = world.agents[agent_id]
    if agent.cell is None:
        return
    facing = beside(agent.cell, agent.direction)
    thing = world.object_at(facing)
    held = world.held_by(agent_id)
    if action == FORWARD and world.is_walkable(facing):
        behind = beside(facing, agent.direction)
        can_push = world.config.push and world.can_hold_object(behind) and world.is_empty(behind)
        if world.is_empty(facing):
            agent.cell = facing
        elif thing and not thing.is_frozen and can_push:
            thing.cell = behind
            agent.cell = facing
    elif action == RIGHT:
        agent.direction = (agent.direction + 1) % 4
    elif action == LEFT:
        agent.direction = (agent.direction - 1) % 4
    elif action == PICK_UP and held is None and thing and not thing.is_frozen:
        thing.cell, thing.holder = None, agent_id
    elif action == PUT_DOWN and held and world.can_hold_object(facing) and world.is_empty(facing):
        held.cell, held.holder = facing, None
    elif action == TOGGLE and world.terrain_type(facing) == DOOR:
        door = world.doors.index(facing)
        key = KEY * 16 + world.terrain[facing[0]][facing[1]] % 16
        state = world.door_state[door]
        if state == CLOSED or (state == LOCKED and held and held.kind == key):
            world.door_state[door] = OPEN
        elif state == OPEN and world.is_empty(facing):
            world.door_state[door] = CLOSED


def fire_a_rule(world: World) -> int:
    """Fires the first rule that holds on its first pair; its number from 1 on, or 0."""
    world.matches = [
        (number, pair)
        for number, rule in enumerate(world.rules, 1)
        for pair in satisfying_pairs(world, rule.relation, rule.directions, rule.first, rule.second)
    ]
    if not world.matches:
        return 0
    number, pair = world.matches[0]
    _fire(world, world.rules[number - 1], *pair)
    return number


def _fire(world: World, rule: Rule, i: int, j: int) -> None:
    """`i` and `j` are entities; for `on` they are the same one, and the other partner is its cell."""
    num_agents = len(world.agents)
    consumed = [world.slots[entity - num_agents] for entity in sorted({i, j}, key=[i, j].index) if entity >= num_agents]
    centre = consumed[0].cell if consumed and consumed[0].cell else world.agents[i].cell
    products = list(rule.products)
    for slot in consumed:
        if products:
            slot.kind = products.pop(0)
        else:
            slot.kind, slot.cell, slot.holder, slot.is_frozen = 0, None, None, False
    for kind in products:
        free_slot = next((slot for slot in world.slots if not slot.kind), None)
        cells = [beside(centre, direction) for direction in range(4)]
        free_cell = next((cell for cell in cells if world.can_hold_object(cell) and world.is_empty(cell)), None)
        if free_slot and free_cell:
            free_slot.kind, free_slot.cell = kind, free_cell


def holds_formula(world: World, clauses: list[list[list[int]]]) -> bool:
    """An OR of ANDs of literals."""
    return any(all(holds_literal(world, *literal) for literal in clause) for clause in clauses)


def holds_literal(world: World, relation: int, directions: int, first: int, second: int, negated: int) -> bool:
    return bool(satisfying_pairs(world, relation, directions, first, second)) != bool(negated)


def satisfying_pairs(world: World, relation: int, directions: int, first: int, second: int) -> list[Pair]:
    """Entities (i, j), lowest first, of these kinds between which the relation holds; (i, i) for `on`."""
    if relation == NEVER:
        return []
    num_agents = len(world.agents)
    kinds = [AGENT_KIND * 16 + a for a in range(num_agents)] + [slot.kind for slot in world.slots]
    cells = [agent.cell for agent in world.agents] + [slot.cell for slot in world.slots]
    firsts = [i for i, kind in enumerate(kinds) if kind == first]
    if relation == ON:
        return [(i, i) for i in firsts if cells[i] and world.kind_of_floor(cells[i]) == second]
    pairs = [(i, j) for i in firsts for j, kind in enumerate(kinds) if kind == second and i != j]
    if relation == HOLD:
        return [(i, j) for i, j in pairs if i < num_agents <= j and world.slots[j - num_agents].holder == i]
    return [
        (i, j)
        for i, j in pairs
        if cells[i] and cells[j] and _are_related(world, relation, directions, i, cells[i], cells[j])
    ]


def _are_related(world: World, relation: int, directions: int, i: int, a: Cell, b: Cell) -> bool:
    """Whether touch, near or see holds between entity `i` in cell `a` and something in cell `b`."""
    if relation == TOUCH:
        return any(directions & 1 << direction and beside(a, direction) == b for direction in range(4))
    if relation == NEAR:
        return abs(a[0] - b[0]) <= 2 and abs(a[1] - b[1]) <= 2
    if i < len(world.agents):
        return b in visible_cells(world, i).values()
    blocks = (0, WALL, DOOR)
    if a[0] == b[0]:
        return all(world.terrain_type((a[0], c)) not in blocks for c in range(min(a[1], b[1]) + 1, max(a[1], b[1])))
    if a[1] == b[1]:
        return all(world.terrain_type((r, a[1])) not in blocks for r in range(min(a[0], b[0]) + 1, max(a[0], b[0])))
    return False


def visible_cells(world: World, agent_id: int) -> dict[Cell, Cell]:
    """The cells that an agent sees, by (forward, right) from itself."""
    agent = world.agents[agent_id]
    size = world.config.view_size
    if agent.cell is None:
        return {}
    return {
        (forward, right): _ahead(agent, forward, right)
        for forward in range(size)
        for right in range(-(size // 2), size // 2 + 1)
        if world.config.see_through_walls
        or all(world.is_transparent(_ahead(agent, *offset)) for offset in offsets_between(forward, right))
    }


@cache
def offsets_between(forward: int, right: int) -> list[Cell]:
    """The offsets strictly between an agent and a cell of its view, on the straight line, halves toward the agent."""
    n = max(forward, abs(right))
    return [(_nearest(Fraction(forward * s, n)), _nearest(Fraction(right * s, n))) for s in range(1, n)]


def _nearest(x: Fraction) -> int:
    magnitude = math.ceil(abs(x) - Fraction(1, 2))
    return magnitude if x > 0 else -magnitude


def view(world: World, agent_id: int) -> list[list[list[int]]]:
    """[V][V][3], the agent in the middle of the bottom row, facing up."""
    size = world.config.view_size
    picture = [[[0, 0, 0] for _ in range(size)] for _ in range(size)]
    for (forward, right), cell in visible_cells(world, agent_id).items():
        picture[size - 1 - forward][size // 2 + right] = _appearance(world, cell, agent_id)
    return picture


def _appearance(world: World, cell: Cell, viewer: int) -> list[int]:
    kind = world.terrain_type(cell)
    terrain = world.terrain[cell[0]][cell[1]] if kind else 0
    if kind == DOOR:
        terrain += 16 * world.state_of_door(cell)
    thing, other = world.object_at(cell), world.agent_at(cell)
    if thing:
        return [terrain, thing.kind, int(thing.is_frozen)]
    if other is None or other == viewer:
        return [terrain, 0, 0]
    turned = (world.agents[other].direction - world.agents[viewer].direction) % 4
    return [terrain, AGENT_KIND * 16 + 4 * other + turned, world.kind_held_by(other)]


def briefing(config: EnvConfig, task: Task) -> dict[str, Any]:
    """What every agent is told: its goal, and the rules with what is hidden from it masked."""
    world = start(config, task, [0] * config.num_agents)
    hidden = task.hidden
    return {
        "goal": world.goals if config.max_goals == 1 else None,
        "rules": [
            [
                _masked(rule, is_hidden, kinds, relations)
                for rule, is_hidden in zip(world.rules, hidden.rules[a].tolist(), strict=True)
            ]
            for a, (kinds, relations) in enumerate(zip(hidden.kinds.tolist(), hidden.relations.tolist(), strict=True))
        ],
        "agent_id": list(range(config.num_agents)),
    }


def _masked(rule: Rule, is_hidden: bool, kinds: list[int], relations: list[int]) -> list[int]:
    if is_hidden and rule.relation != NEVER:  # padding is no rule
        return [255, 0, 0, 0, 0, 0, 0]
    relation, directions = rule.relation, rule.directions
    if relation and relation in relations:
        relation, directions = 16 + relations.index(relation), 0
    names = [rule.first, rule.second, *rule.products, *[0] * (3 - len(rule.products))]
    return [relation, directions, *(13 * 16 + kinds.index(kind) if kind and kind in kinds else kind for kind in names)]


def _timestep(
    world: World, rewards: list[float], event: int, is_first: bool = False, is_trial_first: bool = False
) -> dict[str, Any]:
    """Everything that can be seen from outside after a reset or a step."""
    agents, num_agents = world.agents, len(world.agents)
    slot_held = [next((n for n, slot in enumerate(world.slots) if slot.holder == a), -1) for a in range(num_agents)]
    return {
        "agent_position": [list(agent.cell or (-1, -1)) for agent in agents],
        "agent_direction": [agent.direction for agent in agents],
        "agent_held": slot_held,
        "object_kind": [slot.kind for slot in world.slots],
        "object_position": [list(slot.cell or (-1, -1)) for slot in world.slots],
        "object_frozen": [int(slot.is_frozen) for slot in world.slots],
        "door_state": list(world.door_state),
        "state_trial": world.trial,
        "state_time": world.time,
        "is_over": world.is_over,
        "reward": rewards,
        "discount": float(not world.is_over),
        "is_first": is_first,
        "is_trial_first": is_trial_first,
        "is_last": world.is_over,
        "event": event,
        "view": [view(world, a) for a in range(num_agents)],
        "held": [world.kind_held_by(a) for a in range(num_agents)],
        "direction": [agent.direction for agent in agents],
        "last_action": list(world.last_action),
        "last_reward": list(world.last_reward),
        "trial": world.trial,
        "trials_left": world.num_trials - world.trial - 1,
        "time_left": world.trial_length - world.time,
        "trial_length": world.trial_length,
        "goal": world.goals,
    }


def _cells(rows: list[list[int]]) -> list[Cell | None]:
    return [(row, column) if row < ABSENT else None for row, column in rows]


def beside(cell: Cell, direction: int) -> Cell:
    return cell[0] + STEPS[direction][0], cell[1] + STEPS[direction][1]


def _ahead(agent: Agent, forward: int, right: int) -> Cell:
    """The cell that is so many steps ahead of an agent and to its right."""
    ahead, aside = STEPS[agent.direction], STEPS[(agent.direction + 1) % 4]
    return (
        agent.cell[0] + forward * ahead[0] + right * aside[0],
        agent.cell[1] + forward * ahead[1] + right * aside[1],
    )
