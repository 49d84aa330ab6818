"""Production rules: which one fires, and what it turns the scene into (the second part of a step)."""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from xworld.core.config import EnvConfig
from xworld.core.relations import NOT_FOUND, Patterns, find_entities, find_first, find_second, make_patterns
from xworld.core.slots import first_slot, pick_slot
from xworld.core.terrain import can_hold_object, is_empty, next_cell, read_cells
from xworld.core.types import NOWHERE, Scene, Task


def fire(config: EnvConfig, task: Task, scene: Scene) -> tuple[Scene, jax.Array]:
    """The scene after the lowest rule that holds fired once, and the event: 1 + its index, or 0 when none holds."""
    rules = task.rules
    patterns = make_patterns(rules.relation, rules.directions, rules.first, rules.second)
    entities = find_entities(config, task, scene)
    first = find_first(entities, patterns)  # [R]
    chosen = _choose(first, patterns, rules.products)
    fires = chosen.event != 0
    i = jnp.where(fires, chosen.first, 0)
    j = find_second(entities, i, chosen.bits, chosen.second)

    # Objects among the two are consumed, i first; an entity that is an agent or not there matches no slot.
    num_agents = config.num_agents
    entity = jnp.arange(config.max_objects, dtype=jnp.uint8) + jnp.uint8(num_agents)
    is_i, is_j = fires & (entity == i), fires & (entity == j)
    has_i, has_j = i >= num_agents, (j >= num_agents) & (j != NOT_FOUND)
    products = chosen.products
    kind_j = jnp.where(has_i, products[1], products[0])
    is_consumed = is_i | is_j
    new_kind = jnp.where(is_i, products[0], kind_j)
    is_gone = is_consumed & (new_kind == 0)
    after = dataclasses.replace(
        scene,
        object_kind=jnp.where(is_consumed, new_kind, scene.object_kind),
        object_row=jnp.where(is_gone, jnp.uint8(NOWHERE), scene.object_row),
        object_column=jnp.where(is_gone, jnp.uint8(NOWHERE), scene.object_column),
        object_frozen=jnp.where(is_gone, jnp.uint8(0), scene.object_frozen),
    )
    # What is produced beyond what was consumed lies down beside the first consumed, or beside i.
    is_first_consumed = jnp.where(has_i, is_i, is_j)
    place_row = pick_slot(is_first_consumed, scene.object_row)
    on_ground = (has_i | has_j) & (place_row < NOWHERE)
    row = jnp.where(on_ground, place_row, entities.row[i])
    column = jnp.where(on_ground, pick_slot(is_first_consumed, scene.object_column), entities.column[i])
    num_consumed = has_i.astype(jnp.uint8) + has_j.astype(jnp.uint8)
    is_extra = fires & (jnp.arange(3, dtype=jnp.uint8) >= num_consumed)
    after = _lay_down(task, after, row, column, jnp.where(is_extra, products, 0))
    return after, chosen.event.astype(jnp.int32)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Chosen:
    """The rule that fires."""

    event: jax.Array  # [] uint8, 1 + its index, or 0 when none holds
    first: jax.Array  # [] uint8, the entity i
    bits: jax.Array  # [] uint8, what is asked of j
    second: jax.Array  # [] uint8, kind of j
    products: jax.Array  # [3] uint8


def _choose(first: jax.Array, patterns: Patterns, products: jax.Array) -> Chosen:
    """The lowest rule that holds. A loop, so that XLA's CPU compiler does not choose again for every slot."""
    num_rules = first.shape[0]

    def consider(step: jax.Array, chosen: Chosen) -> Chosen:
        r = num_rules - 1 - step  # downwards, so that the lowest remains
        event = (r + 1).astype(jnp.uint8)
        rule = Chosen(event, first[r], patterns.bits[r], patterns.second[r], products[r])
        return jax.tree.map(lambda new, old: jnp.where(first[r] != NOT_FOUND, new, old), rule, chosen)

    none = jnp.uint8(0)
    return jax.lax.fori_loop(0, num_rules, consider, Chosen(none, none, none, none, jnp.zeros(3, jnp.uint8)))


def _lay_down(task: Task, scene: Scene, row: jax.Array, column: jax.Array, products: jax.Array) -> Scene:
    """Puts each of [3] products into the lowest empty slot and the first free cell north, east, south, west of a cell."""
    around = [next_cell(row, column, jnp.uint8(direction)) for direction in range(4)]
    is_floor = [can_hold_object(read_cells(task.terrain, *cell)) for cell in around]

    def lay_one(index: jax.Array, scene: Scene) -> Scene:
        product = products[index]
        free = [floor & is_empty(scene, *cell) for floor, cell in zip(is_floor, around, strict=True)]
        target_row, target_column = around[3]
        for is_free, cell in reversed(list(zip(free[:3], around[:3], strict=True))):
            target_row, target_column = (
                jnp.where(is_free, cell[0], target_row),
                jnp.where(is_free, cell[1], target_column),
            )
        slots = jnp.arange(scene.object_kind.shape[0], dtype=jnp.uint8)
        is_lowest_empty = slots == first_slot(scene.object_kind == 0)
        here = is_lowest_empty & (product != 0) & (free[0] | free[1] | free[2] | free[3])
        return dataclasses.replace(
            scene,
            object_kind=jnp.where(here, product, scene.object_kind),
            object_row=jnp.where(here, target_row, scene.object_row),
            object_column=jnp.where(here, target_column, scene.object_column),
            object_frozen=jnp.where(here, jnp.uint8(0), scene.object_frozen),
        )

    return jax.lax.fori_loop(0, 3, lay_one, scene)
