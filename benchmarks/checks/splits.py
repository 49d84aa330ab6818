"""Whether the train, validation and test splits share a game or a world, by content and not by the generator's hash.

    python -m benchmarks.checks.splits

Draws games and worlds of all splits, and prints as JSON how many different ones fell into each, and how many into two.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from functools import partial
from hashlib import blake2b
from itertools import combinations
from typing import Any

import jax
import numpy as np

from xworld.core import kinds
from xworld.core.step.relations import NEAR, SEE, TOUCH
from xworld.tasks import Universe, chance, preset
from xworld.tasks.universe.games import Game, game_hash
from xworld.tasks.worlds.world import build_terrain, world_hash

SPLITS = ("train", "validation", "test")
ATTEMPTS = 4096  # until a game or a world makes sense
BATCH = 100_000


def main() -> None:
    """Checks the presets and prints what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=["ada", "small"])
    parser.add_argument("--number", type=int, default=1_000_000, help="of games, and of worlds, of each preset")
    arguments = parser.parse_args()
    for name in arguments.presets:
        universe = preset(name)
        for what, draw in (("games", draw_games), ("worlds", draw_worlds)):
            print(json.dumps({"preset": name, "what": what, **check(universe, draw, arguments.number)}), flush=True)


Drawn = tuple[np.ndarray, jax.Array]  # [B, ...] contents, and their [B] hashes
Draw = Callable[[Universe, np.ndarray], Drawn]


def check(universe: Universe, draw: Draw, number: int) -> dict[str, Any]:
    """How many different contents are in each split, what share that is, and how many are in two splits."""
    contents: dict[str, set[bytes]] = {split: set() for split in SPLITS}
    for start in range(0, number, BATCH):
        rows, hashes = draw(universe.with_split("all"), np.arange(start, min(start + BATCH, number), dtype=np.int32))
        for split in SPLITS:
            is_in = np.asarray(universe.with_split(split)._is_in_split(hashes))
            contents[split] |= _digests(rows[is_in])
    sizes = {split: len(content) for split, content in contents.items()}
    pairs = combinations(contents.values(), 2)
    return {
        "num_drawn": number,
        "num_different": sizes,
        "share": {split: round(size / sum(sizes.values()), 4) for split, size in sizes.items()},
        "num_in_two_splits": sum(len(one & other) for one, other in pairs),
    }


def draw_games(universe: Universe, ids: np.ndarray) -> Drawn:
    """[B, K + R] uint64 contents of games, and their hashes."""
    game = _draw(universe._draw_game, ids)
    return canonical_games(game), jax.jit(jax.vmap(game_hash))(game)


def draw_worlds(universe: Universe, ids: np.ndarray) -> Drawn:
    """[B, H, W] uint8 terrain of worlds, and their hashes."""
    world = _draw(universe._draw_world, ids)
    terrain, hashes = (
        jax.jit(jax.vmap(partial(function, universe.env_config)))(world) for function in (build_terrain, world_hash)
    )
    return np.asarray(terrain), hashes


def canonical_games(games: Game) -> np.ndarray:
    """[B, K + R] uint64: the goals and the rules of stacked games, equal for games that mean the same.

    Of the two ways to write a condition that is mutual, that with the lower number; goals and rules in ascending order,
    and what each rule makes too.
    """
    asked, rules = games.goals, games.rules
    negated = np.asarray(games.is_goal_negated)[:, None].astype(np.uint64)
    goals = _canonical_conditions(asked.relation, asked.directions, asked.first, asked.second)
    goals = np.sort(goals | negated << np.uint64(32), axis=1)
    products = np.sort(np.asarray(rules.products), axis=2)
    rows = _canonical_conditions(rules.relation, rules.directions, rules.first, rules.second)
    rows = np.sort(rows | _pack(*np.moveaxis(products, 2, 0)) << np.uint64(32), axis=1)
    return np.concatenate([goals, rows], axis=1)


def _canonical_conditions(*fields: jax.Array) -> np.ndarray:
    relation, directions, first, second = map(np.asarray, fields)
    are_objects = (first >> 4 != kinds.AGENT_SHAPE) & (second >> 4 != kinds.AGENT_SHAPE)
    is_mutual = np.isin(relation, (TOUCH, NEAR)) | (relation == SEE) & are_objects
    others = sum((directions >> side & 1) << (side + 2) % 4 for side in range(4))
    written, other_way = _pack(relation, directions, first, second), _pack(relation, others, second, first)
    return np.where(is_mutual, np.minimum(written, other_way), written)


def _pack(*fields: np.ndarray) -> np.ndarray:
    """uint64 of bytes, the last one highest."""
    packed = np.zeros(fields[0].shape, np.uint64)
    for place, field in enumerate(fields):
        packed |= field.astype(np.uint64) << np.uint64(8 * place)
    return packed


def _draw(draw: Callable[[jax.Array, jax.Array], tuple[Any, jax.Array]], ids: np.ndarray) -> Any:
    return jax.jit(jax.vmap(lambda i: chance.first_right(partial(draw, i), ATTEMPTS)[0]))(ids)


def _digests(rows: Iterable[np.ndarray]) -> set[bytes]:
    return {blake2b(row.tobytes(), digest_size=16).digest() for row in rows}


if __name__ == "__main__":
    main()
