"""What holds between which entities: the one place where rules and goals look.

Entities are the A agents and then the N objects. What holds from entity i to every entity j is one byte each, one bit
a relation, so that a rule's question is an AND with the bits it asks for.
"""

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from xworld.core import kinds
from xworld.core.config import RELATIONS, EnvConfig
from xworld.core.slots import any_slot, first_slot
from xworld.core.terrain import read_cells, terrain_type
from xworld.core.types import HAND, HAND_STEP, NOWHERE, Scene, Task
from xworld.core.view import look, view_cell

NEVER, TOUCH, NEAR, HOLD, SEE, ON = range(len(RELATIONS) + 1)
HIDDEN_RULE = 255  # relation code in a briefing: that there is a rule is all that is known
ALL_DIRECTIONS = 15
NO_FLOOR = 1  # for what stands on no floor; no kind has this code
NOT_FOUND = 255
# Bits of what holds: touch in direction d is bit d, the relation with code c > 1 is bit c + 2.
_NEAR_BIT, _HOLD_BIT, _SEE_BIT = (np.uint8(1 << (code + 2)) for code in (NEAR, HOLD, SEE))


@dataclass(frozen=True)
class Patterns:
    """P questions "does this relation hold between these kinds?", from rules or goals."""

    bits: jax.Array  # [P] uint8, the bits of what holds that would do
    first: jax.Array  # [P] uint8
    second: jax.Array  # [P] uint8


def make_patterns(relation: jax.Array, directions: jax.Array, first: jax.Array, second: jax.Array) -> Patterns:
    """Patterns from rule or goal fields of equal shape, flattened to [P]."""
    relation, directions = relation.reshape(-1), directions.reshape(-1)
    bits = jnp.where(relation == TOUCH, directions, jnp.where(relation >= NEAR, jnp.uint8(1) << (relation + 2), 0))
    return Patterns(bits=bits, first=first.reshape(-1), second=second.reshape(-1))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Outlook:
    """Entity i, and what holds from it to every entity."""

    kind: jax.Array  # [] uint8, 0 if it is absent
    floor: jax.Array  # [] uint8, kind of the floor below it, or NO_FLOOR
    bits: jax.Array  # [E] uint8, the bits of what holds from i to each j; none to itself


@dataclass(frozen=True)
class Entities:
    """The scene as E = A + N entities."""

    kind: jax.Array  # [E] uint8, 0 for what is absent
    row: jax.Array  # [E] uint8
    column: jax.Array  # [E] uint8
    outlook: Callable[[jax.Array], Outlook]  # of entity i


def find_entities(config: EnvConfig, task: Task, scene: Scene) -> Entities:
    """All entities of the scene, with whatever the compiled relations need to know about them."""
    num_agents = config.num_agents
    ids = jnp.arange(num_agents, dtype=jnp.uint8)
    agent_kind = jnp.where(scene.agent_row == NOWHERE, 0, kinds.agent_kind(0) + ids).astype(jnp.uint8)
    kind = jnp.concatenate([agent_kind, scene.object_kind])
    row = jnp.concatenate([scene.agent_row, scene.object_row])
    column = jnp.concatenate([scene.agent_column, scene.object_column])
    index = jnp.arange(kind.shape[0], dtype=jnp.uint8)

    floor = jnp.full_like(kind, NO_FLOOR)
    if "on" in config.relations:
        cell = read_cells(task.terrain, row, column)
        is_floor = terrain_type(cell) == kinds.FLOOR
        floor = jnp.where(is_floor, cell + jnp.uint8((kinds.FLOOR_SHAPE - kinds.FLOOR) * 16), NO_FLOOR)

    if "see" in config.relations:
        reach_west, reach_north = _sight_limits(task, row, column)
        seen_by_agents = _seen_by_agents(config, task, scene, row, column)  # [A, E]
        is_on_ground = row < NOWHERE

    def outlook(i: jax.Array) -> Outlook:
        rows, columns = row - row[i], column - column[i]  # wrap: 255 is one less
        bits = jnp.zeros_like(kind)
        if "touch" in config.relations:
            north, south = (rows == 255) & (columns == 0), (rows == 1) & (columns == 0)
            east, west = (rows == 0) & (columns == 1), (rows == 0) & (columns == 255)
            for direction, is_there in enumerate((north, east, south, west)):
                bits |= jnp.where(is_there, jnp.uint8(1 << direction), 0)
        if "near" in config.relations:
            bits |= jnp.where((rows + 2 <= 4) & (columns + 2 <= 4), _NEAR_BIT, 0)
        if "hold" in config.relations:
            hand = jnp.where(i < num_agents, HAND + HAND_STEP * i, 255).astype(jnp.uint8)  # 255 is nobody's
            bits |= jnp.where(row == hand, _HOLD_BIT, 0)
        if "see" in config.relations:
            in_row = (row == row[i]) & jnp.where(column <= column[i], column >= reach_west[i], column[i] >= reach_west)
            in_column = (column == column[i]) & jnp.where(row <= row[i], row >= reach_north[i], row[i] >= reach_north)
            sees = (in_row | in_column) & is_on_ground & is_on_ground[i]
            for agent in range(num_agents):
                sees = jnp.where(i == agent, seen_by_agents[agent], sees)
            bits |= jnp.where(sees, _SEE_BIT, 0)
        return Outlook(kind=kind[i], floor=floor[i], bits=jnp.where(index == i, 0, bits).astype(jnp.uint8))

    return Entities(kind=kind, row=row, column=column, outlook=outlook)


