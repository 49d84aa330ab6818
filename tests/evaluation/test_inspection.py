"""What `xworld inspect` says of an agent's memory."""

import dataclasses
import functools
import json
from collections.abc import Sequence
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluation_tasks import ENV as ROOM_ENV
from evaluation_tasks import make_room, stack
from matplotlib.figure import Figure
from rich.console import Console
from tiny_rooms import SMALL_AGENT, TinyRooms, env_config

from xworld import ConfigError, Env
from xworld.agents import AgentPolicy, LoadedAgent, Output, make_agent, save
from xworld.apps.commands.main import main
from xworld.core.kinds import agent_kind, floor_kind, object_kind
from xworld.core.step.actions import FORWARD, PICK_UP
from xworld.core.step.rules import kind_taken
from xworld.evaluation import evaluate, sample_tasks
from xworld.evaluation.inspection.figure import _draw_attention
from xworld.evaluation.inspection.forgetful import Forgetful
from xworld.evaluation.inspection.inspect import PLACES, _attention, _watch, inspect_agent, training_signs
from xworld.evaluation.inspection.probe import chance, probe
from xworld.evaluation.inspection.table import inspection_tables
from xworld.evaluation.inspection.watching import Watched, watch
from xworld.tasks import TaskCollection, TaskSet
from xworld.tasks import save as save_tasks

NUM_TRIALS, TRIAL_LENGTH, NUM_TASKS = 4, 8, 32
STEPS_AFTER = (NUM_TRIALS - 1) * TRIAL_LENGTH  # the first trial
ENV = env_config(side=5)
KEY = jax.random.key(0)
CONFIGS = {
    "gru": SMALL_AGENT,
    "gru_attention": dataclasses.replace(SMALL_AGENT, memory="gru_attention", num_heads=2, num_kept=3, keep_every=2),
    "gru_txl": dataclasses.replace(
        SMALL_AGENT, memory="gru_txl", num_heads=2, num_kept=3, keep_every=2, feed_forward_size=32
    ),
    "transformer_xl": dataclasses.replace(
        SMALL_AGENT, memory="transformer_xl", feed_forward_size=32, num_heads=2, window=8, cache_size=12
    ),
    "gated_delta": dataclasses.replace(SMALL_AGENT, memory="gated_delta", feed_forward_size=32, num_heads=2),
}


def _slow_unless(memory, quick=()):
    return pytest.param(memory, marks=() if memory in quick else pytest.mark.slow)


@pytest.fixture(scope="module")
def collection() -> TaskCollection:
    rooms = TinyRooms(side=5, trial_length=TRIAL_LENGTH, num_trials=NUM_TRIALS)
    tasks = sample_tasks(rooms, jax.random.key(1), NUM_TASKS)
    return TaskCollection("tiny rooms", Env(ENV), jax.device_get(tasks))


@functools.cache
def an_agent(memory: str) -> LoadedAgent:
    """One whose memory matters, and that does not always do the same."""
    agent = make_agent(CONFIGS[memory], ENV)
    draw, params = np.random.default_rng(1), jax.jit(agent.init)(KEY)
    scale = 0.2 if memory == "gru" else 0.1
    params = jax.tree.map(lambda leaf: leaf + scale * draw.normal(size=leaf.shape).astype(np.float32), params)
    return LoadedAgent(agent, params)


def returns(collection: TaskCollection, policy: object) -> np.ndarray:
    return evaluate(collection.env, collection.tasks, policy, KEY).returns


def test_with_one_trial_it_is_the_agent_that_forgets_at_trials(collection):
    one = an_agent("gru")
    expected = returns(collection, AgentPolicy(one.params, one.agent, clear_memory_at_trials=True))
    np.testing.assert_array_equal(returns(collection, Forgetful(one.params, one.agent, 1)), expected)
    assert expected.any()


@pytest.mark.slow  # quicker: with one trial, above
def test_with_two_it_knows_the_trial_before_and_nothing_older(collection):
    one = an_agent("gru")
    whole, two = (returns(collection, policy) for policy in (AgentPolicy(one.params, one.agent), two_trials(one)))
    np.testing.assert_array_equal(two[:, :2], whole[:, :2])
    assert (two[:, 2:] != whole[:, 2:]).any()
    many = returns(collection, Forgetful(one.params, one.agent, NUM_TRIALS))
    np.testing.assert_array_equal(many, whole)


def two_trials(one: LoadedAgent) -> Forgetful:
    return Forgetful(one.params, one.agent, 2)


