"""The task language: what it means, and that every task survives the way to text and back."""

import dataclasses
import re
from pathlib import Path
from random import Random
from typing import Any

import chex
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xworld import ConfigError, Env, EnvConfig, Task
from xworld.core import kinds
from xworld.core.types import NOWHERE, RANDOM_FACING
from xworld.tasks import (
    DoorRow,
    Goal,
    HiddenRow,
    Literal,
    ObjectRow,
    RuleRow,
    briefing_text,
    config_for,
    goal_text,
    make_task,
    parse,
    parse_goal,
    parse_rule,
    rule_text,
    to_text,
)

EXAMPLE = '''
goal = "hold(agent, black cube)"
rules = [
  "touch(purple ball, yellow cube) -> black cube",
  "near(agent, red key) ->",
  "touch.north(green star, blue hex) -> green star, blue hex, blue hex",
]
hidden = "all"
trial_length = 50
num_trials = 3
facing = "north"
map = """
#########
#.0..b..#
#...c...#
#~~.D.+.#
#########
"""
[legend]
b = "purple ball"
c = "frozen yellow cube"
D = "locked red door"
'''
TWO_AGENTS = '''
goals = ["near(agent, agent1)", "not see(agent, agent1) and on(agent1, red floor) or touch.east.west(agent, red key)"]
rules = ["on(red ball, cyan floor) -> pink hex, pink hex", "see(agent1, red key) -> red hex"]
hidden = { agent = [1, "kind: cyan floor", "relation: on", "kind: pink hex"], agent1 = "none" }
facing = ["random", "west"]
world_id = 3
game_id = 2000000000
map = """
  bcd
0.,e1
"""
[legend]
b = "red door"
c = "open green door"
d = "red key on counter"
"," = "red floor"
e = "frozen red ball on cyan floor"
'''
CONFIG = EnvConfig(
    height=7, width=9, num_agents=3, max_objects=20, max_rules=6, max_doors=6, goal_clauses=3, goal_literals=2
)
FLOOR, WALL, COUNTER, WATER, DOOR = (kind * 16 for kind in range(1, 6))


def assert_equal(task: Task, other: Task) -> None:
    chex.assert_trees_all_equal_shapes_and_dtypes(task, other)
    chex.assert_trees_all_equal(task, other)


def test_the_example_is_these_arrays():
    task = parse(EXAMPLE, EnvConfig(height=6, width=10, num_agents=2, max_objects=3, max_rules=4, max_doors=2))
    terrain = np.zeros((6, 10), np.uint8)
    terrain[:5, :9] = WALL
    terrain[1:4, 1:8] = kinds.BLACK_FLOOR
    terrain[3, [1, 2, 4, 6]] = WATER, WATER, DOOR + 0, COUNTER
    expected = {
        "terrain": terrain,
        "door_position": [[3, 4], [NOWHERE, NOWHERE]],
        "door_state": [kinds.LOCKED, 0],
        "agent_position": [[1, 2], [NOWHERE, NOWHERE]],
        "agent_facing": [0, RANDOM_FACING],
        "object_kind": [0x13, 0x24, 0],
        "object_position": [[1, 5], [2, 4], [NOWHERE, NOWHERE]],
        "object_frozen": [0, 1, 0],
    }
    for name, array in expected.items():
        actual = getattr(task, name)
        assert actual.dtype == np.uint8, name
        np.testing.assert_array_equal(actual, array, err_msg=name)
    rules = task.rules
    np.testing.assert_array_equal(rules.relation, [1, 2, 1, 0])
    np.testing.assert_array_equal(rules.directions, [15, 0, 1, 0])
    np.testing.assert_array_equal(rules.first, [0x13, 0xF0, 0x51, 0])
    np.testing.assert_array_equal(rules.second, [0x24, 0x40, 0x62, 0])
    np.testing.assert_array_equal(rules.products, [[0x26, 0, 0], [0, 0, 0], [0x51, 0x62, 0x62], [0, 0, 0]])
    goals = task.goals
    fields = [goals.relation, goals.directions, goals.first, goals.second, goals.negated]
    np.testing.assert_array_equal(np.ravel(fields).reshape(5, 2).T, [[3, 0, 0xF0, 0x26, 0], [0] * 5])
    np.testing.assert_array_equal(task.hidden.rules, [[True, True, True, False]] * 2)
    assert not task.hidden.kinds.any() and not task.hidden.relations.any()
    assert (int(task.trial_length), task.trial_length.dtype) == (50, np.uint16)
    assert (int(task.num_trials), task.num_trials.dtype) == (3, np.uint16)
    assert (int(task.world_id), int(task.game_id)) == (-1, -1)
    assert task.world_id.dtype == task.game_id.dtype == np.int32


