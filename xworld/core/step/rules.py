"""Production rules: which one fires, and what it turns the scene into (the second part of a step)."""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from xworld.base.xla.fusion import apart
from xworld.core import kinds
from xworld.core.config import EnvConfig
from xworld.core.step.relations import (
    Aftermath,
    Entities,
    Newcomers,
    Patterns,
    Sight,
    find_entities,
    find_first,
    find_second,
    look_again,
    make_patterns,
)
from xworld.core.step.slots import NOT_FOUND, count_slots, first_slot, pick_slot
from xworld.core.step.terrain import can_hold_object, next_cell, read_cells
from xworld.core.types import NOWHERE, Rules, Scene, Task


def fire(config: EnvConfig, task: Task, scene: Scene, sight: Sight) -> tuple[Scene, Aftermath, jax.Array]:
    """The lowest rule that holds fires once.

    Returns:
      The scene after it; what holds in it; the event: 1 + the rule's index, or 0.
    """
    rules = task.rules
    patterns = make_patterns(rules.relation, rules.directions, rules.first, rules.second)
    entities = find_entities(config, task, scene, sight)
    chosen = _choose(find_first(entities, patterns), patterns, rules.products)
    j = find_second(entities, chosen.first, chosen.bits, chosen.second)
    scene, left_over = _consume(config, scene, entities, chosen.first, j, chosen.products)
    scene, newcomers = _lay_down(config, task, scene, left_over)
    aftermath = look_again(config, task, scene, sight, entities, newcomers)
    return scene, aftermath, chosen.event.astype(jnp.int32)


def kind_taken(rules: Rules) -> jax.Array:
    """[...] int32, the kind of the object that each of [...] rules takes.

    It is the second operand if that is an object, else the first; 0 if neither is one.
    """
    second, first = rules.second.astype(jnp.int32), rules.first.astype(jnp.int32)
    taken = jnp.where(second < kinds.floor_kind(kinds.COLOURS[0]), second, first)
    return jnp.where(taken < kinds.agent_kind(0), taken, 0)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Chosen:
    """The rule that fires; all 0 if none does, which changes nothing."""

    event: jax.Array  # [...] uint8, 1 + its index
    first: jax.Array  # [...] uint8, the entity i
    bits: jax.Array  # [...] uint8, what is asked of j
    second: jax.Array  # [...] uint8, kind of j
    products: jax.Array  # [3, ...] uint8


@apart
def _choose(first: jax.Array, patterns: Patterns, products: jax.Array) -> Chosen:
    """The lowest rule that holds."""
    rule = first_slot(first != NOT_FOUND)
    is_rule = count_slots(first.shape[0], rule) == rule  # [R, ...]
    return Chosen(
        event=jnp.where(rule == NOT_FOUND, 0, rule + jnp.uint8(1)),
        first=pick_slot(is_rule, first),
        bits=pick_slot(is_rule, patterns.bits),
        second=pick_slot(is_rule, patterns.second),
        products=pick_slot(is_rule[:, None], products),
    )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LeftOver:
    """Products that take nobody's place, and the cell beside which they lie down."""

    products: jax.Array  # [3, ...] uint8, 0 for none
    row: jax.Array  # [...] uint8
    column: jax.Array  # [...] uint8


