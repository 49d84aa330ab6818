"""Places a game in a world so that it can be solved and nothing has happened yet.

First comes the workspace, a block of 3 x 3 cells that stays empty, where the agent can put things together; then the
agent; then one after the other what the game needs, each on a random cell of those that are left to it, floor or
counter. All is done with sets of cells, so that a placement is a few hundred integer operations a thing.
"""

import dataclasses
import functools
import operator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.hashing import Word
from xworld.base.xla.fusion import apart
from xworld.base.xla.lookup import put
from xworld.core import kinds
from xworld.core.config import RELATIONS, EnvConfig
from xworld.core.step.relations import ALL_DIRECTIONS, NEAR, ON, SEE, TOUCH, opposite_directions
from xworld.core.step.view import look
from xworld.core.types import NOWHERE, Task
from xworld.tasks import chance
from xworld.tasks.universe.chains import Conditions
from xworld.tasks.universe.config import UniverseConfig, goal_relations, rule_relations
from xworld.tasks.universe.games import Cast
from xworld.tasks.universe.team import AGENT
from xworld.tasks.worlds import cell_sets
from xworld.tasks.worlds.rooms import Rooms, beside_doors, max_keys, room_cells, unlocked_part
from xworld.tasks.worlds.world import World


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
    site = _find_workspace(env_config, config, world, cast, dice)
    is_with_agent = cast.conditions.first[0] == AGENT
    agents, has_agents = _stand_agents(config, site, cast, is_with_agent, dice)
    part = room_cells(env_config, world.rooms, unlocked_part(world.rooms, *agents[0]))
    ground = _start_ground(env_config, task, site, cast.conditions, agents)
    scene = _Scene(
        site=site,
        conditions=cast.conditions,
        turned=opposite_directions(cast.conditions.directions),
        part=part,
        meeting_place=_meeting_place(cast, site.open_cells & ~ground.kept, site.inner),
        is_with_agent=is_with_agent,
    )
    things, is_frozen = _line_up(env_config, config, world.rooms, cast, dice)
    _, (rows, columns, is_placed) = jax.lax.scan(partial(_place_one, scene), ground, things)
    has_room = has_agents & (site.has_workspace | ~cast.needs_workspace)
    agent_rows, agent_columns = (jnp.stack(values).astype(jnp.int32) for values in zip(*agents, strict=True))
    placement = Placement(agent_rows, agent_columns, things.kind, things.is_object, is_frozen, rows, columns)
    return placement, has_room & is_placed.all()


def fill(env_config: EnvConfig, task: Task, placement: Placement) -> Task:
    """The task with everything where it was placed, objects numbered row by row."""
    is_object = placement.is_object & (placement.kind != kinds.NOTHING)
    is_pad = ~placement.is_object & (placement.kind != kinds.NOTHING)
    cell = placement.row * env_config.width + placement.column
    slot = chance.ranks(jnp.where(is_object, cell, jnp.iinfo(jnp.int32).max))
    slot = jnp.where(is_object, slot, env_config.max_objects)  # dropped
    position = jnp.stack([placement.row, placement.column], axis=1).astype(jnp.uint8)
    pad = placement.kind - jnp.uint8((kinds.FLOOR_SHAPE - kinds.FLOOR) * 16)
    terrain = put(pad, jnp.where(is_pad, cell, -1), task.terrain.reshape(-1))
    agents = jnp.stack([placement.agent_row, placement.agent_column], axis=1).astype(jnp.uint8)
    return dataclasses.replace(
        task,
        terrain=terrain.reshape(task.terrain.shape),
        agent_position=jnp.concatenate([agents, task.agent_position[agents.shape[0] :]]),
        object_kind=put(placement.kind, slot, task.object_kind),
        object_position=put(position, slot, task.object_position),
        object_frozen=put(placement.is_frozen, slot, task.object_frozen),
    )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Site:
    """The world before anything is placed in it, and its workspace. A set is [H, K]."""

    floor: jax.Array  # set
    counter: jax.Array  # set
    opaque: jax.Array  # set: what is neither floor, counter nor water
    quiet: jax.Array  # set: floor that is not beside a door
    inner: jax.Array  # set: floor with floor all around
    open_cells: jax.Array  # set: quiet floor outside of the workspace
    avoided: dict[int, jax.Array]  # by relation, the set of cells from which it holds to the workspace
    has_workspace: jax.Array  # [] bool


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Scene:
    """What stays the same while one thing after the other is placed."""

    site: _Site
    conditions: Conditions  # [Q]
    turned: jax.Array  # [Q] uint8: the conditions' directions, seen from the second operand
    part: jax.Array  # [H, K] set: the rooms that agent 0 reaches without a key
    meeting_place: jax.Array  # [H, K] set: where spine 0 may lie, unless condition 0 is about agent 0
    is_with_agent: jax.Array  # [] bool: condition 0 is about agent 0


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Ground:
    """What of the grid is left while things are being placed."""

    free: jax.Array  # [H, K] set: floor on which no object lies
    lying: jax.Array  # [H, K] set: cells with objects
    kept: jax.Array  # [H, K] set: cells that no object may lie on, as the agent's and the pads
    no_first: jax.Array  # [Q, H, K] sets: where condition q would hold for a thing of its first kind
    no_second: jax.Array  # [Q, H, K] sets: and of its second kind


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Things:
    """The T things in the order in which they are placed."""

    kind: jax.Array  # [T] uint8, 0 for nothing
    is_object: jax.Array  # [T] bool, else a pad
    is_spine: jax.Array  # [T] bool, of spine 0
    is_key: jax.Array  # [T] bool, of a locked door
    must_meet: jax.Array  # [T] bool, condition 0 has to hold for it
    avoids: jax.Array  # [T] uint8, bit r: relation r must not hold between it and the workspace
    bits: jax.Array  # [T] uint32, chance