class Wanderer:
    """Goes forward or picks up most of the time. Its memory counts the steps since it was emptied."""

    def start_memory(self):
        return jnp.zeros(1, jnp.int32)

    def is_reset(self, timestep):
        return timestep.is_first | timestep.is_trial_first

    def encode_briefing(self, params, briefing):
        return None

    def step(self, params, observation, told, memory, is_reset):
        memory = jnp.where(is_reset, 0, memory) + 1
        features = jnp.asarray(observation.last_action, jnp.float32)[..., None]
        logits = jnp.zeros((1, 7)).at[:, jnp.array([FORWARD, PICK_UP])].set(3.0)
        return Output(logits, jnp.zeros(1), features, memory)


def test_an_agent_that_forgets_by_itself_does_so_with_less_memory_too():
    policy = Forgetful((), Wanderer(), 2)
    _, memory = policy.start(KEY, None, None)
    for step in range(7):  # in trials of three
        observation = SimpleNamespace(trial=step // 3, last_action=[0])
        timestep = SimpleNamespace(observation=observation, is_first=step == 0, is_trial_first=step in (3, 6))
        (_, memory), _ = policy.act((None, memory), KEY, None, timestep)
        np.testing.assert_array_equal(memory, np.full((2, 1), step % 3 + 1))


def test_what_made_the_goal_is_what_a_rule_took_before_the_first_reward():
    """The same episodes, paid once the rule has fired, and from the start. And each has its chance in any batch."""
    goals = ["hold(agent, black cube)"] * 4 + ["not hold(agent, green star)"] * 2
    tasks = stack([make_room("0.x..|.....|.....|.....|.....", goal=f'"{goal}"') for goal in goals])
    agent, tasks = Wanderer(), jax.device_get(tasks)

    def watched(chosen, episodes):
        some = jax.tree.map(lambda leaf: leaf[np.array(chosen)], tasks)
        return watch(agent, ROOM_ENV, 4, (), some, jnp.array(episodes), jnp.int32(4 * 12), KEY)

    of_rule, of_nothing = np.split(np.asarray(watched([0, 1, 4, 5], [0, 1, 0, 1]).maker), 2)
    assert of_rule.tolist() == [object_kind("ball", "red")] * 2 and of_nothing.tolist() == [0, 0]
    collection = SimpleNamespace(env=ROOM_ENV)
    found = _watch(SimpleNamespace(agent=agent, params=()), collection, tasks, 4, KEY, batch_size=4)
    again = watched([5, 1, 0, 4], [5, 1, 0, 4])
    np.testing.assert_array_equal(found.features[[5, 1, 0, 4]], again.features)
    assert len(np.unique(found.features, axis=0)) > 1


def test_what_a_rule_takes():
    ball, key, agent, floor = object_kind("ball", "red"), object_kind("key", "blue"), agent_kind(0), floor_kind("pink")
    rows = ((agent, ball, ball), (key, ball, ball), (ball, agent, ball), (ball, floor, ball), (agent, floor, 0))
    first, second, taken = (jnp.array(column, jnp.uint8) for column in zip(*rows, strict=True))
    assert kind_taken(SimpleNamespace(first=first, second=second)).tolist() == taken.tolist()


def test_a_probe_finds_what_is_there_and_guesses_what_is_not():
    draw = np.random.default_rng(0)
    candidates = np.array([draw.permutation(np.arange(1, 9))[:4] for _ in range(600)])
    candidates[:, 3] *= draw.random(600) < 0.5  # of some there are three
    labels = candidates[np.arange(600), draw.integers(0, 3, 600)]
    directions = draw.normal(size=(9, 12))
    told = directions[labels] + 0.3 * draw.normal(size=(600, 12))
    assert probe(told, labels, candidates).mean() > 0.95
    guessed = probe(draw.normal(size=(600, 12)), labels, candidates).mean()
    assert abs(guessed - chance(candidates)) < 0.07 and 0.25 < chance(candidates) < 1 / 3


@pytest.mark.parametrize("memory", [_slow_unless(name) for name in CONFIGS])
def test_watched_episodes_are_those_of_the_agent(collection, memory):
    one, tasks = an_agent(memory), collection.tasks
    steps, episodes = jnp.int32(NUM_TRIALS * TRIAL_LENGTH), jnp.arange(NUM_TASKS)
    watched = watch(one.agent, collection.env, NUM_TRIALS, one.params, tasks, episodes, steps, KEY)
    assert watched.features.shape == (NUM_TASKS, NUM_TRIALS, one.config.memory_size)
    np.testing.assert_allclose(watched.features[:, 0], watched.blank[:, 0], atol=1e-5)  # nothing is known yet
    assert (abs(watched.features[:, 1:] - watched.blank[:, 1:]).max(-1) > 1e-3).all()
    # In a tiny room the rule takes the one object that can make the goal.
    right = np.asarray(tasks.rules.second)[:, 0]
    assert set(np.unique(np.where(watched.maker > 0, watched.maker == right, True))) == {True}
    assert (watched.maker > 0).any()
    np.testing.assert_array_equal(watched.num_steps, STEPS_AFTER)
    if memory in ("gru", "gated_delta"):
        assert watched.attention is None and watched.before is None
        return
    attention, total = np.asarray(watched.attention), np.asarray(watched.attention).sum(-1)
    assert (attention >= 0).all() and (total <= STEPS_AFTER + 1e-3).all()
    assert (np.asarray(watched.before) < total).all() and (np.asarray(watched.before) > 0).any()
    if memory == "transformer_xl":
        np.testing.assert_allclose(total, STEPS_AFTER, rtol=1e-5)  # it has to look somewhere
        assert (attention > 0).all()
    else:
        assert (attention[..., 0] == 0).all() and (attention[..., 1:7] > 0).any((0, 1, 2)).all()  # never at itself


@pytest.mark.parametrize("memory", [_slow_unless("gru_attention"), _slow_unless("gru_txl"), "transformer_xl"])
def test_attention_is_what_the_output_depends_on(memory):
    """Where the weight of an entry is 0, the entry does not matter; where it is not, it does."""
    one = an_agent(memory)
    env, tasks = Env(ENV), TinyRooms(side=5)
    state, timestep = jax.jit(lambda key: env.reset(key, tasks.sample(key)))(KEY)
    told = jax.jit(lambda params, task: one.agent.encode_briefing(params, env.briefing(task)))(one.params, state.task)
    carried, step_env = one.agent.start_memory(), jax.jit(env.step)
    step = jax.jit(
        lambda observation, memory, is_reset: one.agent.step(one.params, observation, told, memory, is_reset)
    )
    for number in range(7):
        carried = step(timestep.observation, carried, jnp.bool_(number == 0)).memory
        state, timestep = step_env(state, jnp.array([number % 3]))
    weights, distance = jax.jit(one.agent.attention)(one.params, timestep.observation, told, carried, jnp.bool_(False))
    last = np.asarray(weights)[0, -1].sum(0)  # [D], over the heads of the last layer
    before = step(timestep.observation, carried, jnp.bool_(False)).logits
    activations = carried.activations[-1] if memory == "transformer_xl" else carried.activations
    for place in range(activations.shape[-2]):
        changed = activations.at[..., place, :].add(1)
        entries = (*carried.activations[:-1], changed) if memory == "transformer_xl" else changed
        after = step(timestep.observation, dataclasses.replace(carried, activations=entries), jnp.bool_(False)).logits
        is_itself = memory == "transformer_xl" and int(distance[0, place]) == 0  # written over before it is read
        assert bool((after != before).any()) == (last[place] > 0 and not is_itself), place


def test_shares_of_attention_are_disjoint_and_all_there_is():
    """Of two heads in one episode of four steps that count; the second looks at nothing half of the time."""
    heads = np.array([[[0.4, 0.8, 1.6, 1.2], [0.0, 1.0, 0.6, 0.4]]])  # [layers, heads, D] sums by steps back
    watched = Watched(
        features=None,
        blank=None,
        maker=None,
        attention=heads[None],
        num_steps=np.array([4]),
        before=np.array([[[1.4, 0.5]]]),
        step_before=np.array([[[0.6, 0.75]]]),
    )
    (layer,) = attention = _attention(watched)
    found = [[head[place] for place in PLACES] for head in layer]
    np.testing.assert_allclose(found, [[0.1, 0.15, 0.4, 0.35, 0], [0, 0.1875, 0.1875, 0.125, 0.5]], atol=1e-9)
    np.testing.assert_allclose(np.sum(found, axis=1), 1)
    axes = Figure().add_subplot()
    _draw_attention(axes, {"attention": attention})
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
    assert axes.get_xlim() == (0, 1) and len(bars) == 2 * len(PLACES)
    assert min(left for left, _ in bars) == 0 and max(right for _, right in bars) == pytest.approx(1)
    (table,) = (table for table in inspection_tables(content_with(attention)) if "attention" in str(table.title))
    assert [column.header for column in table.columns[1:]] == [place.replace("_", " ") for place in PLACES]
    shown = [[float(cell) for cell in row] for row in zip(*(column.cells for column in table.columns[1:]), strict=True)]
    np.testing.assert_allclose(np.sum(shown, axis=1), 1, atol=0.02)


def content_with(attention: object, values: Sequence[float] = (0.5, 1.0)) -> dict[str, object]:
    """Of an `inspection.json`, as much as tables need."""
    of_player = {str(len(values)): {"score": {"value": values}}}
    players = ("agent", "last two trials", "this trial only")
    return {"scores": dict.fromkeys(players, of_player), "probe": {}, "attention": attention, "training": None}


@pytest.mark.parametrize(("num_trials", "shown"), [(6, [1, 2, 3, 4, 5, 6]), (13, [1, 2, 5, 13])])
def test_a_table_of_many_trials_fits_a_terminal(num_trials, shown):
    values = [trial / 100 for trial in range(1, num_trials + 1)]
    probed = dict.fromkeys(("memory", "no_memory"), {"value": values[1:]})
    (table,) = inspection_tables(content_with(None, values) | {"probe": {**probed, "chance": 0.25}})
    rows = list(zip(*(column.cells for column in table.columns[1:]), strict=True))
    assert [column.header for column in table.columns[1:]] == [str(trial) for trial in shown]
    told = tuple(f"{trial / 100:.2f}" for trial in shown)
    assert rows == [told] * 3 + [("", *told[1:])] * 2 + [("", *["0.25"] * (len(shown) - 1))]
    assert Console(width=200).measure(table).maximum <= 80


@pytest.mark.slow
def test_all_of_it_is_said(collection):
    content = inspect_agent(an_agent("transformer_xl"), collection, NUM_TRIALS, num_scored=20)
    assert content["num_tasks"] == 20  # and all are watched
    assert list(content["scores"])[0] == "agent" and {"last two trials", "this trial only"} < set(content["scores"])
    assert content["probe"]["num_episodes"] <= NUM_TASKS and "memory" not in content["probe"]  # too few to learn from
    for layer in content["attention"]:
        for head in layer:
            parts = [value for name, value in head.items() if name.startswith("at_")]
            assert sum(head["by_steps_back"]) == pytest.approx(1, abs=1e-3)
            assert sum(parts) == pytest.approx(1, abs=1e-3) and min(parts) >= 0
            # Of 24 steps that count three begin a trial: what they see a step back is of the trial before.
            assert 0 < head["at_the_step_before"] < head["by_steps_back"][1]


@pytest.mark.slow  # quicker: `test_all_of_it_is_said`
def test_the_command_leaves_numbers_and_a_figure(collection, tmp_path, capsys):
    one, folder, tasks = an_agent("gru"), tmp_path / "agent", tmp_path / "tasks.npz"
    save(folder, one.agent, one.params)
    save_tasks(tasks, TaskSet(collection.tasks), collection.env.config)
    arguments = ["inspect", str(folder), "--task-set", str(tasks), "--num-tasks", "20", "--num-watched", "99"]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    content = json.loads((tmp_path / "out" / "inspection.json").read_text())
    assert content["num_tasks"] == 20 and content["attention"] is None and content["training"] is None
    assert (tmp_path / "out" / "inspection.png").read_bytes()[:4] == b"\x89PNG"
    assert "this trial only" in capsys.readouterr().out
    assert main([*arguments, "--num-tasks", "33"]) == 2
    assert f"has {NUM_TASKS}: write 1 to {NUM_TASKS}" in capsys.readouterr().err


def test_one_trial_is_refused_and_other_tasks_and_a_seed_that_would_be_another(collection):
    with pytest.raises(ConfigError, match="seed is 4294967296; write a whole number from 0 to 4294967295"):
        inspect_agent(an_agent("gru"), collection, 2, seed=2**32)
    with pytest.raises(ConfigError, match="With 1 trials there is nothing to remember. Write a number of at least 2"):
        inspect_agent(an_agent("gru"), collection, 1)
    for_two = dataclasses.replace(collection, env=Env(dataclasses.replace(ENV, num_agents=2)))
    with pytest.raises(ConfigError, match="trained in another environment than the tasks are for .*num_agents"):
        inspect_agent(an_agent("gru"), for_two, 2)


def test_quarters_of_a_run(tmp_path):
    rows = [f"{number},{number / 8},0.01,0.1,1.5" for number in range(8)]
    path = tmp_path / "metrics.csv"
    path.write_text("\n".join(["update,gradient_norm,kl,clip_fraction,entropy", *rows]))
    quarters = training_signs(path, clip=0.5)
    assert [quarter["gradient_norm"] for quarter in quarters] == [0.0625, 0.3125, 0.5625, 0.8125]
    assert [quarter["share_clipped"] for quarter in quarters] == [0, 0, 0.5, 1]
    path.write_text("update\n1\n")
    with pytest.raises(ConfigError, match="has a row without gradient_norm, kl, clip_fraction, entropy"):
        training_signs(path, clip=0.5)
