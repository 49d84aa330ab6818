"""Who sits in the other seats: the learner with noise, a player that stays as it is, a pool of snapshots."""

import dataclasses
import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from devices_worker import pool_config, two_agents
from jax.sharding import PartitionSpec as P
from test_devices import TOLERANCE, finish, start

from xworld import Env, VectorEnv
from xworld.agents import distribution, make_agent
from xworld.agents import load as load_agent
from xworld.agents import save as save_agent
from xworld.base.xla.devices import make_mesh
from xworld.core.step.actions import NOOP
from xworld.tasks import TaskSet
from xworld.training import (
    FixedConfig,
    NoisySelfConfig,
    PLRConfig,
    PoolConfig,
    SelfConfig,
    train,
)
from xworld.training.partners.fixed import FixedAgent, Idler
from xworld.training.partners.noisy_self import NoisySelf
from xworld.training.partners.seats import action_keys, is_of_partners, sit_down
from xworld.training.rollouts.partners import Informed, Scene
from xworld.training.rollouts.rollout import collect, is_present, start_actor
from xworld.training.rollouts.try_out import Search, _seats
from xworld.training.run.checkpoint import load
from xworld.training.run.given import make_partners
from xworld.training.run.trainer import make_trainer

CONFIG = pool_config()
ENV, TASKS = two_agents()
AGENT = make_agent(CONFIG.agent, ENV)
NUM_ENVS = 8


def on_mesh(function):
    """Compiled, on each device of the mesh."""
    shard = functools.partial(jax.shard_map, mesh=make_mesh(), in_specs=P(), out_specs=P(), check_vma=False)
    return jax.jit(shard(function))


def params_of(seed):
    """Parameters with which an agent has strong opinions."""
    return jax.tree.map(lambda leaf: 3 * leaf, AGENT.init(jax.random.key(seed)))


def decided(seed):
    """Parameters whose logits are not uniform, so that actions tell who acted."""
    key, noise_key = jax.random.split(jax.random.key(seed))
    return jax.tree.map(lambda leaf: leaf + 0.4 * jax.random.normal(noise_key, leaf.shape), AGENT.init(key))


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for leaf, wanted in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(leaf, wanted)


@functools.cache
def played(partners, length=40):
    """The steps that a learner with these partners plays, and what they carry at the end."""
    vec, key = VectorEnv(Env(ENV), NUM_ENVS), jax.random.key(3)

    @jax.jit
    def play():
        params = params_of(1)
        actor = start_actor(AGENT, vec, key, TASKS, partners=partners)
        after, rollout, _ = collect(AGENT, params, vec, actor, key, TASKS, length, partners=partners)
        return rollout.steps, after.partners

    return jax.device_get(play())


@pytest.mark.slow
def test_the_learner_has_one_seat_of_those_that_are_taken_drawn_for_each_episode():
    steps, _ = played(NoisySelfConfig(0.4, 0.6).make(AGENT, ENV, CONFIG.sizes))
    is_alone = steps.task_id[..., 1] == 1
    assert is_alone.any() and not is_alone.all()
    assert (steps.weight.sum(-1) == 1).all() and (steps.weight[is_alone][:, 0] == 1).all()
    seat = steps.weight.argmax(-1)
    begins = (steps.observation.trial == 0) & (steps.observation.time_left == 9)
    assert ((seat[1:] == seat[:-1]) | begins[1:]).all()  # one seat through an episode
    assert set(seat[~is_alone]) == {0, 1}


def test_what_partners_do_in_a_scene():
    """Every second environment has one agent; `least` and `most` are of the episode that begins, not of one before."""
    number, is_alone = 400, np.arange(400) % 2 == 0
    view = np.zeros((number, 2, 5, 5, 3), np.uint8)
    view[..., 4, 2, 0] = np.stack([np.ones(number), ~is_alone], axis=1)
    own = jnp.asarray(np.random.default_rng(0).integers(0, 7, (number, 2)), jnp.int32)
    keys = jax.random.split(jax.random.key(0), number)

    @functools.partial(jax.jit, static_argnums=0)
    def act(partners, is_first):
        scene = Scene(SimpleNamespace(view=jnp.asarray(view)), jnp.full(number, is_first), own)
        return partners.act(partners.start(number), keys, scene, ())[1:]

    same, noisy, idle = NoisySelf(NoisySelfConfig(0, 0)), NoisySelf(NoisySelfConfig(1, 1)), Idler(is_random=False)
    for partners, is_first in ((same, True), (noisy, False)):
        np.testing.assert_array_equal(act(partners, is_first)[0], own)
    actions, is_theirs = act(noisy, True)
    assert set(np.unique(actions)) == set(range(7)) and 0.05 < (actions == own).mean() < 0.25  # a seventh by chance
    assert (act(idle, True)[0] == NOOP).all()
    np.testing.assert_array_equal(is_theirs.sum(-1), ~is_alone)


