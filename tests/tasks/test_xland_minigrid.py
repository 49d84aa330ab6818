import bz2
import dataclasses
import os
import pickle
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xworld import ConfigError, Env, EnvConfig, State, Task, TimeStep
from xworld.core import kinds
from xworld.core.step.actions import NOOP
from xworld.core.types import NOWHERE
from xworld.tasks import parse, to_text
from xworld.tasks.xland_minigrid import (
    RulesetArrays,
    RulesetTasks,
    from_xland_minigrid,
    read_xland_minigrid,
    xland_minigrid_config,
)
from xworld.tasks.xland_minigrid.worlds import WORLD_NAMES, layout_of

RECORDED = Path(__file__).parents[1] / "data" / "xland_minigrid.npz"  # by benchmarks/checks/xland_import.py --record
NUM_RECORDED = 30
WORLD = "R1-9x9"
CONFIG = EnvConfig(
    height=9, width=9, max_objects=12, max_rules=11, max_doors=1, see_through_walls=True, push=False,
    relations=("touch", "hold", "on"),
)  # fmt: skip
BALL, CUBE, PYRAMID, GOAL, KEY, HEX, STAR = 3, 4, 5, 6, 7, 11, 12  # tiles, as XLand-MiniGrid counts them
RED, GREEN, BLUE, PURPLE, BLACK = 1, 2, 3, 4, 7
SHAPES = {BALL: kinds.BALL, CUBE: kinds.CUBE, PYRAMID: kinds.PYRAMID, KEY: kinds.KEY, STAR: kinds.STAR, HEX: kinds.HEX}


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    with np.load(RECORDED) as data:
        return dict(data)


@pytest.fixture(scope="module")
def source(recorded) -> RulesetTasks:
    return make_source(rulesets_of(recorded), trial_length=61)


@pytest.fixture(scope="module")
def tasks(source):
    return source.task_set()


@jax.jit
def start(tasks: Task, key: jax.Array) -> State:
    """The first states of episodes of stacked tasks."""
    keys = jax.random.split(key, NUM_RECORDED)
    return jax.vmap(lambda key, task: Env(CONFIG).reset(key, task)[0])(keys, tasks)


@jax.jit
def step(states: State, actions: jax.Array) -> tuple[State, TimeStep]:
    return jax.vmap(Env(CONFIG).step)(states, actions[:, None])


def rulesets_of(arrays) -> RulesetArrays:
    return RulesetArrays(arrays["goals"], arrays["rules"], arrays["init_tiles"])


def make_source(rulesets: RulesetArrays, **options) -> RulesetTasks:
    """A source of sizes that are always the same, so that it is compiled once."""
    num_rules, num_tiles = CONFIG.max_rules - rulesets.rules.shape[1], CONFIG.max_objects - rulesets.init_tiles.shape[1]
    padded = RulesetArrays(
        goals=rulesets.goals,
        rules=np.pad(rulesets.rules, ((0, 0), (0, num_rules), (0, 0))),
        init_tiles=np.pad(rulesets.init_tiles, ((0, 0), (0, num_tiles), (0, 0))),
    )
    return from_xland_minigrid(padded, CONFIG, WORLD, **options)


def one(goal=(0,), rules=((0,),), tiles=((0, 0),)) -> RulesetArrays:
    """As many equal rulesets as are recorded."""
    rows = [[*rule, *[0] * (7 - len(rule))] for rule in rules]
    arrays = [*goal, *[0] * (5 - len(goal))], rows, tiles
    return RulesetArrays(*(np.array([array] * NUM_RECORDED) for array in arrays))


def task_of(rulesets: RulesetArrays, **options) -> Task:
    return make_source(rulesets, **options).task_set().task(0)


def text_of(rulesets: RulesetArrays, **options) -> list[str]:
    return to_text(task_of(rulesets, **options)).splitlines()


