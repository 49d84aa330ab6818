"""`make_task`: a task from plain Python values, checked against the rules of the world."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.checks import check_flag, check_whole
from xworld.base.errors import ConfigError, located
from xworld.core import kinds
from xworld.core.config import MAX_AGENTS, EnvConfig
from xworld.core.types import MAX_HIDDEN_KINDS, NOWHERE, NUM_RELATIONS, RANDOM_FACING, Goals, Hidden, Rules, Task
from xworld.tasks.chance import MAX_ID
from xworld.tasks.language.rows import (
    MAX_PRODUCTS,
    NOTHING_HIDDEN,
    DoorRow,
    Goal,
    HiddenRow,
    Literal,
    ObjectRow,
    Position,
    RuleRow,
    check_agent,
    check_condition,
    check_hidden,
    check_kind,
    check_rule,
    kind_text,
)

MAX_TIME = 2**16 - 1  # lengths and numbers of trials are uint16

T = TypeVar("T")


def make_task(
    config: EnvConfig,
    *,
    terrain: np.ndarray | Sequence[Sequence[int]],
    agents: Mapping[int, Position],
    goals: Goal | Mapping[int, Goal] | list[Goal] | list[Mapping[int, Goal]],
    doors: Sequence[DoorRow] = (),
    objects: Sequence[ObjectRow] = (),
    rules: Sequence[RuleRow] = (),
    hidden: HiddenRow | Mapping[int, HiddenRow] = NOTHING_HIDDEN,
    facing: int | Mapping[int, int] = RANDOM_FACING,
    trial_length: int = 100,
    num_trials: int = 1,
    world_id: int = -1,
    game_id: int = -1,
) -> Task:
    """A task, built on the host; its leaves are shaped and typed as `Task` says.

    What is given per agent is a mapping from agent ids; one value is everyone's.

    Args:
      config: sizes the arrays are padded to, and the relations that may be used.
      terrain: [h, w] terrain bytes, at most as large as the configuration; what is missing at the right and the
        bottom is void.
      agents: where the agents stand, on floor; those left out are absent.
      goals: of exactly the agents that are there. Of a list every trial has one, drawn anew.
      doors: one for every door cell of the terrain. They are numbered row by row, whatever their order here.
      objects: likewise numbered row by row.
      rules: the lowest index has precedence.
      hidden: what agents are not told; one `HiddenRow` is hidden from every agent of the configuration.
      facing: direction 0-3 at the start of every trial, or `RANDOM_FACING`, which agents left out have.
      trial_length: steps, 1 to 65535.
      num_trials: 1 to 65535.
      world_id: -1 for a world without an id.
      game_id: likewise.

    Raises:
      ConfigError: anything the rules of the world forbid, or that does not fit into the configuration.
    """
    grid = _make_terrain(config, terrain)
    door_position, door_state = _make_doors(config, grid, doors)
    _check_places(config, grid, agents, objects)
    object_kind, object_position, object_frozen = _make_objects(config, objects)
    return Task(
        terrain=jnp.asarray(grid),
        door_position=door_position,
        door_state=door_state,
        agent_position=_per_agent(config, agents, (NOWHERE, NOWHERE)),
        agent_facing=_make_facing(config, agents, facing),
        object_kind=object_kind,
        object_position=object_position,
        object_frozen=object_frozen,
        goals=_make_goals(config, agents, goals),
        rules=_make_rules(config, rules),
        hidden=_make_hidden(config, len(rules), hidden),
        trial_length=jnp.asarray(check_whole("trial_length", trial_length, 1, MAX_TIME), jnp.uint16),
        num_trials=jnp.asarray(check_whole("num_trials", num_trials, 1, MAX_TIME), jnp.uint16),
        world_id=jnp.asarray(check_whole("world_id", world_id, -1, MAX_ID), jnp.int32),
        game_id=jnp.asarray(check_whole("game_id", game_id, -1, MAX_ID), jnp.int32),
    )


def _make_terrain(config: EnvConfig, terrain: np.ndarray | Sequence[Sequence[int]]) -> np.ndarray:
    """[H, W] uint8."""
    cells = np.asarray(terrain)
    if cells.ndim != 2 or cells.dtype.kind not in "iu":
        raise ConfigError(f"terrain has shape {cells.shape} and dtype {cells.dtype}; give [h, w] whole numbers.")
    height, width = cells.shape
    if height > config.height or width > config.width:
        raise ConfigError(
            f"The map is {height} x {width} (rows x columns), but the configuration has room for {config.height} x "
            f"{config.width}. Make the map smaller, or raise EnvConfig.height and EnvConfig.width."
        )
    kind, colour = cells >> 4, cells & 15
    is_coloured = (kind == kinds.FLOOR) | (kind == kinds.DOOR)
    is_known = (kind >= 0) & (kind < len(kinds.TERRAIN_TYPES))
    is_known &= np.where(is_coloured, colour < len(kinds.COLOURS), colour == 0)
    for row, column in np.argwhere(~is_known).tolist():
        raise ConfigError(
            f"{_at(row, column)}: {cells[row, column]} is no terrain; give type * 16 + colour, where only floor and "
            f"doors have a colour, 0 to {len(kinds.COLOURS) - 1}."
        )
    grid = np.full((config.height, config.width), kinds.VOID, np.uint8)
    grid[:height, :width] = cells
    return grid


def _make_doors(config: EnvConfig, grid: np.ndarray, doors: Sequence[DoorRow]) -> tuple[jax.Array, jax.Array]:
    """[D, 2] uint8 positions and [D] uint8 states, row by row."""
    _check_count("doors", len(doors), "max_doors", config.max_doors)
    doors = sorted(doors, key=lambda door: (door.row, door.column))
    places = [(door.row, door.column) for door in doors]
    cells = [(row, column) for row, column in np.argwhere(grid >> 4 == kinds.DOOR).tolist()]
    if places != cells:
        raise ConfigError(f"doors are given at {places}, but the terrain has doors at {cells}; give one for each.")
    position = np.full((config.max_doors, 2), NOWHERE, np.uint8)
    state = np.zeros(config.max_doors, np.uint8)
    for index, door in enumerate(doors):
        position[index] = door.row, door.column
        state[index] = check_whole(f"{_at(door.row, door.column)}: the door's state", door.state, 0, kinds.LOCKED)
    return jnp.asarray(position), jnp.asarray(state)


def _check_places(
    config: EnvConfig, grid: np.ndarray, agents: Mapping[int, Position], objects: Sequence[ObjectRow]
) -> None:
    """Checks that agents stand on floor, objects lie on floor or counters, and no two things share a cell."""
    _check_agents(config, agents)
    occupied: dict[Position, str] = {}

    def occupy(name: str, row: int, column: int, allowed: dict[int, str]) -> None:
        check_whole(f"The row of {name}", row, 0, grid.shape[0] - 1)
        check_whole(f"The column of {name}", column, 0, grid.shape[1] - 1)
        terrain = int(grid[row, column]) >> 4
        if terrain not in allowed:
            raise ConfigError(
                f"{_at(row, column)}: {name} cannot be on {kinds.TERRAIN_TYPES[terrain]}. "
                f"Put it on {' or '.join(allowed.values())}."
            )
        if (row, column) in occupied:
            raise ConfigError(f"{_at(row, column)}: {occupied[row, column]} and {name} are in one cell. Move one.")
        occupied[row, column] = name

    for agent in sorted(agents):
        occupy(f"agent{agent}", *agents[agent], {kinds.FLOOR: "floor"})
    for thing in objects:
        with located(_at(thing.row, thing.column)):
            check_kind("The object", thing.kind)
            check_flag("is_frozen", thing.is_frozen)
        if not kinds.is_object_kind(thing.kind):
            raise ConfigError(f"{_at(thing.row, thing.column)}: an object cannot be {kind_text(thing.kind)}.")
        place = thing.row, thing.column
        occupy(kind_text(thing.kind), *place, {kinds.FLOOR: "floor", kinds.COUNTER: "a counter"})


def _check_agents(config: EnvConfig, agents: Mapping[int, Position]) -> None:
    if not agents:
        raise ConfigError("There is no agent on the map. Put one there, as '0'.")
    for agent in sorted(agents):
        check_whole("An agent's id", agent, 0, MAX_AGENTS - 1)
        if agent >= config.num_agents:
            raise ConfigError(
                f"agent{agent} is on the map, but EnvConfig.num_agents is {config.num_agents}. "
                f"Raise it to {agent + 1}, or use agents 0 to {config.num_agents - 1}."
            )


def _make_objects(config: EnvConfig, objects: Sequence[ObjectRow]) -> tuple[jax.Array, jax.Array, jax.Array]:
    """[N] uint8 kinds, [N, 2] uint8 positions and [N] uint8 frozen, row by row."""
    _check_count("objects", len(objects), "max_objects", config.max_objects)
    kind, frozen = (np.zeros(config.max_objects, np.uint8) for _ in range(2))
    position = np.full((config.max_objects, 2), NOWHERE, np.uint8)
    for slot, thing in enumerate(sorted(objects, key=lambda thing: (thing.row, thing.column))):
        kind[slot], position[slot], frozen[slot] = thing.kind, (thing.row, thing.column), thing.is_frozen
    return jnp.asarray(kind), jnp.asarray(position), jnp.asarray(frozen)


def _make_facing(config: EnvConfig, agents: Mapping[int, Position], facing: int | Mapping[int, int]) -> jax.Array:
    """[A] uint8. Absent agents' is random, so that equal tasks are equal arrays."""
    directions = facing if isinstance(facing, Mapping) else dict.fromkeys(agents, facing)
    for agent, direction in directions.items():
        if agent not in agents:
            raise ConfigError(f"facing: agent{agent} is not on the map.")
        check_whole(f"facing of agent{agent}", direction, 0, RANDOM_FACING)
    return _per_agent(config, directions, RANDOM_FACING)


