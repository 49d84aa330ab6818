"""`from_xland_minigrid`: rulesets as a source of tasks, which places them anew whenever one is drawn."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.checks import check_whole
from xworld.base.errors import ConfigError
from xworld.base.hashing import Word, below
from xworld.core import kinds
from xworld.core.config import RELATIONS, EnvConfig
from xworld.core.keys import as_key
from xworld.core.step.relations import NEVER, TOUCH, opposite_directions
from xworld.core.types import MAX_HIDDEN_KINDS, NOWHERE, NUM_RELATIONS, RANDOM_FACING, Goals, Hidden, Rules, Task
from xworld.tasks import chance
from xworld.tasks.language.making import MAX_TIME
from xworld.tasks.language.rows import MAX_PRODUCTS
from xworld.tasks.sets.task_set import TaskSet
from xworld.tasks.xland_minigrid.files import Rulesets
from xworld.tasks.xland_minigrid.translation import AGENT, MARK, Translation, translate
from xworld.tasks.xland_minigrid.worlds import draw_world, layout_of

_STEPS = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])  # rows and columns to the north, east, south, west
_FLOOR_OF_KIND = (kinds.FLOOR_SHAPE - kinds.FLOOR) * 16  # from the kind that stands for floor to terrain


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class RulesetTasks:
    """S rulesets of XLand-MiniGrid: `sample` places one in a world drawn anew, as that package does at every reset.

    A pytree, so that other rulesets of equal sizes need no recompile.
    """

    goals: Goals  # [S, A, C, L]
    rules: Rules  # [S, R]
    things: jax.Array  # [S, N] uint8, kinds of objects, and of floor that is painted; 0 for none
    is_frozen: jax.Array  # [S, N] bool
    mark: jax.Array  # [S, 2] uint8, the cell that the goal is about, NOWHERE for none
    is_hidden: jax.Array  # [] bool, whether the rules are
    trial_length: jax.Array  # [] uint16
    num_trials: jax.Array  # [] uint16
    world: str = field(metadata={"static": True})
    config: EnvConfig = field(metadata={"static": True})

    def __len__(self) -> int:
        return self.things.shape[0]

    def sample(self, key: jax.Array) -> Task:
        """One of the rulesets, uniformly, in a world of its own."""
        ruleset_key, world_key = jax.random.split(as_key(key))
        ruleset_id = jax.random.randint(ruleset_key, (), 0, len(self), jnp.int32)
        return self.task(jax.random.bits(world_key, dtype=jnp.uint32) >> 1, ruleset_id)

    def task_set(self, world_id: int = 0) -> TaskSet:
        """Every ruleset once, in the order of their ids: each in the world that it and `world_id` name."""
        return TaskSet(_place_all(self, chance.as_id("world_id", world_id), jnp.arange(len(self))))

    def task(self, world_id: Word, ruleset_id: Word) -> Task:
        """The ruleset with an id from 0 to len - 1, in the world that the two ids name; they become the task's ids.

        Things lie where no rule and no goal holds at the start. Where there is no such place left, one lies anywhere.
        """
        config = self.config
        world_id, ruleset_id = chance.as_id("world_id", world_id), chance.as_id("ruleset_id", ruleset_id)
        goals, rules, things, is_frozen, mark = jax.tree.map(
            lambda leaf: leaf.at[ruleset_id].get(mode="clip"),
            (self.goals, self.rules, self.things, self.is_frozen, self.mark),
        )
        dice = chance.Dice(chance.PLACEMENT, 0, world_id, ruleset_id)
        terrain, door_row, door_column = draw_world(self.world, dice)
        side = terrain.shape[0]
        is_free = (terrain == kinds.BLACK_FLOOR).at[mark[0], mark[1]].set(False, mode="drop")
        cells = _place(is_free, _clashes(goals, rules, jnp.concatenate([jnp.array([AGENT], jnp.uint8), things])), dice)
        rows, columns = jnp.divmod(cells[1:], side)

        is_object = (things != kinds.NOTHING) & (things < kinds.FLOOR_SHAPE * 16)
        slot = chance.ranks(jnp.where(is_object, cells[1:], side * side))
        slot = jnp.where(is_object, slot, config.max_objects)  # dropped
        painted_row = jnp.where(things >= kinds.FLOOR_SHAPE * 16, rows, side)
        terrain = terrain.at[painted_row, columns].set(things - jnp.uint8(_FLOOR_OF_KIND), mode="drop")
        terrain = terrain.at[mark[0], mark[1]].set(jnp.uint8(MARK - _FLOOR_OF_KIND), mode="drop")
        door = chance.ranks(door_row * side + door_column)
        no_place = jnp.full((max(config.max_objects, config.max_doors), 2), NOWHERE, jnp.uint8)
        no_object = jnp.zeros(config.max_objects, jnp.uint8)
        absent = jnp.full((config.num_agents, 2), NOWHERE, jnp.uint8)
        agent = jnp.stack(jnp.divmod(cells[0], side)).astype(jnp.uint8)

        def at(rows: jax.Array, columns: jax.Array) -> jax.Array:
            return jnp.stack([rows, columns], axis=-1).astype(jnp.uint8)

        return Task(
            terrain=jnp.full((config.height, config.width), kinds.VOID, jnp.uint8).at[:side, :side].set(terrain),
            door_position=no_place[: config.max_doors].at[door].set(at(door_row, door_column)),
            door_state=jnp.zeros(config.max_doors, jnp.uint8).at[door].set(kinds.CLOSED),
            agent_position=absent.at[0].set(agent),
            agent_facing=jnp.full(config.num_agents, RANDOM_FACING, jnp.uint8),
            object_kind=no_object.at[slot].set(things, mode="drop"),
            object_position=no_place[: config.max_objects].at[slot].set(at(rows, columns), mode="drop"),
            object_frozen=no_object.at[slot].set(is_frozen.astype(jnp.uint8), mode="drop"),
            goals=goals,
            rules=rules,
            hidden=Hidden(
                rules=jnp.broadcast_to(
                    self.is_hidden & (rules.relation != NEVER), (config.num_agents, config.max_rules)
                ),
                kinds=jnp.zeros((config.num_agents, MAX_HIDDEN_KINDS), jnp.uint8),
                relations=jnp.zeros((config.num_agents, NUM_RELATIONS), jnp.uint8),
            ),
            trial_length=self.trial_length,
            num_trials=self.num_trials,
            world_id=world_id,
            game_id=ruleset_id,
        )


_place_all = jax.jit(jax.vmap(RulesetTasks.task, in_axes=(None, None, 0)))


def from_xland_minigrid(
    rulesets: Rulesets,
    config: EnvConfig,
    world: str,
    *,
    trial_length: int | None = None,
    num_trials: int = 1,
    hidden: str = "all",
) -> RulesetTasks:
    """Rulesets of XLand-MiniGrid as a source of tasks.

    Args:
      rulesets: from `read_xland_minigrid`, that package's `Benchmark`, or any arrays as `RulesetArrays`.
      config: as `xland_minigrid_config` makes it, or with more room.
      world: as that package calls it, such as "R4-13x13".
      trial_length: steps; that package's own default, 3 * height * width, if not given.
      num_trials: trials in an episode.
      hidden: "all" or "none" of the rules.

    Raises:
      ConfigError: something in the rulesets has no counterpart or does not fit, or an unknown world.
    """
    if hidden not in ("all", "none"):
        raise ConfigError(f'hidden is {hidden!r}; write "all" or "none".')
    world = world.removeprefix("XLand-MiniGrid-")
    translation = translate(rulesets)
    needed = _needed(translation, world)
    for name in ("height", "width", "max_objects", "max_rules", "max_doors"):
        least, given = getattr(needed, name), getattr(config, name)
        if given < least:
            raise ConfigError(f"EnvConfig.{name} is {given}, and these rulesets in {world} need {least}. Raise it.")
    for relation in needed.relations:
        if relation not in config.relations:
            raise ConfigError(f"{relation!r} is left out of EnvConfig.relations, and these rulesets use it. Add it.")
    walls = layout_of(world).walls
    _check_room(translation, walls)
    length = 3 * walls.size if trial_length is None else trial_length
    return RulesetTasks(
        goals=_make_goals(config, translation),
        rules=_make_rules(config, translation),
        things=jnp.asarray(translation.things),
        is_frozen=jnp.asarray(translation.is_frozen),
        mark=jnp.asarray(translation.goal_position),
        is_hidden=jnp.asarray(hidden == "all"),
        trial_length=jnp.asarray(check_whole("trial_length", length, 1, MAX_TIME), jnp.uint16),
        num_trials=jnp.asarray(check_whole("num_trials", num_trials, 1, MAX_TIME), jnp.uint16),
        world=world,
        config=config,
    )


def xland_minigrid_config(rulesets: Rulesets, world: str) -> EnvConfig:
    """The smallest configuration for the rulesets in a world, with that package's view: 5 x 5 and through walls.

    Nothing is pushed. `dataclasses.replace` changes what should be otherwise.

    Raises:
      ConfigError: something in the rulesets has no counterpart, or an unknown world.
    """
    return _needed(translate(rulesets), world)


def _needed(translation: Translation, world: str) -> EnvConfig:
    layout = layout_of(world)
    height, width = layout.walls.shape
    used = np.union1d(translation.goal.relation, translation.rules.relation)
    return EnvConfig(
        height=height,
        width=width,
        max_objects=max(translation.things.shape[1], 1),
        max_rules=max(int((translation.rules.relation != NEVER).sum(1).max(initial=0)), 1),
        max_doors=max(len(layout.doors), 1),
        view_size=5,
        see_through_walls=True,
        push=False,
        relations=tuple(name for code, name in enumerate(RELATIONS, start=1) if code in used),
    )


def _check_room(translation: Translation, walls: np.ndarray) -> None:
    """Refuses marked cells that are no floor, and more things than cells."""
    row, column = translation.goal_position.astype(int).T
    height, width = walls.shape
    is_asked = row != NOWHERE
    is_inside = (row < height) & (column < width)
    is_floor = is_inside & ~walls[np.minimum(row, height - 1), np.minimum(column, width - 1)]
    for ruleset in np.flatnonzero(is_asked & ~is_floor).tolist():
        raise ConfigError(
            f"ruleset {ruleset}: the goal is about row {row[ruleset]}, column {column[ruleset]}, where this world has "
            "no floor. Use it in another world."
        )
    most = int((translation.things != 0).sum(1).max(initial=0)) + 1
    num_cells = int((~walls).sum()) - int(is_asked.any())
    if most > num_cells:
        raise ConfigError(f"{most} things, the agent included, do not fit into {num_cells} cells. Use a larger world.")


def _make_goals(config: EnvConfig, translation: Translation) -> Goals:
    """[S, A, C, L], or [S, G, A, C, L] where there may be several: the goal is agent 0's only literal."""
    goal, num_rulesets = translation.goal, len(translation.things)
    fields = np.zeros((5, num_rulesets, config.num_agents, config.goal_clauses, config.goal_literals), np.uint8)
    fields[:, :, 0, 0, 0] = (goal.relation, goal.directions, goal.first, goal.second, np.zeros(num_rulesets))
    fields[4, :, 0, 0, 1:] = (goal.relation != NEVER)[:, None]  # "not never" behind the literal
    if config.max_goals > 1:
        fields = np.pad(fields[:, :, None], ((0, 0), (0, 0), (0, config.max_goals - 1), *((0, 0),) * 3))
    return Goals(*map(jnp.asarray, fields))


