"""Tiny tasks of all kinds for the tests of the expert: 4 x 4 cells, few objects, any relation, any goal."""

import numpy as np

from xworld import EnvConfig, Task
from xworld.core import kinds
from xworld.core.config import RELATIONS
from xworld.core.step.relations import HOLD, ON, TOUCH
from xworld.tasks import Literal, ObjectRow, RuleRow, make_task

CONFIG = EnvConfig(height=6, width=6, max_objects=5, max_rules=2, max_doors=1, goal_clauses=2, goal_literals=2)
INNER = 4
TRIAL_LENGTH = 12
PALETTE = [kinds.object_kind(shape, colour) for shape in ("ball", "cube") for colour in ("red", "green")]
PAD = kinds.COLOURS.index("red")  # the colour of two cells of floor


def tiny_task(generator: np.random.Generator) -> Task:
    """A task for one agent, which may or may not be solvable, or solved at the start."""
    terrain = np.full((6, 6), kinds.WALL * 16)
    terrain[1:-1, 1:-1] = kinds.BLACK_FLOOR
    cells = [(int(cell) // INNER + 1, int(cell) % INNER + 1) for cell in generator.permutation(INNER * INNER)]
    for row, column in cells[6:8]:
        terrain[row, column] = kinds.FLOOR * 16 + PAD
    for row, column in cells[8 : 8 + generator.integers(3)]:
        terrain[row, column] = int(generator.choice([kinds.WALL, kinds.WATER, kinds.COUNTER])) * 16
    num_objects, num_rules = generator.integers(2, 5), generator.integers(3)
    objects = [
        ObjectRow(int(generator.choice(PALETTE)), row, column, is_frozen=bool(generator.integers(8) == 0))
        for row, column in cells[1 : 1 + num_objects]
    ]
    rules: list[RuleRow] = []
    while len(rules) < num_rules:
        condition = _condition(generator)
        products = tuple(int(kind) for kind in generator.choice(PALETTE, generator.integers(3)))
        consumed = [condition[name] for name in ("first", "second") if kinds.is_object_kind(condition[name])]
        if sorted(products) != sorted(consumed):
            rules.append(RuleRow(**condition, products=products))
    goal = tuple(
        tuple(
            Literal(**_condition(generator), is_negated=bool(generator.integers(4) == 0))
            for _ in range(generator.integers(1, 3))
        )
        for _ in range(generator.integers(1, 3))
    )
    return make_task(
        CONFIG,
        terrain=terrain,
        agents={0: cells[0]},
        goals=goal,
        objects=objects,
        rules=rules,
        facing=int(generator.integers(4)),
        trial_length=TRIAL_LENGTH,
    )


def _condition(generator: np.random.Generator) -> dict[str, int]:
    """A relation, its directions, and two kinds that it can hold between."""
    relation = int(generator.integers(1, len(RELATIONS) + 1))
    first, second = (int(kind) for kind in generator.choice(PALETTE, 2))
    if relation == HOLD or generator.integers(2):
        first = kinds.agent_kind(0)
    if relation == ON:
        second = kinds.FLOOR_SHAPE * 16 + PAD
    directions = int(generator.integers(1, 16)) if relation == TOUCH and generator.integers(3) == 0 else 0
    return {"relation": relation, "first": first, "second": second, "directions": directions}
