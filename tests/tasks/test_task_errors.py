"""Every mistake in a task is a `ConfigError` that says where, what is wrong, and what would be right."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from xworld import ConfigError, EnvConfig
from xworld.tasks import DoorRow, HiddenRow, Literal, ObjectRow, RuleRow, config_for, make_task, parse

CONFIG = EnvConfig(
    height=5, width=6, num_agents=2, max_objects=3, max_rules=2, max_doors=1, goal_clauses=2, goal_literals=2
)
TASK = '''goal = "hold(agent, black cube)"
rules = ["touch(purple ball, yellow cube) -> black cube"]
trial_length = 50
num_trials = 3
map = """
#####
#0.b#
#.cD#
#####
"""
[legend]
b = "purple ball"
c = "yellow cube"
D = "red door"
'''
MAP = '\nmap = """\n01\n"""\n'


def assert_refused(text: str, message: str, config: EnvConfig = CONFIG) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        parse(text, config)
    assert "\n" not in str(caught.value)


def edited(old: str, new: str) -> str:
    assert TASK.count(old) == 1
    return TASK.replace(old, new)


def with_line(line: str) -> str:
    """The task with `line` instead of the one of its key, if it has that."""
    key = line.split(" =")[0]
    return f"{line}\n" + re.sub(rf"(?m)^{key} = .*\n", "", TASK)


def test_the_task_without_mistakes_is_read():
    task = parse(TASK, CONFIG)
    assert task.terrain.shape == (5, 6)
    assert parse(TASK, config_for(TASK)).terrain.shape == (4, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("goal: hold", "This is not TOML: Expected '=' after a key in a key/value pair (at line 1, column 5)"),
        ("goal = 'never'\nrules = [\n  'near(agent, red key) ->\n]" + MAP, "This is not TOML: "),
        ("num_trials = 3\n" + TASK, "A key is given twice; keep one: Cannot overwrite a value (at line 5"),
        (TASK + 'b = "red ball"\n', "A key is given twice; keep one: Cannot overwrite a value (at line 15"),
        (with_line("hidden = {agent = 'all', agent = 'none'}"), "A key is given twice; keep one: Duplicate inline"),
        (TASK + "[legend]\n", "A key is given twice; keep one: Cannot declare ('legend',) twice (at line 15"),
        (with_line("trail_length = 3"), "'trail_length' is an unknown key. Did you mean 'trial_length'?"),
        (with_line('e = "red ball"'), "'e' is an unknown key. Put it below [legend], at the end."),
        (TASK + "facing = 'north'\n", "legend: 'facing' is a key of the task; put it above [legend]."),
    ],
)
def test_what_is_no_task_file(text, message):
    assert_refused(text, message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("trial_length = 0", "trial_length is 0; write a whole number from 1 to 65535."),
        ("trial_length = 65536", "trial_length is 65536; write a whole number from 1 to 65535."),
        ("trial_length = true", "trial_length is True; write a whole number from 1 to 65535."),
        ("trial_length = 5.0", "trial_length is 5.0; write a whole number from 1 to 65535."),
        ("num_trials = 0", "num_trials is 0; write a whole number from 1 to 65535."),
        ("num_trials = 65536", "num_trials is 65536; write a whole number from 1 to 65535."),
        ("num_trials = '3'", "num_trials is '3'; write a whole number from 1 to 65535."),
        ("world_id = -2", "world_id is -2; write a whole number from -1 to 2147483647."),
        ("game_id = 2147483648", "game_id is 2147483648; write a whole number from -1 to 2147483647."),
        ("goal = 3", "goal is 3; write text in quotes."),
        ("rules = 'near(agent, red key) ->'", "rules is 'near(agent, red key) ->'; write a list of texts"),
        ("rules = [3]", "rules[0] is 3; write text in quotes."),
        ("facing = 'nroth'", "facing: 'nroth' is an unknown direction. Did you mean 'north'?"),
        (
            "facing = ['north', 'east']",
            "facing: the list has length 2, but the number of agents on the map is 1. Write one for",
        ),
        ("facing = 1", "facing is 1; write a list of texts"),
        ("facing = [1]", "facing[0] is 1; write text in quotes."),
    ],
)
def test_values(line, message):
    assert_refused(with_line(line), message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (edited("#.cD#", "#.cD"), "map, row 2: 4 columns, but row 0 has 5. All rows are equally long."),
        (edited("#.cD#", "#.cD#\n"), "map, row 3: 0 columns, but row 0 has 5. All rows are equally long."),
        (edited("#.cD#", "#.xD#"), "map, row 2, column 2: 'x' is unknown. Describe it below [legend]."),
        (edited("#0.b#", "#0.0#"), "map, row 1, column 3: agent0 is there twice, also at (1, 1). Keep one."),
        (edited("#0.b#", "#..b#"), "There is no agent on the map. Put one there, as '0'."),
        (edited("#0.b#", "#02b#"), "agent2 is on the map, but EnvConfig.num_agents is 2. Raise it to 3"),
        (edited("#0.b#", "b0bbb"), "5 objects do not fit: EnvConfig.max_objects is 3. Raise it, or use fewer."),
        (edited("#0.b#", "#0Db#"), "2 doors do not fit: EnvConfig.max_doors is 1. Raise it, or use fewer."),
        (
            edited("#0.b#", "#0.b#\n#...#\n#...#"),
            "The map is 6 x 5 (rows x columns), but the configuration has room for",
        ),
        (
            "goal = 'never'\nmap = '0......'",
            "The map is 1 x 7 (rows x columns), but the configuration has room for 5 x 6.",
        ),
        ("goal = 'never'", "There is no map. Write map = "),
        ("goal = 'never'\nmap = ''", "map, row 0 is empty."),
        ("goal = 'never'\nmap = 3", "map is 3; write text in quotes."),
    ],
)
def test_maps(text, message):
    assert_refused(text, message)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("purpel ball", "legend, 'b': 'purpel ball': 'purpel' is an unknown colour. Did you mean 'purple'?"),
        ("purple bal", "legend, 'b': 'purple bal': 'bal' is unknown. Did you mean 'ball'?"),
        ("frozn purple ball", "'frozn' is unknown. Did you mean 'frozen'?"),
        ("very frozen purple ball", "'very frozen purple ball' is 4 words. Write a colour and a shape"),
        ("purple", "'purple' has no shape. Write a colour and a shape, as in 'purple ball'."),
        ("ball", "'ball' has no colour. Write a colour and a shape, as in 'red ball'."),
        ("ball purple", "'ball purple': the colour comes first. Write 'purple ball'."),
        ("", "A kind is missing here."),
        ("wal", "'wal': 'wal' is unknown. Did you mean 'wall'?"),
        ("red wall", "'red wall': wall is just 'wall'."),
        ("red dor", "'red dor': 'dor' is unknown. Did you mean 'door'?"),
        ("door", "'door' is not a door. Write 'red door', 'open red door' or 'locked red door'."),
        ("lockd red door", "'lockd red door' is not a door. Write 'red door'"),
        ("locked rde door", "'locked rde door': 'rde' is an unknown colour. Did you mean 'red'?"),
        ("floor", "'floor' is not a floor. Write 'red floor'."),
        ("frozen red floor", "'frozen red floor' is not a floor. Write 'red floor'."),
        ("purple ball on red door", "a thing can only be on 'counter' or floor of a colour, such as 'red floor'."),
        ("purple ball on water", "a thing can only be on 'counter' or floor of a colour, such as 'red floor'."),
        ("purple ball on red ball", "a thing can only be on 'counter' or floor of a colour, such as 'red floor'."),
        ("purple ball on red flor", "'flor' is unknown. Did you mean 'floor'?"),
        ("purple ball on red floor on counter", "has several 'on'; write one"),
        ("frozen agent1", "'frozen agent1': only objects can be frozen."),
        ("red floor on counter", "floor is not a thing that can be frozen or on something."),
        ("agent1 on counter", "map, row 1, column 3: agent1 cannot be on counter. Put it on floor."),
        ("agnet1", "'agnet1' is unknown. Did you mean 'agent1'?"),
        ("agent4", "'agent4' is unknown. Did you mean 'agent"),
    ],
)
def test_legend_entries(entry, message):
    assert_refused(edited('"purple ball"', f'"{entry}"'), message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('bb = "red ball"', "legend: 'bb' is not one character; write one, such as 'b'."),
        ('"" = "red ball"', "legend: '' is not one character; write one, such as 'b'."),
        ('"#" = "red ball"', "legend: '#' always means 'wall'. Use another character."),
        ('0 = "agent1"', "legend: '0' always means 'agent'. Use another character."),
        ("e = 3", "legend, 'e' is 3; write text in quotes."),
    ],
)
def test_legend_keys(line, message):
    assert_refused(f"{TASK}{line}\n", message)


def test_a_legend_that_is_no_table():
    assert_refused("legend = 3\n" + TASK.partition("[legend]")[0], "legend is 3; write a line [legend]")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("tuch(red ball, red key) ->", "rules[0]: 'tuch' is an unknown relation. Did you mean 'touch'?"),
        ("touch.nroth(red ball, red key) ->", "'nroth' is an unknown direction. Did you mean 'north'?"),
        ("touch.(red ball, red key) ->", "'' is an unknown direction. Write one of: north, east, south, west."),
        ("touch.east.east(red ball, red key) ->", "'east' is there twice; once is enough."),
        ("near.east(red ball, red key) ->", "near has no directions; only touch does. Write 'near(...)'."),
        ("touch(rad ball, red key) ->", "'rad ball': 'rad' is an unknown colour. Did you mean 'red'?"),
        ("touch(red ball, red kye) ->", "'red kye': 'kye' is an unknown shape. Did you mean 'key'?"),
        (
            "touch(red ball, keys) ->",
            "'keys' is no kind. Write a colour and a shape, as in 'purple ball', or an agent.",
        ),
        ("touch(red ball, frozen red key) ->", "'frozen' is said of an object in the legend"),
        ("touch(red ball) ->", "rules[0]: 'touch(red ball)': touch relates two kinds, not 1"),
        ("touch(red ball, red key, red hex) ->", "touch relates two kinds, not 3"),
        ("touch(red ball, ) ->", "A kind is missing here."),
        ("touch red ball, red key ->", "Cannot read 'touch red ball, red key'. Write 'relation(first, second)'"),
        ("touch(red ball, red key)", "has 0 arrows; write 'relation(first, second) -> products'"),
        ("touch(red ball, red key) -> red hex -> red star", "has 2 arrows"),
        ("not touch(red ball, red key) ->", "a rule cannot have 'not'; only goals can."),
        ("touch(red ball, red key) and near(agent, red key) ->", "a rule has one condition, without 'and' and 'or'"),
        ("near(agent, red key) -> red hex,", "A kind is missing here."),
        (
            "touch(red ball, agent) ->",
            "rules[0]: agent is the second operand; in a rule an agent may only be the first",
        ),
        ("near(agent1, agent) ->", "agent is the second operand; in a rule an agent may only be the first"),
        ("near(agent2, red ball) ->", "rules[0]: agent2 does not exist: EnvConfig.num_agents is 2."),
        ("hold(red ball, red key) ->", "hold(red ball, red key) cannot be: hold takes an agent and an object"),
        ("hold(agent, red floor) ->", "hold(agent, red floor) cannot be: hold takes an agent and an object"),
        ("on(red ball, red key) ->", "on takes floor as second operand, not red key, as in 'on(agent, red floor)'."),
        ("near(agent, red floor) ->", "The second operand of near is red floor; write an agent or an object."),
        ("near(red floor, red ball) ->", "The first operand is red floor; write an agent or an object"),
        ("near(agent, red key) -> red key", "rules[0]: The rule makes just what it consumes (red key)"),
        ("touch(red ball, red key) -> red key, red ball", "The rule makes just what it consumes (red ball, red key)"),
        ("on(red ball, red floor) -> red ball", "The rule makes just what it consumes (red ball)"),
        ("on(agent, red floor) ->", "The rule makes just what it consumes (nothing)"),
        ("near(agent, red key) -> red hex, red hex, red hex, red hex", "4 products; a rule makes at most 3."),
        ("near(agent, red key) -> red floor", "red floor cannot be made; products are objects, such as 'red ball'."),
        ("near(agent, red key) -> agent1", "agent1 cannot be made; products are objects"),
    ],
)
def test_rules(rule, message):
    assert_refused(with_line(f'rules = ["{rule}"]'), message)


def test_too_many_rules_and_where_they_are_wrong():
    rule = "'near(agent, red ball) ->'"
    assert_refused(with_line(f"rules = [{rule}, {rule}, {rule}]"), "3 rules do not fit: EnvConfig.max_rules is 2.")
    assert_refused(with_line(f"rules = [{rule}, 'near(agent, red bal) ->']"), "rules[1]: 'red bal'")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "goal = 'hold(agnet, black cube)'",
            "goal: 'agnet' is no kind. Write a colour and a shape, as in 'purple ball'",
        ),
        ("goal = ''", "goal: A condition is missing at the start or the end, or beside 'and' or 'or'."),
        ("goal = 'near(agent, red ball) or'", "goal: A condition is missing"),
        ("goal = 'not not near(agent, red ball)'", "goal: Cannot read 'not near(agent, red ball)'."),
        ("goal = '(near(agent, red ball))'", "and no further parentheses."),
        ("goal = 'near(agent, red ball) or never'", "'never' stands alone: it is the goal that never holds."),
        ("goal = 'near(agent, agent2)'", "goal: agent2 does not exist: EnvConfig.num_agents is 2."),
        ("goal = 'near(agent, agent3)'", "goal: agent3 does not exist: EnvConfig.num_agents is 2."),
        ("goal = 'hold(agent, agent1)'", "goal: hold(agent, agent1) cannot be: hold takes an agent and an object"),
        ("goals = ['never']", "Write either goal, which is everyone's, or goals, a list with one for each agent."),
    ],
)
def test_goals(line, message):
    assert_refused(with_line(line), message)


def test_goals_that_do_not_fit():
    near = "near(agent, red ball)"
    assert_refused(with_line(f"goal = '{near} or {near} or {near}'"), "goal: 3 clauses do not fit: EnvConfig.goal_clau")
    assert_refused(
        with_line(f"goal = '{near} and {near} and {near}'"),
        "goal: 3 literals in one clause do not fit: EnvConfig.goal_literals is 2.",
    )
    message = "goals: the list has length 1, but the number of agents on the map is 2. Write one for each"
    assert_refused("goals = ['never']" + MAP, message)
    assert_refused("goals = ['never', 'hold(agent, red floor)']" + MAP, "goal of agent1: hold(agent, red floor)")
    assert_refused("goals = ['never', 'hold(agent red ball)']" + MAP, "goals[1]: 'hold(agent red ball)': hold relates")
    assert_refused("goal = []" + MAP, "goal is an empty list; write at least one goal.")
    assert_refused("goal = ['never', 3]" + MAP, "goal[1] is 3; write text in quotes.")
    assert_refused("goal = ['never', 'hold(agent red ball)']" + MAP, "goal[1]: 'hold(agent red ball)': hold relates")
    message = "goals: the agents have 2 and 1 goals. Write as many for each, since a trial has the n-th goal of every"
    assert_refused("goals = [['never', 'never'], 'never']" + MAP, message)
    several = "goal = ['on(agent, red floor)', 'never']" + MAP
    message = "2 goals, of which every trial has one, do not fit: EnvConfig.max_goals is 1. Raise it, or use fewer."
    assert_refused(several, message)
    message = "goals[1]: it never holds, which only the one goal of a task may say. Leave it out."
    assert_refused(several, message, dataclasses.replace(CONFIG, max_goals=2))
    assert_refused("num_trials = 1" + MAP, "Write either goal, which is everyone's, or goals")


def test_relations_that_the_configuration_leaves_out():
    config = EnvConfig(height=5, width=6, relations=("hold", "touch"))
    message = "rules[0]: 'near' is left out of EnvConfig.relations, which has touch, hold. Add it there."
    assert_refused(with_line("rules = ['near(agent, red ball) ->']"), message, config)
    assert_refused(with_line("goal = 'see(agent, red ball)'"), "goal: 'see' is left out of", config)
    message = "hidden: relation 'on' is left out of EnvConfig.relations; leave it out here too."
    assert_refused(with_line("hidden = ['relation: on']"), message, config)


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        ("'some'", "hidden: 'some' is unknown. Write 'all', 'none' or a list"),
        ("3", "hidden: 3 is no text or list. Write 'all', 'none' or a list"),
        ("[1]", "hidden: There is no rule 1; rules are counted from 0, and their number is 1."),
        ("[-1]", "hidden: There is no rule -1; rules are counted from 0"),
        ("[true]", "hidden: True is unknown. Write the index of a rule, 'kind: red key' or 'relation: touch'."),
        ("[0, 0]", "hidden: rule 0 is named 2 times; once is enough."),
        ("['red key']", "hidden: 'red key' is unknown. Write the index of a rule, 'kind: red key'"),
        ("['kind: red kye']", "hidden: 'red kye': 'kye' is an unknown shape. Did you mean 'key'?"),
        ("['kind: red key', 'kind: red key']", "hidden: kind red key is named 2 times; once is enough."),
        ("['kind: agent3']", "hidden: agent3 does not exist: EnvConfig.num_agents is 2."),
        ("['relation: tuch']", "hidden: 'tuch' is an unknown relation. Did you mean 'touch'?"),
        ("['relation: on', 'relation: on']", "hidden: relation on is named 2 times; once is enough."),
        ("{agent = 'some'}", "hidden, agent: 'some' is unknown. Write 'all', 'none' or a list"),
        ("{agnet1 = 'all'}", "hidden, agnet1: 'agnet1' is no agent. Did you mean 'agent1'?"),
        ("{agent = 'all', agent0 = 'none'}", "hidden, agent0: agent and agent0 are the same agent; keep one."),
        ("{agent2 = 'all'}", "hidden from agent2: agent2 does not exist: EnvConfig.num_agents is 2."),
    ],
)
def test_hidden(hidden, message):
    assert_refused(with_line(f"hidden = {hidden}"), message)


def test_too_many_hidden_kinds():
    colours = ("red", "green", "blue", "purple", "yellow", "grey", "black", "orange", "white")
    entries = [f"'kind: {colour} {shape}'" for colour in colours for shape in ("ball", "cube")]
    message = "hidden: 17 kinds; at most 16 can be hidden from an agent."
    assert_refused(with_line(f"hidden = [{', '.join(entries[:17])}]"), message)
    parse(with_line(f"hidden = [{', '.join(entries[:16])}]"), CONFIG)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("goal = 'never'\nmap = '" + "." * 128 + "'", "The map is 1 x 128 (rows x columns); the largest is 127 x 127."),
        (
            "goal = 'never'\nmap = '''\n" + ("b" * 65 + "\n") * 2 + "'''\n[legend]\nb = 'red ball'",
            "130 objects are on the map; at most 128 can be.",
        ),
        ("goal = 'never'\nmap = '.'", "There is no agent on the map."),
        ("goal = 'hold(agent, red floor)'\nmap = '0'", "goal: hold(agent, red floor) cannot be"),
    ],
)
def test_config_for_refuses_what_no_configuration_fits(text, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        config_for(text)


NEAR, HOLD, BALL, KEY, AGENT = 2, 3, 0x10, 0x40, 0xF0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"terrain": [22, 22]}, "terrain has shape (2,) and dtype int64; give [h, w] whole numbers."),
        ({"terrain": [[22.0, 22.0]]}, "terrain has shape (1, 2) and dtype float64"),
        ({"terrain": [[22, 0x60]]}, "map, row 0, column 1: 96 is no terrain; give type * 16 + colour"),
        ({"terrain": [[22, 0x21]]}, "map, row 0, column 1: 33 is no terrain"),
        ({"terrain": [[22, 0x1C]]}, "map, row 0, column 1: 28 is no terrain"),
        ({"terrain": [[22, -1]]}, "map, row 0, column 1: -1 is no terrain"),
        ({"agents": {}}, "There is no agent on the map."),
        ({"agents": {True: (0, 0)}}, "An agent's id is True; write a whole number from 0 to 3."),
        ({"agents": {0: (5, 0)}}, "The row of agent0 is 5; write a whole number from 0 to 4."),
        ({"agents": {0: (0, -1)}}, "The column of agent0 is -1; write a whole number from 0 to 5."),
        ({"agents": {0: (0, 0), 1: (0, 0)}}, "map, row 0, column 0: agent0 and agent1 are in one cell. Move one."),
        ({"agents": {0: (1, 0)}}, "map, row 1, column 0: agent0 cannot be on void. Put it on floor."),
        ({"objects": [ObjectRow(AGENT, 0, 1)]}, "map, row 0, column 1: an object cannot be agent."),
        ({"objects": [ObjectRow(0x7C, 0, 1)]}, "map, row 0, column 1: an object cannot be 124, which is no kind."),
        ({"objects": [ObjectRow(BALL, 0, 0)]}, "map, row 0, column 0: agent0 and red ball are in one cell."),
        ({"objects": [ObjectRow(BALL, 0, 2)]}, "red ball cannot be on door. Put it on floor or a counter."),
        ({"doors": []}, "doors are given at [], but the terrain has doors at [(0, 2)]; give one for each."),
        ({"doors": [DoorRow(0, 1, 0)]}, "doors are given at [(0, 1)], but the terrain has doors at [(0, 2)]"),
        (
            {"doors": [DoorRow(0, 2, 3)]},
            "map, row 0, column 2: the door's state is 3; write a whole number from 0 to 2.",
        ),
        ({"goals": {}}, "There are goals of agents [], but agents [0] are on the map."),
        ({"goals": []}, "The list of goals is empty. Write at least one."),
        ({"goals": ((),)}, "goal: clause 0 has no literals; leave it out, or say when it holds."),
        ({"goals": ((Literal(6, AGENT, BALL),),)}, "goal: A relation's code is 6; write a whole number from 1 to 5."),
        ({"goals": ((Literal(NEAR, 0, BALL),),)}, "goal: The first operand is nothing; write an agent or an object"),
        ({"goals": ((Literal(NEAR, BALL, KEY, 1),),)}, "goal: near has no directions; only touch does"),
        ({"goals": ((Literal(1, BALL, KEY, 16),),)}, "goal: directions is 16; write a whole number from 0 to 15."),
        ({"rules": [RuleRow(NEAR, AGENT, BALL, (0,))]}, "rules[0]: nothing cannot be made; products are objects"),
        ({"hidden": HiddenRow(kinds=(0x70,))}, "hidden: 112 is not a kind that can be in a rule."),
        ({"hidden": HiddenRow(kinds=("red key",))}, "hidden: A kind is 'red key'; write a kind, such as parse_kind"),
        ({"hidden": HiddenRow(relations=(0,))}, "hidden: A relation's code is 0; write a whole number from 1 to 5."),
        ({"rules": [RuleRow(NEAR, "red ball", KEY)]}, "The first operand is 'red ball'; write a kind, such as parse"),
        ({"rules": [RuleRow(NEAR, BALL, KEY, (BALL, 256))]}, "A product is 256; write a kind, such as parse_kind"),
        ({"rules": [RuleRow(NEAR, BALL, KEY, KEY)]}, "products is 64; write a tuple of kinds, or the rule with parse"),
        ({"rules": ["near(red ball, red key) ->"]}, "red key) ->' is no rule; write a RuleRow, or parse_rule"),
        ({"rules": "hold"}, "rules is 'hold'; write a list of RuleRow, or of what parse_rule gives."),
        ({"objects": [ObjectRow("red ball", 0, 1)]}, "column 1: The object is 'red ball'; write a kind, such as"),
        ({"objects": [ObjectRow(BALL, 0, 1, 2)]}, "map, row 0, column 1: is_frozen is 2; write True or False."),
        ({"goals": "hold(agent, red key)"}, "goal: 'hold(agent, red key)' is no goal; write a tuple of tuples"),
        ({"goals": Literal(HOLD, AGENT, KEY)}, "is no goal; write a tuple of tuples of Literal, or parse_goal"),
        ({"goals": (Literal(HOLD, AGENT, KEY),)}, "is no goal; write a tuple of tuples of Literal, or parse_goal"),
        ({"goals": ((Literal(HOLD, AGENT, KEY, 0, 2),),)}, "goal: is_negated is 2; write True or False."),
        ({"facing": 5}, "facing of agent0 is 5; write a whole number from 0 to 4."),
        ({"facing": {1: 0}}, "facing: agent1 is not on the map."),
        ({"trial_length": np.float32(3)}, "trial_length is np.float32(3.0); write a whole number from 1 to 65535."),
    ],
)
def test_make_task(arguments, message):
    good: dict[str, Any] = {
        "terrain": [[22, 22, 0x50]],
        "agents": {0: (0, 0)},
        "doors": [DoorRow(0, 2, 1)],
        "goals": ((Literal(HOLD, AGENT, KEY),),),
    }
    make_task(CONFIG, **good)
    with pytest.raises(ConfigError, match=re.escape(message)):
        make_task(CONFIG, **{**good, **arguments})