def _make_goals(
    config: EnvConfig,
    agents: Mapping[int, Position],
    goals: Goal | Mapping[int, Goal] | list[Goal] | list[Mapping[int, Goal]],
) -> Goals:
    """[A, C, L] fields, or [G, A, C, L] where there may be several."""
    several = goals if isinstance(goals, list) else [goals]
    if not several:
        raise ConfigError("The list of goals is empty. Write at least one.")
    _check_count("goals, of which every trial has one,", len(several), "max_goals", config.max_goals)
    fields = np.zeros((5, config.max_goals, config.num_agents, config.goal_clauses, config.goal_literals), np.uint8)
    for index, goal in enumerate(several):
        with located(f"goals[{index}]") if len(several) > 1 else nullcontext():
            fields[:, index] = _make_goal(config, agents, goal)
            if len(several) > 1 and not fields[:, index].any():
                raise ConfigError("it never holds, which only the one goal of a task may say. Leave it out.")
    return Goals(*map(jnp.asarray, fields if config.max_goals > 1 else fields[:, 0]))


def _make_goal(config: EnvConfig, agents: Mapping[int, Position], one: Goal | Mapping[int, Goal]) -> np.ndarray:
    """[5, A, C, L] uint8 fields of each agent's goal."""
    by_agent = one if isinstance(one, Mapping) else dict.fromkeys(agents, one)
    if set(by_agent) != set(agents):
        raise ConfigError(f"There are goals of agents {sorted(by_agent)}, but agents {sorted(agents)} are on the map.")
    fields = np.zeros((5, config.num_agents, config.goal_clauses, config.goal_literals), np.uint8)
    for agent, goal in by_agent.items():
        with located(f"goal of agent{agent}" if len(agents) > 1 else "goal"):
            _check_goal(goal)
            _check_count("clauses", len(goal), "goal_clauses", config.goal_clauses)
            for index, clause in enumerate(goal):
                if not clause:
                    raise ConfigError(f"clause {index} has no literals; leave it out, or say when it holds.")
                _check_count("literals in one clause", len(clause), "goal_literals", config.goal_literals)
                fields[4, agent, index] = 1  # "not never" behind the literals
                for place, literal in enumerate(clause):
                    directions = check_condition(config, literal)
                    check_flag("is_negated", literal.is_negated)
                    row = literal.relation, directions, literal.first, literal.second, literal.is_negated
                    fields[:, agent, index, place] = row
    return fields


