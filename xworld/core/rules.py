"""Production rules: which one fires, and what it turns the scene into (the second part of a step)."""

import dataclasses

import jax
import jax.numpy as jnp

from xworld.core.config import EnvConfig
from xworld.core.relations import find_entities, find_first, find_second, make_patterns
from xworld.core.terrain import can_hold_object, is_empty, next_cell, read_cells
from xworld.core.types import NOWHERE, Scene, Task


def fire(config: EnvConfig, task: Task, scene: Scene) -> tuple[Scene, jax.Array]:
    """The scene after the lowest rule that holds fired once, and the event: 1 + its index, or 0 when none holds."""
    rules = task.rules
    patterns = make_patterns(rules.relation, rules.directions, rules.first, rules.second)
    entities = find_entities(config, task, scene)
    first = find_first(entities, patterns)  # [R]
    holds = first != 255
    num_rules, num_entities = config.max_rules, entities.kind.shape[0]
    rule = jnp.where(holds, jnp.arange(num_rules), num_rules).min()
    fires = rule < num_rules
    rule = jnp.minimum(rule, num_rules - 1)

    i = jnp.where(fires, first[rule], 0).astype(jnp.int32)
    j = find_second(entities, i, patterns.bits[rule], patterns.second[rule])
    # Objects among the two are consumed, i first; slot N stands for "not an object".
    num_objects, num_agents = config.max_objects, config.num_agents
    slot_i = jnp.where(i >= num_agents, i - num_agents, num_objects)
    slot_j = jnp.where((j >= num_agents) & (j < num_entities), j - num_agents, num_objects)
    slots = jnp.arange(num_objects)
    is_i, is_j = fires & (slots == slot_i), fires & (slots == slot_j)

    products = rules.products[rule]  # [3]
    has_i = slot_i < num_objects
    new_kind = jnp.where(is_i, products[0], jnp.where(is_j, jnp.where(has_i, products[1], products[0]), 0))
    is_consumed = is_i | is_j
    is_gone = is_consumed & (new_kind == 0)
    after = dataclasses.replace(
        scene,
        object_kind=jnp.where(is_consumed, new_kind, scene.object_kind),
        object_row=jnp.where(is_gone, jnp.uint8(NOWHERE), scene.object_row),
        object_column=jnp.where(is_gone, jnp.uint8(NOWHERE), scene.object_column),
        object_frozen=jnp.where(is_gone, jnp.uint8(0), scene.object_frozen),
    )
    # What is produced beyond what was consumed lies down beside the first consumed, or beside i.
    slot = jnp.where(has_i, slot_i, slot_j)
    place = jnp.minimum(slot, num_objects - 1)
    on_ground = (slot < num_objects) & (scene.object_row[place] < NOWHERE)
    row = jnp.where(on_ground, scene.object_row[place], entities.row[i])
    column = jnp.where(on_ground, scene.object_column[place], entities.column[i])
    num_consumed = has_i.astype(jnp.int32) + (slot_j < num_objects)
    extra = fires & (jnp.arange(3) >= num_consumed)
    after = _lay_down(task, after, row, column, jnp.where(extra, products, 0))
    return after, jnp.where(fires, rule + 1, 0).astype(jnp.int32)


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
        slots = jnp.arange(scene.object_kind.shape[0])
        lowest_empty = jnp.where(scene.object_kind == 0, slots, slots.shape[0]).min()
        here = (slots == lowest_empty) & (product != 0) & (free[0] | free[1] | free[2] | free[3])
        return dataclasses.replace(
            scene,
            object_kind=jnp.where(here, product, scene.object_kind),
            object_row=jnp.where(here, target_row, scene.object_row),
            object_column=jnp.where(here, target_column, scene.object_column),
            object_frozen=jnp.where(here, jnp.uint8(0), scene.object_frozen),
        )

    return jax.lax.fori_loop(0, 3, lay_one, scene)
