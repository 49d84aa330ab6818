"""Places a game in a world so that it can be solved and nothing has happened yet.

First comes the workspace, a block of 3 x 3 cells that stays empty, where the agent can put things together; then the
agent; then one after the other what the game needs, each on a random cell of those that are left to it, floor or
counter. All is done with sets of cells, so that a placement is a few hundred integer operations a thing.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from xworld.core import kinds
from xworld.core.config import RELATIONS, EnvConfig
from xworld.core.hashing import Word
from xworld.core.relations import ALL_DIRECTIONS, NEAR, ON, SEE, TOUCH
from xworld.core.types import NOWHERE, Task
from xworld.core.view import OUT_OF_VIEW, look, view_cell
from xworld.tasks import cell_sets, chance
from xworld.tasks.chains import Conditions
from xworld.tasks.games import Cast
from xworld.tasks.players import AGENT
from xworld.tasks.rooms import Rooms, beside_doors, max_keys, room_cells, unlocked_part
from xworld.tasks.terrain import World
from xworld.tasks.universe_config import UniverseConfig, goal_relations, rule_relations


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Placement:
    """Where T things are: pads of floor, then keys, then the cast's objects."""

    agent_row: jax.Array  # [P] int32, of one agent, or two if there are two-player games; NOWHERE when absent
    agent_column: jax.Array  # [P] int32
    kind: jax.Array  # [T] uint8, 0 for nothing
    is_object: jax.Array  # [T] bool, else a pad
    is_frozen: jax.Array  # [T] bool
    row: jax.Array  # [T] int32
    column: jax.Array  # [T] int32


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Ground:
    """What of the grid is left while things are being placed."""

    free: jax.Array  # [H, K] set: floor on which no object lies
    lying: jax.Array  # [H, K] set: cells with objects
    kept: jax.Array  # [H, K] set: cells that no object may lie on, as the agent's and the pads
    no_first: jax.Array  # [Q, H, K] sets: where condition q would hold for a thing of its first kind
    no_second: jax.Array  # [Q, H, K] sets: and of its second kind