def find_first(entities: Entities, patterns: Patterns) -> jax.Array:
    """[P] uint8: the lowest i such that each pattern holds from entity i to some j, or 255.

    Why it is fast: all is bytes, which fill the vector registers; all patterns are asked at once, by one AND for each
    pair; and an entity's outlook passes through the loop's carry, which is what keeps XLA's CPU compiler from computing
    it again for every pattern.
    """
    num_entities = entities.kind.shape[0]
    # The bits asked of entity j by pattern p: none unless it is of the pattern's second kind.
    asked = jnp.where(entities.kind[:, None] == patterns.second[None, :], patterns.bits[None, :], 0)  # [E, P]

    def look_from(step: jax.Array, carry: tuple[jax.Array, Outlook]) -> tuple[jax.Array, Outlook]:
        found, outlook = carry
        i = num_entities - step  # downwards, so that the lowest remains
        answers = (asked[j] & outlook.bits[j] for j in range(num_entities))
        holds = (functools.reduce(operator.or_, answers) != 0) | (outlook.floor == patterns.second)
        found = jnp.where((outlook.kind == patterns.first) & holds, i.astype(jnp.uint8), found)
        return found, entities.outlook(jnp.maximum(i - 1, 0))

    nobody = Outlook(kind=jnp.uint8(0), floor=jnp.uint8(NO_FLOOR), bits=jnp.zeros_like(entities.kind))
    nothing = jnp.full_like(patterns.bits, NOT_FOUND)
    return jax.lax.fori_loop(0, num_entities + 1, look_from, (nothing, nobody))[0]


def find_second(entities: Entities, i: jax.Array, bits: jax.Array, second: jax.Array) -> jax.Array:
    """[] uint8: the lowest j of kind `second` to which one of `bits` holds from i, or 255."""
    return first_slot((entities.kind == second) & ((entities.outlook(i).bits & bits) != 0))


def _sight_limits(task: Task, row: jax.Array, column: jax.Array) -> tuple[jax.Array, jax.Array]:
    """[E] uint8 each: the westernmost column, and the northernmost row, that an entity's line of sight reaches.

    The cell that stops the line counts as reached: only what is strictly between two entities can hide them.
    """
    blocks = _blocks_sight(task.terrain)  # [H, W]
    height, width = blocks.shape

    def last_block_before(blocks: jax.Array, axis: int, size: int) -> jax.Array:
        at = jnp.where(blocks, jax.lax.broadcasted_iota(jnp.uint8, blocks.shape, axis), 0)
        up_to = jax.lax.cummax(at, axis=axis)
        first = jnp.zeros_like(jax.lax.slice_in_dim(up_to, 0, 1, axis=axis))
        return jnp.concatenate([first, jax.lax.slice_in_dim(up_to, 0, size - 1, axis=axis)], axis)

    west = last_block_before(blocks, 1, width)
    north = last_block_before(blocks, 0, height)
    return read_cells(west, row, column), read_cells(north, row, column)


def _blocks_sight(terrain: jax.Array) -> jax.Array:
    """Whether a cell hides objects from each other: walls, void and doors in any state."""
    kind = terrain_type(terrain)
    return (kind == kinds.WALL) | (kind == kinds.VOID) | (kind == kinds.DOOR)


def _seen_by_agents(config: EnvConfig, task: Task, scene: Scene, row: jax.Array, column: jax.Array) -> jax.Array:
    """[A, E] bool: which entities are in a visible cell of each agent's view."""

    def seen_by(agent_row: jax.Array, agent_column: jax.Array, direction: jax.Array) -> jax.Array:
        _, is_visible = look(config, task, scene.door_state, agent_row, agent_column, direction)
        cell = view_cell(config, agent_row, agent_column, direction, row, column)  # [E]
        size = config.view_size
        return any_slot(jnp.stack([(cell == index) & is_visible[index] for index in range(size * size)]))

    is_present = scene.agent_row != NOWHERE
    seen = jax.vmap(seen_by)(scene.agent_row, scene.agent_column, scene.agent_direction)
    return seen & is_present[:, None] & (row < NOWHERE)