def _check_goal(goal: object) -> None:
    """Makes sure that a goal is made of tuples of literals."""
    is_goal = isinstance(goal, tuple | list) and all(
        isinstance(clause, tuple | list) and all(isinstance(literal, Literal) for literal in clause) for clause in goal
    )
    if not is_goal:
        raise ConfigError(f"{goal!r} is no goal; write a tuple of tuples of Literal, or parse_goal of a text.")


def _make_rules(config: EnvConfig, rules: Sequence[RuleRow]) -> Rules:
    if isinstance(rules, str):
        raise ConfigError(f"rules is {rules!r}; write a list of RuleRow, or of what parse_rule gives.")
    _check_count("rules", len(rules), "max_rules", config.max_rules)
    fields = np.zeros((4, config.max_rules), np.uint8)
    products = np.zeros((config.max_rules, MAX_PRODUCTS), np.uint8)
    for index, rule in enumerate(rules):
        with located(f"rules[{index}]"):
            if not isinstance(rule, RuleRow):
                raise ConfigError(f"{rule!r} is no rule; write a RuleRow, or parse_rule of a text.")
            touching = check_condition(config, rule)
            check_rule(rule)
        fields[:, index] = rule.relation, touching, rule.first, rule.second
        products[index, : len(rule.products)] = rule.products
    relation, directions, first, second = map(jnp.asarray, fields)
    return Rules(relation, directions, first, second, jnp.asarray(products))