def place(
    env_config: EnvConfig, config: UniverseConfig, world: World, task: Task, cast: Cast, attempt: Word
) -> tuple[Placement, jax.Array]:
    """Places everything, and says whether there was room.

    Args:
      env_config: sizes of the grid and the view.
      config: which relations and how many locked doors there can be.
      world: what the cells are made of.
      task: has the world's terrain and doors and both ids; where things are in it is not read.
      cast: what is to be placed.
      attempt: number of the draw.
    """
    dice = chance.Dice(chance.PLACEMENT, attempt, task.world_id, task.game_id)
    floor, opaque = world.floor, ~(world.floor | world.counter | world.water)
    quiet = floor & ~beside_doors(env_config, world.rooms)
    inner = cell_sets.interior(floor)
    row, column, has_workspace = cell_sets.pick(inner, dice.roll())
    workspace = cell_sets.box(floor, row - 1, row + 1, column - 1, column + 1)
    workspace = jnp.where(cast.needs_workspace, workspace, 0)
    avoided = jnp.stack(_round_workspace(opaque, row, column))  # [3, H, K]

    open_cells = quiet & ~workspace
    is_with_agent = cast.conditions.first[0] == AGENT
    standing = quiet & jnp.where(is_with_agent, _meeting_place(cast, open_cells, inner), quiet)
    agent_row, agent_column, has_agent = cell_sets.pick(standing, dice.roll())
    agents = [(agent_row, agent_column)]
    if config.two_player_percent:
        others = quiet & ~cell_sets.point(floor, agent_row, agent_column)
        other_row, other_column, has_other = cell_sets.pick(others, dice.roll())
        has_agent &= has_other | ~cast.are_two
        agents.append((jnp.where(cast.are_two, other_row, NOWHERE), jnp.where(cast.are_two, other_column, NOWHERE)))
    part = room_cells(env_config, world.rooms, unlocked_part(world.rooms, agent_row, agent_column))
    by_agents, kept = jnp.zeros((cast.conditions.relation.shape[0], *floor.shape), jnp.uint32), jnp.zeros_like(floor)
    for agent, (row_of, column_of) in enumerate(agents):
        by_agent, _ = _related(opaque, cast.conditions, row_of, column_of)
        if _uses(env_config, config, SEE):
            is_see = (cast.conditions.relation == SEE)[:, None, None]
            by_agent = jnp.where(is_see, _seen_from(env_config, task, row_of, column_of), by_agent)
        by_agents = jnp.where((cast.conditions.first == AGENT + agent)[:, None, None], by_agent, by_agents)
        kept = kept | cell_sets.point(floor, row_of, column_of)
    meeting_place = _meeting_place(cast, open_cells & ~kept, inner)
    ground = _Ground(
        free=floor,
        lying=jnp.zeros_like(floor),
        kept=kept,
        no_first=jnp.zeros_like(by_agents),
        no_second=by_agents,
    )

    # What has to meet comes first: a pad for condition 0, spine 0, and its partner.
    pads = cast.pad if _uses(env_config, config, ON) else cast.pad[:0]
    keys = _keys(env_config, config, world.rooms)
    kind = jnp.concatenate([pads[:1], cast.kind[:2], pads[1:], keys, cast.kind[2:]])
    num_pads, num_keys, num_things = pads.shape[0], keys.shape[0], kind.shape[0]
    spine = min(num_pads, 1)
    index = np.arange(num_things)
    is_object = jnp.asarray((index == spine) | (index == spine + 1) | (index >= num_pads + 2))
    is_key = jnp.asarray((index >= num_pads + 2) & (index < num_pads + 2 + num_keys))

    def of_cast(values: jax.Array) -> jax.Array:
        others = jnp.zeros(num_things - values.shape[0], values.dtype)
        return jnp.concatenate([others[:spine], values[:2], others[spine:], values[2:]])

    must_meet, avoids, is_frozen = of_cast(cast.must_meet), of_cast(cast.avoids), of_cast(cast.is_frozen)
    bits = dice.roll(num_things)
    conditions = cast.conditions
    is_on_pad = conditions.relation[0] == ON

    def place_one(i: jax.Array, carry: tuple[_Ground, jax.Array, jax.Array, jax.Array]):
        ground, rows, columns, is_placed = carry
        is_first = (conditions.first == kind[i])[:, None, None]
        is_second = (conditions.second == kind[i])[:, None, None]
        clashes = jnp.where(is_first, ground.no_first, 0) | jnp.where(is_second, ground.no_second, 0)  # [Q, H, K]
        wrong = cell_sets.union(clashes[1:]) | jnp.where(must_meet[i], ~clashes[0], clashes[0])
        wrong |= jnp.where(must_meet[i] & is_on_pad, 0, ground.kept)
        wrong |= cell_sets.union(
            jnp.where(((avoids[i] >> jnp.array([TOUCH, NEAR, SEE])) & 1 == 1)[:, None, None], avoided, 0)
        )
        wrong |= jnp.where(is_key[i], ~part, 0)
        wrong |= jnp.where((i == spine) & ~is_with_agent, ~meeting_place, 0)
        shelves = jnp.where(is_object[i], world.counter & cell_sets.spread(ground.free) & ~ground.lying, 0)
        allowed = ((cell_sets.dispensable(ground.free, ground.lying) & open_cells) | shelves) & ~wrong
        row, column, is_possible = cell_sets.pick(allowed, bits[i])
        is_used = kind[i] != 0

        here = jnp.where(is_used & is_possible, cell_sets.point(floor, row, column), 0)
        is_used_first, is_used_second = is_first & is_used, is_second & is_used
        from_here, to_here = _related(opaque, conditions, row, column)
        ground = _Ground(
            free=jnp.where(is_object[i], ground.free & ~here, ground.free),
            lying=jnp.where(is_object[i], ground.lying | here, ground.lying),
            kept=ground.kept | here,
            no_first=ground.no_first | jnp.where(is_used_second, to_here, 0),
            no_second=ground.no_second | jnp.where(is_used_first, from_here, 0),
        )
        return ground, rows.at[i].set(row), columns.at[i].set(column), is_placed & (is_possible | ~is_used)

    nowhere = jnp.zeros(num_things, jnp.int32)
    has_room = has_agent & (has_workspace | ~cast.needs_workspace)
    _, rows, columns, is_placed = jax.lax.fori_loop(0, num_things, place_one, (ground, nowhere, nowhere, has_room))
    agent_rows, agent_columns = (jnp.stack(values).astype(jnp.int32) for values in zip(*agents, strict=True))
    return Placement(agent_rows, agent_columns, kind, is_object, is_frozen, rows, columns), is_placed


def fill(env_config: EnvConfig, task: Task, placement: Placement) -> Task:
    """The task with everything where it was placed, objects numbered row by row."""
    is_object = placement.is_object & (placement.kind != kinds.NOTHING)
    is_pad = ~placement.is_object & (placement.kind != kinds.NOTHING)
    cell = placement.row * env_config.width + placement.column
    slot = chance.ranks(jnp.where(is_object, cell, jnp.iinfo(jnp.int32).max))
    slot = jnp.where(is_object, slot, env_config.max_objects)  # dropped
    position = jnp.stack([placement.row, placement.column], axis=1).astype(jnp.uint8)
    pad_row = jnp.where(is_pad, placement.row, env_config.height)
    pad = placement.kind - jnp.uint8((kinds.FLOOR_SHAPE - kinds.FLOOR) * 16)
    agents = jnp.stack([placement.agent_row, placement.agent_column], axis=1).astype(jnp.uint8)
    return dataclasses.replace(
        task,
        terrain=task.terrain.at[pad_row, placement.column].set(pad, mode="drop"),
        agent_position=task.agent_position.at[: agents.shape[0]].set(agents),
        object_kind=task.object_kind.at[slot].set(placement.kind, mode="drop"),
        object_position=task.object_position.at[slot].set(position, mode="drop"),
        object_frozen=task.object_frozen.at[slot].set(placement.is_frozen.astype(jnp.uint8), mode="drop"),
    )