_Agents = list[tuple[jax.Array, jax.Array]]  # the row and column of one agent, or of two


def _find_workspace(
    env_config: EnvConfig, config: UniverseConfig, world: World, cast: Cast, dice: chance.Dice
) -> _Site:
    """Chooses the workspace, a block of 3 x 3 cells of floor; an empty one if nothing needs it."""
    floor, opaque = world.floor, ~(world.floor | world.counter | world.water)
    quiet = floor & ~beside_doors(env_config, world.rooms)
    inner = cell_sets.interior(floor)
    row, column, has_workspace = cell_sets.pick(inner, dice.roll())
    workspace = cell_sets.box(floor, row - 1, row + 1, column - 1, column + 1)
    workspace = jnp.where(cast.needs_workspace, workspace, 0)
    avoided = _round_workspace(opaque, row, column, _uses(env_config, config, SEE))
    return _Site(floor, world.counter, opaque, quiet, inner, quiet & ~workspace, avoided, has_workspace)


def _stand_agents(
    config: UniverseConfig, site: _Site, cast: Cast, is_with_agent: jax.Array, dice: chance.Dice
) -> tuple[_Agents, jax.Array]:
    """Where the agents stand, and whether there was room for them."""
    standing = site.quiet & jnp.where(is_with_agent, _meeting_place(cast, site.open_cells, site.inner), site.quiet)
    row, column, has_agents = cell_sets.pick(standing, dice.roll())
    if not config.two_player_percent:
        return [(row, column)], has_agents
    others = site.quiet & ~cell_sets.point(site.floor, row, column)
    other_row, other_column, has_other = cell_sets.pick(others, dice.roll())
    other = jnp.where(cast.are_two, other_row, NOWHERE), jnp.where(cast.are_two, other_column, NOWHERE)
    return [(row, column), other], has_agents & (has_other | ~cast.are_two)


def _start_ground(env_config: EnvConfig, task: Task, site: _Site, conditions: Conditions, agents: _Agents) -> _Ground:
    """The ground with nothing on it but the agents."""
    floor, can_see = site.floor, SEE in site.avoided
    kept = jnp.zeros_like(floor)
    by_agents = jnp.zeros((conditions.relation.shape[0], *floor.shape), floor.dtype)
    for agent, (row, column) in enumerate(agents):
        by_agent = _related(site.opaque, conditions.relation, conditions.directions, row, column, can_see)
        if can_see:
            seen = _seen_from(env_config, task, row, column)
            by_agent = jnp.where(_of_sets(conditions.relation == SEE), seen, by_agent)
        by_agents = jnp.where(_of_sets(conditions.first == AGENT + agent), by_agent, by_agents)
        kept = kept | cell_sets.point(floor, row, column)
    return _Ground(
        free=floor,
        lying=jnp.zeros_like(floor),
        kept=kept,
        no_first=jnp.zeros_like(by_agents),
        no_second=by_agents,
    )


