"""XLand-MiniGrid's numbers in our terms: which relations and kinds its goals, rules and tiles stand for.

All is done with whole arrays, so that a million rulesets take seconds. The S rulesets are the first axis.
"""

from dataclasses import dataclass

import numpy as np

from xworld.base.errors import ConfigError
from xworld.core import kinds
from xworld.core.step.relations import ALL_DIRECTIONS, HOLD, NEVER, ON, TOUCH, opposite_directions
from xworld.core.types import NOWHERE
from xworld.tasks.xland_minigrid.files import FIELDS, Rulesets

EMPTY, FLOOR, WALL, BALL, SQUARE, PYRAMID, GOAL, KEY, DOOR_LOCKED, DOOR_CLOSED, DOOR_OPEN, HEX, STAR = range(13)
BLACK = 7  # colours count from 1
NUM_TILES, NUM_COLOURS = 13, 12
NORTH, EAST, SOUTH, WEST = 1, 2, 4, 8
AGENT = kinds.agent_kind(0)
MARK = kinds.floor_kind("cyan")  # of the cell that a goal is about; XLand-MiniGrid has no cyan
_SHAPES = {
    BALL: kinds.BALL,
    SQUARE: kinds.CUBE,
    PYRAMID: kinds.PYRAMID,
    KEY: kinds.KEY,
    STAR: kinds.STAR,
    HEX: kinds.HEX,
}
OBJECTS = (*_SHAPES, GOAL)


@dataclass(frozen=True)
class Form:
    """What goals or rules of one number ask."""

    relation: int = NEVER
    directions: int = 0  # of the second tile from the first, or of the tile from the agent
    num_tiles: int = 1  # with one, the agent is the other operand
    has_position: bool = False


_SIDES = (NORTH, EAST, SOUTH, WEST)
_BESIDE_TILE = tuple(Form(TOUCH, side, num_tiles=2) for side in _SIDES)
_BESIDE_AGENT = tuple(Form(TOUCH, side) for side in _SIDES)
_NONE = Form(num_tiles=0)
_HOLD, _NEAR_AGENT, _NEAR_TILE = Form(HOLD), Form(TOUCH, ALL_DIRECTIONS), Form(TOUCH, ALL_DIRECTIONS, num_tiles=2)
_STAND = Form(ON)
_LIES_AT, _STANDS_AT = Form(ON, has_position=True), Form(ON, num_tiles=0, has_position=True)
# In the order of their numbers.
GOAL_FORMS = (_NONE, _HOLD, _STAND, _NEAR_AGENT, _NEAR_TILE, _LIES_AT, _STANDS_AT, *_BESIDE_TILE, *_BESIDE_AGENT)
RULE_FORMS = (_NONE, _HOLD, _NEAR_AGENT, _NEAR_TILE, *_BESIDE_TILE, *_BESIDE_AGENT)


@dataclass(frozen=True)
class Conditions:
    """Relations between kinds, as arrays of any one shape, uint8."""

    relation: np.ndarray
    directions: np.ndarray
    first: np.ndarray
    second: np.ndarray


@dataclass(frozen=True)
class Translation:
    """S rulesets in our terms."""

    goal: Conditions  # [S]
    goal_position: np.ndarray  # [S, 2] uint8, the cell to be marked, NOWHERE for none
    rules: Conditions  # [S, R], padding at the end
    product: np.ndarray  # [S, R] uint8, 0 for nothing
    things: np.ndarray  # [S, N] uint8, kinds of objects, and of floor that is to be painted; 0 for none
    is_frozen: np.ndarray  # [S, N] bool
    substitute: np.ndarray  # [S, 12] uint8, the kind that stands for goal tiles of a colour; 0 where there is none


