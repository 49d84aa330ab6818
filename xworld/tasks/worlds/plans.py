"""What the kinds of world have in common: a plan of where floor, counters and water are, and points spread over it."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from xworld.core.config import EnvConfig
from xworld.tasks import chance
from xworld.tasks.worlds import cell_sets
from xworld.tasks.worlds.rooms import Rooms, one_room


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class WorldPlan:
    """Where things are. What is in no set, and no door, is wall; so is floor that cannot be reached."""

    rooms: Rooms
    floor: jax.Array  # [H, K] set
    counter: jax.Array  # [H, K] set
    water: jax.Array  # [H, K] set
    start: jax.Array  # [H, K] set: floor, all of it connected, from which what is to stay floor is reached
    pattern: jax.Array  # [H, K] set: where the floor has the second colour


def make_plan(
    env_config: EnvConfig,
    floor: jax.Array,
    *,
    counter: jax.Array | None = None,
    water: jax.Array | None = None,
    start: jax.Array | None = None,
    pattern: jax.Array | None = None,
) -> WorldPlan:
    """A plan without rooms. Nothing else is there, and all floor is connected, unless said otherwise."""
    nothing = jnp.zeros_like(floor)
    return WorldPlan(
        rooms=one_room(env_config),
        floor=floor,
        counter=nothing if counter is None else counter,
        water=nothing if water is None else water,
        start=floor if start is None else start,
        pattern=nothing if pattern is None else pattern,
    )


def inside(env_config: EnvConfig) -> jax.Array:
    """The set of all cells but the outermost."""
    like = cell_sets.empty(env_config.height, env_config.width)
    return cell_sets.box(like, 1, env_config.height - 2, 1, env_config.width - 2)


def draw_clearing(env_config: EnvConfig, dice: chance.Dice) -> jax.Array:
    """The set of the cells of a block of 3 x 3 somewhere inside."""
    like = cell_sets.empty(env_config.height, env_config.width)
    row = chance.between(dice.roll(), 2, env_config.height - 3)
    column = chance.between(dice.roll(), 2, env_config.width - 3)
    return cell_sets.box(like, row - 1, row + 1, column - 1, column + 1)


def draw_patches(cells: jax.Array, dice: chance.Dice) -> jax.Array:
    """Patches over about half of the cells."""
    return cells & cell_sets.crowded(cell_sets.crowded(cell_sets.sprinkle(dice, cells, 50)))


def boxes(like: jax.Array, top: jax.Array, bottom: jax.Array, left: jax.Array, right: jax.Array) -> jax.Array:
    """The union of n boxes, whose first and last rows and columns are [n] int32."""
    return cell_sets.union(jax.vmap(partial(cell_sets.box, like))(top, bottom, left, right))


def lot_edges(size: int, lot_size: int) -> np.ndarray:
    """[n + 1] int32: where lots of about `lot_size` cells begin, that fill the inside."""
    return np.linspace(1, size - 1, max((size - 1) // lot_size, 1) + 1).astype(np.int32)


def draw_points(env_config: EnvConfig, lot_size: int, dice: chance.Dice) -> tuple[jax.Array, jax.Array]:
    """[n, m] int32 each: rows and columns of a cell in each of n x m lots, not in the lot's outermost cells."""
    rows, columns = (jnp.asarray(lot_edges(size, lot_size)) for size in (env_config.height, env_config.width))
    shape = len(rows) - 1, len(columns) - 1
    return (
        chance.between(dice.roll(*shape), rows[:-1, None] + 1, rows[1:, None] - 2),
        chance.between(dice.roll(*shape), columns[:-1] + 1, columns[1:] - 2),
    )