def _make_rules(config: EnvConfig, translation: Translation) -> Rules:
    """[S, R]."""

    def fit(values: np.ndarray) -> np.ndarray:
        """Only padding is cut off."""
        return np.pad(values, ((0, 0), (0, config.max_rules)))[:, : config.max_rules]

    rules, product = translation.rules, fit(translation.product)
    return Rules(
        relation=jnp.asarray(fit(rules.relation)),
        directions=jnp.asarray(fit(rules.directions)),
        first=jnp.asarray(fit(rules.first)),
        second=jnp.asarray(fit(rules.second)),
        products=jnp.asarray(np.pad(product[..., None], ((0, 0), (0, 0), (0, MAX_PRODUCTS - 1)))),
    )


def _clashes(goals: Goals, rules: Rules, things: jax.Array) -> jax.Array:
    """[T, T] uint8, entry (i, j): the directions from thing i in which j would make a rule or the goal hold."""
    relation, directions, first, second = (
        jnp.concatenate([rule, goal.reshape(-1)])
        for rule, goal in zip(
            (rules.relation, rules.directions, rules.first, rules.second),
            (goals.relation, goals.directions, goals.first, goals.second),
            strict=True,
        )
    )
    asked = jnp.where(relation == TOUCH, directions, 0)  # [Q]
    is_first, is_second = things[:, None] == first, things[:, None] == second  # [T, Q]
    forth = jnp.where(is_first[:, None] & is_second[None], asked, 0)
    back = jnp.where(is_second[:, None] & is_first[None], opposite_directions(asked), 0)
    return jax.lax.reduce_or(forth | back, (2,))


def _place(is_free: jax.Array, clashes: jax.Array, dice: chance.Dice) -> jax.Array:
    """[T] int32 different cells for things, uniformly among those free where nothing clashes, if there are any."""
    num_things, (height, width) = clashes.shape[0], is_free.shape
    bits = dice.roll(num_things)

    def place_one(i: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        is_free, cells = carry
        # Cells have walls around them, so no step leaves the grid; what is not placed yet is far beyond it.
        around = cells[:, None] + jnp.asarray(_STEPS @ (width, 1))
        is_clash = (clashes[:, i, None] >> jnp.arange(4, dtype=jnp.uint8)) & 1 == 1  # [T, 4]
        is_blocked = jnp.zeros_like(is_free).at[around].max(is_clash, mode="drop")
        is_good = is_free & ~is_blocked
        is_good = jnp.where(is_good.any(), is_good, is_free)
        cell = chance.nth_true(is_good, below(bits[i], is_good.sum()))
        return is_free.at[cell].set(False), cells.at[i].set(cell)

    unplaced = jnp.full(num_things, 2 * height * width, jnp.int32)
    return jax.lax.fori_loop(0, num_things, place_one, (is_free.reshape(-1), unplaced))[1]