@pytest.mark.parametrize("num_agents", [3, 4])
def test_partners_have_all_other_seats_of_more_agents(num_agents):
    is_there = np.random.default_rng(0).random((200, num_agents)) < 0.6
    is_there[~is_there.any(1), 1] = True
    view = np.zeros((*is_there.shape, 5, 5, 3), np.uint8)
    view[..., 4, 2, 0] = is_there  # an agent sees the cell it stands on
    scene = Scene(SimpleNamespace(view=jnp.asarray(view)), jnp.arange(200) % 4 > 0, None)
    seat = sit_down(jnp.full(200, 1, jnp.int32), jax.random.split(jax.random.key(0), 200), scene)
    is_drawn = np.arange(200) % 4 > 0
    assert (seat[~is_drawn] == 1).all() and is_there[is_drawn, seat[is_drawn]].all()
    assert set(np.asarray(seat)) == set(range(num_agents))
    theirs = np.asarray(is_of_partners(seat, scene.observation))
    np.testing.assert_array_equal(theirs, is_there & (np.arange(num_agents) != np.asarray(seat)[:, None]))


@pytest.mark.slow
def test_noise_is_a_share_of_the_partners_actions_and_none_of_the_learners():
    """With no noise, and as far as the first partner has acted, everything is as in self-play."""
    plain, _ = played(None)
    quiet, _ = played(NoisySelfConfig(0.0, 0.0).make(AGENT, ENV, CONFIG.sizes))
    np.testing.assert_array_equal(quiet.action, plain.action)
    noisy, (_, carry) = played(NoisySelfConfig(0.4, 0.6).make(AGENT, ENV, CONFIG.sizes))
    assert ((carry.share >= 0.4) & (carry.share <= 0.6)).all() and np.ptp(carry.share) > 0
    first, wanted = noisy.action[0], plain.action[0]
    is_ours = noisy.weight[0] == 1
    np.testing.assert_array_equal(first[is_ours], wanted[is_ours])
    assert (noisy.action != plain.action).any()


@pytest.mark.slow
@pytest.mark.parametrize("player", ["noop", "random"])
def test_scripted_partners(player):
    steps, _ = played(FixedConfig(player).make(AGENT, ENV, CONFIG.sizes))
    theirs = steps.action[(steps.weight == 0) & (np.asarray(is_present(steps.observation)) == 1)]
    assert len(theirs) > 50 and set(theirs) == ({NOOP} if player == "noop" else set(range(7)))


