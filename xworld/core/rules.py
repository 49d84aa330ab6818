"""Production rules: which one fires, and what it turns the scene into (the second part of a step)."""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from xworld.core.config import EnvConfig
from xworld.core.relations import NOT_FOUND, Patterns, find_entities, find_first, find_second, make_patterns
from xworld.core.slots import walk_slots
from xworld.core.terrain import can_hold_object, next_cell, read_cells
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
    place_row, place_column = _place_of(scene, jnp.where(has_i, i, j) - jnp.uint8(num_agents))
    on_ground = (has_i | has_j) & (place_row < NOWHERE)
    row = jnp.where(on_ground, place_row, entities.row[i])
    column = jnp.where(on_ground, place_column, entities.column[i])
    extra = jnp.where(has_i & has_j, jnp.roll(products, -2), jnp.where(has_i | has_j, jnp.roll(products, -1), products))
    num_extra = jnp.where(fires, 3 - has_i.astype(jnp.uint8) - has_j.astype(jnp.uint8), 0)
    extra = jnp.where(jnp.arange(3, dtype=jnp.uint8) < num_extra, extra, 0)
    return _lay_down(task, after, row, column, extra), chosen.event.astype(jnp.int32)


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


def _place_of(scene: Scene, slot: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Row and column of the object in `slot`, (0, 0) if there is no such slot."""

    def visit(place: tuple[jax.Array, jax.Array], here: tuple[jax.Array, jax.Array], index: jax.Array):
        return jax.tree.map(lambda old, new: jnp.where(index == slot, new, old), place, here)

    return walk_slots(visit, (jnp.uint8(0), jnp.uint8(0)), (scene.object_row, scene.object_column))


def _lay_down(task: Task, scene: Scene, row: jax.Array, column: jax.Array, products: jax.Array) -> Scene:
    """Puts [3] products, 0 for none, each into the lowest empty slot and the first free cell around (row, column).

    That makes the k-th product take the k-th free cell, north, east, south, west, and the k-th empty slot.
    """
    rows, columns = next_cell(row, column, jnp.arange(4, dtype=jnp.uint8))  # [4]
    is_free = can_hold_object(read_cells(task.terrain, rows, columns))
    for agent_row, agent_column in zip(scene.agent_row, scene.agent_column, strict=True):
        is_free &= (agent_row != rows) | (agent_column != columns)

    def survey(carry, thing, slot):
        is_free, empty_slots, num_empty = carry
        kind, thing_row, thing_column = thing
        is_free &= (thing_row != rows) | (thing_column != columns)
        is_next = (kind == 0) & (jnp.arange(3, dtype=jnp.uint8) == num_empty)
        return is_free, jnp.where(is_next, slot, empty_slots), num_empty + (kind == 0).astype(jnp.uint8)

    things = scene.object_kind, scene.object_row, scene.object_column
    no_slots = jnp.full(3, NOT_FOUND, jnp.uint8)
    is_free, empty_slots, _ = walk_slots(survey, (is_free, no_slots, jnp.uint8(0)), things)
    slots = jnp.arange(scene.object_kind.shape[0], dtype=jnp.uint8)

    def lay_one(direction: jax.Array, carry: tuple[Scene, jax.Array]) -> tuple[Scene, jax.Array]:
        scene, k = carry
        product = jnp.where(k < 3, products[jnp.minimum(k, 2)], 0)
        here = (slots == empty_slots[jnp.minimum(k, 2)]) & is_free[direction] & (product != 0)
        scene = dataclasses.replace(
            scene,
            object_kind=jnp.where(here, product, scene.object_kind),
            object_row=jnp.where(here, rows[direction], scene.object_row),
            object_column=jnp.where(here, columns[direction], scene.object_column),
        )
        return scene, k + is_free[direction].astype(jnp.uint8)

    return jax.lax.fori_loop(0, 4, lay_one, (scene, jnp.uint8(0)))[0]
