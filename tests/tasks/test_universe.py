import dataclasses
import hashlib
from collections import Counter
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
import solver
from machine_code import output_as_compiled_for_users
from universe_checks import (
    check_form,
    check_reach,
    find_chain,
    objects_of,
    rules_that_hold,
    start_worlds,
    take,
    to_host,
)

from xworld import Env, EnvConfig
from xworld.core.step.relations import HOLD, NEAR, ON, SEE, TOUCH
from xworld.tasks import TaskPool, TaskSet, Universe, UniverseConfig, WorldConfig, briefing_text, parse, to_text

DEFAULT = Universe(EnvConfig())
DEMO = Universe(
    EnvConfig(height=7, width=7, max_objects=8, max_rules=2, relations=("hold",)),
    UniverseConfig(
        world=WorldConfig(rooms=(1,), floor_colours=("black", "grey")),
        chain_length=(1, 1),
        num_distractors=(2, 2),
        num_dead_ends=(0, 0),
        frozen_percent=0,
        shapes=("ball", "cube", "pyramid", "star"),
        colours=("red", "green", "blue", "yellow"),
        hide_percent=100,
        hidden_ways=("rule",),
        hide="all",
        trial_length=(12, 12),
        num_trials=(4, 4),
    ),
)
# Small worlds, long chains, and every knob somewhere else than in the default.
CROWDED = Universe(
    EnvConfig(height=9, width=9, max_objects=14, max_rules=9, max_doors=4, view_size=7),
    UniverseConfig(
        split="test",
        test_percent=40,
        world=WorldConfig(
            rooms=(2, 4),
            closed_door_percent=0,
            locked_door_percent=100,
            max_locked_doors=1,
            door_colours=("red", "blue", "white", "cyan"),
        ),
        goal_relations=("touch", "see", "near"),
        rule_relations=("touch", "near", "hold", "on"),
        negated_goal_percent=50,
        pair_percent=80,
        direction_percent=100,
        chain_length=(0, 3),
        num_distractors=(2, 4),
        num_dead_ends=(1, 2),
        num_decoys=(0, 1),
        max_products=3,
        frozen_task_percent=100,
        frozen_percent=100,
        colours=("red", "blue", "white", "cyan"),
        hide_percent=100,
        hidden_ways=("kind", "relation"),
        hide="all",
        trial_length=(20, 30),
        num_trials=(2, 3),
    ),
)
# An id names the same task for ever: if these have to change, it is another universe, and the release notes say so.
GOLDEN = {
    "default": ["9b429e9109e19fa8", "553c664792aba318", "d8bfb3ce79b608ad", "c612346248490055"],
    "demo": ["c767ef55b00bc71b", "74ac6528eef353fc", "00ee62ee4a04f13b", "d94fc7b379953718"],
}
GOLDEN_IDS = ((0, 0), (1, 0), (0, 1), (2**30 - 1, 12345))


@cache
def generate(universe, num_tasks):
    """Stacked tasks with what is known about them, on the host; the golden ids come first."""
    ids = np.random.default_rng(0).integers(0, 2**30, (num_tasks, 2)).astype(np.int32)
    ids[: len(GOLDEN_IDS)] = GOLDEN_IDS
    return to_host(jax.jit(jax.vmap(universe.task_with_info))(ids[:, 0], ids[:, 1]))


def task_digest(task):
    content = b"".join(np.ascontiguousarray(leaf).tobytes() for leaf in jax.tree.leaves(task))
    return hashlib.sha256(content).hexdigest()[:16]


def first_steps(env, tasks):
    """[B, 4] events and rewards of a first step in which nothing is done, by the direction that agents face."""

    @jax.jit
    @jax.vmap
    def look_around(task):
        def wait(direction):
            facing = jnp.full_like(task.agent_facing, direction)
            state = env.start(jnp.uint32(0), dataclasses.replace(task, agent_facing=facing))
            _, outcome = env.advance(state, jnp.full(env.config.num_agents, 6))
            return outcome.event, outcome.reward[0]

        return jax.vmap(wait)(jnp.arange(4, dtype=jnp.uint8))

    return to_host(look_around(tasks))


