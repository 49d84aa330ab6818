"""What holds between which entities: the one place where rules and goals look.

Entities are the A agents and then the N objects. What holds from entity i to every entity j is one byte each, one bit
a relation, so that a rule's question is an AND with the bits it asks for.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.xla.fusion import apart
from xworld.core import kinds
from xworld.core.config import RELATIONS, EnvConfig
from xworld.core.step.slots import NOT_FOUND, combine_bits, combine_slots, count_slots, first_slot, pick_slot
from xworld.core.step.terrain import read_cells, terrain_type
from xworld.core.step.view import look, view_cell
from xworld.core.types import HAND, HAND_STEP, NOWHERE, Scene, Task

Bits = TypeVar("Bits", int, np.ndarray, jax.Array)
NEVER, TOUCH, NEAR, HOLD, SEE, ON = range(len(RELATIONS) + 1)
HIDDEN_RULE = 255  # relation code in a briefing: that there is a rule is all that is known
ALL_DIRECTIONS = 15
NO_FLOOR = 1  # for what stands on no floor; no kind has this code
_LONGEST_CHAIN = 17  # of operations in one piece of code that a CPU's compiler still turns into good vector code
# Bits of what holds: touch in direction d is bit d, the relation with code c > 1 is bit c + 2.
_BITS = {code: np.uint8(1 << (code + 2)) for code in (NEAR, HOLD, SEE, ON)}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Patterns:
    """P questions "does this relation hold between these kinds?", from rules or goals."""

    bits: jax.Array  # [P, ...] uint8, the bits of what holds that would do
    first: jax.Array  # [P, ...] uint8
    second: jax.Array  # [P, ...] uint8


def make_patterns(relation: jax.Array, directions: jax.Array, first: jax.Array, second: jax.Array) -> Patterns:
    """Patterns from the [P, ...] fields of rules or goals."""
    bits = jnp.where(relation == TOUCH, directions, 0)
    for code, bit in _BITS.items():  # and not 1 << (relation + 2): a CPU cannot shift each byte of a vector differently
        bits = jnp.where(relation == code, bit, bits)
    return Patterns(bits=bits, first=first, second=second)


def opposite_directions(directions: Bits) -> Bits:
    """The directions from b to a, bit by bit, of those from a to b: north for south, east for west."""
    return (directions << 2 | directions >> 2) & ALL_DIRECTIONS


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Sight:
    """What can be seen from where; what a rule does to objects leaves it as it is."""

    lines: jax.Array  # [H, W, ...] uint16, see `trace_sight_lines`
    is_visible: jax.Array  # [A, V * V, ...] bool, the cells of each agent's view that it can see


@apart
def look_around(config: EnvConfig, task: Task, scene: Scene, sight_lines: jax.Array) -> Sight:
    """What agents see from where they stand."""

    def look_from(row: jax.Array, column: jax.Array, direction: jax.Array) -> jax.Array:
        return look(config, task, scene.door_state, row, column, direction)[1]

    is_visible = jax.vmap(look_from)(scene.agent_row, scene.agent_column, scene.agent_direction)
    return Sight(lines=sight_lines, is_visible=is_visible & (scene.agent_row != NOWHERE)[:, None])


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Spots:
    """Where X things are, and what decides what holds between them."""

    row: jax.Array  # [X, ...] uint8
    column: jax.Array  # [X, ...] uint8
    floor: jax.Array  # [X, ...] uint8, kind of the floor below, or NO_FLOOR
    reach: jax.Array  # [X, ...] uint16, how far lines of sight go from there; [X, 1, ...] unless `see` is compiled in


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Entities:
    """The scene as E = A + N entities."""

    kind: jax.Array  # [E, ...] uint8, 0 for what is absent
    spots: Spots  # [E, ...]
    holds: jax.Array  # [E, E, ...] uint8, the bits of what holds from i to j; none to itself


@apart
def find_entities(config: EnvConfig, task: Task, scene: Scene, sight: Sight) -> Entities:
    """All entities of the scene, and which of the compiled relations hold between them."""
    row = jnp.concatenate([scene.agent_row, scene.object_row])
    column = jnp.concatenate([scene.agent_column, scene.object_column])
    spots, index = _find_spots(config, task, sight, row, column), count_slots(row.shape[0], row[0])
    holds = _relate(config, scene, sight, index, spots, index, spots, config.num_agents)
    return Entities(kind=_kinds(scene), spots=spots, holds=holds)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Newcomers:
    """X entities that came into the scene."""

    index: jax.Array  # [X, ...] uint8, 255 for nobody
    kind: jax.Array  # [X, ...] uint8
    row: jax.Array  # [X, ...] uint8
    column: jax.Array  # [X, ...] uint8


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Aftermath:
    """The scene after a rule: entities that were there before, and X that came.

    What holds depends on places, not on kinds, so that it is still the same between those that were there. Only the
    newcomers are looked at.
    """

    settled: Entities  # with the kinds of now; 0 for what is gone, and where a newcomer is
    kind: jax.Array  # [X, ...] uint8, of newcomers, 0 for nobody
    floor: jax.Array  # [X, ...] uint8, below newcomers
    to: jax.Array  # [E, X, ...] uint8, what holds from the settled to newcomers
    of: jax.Array  # [X, E, ...] uint8, what holds from newcomers to the settled
    among: jax.Array  # [X, X, ...] uint8, what holds between newcomers


@apart
def look_again(
    config: EnvConfig, task: Task, scene: Scene, sight: Sight, before: Entities, newcomers: Newcomers
) -> Aftermath:
    """What holds in a scene into which a few came, and in which nothing else moved since `before`."""
    index, everyone = newcomers.index, count_slots(before.kind.shape[0], newcomers.index[0])
    is_new = combine_bits([everyone == new for new in index])
    spots = _find_spots(config, task, sight, newcomers.row, newcomers.column)
    return Aftermath(
        settled=dataclasses.replace(before, kind=jnp.where(is_new, 0, _kinds(scene))),
        kind=jnp.where(index == NOT_FOUND, 0, newcomers.kind),
        floor=spots.floor,
        to=_relate_apart(config, scene, sight, everyone, before.spots, index, spots, config.num_agents),
        of=_relate_apart(config, scene, sight, index, spots, everyone, before.spots, num_agents=0),
        among=_relate_apart(config, scene, sight, index, spots, index, spots, num_agents=0),
    )


def _kinds(scene: Scene) -> jax.Array:
    """[E, ...] uint8 kinds of all entities."""
    agent_kind = kinds.agent_kind(0) + count_slots(scene.agent_row.shape[0], scene.agent_row[0])
    return jnp.concatenate([jnp.where(scene.agent_row == NOWHERE, 0, agent_kind).astype(jnp.uint8), scene.object_kind])


def _find_spots(config: EnvConfig, task: Task, sight: Sight, row: jax.Array, column: jax.Array) -> Spots:
    """The spots of things by their place."""
    floor = jnp.full_like(row, NO_FLOOR)
    reach = jnp.zeros((row.shape[0], *(1,) * (row.ndim - 1)), jnp.uint16)
    if "on" in config.relations:
        cell = read_cells(task.terrain, row, column)
        is_floor = terrain_type(cell) == kinds.FLOOR
        floor = jnp.where(is_floor, cell + jnp.uint8((kinds.FLOOR_SHAPE - kinds.FLOOR) * 16), NO_FLOOR)
    if "see" in config.relations:
        reach = read_cells(sight.lines, row, column)
    return Spots(row=row, column=column, floor=floor, reach=reach)


def _relate(
    config: EnvConfig,
    scene: Scene,
    sight: Sight,
    first_index: jax.Array,
    first: Spots,
    second_index: jax.Array,
    second: Spots,
    num_agents: int,
) -> jax.Array:
    """[X, Y, ...] uint8: the bits of what holds from X entities, the first `num_agents` of them agents, to Y."""
    i, j = first_index[:, None], second_index
    rows, columns = second.row - first.row[:, None], second.column - first.column[:, None]  # wrap: 255 is one less
    holds = jnp.zeros_like(rows)
    if "touch" in config.relations:
        in_column = jnp.where(rows == 255, jnp.uint8(1), jnp.where(rows == 1, jnp.uint8(4), 0))  # north, south
        in_row = jnp.where(columns == 1, jnp.uint8(2), jnp.where(columns == 255, jnp.uint8(8), 0))  # east, west
        beside = jnp.where(columns == 0, in_column, jnp.where(rows == 0, in_row, 0))
        holds |= beside
    if "near" in config.relations:
        holds |= jnp.where((rows + 2 <= 4) & (columns + 2 <= 4), _BITS[NEAR], 0)
    if "hold" in config.relations and num_agents:
        hand = jnp.where(i < num_agents, HAND + HAND_STEP * i, 255).astype(jnp.uint8)  # 255 is nobody's
        holds |= jnp.where(second.row == hand, _BITS[HOLD], 0)
    if "see" in config.relations:
        sees = _see_along_lines(first, second)
        for agent in range(num_agents):
            sees = jnp.where(i == agent, _seen_by(config, sight, scene, agent, second.row, second.column), sees)
        holds |= jnp.where(sees, _BITS[SEE], 0)
    return jnp.where(i == j, 0, holds)


_relate_apart = apart(_relate)


@apart
def find_first(entities: Entities, patterns: Patterns) -> jax.Array:
    """[P, ...] uint8: the lowest i such that each pattern holds from entity i to some j, or 255.

    Why it is fast: all is bytes, which fill the vector registers, and all patterns are asked at once, by one AND for
    each pair of entities.
    """
    answers = _ask(_put(patterns, entities.kind), entities.holds)
    return first_slot(_is_so(patterns, entities.kind, entities.spots.floor, answers))


@apart
def find_any(aftermath: Aftermath, patterns: Patterns) -> jax.Array:
    """[P, ...] bool: whether each pattern holds between any two."""
    settled = aftermath.settled
    asked_new = _put(patterns, aftermath.kind)
    asked = _put(patterns, settled.kind)
    answers = _ask(asked_new, aftermath.to, [_ask(asked, settled.holds)])
    is_so = _is_so(patterns, settled.kind, settled.spots.floor, answers)
    answers = _ask(asked_new, aftermath.among, [_ask(asked, aftermath.of)])
    is_so_of_new = _is_so(patterns, aftermath.kind, aftermath.floor, answers)
    return combine_slots(is_so) | combine_slots(is_so_of_new)


def _put(patterns: Patterns, kind: jax.Array) -> jax.Array:
    """[Y, P, ...] uint8: the bits each pattern asks of things: none unless they are of its second kind."""
    return jnp.where(kind[:, None] == patterns.second, patterns.bits, 0)


def _ask(asked: jax.Array, holds: jax.Array, answers: Sequence[jax.Array] = ()) -> jax.Array:
    """[X, P, ...] uint8: the bits that hold from X things to any of Y of which they are asked, [Y, P, ...].

    Those in `answers` come on top.
    """
    for start in range(0, asked.shape[0], _LONGEST_CHAIN):
        answers = [_ask_some(asked, holds, answers, start)]
    return answers[0]


@apart
def _ask_some(asked: jax.Array, holds: jax.Array, answers: Sequence[jax.Array], start: int) -> jax.Array:
    """`_ask` of `_LONGEST_CHAIN` of the things."""
    part = slice(start, start + _LONGEST_CHAIN)
    asked, holds = asked[part], holds[:, part]
    return combine_bits([*answers, *(asked[j] & holds[:, j, None] for j in range(asked.shape[0]))])


def _is_so(patterns: Patterns, kind: jax.Array, floor: jax.Array, answers: jax.Array) -> jax.Array:
    """[X, P, ...] bool: whether each pattern holds from each of X things."""
    return (kind[:, None] == patterns.first) & ((answers != 0) | (floor[:, None] == patterns.second))


@apart
def find_second(entities: Entities, i: jax.Array, bits: jax.Array, second: jax.Array) -> jax.Array:
    """[...] uint8: the lowest j of kind `second` to which one of `bits` holds from i, or 255."""
    is_i = count_slots(entities.kind.shape[0], i) == i
    holds = pick_slot(is_i[:, None], entities.holds)  # [E, ...]
    return first_slot((entities.kind == second) & ((holds & bits) != 0))


def trace_sight_lines(config: EnvConfig, terrain: jax.Array) -> jax.Array:
    """[H, W, ...] uint16: 256 * the westernmost column + the northernmost row that a line of sight from a cell reaches.

    The cell that stops the line counts as reached: only what is strictly between two things can hide them. It depends
    on nothing but the terrain, so it is made once per episode. [1, 1, ...] unless the relation `see` is compiled in.
    """
    if "see" not in config.relations:
        return jnp.zeros((1, 1, *terrain.shape[2:]), jnp.uint16)
    kind = terrain_type(terrain)
    blocks = (kind == kinds.WALL) | (kind == kinds.VOID) | (kind == kinds.DOOR)  # doors in any state

    def last_block_before(axis: int) -> jax.Array:
        at = jnp.where(blocks, jax.lax.broadcasted_iota(jnp.uint16, blocks.shape, axis), 0)
        up_to = jax.lax.cummax(at, axis=axis)
        first = jnp.zeros_like(jax.lax.slice_in_dim(up_to, 0, 1, axis=axis))
        return jnp.concatenate([first, jax.lax.slice_in_dim(up_to, 0, blocks.shape[axis] - 1, axis=axis)], axis)

    return last_block_before(1) * jnp.uint16(256) + last_block_before(0)


def _see_along_lines(first: Spots, second: Spots) -> jax.Array:
    """[X, Y, ...] bool: which things see each other along a row or a column, as objects do."""
    row, column, other_row, other_column = first.row[:, None], first.column[:, None], second.row, second.column
    west, north = (first.reach[:, None] >> 8).astype(jnp.uint8), first.reach[:, None].astype(jnp.uint8)
    other_west, other_north = (second.reach >> 8).astype(jnp.uint8), second.reach.astype(jnp.uint8)
    in_row = (other_row == row) & jnp.where(other_column <= column, other_column >= west, column >= other_west)
    in_column = (other_column == column) & jnp.where(other_row <= row, other_row >= north, row >= other_north)
    return (in_row | in_column) & (row < NOWHERE) & (other_row < NOWHERE)


def _seen_by(config: EnvConfig, sight: Sight, scene: Scene, agent: int, row: jax.Array, column: jax.Array) -> jax.Array:
    """[E, ...] bool: which things are in a cell that an agent sees."""
    place = scene.agent_row[agent], scene.agent_column[agent], scene.agent_direction[agent]
    cell = view_cell(config, *place, row, column)  # [E, ...]
    num_cells = config.view_size * config.view_size
    return combine_bits([(cell == index) & sight.is_visible[agent, index] for index in range(num_cells)])
