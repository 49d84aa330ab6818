"""What XLand-MiniGrid does to make rulesets, with its own classes: a Python loop, written after its description.

Its generator is a script that is not part of the package. One ruleset is: a goal; a tree of rules grown backwards from
it, each with new tiles, branches pruned by chance; distractor objects; distractor rules, of which some make their
input vanish. Goal tiles, which cannot be carried, are only ever the first of two tiles, or lie around. Its encoding is
looked up among those of all earlier rulesets, so that none is there twice, and its arrays are kept to be stacked at the
end.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from xminigrid.core import goals, rules
from xminigrid.core.constants import Colors, Tiles
from xminigrid.core.grid import pad_along_axis

Tile = tuple[int, int]


@dataclass(frozen=True)
class Settings:
    """What a benchmark's rulesets are like."""

    chain_depth: int
    prune_chance: float
    max_distractor_rules: int
    num_distractor_objects: int


BENCHMARKS = {
    "trivial": Settings(chain_depth=0, prune_chance=0.0, max_distractor_rules=0, num_distractor_objects=3),
    "small": Settings(chain_depth=1, prune_chance=0.3, max_distractor_rules=2, num_distractor_objects=2),
    "medium": Settings(chain_depth=2, prune_chance=0.1, max_distractor_rules=3, num_distractor_objects=2),
    "high": Settings(chain_depth=3, prune_chance=0.1, max_distractor_rules=4, num_distractor_objects=1),
}
_COLOURS = [colour for colour in range(Colors.RED, Colors.PINK + 1) if colour != Colors.BLACK]
_SHAPES = (Tiles.BALL, Tiles.SQUARE, Tiles.PYRAMID, Tiles.KEY, Tiles.STAR, Tiles.HEX)
_PICKABLE = [(shape, colour) for shape in _SHAPES for colour in _COLOURS]
_NEAR = _PICKABLE + [(Tiles.GOAL, colour) for colour in _COLOURS]
_NOTHING = (Tiles.FLOOR, Colors.BLACK)
_SIDES = ("", "Up", "Down", "Left", "Right")
# An agent holds a tile, is beside one, or two are beside each other; chosen uniformly.
_FORMS = ["AgentHold", *(f"AgentNear{side}" for side in _SIDES), *(f"TileNear{side}" for side in _SIDES)]


class Generator:
    """Draws different rulesets, one at a time."""

    def __init__(self, seed: int, settings: Settings = BENCHMARKS["medium"]) -> None:
        """Starts with nothing drawn."""
        self._draw = random.Random(seed)
        self._settings = settings
        self._seen: set[bytes] = set()

    def draw(self) -> dict[str, Any]:
        """The arrays of a ruleset that was not drawn before: goal, rules and initial tiles."""
        while True:
            arrays = self._draw_once()
            encoding = np.asarray(arrays["goal"]).tobytes() + np.asarray(arrays["rules"]).tobytes()
            if encoding not in self._seen:
                self._seen.add(encoding)
                return arrays

    def _draw_once(self) -> dict[str, Any]:
        settings, draw = self._settings, self._draw
        used: set[Tile] = set()
        form, wanted = self._draw_condition(used, _NEAR)
        goal = _make(goals, f"{form}Goal", wanted)
        made, tiles = [], [] if settings.chain_depth else list(wanted)
        for level in range(settings.chain_depth):
            inputs: list[Tile] = []
            for product in wanted:
                if draw.random() < settings.prune_chance:
                    tiles.append(product)
                    continue
                form, things = self._draw_condition(used, _PICKABLE)
                made.append(_make(rules, f"{form}Rule", things, product))
                inputs += things
            wanted = inputs
            if level == settings.chain_depth - 1:
                tiles += inputs
        tiles += draw.choices([tile for tile in _NEAR if tile not in used], k=settings.num_distractor_objects)
        products = [tile for tile in [*_PICKABLE, _NOTHING] if tile not in used]
        for _ in range(draw.randint(0, settings.max_distractor_rules)):
            form, things = self._draw_condition(set(), _PICKABLE)
            made.append(_make(rules, f"{form}Rule", things, draw.choice(products)))
            tiles += things
        return {
            "goal": goal.encode(),
            "rules": jnp.vstack([rule.encode() for rule in made or [rules.EmptyRule()]]),
            "init_tiles": jnp.array(tiles, jnp.uint8),
            "num_rules": jnp.array(len(made), jnp.uint8),
        }

    def _draw_condition(self, used: set[Tile], beside_agent: Sequence[Tile]) -> tuple[str, list[Tile]]:
        """What is asked, and the tiles it is about, which then count as used. Two may be alike."""
        form = self._draw.choice(_FORMS)
        pools: tuple[Sequence[Tile], ...] = (_NEAR, _PICKABLE) if form.startswith("Tile") else (beside_agent,)
        if form == "AgentHold":
            pools = (_PICKABLE,)
        things = [self._draw.choice([tile for tile in pool if tile not in used]) for pool in pools]
        used.update(things)
        return form, things


def stack(rulesets: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The arrays of rulesets, padded and stacked under the names that benchmark files have."""
    most_rules = max(len(ruleset["rules"]) for ruleset in rulesets)
    most_tiles = max(len(ruleset["init_tiles"]) for ruleset in rulesets)
    return {
        "goals": jnp.stack([ruleset["goal"] for ruleset in rulesets]),
        "rules": jnp.stack([pad_along_axis(ruleset["rules"], most_rules) for ruleset in rulesets]),
        "init_tiles": jnp.stack([pad_along_axis(ruleset["init_tiles"], most_tiles) for ruleset in rulesets]),
        "num_rules": jnp.stack([ruleset["num_rules"] for ruleset in rulesets]),
    }


def _make(module: Any, name: str, things: Sequence[Tile], product: Tile | None = None) -> Any:
    """A goal or rule of the peer about one or two tiles."""
    names = ("tile",) if len(things) == 1 else ("tile_a", "tile_b")
    fields = dict(zip(names, map(jnp.array, things), strict=True))
    return getattr(module, name)(**fields, **({} if product is None else {"prod_tile": jnp.array(product)}))
