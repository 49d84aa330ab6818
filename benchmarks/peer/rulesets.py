"""Games and worlds in which XLand-MiniGrid and this simulator can be compared: the same rules, the same objects.

A ruleset is drawn as in XLand-MiniGrid's medium benchmarks: a goal, rules grown backwards from it, rules that lead
nowhere, and objects that are not needed. It only uses what both systems have: an agent holds a thing, an agent is
beside a thing, a thing is beside another.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from xworld import EnvConfig
from xworld.core import kinds
from xworld.core.step.relations import HOLD, TOUCH
from xworld.core.types import Task
from xworld.tasks import make_task
from xworld.tasks.language.rows import DoorRow, Literal, ObjectRow, RuleRow
from xworld.tasks.xland_minigrid.worlds import lay_out

NUM_RULES = 9
NUM_OBJECTS = 13
MAX_CHAIN = 6  # rules that lead to the goal
MIN_DEAD_ENDS = 3
EPISODE_LENGTH = 500  # steps
SHARED_COLOURS = 11  # all but cyan, which XLand-MiniGrid has not
AGENT = kinds.agent_kind(0)


@dataclass(frozen=True)
class World:
    """A size and a number of rooms; both systems have those of `WORLDS`."""

    rooms: int
    side: int  # cells

    @property
    def name(self) -> str:
        """As XLand-MiniGrid calls it."""
        return f"R{self.rooms}-{self.side}x{self.side}"

    @property
    def num_doors(self) -> int:
        """Doors, one between any two rooms that share a wall."""
        return len(lay_out(self.rooms, self.side).doors)


WORLDS = (World(1, 9), World(4, 13), World(9, 25))


@dataclass(frozen=True)
class Ruleset:
    """A game without a world."""

    goal: Literal
    rules: tuple[RuleRow, ...]
    kinds: tuple[int, ...]  # of the objects at the start


def draw_ruleset(draw: random.Random, num_rules: int = NUM_RULES, num_objects: int = NUM_OBJECTS) -> Ruleset:
    """A ruleset with exactly so many rules (at least 4) and so many objects (at least 8)."""
    all_kinds = [shape * 16 + colour for shape in range(1, 7) for colour in range(SHARED_COLOURS)]
    deck = draw.sample(all_kinds, len(all_kinds))
    goal_relation, goal_first, goal_second, wanted = _draw_condition(draw, deck)
    rules = []
    for _ in range(min(num_rules - MIN_DEAD_ENDS, MAX_CHAIN)):
        product = wanted.pop(0)
        relation, first, second, inputs = _draw_condition(draw, deck)
        rules.append(RuleRow(relation, first, second, (product,)))
        wanted += inputs
    objects = wanted + draw.choices(deck, k=num_objects - len(wanted))
    while len(rules) < num_rules:
        relation, first, second, inputs = _draw_condition(draw, draw.sample(sorted({*objects}), 2))
        product = draw.choice([kind for kind in all_kinds if kind not in inputs])
        rules.append(RuleRow(relation, first, second, (product,) if draw.random() < 0.9 else ()))
    draw.shuffle(rules)
    return Ruleset(Literal(goal_relation, goal_first, goal_second), tuple(rules), tuple(objects))


def _draw_condition(draw: random.Random, deck: list[int]) -> tuple[int, int, int, list[int]]:
    """Relation, first and second kind, and the kinds of objects among them, taken off the deck."""
    way = draw.randrange(3)
    things = [deck.pop() for _ in range(2 if way == 2 else 1)]
    first = things[0] if way == 2 else AGENT
    return HOLD if way == 0 else TOUCH, first, things[-1], things


def env_config(world: World) -> EnvConfig:
    """What XLand-MiniGrid's rulesets need: who holds and who is beside what; views through walls, and no pushing."""
    return EnvConfig(**sizes(world), relations=("touch", "hold"), see_through_walls=True, push=False)


def sizes(world: World) -> dict[str, Any]:
    """Of an environment into which any ruleset fits."""
    return {
        "height": world.side,
        "width": world.side,
        "max_objects": NUM_OBJECTS,
        "max_rules": NUM_RULES,
        "max_doors": max(world.num_doors, 1),
    }


def make_tasks(config: EnvConfig, world: World, rulesets: Sequence[Ruleset], seed: int = 0) -> Task:
    """The rulesets in worlds of their own, stacked: leaves have a leading axis of all tasks. All agents are there."""
    draw = np.random.default_rng(seed)
    tasks = [_make_task(config, world, ruleset, draw) for ruleset in rulesets]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *tasks)


def _make_task(config: EnvConfig, world: World, ruleset: Ruleset, draw: np.random.Generator) -> Task:
    layout = lay_out(world.rooms, world.side)
    terrain = np.where(layout.walls, kinds.WALL * 16, kinds.BLACK_FLOOR)
    doors = []
    for span in layout.doors:
        along = int(draw.integers(span.length))
        row, column = (along, 0) if span.is_upright else (0, along)
        doors.append(DoorRow(span.row + row, span.column + column, kinds.CLOSED))
    for door in doors:
        terrain[door.row, door.column] = kinds.DOOR * 16 + int(draw.integers(SHARED_COLOURS))
    cells = draw.permutation(np.argwhere(terrain == kinds.BLACK_FLOOR)).tolist()
    return make_task(
        config,
        terrain=terrain,
        agents={agent: tuple(cells.pop()) for agent in range(config.num_agents)},
        goals=((ruleset.goal,),),
        doors=doors,
        objects=[ObjectRow(kind, *cells.pop()) for kind in ruleset.kinds],
        rules=ruleset.rules,
        trial_length=EPISODE_LENGTH,
    )
