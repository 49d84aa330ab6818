"""What users give to a run changes just what it should: terms, curricula and partners."""

import dataclasses
import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from devices_worker import everything, short_config, two_agents, untrained_teacher
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from seams import Constant, Favourites, Nobody, RandomPartners, Zero
from tiny_rooms import SANITY_TASKS, SMALL_AGENT, TinyRooms, sanity_config

from xworld import ConfigError, Env, VectorEnv
from xworld.agents import load as load_agent
from xworld.agents import make_agent
from xworld.base.xla.devices import make_mesh
from xworld.tasks import TaskPool, Universe
from xworld.training import train
from xworld.training.learners.learner import Batch, Trained
from xworld.training.learners.ppo import PPOConfig
from xworld.training.learners.terms.prediction import Prediction
from xworld.training.logs.metrics import MetricsWriter
from xworld.training.rollouts.rollout import collect, start_actor
from xworld.training.run.checkpoint import load
from xworld.training.run.presets import smoke
from xworld.training.run.trainer import make_trainer

CONFIG = short_config()


def after_chunks(config=CONFIG, num_chunks=2, tasks=SANITY_TASKS, terms=(), partners=None):
    trainer = make_trainer(config)
    given = trainer.given(tasks, terms, partners)
    state, rows = trainer.start(given), []
    for _ in range(num_chunks):
        state, given, metrics, _ = trainer.chunk(state, given)
        rows.append(jax.device_get(metrics))
    return state, given, rows


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for leaf, wanted in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(leaf, wanted)


@pytest.mark.slow
def test_what_does_nothing_changes_nothing():
    config = sanity_config()  # whose plain run is compiled by other tests too
    plain, _, _ = after_chunks(config)
    idle, _, rows = after_chunks(config, tasks=Constant(SANITY_TASKS), terms=(Zero(),), partners=Nobody())
    assert_same(idle.params, plain.params)
    assert_same(idle.learner.return_scale, plain.learner.return_scale)
    assert all((row["term_zero"] == 0).all() for row in rows)
    updates, length = 2 * config.updates_per_chunk, config.learner.rollout_length
    assert (idle.terms[0] == updates).all() and (idle.actor.partners[1] == updates * length).all()
    assert (idle.curriculum != 0).any()


@pytest.mark.slow
def test_prediction_is_learned():
    config = dataclasses.replace(sanity_config(), updates_per_chunk=10)
    _, _, rows = after_chunks(config, 3, terms=(Prediction(weight=1.0),))
    losses = np.concatenate([row["term_prediction"] for row in rows])
    uninformed = 2 * np.log(256)
    assert 0.5 * uninformed < losses[0] <= uninformed + 1 and losses[-1] < 0.5 * losses[0]


def test_what_is_foretold_is_what_comes_next_as_each_seat_sees_it():
    """Another agent ahead is the same kind from both seats, and nothing comes next where an episode ends."""
    view = jnp.zeros((3, 1, 2, 5, 5, 3), jnp.uint8)  # [T, B, A, ...]
    view = view.at[1, 0, :, 3, 2, 1].set(jnp.array([0xF6, 0xF3], jnp.uint8)).at[2, 0, :, 3, 2, 1].set(0x23)
    held = jnp.arange(6, dtype=jnp.uint8).reshape(3, 1, 2)
    steps = SimpleNamespace(
        observation=SimpleNamespace(view=view, held=held),
        discount=jnp.array([[1.0], [0.0], [1.0]]),
        reward=jnp.zeros((3, 1, 2)),
    )
    _, extra = Prediction().follow((), SimpleNamespace(steps=steps))
    assert extra["ahead"][:2, 0].tolist() == [[0xF1, 0xF1], [0x23, 0x23]]
    assert extra["held"][:2, 0].tolist() == [[2, 3], [4, 5]]
    assert extra["has_next"][:, 0].tolist() == [[True, True], [False, False], [False, False]]


