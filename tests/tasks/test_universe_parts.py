import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xworld import ConfigError, EnvConfig
from xworld.tasks import TaskSet, Universe, UniverseConfig, WorldConfig, chance, parse
from xworld.tasks.worlds import cell_sets, rooms

ENV = EnvConfig()
PAIR = EnvConfig(num_agents=2)
SMALL = EnvConfig(height=7, width=7)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"split": "trian"}, "split: 'trian' is unknown. Did you mean 'train'?"),
        ({"hide": "none"}, "Write one of: some, all"),
        ({"hidden_ways": ("rules",)}, "Did you mean 'rule'?"),
        ({"hidden_ways": ()}, "hidden_ways is (); write a tuple of at least one"),
        ({"world": (4,)}, "world is (4,); write a WorldConfig"),
        ({"colours": ("purpel",)}, "Did you mean 'purple'?"),
        ({"shapes": ("bal",)}, "Did you mean 'ball'?"),
        ({"goal_relations": ("touches",)}, "Did you mean 'touch'?"),
        ({"test_percent": 0}, "test_percent is 0; write a whole number from 1 to 98"),
        ({"hide_percent": 101}, "hide_percent is 101"),
        ({"hide_percent": True}, "hide_percent is True"),
        ({"max_products": 4}, "from 1 to 3"),
        ({"together_percent": 120}, "together_percent is 120"),
        ({"num_distractors": (0, 0), "num_dead_ends": (0, 0), "num_decoys": (0, 1)}, "or write num_decoys=(0, 0)"),
        ({"chain_length": (3, 1)}, "write (1, 3)"),
        ({"chain_length": 3}, "write the lowest and the highest number"),
        ({"trial_length": (0, 5)}, "An end of trial_length is 0; write a whole number from 1 to 65535"),
        ({"goal_false_at_start": 1}, "write True or False"),
        ({"num_distractors": (0, 0)}, "Allow at least one distractor, or write num_dead_ends=(0, 0)"),
    ],
)
def test_bad_config(fields, message):
    with pytest.raises(ConfigError) as error:
        UniverseConfig(**fields)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rooms": (3,)}, "rooms: 3 is unknown"),
        ({"rooms": (1, 1)}, "1 is there twice"),
        ({"rooms": 4}, "rooms is 4; write a tuple"),
        ({"door_colours": ("purpel",)}, "Did you mean 'purple'?"),
        ({"closed_door_percent": 70, "locked_door_percent": 40}, "together more than 100"),
    ],
)
def test_bad_world_config(fields, message):
    with pytest.raises(ConfigError) as error:
        WorldConfig(**fields)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("env_config", "fields", "message"),
    [
        (EnvConfig(max_rules=4), {}, "4 rules and 2 dead ends and decoys do not fit: EnvConfig.max_rules is 4."),
        (EnvConfig(max_objects=8), {}, "Up to 13 objects"),
        (EnvConfig(relations=("touch",)), {"goal_relations": ("see",)}, "goal_relations has 'see', which is left out"),
        (EnvConfig(relations=()), {}, "has none that a task could use"),
        (EnvConfig(view_size=1), {"rule_relations": ("see",)}, "an agent sees no object. Write 3 or more"),
        (EnvConfig(height=4, width=4), {}, "too small for a room"),
        (
            EnvConfig(height=9, width=9),
            {"world": WorldConfig(rooms=(9,))},
            "9 rooms do not fit a grid of 9 x 9 cells with 12 doors",
        ),
        (
            EnvConfig(max_doors=3),
            {"world": WorldConfig(rooms=(4,))},
            "4 rooms do not fit a grid of 13 x 13 cells with 3 doors",
        ),
        (ENV, {"shapes": ("ball", "key")}, "Leave 'key' out of shapes"),
        (ENV, {"shapes": ("ball",), "chain_length": (0, 5)}, "are 12 kinds, but a chain of 5 rules and what distracts"),
        (SMALL, {"num_distractors": (9, 9)}, "may have room for only 8 things, but there are at least 11"),
        (
            EnvConfig(height=9, width=9),
            {"world": WorldConfig(rooms=(4,), max_locked_doors=4), "num_distractors": (1, 2)},
            "Worlds of 4 rooms in a grid of 9 x 9 cells may have 4 locked doors, but where the agent starts there may "
            "be room for only 3 keys. Lower max_locked_doors, or raise EnvConfig.height and width.",
        ),
        (
            EnvConfig(max_objects=32),
            {"world": WorldConfig(rooms=(9,), max_locked_doors=12)},
            "9 rooms in a grid of 13 x 13 cells may have 12 locked doors, but where",
        ),
        (ENV, {"num_dead_ends": (0, 6)}, "6 dead ends need as many different conditions"),
        (ENV, {"num_decoys": (4, 4)}, "6 dead ends and decoys need as many different conditions"),
        (ENV, {"rule_relations": ("hold",), "num_dead_ends": (1, 1)}, "none can be made of the relations hold"),
        (ENV, {"two_player_percent": 50}, "EnvConfig.num_agents is 1. Raise it to 2"),
        (PAIR, {"together_percent": 50}, "two_player_percent is 0. Raise it"),
        (PAIR, {"two_player_percent": 50, "together_percent": 50, "chain_length": (0, 0)}, "a part for each agent"),
        (
            PAIR,
            {"two_player_percent": 50, "together_percent": 50, "goal_relations": ("on",)},
            "goal_relations is ('on',), which is never about an agent",
        ),
        (
            EnvConfig(relations=("hold",)),
            {"shapes": ("ball",), "chain_length": (0, 0), "num_dead_ends": (0, 0), "split": "test"},
            "There are perhaps only 12 different games",
        ),
        (
            EnvConfig(height=9, width=9),
            {
                "world": WorldConfig(rooms=(1, 2), door_colours=("red", "blue", "pink")),
                "colours": ("red", "blue", "pink"),
                "test_percent": 60,
                "chain_length": (0, 1),
            },
            "There are perhaps only 19 different worlds of the kind 'rooms'",
        ),
    ],
)
def test_universe_that_cannot_be_made(env_config, fields, message):
    with pytest.raises(ConfigError) as error:
        Universe(env_config, UniverseConfig(**({"shapes": ("ball", "cube")} | fields)))
    assert message in str(error.value)