def check_all(universe, num_tasks, num_walked, num_solved):
    """What holds of the tasks of every universe; returns them."""
    env_config = universe.env_config
    tasks, infos = generate(universe, num_tasks)
    example = parse('goal = "hold(agent, red ball)"\nmap = """\n0\n"""', env_config)
    for leaf, expected in zip(jax.tree.leaves(tasks), jax.tree.leaves(example), strict=True):
        assert leaf.shape[1:] == expected.shape and leaf.dtype == expected.dtype
    check_form(env_config, tasks, infos)
    events, rewards = first_steps(Env(env_config), tasks)
    assert not events.any() and not rewards.any()
    told = np.asarray(jax.jit(jax.vmap(Env(env_config).briefing))(tasks).rules)[:, 0]
    is_masked = (told[..., 0] >= 16) | (told[..., 2:] >> 4 == 13).any(axis=-1)
    num_masked = is_masked.sum(axis=1) - infos.num_hidden_rules - infos.num_hidden_dead_ends
    assert ((num_masked >= 0) & (num_masked <= infos.num_decoys)).all()
    for index in range(num_walked):
        task = take(tasks, index)
        worlds = start_worlds(env_config, task)
        for world in worlds:
            assert rules_that_hold(world) == []
            assert not oracle.holds_formula(world, world.goals[0])
        check_reach(worlds[0])
        check_chain(worlds[0], take(infos, index))
        if index < num_solved:
            player = solver.Player(worlds[index % 4])
            player.solve()
            assert set(player.chain) <= set(player.events)
    return tasks, infos


def check_chain(world, info):
    """Fires the chain forwards, on kinds alone, and checks that dead ends lead nowhere."""
    conditions, chain = find_chain(world)
    assert len(chain) == info.num_firings
    there = Counter(slot.kind for slot in world.slots if slot.kind)
    needed = Counter(kind for _, condition in conditions for kind in objects_of(condition))
    _, goal = conditions[-1]
    is_undone = chain and world.goals[0][0][0][4] == 1
    counts = sorted(needed.values())
    assert counts == [1] * (len(needed) - 1) + [1 + bool(is_undone)], "every kind of the chain is needed once"
    for index in chain:
        rule = world.rules[index]
        inputs = [kind for kind in (rule.first, rule.second) if kind >> 4 <= 6]
        assert all(there[kind] == 1 for kind in inputs)
        there.subtract(inputs)
        there.update(rule.products)
    at_goal = sorted(there[kind] for kind in objects_of(goal))
    assert at_goal[0] == (0 if is_undone else 1) and at_goal[-1] <= 1
    floors = [kind & 15 for _, condition in conditions for kind in condition[2:] if kind >> 4 == 14]
    assert {colour for row in world.terrain for cell in row if cell >> 4 == 1 for colour in [cell & 15]} >= set(floors)
    assert info.needs_both == ({240, 241} <= {condition[2] for _, condition in conditions})

    asked = set(needed) | {kind for rule in world.rules for kind in (rule.first, rule.second)}
    conditions_of_chain = {condition for _, condition in conditions}
    num_dead_ends = 0
    for index, rule in enumerate(world.rules):
        spare = rule.products[1:] if index in chain else rule.products
        assert not asked & set(spare), "what dead ends and side products make is of no use"
        if index not in chain and rule.relation:
            assert (rule.relation, rule.directions, rule.first, rule.second) not in conditions_of_chain
            num_dead_ends += bool({rule.first, rule.second} & set(needed))
    assert num_dead_ends == info.num_dead_ends


