"""Plays scripts such as "take b; put 3,4; 1 take 3,4" in the plain-Python world, and says which actions that took.

A command is `go`, `face`, `take`, `put`, `toggle` and a place, a row and column or the only cell of the map with that
character; `walk east 3`, that many steps forward, pushing what is in the way; `wait 5`; or `wait`, for all that is left
of the trial. A number before it says which agent acts; the others do nothing meanwhile. Ways are the shortest, around
things. When the time is up the rest is left out.
"""

import tomllib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations, zip_longest

import oracle
from oracle import Cell, World

from xworld import EnvConfig, Task
from xworld.tasks import Probe

FINAL_ACTIONS = {"take": oracle.PICK_UP, "put": oracle.PUT_DOWN, "toggle": oracle.TOGGLE, "face": None}
DIRECTIONS = ("north", "east", "south", "west")


class Impossible(Exception):
    """A command that cannot be carried out."""


@dataclass(frozen=True)
class Play:
    """A script for a probe, and what comes of it."""

    script: str
    pays: int | tuple[int, ...]  # the return of the trial, of each agent if they differ
    fires: tuple[int, ...] = ()  # the rules that fire, in the order in which they do so first
    is_dead: bool = False  # whether nothing can be earned from then on
    is_late: bool = False  # whether it would pay if there were more time


@dataclass
class Performance:
    """What came of a script: everything that was done, and everything that it led to."""

    world: World
    actions: list[list[int]]  # [t][A]
    rewards: list[list[float]]  # [t][A]
    events: list[int]  # [t], 1 + the rule that fired, or 0

    @property
    def returns(self) -> tuple[int, ...]:
        return tuple(int(sum(rewards)) for rewards in zip(*self.rewards, strict=True))

    @property
    def fires(self) -> tuple[int, ...]:
        """The rules that fired, in the order in which they did so first."""
        return tuple(dict.fromkeys(event - 1 for event in self.events if event))


def perform(probe: Probe, task: Task, script: str, only_agent: int | None = None) -> Performance:
    """Plays a script to the end of the first trial, agents facing north at first unless the task says otherwise.

    Args:
      task: of the probe, with one trial.
      only_agent: if given, what the others would do is left out, and so is what has become impossible by that.
    """
    performance = Performance(oracle.start(probe.config, task, [0] * probe.config.num_agents), [], [], [])
    for command in script.split(";"):
        words = command.split()
        agent = int(words.pop(0)) if words[0].isdigit() else 0
        if only_agent in (None, agent):
            try:
                _carry_out(performance, probe, agent, words)
            except Impossible:
                if only_agent is None:
                    raise Impossible(f"{probe.name}: '{command.strip()}'") from None
    while not performance.world.is_over:
        _act(performance, 0, oracle.NOOP)
    return performance


def can_get_beside(config: EnvConfig, task: Task, agent: int, target: Cell) -> bool:
    """Whether an agent could ever stand beside a cell, if all doors were open and no object in the way."""
    world = oracle.start(config, task, [0] * config.num_agents)
    world.door_state = [oracle.OPEN] * len(world.door_state)
    start = world.agents[agent].cell
    found, queue = {start}, deque([start])
    while queue:
        for cell in _cells_beside(queue.popleft()):
            if cell not in found and world.is_walkable(cell):
                found.add(cell)
                queue.append(cell)
    return not found.isdisjoint(_cells_beside(target))


def can_still_pay(world: World, idle_agent: int | None = None) -> bool:
    """False if agent 0's goal cannot hold from now on, whatever the agents do, but for one that is idle elsewhere.

    Looks at what objects there can be, not at how to bring them together: everything can meet but two frozen things
    that do not touch. For a goal that something must not be seen, only frozen things are in the way.
    """
    ((relation, _, first, second, is_negated),) = world.goals[0][0]
    operands = [kind for kind in (first, second) if _is_object(kind)]
    start = tuple(sorted((slot.kind, slot.cell if slot.is_frozen else LOOSE) for slot in world.slots if slot.kind))
    found, queue = {start}, deque([start])
    while queue:
        things = queue.popleft()
        there = {kind for kind, cell in things if not is_negated or cell != LOOSE}
        if there.issuperset(operands) != bool(is_negated):
            return True
        for after in _after_one_rule(world, things, idle_agent):
            if after not in found:
                found.add(after)
                queue.append(after)
    return False