def translate(rulesets: Rulesets) -> Translation:
    """The rulesets in our terms.

    Raises:
      ConfigError: the arrays are none of rulesets, or something in them has no counterpart.
    """
    missing = [name for name in FIELDS if not hasattr(rulesets, name)]
    if missing:
        raise ConfigError(
            f"The rulesets are a {type(rulesets).__name__} without {', '.join(missing)}. Give what read_xland_minigrid "
            "returns or that package's Benchmark; one RuleSet is RulesetArrays(goals=one.goal[None], "
            "rules=one.rules[None], init_tiles=one.init_tiles[None])."
        )
    goals = _check_array("goals", rulesets.goals, (5,))
    rules = _check_array("rules", rulesets.rules, (None, 7))
    tiles = _check_array("init_tiles", rulesets.init_tiles, (None, 2))
    if not len(goals) == len(rules) == len(tiles) > 0:
        raise ConfigError(
            f"There are {len(goals)} goals, {len(rules)} rules and {len(tiles)} init_tiles; give as many."
        )
    _refuse(goals[:, 0] >= len(GOAL_FORMS), "there is no goal of this number", goals[:, 0])
    _refuse(rules[..., 0] >= len(RULE_FORMS), "there is no rule of this number", rules[..., 0])

    goal_tiles, goal_position = _read_goals(goals)
    rule_tiles, product = _read_rules(rules)
    is_stand = (goals[:, 0] == GOAL_FORMS.index(_STAND))[:, None]
    floor_tile = np.where(is_stand, goal_tiles[:, 0], 0)  # what the agent has to stand on
    goal_tiles = np.where(is_stand[:, None], 0, goal_tiles)
    _check_tiles("goal", goal_tiles)
    _check_tiles("rule", rule_tiles)
    _check_floor(floor_tile, rule_tiles, product)

    is_painted = (tiles[..., 0] == FLOOR) & (tiles[..., 1] != BLACK) & _is_coloured(tiles)
    is_painted |= (tiles[..., 0] == GOAL) & (tiles == floor_tile[:, None]).all(-1)
    is_object = _is_object(tiles) & ~is_painted
    is_nothing = (tiles[..., 0] == EMPTY) | ((tiles[..., 0] == FLOOR) & (tiles[..., 1] == BLACK))
    _refuse(~(is_painted | is_object | is_nothing), "this tile cannot lie around", tiles)
    objects = np.where(is_object[..., None], tiles, 0)

    num_rulesets = len(goals)
    everything = (goal_tiles, rule_tiles.reshape(num_rulesets, -1, 2), product, objects)
    substitute = _substitutes(np.concatenate(everything, axis=1))
    goal = _conditions(GOAL_FORMS, goals[:, 0], goal_tiles, substitute)
    marks = np.where(is_stand[:, 0], kinds.FLOOR_SHAPE * 16 + _colour(floor_tile), MARK)
    goal = Conditions(goal.relation, goal.directions, goal.first, np.where(goal.relation == ON, marks, goal.second))
    made = kind_of_tiles(product, substitute)
    rows, made = _tidy(_conditions(RULE_FORMS, rules[..., 0], rule_tiles, substitute), made)
    lying = kind_of_tiles(objects, substitute)
    # What a rule makes of a frozen thing stays frozen, so goal tiles that an agent can turn into things are not.
    turned = np.where((rows.relation == TOUCH) & (rows.first == AGENT), rows.second, 0)
    is_turned = (lying[:, :, None] == turned[:, None, :]).any(-1)
    return Translation(
        goal=goal,
        goal_position=goal_position,
        rules=rows,
        product=made,
        things=np.where(is_painted, kinds.FLOOR_SHAPE * 16 + _colour(tiles), lying).astype(np.uint8),
        is_frozen=is_object & (tiles[..., 0] == GOAL) & ~is_turned,
        substitute=substitute,
    )


def _check_array(name: str, values: object, shape: tuple[int | None, ...]) -> np.ndarray:
    """[S, *shape] int32."""
    array = np.asarray(values)
    is_right = array.ndim == len(shape) + 1
    is_right &= all(wanted in (None, size) for wanted, size in zip(shape, array.shape[1:], strict=False))
    if not is_right or array.dtype.kind not in "iu":
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise ConfigError(f"{name} has shape {array.shape} and dtype {array.dtype}; give [any, {wanted}] integers.")
    _refuse((array < 0) | (array > 255), f"{name} are bytes", array)
    return array.astype(np.int32)