@pytest.mark.parametrize("max_locked_doors", [0, 2, 6])
def test_keys_that_fit_where_the_agent_starts(max_locked_doors):
    world = WorldConfig(locked_door_percent=100, closed_door_percent=0, max_locked_doors=max_locked_doors)
    Universe(EnvConfig(max_objects=32), UniverseConfig(world=world))


def test_universe_is_a_static_value():
    universe = Universe(ENV, UniverseConfig(world=WorldConfig(rooms=[4, 9])))
    assert jax.tree.leaves(universe) == []
    assert universe == Universe(ENV, UniverseConfig(world=WorldConfig(rooms=(4, 9)))) and hash(universe) == hash(
        dataclasses.replace(universe)
    )
    assert jax.tree.map(lambda leaf: leaf, universe) == universe
    assert rooms.room_numbers(EnvConfig(height=9, width=9), WorldConfig()) == (1, 2, 4)
    assert rooms.room_numbers(ENV, WorldConfig()) == (1, 2, 4, 6, 9)


def test_task_set():
    text = 'goal = "hold(agent, red ball)"\ntrial_length = {}\nmap = """\n0b\n"""\nlegend.b = "red ball"'
    config = EnvConfig(height=1, width=2, max_objects=2, max_rules=1, max_doors=1)
    tasks = [parse(text.format(length), config) for length in (5, 6, 7)]
    task_set = TaskSet.from_tasks(tasks)
    assert len(task_set) == 3
    assert [int(task_set.task(index).trial_length) for index in (-1, 0, 2, 3)] == [5, 5, 7, 7]
    drawn = jax.vmap(task_set.sample)(jax.random.split(jax.random.key(0), 300)).trial_length
    assert all(70 < (drawn == length).sum() < 130 for length in (5, 6, 7))
    with pytest.raises(ConfigError, match="at least one task"):
        TaskSet.from_tasks([])
    with pytest.raises(ConfigError, match="Tasks 0 and 1 have arrays of different shapes"):
        TaskSet.from_tasks([tasks[0], parse(text.format(5), dataclasses.replace(config, max_rules=2))])
    with pytest.raises(ConfigError, match="num_tasks is 0"):
        TaskSet.from_source(task_set, jax.random.key(0), 0)
    assert (TaskSet.from_source(task_set, jax.random.key(0), 4).tasks.num_trials == 1).all()