def test_walks_are_those_of_xland_minigrid(recorded, source, tasks):
    walked, rewards = [start(tasks.tasks, jax.random.key(0))], []
    for actions in recorded["actions"]:
        state, timestep = step(walked[-1], actions)
        walked.append(state)
        rewards.append(timestep.reward[:, 0])
    states = jax.tree.map(lambda *leaves: np.stack(leaves), *walked)
    assert recorded["lengths"].sum() > 0.8 * recorded["actions"].size

    pose = np.concatenate([states.agent_position[:, :, 0], states.agent_direction], axis=-1)
    held = np.take_along_axis(states.object_kind, np.maximum(states.agent_held, 0), axis=2)[..., 0]
    held = np.where(states.agent_held[..., 0] >= 0, held, 0)
    lying = np.zeros(recorded["grids"].shape[:-1], np.uint8)
    for slot in range(source.config.max_objects):
        row, column = np.moveaxis(np.asarray(states.object_position[:, :, slot]), -1, 0)
        time, walk = np.nonzero(row >= 0)
        lying[time, walk, row[time, walk], column[time, walk]] = states.object_kind[time, walk, slot]
    is_lasting = np.arange(len(pose))[:, None] <= recorded["lengths"]  # until something differs that may
    np.testing.assert_array_equal(pose[is_lasting], recorded["poses"][is_lasting])
    np.testing.assert_array_equal(held[is_lasting], kinds_of(recorded["pockets"])[is_lasting])
    np.testing.assert_array_equal(lying[is_lasting], kinds_of(recorded["grids"])[is_lasting])
    is_reached = recorded["is_reached"] & is_lasting[1:]
    assert is_reached.sum() > 10 and (np.asarray(rewards)[is_reached] == 1).all()
    fired = (lying[1:] != lying[:-1]).any((2, 3)) & is_lasting[1:]
    assert fired.sum() > 50


def kinds_of(tiles: np.ndarray) -> np.ndarray:
    kind = np.zeros(tiles.shape[:-1], np.uint8)
    for tile, shape in SHAPES.items():
        kind = np.where(tiles[..., 0] == tile, shape * 16 + tiles[..., 1] - 1, kind)
    return kind


def test_every_rule_has_its_words():
    ball, cube, star = (BALL, RED), (CUBE, BLUE), (STAR, GREEN)
    about_two, about_agent = (3, 4, 5, 6, 7), (1, 2, 8, 9, 10, 11)
    rows = {number: (number, *ball, *cube, *star) for number in about_two}
    rows |= {number: (number, *ball, *cube) for number in about_agent}
    text = text_of(one(rules=[rows[number] for number in range(1, 12)]), hidden="none")
    start = text.index("rules = [") + 1
    assert [line.strip().strip('",') for line in text[start : start + 11]] == [
        "hold(agent, red ball) -> blue cube",
        "touch(agent, red ball) -> blue cube",
        "touch(red ball, blue cube) -> green star",
        "touch.north(red ball, blue cube) -> green star",
        "touch.east(red ball, blue cube) -> green star",
        "touch.south(red ball, blue cube) -> green star",
        "touch.west(red ball, blue cube) -> green star",
        "touch.north(agent, red ball) -> blue cube",
        "touch.east(agent, red ball) -> blue cube",
        "touch.south(agent, red ball) -> blue cube",
        "touch.west(agent, red ball) -> blue cube",
    ]


@pytest.mark.parametrize(
    "goal, words",
    [
        ((1, BALL, RED), "hold(agent, red ball)"),
        ((2, 1, PURPLE), "on(agent, purple floor)"),
        ((2, GOAL, PURPLE), "on(agent, purple floor)"),
        ((3, HEX, RED), "touch(agent, red hex)"),
        ((4, BALL, RED, KEY, BLUE), "touch(red ball, blue key)"),
        ((5, BALL, RED, 2, 3), "on(red ball, cyan floor)"),
        ((6, 2, 3), "on(agent, cyan floor)"),
        ((7, BALL, RED, KEY, BLUE), "touch.north(red ball, blue key)"),
        ((10, BALL, RED, KEY, BLUE), "touch.west(red ball, blue key)"),
        ((12, BALL, RED), "touch.east(agent, red ball)"),
        ((13, BALL, RED), "touch.south(agent, red ball)"),
    ],
)
def test_every_goal_has_its_words(goal, words):
    lying = ((GOAL, PURPLE),) if goal[:2] == (2, GOAL) else ((BALL, RED),)
    task = task_of(one(goal, tiles=lying))
    assert f'goal = "{words}"' in to_text(task)
    is_marked = np.asarray(task.terrain) == kinds.FLOOR * 16 + kinds.COLOURS.index("cyan")
    assert np.argwhere(is_marked).tolist() == ([[2, 3]] if goal[0] in (5, 6) else [])


