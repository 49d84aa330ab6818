"""What generated tasks have to be, in numpy and plain Python: well formed, quiet at the start, and within reach."""

from typing import Any

import jax
import numpy as np
import oracle
from oracle import Cell

from xworld import EnvConfig, Task
from xworld.tasks import TaskInfo

FLOOR, WALL, COUNTER, WATER, DOOR = range(1, 6)
NOWHERE = 192


def to_host(tasks: Any) -> Any:
    """The same pytree with numpy leaves."""
    return jax.tree.map(np.asarray, tasks)


def take(tasks: Any, index: int) -> Any:
    """One of stacked tasks."""
    return jax.tree.map(lambda leaf: leaf[index], tasks)


def check_form(env_config: EnvConfig, tasks: Task, infos: TaskInfo) -> None:
    """Checks stacked tasks on the host, all at once."""
    height, width = env_config.height, env_config.width
    kind, position = tasks.object_kind, tasks.object_position.astype(int)
    is_object = kind != 0
    row, column = np.where(is_object, position[..., 0], 0), np.where(is_object, position[..., 1], 0)
    batch = np.arange(len(kind))[:, None]

    assert _is_packed(is_object)
    assert (tasks.object_position[~is_object] == NOWHERE).all() and (tasks.object_frozen[~is_object] == 0).all()
    assert np.isin(tasks.object_frozen, (0, 1)).all()
    assert ((kind >> 4 <= 6) & (kind & 15 < 12))[is_object].all() and (kind >> 4 >= 1)[is_object].all()
    assert np.isin(tasks.terrain[batch, row, column] >> 4, (FLOOR, COUNTER))[is_object].all()
    cell = np.where(is_object, row * width + column, height * width + np.arange(kind.shape[1]))
    assert (np.diff(cell, axis=1) > 0).all(), "objects are in map order, no two in one cell"

    agent = tasks.agent_position.astype(int)
    is_player = np.arange(agent.shape[1]) < infos.num_players[:, None]  # [B, A]
    assert ((agent[..., 0] != NOWHERE) == is_player).all() and (agent[~is_player] == NOWHERE).all()
    assert (tasks.agent_facing == 4).all()
    stands = np.where(is_player[..., None], agent, 0)
    assert (tasks.terrain[batch, stands[..., 0], stands[..., 1]] >> 4 == FLOOR)[is_player].all()
    agent_cell = np.where(is_player, agent[..., 0] * width + agent[..., 1], -1 - np.arange(agent.shape[1]))
    assert (cell[:, :, None] != agent_cell[:, None, :]).all()
    assert (agent_cell[:, :, None] != agent_cell[:, None, :])[:, ~np.eye(agent.shape[1], dtype=bool)].all()

    door = tasks.door_position.astype(int)
    is_door = door[..., 0] != NOWHERE
    assert _is_packed(is_door) and (door[~is_door] == NOWHERE).all() and (tasks.door_state[~is_door] == 0).all()
    is_door_cell = tasks.terrain >> 4 == DOOR
    door_cell = np.where(is_door, door[..., 0] * width + door[..., 1], height * width + np.arange(door.shape[1]))
    assert (np.diff(door_cell, axis=1) > 0).all()
    assert (is_door_cell.sum(axis=(1, 2)) == is_door.sum(axis=1)).all()
    assert is_door_cell[np.nonzero(is_door)[0], door[is_door][:, 0], door[is_door][:, 1]].all()
    assert np.isin(tasks.terrain >> 4, (FLOOR, WALL, COUNTER, WATER, DOOR)).all()

    rules = tasks.rules
    is_rule = rules.relation != 0
    assert _is_packed(is_rule)
    for field in (rules.directions, rules.first, rules.second, rules.products):
        assert (field[~is_rule] == 0).all()
    assert ((rules.directions != 0) == (rules.relation == 1)).all()
    assert all(_is_packed(products != 0) for products in np.moveaxis(rules.products, 1, 0))
    assert (rules.products[is_rule][:, 0] != 0).all()
    for number in range(int(infos.num_goals.max())):
        goals = (
            jax.tree.map(lambda leaf, number=number: leaf[:, number], tasks.goals)
            if tasks.has_several_goals
            else tasks.goals
        )
        has_goal = is_player & (number < infos.num_goals)[:, None]
        assert ((goals.relation[:, :, 0, 0] != 0) == has_goal).all()
        for field in jax.tree.leaves(goals):
            assert ((field == field[:, :1]) | ~is_player[..., None, None]).all(), "the same goal for both"

    hidden = tasks.hidden
    assert not (hidden.rules & ~is_rule[:, None]).any()
    for parts in (hidden.rules, hidden.kinds, hidden.relations):
        assert not parts[~is_player].any()
    for parts in (hidden.kinds, hidden.relations):
        assert all(_is_packed(of_agent != 0) for of_agent in np.moveaxis(parts, 1, 0))

    assert (infos.num_objects == is_object.sum(axis=1)).all()
    num_needed = infos.num_firings * infos.num_goals
    assert (infos.num_dead_ends + infos.num_decoys + num_needed == is_rule.sum(axis=1)).all()
    assert (infos.num_hidden_rules <= num_needed).all()
    assert (infos.num_hidden_dead_ends <= infos.num_dead_ends).all()


