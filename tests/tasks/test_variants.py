"""What is read off a task is what its generator knows; what edits make can be solved."""

import functools

import jax
import numpy as np
import oracle
import pytest
import solver
from universe_checks import check_form, check_reach, find_chain, rules_that_hold, start_worlds, take, to_host

from xworld.tasks import config_for, parse, preset, to_text
from xworld.tasks.variants.anatomy import anatomy, task_info
from xworld.tasks.variants.edits import EDITS, edit, edits_of
from xworld.tasks.variants.soundness import is_sound

UNIVERSE = preset("s")
NUM_TASKS, NUM_SOLVED = 512, 12  # of each edit
NUM_EDITED = 64


@pytest.fixture(scope="module")
def generated():
    keys = jax.random.split(jax.random.key(3), NUM_TASKS)
    return jax.jit(jax.vmap(UNIVERSE.sample_with_info))(keys)


@pytest.fixture(scope="module")
def edited(generated):
    """By edit: tasks with it, their infos, and which of them are sound. "several" is one edit after the other."""

    @jax.jit
    @jax.vmap
    def change(task, key):
        found = {}
        for name, (changed, is_possible) in edits_of(UNIVERSE, task, jax.random.bits(key)).items():
            found[name] = changed, task_info(changed), is_possible & is_sound(UNIVERSE, changed, task)
        changed = task
        for edit_key in jax.random.split(key, 4):
            changed, _ = edit(UNIVERSE, changed, edit_key)
        return found | {"several": (changed, task_info(changed), changed.world_id == -1)}

    return to_host(change(generated[0], jax.random.split(jax.random.key(4), NUM_TASKS)))


@pytest.mark.slow
def test_what_is_read_off_a_task_is_what_the_generator_knows(generated):
    tasks, known = generated
    found = jax.jit(jax.vmap(task_info))(tasks)
    for field in type(known).__dataclass_fields__:
        np.testing.assert_array_equal(getattr(found, field), getattr(known, field), err_msg=field)
    assert (known.num_dead_ends > 0).any() and (known.num_firings > 1).any() and (known.num_hidden_rules > 0).any()


@pytest.mark.slow
def test_what_is_read_off_a_task_for_two_is_what_the_generator_knows():
    universe = preset("ada-two-player")
    tasks, known = jax.jit(jax.vmap(universe.sample_with_info))(jax.random.split(jax.random.key(3), 1000))
    found = jax.jit(jax.vmap(task_info))(tasks)
    for field in type(known).__dataclass_fields__:
        np.testing.assert_array_equal(getattr(found, field), getattr(known, field), err_msg=field)


def test_a_task_made_by_hand_has_parts():
    text = """
goal = "hold(agent, black cube)"
rules = ["touch(red ball, blue ball) -> black cube", "near(red ball, green ball) ->", "hold(agent, green ball) ->"]
hidden = [0]
map = \"\"\"
#########
#0.r.b.g#
#.......#
#########
\"\"\"
[legend]
r = "red ball"
b = "blue ball"
g = "green ball"
"""
    task = parse(text, config_for(text))
    parts, info = anatomy(task), task_info(task)
    assert parts.is_chain[:3].tolist() == [True, False, False]
    assert parts.is_dead_end[:3].tolist() == [False, True, False]
    assert parts.is_decoy[:3].tolist() == [False, False, True]
    assert parts.is_distractor[:3].tolist() == [False, False, True]
    assert (info.num_firings, info.num_hidden_rules, info.num_objects, info.num_distractors) == (1, 1, 3, 1)


def test_generated_tasks_are_sound(generated):
    tasks, _ = generated
    assert jax.jit(jax.vmap(lambda task: is_sound(UNIVERSE, task, was=task)))(tasks).all()


