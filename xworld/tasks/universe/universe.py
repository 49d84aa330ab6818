"""`Universe`: more tasks than anybody can play, each made on the device from two integers."""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.errors import ConfigError
from xworld.base.hashing import Word, below
from xworld.base.xla import lanes
from xworld.base.xla.lookup import put
from xworld.core import kinds
from xworld.core.config import EnvConfig
from xworld.core.keys import as_key
from xworld.core.step.relations import NEVER
from xworld.core.types import MAX_HIDDEN_KINDS, NOWHERE, NUM_RELATIONS, RANDOM_FACING, Goals, Hidden, Rules, Task
from xworld.tasks import chance
from xworld.tasks.universe.chains import Conditions
from xworld.tasks.universe.check import check
from xworld.tasks.universe.config import Split, UniverseConfig, split_range
from xworld.tasks.universe.games import Game, content_hash, draw_game, game_hash
from xworld.tasks.universe.hiding import draw_hidden, is_rule_hidden
from xworld.tasks.universe.placement import Placement, fill, place
from xworld.tasks.worlds.world import World, build_terrain, draw_world, world_hash

# Attempts until something is of the right split, fits, or can be placed. Most tasks need one of each.
_WORLD_ATTEMPTS = 2**14
_GAME_ATTEMPTS = 2**10
_PLACEMENT_ATTEMPTS = 8
_ROUNDS = 256  # games of an id that are tried, each in that many placements
_BLOCK = 128  # tasks that `stacked` makes at a time

_Range = tuple[int | jax.Array, int | jax.Array]  # of the percents in a split: the first, and the end


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TaskInfo:
    """What the generator knows about a task. The agent is not told."""

    num_goals: jax.Array  # [] int32, of which every trial has one
    num_firings: jax.Array  # [] int32, rules that have to fire before a goal can hold
    num_dead_ends: jax.Array  # [] int32, rules that spoil what the goal needs
    num_decoys: jax.Array  # [] int32, rules that neither help nor harm
    num_hidden_rules: jax.Array  # [] int32, rules of the goals' chains of which anything is hidden from agent 0
    num_hidden_dead_ends: jax.Array  # [] int32
    num_distractors: jax.Array  # [] int32, objects that are neither needed nor keys
    num_objects: jax.Array  # [] int32, at the start, keys included
    num_players: jax.Array  # [] int32, 1 or 2
    needs_both: jax.Array  # [] bool, whether every way to a goal asks something of both players


