"""Mazes: corridors one cell wide, some clearings, and now and then a way round."""

import jax
import jax.numpy as jnp

from xworld.base.hashing import hash_words
from xworld.core.config import EnvConfig
from xworld.tasks import chance
from xworld.tasks.worlds import cell_sets
from xworld.tasks.worlds.cell_sets import neighbours
from xworld.tasks.worlds.config import WorldConfig
from xworld.tasks.worlds.plans import WorldPlan, inside, make_plan

_ODD_COLUMNS = 0xAAAAAAAA


def draw_maze(env_config: EnvConfig, config: WorldConfig, dice: chance.Dice) -> WorldPlan:
    """Corridors that join the cells of every other row and column, the nodes.

    They are a tree; then some of the walls between two nodes are broken through, and round some of the pillars between
    four nodes, one at least, there is a clearing of 3 x 3 cells.
    """
    nodes = _draw_nodes(env_config, dice)
    north, east, south, west = neighbours(nodes)
    between_columns = east & west
    walls = between_columns | (north & south)
    above, _, below, _ = neighbours(between_columns)
    pillars = above & below

    start_row, start_column, _ = cell_sets.pick(nodes, dice.roll())
    tree = _grow(nodes, cell_sets.point(nodes, start_row, start_column), dice.roll())
    broken = walls & cell_sets.sprinkle(dice, nodes, config.maze_loop_percent)
    row, column, _ = cell_sets.pick(pillars, dice.roll())
    cleared = pillars & cell_sets.sprinkle(dice, nodes, config.maze_clearing_percent)
    clearings = cell_sets.spread_round(cleared | cell_sets.point(nodes, row, column))
    return make_plan(env_config, tree | broken | clearings, pattern=clearings)


def _draw_nodes(env_config: EnvConfig, dice: chance.Dice) -> jax.Array:
    """Every other row and column, from the first or the second on where there is one to spare."""
    first_row, first_column = (
        1 + ((bits >> 31).astype(jnp.int32) if size % 2 == 0 else 0)
        for bits, size in zip(dice.roll(2), (env_config.height, env_config.width), strict=True)
    )
    is_row = jnp.arange(env_config.height) % 2 == first_row % 2
    columns = jnp.uint32(_ODD_COLUMNS) >> jnp.asarray(1 - first_column % 2, jnp.uint32)
    cells = inside(env_config)
    return jnp.where(is_row[:, None], columns.astype(cells.dtype), 0) & cells


def _grow(nodes: jax.Array, start: jax.Array, salt: jax.Array) -> jax.Array:
    """Nodes and the cells between them, as a tree: again and again, chance joins nodes to what has grown from `start`.

    Source: the Eden model (Eden 1961); as a maze, Prim's algorithm with all choices at once.
    """
    place = jnp.arange(nodes.size).reshape(nodes.shape)

    def join(grown: jax.Array, bits: jax.Array, directions: tuple[int, ...]) -> jax.Array:
        # Nodes are two cells apart, so that the bits round a node are its own.
        _, east, south, _ = neighbours(bits)
        chances = (bits, east, south, neighbours(east)[2])
        joined = grown
        for direction, is_tried in zip(directions, chances, strict=True):
            reached = neighbours(neighbours(grown)[direction])[direction]
            new = nodes & ~joined & reached & is_tried
            joined = joined | new | neighbours(new)[(direction + 2) % 4]
        return joined

    def go_on(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        number, grown = carry
        bits = hash_words(salt, number, place).astype(nodes.dtype)
        grown = join(grown, bits, (0, 1, 2, 3))
        return number + 1, join(grown, ~bits, (3, 2, 1, 0))  # in both orders, so that no direction comes first

    _, grown = jax.lax.while_loop(lambda carry: (nodes & ~carry[1]).any(), go_on, (jnp.int32(0), start))
    return grown