@pytest.mark.slow
def test_default_universe():
    tasks, infos = check_all(DEFAULT, 4096, num_walked=150, num_solved=60)
    assert [task_digest(take(tasks, index)) for index in range(len(GOLDEN_IDS))] == GOLDEN["default"]
    assert tasks.world_id[:4].tolist() == [a for a, _ in GOLDEN_IDS]
    assert tasks.game_id[:4].tolist() == [b for _, b in GOLDEN_IDS]
    # Everything that there can be is there, in about equal shares where the choice is uniform.
    assert_shares((tasks.door_position[..., 0] < 192).sum(axis=1), [0, 1, 4, 7, 12])
    assert_shares(infos.num_firings, [0, 1, 2, 3, 4])
    assert_shares(infos.num_dead_ends + infos.num_decoys, [0, 1, 2])
    assert infos.num_dead_ends.mean() > 4 * infos.num_decoys.mean()
    assert_shares(tasks.goals.relation[:, 0, 0, 0], [TOUCH, NEAR, HOLD, SEE, ON])
    # Dead ends add to what two objects can have.
    assert_shares(tasks.rules.relation[tasks.rules.relation != 0], [TOUCH, NEAR, HOLD, SEE, ON], ratio=1.9)
    assert_shares(tasks.num_trials, range(1, 7))
    assert tasks.trial_length.min() < 80 and tasks.trial_length.max() > 295
    is_door = tasks.door_position[..., 0] < 192
    states = tasks.door_state[is_door]
    assert 0.25 < (states == 0).mean() < 0.35 and (states == 1).mean() > 0.45 and (states == 2).mean() > 0.1
    assert ((tasks.door_state == 2).sum(axis=1) <= 2).all()
    has_rules = infos.num_firings + infos.num_dead_ends > 0
    is_hidden = infos.num_hidden_rules + infos.num_hidden_dead_ends > 0
    assert 0.7 < is_hidden[has_rules].mean() < 0.8
    negated = tasks.goals.negated[:, 0, 0, 0] == 1
    assert 0.07 < negated[infos.num_firings == 0].mean() < 0.13 and 0.08 < negated[infos.num_firings > 0].mean() < 0.12
    assert 0.1 < (tasks.object_frozen == 1).any(axis=1).mean() < 0.4 and (tasks.rules.products[..., 1] == 0).all()
    for index in range(12):
        task = jax.tree.map(jnp.asarray, take(tasks, index))
        again = parse(to_text(task), DEFAULT.env_config)
        assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), task, again)))


def assert_shares(values, expected, ratio=1.6):
    """The values are the expected ones, each about as often as the others."""
    counts = Counter(np.asarray(values).tolist())
    assert sorted(counts) == sorted(expected)
    assert max(counts.values()) < ratio * min(counts.values())


@pytest.mark.slow
def test_demo_universe_in_two_processes():
    tasks, infos = check_all(DEMO, 2048, num_walked=200, num_solved=100)
    digests = [task_digest(take(tasks, index)) for index in range(len(GOLDEN_IDS))]
    assert digests == GOLDEN["demo"]
    script = (
        "import jax, numpy as np, test_universe as t\n"
        "ids = np.array(t.GOLDEN_IDS[::-1], np.int32)\n"
        "tasks = t.to_host(jax.jit(jax.vmap(t.DEMO.task))(ids[:, 0], ids[:, 1]))\n"
        "print([t.task_digest(t.take(tasks, index)) for index in range(len(ids))][::-1])"
    )
    output = output_as_compiled_for_users(script, "--xla_force_host_platform_device_count=2")
    assert output.strip() == str(digests)

    assert (infos.num_firings == 1).all() and (infos.num_hidden_rules == 1).all() and (infos.num_dead_ends == 0).all()
    assert (infos.num_distractors == 2).all() and (infos.num_objects == 3).all()
    assert (tasks.rules.relation[:, 0] == HOLD).all() and (tasks.rules.relation[:, 1:] == 0).all()
    assert (tasks.goals.second[:, 0, 0, 0] == tasks.rules.products[:, 0, 0]).all()
    assert (tasks.trial_length == 12).all() and (tasks.num_trials == 4).all()
    assert len({tuple(kinds) for kinds in np.sort(tasks.object_kind[:, :3]).tolist()}) > 500
    assert (np.diff(np.sort(tasks.object_kind[:, :3]), axis=1) > 0).all(), "three different kinds"
    # Which of the three is right says nothing: in map order it is each of them equally often.
    assert_shares((tasks.object_kind[:, :3] == tasks.rules.second[:, :1]).argmax(axis=1), [0, 1, 2])
    task = jax.tree.map(jnp.asarray, take(tasks, 0))
    assert briefing_text(Env(DEMO.env_config).briefing(task))[1] == ["?"]