def _make_hidden(config: EnvConfig, num_rules: int, hidden: HiddenRow | Mapping[int, HiddenRow]) -> Hidden:
    by_agent = hidden if isinstance(hidden, Mapping) else dict.fromkeys(range(config.num_agents), hidden)
    rules = np.zeros((config.num_agents, config.max_rules), bool)
    hidden_kinds = np.zeros((config.num_agents, MAX_HIDDEN_KINDS), np.uint8)
    relations = np.zeros((config.num_agents, NUM_RELATIONS), np.uint8)
    for agent, row in by_agent.items():
        with located("hidden" if isinstance(hidden, HiddenRow) else f"hidden from agent{agent}"):
            check_agent(config, kinds.agent_kind(agent))
            check_hidden(config, num_rules, row)
        rules[agent, list(row.rules)] = True
        hidden_kinds[agent, : len(row.kinds)] = row.kinds
        relations[agent, : len(row.relations)] = row.relations
    return Hidden(rules=jnp.asarray(rules), kinds=jnp.asarray(hidden_kinds), relations=jnp.asarray(relations))


def _per_agent(config: EnvConfig, values: Mapping[int, T], absent: T) -> jax.Array:
    """[A, ...] uint8, `absent` for agents without a value."""
    return jnp.asarray(np.array([values.get(agent, absent) for agent in range(config.num_agents)], np.uint8))


def _check_count(what: str, count: int, field: str, limit: int) -> None:
    if count > limit:
        raise ConfigError(f"{count} {what} do not fit: EnvConfig.{field} is {limit}. Raise it, or use fewer.")


def _at(row: int, column: int) -> str:
    return f"map, row {row}, column {column}"