def test_goal_tiles_are_frozen_objects_of_a_kind_that_is_free():
    tiles = [(shape, GREEN) for shape in SHAPES] + [(GOAL, RED), (GOAL, GREEN)]
    rules = [(3, GOAL, RED, BALL, RED, CUBE, BLUE), (5, GOAL, GREEN, KEY, GREEN, KEY, BLUE)]
    text = text_of(one((3, GOAL, RED), rules, tiles), hidden="none")
    assert 'goal = "touch(agent, red cube)"' in text
    # The goal tile comes second, so that what is made is not frozen; what was east of it has it to the west.
    assert '  "touch(red ball, red cube) -> blue cube",' in text
    assert '  "touch.west(green key, cyan ball) -> blue key",' in text
    assert sum("frozen" in line for line in text) == 2
    assert any(line.endswith('"frozen red cube"') for line in text)
    assert any(line.endswith('"frozen cyan ball"') for line in text)


def test_goal_tiles_that_the_agent_turns_into_things_are_not_frozen():
    task = task_of(one(rules=[(2, GOAL, RED, BALL, BLUE)], tiles=[(GOAL, RED)]))
    assert task.object_kind[:2].tolist() == [kinds.object_kind("ball", "red"), 0]
    assert not task.object_frozen.any()


def test_things_vanish_and_idle_rules_are_left_out():
    rules = [(0,), (1, BALL, RED, BALL, RED), (2, BALL, RED, 1, BLACK), (1, CUBE, RED, 0, 0)]
    text = text_of(one(rules=rules), hidden="none")
    assert text[text.index("rules = [") + 1 :][:3] == [
        '  "touch(agent, red ball) ->",',
        '  "hold(agent, red cube) ->",',
        "]",
    ]


def test_rules_are_hidden_unless_told():
    rulesets = one((1, BALL, RED), [(1, CUBE, RED, BALL, RED)], [(CUBE, RED)])
    assert 'hidden = "all"' in text_of(rulesets)
    assert not task_of(rulesets, hidden="none").hidden.rules.any()


def test_tasks_can_be_written_down(source, tasks):
    for index in range(0, len(tasks), 7):
        task = tasks.task(index)
        again = parse(to_text(task), source.config)
        assert jax.tree.all(jax.tree.map(np.array_equal, without_ids(task), without_ids(again)))


def without_ids(task):
    return dataclasses.replace(task, world_id=0, game_id=0)


def test_nothing_holds_at_the_start(source):
    for world_id in range(10):
        tasks = source.task_set(world_id).tasks
        _, timestep = step(start(tasks, jax.random.key(world_id)), jnp.full(len(source), NOOP))
        assert (timestep.event == 0).all()
        assert (timestep.reward == 0).all()


def test_a_source_draws_rulesets_and_worlds(source, tasks):
    drawn = jax.jit(jax.vmap(source.sample))(jax.random.split(jax.random.key(0), 64))
    assert len(np.unique(drawn.game_id)) > 15
    assert len(np.unique(drawn.world_id)) == 64
    one, other = tasks.task(3), source.task_set(1).task(3)
    assert (other.object_position != one.object_position).any()
    np.testing.assert_array_equal(np.sort(other.object_kind), np.sort(one.object_kind))


@pytest.mark.parametrize("world", WORLD_NAMES)
def test_worlds_are_connected_rooms(world):
    layout = layout_of(world)
    rooms = int(world[1])
    assert len(layout.doors) == {1: 0, 2: 1, 4: 4, 6: 6, 9: 12}[rooms]
    for place in (0, -1):
        walls = layout.walls.copy()
        for span in layout.doors:
            offset = np.arange(span.length)[place]
            cell = (span.row + offset * span.is_upright, span.column + offset * (not span.is_upright))
            assert walls[cell]
            walls[cell] = False
        assert count_parts(layout.walls) == rooms + (rooms == 6)  # six rooms have a corridor
        assert count_parts(walls) == 1