@pytest.mark.slow
def test_a_saved_partner_plays_by_its_own_memory_and_parameters(tmp_path):
    """Its memory runs along, and is emptied with its episode; what it is told it reads by itself."""
    save_agent(tmp_path / "agent", AGENT, params_of(2), env_config=ENV)
    partners = FixedConfig(str(tmp_path / "agent")).make(AGENT, ENV, CONFIG.sizes)
    assert isinstance(partners, FixedAgent)
    assert_same(partners.params, load_agent(tmp_path / "agent").params)
    steps, (_, carry) = played_by(partners)
    alone, briefings, first_memory = steps
    told = partners.encode_briefing(briefings)
    expected = AGENT.unroll(partners.params, alone.observation, told_along(told, 5), first_memory, alone.is_reset)
    np.testing.assert_allclose(carry.memory, expected.memory, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("is_told_all", [False, True])
def test_partners_beside_idle_environments_are_told_what_they_are_to_know(is_told_all):
    search = Search(num_envs=4, length=5, num_episodes=2, num_idle=1)
    seats = _seats(search, SimpleNamespace(is_told_all=is_told_all))
    assert isinstance(seats, Informed) and seats.is_told_all == is_told_all
    assert not _seats(search, None).is_told_all and not _seats(search, FixedConfig().make(AGENT, ENV, None)).is_told_all


def told_along(told, length):
    return jnp.broadcast_to(told, (length, *told.shape))


def played_by(partners):
    """Five steps of first episodes: these, what was told, the empty memory; and what partners carry then."""
    vec, key = VectorEnv(Env(ENV), NUM_ENVS), jax.random.key(4)

    @jax.jit
    def play():
        actor = start_actor(AGENT, vec, key, TASKS, partners=partners, is_spread=False)
        after, rollout, _ = collect(AGENT, params_of(1), vec, actor, key, TASKS, 5, partners=partners)
        return (rollout.steps, rollout.context.briefings[0], AGENT.start_memory(NUM_ENVS)), after.partners

    return play()


def a_pool(**changes):
    options = {"capacity": 2, "updates_per_draw": 2, "draws_per_snapshot": 1} | changes
    return PoolConfig(**options).make(AGENT, ENV, dataclasses.replace(CONFIG.sizes, num_groups=1))


def test_a_pool_takes_snapshots_and_keeps_who_is_playing():
    follow = on_mesh(lambda pool, key, params, update: pool.follow(key, params, update))
    pool = a_pool()
    snapshots, drawn = {}, set()
    for update in range(24):
        before, params = pool, params_of(update)
        pool = follow(pool, jax.random.key(update), params, jnp.int32(update))
        taken = [int(number) for number in pool.taken[1:]]
        if update % 2 or update == 0:
            assert_same(pool, before)  # between draws nothing changes
            continue
        assert pool.draw == before.draw + 1 and pool.before == before.now and pool.is_filled[pool.now].all()
        snapshots[update] = params
        assert update in taken  # one of the two places is free
        drawn.add(int(pool.now[0]))
        for place, number in enumerate(taken, start=1):
            if pool.is_filled[place]:
                assert_same(jax.tree.map(lambda leaf, at=place: leaf[at], pool.params), snapshots[number])
        if before.now[0] > 0:
            assert pool.taken[before.now[0]] == before.taken[before.now[0]]  # who plays on is kept
    assert pool.is_filled.all() and drawn == {0, 1, 2}


def test_a_snapshot_plays_as_when_it_was_taken_and_on_to_the_end_of_its_episodes():
    """Those in an episode that began before the draw keep their partner; who begins gets the new one."""
    old, new = jax.jit(lambda: (decided(5), decided(6)))()
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), new, old, new)  # the first place is the random player's
    pool = dataclasses.replace(
        a_pool(),
        params=stacked,
        is_filled=jnp.ones(3, bool),
        draw=jnp.int32(4),
        now=jnp.array([2], jnp.int32),
        before=jnp.array([1], jnp.int32),
    )
    vec = VectorEnv(Env(ENV), NUM_ENVS)

    @jax.jit
    def begin(key):
        state, timestep = vec.reset(key, TASKS)
        return vec.briefings(state)[0], timestep

    briefing, timestep = begin(jax.random.key(0))
    is_old = jnp.arange(NUM_ENVS) % 2 == 0
    memory = jax.tree.map(lambda leaf: leaf + 0.5, AGENT.start_memory(NUM_ENVS))

    keys = jax.random.split(jax.random.key(1), NUM_ENVS)

    def act(pool, draws, is_first):
        players = pool.players()
        carry = dataclasses.replace(players.start(NUM_ENVS), draw=draws, memory=memory)
        scene = Scene(timestep.observation, is_first, jnp.zeros((NUM_ENVS, 2), jnp.int32))
        carry, actions, _ = players.act(carry, keys, scene, players.encode_briefing(briefing))
        return carry, actions

    @jax.jit
    def alone(params, is_reset):
        told = AGENT.encode_briefing(params, briefing)
        output = AGENT.step(params, timestep.observation, told, memory, is_reset)
        return output.memory, output.logits

    def drawn(logits):
        return jax.vmap(distribution.sample)(action_keys(keys), logits)

    act = on_mesh(act)
    carry, actions = act(pool, jnp.full(NUM_ENVS, 3), ~is_old)
    expected, logits = (
        jnp.where(is_old[:, None, None], *both) for both in zip(alone(old, ~is_old), alone(new, ~is_old), strict=True)
    )
    np.testing.assert_allclose(carry.memory, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(actions, drawn(logits))
    np.testing.assert_array_equal(carry.draw, jnp.where(is_old, 3, 4))
    # Two draws later an episode that still goes on has a new partner, who remembers nothing.
    all_envs = jnp.ones(NUM_ENVS, bool)
    carry, actions = act(pool, jnp.full(NUM_ENVS, 2), ~all_envs)
    forgetful, logits = alone(new, all_envs)
    np.testing.assert_allclose(carry.memory, forgetful, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(actions, drawn(logits))
    # In the first place is the random player, whatever parameters are there.
    _, uniform = act(dataclasses.replace(pool, now=jnp.array([0], jnp.int32)), jnp.full(NUM_ENVS, 4), all_envs)
    np.testing.assert_array_equal(uniform, drawn(jnp.zeros_like(logits)))
    assert (uniform != actions).any() and (drawn(alone(old, all_envs)[1]) != actions).any()


@pytest.fixture(scope="module")
def run_with_a_pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool") / "run"
    assert train(CONFIG, folder, tasks=TASKS, show_progress=False)
    return folder


def loaded(folder, config=CONFIG, tasks=TASKS):
    trainer = make_trainer(config)
    given = trainer.given(tasks, (), make_partners(config, trainer.agent, None))
    state, given = load(folder, jax.eval_shape(trainer.start, given), given, config)
    state = dataclasses.replace(state, key=jax.random.key_data(state.key))
    return (state, given.partners) if tasks is TASKS else (state, given.partners, given.tasks)


@pytest.mark.slow  # quicker: `test_a_snapshot_plays_as_when_it_was_taken_and_on_to_the_end_of_its_episodes`
def test_a_run_with_a_pool_goes_on_bit_for_bit(run_with_a_pool, tmp_path):
    rows = []

    def stop(row):
        rows.append(row)
        if len(rows) == 3:
            raise KeyboardInterrupt  # after the checkpoint of update 4, as if killed

    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, tmp_path / "run", tasks=TASKS, show_progress=False, on_row=stop)
    assert loaded(tmp_path / "run")[1].is_filled.tolist() == [True, True, False]
    assert train(CONFIG, tmp_path / "run", tasks=TASKS, resume=True, show_progress=False)
    assert_same(loaded(tmp_path / "run"), loaded(run_with_a_pool))
    assert loaded(run_with_a_pool)[1].taken.tolist() == [0, 2, 4]


@pytest.mark.slow
def test_a_pool_and_an_archive_go_on_together_bit_for_bit(tmp_path):
    """Tasks are tried out beside the pool's partners too; who is fit is credited by the task alone."""
    many = jax.tree.map(lambda leaf: jnp.tile(leaf, (32,) + (1,) * (leaf.ndim - 1)), TASKS.tasks)
    tasks = TaskSet(dataclasses.replace(many, game_id=jnp.arange(64, dtype=jnp.int32)))
    config = dataclasses.replace(CONFIG, curriculum=PLRConfig(capacity=48, min_filled=4, decay=0.9))
    config = dataclasses.replace(config, partners=PoolConfig(capacity=2, updates_per_draw=3, draws_per_snapshot=1))
    config = dataclasses.replace(config, total_steps=6 * config.steps_per_update)
    rows = []

    def stop(row):
        rows.append(row)
        if len(rows) == 3:
            raise KeyboardInterrupt

    assert train(config, tmp_path / "whole", tasks=tasks, show_progress=False)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", tasks=tasks, show_progress=False, on_row=stop)
    assert train(config, tmp_path / "run", tasks=tasks, resume=True, show_progress=False)
    found, expected = (
        loaded(tmp_path / name, config, config.curriculum.make(tasks, config.sizes)) for name in ("run", "whole")
    )
    assert_same(found, expected)
    _, pool, replay = found
    kept = np.asarray(replay.archive.tasks.game_id)[np.asarray(replay.archive.is_filled)]
    assert pool.is_filled.sum() > 1 and len(kept) == len(set(kept.tolist())) > config.curriculum.min_filled


@pytest.mark.slow
@pytest.mark.parametrize("num_devices", [2, 8])
def test_a_pool_is_the_same_on_several_devices(run_with_a_pool, tmp_path, num_devices):
    folder = tmp_path / "run"
    finish(start(folder, num_devices=num_devices, total_devices=num_devices, has_pool=True))
    (state, pool), (expected, expected_pool) = loaded(folder), loaded(run_with_a_pool)
    for name in ("is_filled", "taken", "draw", "now", "before"):
        np.testing.assert_array_equal(getattr(pool, name), getattr(expected_pool, name))
    for one, other in ((state.params, expected.params), (pool.params, expected_pool.params)):
        jax.tree.map(functools.partial(np.testing.assert_allclose, **TOLERANCE), one, other)


@pytest.mark.slow
def test_a_task_for_one_trains_as_without_partners_and_as_in_an_environment_for_one():
    alone = jax.tree.map(lambda leaf: leaf[1:], TASKS)

    def params_after(partners, env=ENV, tasks=alone):
        config = dataclasses.replace(CONFIG, partners=partners, env=env)
        trainer = make_trainer(config)
        given = trainer.given(tasks, (), make_partners(config, trainer.agent, None))
        return trainer.chunk(trainer.start(given), given)[0].params

    by_itself, *others = (params_after(partners) for partners in (SelfConfig(), NoisySelfConfig(), CONFIG.partners))
    for other in others:
        assert_same(other, by_itself)
    names = ("agent_position", "agent_facing", "goals", "hidden")  # what has an axis of agents
    first = {name: jax.tree.map(lambda leaf: leaf[:, :1], getattr(alone.tasks, name)) for name in names}
    one_seat = dataclasses.replace(ENV, num_agents=1), TaskSet(dataclasses.replace(alone.tasks, **first))
    # But for rounding: the gradient is a sum of as many terms, and as many zeros.
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, atol=1e-6), params_after(SelfConfig(), *one_seat), by_itself
    )