@pytest.mark.slow
def test_crowded_universe():
    tasks, infos = check_all(CROWDED, 4096, num_walked=300, num_solved=150)
    doors = (tasks.door_position[..., 0] < 192).sum(axis=1)
    assert_shares(doors, [1, 4])
    assert ((tasks.door_state == 2).sum(axis=1) == 1).all()
    assert (tasks.door_state[tasks.door_position[..., 0] < 192] != 0).all(), "what would be locked is closed"
    assert set(tasks.goals.relation[:, 0, 0, 0].tolist()) == {TOUCH, SEE, NEAR}
    relations = tasks.rules.relation
    assert set(relations[relations != 0].tolist()) == {TOUCH, NEAR, HOLD, ON}
    negated = tasks.goals.negated[:, 0, 0, 0] == 1
    assert all(0.4 < negated[infos.num_firings == number].mean() < 0.6 for number in range(4))
    directions = tasks.rules.directions[relations == TOUCH]
    assert set(directions.tolist()) == set(range(1, 16)) and (directions != 15).mean() > 0.5, "all at anchors only"
    is_pair = (tasks.rules.first != 240) & np.isin(relations, (TOUCH, NEAR))
    assert 0.6 < is_pair[np.isin(relations, (TOUCH, NEAR))].mean() < 0.85
    num_products = (tasks.rules.products != 0).sum(axis=2)
    is_by_agent = tasks.rules.first == 240
    assert_shares(num_products[(relations != 0) & ~is_by_agent], [1, 2, 3])
    assert (num_products[is_by_agent] == 1).all(), "nothing walls the agent in"
    assert_shares(infos.num_firings, range(4))
    assert set((infos.num_dead_ends + infos.num_decoys).tolist()) == {1, 2, 3}
    assert_shares(infos.num_distractors, [2, 3, 4])
    # Frozen are distractors that are no bait; else only what rules or the goal ask for, as anchors or to be undone.
    for index in range(300):
        task, info = take(tasks, index), take(infos, index)
        asked = {*task.rules.first.tolist(), *task.rules.second.tolist()}
        asked |= {int(task.goals.first[0, 0, 0]), int(task.goals.second[0, 0, 0])}
        is_asked = np.isin(task.object_kind, [*asked])
        is_idle = (task.object_kind != 0) & (task.object_kind >> 4 != 4) & ~is_asked
        assert task.object_frozen[is_idle].sum() == info.num_distractors // 2
    colours = {kind & 15 for kind in tasks.object_kind[tasks.object_kind != 0].tolist()}
    assert colours == {0, 2, 8, 11}
    assert (infos.num_hidden_rules == infos.num_firings).all()
    assert (infos.num_hidden_dead_ends == infos.num_dead_ends).all()
    assert not tasks.hidden.rules.any()
    is_by_kind = (tasks.hidden.kinds[:, 0] != 0).any(axis=1)
    assert 0.4 < is_by_kind.mean() < 0.6 and (is_by_kind ^ (tasks.hidden.relations[:, 0] != 0).any(axis=1)).all()
    assert tasks.trial_length.min() == 20 and tasks.trial_length.max() == 30
    assert_shares(tasks.num_trials, [2, 3])


PLAIN = Universe(
    EnvConfig(height=11, width=11, num_agents=2, goal_clauses=2, goal_literals=3, relations=("near", "touch")),
    UniverseConfig(
        split="all",
        world=WorldConfig(rooms=(4,), closed_door_percent=100, locked_door_percent=0),
        shapes=("key", "hex"),
        pair_percent=0,
        direction_percent=0,
        negated_goal_percent=0,
        goal_false_at_start=False,
        chain_length=(0, 1),
        num_distractors=(6, 6),
        num_dead_ends=(0, 0),
        frozen_percent=0,
        hide_percent=0,
    ),
)


