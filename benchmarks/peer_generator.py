"""What XLand-MiniGrid does to make rulesets, with its own classes: a Python loop, written after its description.

Its generator is a script that is not part of the package. One ruleset is: a goal; a tree of rules grown backwards from
it, each with new tiles, branches pruned by chance; distractor objects; distractor rules. Its encoding is looked up
among those of all earlier rulesets, so that none is there twice, and its arrays are kept to be stacked at the end.
"""

import random
from typing import Any

import jax.numpy as jnp
import numpy as np
import peer
from rulesets import AGENT, SHARED_COLOURS

from xworld.core.relations import HOLD, TOUCH
from xworld.tasks.rows import Literal, RuleRow

# The settings of the peer's "medium" benchmarks.
CHAIN_DEPTH = 2
PRUNE_CHANCE = 0.1
MAX_DISTRACTOR_RULES = 3
NUM_DISTRACTOR_OBJECTS = 2
ALL_KINDS = [shape * 16 + colour for shape in range(1, 7) for colour in range(SHARED_COLOURS)]


class Generator:
    """Draws different rulesets, one at a time."""

    def __init__(self, seed: int) -> None:
        """Starts with nothing drawn."""
        self._draw = random.Random(seed)
        self._seen: set[bytes] = set()

    def draw(self) -> dict[str, Any]:
        """The arrays of a ruleset that was not drawn before: goal, rules and initial tiles."""
        while True:
            goal, rules, objects = self._draw_once()
            arrays = {
                "goal": peer.make_goal(goal).encode(),
                "rules": jnp.vstack([peer.make_rule(rule).encode() for rule in rules]),
                "init_tiles": jnp.array([peer.tile(kind) for kind in objects], jnp.uint8),
            }
            encoding = np.asarray(arrays["goal"]).tobytes() + np.asarray(arrays["rules"]).tobytes()
            if encoding not in self._seen:
                self._seen.add(encoding)
                return arrays

    def _draw_once(self) -> tuple[Literal, list[RuleRow], list[int]]:
        used: set[int] = set()
        relation, first, second, wanted = self._draw_condition(used)
        goal = Literal(relation, first, second)
        rules, objects = [], []
        for level in range(CHAIN_DEPTH):
            inputs: list[int] = []
            for product in wanted:
                if self._draw.random() < PRUNE_CHANCE:
                    objects.append(product)
                    continue
                relation, first, second, things = self._draw_condition(used)
                rules.append(RuleRow(relation, first, second, (product,)))
                inputs += things
            wanted = inputs
            if level == CHAIN_DEPTH - 1:
                objects += inputs
        unused = [kind for kind in ALL_KINDS if kind not in used]
        objects += self._draw.choices(unused, k=NUM_DISTRACTOR_OBJECTS)
        for _ in range(self._draw.randint(0, MAX_DISTRACTOR_RULES)):
            relation, first, second, things = self._draw_condition(set())
            rules.append(RuleRow(relation, first, second, (self._draw.choice(unused),)))
            objects += things
        return goal, rules or [RuleRow(HOLD, AGENT, self._draw.choice(unused))], objects

    def _draw_condition(self, used: set[int]) -> tuple[int, int, int, list[int]]:
        """Relation, first and second kind, and the kinds of objects among them, which then count as used."""
        way = self._draw.randrange(3)
        things = self._draw.sample([kind for kind in ALL_KINDS if kind not in used], 2 if way == 2 else 1)
        used.update(things)
        return HOLD if way == 0 else TOUCH, things[0] if way == 2 else AGENT, things[-1], things