def test_prediction_joins_what_is_seen_and_what_is_done():
    """What is held next is one kind if thing and action match, and another if not: no sum over both foretells it."""
    term, seen, done = Prediction(weight=1.0), np.tile([0, 1], 8)[:, None, None], np.repeat([0, 1], 8)[:, None, None]
    output = SimpleNamespace(features=jnp.asarray(np.eye(2)[seen], jnp.float32))  # [T, B, A, M]
    steps = SimpleNamespace(action=jnp.asarray(done), reward=jnp.zeros(done.shape))
    extra = {"held": jnp.where(seen == done, 0x21, 0x34), "ahead": jnp.full(seen.shape, 0x10), "has_next": seen >= 0}
    optimiser = optax.adam(0.03)

    def mean_loss(own):
        return term.loss(own, output, steps, extra, jnp.float32(0)).mean()

    def learn(carry, _):
        own, state = carry
        loss, gradient = jax.value_and_grad(mean_loss)(own)
        updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(own, updates), state), loss

    own = term.init(jax.random.key(0), output)
    losses = jax.jit(lambda carry: jax.lax.scan(learn, carry, length=200)[1])((own, optimiser.init(own)))
    assert losses[0] == pytest.approx(2 * np.log(256), rel=1e-5) and losses[-1] < 0.1  # two coins would leave 1.4


@pytest.mark.slow  # quicker: `test_what_does_nothing_changes_nothing`, and `test_partners.py`
def test_absent_agents_and_partners_change_nothing():
    """Whatever stands in a rollout where nothing is learned from, parameters are the same, bit for bit."""
    env, tasks = two_agents()
    agent, vec = make_agent(SMALL_AGENT, env), VectorEnv(Env(env), 8)
    ppo = PPOConfig(rollout_length=12, num_minibatches=2, num_epochs=1).make(agent)
    partners, batch, mesh = RandomPartners(), Batch(num_envs=8, num_groups=2), make_mesh()

    @jax.jit
    def play(key):
        params = agent.init(key)
        actor = start_actor(agent, vec, key, tasks, partners=partners)
        _, rollout, _ = collect(agent, params, vec, actor, key, tasks, ppo.rollout_length, partners=partners)
        return params, rollout

    @jax.jit
    @functools.partial(jax.shard_map, mesh=mesh, in_specs=P(), out_specs=P(), check_vma=False)
    def learn(params, rollout):
        trained = Trained(params, ())
        state = ppo.start(trained, jax.random.key(0))
        return ppo.learn(trained, state, rollout, (), (), jax.random.key(1), jnp.float32(0), batch)

    params, rollout = play(jax.random.key(3))
    steps = rollout.steps
    weight = np.asarray(steps.weight)
    is_alone = np.asarray(steps.task_id[..., 1]) == 1
    assert (weight[..., 0] == 1).all()  # who is there and no partner
    assert (weight[..., 1] == (~is_alone & (np.arange(8) % 2 == 0))).all() and is_alone.any() and weight[..., 1].any()

    def with_garbage(values, garbage):
        return jnp.where(weight == 0, jnp.asarray(garbage, values.dtype), values)

    memory = rollout.context.memory + 7 * (weight[0] == 0)[..., None]
    changed = dataclasses.replace(
        steps,
        action=with_garbage(steps.action, 5),
        value=with_garbage(steps.value, 1e3),
        reward=with_garbage(steps.reward, -50),
        log_probability=with_garbage(steps.log_probability, -9),
    )
    last_value = jnp.where(weight[-1] == 0, 99.0, rollout.context.last_value)
    # A memory is garbage where the seat is never the learner's in this rollout.
    is_never = (weight == 0).all(0)[..., None]
    context = dataclasses.replace(
        rollout.context, memory=jnp.where(is_never, memory, rollout.context.memory), last_value=last_value
    )
    garbage = dataclasses.replace(rollout, steps=changed, context=context)
    (first, first_state, report), (second, second_state, other) = learn(params, rollout), learn(params, garbage)
    assert_same(second.agent, first.agent)
    assert_same(second_state, first_state)
    assert_same(other.metrics, report.metrics)


def loaded(folder):
    trainer, outside = make_trainer(CONFIG), everything()
    given = trainer.given(outside["tasks"], outside["terms"], outside["partners"])
    state, given = load(folder, jax.eval_shape(trainer.start, given), given, CONFIG)
    return dataclasses.replace(state, key=jax.random.key_data(state.key)), given


