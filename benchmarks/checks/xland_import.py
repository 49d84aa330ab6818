"""Do tasks made of XLand-MiniGrid's rulesets do what they do there?

    python -m benchmarks.checks.xland_import
    python -m benchmarks.checks.xland_import --record tests/data/xland_minigrid.npz

Makes rulesets by that package's procedure, writes them as one of its benchmark files, reads them, and walks at random
through some of them in both simulators at once, which have to agree wherever no documented difference applies. Needs
`pip install -e '.[bench]'`. `--record` writes a few walks for the tests, which do without that package.
"""

import argparse
import collections
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xminigrid
from xminigrid.benchmarks import save_bz2_pickle

from benchmarks import measure
from benchmarks.peer import generator as peer_generator
from benchmarks.peer import walk as peer_walk
from xworld.core.types import NOWHERE
from xworld.tasks import TaskSet
from xworld.tasks.xland_minigrid import (
    RulesetArrays,
    from_xland_minigrid,
    read_xland_minigrid,
    xland_minigrid_config,
)
from xworld.tasks.xland_minigrid.translation import DOOR_CLOSED, GOAL_FORMS, RULE_FORMS, WALL
from xworld.tasks.xland_minigrid.worlds import WORLD_NAMES, layout_of

RESULTS = measure.RESULTS.parent / "xland_import.json"
WORLDS = {"trivial": "R1-9x9", "small": "R2-9x9", "medium": "R4-9x9", "high": "R6-13x13"}  # small, so that much happens


def main() -> None:
    """Loads, walks, and writes what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rulesets", type=int, default=10_000, help="to load, of all benchmarks together")
    parser.add_argument("--walks", type=int, default=200, help="rulesets to walk in")
    parser.add_argument("--steps", type=int, default=500, help="of each walk")
    parser.add_argument("--record", type=Path, help="instead write walks for the tests to this file")
    arguments = parser.parse_args()
    if arguments.record:
        record(arguments.record)
        return
    loaded, walks = [], []
    num_benchmarks = len(WORLDS)
    num_worlds = check_worlds()
    for seed, (name, world) in enumerate(WORLDS.items()):
        rulesets, row = load(name, world, arguments.rulesets // num_benchmarks, seed)
        loaded.append(row)
        some = take(rulesets, arguments.walks // num_benchmarks)
        walks.append({"benchmark": name, "world": world} | summary(peer_walk.walk(some, world, arguments.steps, seed)))
        measure.say(f"{name}: {row['loaded']} rulesets loaded, {walks[-1]['failures']} failures in walks")
    walk = peer_walk.walk(every_form(), "R1-9x9", arguments.steps, seed=num_benchmarks)
    walks.append({"benchmark": "every goal and rule, made by hand", "world": "R1-9x9"} | summary(walk))
    measure.write(
        RESULTS,
        {
            "benchmark": "xland_import",
            "machine": measure.machine(),
            "worlds_compared": num_worlds,
            "loaded": loaded,
            "walks": walks,
            "bars": [
                {"bar": "rulesets that do not load", "value": missing(loaded), "limit": 0},
                {"bar": "steps of walks that differ undocumented", "value": failing(walks), "limit": 0},
            ],
        },
    )


def load(name: str, world: str, num_rulesets: int, seed: int) -> tuple[RulesetArrays, dict[str, Any]]:
    """Rulesets by the peer's procedure, by way of a file, and how many tasks could be made of them."""
    generator = peer_generator.Generator(seed, peer_generator.BENCHMARKS[name])
    start = time.perf_counter()
    drawn = [generator.draw() for _ in range(num_rulesets)]
    generated_s = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        save_bz2_pickle(peer_generator.stack(drawn), str(path))
        start = time.perf_counter()
        rulesets = read_xland_minigrid(path)
    source = from_xland_minigrid(rulesets, xland_minigrid_config(rulesets, world), world)
    read_s = time.perf_counter() - start
    tasks = jax.block_until_ready(source.task_set())
    row = {
        "benchmark": name,
        "world": world,
        "rulesets": num_rulesets,
        "loaded": int(is_complete(tasks, rulesets).sum()),
        "generated_s": round(generated_s, 1),
        "read_s": round(read_s, 2),
        "placed_s": round(time.perf_counter() - start - read_s, 2),
    }
    return rulesets, row


def check_worlds(num_draws: int = 20) -> int:
    """How many worlds have their walls, and doors that can be, where the peer has them; all, or it raises.

    Raises:
      AssertionError: a world of the peer is otherwise.
    """
    for name in WORLD_NAMES:
        env, params = xminigrid.make(f"XLand-MiniGrid-{name}")
        keys = jax.random.split(jax.random.key(0), num_draws)
        grids = np.asarray(
            jax.jit(jax.vmap(lambda key, env=env, params=params: env.reset(params, key).state.grid))(keys)
        )
        layout = layout_of(name)
        is_door = grids[..., 0] == DOOR_CLOSED
        assert ((grids[..., 0] == WALL) | is_door == layout.walls).all(), name
        for span in layout.doors:
            offset = np.arange(span.length)
            cells = is_door[:, span.row + offset * span.is_upright, span.column + offset * (not span.is_upright)]
            assert (cells.sum(1) == 1).all(), (name, span)
        assert (is_door.sum((1, 2)) == len(layout.doors)).all(), name
        measure.say(f"{name}: as the peer's")
    return len(WORLD_NAMES)