def count_parts(walls: np.ndarray) -> int:
    left = {tuple(cell) for cell in np.argwhere(~walls).tolist()}
    parts = 0
    while left:
        parts += 1
        edge = [left.pop()]
        while edge:
            row, column = edge.pop()
            for cell in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                if cell in left:
                    left.remove(cell)
                    edge.append(cell)
    return parts


def test_doors_are_closed_and_in_their_walls():
    rulesets = one((1, BALL, RED), tiles=[(BALL, RED)] * 3)
    config = xland_minigrid_config(rulesets, "R9-16x16")
    task = from_xland_minigrid(rulesets, config, "R9-16x16").task_set(7).task(0)
    assert parse(to_text(task), config).door_state.tolist() == [kinds.CLOSED] * 12
    assert (task.door_position != NOWHERE).all()


@pytest.mark.parametrize("make_array", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_benchmark_files_are_read(recorded, make_array, tmp_path):
    fields = {name: make_array(recorded[name]) for name in ("goals", "rules", "init_tiles")}
    path = write(tmp_path, {"generation_config": {"chain_depth": 2}, **fields, "num_rules": make_array(np.zeros(3))})
    for name, array in vars(read_xland_minigrid(path)).items():
        np.testing.assert_array_equal(array, recorded[name])


def write(folder: Path, content: object) -> Path:
    path = folder / "benchmark"
    path.write_bytes(bz2.compress(pickle.dumps(content, protocol=-1)))
    return path


class Attack:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_files_cannot_run_code(tmp_path):
    path = write(tmp_path, {"goals": Attack(tmp_path / "made")})
    with pytest.raises(ConfigError, match="mkdir, and only arrays are read"):
        read_xland_minigrid(path)
    assert not (tmp_path / "made").exists()


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="There is no file .*none, and no benchmark of that name"):
        read_xland_minigrid(tmp_path / "none")
    with pytest.raises(ConfigError, match="it should hold goals, rules, init_tiles"):
        read_xland_minigrid(write(tmp_path, {"goals": np.zeros((1, 5), np.uint8)}))
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ConfigError, match="is no benchmark file of XLand-MiniGrid that can be read"):
        read_xland_minigrid(tmp_path / "text")
    (tmp_path / "cut").write_bytes(bz2.compress(pickle.dumps({"goals": 1})[:-4]))
    with pytest.raises(ConfigError, match="is no benchmark file of XLand-MiniGrid that can be read"):
        read_xland_minigrid(tmp_path / "cut")


@pytest.mark.parametrize(
    "rulesets, message",
    [
        (one((15, BALL, RED)), "ruleset 0: there is no goal of this number: 15"),
        (one(rules=[(0,), (12, BALL, RED)]), "ruleset 0, entry 1: there is no rule of this number: 12"),
        (one((1, 2, RED)), "a goal cannot be about this tile: .2, 1."),
        (one((2, BALL, RED)), "no agent can ever stand on this tile"),
        (one((2, GOAL, RED), [(3, GOAL, RED, BALL, RED, BALL, BLUE)]), "rules cannot be about the tile"),
        (one(rules=[(3, BALL, 0, BALL, RED, BALL, RED)]), "a rule cannot be about this tile: .3, 0."),
        (one(rules=[(1, BALL, RED, 9, RED)]), "a rule cannot make this tile: .9, 1."),
        (one(rules=[(2, BALL, RED, 0, 0)]), "a rule cannot make this tile: .0, 0."),
        (one(tiles=[(BALL, RED), (8, RED)]), "ruleset 0, entry 1: this tile cannot lie around: .8, 1."),
        (one((6, 0, 3)), "the goal is about row 0, column 3, where this world has no floor"),
        (one(tiles=[(BALL, RED)] * 49), "50 things, the agent included, do not fit into 49 cells"),
        (RulesetArrays(np.zeros((2, 5), int), np.zeros((1, 1, 7), int), np.zeros((2, 1, 2), int)), "give as many"),
        (RulesetArrays(np.zeros((1, 4), int), np.zeros((1, 1, 7), int), np.zeros((1, 1, 2), int)), r"goals has shape"),
        (RulesetArrays(np.zeros((1, 5)), np.zeros((1, 1, 7), int), np.zeros((1, 1, 2), int)), r"dtype float64"),
        (one((300,)), "goals are bytes"),
    ],
)
def test_what_has_no_counterpart_is_refused(rulesets, message):
    with pytest.raises(ConfigError, match=message):
        from_xland_minigrid(rulesets, dataclasses.replace(CONFIG, max_objects=50), WORLD)