def _uses(env_config: EnvConfig, config: UniverseConfig, relation: int) -> bool:
    """Whether any rule or goal can have the relation."""
    return RELATIONS[relation - 1] in goal_relations(env_config, config) + rule_relations(env_config, config)


def _keys(env_config: EnvConfig, config: UniverseConfig, rooms: Rooms) -> jax.Array:
    """[max_keys] uint8 kinds of the keys of the locked doors."""
    is_locked = rooms.has_door & (rooms.door_state == kinds.LOCKED)
    number = jnp.where(is_locked, jnp.cumsum(is_locked), 0)  # the n-th locked door, from 1 on
    is_for = number == jnp.arange(1, max_keys(env_config, config.world) + 1)[:, None]
    return jnp.where(is_for, kinds.KEY * 16 + rooms.door_colour, 0).sum(axis=1).astype(jnp.uint8)


def _related(
    opaque: jax.Array, conditions: Conditions, row: jax.Array, column: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """[Q, H, K] sets: the cells to which each relation holds from a thing in a cell, and those from which it does.

    `on` holds between the thing and its own cell.
    """
    line = cell_sets.in_line(opaque, row, column)
    near = cell_sets.box(opaque, row - 2, row + 2, column - 2, column + 2)
    here = cell_sets.point(opaque, row, column)
    south, west, north, east = cell_sets.neighbours(here)  # the cells that have this one in their north lie south of it
    relation = conditions.relation[:, None, None]
    both_ways = jnp.zeros_like(opaque)
    for code, cells in ((NEAR, near), (SEE, line), (ON, here)):
        both_ways = both_ways | jnp.where(relation == code, cells, 0)

    def touching(directions: jax.Array) -> jax.Array:
        touch = both_ways
        for direction, cell in enumerate((north, east, south, west)):
            is_asked = (relation == TOUCH) & ((directions >> direction) & 1 == 1)[:, None, None]
            touch = touch | jnp.where(is_asked, cell, 0)
        return touch

    return touching(conditions.directions), touching(_turn(conditions.directions))


def _turn(directions: jax.Array) -> jax.Array:
    """Directions seen from the other operand: b is north of a when a is south of b."""
    return ((directions << 2) | (directions >> 2)) & 15


def _meeting_place(cast: Cast, open_cells: jax.Array, inner: jax.Array) -> jax.Array:
    """The cells beside which what has to meet the agent or spine 0, if anything does, can lie.

    On an `inner` cell if there is one: it has floor all around, so that two things side by side leave a way past them.
    What is beside something is also near it, and sees it.
    """
    is_first = (cast.conditions.first[0] == AGENT) | (cast.conditions.first[0] == cast.kind[0])
    asked = jax.tree.map(lambda field: field[0], cast.conditions)
    directions = jnp.where(is_first, asked.directions, _turn(asked.directions))
    directions = jnp.where(asked.relation == TOUCH, directions, ALL_DIRECTIONS)

    def beside(cells: jax.Array) -> jax.Array:
        is_asked = (directions >> jnp.arange(4)) & 1 == 1
        return cell_sets.union(jnp.where(is_asked[:, None, None], jnp.stack(cell_sets.neighbours(cells)), 0))

    spacious = beside(open_cells & inner) & open_cells
    place = jnp.where((spacious != 0).any(), spacious, beside(open_cells))
    return jnp.where(cast.must_meet.any() & (asked.relation != ON), place, open_cells)


def _round_workspace(opaque: jax.Array, row: jax.Array, column: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The cells that touch, are near, or see the middle of the workspace or a cell beside it."""
    middle = cell_sets.point(opaque, row, column)
    touch = cell_sets.spread(middle | cell_sets.spread(middle))
    upright = cell_sets.box(opaque, row - 3, row + 3, column - 2, column + 2)
    near = upright | cell_sets.box(opaque, row - 2, row + 2, column - 3, column + 3)
    rows, columns = row + np.array([0, -1, 1, 0, 0]), column + np.array([0, 0, 0, -1, 1])
    see = cell_sets.union(jax.vmap(partial(cell_sets.in_line, opaque))(rows, columns))
    return touch, near, see


def _seen_from(env_config: EnvConfig, task: Task, row: jax.Array, column: jax.Array) -> jax.Array:
    """The set of cells that an agent sees from a cell, whichever way it faces."""
    height, width = env_config.height, env_config.width
    rows, columns = jnp.divmod(jnp.arange(height * width), width)
    agent_row, agent_column = row.astype(jnp.uint8), column.astype(jnp.uint8)

    def seen_facing(direction: jax.Array) -> jax.Array:
        _, is_visible = look(env_config, task, task.door_state, agent_row, agent_column, direction)
        cell = view_cell(
            env_config, agent_row, agent_column, direction, rows.astype(jnp.uint8), columns.astype(jnp.uint8)
        )
        return (cell != OUT_OF_VIEW) & is_visible.at[cell].get(mode="clip")

    seen = jax.vmap(seen_facing)(jnp.arange(4, dtype=jnp.uint8)).any(axis=0)
    return cell_sets.pack(seen.reshape(height, width))
