"""Small worlds in which much happens, and plans of agents that make it happen, for hypothesis.

Worlds are crowded, kinds are few and keys lie near their doors, so that rules fire, boxes are pushed and doors
unlocked in a few steps. A plan is a list of intentions; `intentions.py` turns them into actions.

An example is an integer and some bytes. The integer decides what every part is like, the bytes which parts there are:
hypothesis varies both, and takes away part after part of a failing example. (Drawn choice by choice, most examples
would be mutations of each other, and doors would hardly ever be unlocked.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies as st

from xworld import EnvConfig, Task
from xworld.core.types import NOWHERE, RANDOM_FACING, Goals, Hidden, Rules

Cell = tuple[int, int]
Intention = tuple[str, int]

CODES = {"touch": 1, "near": 2, "hold": 3, "see": 4, "on": 5}
RED, GREEN, BLUE, BLACK = 0, 1, 2, 6
FLOOR, WALL, COUNTER, WATER, DOOR = (kind * 16 for kind in range(1, 6))
KEY = 0x40
# Every object and door is red or green, but for one, so that keys fit and rules match.
KINDS = (KEY + RED, 0x10 + RED, 0x20 + GREEN, KEY + GREEN, 0x60 + BLUE)
FLOOR_KINDS = (0xE0 + BLACK, 0xE0 + RED)
TERRAIN = (
    *[FLOOR + BLACK] * 20, *[FLOOR + RED] * 6, *[WALL] * 3, *[COUNTER] * 2, WATER,
)  # fmt: skip
VERBS = (
    *["unlock"] * 4, *["take"] * 3, *["put"] * 3, *["push"] * 3, *["door"] * 2,
    "meet", "meet", "visit", "visit", "walk", "raw", "raw", "wild",
)  # fmt: skip
WILD_ACTIONS = (-1, 7, 8, 255, 256, -128, -256, 65536, 2**31 - 1, -(2**31))
TRIAL_LENGTHS = (3, 4, 6, 8, 10, 12, 15, 20, 30)
DENSITIES = (0.2, 0.5, 0.8, 1.0)
MAX_TRIALS = 3
PLAN_SIZE = 10
MAX_PARTS = 256  # whose bytes say whether they are there
ALL_PARTS = bytes([255] * MAX_PARTS)


def small_config(**changes: Any) -> EnvConfig:
    """A configuration in which all that there is meets within a few steps."""
    defaults = EnvConfig(height=7, width=7, max_objects=8, max_rules=6, max_doors=3, goal_clauses=2, goal_literals=2)
    return replace(defaults, **changes)


@dataclass(frozen=True)
class Example:
    """A task, the seed of the episode, and what its agents mean to do one after the other."""

    task: Task
    seed: int
    plans: list[list[Intention]]


@dataclass
class Parts:
    """Gives every part of an example its own chance, so that it stays as it is when others are taken away."""

    seed: int
    presence: Iterator[int]

    def chance(self, part: str) -> Random:
        return Random(f"{part} of {self.seed}")

    def density(self, part: str) -> float:
        return self.chance(f"density of {part}").choice(DENSITIES)

    def is_there(self, density: float) -> bool:
        return next(self.presence) > 255 * (1 - density)


def examples(config: EnvConfig) -> st.SearchStrategy[Example]:
    """Examples for this configuration."""
    return st.builds(
        make_example,
        st.just(config),
        st.integers(0, 2**32 - 1),
        st.binary(min_size=MAX_PARTS, max_size=MAX_PARTS),
    )


def make_example(config: EnvConfig, seed: int, presence: bytes) -> Example:
    """The example of this seed with the parts whose bytes are high."""
    parts = Parts(seed, iter(presence))
    plans = [
        [
            (chance.choice(VERBS), chance.randrange(12))
            for n in range(PLAN_SIZE)
            if parts.is_there(0.9) and (chance := parts.chance(f"intention {n} of agent {agent}"))
        ]
        for agent in range(config.num_agents)
    ]
    return Example(_make_task(config, parts), seed, plans)


def _make_task(config: EnvConfig, parts: Parts) -> Task:
    """A task as numpy arrays, as large as the configuration or smaller to 4 x 4."""
    terrain, door_position, door_state = _make_world(config, parts)
    chance = parts.chance("task")
    floor = [cell for cell in np.ndindex(terrain.shape) if terrain[cell] // 16 == FLOOR // 16]
    counters = [cell for cell in np.ndindex(terrain.shape) if terrain[cell] // 16 == COUNTER // 16]
    chance.shuffle(floor)

    agent_position = np.full((config.num_agents, 2), NOWHERE, np.uint8)
    needed_agent = chance.randrange(config.num_agents)
    for agent, cell in zip(range(config.num_agents), floor, strict=False):
        if agent == needed_agent or chance.random() < 0.8:
            agent_position[agent] = cell
    places = floor[config.num_agents :] + counters
    chance.shuffle(places)

    kinds = KINDS[: chance.randint(2, len(KINDS))]
    row, column = door_position[0]
    key = KEY + (terrain[row, column] % 16 if row < NOWHERE else RED)
    object_kind = np.zeros(config.max_objects, np.uint8)
    object_position = np.full((config.max_objects, 2), NOWHERE, np.uint8)
    object_frozen = np.zeros(config.max_objects, np.uint8)
    density = parts.density("objects")
    there = [place for place in range(config.max_objects) if parts.is_there(density) and place < len(places)]
    for slot, place in enumerate(there):
        chance = parts.chance(f"object {place}")
        object_kind[slot] = key if chance.random() < 0.2 else chance.choice(kinds)
        object_position[slot] = places[place]
        object_frozen[slot] = chance.random() < 0.15

    chance = parts.chance("times")
    facing = [chance.choice((RANDOM_FACING, chance.randrange(4))) for _ in range(config.num_agents)]
    return Task(
        terrain=terrain,
        door_position=door_position,
        door_state=door_state,
        agent_position=agent_position,
        agent_facing=np.array(facing, np.uint8),
        object_kind=object_kind,
        object_position=object_position,
        object_frozen=object_frozen,
        goals=_make_goals(config, parts, kinds),
        rules=_make_rules(config, parts, kinds),
        hidden=_make_hidden(config, parts),
        trial_length=np.uint16(chance.choice(TRIAL_LENGTHS)),
        num_trials=np.uint16(chance.randint(1, MAX_TRIALS)),
        world_id=np.int32(-1),
        game_id=np.int32(-1),
    )


def _make_world(config: EnvConfig, parts: Parts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Terrain with void at the right and the bottom, and the doors in it."""
    chance = parts.chance("world")
    height, width = (chance.randint(min(4, size), size) for size in (config.height, config.width))
    terrain = np.zeros((config.height, config.width), np.uint8)
    cells = [(row, column) for row in range(height) for column in range(width)]
    for cell in np.ndindex(terrain.shape):
        is_special = parts.is_there(0.9)
        if cell in cells:
            terrain[cell] = parts.chance(f"cell {cell}").choice(TERRAIN) if is_special else TERRAIN[0]
    agent_cell, *door_cells = chance.sample(cells, 1 + config.max_doors)
    terrain[agent_cell] = TERRAIN[0]  # so that there is room for an agent

    door_position = np.full((config.max_doors, 2), NOWHERE, np.uint8)
    door_state = np.zeros(config.max_doors, np.uint8)
    density = parts.density("doors")
    there = [cell for cell in door_cells if parts.is_there(density)]
    for door, cell in enumerate(there):
        chance = parts.chance(f"door {cell}")
        terrain[cell] = DOOR + chance.choice((RED, GREEN))
        door_position[door] = cell
        door_state[door] = chance.choice((0, 1, 2, 2))
    return terrain, door_position, door_state