def _line_up(
    env_config: EnvConfig, config: UniverseConfig, rooms: Rooms, cast: Cast, dice: chance.Dice
) -> tuple[_Things, jax.Array]:
    """The things in the order in which they are placed, and [T] bool, which of them are frozen.

    What has to meet comes first: a pad for condition 0, spine 0, and its partner. Then come the other pads, the keys,
    and the rest of the cast.
    """
    pads = cast.pad if _uses(env_config, config, ON) else cast.pad[:0]
    keys = _keys(env_config, config, rooms)
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
    return _Things(kind, is_object, jnp.asarray(index == spine), is_key, must_meet, avoids, bits), is_frozen


def _place_one(
    scene: _Scene, ground: _Ground, thing: _Things
) -> tuple[_Ground, tuple[jax.Array, jax.Array, jax.Array]]:
    """Places one thing. Returns the ground that is left, the row, the column, and whether there was room."""
    site, asked, floor = scene.site, scene.conditions, scene.site.floor
    is_first, is_second = asked.first == thing.kind, asked.second == thing.kind  # never both
    of_first, of_second = cell_sets.everywhere(is_first, floor), cell_sets.everywhere(is_second, floor)
    no_go = (of_first & ground.no_first) | (of_second & ground.no_second)
    row, column, is_possible = cell_sets.pick(
        _allowed(site, ground, thing) & ~_wrong(scene, ground, thing, no_go), thing.bits
    )
    is_used = thing.kind != 0
    here = jnp.where(is_used & is_possible, cell_sets.point(floor, row, column), 0)
    directions = jnp.where(is_first, asked.directions, scene.turned)
    related = _related(site.opaque, asked.relation, directions, row, column, SEE in site.avoided)
    related &= cell_sets.everywhere(is_used[None], floor)
    ground = _Ground(
        free=jnp.where(thing.is_object, ground.free & ~here, ground.free),
        lying=jnp.where(thing.is_object, ground.lying | here, ground.lying),
        kept=ground.kept | here,
        no_first=ground.no_first | (of_second & related),
        no_second=ground.no_second | (of_first & related),
    )
    return ground, (row, column, is_possible | ~is_used)


def _wrong(scene: _Scene, ground: _Ground, thing: _Things, no_go: jax.Array) -> jax.Array:
    """The set of cells where a thing may not be: `no_go` has [Q] sets, where condition q would hold for it."""
    is_on = scene.conditions.relation[0] == ON
    wrong = cell_sets.union(no_go[1:]) | jnp.where(thing.must_meet, ~no_go[0], no_go[0])
    wrong |= jnp.where(thing.must_meet & is_on, 0, ground.kept)
    for relation, cells in scene.site.avoided.items():
        wrong |= jnp.where((thing.avoids >> relation) & 1 == 1, cells, 0)
    wrong |= jnp.where(thing.is_key, ~scene.part, 0)
    return wrong | jnp.where(thing.is_spine & ~scene.is_with_agent, ~scene.meeting_place, 0)


def _allowed(site: _Site, ground: _Ground, thing: _Things) -> jax.Array:
    """The set of cells that have room: floor whose loss cuts nothing off, and for objects counters beside floor."""
    shelves = jnp.where(thing.is_object, site.counter & cell_sets.spread(ground.free) & ~ground.lying, 0)
    return (cell_sets.dispensable(ground.free, ground.lying) & site.open_cells) | shelves


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
    opaque: jax.Array,
    relation: jax.Array,
    directions: jax.Array,
    row: jax.Array,
    column: jax.Array,
    can_see: bool,
) -> jax.Array:
    """[Q, H, K] sets: the cells to which each of [Q] relations holds from a thing in a cell.

    `on` holds between the thing and its own cell. `can_see` says whether any of the relations may be `see`.
    """
    here = cell_sets.point(opaque, row, column)
    south, west, north, east = cell_sets.neighbours(here)  # the cells that have this one in their north lie south of it
    related = [(relation == ON, here)]
    related.append((relation == NEAR, cell_sets.box(opaque, row - 2, row + 2, column - 2, column + 2)))
    if can_see:
        related.append((relation == SEE, cell_sets.in_line(opaque, row, column)))
    for direction, cells in enumerate((north, east, south, west)):
        related.append(((relation == TOUCH) & ((directions >> direction) & 1 == 1), cells))
    return _gather([(cell_sets.everywhere(is_asked, opaque), cells) for is_asked, cells in related])


