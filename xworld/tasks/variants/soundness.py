"""Whether an edited task is one that the generator could have made: quiet at the start, within reach, of its split."""

import dataclasses

import jax
import jax.numpy as jnp

from xworld.core import kinds
from xworld.core.env import Env
from xworld.core.step.actions import NOOP
from xworld.core.step.relations import NEVER, ON
from xworld.core.types import Task
from xworld.tasks.universe.universe import Universe
from xworld.tasks.variants.anatomy import task_info
from xworld.tasks.worlds import cell_sets


def is_sound(universe: Universe, task: Task, was: Task) -> jax.Array:
    """[] bool, whether a task keeps to the generator's rules, as the one that it `was` made of did.

    At the start no rule holds, nor the goal, whichever way agents face. No two rules have one condition. There are no
    more rules of each sort than the universe's ranges allow. All that is free can be reached, and everything from it; a
    block of 3 x 3 cells is empty if one was. The game is of the universe's split.
    """
    return (
        _is_quiet(universe, task)
        & _is_distinct(task)
        & _is_in_range(universe, task)
        & _is_within_reach(task, was)
        & universe.has_game(task)
    )


def free_cells(task: Task, keeps_blocks: jax.Array) -> jax.Array:
    """[H, W] bool: floor to which an object may be moved: nothing is there, no door beside it, no rule asks for it.

    Where `keeps_blocks`, no cell of a block of 3 x 3 that is empty.
    """
    free = _open_floor(task)
    is_door = (task.terrain >> 4) == kinds.DOOR
    is_near_door = _neighbours(is_door)
    blocks = cell_sets.spread_round(cell_sets.interior(cell_sets.pack(free)))
    in_block = cell_sets.unpack(blocks, free.shape[1])
    agents = _cells(task, task.agent_position)
    return free & ~is_near_door & ~_is_pad(task) & ~agents & ~(keeps_blocks & in_block)


def _is_quiet(universe: Universe, task: Task) -> jax.Array:
    """Whether nothing happens, and nothing is paid, if nobody does anything."""
    env = Env(universe.env_config)
    noops = jnp.full(universe.env_config.num_agents, NOOP, jnp.int32)

    def stand(direction: jax.Array) -> jax.Array:
        facing = jnp.full_like(task.agent_facing, direction)
        turned = dataclasses.replace(task, agent_facing=facing, trial_length=jnp.uint16(2))
        _, outcome = env.advance(env.start(jnp.uint32(0), turned), noops)
        is_paid = (outcome.reward > 0).any() & universe.config.goal_false_at_start
        return (outcome.event == 0) & ~is_paid

    return jax.vmap(stand)(jnp.arange(4, dtype=jnp.uint8)).all()


def _is_distinct(task: Task) -> jax.Array:
    rules = task.rules
    lower, higher = jnp.minimum(rules.first, rules.second), jnp.maximum(rules.first, rules.second)
    fields = jnp.stack([rules.relation, lower, higher], axis=1)
    is_equal = (fields[:, None] == fields).all(2) & (rules.relation != NEVER)
    return ~(is_equal & ~jnp.eye(len(rules.relation), dtype=bool)).any()


def _is_in_range(universe: Universe, task: Task) -> jax.Array:
    config, info = universe.config, task_info(task)
    lowest = 0 if config.no_chain_percent else config.chain_length[0]
    num_false = info.num_dead_ends + info.num_decoys
    return (
        (info.num_firings >= lowest)
        & (info.num_firings <= config.chain_length[1])
        & (info.num_dead_ends <= config.num_dead_ends[1])
        & (num_false <= config.num_dead_ends[1] + config.num_decoys[1])
    )


def _is_within_reach(task: Task, was: Task) -> jax.Array:
    """Whether all free floor is connected with agent 0 through the doors, and all objects lie beside some of it."""
    free = _open_floor(task)
    ways = cell_sets.pack(free | ((task.terrain >> 4) == kinds.DOOR))
    row, column = task.agent_position[0].astype(jnp.int32)
    start = cell_sets.point(ways, row, column) & ways
    is_connected = (cell_sets.flood(ways, start) == ways).all()
    objects = _cells(task, task.object_position)
    is_reached = (~objects | _neighbours(free)).all()
    has_block, had_block = (
        (cell_sets.interior(cell_sets.pack(_open_floor(one) & ~_is_pad(one))) != 0).any() for one in (task, was)
    )
    return is_connected & is_reached & (has_block | ~had_block)


def _open_floor(task: Task) -> jax.Array:
    """[H, W] bool, floor on which no object lies."""
    return ((task.terrain >> 4) == kinds.FLOOR) & ~_cells(task, task.object_position)


def _is_pad(task: Task) -> jax.Array:
    """[H, W] bool, floor of a colour that a rule or the goal asks for."""
    goals, rules = task.goals, task.rules
    relation = jnp.concatenate([rules.relation, goals.relation.reshape(-1)])
    asked = jnp.concatenate([rules.second, goals.second.reshape(-1)])
    pads = jnp.where(relation == ON, asked - (kinds.FLOOR_SHAPE - kinds.FLOOR) * 16, 0).astype(jnp.uint8)
    return (task.terrain[..., None] == pads).any(-1) & ((task.terrain >> 4) == kinds.FLOOR)


def _cells(task: Task, position: jax.Array) -> jax.Array:
    """[H, W] bool, the cells at [n, 2] positions; what is nowhere is in none."""
    row, column = position[:, 0].astype(jnp.int32), position[:, 1].astype(jnp.int32)
    return jnp.zeros(task.terrain.shape, bool).at[row, column].set(True, mode="drop")


def _neighbours(mask: jax.Array) -> jax.Array:
    """[H, W] bool, the cells beside those of a mask."""
    padded = jnp.pad(mask, 1)
    return padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