@pytest.mark.slow
def test_plain_universe_in_a_pool():
    env_config = PLAIN.env_config
    source = TaskSet.from_source(TaskPool(PLAIN, 3, 50), jax.random.key(7), 1024)
    tasks = to_host(source.tasks)
    assert set(tasks.world_id.tolist()) == set(range(3)) and set(tasks.game_id.tolist()) == set(range(50))
    assert (tasks.door_state[tasks.door_position[..., 0] < 192] == 1).all()
    assert (tasks.object_frozen == 0).all() and (tasks.goals.negated[:, 0, 0, 0] == 0).all()
    assert set((tasks.object_kind[tasks.object_kind != 0] >> 4).tolist()) == {4, 6}
    assert not (tasks.hidden.rules.any() or tasks.hidden.kinds.any() or tasks.hidden.relations.any())
    assert (tasks.goals.first[:, 0, 0, 0] == 240).all() and (tasks.goals.relation[:, 1] == 0).all()
    assert np.isin(tasks.rules.directions, (0, 15)).all()
    # One game in different worlds is the same game, and one world with different games the same world.
    for game_id in range(50):
        for leaf in jax.tree.leaves((tasks.goals, tasks.rules, tasks.hidden)):
            of_game = leaf[tasks.game_id == game_id]
            assert (of_game == of_game[0]).all()
    for world_id in range(3):
        terrain_ = tasks.terrain[tasks.world_id == world_id]
        assert (terrain_ == terrain_[0]).all()
    task = jax.tree.map(jnp.asarray, take(tasks, 3))
    again = parse(to_text(task), env_config)
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), task, again)))

    events, rewards = first_steps(Env(env_config), tasks)
    has_chain = tasks.rules.relation[:, 0] != 0
    assert not events.any() and not rewards[has_chain].any() and rewards[~has_chain].any()


# Two agents and one in turn, everything that a game can have, and two-player games that need both.
TWO = Universe(
    EnvConfig(height=11, width=11, num_agents=3, max_objects=24, max_rules=6),
    UniverseConfig(
        split="all",
        world=WorldConfig(rooms=(1, 2, 4), locked_door_percent=40),
        negated_goal_percent=20,
        chain_length=(1, 3),
        no_chain_percent=30,
        num_decoys=(0, 1),
        max_products=3,
        frozen_percent=50,
        two_player_percent=70,
        together_percent=50,
    ),
)


@pytest.mark.slow
def test_two_player_universe():
    tasks, infos = check_all(TWO, 4096, num_walked=400, num_solved=250)
    assert 0.65 < (infos.num_players == 2).mean() < 0.75
    are_two = infos.num_players == 2
    assert 0.5 < infos.needs_both[are_two].mean() < 0.75 and not infos.needs_both[~are_two].any()
    first = np.concatenate([tasks.rules.first, tasks.goals.first[:, 0, 0]], axis=1)
    num_zero, num_one = ((first == kind).sum(axis=1) for kind in (240, 241))
    assert 0.9 < num_zero[are_two].sum() / num_one[are_two].sum() < 1.2 and not num_one[~are_two].any()
    assert 0.2 < (infos.num_firings[~are_two] == 0).mean() < 0.4
    assert (infos.num_firings[infos.needs_both] > 0).all()
    # What is hidden from one says nothing about what is hidden from the other.
    is_hidden = [(tasks.hidden.rules[:, agent] != 0).any(axis=1)[are_two] for agent in range(2)]
    shares = [is_hidden[0].mean(), is_hidden[1].mean()]
    assert abs((is_hidden[0] & is_hidden[1]).mean() - shares[0] * shares[1]) < 0.03
    assert 0.35 < (tasks.object_frozen == 1).any(axis=1).mean() < 0.65
    for index in range(12):
        task = jax.tree.map(jnp.asarray, take(tasks, index))
        again = parse(to_text(task), TWO.env_config)
        assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), task, again)))