@apart
def _gather(parts: list[tuple[jax.Array, jax.Array]]) -> jax.Array:
    """The union of sets, each taken or left by `everywhere`."""
    return functools.reduce(operator.or_, (flags & cells for flags, cells in parts))


def _of_sets(flags: jax.Array) -> jax.Array:
    """[n, 1, 1] of [n], to choose among n sets."""
    return flags[:, None, None]


@apart
def _meeting_place(cast: Cast, open_cells: jax.Array, inner: jax.Array) -> jax.Array:
    """The cells beside which what has to meet the agent or spine 0, if anything does, can lie.

    On an `inner` cell if there is one: it has floor all around, so that two things side by side leave a way past them.
    What is beside something is also near it, and sees it.
    """
    is_first = (cast.conditions.first[0] == AGENT) | (cast.conditions.first[0] == cast.kind[0])
    asked = jax.tree.map(lambda field: field[0], cast.conditions)
    directions = jnp.where(is_first, asked.directions, opposite_directions(asked.directions))
    directions = jnp.where(asked.relation == TOUCH, directions, ALL_DIRECTIONS)

    def beside(cells: jax.Array) -> jax.Array:
        is_asked = (directions >> jnp.arange(4)) & 1 == 1
        return cell_sets.union(jnp.where(is_asked[:, None, None], jnp.stack(cell_sets.neighbours(cells)), 0))

    spacious = beside(open_cells & inner) & open_cells
    place = jnp.where((spacious != 0).any(), spacious, beside(open_cells))
    return jnp.where(cast.must_meet.any() & (asked.relation != ON), place, open_cells)


@apart
def _round_workspace(opaque: jax.Array, row: jax.Array, column: jax.Array, can_see: bool) -> dict[int, jax.Array]:
    """The cells that touch, are near, or see the middle of the workspace or a cell beside it, by relation."""
    middle = cell_sets.point(opaque, row, column)
    upright = cell_sets.box(opaque, row - 3, row + 3, column - 2, column + 2)
    cells = {
        TOUCH: cell_sets.spread(middle | cell_sets.spread(middle)),
        NEAR: upright | cell_sets.box(opaque, row - 2, row + 2, column - 3, column + 3),
    }
    if can_see:
        rows, columns = row + np.array([0, -1, 1, 0, 0]), column + np.array([0, 0, 0, -1, 1])
        cells[SEE] = cell_sets.union(jax.vmap(partial(cell_sets.in_line, opaque))(rows, columns))
    return cells


@apart
def _seen_from(env_config: EnvConfig, task: Task, row: jax.Array, column: jax.Array) -> jax.Array:
    """The set of cells that an agent sees from a cell, whichever way it faces."""
    like = cell_sets.empty(env_config.height, env_config.width)
    size = env_config.view_size
    forward, right = np.repeat(np.arange(size)[::-1], size), np.tile(np.arange(size) - size // 2, size)
    offsets = ((-forward, right), (right, forward), (forward, -right), (-right, -forward))  # of the view's cells
    columns = {offset: cell_sets.column_bits(like, column + offset) for offset in range(1 - size, size)}
    agent_row, agent_column = row.astype(jnp.uint8), column.astype(jnp.uint8)
    lines = {offset: [jnp.zeros_like(like[0])] for offset in range(1 - size, size)}  # [K] words in each row
    for direction, (row_offset, column_offset) in enumerate(offsets):
        _, is_visible = look(env_config, task, task.door_state, agent_row, agent_column, jnp.uint8(direction))
        is_seen = cell_sets.everywhere(is_visible, like)[:, :, 0]
        for cell, (south, east) in enumerate(zip(row_offset.tolist(), column_offset.tolist(), strict=True)):
            lines[south].append(is_seen[cell] & columns[east])
    rows = jnp.arange(env_config.height)[:, None] - row
    words = {offset: functools.reduce(operator.or_, parts) for offset, parts in lines.items()}
    return functools.reduce(operator.or_, (jnp.where(rows == offset, word, 0) for offset, word in words.items()))