@apart
def _consume(
    config: EnvConfig, scene: Scene, entities: Entities, i: jax.Array, j: jax.Array, products: jax.Array
) -> tuple[Scene, LeftOver]:
    """The scene after the objects among entities i and j gave way to products, i's to the first."""
    num_agents = config.num_agents
    entity = count_slots(config.max_objects, i) + jnp.uint8(num_agents)
    is_i, is_j = entity == i, entity == j  # an entity that is an agent or not there matches no slot
    has_i, has_j = i >= num_agents, (j >= num_agents) & (j != NOT_FOUND)
    is_consumed = is_i | is_j
    new_kind = jnp.where(is_i | ~has_i, products[0], products[1])
    is_gone = is_consumed & (new_kind == 0)
    after = dataclasses.replace(
        scene,
        object_kind=jnp.where(is_consumed, new_kind, scene.object_kind),
        object_row=jnp.where(is_gone, jnp.uint8(NOWHERE), scene.object_row),
        object_column=jnp.where(is_gone, jnp.uint8(NOWHERE), scene.object_column),
        object_frozen=jnp.where(is_gone, jnp.uint8(0), scene.object_frozen),
    )
    nothing = jnp.zeros_like(products[:1])
    after_one = jnp.concatenate([products[1:], nothing])
    after_two = jnp.concatenate([products[2:], nothing, nothing])
    left_over = jnp.where(has_i & has_j, after_two, jnp.where(has_i | has_j, after_one, products))
    # Beside the first that was consumed; beside i if nothing was, or if that was in a hand.
    row_i, column_i = _place_of(entities, i)
    row, column = _place_of(entities, jnp.where(has_i | ~has_j, i, j))
    is_in_hand = row >= NOWHERE
    return after, LeftOver(
        products=left_over,
        row=jnp.where(is_in_hand, row_i, row),
        column=jnp.where(is_in_hand, column_i, column),
    )


@apart
def _place_of(entities: Entities, i: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Row and column of entity i."""
    is_i = count_slots(entities.kind.shape[0], i) == i
    return pick_slot(is_i, entities.spots.row), pick_slot(is_i, entities.spots.column)


@apart
def _lay_down(config: EnvConfig, task: Task, scene: Scene, left_over: LeftOver) -> tuple[Scene, Newcomers]:
    """Puts each product that is left over into the lowest empty slot and the first free cell around the place.

    That makes the k-th product take the k-th free cell, north, east, south, west, and the k-th empty slot.
    """
    row, column = left_over.row, left_over.column
    rows, columns = next_cell(row, column, count_slots(4, row))  # [4, ...]
    is_free = can_hold_object(read_cells(task.terrain, rows, columns))
    for things in ((scene.agent_row, scene.agent_column), (scene.object_row, scene.object_column)):
        for thing_row, thing_column in zip(*things, strict=True):
            is_free &= (thing_row != rows) | (thing_column != columns)
    is_empty = scene.object_kind == 0
    newcomers = []
    for k, product in enumerate(left_over.products):
        slot, row, column = _find_room(is_empty, is_free, rows, columns, product, k)
        here = count_slots(is_empty.shape[0], slot) == slot
        scene = dataclasses.replace(
            scene,
            object_kind=jnp.where(here, product, scene.object_kind),
            object_row=jnp.where(here, row, scene.object_row),
            object_column=jnp.where(here, column, scene.object_column),
        )
        entity = jnp.where(slot == NOT_FOUND, NOT_FOUND, slot + jnp.uint8(config.num_agents))
        newcomers.append(Newcomers(entity, product, row, column))
    return scene, jax.tree.map(lambda *one: jnp.stack(one), *newcomers)


@apart
def _find_room(
    is_empty: jax.Array, is_free: jax.Array, rows: jax.Array, columns: jax.Array, product: jax.Array, k: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """[...] uint8: the k-th empty slot, or 255 if the product is none or has no slot or cell; the k-th free cell."""
    slot, cell = _nth_set(is_empty, k), _nth_set(is_free, k)
    is_there = count_slots(rows.shape[0], cell) == cell
    has_room = (cell != NOT_FOUND) & (product != 0)
    return jnp.where(has_room, slot, NOT_FOUND), pick_slot(is_there, rows), pick_slot(is_there, columns)


@apart
def _nth_set(flags: jax.Array, n: int) -> jax.Array:
    """[...] uint8: the index of the n-th flag that is set, counted from 0, or 255. `flags` is [X, ...] bool."""
    found = jnp.full(flags.shape[1:], NOT_FOUND, jnp.uint8)
    before = jnp.zeros(flags.shape[1:], jnp.uint8)
    for index, flag in enumerate(flags):
        found = jnp.where(flag & (before == n), jnp.uint8(index), found)
        before += flag.astype(jnp.uint8)
    return found