def _is_packed(is_used: np.ndarray) -> bool:
    """Whether what is used comes first in the second axis."""
    return bool((np.diff(is_used.astype(int), axis=1) <= 0).all())


def start_worlds(env_config: EnvConfig, task: Task) -> list[oracle.World]:
    """The worlds a trial of a task can start as."""
    return [oracle.start(env_config, task, [direction] * env_config.num_agents) for direction in range(4)]


def rules_that_hold(world: oracle.World) -> list[int]:
    """Indices of the rules that hold now."""
    return [
        index
        for index, rule in enumerate(world.rules)
        if oracle.satisfying_pairs(world, rule.relation, rule.directions, rule.first, rule.second)
    ]


def walk(world: oracle.World, start: Cell, is_passable_door: dict[int, bool]) -> set[Cell]:
    """Cells that can be reached without moving an object, through doors whose state is passable."""
    reached, frontier = {start}, [start]
    while frontier:
        cell = frontier.pop()
        for direction in range(4):
            beside = oracle.beside(cell, direction)
            kind = world.terrain_type(beside)
            is_way = (kind == FLOOR and world.object_at(beside) is None) or (
                kind == DOOR and is_passable_door[world.state_of_door(beside)]
            )
            if is_way and beside not in reached:
                reached.add(beside)
                frontier.append(beside)
    return reached


def check_reach(world: oracle.World) -> None:
    """Checks that every object, pad and door can be gone to, the keys without passing a locked door."""
    start = world.agents[0].cell
    assert start is not None
    first = walk(world, start, {0: True, 1: True, 2: False})
    everywhere = walk(world, start, {0: True, 1: True, 2: True})
    keys = [slot for slot in world.slots if slot.kind >> 4 == oracle.KEY and slot.cell]
    locked = [cell for cell, state in zip(world.doors, world.door_state, strict=True) if cell and state == 2]
    colours = sorted(world.terrain[row][column] & 15 for row, column in locked)
    if locked:
        assert sorted(key.kind & 15 for key in keys) == colours, "a key for every locked door"
        assert all(_is_beside(key.cell, first) and not key.is_frozen for key in keys)
    for slot in world.slots:
        assert slot.cell is None or _is_beside(slot.cell, everywhere)
        assert slot.cell is None or not any(world.terrain_type(oracle.beside(slot.cell, d)) == DOOR for d in range(4))
    for row, cells in enumerate(world.terrain):
        for column, terrain in enumerate(cells):
            if terrain >> 4 in (FLOOR, DOOR) and world.object_at((row, column)) is None:
                assert (row, column) in everywhere, "nothing blocks the way to a free cell"


def _is_beside(cell: Cell | None, cells: set[Cell]) -> bool:
    return cell is not None and any(oracle.beside(cell, direction) in cells for direction in range(4))


Fields = tuple[int, int, int, int]  # relation, directions, first, second


def find_chain(world: oracle.World) -> tuple[list[tuple[int, Fields]], list[int]]:
    """The conditions in the order in which they have to hold, each with its spine's kind, and the chain's rules.

    Found backwards from the goal: what is not there at the start has to be made, and just one rule makes it. A negated
    goal about two frozen things is reached by the one rule that is about one of them.
    """
    there = {slot.kind for slot in world.slots}
    relation, directions, first, second, is_negated = world.goals[0][0][0]
    condition: Fields = relation, directions, first, second
    conditions: list[tuple[int, Fields]] = []
    chain: list[int] = []
    frozen = {slot.kind for slot in world.slots if slot.is_frozen}
    if is_negated and all(kind in frozen for kind in objects_of(condition)):
        (maker,) = [i for i, rule in enumerate(world.rules) if {rule.first, rule.second} & {*objects_of(condition)}]
        rule = world.rules[maker]
        conditions.append((rule.products[0], condition))
        chain.append(maker)
        condition = rule.relation, rule.directions, rule.first, rule.second
    while True:
        objects = objects_of(condition)
        missing = [kind for kind in objects if kind not in there]
        if not missing:
            makers = {kind for rule in world.rules for kind in rule.products}
            assert not makers & set(objects), "nothing makes what is there"
            loose = [kind for kind in objects if kind not in frozen]
            conditions.append(((loose or objects)[0], condition))
            return conditions[::-1], chain[::-1]
        assert len(missing) == 1
        conditions.append((missing[0], condition))
        makers_of = [index for index, rule in enumerate(world.rules) if missing[0] in rule.products]
        assert len(makers_of) == 1
        rule = world.rules[makers_of[0]]
        chain.append(makers_of[0])
        condition = rule.relation, rule.directions, rule.first, rule.second


def objects_of(condition: Fields) -> list[int]:
    """The kinds of objects that a condition is about."""
    return [kind for kind in condition[2:] if 1 <= kind >> 4 <= 6]