@pytest.mark.parametrize("width", [9, 32, 40])
def test_cell_sets(width):
    """Against the same in numpy, with sets of one word and of two."""
    height = 7
    random = np.random.default_rng(width)
    masks = random.random((20, height, width)) < 0.7
    lying = ~masks & (random.random(masks.shape) < 0.5)

    @jax.jit
    @jax.vmap
    def compute(mask, lying):
        cells = cell_sets.pack(mask)
        sets = (cells, *cell_sets.neighbours(cells), cell_sets.spread(cells), cell_sets.interior(cells))
        some = (cell_sets.dispensable(cells, cell_sets.pack(lying)), cell_sets.box(cells, 1, 3, width - 7, width - 2))
        picked = jax.vmap(cell_sets.pick, (None, 0))(cells, chance.Dice(0, 0, 0).roll(500))
        return (*sets, *some), picked

    sets, (rows, columns, is_found) = compute(masks, lying)
    cells, *sides, near, inner, loose, box = (_unpack(np.asarray(words), width) for words in sets)
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    moved = {
        (row, column): padded[:, 1 + row : 1 + row + height, 1 + column : 1 + column + width]
        for row in (-1, 0, 1)
        for column in (-1, 0, 1)
    }
    assert (cells == masks).all()
    expected_sides = [moved[-1, 0], moved[0, 1], moved[1, 0], moved[0, -1]]
    for side, expected in zip(sides, expected_sides, strict=True):
        assert (side == expected).all()
    assert (near == np.any(expected_sides, axis=0)).all() and (inner == np.all([*moved.values()], axis=0)).all()
    expected_box = np.zeros((height, width), bool)
    expected_box[1:4, width - 7 : width - 1] = True
    assert (box == expected_box).all()

    for index in range(5):
        mask, things = masks[index], {*map(tuple, np.argwhere(lying[index]).tolist())}
        free = {*map(tuple, np.argwhere(mask).tolist())}
        num_parts = _count_parts(free)
        for cell in free:
            is_loose = bool(loose[index][cell])
            if is_loose:  # a sufficient condition, so only one way
                assert _count_parts(free - {cell}) == num_parts
                assert all(_beside(thing) & free != {cell} for thing in things)
        counts = np.zeros((height, width))
        np.add.at(counts, (np.asarray(rows[index]), np.asarray(columns[index])), 1)
        assert is_found.all() and not counts[~mask].any()
        assert counts.max() < 3 + 5 * 500 / mask.sum() and (counts[mask] > 0).mean() > 1 - 3 * math.exp(
            -500 / mask.sum()
        )
    assert loose.sum() > 0.1 * masks.sum()


def _unpack(words, width):
    """[..., H, W] bool."""
    bits = (words[..., None] >> np.arange(32, dtype=np.uint32)) & 1
    return bits.reshape(*words.shape[:-1], -1)[..., :width] != 0


def _beside(cell):
    row, column = cell
    return {(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)}


def _count_parts(cells):
    left, number = set(cells), 0
    while left:
        number += 1
        frontier = [left.pop()]
        while frontier:
            beside = _beside(frontier.pop()) & left
            left -= beside
            frontier.extend(beside)
    return number


def test_chance():
    bits = chance.Dice(chance.GAME, 0, 5).roll(6000)
    assert bits.dtype == jnp.uint32 and len(set(bits.tolist())) == 6000
    assert 0.27 < chance.happens(bits, 30).mean() < 0.33
    assert not chance.happens(bits, 0).any() and chance.happens(bits, 100).all()
    drawn = chance.between(bits, 3, 7)
    assert np.bincount(drawn, minlength=9)[3:8].min() > 1000 and drawn.min() == 3 and drawn.max() == 7
    # A roll does not depend on how much other rolls draw, nor on how long it is itself.
    one, other = chance.Dice(1, 2, 3), chance.Dice(1, 2, 3)
    one.roll(), other.roll(100)
    assert one.roll(4).tolist() == other.roll(9)[:4].tolist()
    assert chance.Dice(1, 2, 4).roll(4).tolist() != chance.Dice(1, 2, 3).roll(4).tolist()

    is_in = jnp.array([True, False, True, True])
    places = jax.vmap(lambda bits: chance.shuffle(bits, is_in))(bits.reshape(-1, 4))
    assert (np.sort(places, axis=1) == np.arange(4)).all() and (places[:, 1] == 3).all()
    assert np.bincount(places[:, 0], minlength=3).min() > 450
    assert [int(chance.nth_true(is_in, n)) for n in range(4)] == [0, 2, 3, 4]

    value, is_right = chance.first_right(lambda attempt: (attempt * 10, attempt == 3), 8)
    assert int(value) == 30 and bool(is_right)
    value, is_right = chance.first_right(lambda attempt: (attempt * 10, attempt == 30), 8)
    assert int(value) == 70 and not bool(is_right)