def test_a_run_with_everything_goes_on_bit_for_bit(run_with_everything, tmp_path):
    finished = run_with_everything
    rows = []

    def stop(row):
        rows.append(row)
        raise KeyboardInterrupt  # after the first checkpoint, as if killed

    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, tmp_path / "run", **everything(), show_progress=False, on_row=stop)
    assert train(CONFIG, tmp_path / "run", **everything(), resume=True, show_progress=False)
    assert_same(loaded(tmp_path / "run"), loaded(finished))
    weights = loaded(finished)[1].tasks.weights
    assert weights.std() > 0.01  # the curriculum did change
    assert "term_prediction" in MetricsWriter.read(finished)[0]


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"terms": ()},
            r"terms: \['prediction \(Prediction: weight 0.1\)', 'teacher \(Teacher: .*\)'\] there, \[\] here",
        ),
        ({"terms": (Prediction(), untrained_teacher(weight=0.5))}, r"weight 1.0, .* there, .*weight 0.5, .* here"),
        ({"partners": None}, "partners: RandomPartners there, None here"),
        ({"tasks": SANITY_TASKS}, "tasks: Favourites there, TinyRooms here"),
    ],
)
def test_a_run_that_goes_on_with_something_else_is_refused(run_with_everything, change, message):
    with pytest.raises(ConfigError, match=message):
        train(CONFIG, run_with_everything, **everything() | change, resume=True, show_progress=False)


def test_tasks_of_another_environment_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="for another environment: its height is 9"):
        train(CONFIG, tmp_path / "run", tasks=TinyRooms(side=9), show_progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("split", ["test", "all"])
def test_held_out_tasks_are_not_trained_on(tmp_path, split):
    config = smoke()
    config = dataclasses.replace(config, universe=dataclasses.replace(config.universe, split=split))
    with pytest.raises(ConfigError, match=f"UniverseConfig.split is '{split}': the run would train on the tasks"):
        train(config, tmp_path / "run", show_progress=False)
    pool = TaskPool(Universe(config.env, config.universe), 10, 10)
    with pytest.raises(ConfigError, match=f"UniverseConfig.split is '{split}'"):
        train(config, tmp_path / "run", tasks=pool, show_progress=False)


def test_on_chunk_changes_what_is_given_and_loggers_of_ones_own_get_rows(tmp_path):
    seen = []

    class Mine:
        def write(self, row):
            seen.append(row["update"])

        def close(self):
            seen.append("closed")

    only = jnp.array([0.0, 0, 1, 0])

    def choose(given, row):
        return dataclasses.replace(given, tasks=dataclasses.replace(given.tasks, weights=only))

    options = everything() | {"loggers": [Mine()], "show_progress": False}
    assert train(CONFIG, tmp_path / "run", on_chunk=choose, **options)
    assert seen == [2, 4, "closed"]
    with pytest.raises(ConfigError, match="on_chunk gives something else"):
        train(
            CONFIG,
            tmp_path / "other",
            on_chunk=lambda given, row: dataclasses.replace(given, terms=(Zero(),)),
            **options,
        )


def test_values_of_a_run_mean_returns(run_with_everything):
    agent = load_agent(run_with_everything)
    state, _ = loaded(run_with_everything)
    np.testing.assert_allclose(agent.return_scale.to_returns(1.0), state.learner.return_scale.to_returns(1.0))


def test_what_comes_in_is_placed_alike_wherever_it_was():
    """So that a source whose arrays come from the run's own parameters needs no recompile."""
    trainer, whole = make_trainer(CONFIG), NamedSharding(make_mesh(), P())
    source = Favourites.start_with(SANITY_TASKS, 4)
    moves = [
        lambda leaf: leaf,
        np.asarray,
        lambda leaf: jax.device_put(leaf, jax.devices()[-1]),
        lambda leaf: jax.device_put(leaf, whole),
    ]
    for move in moves:
        given = trainer.given(jax.tree.map(move, source))
        assert {leaf.sharding for leaf in jax.tree.leaves(given)} == {whole}