def _make_rules(config: EnvConfig, parts: Parts, kinds: Sequence[int]) -> Rules:
    rows = np.zeros((config.max_rules, 7), np.uint8)
    density = parts.density("rules")
    for rule in range(config.max_rules):
        chance = parts.chance(f"rule {rule}")
        relation, directions, first, second = _make_predicate(config, chance, kinds, is_goal=False)
        products = chance.choices(kinds, k=chance.randint(0, 3))
        consumed = [kind for kind in (first, second) if kind // 16 <= 6]
        if parts.is_there(density) and sorted(products) != sorted(consumed):
            rows[rule, :4] = relation, directions, first, second
            rows[rule, 4 : 4 + len(products)] = products
    relation, directions, first, second = rows[:, :4].T
    return Rules(relation=relation, directions=directions, first=first, second=second, products=rows[:, 4:])


def _make_goals(config: EnvConfig, parts: Parts, kinds: Sequence[int]) -> Goals:
    if config.max_goals == 1:
        literals = _make_goal(config, parts, kinds, "")
    else:
        sizes = config.max_goals, config.num_agents, config.goal_clauses, config.goal_literals
        literals = np.zeros((*sizes, 5), np.uint8)
        for number in range(parts.chance("number of goals").randint(1, config.max_goals)):
            literals[number] = _make_goal(config, parts, kinds, f" of goal {number}")
            if not literals[number].any():  # which would be padding
                literals[number, 0, 0, :, 4] = 1
    relation, directions, first, second, negated = np.moveaxis(literals, -1, 0)
    return Goals(relation=relation, directions=directions, first=first, second=second, negated=negated)


def _make_goal(config: EnvConfig, parts: Parts, kinds: Sequence[int], name: str) -> np.ndarray:
    """[A, C, L, 5] relation, directions, first, second and negated."""
    literals = np.zeros((config.num_agents, config.goal_clauses, config.goal_literals, 5), np.uint8)
    for agent, clause in np.ndindex(literals.shape[:2]):
        there = [literal for literal in range(config.goal_literals) if parts.is_there(0.6)]
        if there:  # else the clause is never true
            literals[agent, clause, :, 4] = 1  # literals that are always true
        for literal in there:
            chance = parts.chance(f"literal {literal} of clause {clause} of agent {agent}{name}")
            predicate = _make_predicate(config, chance, kinds, is_goal=True)
            literals[agent, clause, literal] = *predicate, chance.random() < 0.3
    return literals


def _make_predicate(
    config: EnvConfig, chance: Random, kinds: Sequence[int], is_goal: bool
) -> tuple[int, int, int, int]:
    """A relation, its directions and its operands."""
    agents = [0xF0 + agent for agent in range(config.num_agents)]
    relation = chance.choice([*config.relations, *({"hold"} & set(config.relations))])  # the rarest to be fulfilled
    directions = chance.choice((15, 15, 1, 2, 4, 8, chance.randint(1, 15))) if relation == "touch" else 0
    firsts, seconds = [*agents, *kinds], [*kinds, *agents] if is_goal else [*kinds]
    if relation == "hold":
        firsts, seconds = agents, [*kinds]
    if relation == "on":
        seconds = [*FLOOR_KINDS]
    return CODES[relation], directions, chance.choice(firsts), chance.choice(seconds)


def _make_hidden(config: EnvConfig, parts: Parts) -> Hidden:
    """Masks of every agent: whole rules, kinds and relations in any order."""
    hidden_kinds = np.zeros((config.num_agents, 16), np.uint8)
    relations = np.zeros((config.num_agents, 5), np.uint8)
    rules = np.zeros((config.num_agents, config.max_rules), bool)
    for agent in range(config.num_agents):
        chance = parts.chance(f"what is hidden from agent {agent}")
        if parts.is_there(0.5):
            names = chance.sample([*KINDS, *FLOOR_KINDS, 0xF0], chance.randint(0, 4))
            hidden_kinds[agent, : len(names)] = names
        if parts.is_there(0.5):
            codes = chance.sample(
                [CODES[name] for name in config.relations], chance.randint(0, min(2, len(config.relations)))
            )
            relations[agent, : len(codes)] = codes
        if parts.is_there(0.5):
            rules[agent] = [chance.random() < 0.5 for _ in range(config.max_rules)]
    return Hidden(rules=rules, kinds=hidden_kinds, relations=relations)
