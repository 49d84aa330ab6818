"""What a task asks for and how it can change, as the planner holds it: rules, goals, and everything that changes."""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from xworld.agents.expert.world.ground import Ground, Poses
from xworld.core import kinds
from xworld.core.step.relations import NEVER
from xworld.core.types import Task


class Condition(NamedTuple):
    """A relation asked of two kinds, as rules and goals do."""

    relation: int
    directions: int
    first: int
    second: int


class Literal(NamedTuple):
    """A part of a goal."""

    condition: Condition
    is_negated: bool


class Rule(NamedTuple):
    """A production rule."""

    condition: Condition
    products: tuple[int, ...]

    @property
    def consumed(self) -> tuple[int, ...]:
        """The kinds of the objects that it uses up."""
        return tuple(kind for kind in self.condition[2:] if kinds.is_object_kind(kind))


class Situation(NamedTuple):
    """Everything that changes within a trial."""

    kinds: tuple[int, ...]  # of the object slots, 0 for an empty one
    places: tuple[int, ...]  # a cell, 0 for absent, or -1 - a in the hand of agent a
    frozen: int  # a bit for each slot
    doors: tuple[int, ...]  # states
    cells: tuple[int, ...]  # of the agents, 0 for absent
    directions: tuple[int, ...]


class Layout:
    """What follows from kinds and places of the objects."""

    def __init__(self, situation: Situation) -> None:
        """Sorts the object slots of a situation."""
        self.at: dict[int, int] = {}  # cell -> slot
        self.lying: dict[int, int] = {}  # kind -> set of cells
        self.slots: dict[int, list[int]] = {}  # kind -> slots
        self.held = [-1] * len(situation.cells)  # by agent: a slot, or -1
        self.occupied = 0
        self.standing: int | None = None  # the lowest rule that holds wherever the agents are; see `Model.standing`
        self.poses: dict[tuple, Poses] = {}  # see `Model.poses_of`
        for slot, (kind, place) in enumerate(zip(situation.kinds, situation.places, strict=True)):
            if not kind:
                continue
            self.slots.setdefault(kind, []).append(slot)
            if place > 0:
                self.at[place] = slot
                self.occupied |= 1 << place
                self.lying[kind] = self.lying.get(kind, 0) | 1 << place
            else:
                self.held[-1 - place] = slot


def read_rules(task: Task) -> list[Rule]:
    """All rules, padding included."""
    rules = task.rules
    fields = [np.asarray(field).tolist() for field in (rules.relation, rules.directions, rules.first, rules.second)]
    return [
        Rule(Condition(*condition), tuple(kind for kind in products if kind))
        for *condition, products in zip(*fields, np.asarray(rules.products).tolist(), strict=True)
    ]


def read_goals(task: Task, goal_id: int, agents: list[int]) -> dict[int, list[list[Literal]]]:
    """By agent, its goal of that number without the padding; agents that have none are left out."""
    goals = task.goals
    names = ("relation", "directions", "first", "second", "negated")
    fields = np.stack([np.asarray(getattr(goals, name)) for name in names], axis=-1)
    rows = (fields[goal_id] if task.has_several_goals else fields).tolist()  # [A, C, L, 5]
    found = {
        agent: [
            [Literal(Condition(*row[:4]), bool(row[4])) for row in clause if row[0] != NEVER]
            for clause in rows[agent]
            if all(row[0] != NEVER or row[4] for row in clause)
        ]
        for agent in agents
    }
    return {agent: goal for agent, goal in found.items() if goal}


def all_at_once(goals: Iterable[list[list[Literal]]]) -> list[list[Literal]]:
    """The goal that holds when all of these do; one that never holds if there are none."""
    different: list[list[list[Literal]]] = []
    for goal in goals:
        if goal not in different:
            different.append(goal)
    return [list(itertools.chain(*clauses)) for clauses in itertools.product(*different)] if different else []


def read_start(ground: Ground, task: Task) -> Situation:
    """The beginning of a trial, all agents facing north."""
    slot_kinds = tuple(task.object_kind.tolist())
    places = zip(slot_kinds, task.object_position.tolist(), strict=True)
    frozen = enumerate(task.object_frozen.tolist())
    agents = zip(task.is_present.tolist(), task.agent_position.tolist(), strict=True)
    return Situation(
        kinds=slot_kinds,
        places=tuple(ground.cell(*place) if kind else 0 for kind, place in places),
        frozen=sum(1 << slot for slot, is_frozen in frozen if is_frozen),
        doors=tuple(task.door_state.tolist()),
        cells=tuple(ground.cell(*place) if is_present else 0 for is_present, place in agents),
        directions=(0,) * len(task.agent_facing),
    )
