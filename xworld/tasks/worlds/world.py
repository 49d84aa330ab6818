"""Worlds: what every cell of the grid is made of, drawn for an id, and connected by construction.

A world is drawn as sets of cells, so that drawing again until one is of the right split costs little; `build_terrain`
makes the cells of it. `docs/worlds.md` shows the kinds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.hashing import Word, below, hash_words
from xworld.base.xla.lookup import put, take
from xworld.core import kinds
from xworld.core.config import EnvConfig
from xworld.tasks import chance
from xworld.tasks.worlds import cell_sets
from xworld.tasks.worlds.config import WorldConfig
from xworld.tasks.worlds.interiors import draw_field, draw_house, draw_kitchen
from xworld.tasks.worlds.lands import draw_cave, draw_islands
from xworld.tasks.worlds.mazes import draw_maze
from xworld.tasks.worlds.plans import WorldPlan
from xworld.tasks.worlds.rooms import Rooms, beside_doors, hash_doors
from xworld.tasks.worlds.sizes import num_usable

_DRAW: dict[str, Callable[[EnvConfig, WorldConfig, chance.Dice], WorldPlan]] = {
    "rooms": draw_house,
    "maze": draw_maze,
    "cave": draw_cave,
    "islands": draw_islands,
    "kitchen": draw_kitchen,
    "field": draw_field,
}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class World:
    """What the cells are made of. All that is in no set, and no door, is wall."""

    rooms: Rooms  # with doors; one room where the world is of another kind
    floor: jax.Array  # [H, K] set, all of it connected through the doors
    counter: jax.Array  # [H, K] set
    water: jax.Array  # [H, K] set
    pattern: jax.Array  # [H, K] set, the part of the floor that has the second colour
    colours: jax.Array  # [2] int32, of the floor


def draw_world(env_config: EnvConfig, config: WorldConfig, world_id: Word, attempt: Word) -> tuple[World, jax.Array]:
    """The world an id names at an attempt, and whether there is room in it. Its kind does not depend on the attempt."""
    draws = [
        lambda name=name: _DRAW[name](env_config, config, chance.Dice(chance.WORLD, attempt, world_id))
        for name in config.kinds
    ]
    kind = _draw_kind(config, world_id)
    plan = jax.lax.switch(kind, draws) if len(draws) > 1 else draws[0]()
    is_house = config.kinds == ("rooms",)  # which is connected, and has room enough
    floor = plan.floor if is_house else cell_sets.flood(plan.floor, plan.start)
    world = World(
        rooms=plan.rooms,
        floor=floor,
        counter=plan.counter,
        water=plan.water,
        pattern=floor & plan.pattern,
        colours=_draw_colours(config, world_id, attempt),
    )
    return world, jnp.asarray(True) if is_house else _has_room(env_config, config, world, kind)


def _draw_kind(config: WorldConfig, world_id: Word) -> jax.Array:
    """[] int32: the place of the world's kind among the configured ones."""
    up_to = jnp.asarray(np.cumsum(config.weights))
    drawn = below(chance.Dice(chance.WORLD_KIND, 0, world_id).roll(), up_to[-1])
    return (up_to <= drawn).sum(dtype=jnp.int32)


def _draw_colours(config: WorldConfig, world_id: Word, attempt: Word) -> jax.Array:
    """[2] int32: two colours of floor, which may be the same."""
    colours = jnp.array([kinds.COLOURS.index(colour) for colour in config.floor_colours])
    bits = chance.Dice(chance.FLOOR_COLOURS, attempt, world_id).roll(2)
    return take(colours, below(bits, len(config.floor_colours)))


def _has_room(env_config: EnvConfig, config: WorldConfig, world: World, kind: jax.Array) -> jax.Array:
    """[] bool: things can lie in as many cells outside some workspace as they can in all worlds of the kind."""
    quiet = world.floor & ~beside_doors(env_config, world.rooms)
    usable = quiet & cell_sets.dispensable(world.floor, jnp.zeros_like(quiet))
    usable |= world.counter & cell_sets.spread(world.floor)
    row, column, _ = cell_sets.pick(cell_sets.interior(world.floor), jnp.uint32(0))
    usable &= ~cell_sets.box(usable, row - 1, row + 1, column - 1, column + 1)
    enough = np.array([num_usable(env_config, config, name) for name in config.kinds])
    return cell_sets.size(usable) >= take(enough, kind)


def world_hash(env_config: EnvConfig, world: World) -> jax.Array:
    """[] uint32 of the terrain: equal for equal terrain. What state the doors are in is left out."""

    def hash_set(cells: jax.Array) -> jax.Array:
        return hash_words(jnp.arange(cells.size).reshape(cells.shape), cells).sum(dtype=jnp.uint32)

    def hash_colour(cells: jax.Array, colour: jax.Array) -> jax.Array:
        return jnp.where((cells != 0).any(), hash_words(colour, hash_set(cells)), 0)

    # Which of the colours comes first makes no difference, nor does the pattern where they are equal.
    pattern = jnp.where(world.colours[0] == world.colours[1], 0, world.pattern)
    floor = hash_colour(world.floor & ~pattern, world.colours[0]) + hash_colour(pattern, world.colours[1])
    others = hash_set(world.counter), hash_set(world.water), hash_doors(world.rooms)
    return hash_words(env_config.height, env_config.width, floor, *others)


def build_terrain(env_config: EnvConfig, world: World) -> jax.Array:
    """[H, W] uint8 terrain."""
    floor, pattern, counter, water = (
        cell_sets.unpack(cells, env_config.width) for cells in (world.floor, world.pattern, world.counter, world.water)
    )
    first, second = kinds.FLOOR * 16 + world.colours
    terrain = jnp.where(floor, jnp.where(pattern, second, first), kinds.WALL * 16)
    terrain = jnp.where(counter, kinds.COUNTER * 16, jnp.where(water, kinds.WATER * 16, terrain)).astype(jnp.uint8)
    rooms = world.rooms
    cell = jnp.where(rooms.has_door, rooms.door_row * env_config.width + rooms.door_column, -1)
    door = (kinds.DOOR * 16 + rooms.door_colour).astype(jnp.uint8)
    return put(door, cell, terrain.reshape(-1)).reshape(terrain.shape)