def test_the_example_written_is_the_example():
    assert to_text(parse(EXAMPLE, EnvConfig())) == EXAMPLE.removeprefix("\n")


SEVERAL = """
goal = ["hold(agent, black cube)", "near(agent, red ball) or not near(agent, red ball)"]
num_trials = 3
map = '''
0.b
'''
[legend]
b = "red ball"
"""
SEVERAL_EACH = """
goals = [["hold(agent, red ball)", "near(agent, red ball)"], ["hold(agent1, red ball)", "never"]]
map = '''
0b1
'''
[legend]
b = "red ball"
"""


def test_several_goals():
    config = config_for(SEVERAL)
    assert (config.max_goals, config.goal_clauses, config.goal_literals) == (2, 2, 1)
    task = parse(SEVERAL, config)
    np.testing.assert_array_equal(task.goals.relation, [[[[3], [0]]], [[[2], [2]]]])
    np.testing.assert_array_equal(task.goals.negated, [[[[0], [0]]], [[[0], [1]]]])
    assert briefing_text(Env(config).briefing(task)) == ("of each trial", [])
    each = parse(SEVERAL_EACH, config_for(SEVERAL_EACH))
    np.testing.assert_array_equal(each.goals.relation[:, :, 0, 0], [[3, 3], [2, 0]])
    for text, more in ((SEVERAL, 2), (SEVERAL, 5), (SEVERAL_EACH, 3)):
        wide = dataclasses.replace(config_for(text), max_goals=more)
        task = parse(text, wide)
        assert task.goals.relation.shape[0] == more
        jax.tree.map(np.testing.assert_array_equal, parse(to_text(task), wide), task)
    assert 'goals = [\n  ["hold(agent, red ball)", "near(agent, red ball)"],\n' in to_text(each)
    # A list of one is one goal.
    listed = SEVERAL.replace(', "near(agent, red ball) or not near(agent, red ball)"', "")
    assert config_for(listed).max_goals == 1
    assert 'goal = "hold(agent, black cube)"' in to_text(parse(listed, config_for(listed)))


def test_goals_hidden_facing_and_ids_per_agent():
    config = config_for(TWO_AGENTS)
    assert config == EnvConfig(
        height=2, width=5, num_agents=2, max_objects=10, max_rules=2, max_doors=2, goal_clauses=2, goal_literals=2
    )
    task = parse(TWO_AGENTS, config)
    agent, agent1, key, red_floor = 0xF0, 0xF1, 0x40, 0xE0
    np.testing.assert_array_equal(task.terrain[0], [0, 0, DOOR + 0, DOOR + 1, COUNTER])
    np.testing.assert_array_equal(task.terrain[1], [22, 22, FLOOR + 0, FLOOR + 11, 22])
    np.testing.assert_array_equal(task.door_state, [kinds.CLOSED, kinds.OPEN])
    np.testing.assert_array_equal(task.object_kind[:2], [key, 0x10])
    np.testing.assert_array_equal(task.object_frozen[:2], [0, 1])
    np.testing.assert_array_equal(task.agent_facing, [RANDOM_FACING, 3])
    goals = task.goals
    rows = np.stack([goals.relation, goals.directions, goals.first, goals.second, goals.negated], axis=-1)
    never, not_never = [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]
    np.testing.assert_array_equal(rows[0], [[[2, 0, agent, agent1, 0], not_never], [never, never]])
    np.testing.assert_array_equal(
        rows[1],
        [[[4, 0, agent, agent1, 1], [5, 0, agent1, red_floor, 0]], [[1, 0b1010, agent, key, 0], not_never]],
    )
    np.testing.assert_array_equal(task.hidden.rules, [[False, True], [False, False]])
    np.testing.assert_array_equal(task.hidden.kinds[0, :3], [0xEB, 0x6A, 0])
    np.testing.assert_array_equal(task.hidden.relations[0], [5, 0, 0, 0, 0])
    assert (int(task.world_id), int(task.game_id)) == (3, 2_000_000_000)
    goal, rules = briefing_text(Env(config).briefing(task))
    assert goal == "near(agent, agent1)"
    assert rules == ["?0(red ball, ?0) -> ?1, ?1", "?"]
    goal, rules = briefing_text(Env(config).briefing(task), agent=1)
    assert goal == "not see(agent, agent1) and on(agent1, red floor) or touch.east.west(agent, red key)"
    assert rules == ["on(red ball, cyan floor) -> pink hex, pink hex", "see(agent1, red key) -> red hex"]