def test_configurations_have_to_fit():
    rulesets = one((1, BALL, RED), [(1, BALL, RED, CUBE, RED)], [(BALL, RED)] * 3)
    config = xland_minigrid_config(rulesets, "R4-13x13")
    assert config == EnvConfig(
        max_objects=3, max_rules=1, max_doors=4, see_through_walls=True, push=False, relations=("hold",)
    )
    with pytest.raises(ConfigError, match="EnvConfig.max_doors is 2, and these rulesets in R4-13x13 need 4"):
        from_xland_minigrid(rulesets, dataclasses.replace(config, max_doors=2), "R4-13x13")
    with pytest.raises(ConfigError, match="'hold' is left out of EnvConfig.relations"):
        from_xland_minigrid(rulesets, dataclasses.replace(config, relations=("near",)), "R4-13x13")
    with pytest.raises(ConfigError, match="no world 'R4-13x14'. Did you mean 'R4-13x13'"):
        xland_minigrid_config(rulesets, "R4-13x14")
    with pytest.raises(ConfigError, match="hidden is 'some'; write"):
        from_xland_minigrid(rulesets, config, "R4-13x13", hidden="some")
    with pytest.raises(ConfigError, match="num_trials is 0"):
        from_xland_minigrid(rulesets, config, "R4-13x13", num_trials=0)


def test_more_room_is_padding():
    rulesets = one((1, BALL, RED), [(1, CUBE, RED, BALL, RED)], [(CUBE, RED)])
    config = EnvConfig(height=12, width=10, num_agents=2, max_rules=4, goal_clauses=2, goal_literals=2)
    task = from_xland_minigrid(rulesets, config, WORLD, num_trials=3).task_set().task(0)
    again = parse(to_text(task), config)
    assert jax.tree.all(jax.tree.map(np.array_equal, without_ids(task), without_ids(again)))
    assert (int(task.trial_length), int(task.num_trials)) == (243, 3)


def test_benchmarks_are_found_where_that_package_keeps_them(recorded, monkeypatch, tmp_path):
    monkeypatch.setenv("XLAND_MINIGRID_DATA", str(tmp_path / "kept"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept").mkdir()
    for version in (2, 10):
        fields = {name: recorded[name][:version] for name in ("goals", "rules", "init_tiles")}
        write(tmp_path, fields).rename(tmp_path / "kept" / f"medium_1m_v{version}")
    (tmp_path / "kept" / "medium_1m_v11.part").write_text("half of it")
    sizes = {name: len(read_xland_minigrid(name).goals) for name in ("medium-1m", "medium_1m", "medium_1m_v2")}
    assert sizes == {"medium-1m": 10, "medium_1m": 10, "medium_1m_v2": 2}
    with pytest.raises(ConfigError, match="no benchmark of that name in .*kept"):
        read_xland_minigrid("high-1m")
    write(tmp_path, {name: recorded[name][:3] for name in ("goals", "rules", "init_tiles")}).rename("medium-1m")
    assert len(read_xland_minigrid("medium-1m").goals) == 3  # a file of one's own comes first


class OneRuleset:
    goal, rules, init_tiles = np.zeros(5, np.uint8), np.zeros((1, 7), np.uint8), np.zeros((2, 2), np.uint8)


@pytest.mark.parametrize("rulesets", [OneRuleset(), None, {"goals": 1}])
def test_one_ruleset_is_not_taken_for_many(rulesets):
    with pytest.raises(ConfigError, match=r"without .*; one RuleSet is RulesetArrays\(goals=one.goal\[None\]"):
        from_xland_minigrid(rulesets, CONFIG, WORLD)


def test_worlds_have_that_packages_names_too():
    assert layout_of("XLand-MiniGrid-R4-13x13") is not None
    assert (layout_of("XLand-MiniGrid-R4-13x13").walls == layout_of("R4-13x13").walls).all()