@dataclass(frozen=True)
class Universe:
    """A distribution of tasks: `sample` for a JAX key, `task` for two ids. Pure, jit- and vmap-able; has no leaves.

    Ids are whole numbers from 0 to 2^31 - 1; one pair of them names one task for ever, on every device. Games and
    worlds are drawn on their own: tasks with one game id have one game in different worlds (another one
    only where it cannot be placed).

    Raises:
      ConfigError: tasks as `config` asks for them do not fit `env_config`, or there are too few to hold some out.
    """

    env_config: EnvConfig
    config: UniverseConfig = field(default_factory=UniverseConfig)

    def __post_init__(self) -> None:
        check(self.env_config, self.config)

    def sample(self, key: jax.Array) -> Task:
        """A task, for a JAX key."""
        return self.sample_with_info(key)[0]

    def sample_with_info(self, key: jax.Array) -> tuple[Task, TaskInfo]:
        """A task and what is known about it, for a JAX key."""
        return self.task_with_info(*self.draw_ids(key))

    def draw_ids(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The world and game ids of the task that `sample` gives for a JAX key."""
        world_id, game_id = jax.random.bits(as_key(key), (2,), jnp.uint32) >> 1  # not negative as int32
        return world_id, game_id

    def with_split(self, split: Split) -> "Universe":
        """The universe of the same configuration but for the split."""
        return dataclasses.replace(self, config=dataclasses.replace(self.config, split=split))

    def task(self, world_id: Word, game_id: Word) -> Task:
        """The task with these ids, scalars from 0 to 2^31 - 1; of arrays the highest bit is left out."""
        return self.task_with_info(world_id, game_id)[0]

    def task_with_info(self, world_id: Word, game_id: Word) -> tuple[Task, TaskInfo]:
        """The task with these ids, as for `task`, and what is known about it."""
        world_id, game_id = chance.as_id("world_id", world_id), chance.as_id("game_id", game_id)
        return _task_maker(self)(world_id, game_id, *map(jnp.uint32, split_range(self.config)))

    def stacked(self, world_ids: np.ndarray, game_ids: np.ndarray) -> tuple[Task, TaskInfo]:
        """The tasks with these [n] ids and what is known about them, leaves [n, ...] in the host's memory.

        For calls outside of `jit`: one function, compiled once, serves any number of tasks and every split.

        Raises:
          ConfigError: there are no ids, more of one kind than of the other, or one is no whole number below 2^31.
        """
        ids = chance.as_ids("world_ids", world_ids), chance.as_ids("game_ids", game_ids)
        make, num_tasks = _task_maker(self), len(ids[0])
        if len(ids[1]) != num_tasks:
            raise ConfigError(f"There are {num_tasks} world_ids and {len(ids[1])} game_ids; write as many of both.")
        split = [np.full(_BLOCK, edge, np.uint32) for edge in split_range(self.config)]
        places = np.minimum(np.arange(-(-num_tasks // _BLOCK) * _BLOCK), num_tasks - 1)  # the last is made repeatedly
        blocks = [jax.device_get(make(*(some[part] for some in ids), *split)) for part in places.reshape(-1, _BLOCK)]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:num_tasks], *blocks)

    def sample_stacked(self, keys: jax.Array) -> tuple[Task, TaskInfo]:
        """What `sample_with_info` gives for [n] keys, as `stacked` makes it."""
        return self.stacked(*jax.device_get(draw_all_ids(self, keys)))

    def has_game(self, task: Task) -> jax.Array:
        """[] bool, whether the game of a task with goals of one literal is of this universe's split, by its content."""
        goals = jax.tree.map(lambda field: field[..., 0, 0, 0].reshape(-1), task.goals)  # [G], or [1]
        conditions = Conditions(goals.relation, goals.directions, goals.first, goals.second)
        return self._is_in_split(content_hash(conditions, goals.negated[0] == 1, task.rules))

    def _make_task(
        self, world_id: jax.Array, game_id: jax.Array, first: jax.Array, end: jax.Array
    ) -> tuple[Task, TaskInfo]:
        """The task with these ids of the split that has the percents from `first` to below `end`."""
        split = first, end
        # To carry a number through a loop, and to draw its world once more, is cheaper than to carry the world.
        attempt, _ = chance.first_right(lambda n: (n, self._draw_world(world_id, n, split)[1]), _WORLD_ATTEMPTS)
        world, _ = self._draw_world(world_id, attempt, split)
        bare = _bare_task(self.env_config, world, world_id, game_id)

        def draw_round(number: jax.Array) -> tuple[tuple[Game, Placement], jax.Array]:
            start = number * _GAME_ATTEMPTS
            attempt, _ = chance.first_right(
                lambda n: (n, self._draw_game(game_id, start + n, split)[1]), _GAME_ATTEMPTS
            )
            game, _ = self._draw_game(game_id, start + attempt, split)
            placement, is_placed = chance.first_right(
                lambda attempt: place(self.env_config, self.config, world, bare, game.cast, attempt),
                _PLACEMENT_ATTEMPTS,
            )
            return (game, placement), is_placed

        (game, placement), _ = chance.first_right(draw_round, _ROUNDS)
        hidden = draw_hidden(self.env_config, self.config, game.rules, game.cards, game.are_two, game_id)
        task = dataclasses.replace(
            fill(self.env_config, bare, placement),
            goals=_write_goals(self.env_config, game),
            rules=game.rules,
            hidden=hidden,
            trial_length=game.trial_length.astype(jnp.uint16),
            num_trials=game.num_trials.astype(jnp.uint16),
        )
        is_hidden = is_rule_hidden(game.rules, hidden)[0]
        is_decoy = (game.rules.relation != NEVER) & ~game.is_chain & ~game.is_dead_end
        info = TaskInfo(
            num_goals=(game.goals.relation != NEVER).sum(dtype=jnp.int32),
            num_firings=game.num_firings,
            num_dead_ends=game.is_dead_end.sum(dtype=jnp.int32),
            num_decoys=is_decoy.sum(dtype=jnp.int32),
            num_hidden_rules=(game.is_chain & is_hidden).sum(dtype=jnp.int32),
            num_hidden_dead_ends=(game.is_dead_end & is_hidden).sum(dtype=jnp.int32),
            num_distractors=game.num_distractors,
            num_objects=(task.object_kind != kinds.NOTHING).sum(dtype=jnp.int32),
            num_players=1 + game.are_two.astype(jnp.int32),
            needs_both=game.needs_both,
        )
        return task, info

    @partial(jax.jit, static_argnums=0)
    def _draw_world(
        self, world_id: jax.Array, attempt: jax.Array, split: _Range | None = None
    ) -> tuple[World, jax.Array]:
        world, has_room = draw_world(self.env_config, self.config.world, world_id, attempt)
        return world, has_room & self._is_in_split(world_hash(self.env_config, world), split)

    @partial(jax.jit, static_argnums=0)
    def _draw_game(self, game_id: jax.Array, attempt: jax.Array, split: _Range | None = None) -> tuple[Game, jax.Array]:
        game, is_sound = draw_game(self.env_config, self.config, game_id, attempt)
        return game, is_sound & self._is_in_split(game_hash(game), split)

    def _is_in_split(self, content_hash: jax.Array, split: _Range | None = None) -> jax.Array:
        """Whether something with this hash is in a split, by default the universe's own."""
        first, end = split_range(self.config) if split is None else split
        percent = below(content_hash, 100)
        return (percent >= first) & (percent < end)


@partial(jax.jit, static_argnums=0)
def draw_all_ids(source: Any, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The [n] world and game ids that a source draws with `draw_ids` for [n] keys."""
    ids: tuple[jax.Array, jax.Array] = jax.vmap(source.draw_ids)(keys)
    return ids


@functools.cache
def _task_maker(universe: Universe) -> Callable[..., tuple[Task, TaskInfo]]:
    """Makes a task of two ids and a split's range. Compiled once for all splits, for calls outside of `jit`."""
    if universe.config.split != "all":
        return _task_maker(universe.with_split("all"))
    return lanes.vectorise(universe._make_task)


jax.tree_util.register_dataclass(Universe, data_fields=[], meta_fields=["env_config", "config"])


def _bare_task(env_config: EnvConfig, world: World, world_id: jax.Array, game_id: jax.Array) -> Task:
    """A task of a world in which nothing is yet."""
    rooms = world.rooms
    num_agents, num_objects, num_rules = env_config.num_agents, env_config.max_objects, env_config.max_rules
    order = jnp.where(rooms.has_door, rooms.door_row * env_config.width + rooms.door_column, jnp.iinfo(jnp.int32).max)
    place = chance.ranks(order)  # row by row
    position = jnp.stack([rooms.door_row, rooms.door_column], axis=1).astype(jnp.uint8)
    position = jnp.where(rooms.has_door[:, None], position, jnp.uint8(NOWHERE))
    several = (env_config.max_goals,) if env_config.max_goals > 1 else ()
    no_goal = jnp.zeros((*several, num_agents, env_config.goal_clauses, env_config.goal_literals), jnp.uint8)
    nothing, no_rule = jnp.zeros(num_objects, jnp.uint8), jnp.zeros(num_rules, jnp.uint8)
    return Task(
        terrain=build_terrain(env_config, world),
        door_position=put(position, place, jnp.full((env_config.max_doors, 2), NOWHERE, jnp.uint8)),
        door_state=put(rooms.door_state, place, jnp.zeros(env_config.max_doors, jnp.uint8)),
        agent_position=jnp.full((num_agents, 2), NOWHERE, jnp.uint8),
        agent_facing=jnp.full(num_agents, RANDOM_FACING, jnp.uint8),
        object_kind=nothing,
        object_position=jnp.full((num_objects, 2), NOWHERE, jnp.uint8),
        object_frozen=nothing,
        goals=Goals(no_goal, no_goal, no_goal, no_goal, no_goal),
        rules=Rules(no_rule, no_rule, no_rule, no_rule, jnp.zeros((num_rules, 3), jnp.uint8)),
        hidden=Hidden(
            rules=jnp.zeros((num_agents, num_rules), bool),
            kinds=jnp.zeros((num_agents, MAX_HIDDEN_KINDS), jnp.uint8),
            relations=jnp.zeros((num_agents, NUM_RELATIONS), jnp.uint8),
        ),
        trial_length=jnp.uint16(1),
        num_trials=jnp.uint16(1),
        world_id=world_id,
        game_id=game_id,
    )


def _write_goals(env_config: EnvConfig, game: Game) -> Goals:
    """The goals, of one literal each: agent 0's, and agent 1's if two play."""
    goals, has_goal = game.goals, jnp.arange(env_config.num_agents) < jnp.where(game.are_two, 2, 1)
    is_goal, num_unused = goals.relation != NEVER, env_config.max_goals - goals.relation.shape[0]

    def write(values: jax.Array, padding: int = 0) -> jax.Array:
        """[A, C, L] or [G, A, C, L] of [K] values; `padding` goes behind the literal."""
        literals = ((0, 0), (0, env_config.goal_literals - 1))
        clause = jnp.pad(values.astype(jnp.uint8)[:, None], literals, constant_values=padding)  # [K, L]
        clauses = jnp.where(has_goal[:, None, None] & is_goal[:, None, None, None], clause[:, None, None], 0)
        clauses = jnp.pad(clauses, ((0, 0), (0, 0), (0, env_config.goal_clauses - 1), (0, 0)))
        if env_config.max_goals == 1:
            return clauses[0]
        return jnp.pad(clauses, ((0, max(num_unused, 0)), *((0, 0),) * 3))[: env_config.max_goals]

    return Goals(
        relation=write(goals.relation),
        directions=write(goals.directions),
        first=write(goals.first),
        second=write(goals.second),
        negated=write(jnp.broadcast_to(game.is_goal_negated, is_goal.shape), padding=1),  # "not never"
    )