def _refuse(is_wrong: np.ndarray, why: str, values: np.ndarray) -> None:
    """Raises a `ConfigError` about the first place that is wrong; `values` may have a last axis more."""
    if is_wrong.any():
        place = tuple(np.argwhere(is_wrong)[0].tolist())
        where = f"ruleset {place[0]}" + "".join(f", entry {index}" for index in place[1:])
        raise ConfigError(f"{where}: {why}: {values[place].tolist()}.")


def _read_goals(goals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[S, 2, 2] tiles, zeros where a goal has none, and [S, 2] uint8 positions."""
    num_tiles = np.array([form.num_tiles for form in GOAL_FORMS])[goals[:, 0]]
    has_position = np.array([form.has_position for form in GOAL_FORMS])[goals[:, 0]]
    pairs = goals[:, 1:].reshape(-1, 2, 2)
    tiles = np.where((np.arange(2) < num_tiles[:, None])[..., None], pairs, 0)
    position = np.take_along_axis(pairs, np.minimum(num_tiles, 1)[:, None, None], axis=1)[:, 0]
    return tiles, np.where(has_position[:, None], position, NOWHERE).astype(np.uint8)


def _read_rules(rules: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[S, R, 2, 2] tiles, zeros where a rule has none, and [S, R, 2] products, zeros for nothing."""
    number = rules[..., 0]
    num_tiles = np.array([form.num_tiles for form in RULE_FORMS])[number]
    pairs = rules[..., 1:].reshape(*number.shape, 3, 2)
    tiles = np.where((np.arange(2) < num_tiles[..., None])[..., None], pairs[..., :2, :], 0)
    product = np.take_along_axis(pairs, num_tiles[..., None, None], axis=-2)[..., 0, :]
    is_nothing = ((product == (FLOOR, BLACK)) | (number == 0)[..., None]).all(-1)
    is_nothing |= (product == (EMPTY, 0)).all(-1) & (number == RULE_FORMS.index(_HOLD))
    _refuse(~is_nothing & ~_is_object(product), "a rule cannot make this tile", product)
    return tiles, np.where(is_nothing[..., None], 0, product)


def _is_object(tiles: np.ndarray) -> np.ndarray:
    """[...] bool, whether [..., 2] tiles are objects of a known colour."""
    return np.isin(tiles[..., 0], OBJECTS) & _is_coloured(tiles)


def _is_coloured(tiles: np.ndarray) -> np.ndarray:
    return (tiles[..., 1] > 0) & (tiles[..., 1] < NUM_COLOURS)


def _check_tiles(what: str, tiles: np.ndarray) -> None:
    """Refuses operands that are not objects; zeros are none."""
    is_there = (tiles != 0).any(-1)
    _refuse(is_there & ~_is_object(tiles), f"a {what} cannot be about this tile", tiles)


def _check_floor(floor: np.ndarray, rule_tiles: np.ndarray, product: np.ndarray) -> None:
    """Refuses what a goal wants stood on, when it is no floor, or a goal tile that rules use as an object."""
    is_asked = (floor != 0).any(-1)
    is_floor = np.isin(floor[:, 0], (FLOOR, GOAL)) & _is_coloured(floor)
    _refuse(is_asked & ~is_floor, "no agent can ever stand on this tile", floor)
    for tiles in (rule_tiles.reshape(len(floor), -1, 2), product):
        is_same = (tiles == floor[:, None]).all(-1).any(-1)
        _refuse(is_asked & is_same, "rules cannot be about the tile that the agent is to stand on", floor)


def _colour(tiles: np.ndarray) -> np.ndarray:
    """[...] our colours of [..., 2] tiles."""
    return np.maximum(tiles[..., 1] - 1, 0)


_KINDS = np.zeros((NUM_TILES, NUM_COLOURS), np.uint8)
for _tile, _shape in _SHAPES.items():
    _KINDS[_tile, 1:] = _shape * 16 + np.arange(NUM_COLOURS - 1)


def _substitutes(tiles: np.ndarray) -> np.ndarray:
    """[S, 12] uint8: for goal tiles of each colour, a kind that the ruleset does not use.

    There is no seventh shape. It is one of the same colour, or cyan when all six are taken.
    """
    num_rulesets = len(tiles)
    is_used = np.zeros((num_rulesets, 128), bool)  # all kinds of objects are below 128
    is_used[np.arange(num_rulesets)[:, None], _KINDS[tiles[..., 0], tiles[..., 1]]] = True
    substitute = np.zeros((num_rulesets, NUM_COLOURS), np.uint8)
    shapes = np.arange(1, len(kinds.SHAPES) + 1) * 16
    for colour in range(1, NUM_COLOURS):
        rows = np.flatnonzero(((tiles[..., 0] == GOAL) & (tiles[..., 1] == colour)).any(-1))
        options = np.concatenate([shapes + colour - 1, shapes + kinds.COLOURS.index("cyan")])
        is_free = ~is_used[np.ix_(rows, options)]
        if not is_free.any(-1).all():
            lacking = rows[np.argmin(is_free.any(-1))]
            raise ConfigError(f"ruleset {lacking}: no kind is left to stand for goal tiles. Use fewer kinds in it.")
        substitute[rows, colour] = chosen = options[is_free.argmax(-1)]
        is_used[rows, chosen] = True
    return substitute


def kind_of_tiles(tiles: np.ndarray, substitute: np.ndarray) -> np.ndarray:
    """[S, ...] uint8 kinds of [S, ..., 2] tiles, 0 for what is no object."""
    tile, colour = tiles[..., 0], tiles[..., 1]
    ruleset = np.arange(len(tiles)).reshape(-1, *(1,) * (tile.ndim - 1))
    return np.where(tile == GOAL, substitute[ruleset, colour], _KINDS[tile, colour])


def _conditions(forms: tuple[Form, ...], number: np.ndarray, tiles: np.ndarray, substitute: np.ndarray) -> Conditions:
    """What goals or rules of such numbers ask. A goal tile comes second: what is made takes the slot of the first."""
    relation = np.array([form.relation for form in forms], np.uint8)[number]
    directions = np.array([form.directions for form in forms], np.uint8)[number]
    num_tiles = np.array([form.num_tiles for form in forms])[number]
    operands = kind_of_tiles(tiles, substitute)
    is_thing_first = (num_tiles == 2) | ((relation == ON) & (operands[..., 0] != 0))
    first = np.where(is_thing_first, operands[..., 0], np.where(relation == NEVER, 0, AGENT))
    second = np.where(num_tiles == 2, operands[..., 1], operands[..., 0])
    is_turned = (num_tiles == 2) & (tiles[..., 0, 0] == GOAL)
    return Conditions(
        relation=relation,
        directions=np.where(is_turned, opposite_directions(directions), directions).astype(np.uint8),
        first=np.where(is_turned, second, first).astype(np.uint8),
        second=np.where(is_turned, first, second).astype(np.uint8),
    )


def _tidy(rules: Conditions, product: np.ndarray) -> tuple[Conditions, np.ndarray]:
    """Rules without those that change nothing, padding last, the others in their order."""
    is_idle = (rules.relation == NEVER) | ((rules.first == AGENT) & (rules.second == product))
    order = np.argsort(is_idle, axis=1, kind="stable")

    def arrange(field: np.ndarray) -> np.ndarray:
        return np.take_along_axis(np.where(is_idle, 0, field), order, axis=1).astype(np.uint8)

    fields = (rules.relation, rules.directions, rules.first, rules.second)
    return Conditions(*map(arrange, fields)), arrange(product)
