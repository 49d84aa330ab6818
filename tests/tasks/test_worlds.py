"""Worlds of every kind: connected, with room in them, as often as asked for, and never in both splits."""

import hashlib
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_universe import check_all
from universe_checks import COUNTER, DOOR, FLOOR, WALL, WATER, to_host

from xworld import ConfigError, EnvConfig
from xworld.tasks import Universe, UniverseConfig, WorldConfig, chance
from xworld.tasks.worlds import world as terrain

ENV = EnvConfig(height=13, width=13)
MIXED = WorldConfig(
    kinds=("rooms", "maze", "cave", "islands", "kitchen", "field"),
    kind_weights=(1, 1, 1, 2, 4, 1),
    floor_colours=("black", "white", "brown"),
)
GOLDEN = "7e4cd25489b205be"


@cache
def draw(height, width, num_worlds):
    """[B, H, W] terrain of mixed worlds at the first attempt, and whether each is large enough, on the host."""
    env_config = EnvConfig(height=height, width=width)

    @jax.jit
    @jax.vmap
    def draw_one(world_id):
        world, has_room = terrain.draw_world(env_config, MIXED, world_id, 0)
        return terrain.build_terrain(env_config, world), has_room

    return to_host(draw_one(jnp.arange(num_worlds)))


def kind_of(world):
    """What a world looks like: islands have water all around, kitchens counters, and the others walls."""
    return {WATER: "islands", COUNTER: "kitchen", WALL: "walls"}[world[0, 1] >> 4]


# 35 columns are two words.
@pytest.mark.parametrize(("height", "width"), [(10, 35), pytest.param(13, 13, marks=pytest.mark.slow)])
def test_worlds_are_connected(height, width):
    worlds, has_room = draw(height, width, 1200)
    assert has_room.mean() > 0.9
    for world in worlds[:600]:
        types = world >> 4
        ways = {(row, column) for row, column in np.argwhere(np.isin(types, (FLOOR, DOOR))).tolist()}
        assert reached_from(min(ways), ways) == ways
        floor = np.pad(types == FLOOR, 1)
        block = np.lib.stride_tricks.sliding_window_view(floor, (3, 3))
        assert block.all(axis=(2, 3)).any(), "there is a workspace"
        edge = np.concatenate([types[0], types[-1], types[:, 0], types[:, -1]])
        assert np.isin(edge, (WALL, COUNTER, WATER)).all()
        assert {int(cell) & 15 for cell in world[types == FLOOR]} <= {6, 8, 9}
        assert (world[np.isin(types, (WALL, COUNTER, WATER))] & 15 == 0).all()


def reached_from(start, ways):
    reached, frontier = {start}, [start]
    while frontier:
        row, column = frontier.pop()
        for cell in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if cell in ways and cell not in reached:
                reached.add(cell)
                frontier.append(cell)
    return reached


def test_kinds_come_as_often_as_asked_for():
    worlds, _ = draw(13, 13, 1200)
    share = {kind: np.mean([kind_of(world) == kind for world in worlds]) for kind in ("islands", "kitchen", "walls")}
    assert abs(share["islands"] - 0.2) < 0.05 and abs(share["kitchen"] - 0.4) < 0.05
    types = worlds >> 4
    has_walls = (types[:, 0, 1] == WALL) & ~(types == DOOR).any(axis=(1, 2))
    # Of what has walls all around, mazes have them inside too, and fields alone have counters and water.
    mazes = has_walls & ((types[:, 2:11:2, 2:11:2] == WALL).mean(axis=(1, 2)) > 0.5)
    fields = has_walls & np.isin(types, (COUNTER, WATER)).any(axis=(1, 2))
    assert abs(mazes.mean() - 0.1) < 0.04 and abs(fields.mean() - 0.1) < 0.04
    assert len({world.tobytes() for world in worlds}) > 1190


def test_a_world_is_its_id():
    worlds, _ = draw(13, 13, 1200)
    assert hashlib.sha256(worlds.tobytes()).hexdigest()[:16] == GOLDEN