LOOSE = (-1, -1)  # the cell of what can be moved
Things = tuple[tuple[int, Cell], ...]  # kinds, and where they are if they are frozen


def _after_one_rule(world: World, things: Things, idle_agent: int | None) -> Iterator[Things]:
    for rule in world.rules:
        if not rule.relation or (idle_agent is not None and rule.first == oracle.AGENT_KIND * 16 + idle_agent):
            continue
        wanted = [kind for kind in (rule.first, rule.second) if _is_object(kind)]
        for chosen in permutations(things, len(wanted)):
            cells = [cell for _, cell in chosen]
            are_apart = len(cells) == 2 and LOOSE not in cells and cells[0] not in _cells_beside(cells[1])
            if [kind for kind, _ in chosen] == wanted and not are_apart:
                left = list(things)
                for thing in chosen:
                    left.remove(thing)
                yield tuple(sorted([*left, *zip_longest(rule.products, cells[: len(rule.products)], fillvalue=LOOSE)]))


def _is_object(kind: int) -> bool:
    return 0 < kind // 16 < oracle.FLOOR_KIND


def _cells_beside(cell: Cell) -> list[Cell]:
    return [oracle.beside(cell, direction) for direction in range(4)]


def cells_of(probe: Probe, character: str) -> list[Cell]:
    """The cells of the map with a character."""
    map_rows = tomllib.loads(probe.text)["map"].split("\n")
    return [(r, c) for r, row in enumerate(map_rows) for c, found in enumerate(row) if found == character]


def _carry_out(performance: Performance, probe: Probe, agent: int, words: list[str]) -> None:
    verb, world = words[0], performance.world
    if verb == "wait":
        steps = int(words[1]) if len(words) > 1 else world.trial_length
        for _ in range(steps):
            _act(performance, agent, oracle.NOOP)
        return
    if verb == "walk":
        for action in [
            *_turns(world.agents[agent].direction, DIRECTIONS.index(words[1])),
            *[oracle.FORWARD] * int(words[2]),
        ]:
            _act(performance, agent, action)
        return
    if "," in words[1]:
        row, column = words[1].split(",")
        cell = int(row), int(column)
    else:
        (cell,) = cells_of(probe, words[1])
    for action in _way(world, agent, cell, is_to_face=verb != "go"):
        _act(performance, agent, action)
    if verb == "take" and (world.held_by(agent) or not world.object_at(cell)) and not performance.world.is_over:
        raise Impossible
    if verb == "put" and (not world.held_by(agent) or not world.is_empty(cell)) and not performance.world.is_over:
        raise Impossible
    if FINAL_ACTIONS.get(verb) is not None:
        _act(performance, agent, FINAL_ACTIONS[verb])


def _act(performance: Performance, agent: int, action: int) -> None:
    """One step, unless the time is up."""
    world = performance.world
    if world.is_over:
        return
    actions = [action if index == agent else oracle.NOOP for index in range(len(world.agents))]
    timestep = oracle.step(world, actions, [0] * len(world.agents))
    performance.actions.append(actions)
    performance.rewards.append(timestep["reward"])
    performance.events.append(timestep["event"])


def _turns(direction: int, wanted: int) -> list[int]:
    return [[], [oracle.RIGHT], [oracle.RIGHT, oracle.RIGHT], [oracle.LEFT]][(wanted - direction) % 4]


def _way(world: World, agent: int, target: Cell, is_to_face: bool) -> list[int]:
    """The fewest actions that bring an agent to a cell, or to face it, without pushing anything."""
    start = world.agents[agent].cell, world.agents[agent].direction
    came_from: dict = {start: None}
    queue = deque([start])
    while queue:
        cell, direction = pose = queue.popleft()
        ahead = oracle.beside(cell, direction)
        if (ahead if is_to_face else cell) == target:
            actions = []
            while came_from[pose] is not None:
                pose, action = came_from[pose]
                actions.append(action)
            return actions[::-1]
        moves = [((cell, (direction + 1) % 4), oracle.RIGHT), ((cell, (direction - 1) % 4), oracle.LEFT)]
        if world.is_walkable(ahead) and world.is_empty(ahead):
            moves.append(((ahead, direction), oracle.FORWARD))
        for after, action in moves:
            if after not in came_from:
                came_from[after] = pose, action
                queue.append(after)
    raise Impossible