@pytest.mark.slow  # quicker: `test_a_changed_task_is_sound`
@pytest.mark.parametrize("name", [*EDITS, "several"])
def test_edited_tasks_can_be_solved(edited, name):
    """By the generator's own argument, played in the plain-Python world."""
    tasks, infos, is_good = edited[name]
    assert is_good.mean() > 0.3
    (chosen,) = np.nonzero(is_good)
    tasks, infos = (jax.tree.map(lambda leaf: leaf[chosen], tree) for tree in (tasks, infos))
    check_form(UNIVERSE.env_config, tasks, infos)
    for index in range(NUM_SOLVED):
        task = take(tasks, index)
        worlds = start_worlds(UNIVERSE.env_config, task)
        for world in worlds:
            assert rules_that_hold(world) == [] and not oracle.holds_formula(world, world.goals[0])
        check_reach(worlds[0])
        _, chain = find_chain(worlds[0])
        assert len(chain) == infos.num_firings[index]
        player = solver.Player(worlds[index % 4])
        player.solve()
        assert set(player.chain) <= set(player.events)
        assert to_text(parse(to_text(task), UNIVERSE.env_config)) == to_text(task)


@pytest.mark.slow
def test_edits_do_what_they_say(generated, edited):
    _, before = to_host(generated)
    for name, field, step in (
        ("add_rule", "num_firings", 1),
        ("drop_rule", "num_firings", -1),
        ("swap_kind", "num_firings", 0),
        ("move_object", "num_objects", 0),
    ):
        _, after, is_good = edited[name]
        assert (getattr(after, field) - getattr(before, field))[is_good].tolist() == [step] * is_good.sum()
    for name, step in (("add_false_rule", 1), ("drop_false_rule", -1)):
        _, after, is_good = edited[name]
        change = after.num_dead_ends + after.num_decoys - before.num_dead_ends - before.num_decoys
        assert change[is_good].tolist() == [step] * is_good.sum()
    _, after, is_good = edited["hide"]
    assert (after.num_hidden_rules != before.num_hidden_rules)[is_good].any()


@pytest.mark.slow
def test_no_edit_makes_a_game_of_another_split(edited):
    tasks, _, is_good = edited["several"]
    ids = tasks.game_id[is_good]
    assert len(set(ids.tolist())) == len(ids) and (ids >= 0).all()
    has_game = {
        split: np.asarray(jax.jit(jax.vmap(UNIVERSE.with_split(split).has_game))(tasks))[is_good]
        for split in ("train", "validation", "test")
    }
    assert has_game["train"].all() and not has_game["validation"].any() and not has_game["test"].any()


@pytest.fixture(scope="module")
def edit_many():
    """Edits `NUM_EDITED` stacked tasks: each of the edits is drawn."""
    change = jax.jit(jax.vmap(functools.partial(edit, UNIVERSE)))
    return lambda tasks, seed: change(tasks, jax.random.split(jax.random.key(seed), NUM_EDITED))


def test_a_changed_task_is_sound(generated, edit_many):
    tasks = jax.tree.map(lambda leaf: leaf[:NUM_EDITED], generated[0])
    changed, is_changed = to_host(edit_many(tasks, 1))
    assert is_changed.mean() > 0.3 and (changed.world_id == -1)[is_changed].all()
    assert (changed.game_id != tasks.game_id)[is_changed].mean() > 0.5
    for index in np.nonzero(is_changed)[0][:NUM_SOLVED]:
        worlds = start_worlds(UNIVERSE.env_config, take(changed, index))
        for world in worlds:
            assert rules_that_hold(world) == [] and not oracle.holds_formula(world, world.goals[0])
        check_reach(worlds[0])
        player = solver.Player(worlds[index % 4])
        player.solve()
        assert set(player.chain) <= set(player.events)


def test_what_cannot_be_edited_is_left_as_it_was(edit_many):
    """A task with nothing in it but the agent."""
    task = parse('goal = "near(agent, red ball)"\nmap = """\n0....\n"""', UNIVERSE.env_config)
    same, is_changed = edit_many(jax.tree.map(lambda leaf: np.stack([leaf] * NUM_EDITED), task), 0)
    assert not is_changed.any()
    for leaf, expected in zip(jax.tree.leaves(same), jax.tree.leaves(task), strict=True):
        assert (leaf == expected).all()