@pytest.mark.slow  # quicker: `test_presets_split_by_content`
def test_splits_share_no_world():
    """By content, on a grid so small that ids of the same world are common."""
    env_config, contents = EnvConfig(height=7, width=7, max_doors=1), {}
    world_config = WorldConfig(kinds=("rooms", "kitchen"), rooms=(1,), floor_colours=("black", "white"))
    for split, number in (("train", 6000), ("validation", 3000), ("test", 3000)):
        config = UniverseConfig(split=split, test_percent=30, validation_percent=25, world=world_config)
        universe = Universe(env_config, config)

        @jax.jit
        @jax.vmap
        def draw_one(world_id, universe=universe):
            world, is_right = chance.first_right(lambda attempt: universe._draw_world(world_id, attempt), 1000)
            return terrain.build_terrain(universe.env_config, world), is_right

        worlds, is_right = to_host(draw_one(jnp.arange(number)))
        assert is_right.all()
        contents[split] = {world.tobytes() for world in worlds}
        assert 100 < len(contents[split]) < 0.5 * number
    train, validation, test = contents.values()
    assert not train & validation and not train & test and not validation & test


TASKS = Universe(
    EnvConfig(height=9, width=9, num_agents=2, max_objects=8, max_rules=3, max_doors=4),
    UniverseConfig(world=MIXED, chain_length=(0, 1), num_distractors=(0, 2), num_dead_ends=(0, 1), num_decoys=(0, 1)),
)


@pytest.mark.slow
def test_tasks_in_all_kinds_can_be_solved():
    tasks, _ = check_all(TASKS, 1024, num_walked=200, num_solved=200)
    types = tasks.terrain >> 4
    on_counter = types[np.arange(1024)[:, None], *np.moveaxis(tasks.object_position % 9, 2, 0)] == COUNTER
    assert (on_counter & (tasks.object_kind != 0)).any(axis=1).mean() > 0.2
    assert {kind_of(world) for world in tasks.terrain} == {"islands", "kitchen", "walls"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kinds": ("mazes",)}, "kinds: 'mazes' is unknown. Did you mean 'maze'?"),
        ({"kinds": ()}, "kinds is (); write a tuple of at least one"),
        ({"kinds": ("maze", "cave"), "kind_weights": (1,)}, "write one whole number for each of the 2 kinds"),
        ({"kinds": ("maze",), "kind_weights": (0,)}, "A weight in kind_weights is 0; write a whole number from 1"),
        ({"floor_colours": ("gray",)}, "Did you mean 'grey'?"),
        ({"cave_rock_percent": 80}, "cave_rock_percent is 80; write a whole number from 0 to 65"),
        ({"island_percent": 10}, "island_percent is 10; write a whole number from 40 to 100"),
    ],
)
def test_bad_config(fields, message):
    with pytest.raises(ConfigError) as error:
        WorldConfig(**fields)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("env_config", "config", "message"),
    [
        (EnvConfig(height=8, width=13), WorldConfig(kinds=("maze",)), "needs a grid of at least 9 x 9 cells"),
        (EnvConfig(height=5, width=5), WorldConfig(kinds=("field",)), "needs a grid of at least 6 x 6 cells"),
        (EnvConfig(height=4, width=9), WorldConfig(kinds=("kitchen",)), "needs a grid of at least 5 x 5 cells"),
        (ENV, WorldConfig(rooms=(1,)), "perhaps only 1 different worlds of the kind 'rooms'"),
        (ENV, WorldConfig(floor_colours=MIXED.door_colours[:7]), "floor_colours leaves 5 colours"),
    ],
)
def test_worlds_that_cannot_be_made(env_config, config, message):
    with pytest.raises(ConfigError) as error:
        Universe(env_config, UniverseConfig(world=config, num_distractors=(0, 1), num_dead_ends=(0, 0)))
    assert message in str(error.value)