def test_the_files_in_the_documentation_are_tasks():
    pages = (Path(__file__).parents[2] / "docs" / "task-language.md").read_text()
    examples = re.findall(r"(?s)```toml[^\n]*\n(.*?)```", pages)
    assert len(examples) == 3
    for example in examples:
        config = config_for(example)
        assert_equal(parse(example, config), parse(to_text(parse(example, config)), config))


def test_defaults():
    text = 'goal = "never"\nmap = "0"'
    config = config_for(text)
    assert config == EnvConfig(height=1, width=1, max_objects=8, max_rules=1, max_doors=1)
    task = parse(text, config)
    assert (int(task.trial_length), int(task.num_trials)) == (100, 1)
    assert int(task.agent_facing[0]) == RANDOM_FACING
    everything = jax.tree.leaves((task.rules, task.hidden, task.goals, task.object_kind, task.door_state))
    assert not any(leaf.any() for leaf in everything)
    assert to_text(task) == 'goal = "never"\ntrial_length = 100\nnum_trials = 1\nmap = """\n0\n"""\n'


def test_config_for_counts_agents_that_are_only_named():
    assert config_for('goal = "near(agent, agent2)"\nmap = "0"').num_agents == 3
    assert config_for('goal = "never"\nhidden = {agent1 = "all"}\nmap = "0"').num_agents == 2
    assert config_for('goal = "never"\nrules = ["hold(agent3, red key) ->"]\nmap = "0"').num_agents == 4
    assert config_for('goal = "never"\nhidden = ["kind: agent1"]\nmap = "0"').num_agents == 2
    assert config_for('goal = "never"\nhidden = {agent = ["kind: agent2"]}\nmap = "0"').num_agents == 3


def test_agents_need_not_be_numbered_without_gaps():
    task = parse('goals = ["never", "hold(agent2, red key)"]\nfacing = ["east", "west"]\nmap = "20"', CONFIG)
    np.testing.assert_array_equal(task.agent_position, [[0, 1], [NOWHERE, NOWHERE], [0, 0]])
    np.testing.assert_array_equal(task.agent_facing, [1, RANDOM_FACING, 3])
    np.testing.assert_array_equal(task.goals.relation[:, 0, 0], [0, 0, 3])
    assert_equal(task, parse(to_text(task), CONFIG))


@pytest.mark.parametrize(
    "line",
    [
        "touch(purple ball, yellow cube) -> black cube",
        "touch.north.west(agent, yellow cube) ->",
        "hold(agent2, red key) -> red star, red star, red star",
        "on(blue pyramid, white floor) ->",
    ],
)
def test_rules_read_and_written(line):
    rule = parse_rule(line)
    directions = 15 if line.startswith("touch(") else rule.directions
    products = (*rule.products, 0, 0, 0)[:3]
    row = np.array([rule.relation, directions, rule.first, rule.second, *products])
    assert rule_text(row) == line
    assert parse_rule(f"  {line.replace('(', ' ( ').replace(',', '  ,')} ") == rule


def test_one_line_forms_of_what_is_hidden():
    assert rule_text(np.array([255, 0, 0, 0, 0, 0, 0])) == "?"
    assert rule_text(np.array([19, 0, 0xD2, 0x24, 0x10, 0xDF, 0])) == "?3(?2, yellow cube) -> red ball, ?15"
    assert rule_text(np.zeros(7)) == "never"
    assert goal_text(np.zeros((2, 2, 5))) == "never"