def is_complete(tasks: TaskSet, rulesets: RulesetArrays) -> np.ndarray:
    """[S] bool, whether the agent and every tile lie somewhere, in different cells."""
    placed = tasks.tasks
    positions = np.concatenate([placed.object_position, placed.agent_position], axis=1).astype(int)
    num_tiles = (rulesets.init_tiles[..., 0] != 0).sum(1)
    is_placed = positions[..., 0] != NOWHERE
    cells = [len({tuple(cell) for cell in row[mask]}) for row, mask in zip(positions, is_placed, strict=True)]
    return (np.array(cells) == num_tiles + 1) & (is_placed.sum(1) == num_tiles + 1)


def every_form() -> RulesetArrays:
    """Thirty rulesets in which every goal and every rule there is occurs, some often, about a few tiles."""
    draw = random.Random(0)
    goals, rules, tiles = [], [], []
    for index in range(30):
        shapes = [(shape, draw.randint(1, 11)) for shape in draw.sample((3, 4, 5, 7, 11, 12), 4)]
        number = index % len(GOAL_FORMS)
        form = GOAL_FORMS[number]
        numbers = [*shapes[0], *shapes[1]] if form.num_tiles == 2 else [*shapes[0], 0, 0]
        if form.has_position:
            numbers[2 * form.num_tiles : 2 * form.num_tiles + 2] = 4, 4
        lying = [draw.choice(shapes) for _ in range(12)]
        if number == 2:  # stand on a tile
            numbers = [1, 2 + index % 3, 0, 0]
            lying[0] = (1, 2 + index % 3)
        goals.append([number, *numbers])
        made = []
        for step in range(4):
            rule = 1 + (index + 3 * step) % (len(RULE_FORMS) - 1)
            operands = draw.sample(shapes, RULE_FORMS[rule].num_tiles)
            product = draw.choice([*(shape for shape in shapes if shape not in operands), (1, 7)])
            row = [rule, *(number for tile in (*operands, product) for number in tile)]
            made.append(row + [0] * (7 - len(row)))
        rules.append(made)
        tiles.append(lying)
    return RulesetArrays(*(np.array(values, np.uint8) for values in (goals, rules, tiles)))


def take(rulesets: RulesetArrays, num: int) -> RulesetArrays:
    """The first few."""
    return RulesetArrays(rulesets.goals[:num], rulesets.rules[:num], rulesets.init_tiles[:num])


def summary(walk: peer_walk.Walk) -> dict[str, Any]:
    """A walk in numbers."""
    names = collections.Counter(name for row in walk.verdicts for name in row)
    failures = sum(count for name, count in names.items() if name.startswith(peer_walk.FAILURE))
    return {
        "rulesets": walk.grids.shape[1],
        "steps": sum(names.values()),
        "equal_percent": round(100 * names[peer_walk.SAME] / sum(names.values()), 2),
        "verdicts": dict(names.most_common()),
        "firings_agreed_by_rule": count(walk.firings),
        "goals_agreed_by_goal": count(walk.goals_reached),
        "goal_only_in_ours": walk.num_goals_unasked,
        "actions_not_taken": dict(walk.avoided),
        "failures": failures,
    }


def count(numbers: list[int]) -> dict[str, int]:
    """How often each occurs."""
    return {str(number): times for number, times in sorted(collections.Counter(numbers).items())}


def missing(loaded: list[dict[str, Any]]) -> int:
    """Rulesets of which no task could be made."""
    return sum(row["rulesets"] - row["loaded"] for row in loaded)


def failing(walks: list[dict[str, Any]]) -> int:
    """Steps that differ for no documented reason."""
    return sum(row["failures"] for row in walks)


def record(path: Path) -> None:
    """Writes walks through `every_form` up to where they first differ."""
    rulesets = every_form()
    walk = peer_walk.walk(rulesets, "R1-9x9", 60, seed=0)
    lengths = [
        next((t for t, row in enumerate(column) if row != peer_walk.SAME), 60)
        for column in zip(*walk.verdicts, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        **vars(rulesets),
        lengths=np.array(lengths, np.uint8),
        actions=walk.actions.astype(np.uint8),
        grids=walk.grids.astype(np.uint8),
        poses=walk.poses.astype(np.uint8),
        pockets=walk.pockets.astype(np.uint8),
        is_reached=walk.is_reached,
    )
    measure.say(f"written to {path}: {lengths} steps")


if __name__ == "__main__":
    main()