def test_and_binds_tighter_than_or():
    near, hold, see = "near(agent, red ball)", "hold(agent, red key)", "see(agent, red hex)"
    read = parse_goal(f"{near} or not {hold} and {see}")
    assert [[literal.relation for literal in clause] for clause in read] == [[2], [3, 4]]
    assert [[literal.is_negated for literal in clause] for clause in read] == [[False], [True, False]]


def test_tasks_from_jit_can_be_written():
    task = parse(EXAMPLE, EnvConfig())
    assert to_text(jax.jit(lambda task: task)(task)) == to_text(task)
    with pytest.raises(ConfigError, match=r"to_text writes one task, not a batch of shape \(2,\)"):
        to_text(jax.tree.map(lambda leaf: np.stack([leaf, leaf]), task))


def test_the_largest_task_gets_a_legend():
    config = EnvConfig(height=20, width=40, num_agents=4, max_objects=128, max_doors=36)
    grid = np.full((20, 40), WALL, np.uint8)
    objects, doors = [], []
    for index in range(128):
        row, column = 2 * (index // 20), 2 * (index % 20)
        colour, floor, shape = index % 12, (index // 12) % 11, 1 + index % 6
        grid[row, column] = FLOOR + (floor if floor < 6 else floor + 1)
        objects.append(ObjectRow(shape * 16 + colour, row, column, is_frozen=index % 2 == 0))
    for index in range(36):
        grid[15, index] = DOOR + index % 12
        doors.append(DoorRow(15, index, index // 12))
    grid[17, :12] = FLOOR + np.arange(12)
    grid[18, :4] = FLOOR
    agents = {agent: (18, agent) for agent in range(4)}
    task = make_task(config, terrain=grid, agents=agents, goals=(), objects=objects, doors=doors)
    text = to_text(task)
    assert_equal(task, parse(text, config))
    assert len(text.split("[legend]\n")[1].splitlines()) > 150


@pytest.mark.parametrize("flag", [1, 0, np.uint8(1), np.int64(0), np.True_, np.False_])
def test_make_task_takes_flags_as_arrays_have_them(flag):
    def make(flag):
        goals = ((Literal(3, kinds.agent_kind(0), 0x11, is_negated=flag),),)
        objects = [ObjectRow(0x11, 0, 1, is_frozen=flag)]
        return make_task(CONFIG, terrain=[[22, 22]], agents={0: (0, 0)}, goals=goals, objects=objects)

    assert_equal(make(flag), make(bool(flag)))
    assert make(flag).object_frozen[0] == flag


def test_make_task_numbers_objects_and_doors_row_by_row():
    arguments: dict[str, Any] = {"terrain": [[22, 22, 22], [DOOR, DOOR + 1, 22]], "agents": {0: (0, 1)}, "goals": ()}
    objects = [ObjectRow(0x11, 1, 2), ObjectRow(0x12, 0, 2), ObjectRow(0x13, 0, 0)]
    doors = [DoorRow(1, 1, 2), DoorRow(1, 0, 1)]
    task = make_task(CONFIG, **arguments, objects=objects, doors=doors)
    np.testing.assert_array_equal(task.object_kind[:3], [0x13, 0x12, 0x11])
    np.testing.assert_array_equal(task.door_state[:2], [1, 2])


def random_condition(random: Random, is_rule: bool) -> tuple[int, int, int, int]:
    relation = random.randint(1, 5)
    agent, thing = 0xF0 + random.randrange(3), random_kind(random)
    first = agent if relation == 3 or random.random() < 0.3 else random_kind(random)
    second = thing if is_rule or relation == 3 or random.random() < 0.7 else agent
    directions = random.randint(1, 15) if relation == 1 else 0
    return relation, first, 0xE0 + random.randrange(12) if relation == 5 else second, directions


def random_kind(random: Random) -> int:
    return random.randint(1, 6) * 16 + random.randrange(12)


def random_rule(random: Random) -> RuleRow:
    relation, first, second, directions = random_condition(random, is_rule=True)
    consumed = [kind for kind in (first, second) if kinds.is_object_kind(kind)]
    products = [random_kind(random) for _ in range(random.randrange(4))]
    if sorted(products) == sorted(consumed):
        products = [0x26] if consumed != [0x26] else []
    return RuleRow(relation, first, second, tuple(products), directions)


def random_goal(random: Random) -> Goal:
    def literal() -> Literal:
        relation, first, second, directions = random_condition(random, is_rule=False)
        return Literal(relation, first, second, directions, random.random() < 0.5)

    return tuple(tuple(literal() for _ in range(random.randint(1, 2))) for _ in range(random.randrange(4)))


def random_hidden(random: Random, num_rules: int) -> HiddenRow:
    rules = tuple(rule for rule in range(num_rules) if random.random() < 0.5)
    operands = [*range(0x10, 0x1C), *range(0xE0, 0xEC), 0xF0]
    return random.choice(
        (
            HiddenRow(),
            HiddenRow(rules=tuple(range(num_rules))),
            HiddenRow(
                rules,
                tuple(random.sample(operands, random.randrange(17))),
                tuple(random.sample(range(1, 6), random.randrange(6))),
            ),
        )
    )


def find_cells(grid: np.ndarray, terrain_type: int) -> list[tuple[int, int]]:
    return [(row, column) for row, column in np.argwhere(grid >> 4 == terrain_type).tolist()]


def random_task(random: Random) -> Task:
    height, width = random.randint(3, CONFIG.height), random.randint(3, CONFIG.width)
    palette = [0, *[22] * 4, FLOOR + 1, FLOOR + 11, WALL, COUNTER, COUNTER, WATER, DOOR, DOOR + 5]
    grid = np.array([[random.choice(palette) for _ in range(width)] for _ in range(height)], np.uint8)
    grid[1, :3] = 22, FLOOR + 2, 22
    floor = find_cells(grid, 1)
    random.shuffle(floor)
    ids = random.sample(range(3), random.randint(1, 3))
    agents = {agent: floor.pop() for agent in ids}
    door_cells = find_cells(grid, 5)
    for row, column in door_cells[CONFIG.max_doors :]:
        grid[row, column] = WALL
    free = floor + find_cells(grid, 3)
    cells = random.sample(free, random.randint(0, min(len(free), CONFIG.max_objects)))
    rules = [random_rule(random) for _ in range(random.randrange(CONFIG.max_rules + 1))]
    one_for_all, some = random_hidden(random, len(rules)), random.sample(range(3), random.randrange(4))
    return make_task(
        CONFIG,
        terrain=grid,
        agents=agents,
        goals=random.choice((random_goal(random), {agent: random_goal(random) for agent in ids})),
        doors=[DoorRow(row, column, random.randrange(3)) for row, column in door_cells[: CONFIG.max_doors]],
        objects=[ObjectRow(random_kind(random), row, column, random.random() < 0.3) for row, column in cells],
        rules=rules,
        hidden=random.choice((one_for_all, {agent: random_hidden(random, len(rules)) for agent in some})),
        facing=random.choice((RANDOM_FACING, 2, {agent: random.randrange(5) for agent in ids})),
        trial_length=random.choice((1, 20, 65535)),
        num_trials=random.choice((1, 3, 65535)),
        world_id=random.choice((-1, 0, 2**31 - 1)),
        game_id=random.choice((-1, 7)),
    )


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_every_task_survives_the_way_to_text_and_back(random):
    task = random_task(random)
    text = to_text(task)
    assert_equal(task, parse(text, CONFIG))
    smallest = config_for(text)  # of one agent where nothing asks for more: what is its own then needs no name
    read = parse(text, smallest)
    assert_equal(read, parse(to_text(read), smallest))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from((EXAMPLE, TWO_AGENTS)), st.data())
def test_a_damaged_file_is_a_task_or_a_config_error(text, data):
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 12))
        text = text[:at] + data.draw(st.sampled_from(DAMAGE)) + text[at + length :]
    try:
        task = parse(text, CONFIG)
    except ConfigError as error:
        assert str(error)
    else:
        assert_equal(task, parse(to_text(task), CONFIG))


DAMAGE = (
    "", "\n", " ", "#", '"', "'", "]", "[", "=", "{}", "(", ")", ",", ".", "->", "0", "1", "-1", "1.5", "true", "é",
    "not ", " and ", " or ", "never", "agent1", "agent3", "red floor", "frozen ", " on ", "door", "touch.north", "?",
)  # fmt: skip
