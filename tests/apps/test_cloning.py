"""The experiment of memories that imitate a trained GRU: what each begins with, how near it comes, and a tiny run."""

import dataclasses
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_rooms import SMALL_AGENT, TinyRooms, env_config

from xworld import Env
from xworld.agents import Output, Searcher, make_agent
from xworld.apps.commands.main import main
from xworld.apps.laboratory import Job
from xworld.apps.laboratory.experiments.remembering import cloning, memories
from xworld.apps.laboratory.experiments.remembering.cloning import _SIZES
from xworld.core.step.rules import kind_taken
from xworld.evaluation import record_tasks, sample_tasks
from xworld.histories import DatasetHeader, read_windows
from xworld.training import TaskInference
from xworld.training.learners.learner import Trained


@pytest.mark.parametrize(
    "arm, held",
    [
        ("transformer_xl-without-convolution", {"convolution": [1, 0, 0, 0]}),
        ("transformer_xl-without-distance", {"distance_bias": [0] * 16}),
        ("transformer_xl-without-scale", {"attention_scale": [1] * 64, "feed_forward_scale": [1] * 64}),
        ("gru_txl-without-age", {"age_bias": [0] * 38}),
        ("gated_delta-without-convolution", {"convolution": [1, 0, 0, 0]}),
    ],
)
def test_a_part_that_is_left_out_is_held_where_it_does_nothing(arm, held, tmp_path):
    """And the rest is as in the whole network."""
    jobs = [Job("control", name, 3, tmp_path) for name in (arm.partition("-without-")[0], arm)]
    of_whole, config = (cloning._imitation(job, _SIZES[False]) for job in jobs)
    whole, without = (cloning._first_params(job, config) for job in jobs)
    assert config.agent == of_whole.agent and config.learner.optimiser.frozen == tuple(held)
    jax.eval_shape(config.learner.optimiser.start, Trained(without, ()))  # all of these names are parts
    found = jax.tree_util.tree_leaves_with_path(without)
    changed = set()
    for (path, leaf), other in zip(found, jax.tree.leaves(whole), strict=True):
        names = {key.key for key in path if hasattr(key, "key")} & set(held)
        if names:
            (name,) = names
            leaf = np.asarray(leaf)
            assert (leaf == np.array(held[name]).reshape(-1, *[1] * (leaf.ndim - 1))).all()
            changed.add(name)
        else:
            np.testing.assert_array_equal(leaf, other)
    assert changed == set(held)


def test_all_arms_learn_from_the_same_and_see_a_whole_episode(tmp_path):
    arms = cloning.EXPERIMENT.arms_of["control"]
    configs = [cloning._imitation(Job("control", arm, 0, tmp_path), _SIZES[False]) for arm in arms]
    assert {config.agent.memory for config in configs} == {arm.partition("-")[0] for arm in arms}
    of_learner = {dataclasses.replace(config.learner, optimiser=configs[0].learner.optimiser) for config in configs}
    assert len(of_learner) == len({config.seed for config in configs}) == 1
    (learner,) = of_learner
    assert learner.window == 144 and learner.num_updates * learner.batch_size == 60_000
    assert all(not config.agent.reach or config.agent.reach >= learner.window for config in configs)
    assert all(config.agent.gradient_window in (None, 144) and config.start_share == 1 for config in configs)


def test_divergence_is_that_of_the_policies_along_what_was_done(tmp_path):
    env, rooms = Env(env_config(5)), TinyRooms(side=5, num_candidates=1, trial_length=8, num_trials=2)
    tasks = jax.device_get(sample_tasks(rooms, jax.random.key(0), 4))
    data = record_tasks(tmp_path / "data", DatasetHeader(env.config), tasks, Searcher(), jax.random.key(1))
    agents = [make_agent(dataclasses.replace(SMALL_AGENT, memory_size=size), env.config) for size in (32, 16)]
    student, teacher = agents
    params = [
        jax.tree.map(lambda leaf: leaf + 0.5 * jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape), agent.init(key))
        for agent, key in zip(agents, jax.random.split(jax.random.key(0)), strict=True)
    ]
    pieces = read_windows(data, np.arange(4), np.zeros(4, np.int64), 16)
    found = np.asarray(cloning._divergence(env, student, teacher, *params, pieces))

    timesteps = data.episodes([0, 1, 2, 3]).derive(env)

    @jax.jit
    def policies(timesteps, params):
        found = []
        for agent, own in zip(agents, params, strict=True):
            told = agent.encode_briefing(own, jax.vmap(env.briefing)(tasks))
            is_reset = agent.is_reset(timesteps)
            output = agent.unroll(own, timesteps.observation, told, agent.start_memory(4), is_reset)
            found.append(jax.nn.softmax(output.logits[:16, :, 0]))
        return found

    learned, taught = (np.asarray(one, np.float64) for one in policies(timesteps, params))
    expected = (taught * np.log(taught / learned)).sum(-1)
    assert expected.max() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-5)

    # Of a teacher that always does the same: what the action that it took is to the student.
    of_scripted = np.asarray(cloning._divergence(env, student, None, params[0], {}, pieces))
    action = np.asarray(cloning.derive_windows(env, pieces).action)
    expected = -np.log(np.take_along_axis(learned, action, axis=-1))[..., 0]
    assert action.max() > 0 and expected.max() > 1
    np.testing.assert_allclose(of_scripted, expected, atol=1e-5)


def test_the_first_trial_is_told_of_apart(monkeypatch):
    by_step = np.where(np.arange(144)[:, None] < 24, [0.5, 0.3, 0.4], [0.2, 0.0, 0.1])
    agent = SimpleNamespace(agent=None, params=None)
    monkeypatch.setattr(cloning, "_divergence", lambda *of: by_step)
    monkeypatch.setattr(cloning, "read_windows", lambda data, streams, starts, length: length)
    monkeypatch.setattr(cloning, "load", lambda path: agent)
    numbers = cloning._divergences(agent, SimpleNamespace(num_episodes=3, env=None), cloning._LESSONS["control"])
    assert numbers["divergence_first"] == 0.4 and numbers["divergence_later"] == 0.1
    half = 4.3027 * 0.1 / 3**0.5  # t with two degrees of freedom
    assert numbers["divergence_later_low"] == pytest.approx(0.1 - half, abs=1e-3)
    assert numbers["divergence_later_high"] == pytest.approx(0.1 + half, abs=1e-3)


def test_answers_are_those_of_the_head_and_right_is_what_the_rule_takes(tmp_path):
    env, rooms = Env(env_config(5)), TinyRooms(side=5, num_candidates=3, trial_length=8, num_trials=2)
    tasks = jax.device_get(sample_tasks(rooms, jax.random.key(0), 4))
    data = record_tasks(tmp_path / "data", DatasetHeader(env.config), tasks, Searcher(), jax.random.key(1))
    agent, asked = make_agent(SMALL_AGENT, env.config), TaskInference()
    own = asked.init(jax.random.key(0), SimpleNamespace(features=jnp.zeros((1, SMALL_AGENT.memory_size))))
    kinds = np.asarray(jax.vmap(kind_taken)(tasks.rules))[:, 0]
    shape, colour = divmod(int(kinds[1]), 16)
    own["output_bias"] = own["output_bias"].at[np.array([shape, 16 + colour])].set(9.0)  # says so, come what may
    pieces = read_windows(data, np.arange(4), np.zeros(4, np.int64), 16)
    answer, kind = cloning._answer(env, agent, asked, agent.init(jax.random.key(0)), own, pieces)
    assert (np.asarray(kind) == kinds).all() and (np.asarray(answer) == kinds[1]).all() and (kinds != kinds[1]).any()


def test_recall_is_of_first_steps_of_the_last_four_trials_by_number_of_rules(monkeypatch):
    """And only of trials whose goal was asked for before: of the 3rd task not the 13th, of the 4th none."""
    lesson = cloning._LESSONS["recall-four"]
    kind, answer = np.full((260, 6), 7), np.full((260, 6), 9)  # wrong at all other steps
    kind[240:, 2], kind[:, 3] = 8, np.repeat(np.arange(13), 20)
    answer[180::20] = [[7, 7, 6, 0, 7, 7]] * 3 + [[7, 6, 8, 12, 7, 6]]  # trials 10 to 13
    rules = SimpleNamespace(relation=np.array([[5, 0], [5, 0], [5, 0], [5, 5], [5, 5], [5, 5]]))
    held_out = SimpleNamespace(env=None, num_episodes=6, tasks=lambda episodes: SimpleNamespace(rules=rules))
    monkeypatch.setattr(cloning, "_episodes", lambda *of: ())
    monkeypatch.setattr(cloning, "_replay", lambda *of: (None, Output(None, None, jnp.zeros((1, 8)), None)))
    monkeypatch.setattr(cloning, "read_heads", lambda folder, like: like)
    monkeypatch.setattr(cloning, "_answer", lambda *of: (answer, kind))
    student = SimpleNamespace(agent=None, params=())
    numbers = cloning._recall(lesson.asked, student, None, held_out, lesson)
    assert numbers["recalled_of_1"] == pytest.approx((1 + 0.75 + 0) / 3, abs=1e-4)
    assert numbers["recalled_of_2"] == pytest.approx((1 + 0.75) / 2, abs=1e-4)
    assert numbers["recalled_of_2_low"] < numbers["recalled_of_2"] < numbers["recalled_of_2_high"]


def test_who_is_asked_learns_from_one_to_four_rules_and_is_examined_with_four(tmp_path, monkeypatch):
    recorded = []
    monkeypatch.setattr(cloning, "record_tasks", lambda folder, header, tasks, *_: recorded.append(tasks))
    cloning._record(Job("recall-four", "gru", 0, tmp_path, is_quick=True), "test", 32, tmp_path / "data")
    assert set((recorded[0].rules.relation != 0).sum(-1).tolist()) == {1, 2, 3, 4}
    assert cloning._config("recall-four").universe.num_chains == (4, 4)
    config = cloning._imitation(Job("recall-four", "gru", 0, tmp_path), _SIZES[False])
    assert config.learner.num_updates * config.learner.batch_size == 100_000 and config.learner.window == 260
    assert config.agent.modulates_view and not config.agent.kinds_to_memory
    given = cloning._imitation(Job("recall-four", "gru-kinds", 0, tmp_path), _SIZES[False])
    assert given == dataclasses.replace(config, agent=dataclasses.replace(config.agent, kinds_to_memory=True))
    config, given = (
        cloning._imitation(Job("search", arm, 0, tmp_path), _SIZES[False]) for arm in ("gru", "gru-vectors")
    )
    assert not config.agent.modulates_view and not config.agent.kinds_to_memory
    assert given == dataclasses.replace(config, agent=dataclasses.replace(config.agent, kinds_to_memory=True))


@pytest.mark.parametrize("memory", ["gru", "transformer_xl"])
@pytest.mark.parametrize(
    ("family", "kinds", "chains"), [("recall-four", "kinds", (1, 4)), ("search", "vectors", (1, 1))]
)
@pytest.mark.parametrize("is_quick", [False, True])
def test_who_learns_on_from_reward_starts_as_who_imitated(
    memory, family, kinds, chains, is_quick, tmp_path, monkeypatch
):
    """The network of the same memory and seed, on tasks like those that it imitated; all else as in `memories`."""
    calls = []
    imitator = f"{memory}-{kinds}"
    arm = f"{imitator}-reinforced"
    job = Job(family, arm, 3, tmp_path / f"{family}-{arm}-seed3", is_quick)
    agent = dataclasses.replace(SMALL_AGENT, kinds_to_memory=True)
    begun = SimpleNamespace(agent=SimpleNamespace(config=agent), params="its parameters")
    monkeypatch.setattr(cloning, "load", lambda folder: calls.append(folder) or begun)
    monkeypatch.setattr(cloning, "train_run", lambda config, *of, **kwargs: calls.append((config, *of, kwargs)) or {})
    monkeypatch.setattr(cloning, "_exam", lambda job: SimpleNamespace(play=lambda folder: {13: folder}))
    assert cloning.run(job).returns == {13: job.folder}
    folder, (config, of_run, given) = calls
    assert folder == tmp_path / f"{family}-{imitator}-seed3" / "agent" and of_run == job
    assert given == {"terms": (TaskInference(weight=0.02),), "params": "its parameters"}
    runs = []
    monkeypatch.setattr(memories, "train_to_end", lambda config, *of, **kwargs: runs.append(config))
    for of_memories in (job, dataclasses.replace(job, is_quick=False)):
        memories.run(dataclasses.replace(of_memories, arm=imitator))
    expected, whole = runs
    universe = dataclasses.replace(whole.universe, num_chains=chains)
    expected = dataclasses.replace(expected, env=whole.env, universe=universe, agent=agent)
    assert config == (expected if is_quick else dataclasses.replace(expected, total_steps=25_000_000))
    assert config.learner.warm_up == (0.02 if memory == "transformer_xl" else 0)
    assert cloning.EXPERIMENT.needs[arm] == imitator and arm in cloning.EXPERIMENT.arms_of[family]


@pytest.mark.slow  # compiles the generator, the teacher, a learner and the expert
def test_the_experiment_runs(tmp_path, capsys):
    arguments = ["lab", "cloning", "--families", "control", "--arms", "gru_txl-without-age", "--quick"]
    arguments += ["--output", str(tmp_path)]
    assert main(arguments) == 0
    content = json.loads((tmp_path / "cloning.json").read_text())
    (of_family,) = content["families"].values()
    assert {"gru_txl-without-age", "teacher", "random"} <= set(of_family["scores"])
    (run,) = of_family["runs"]
    assert 0.05 < run["numbers"]["divergence_first"] < 5  # it has hardly learned
    bounds = [run["numbers"][f"divergence_later{bound}"] for bound in ("_low", "", "_high")]
    assert bounds == sorted(bounds)
    capsys.readouterr()
    assert main(arguments) == 0 and "begins" not in capsys.readouterr().out


@pytest.mark.slow  # likewise, and a trainer
def test_an_arm_that_is_reinforced_runs_the_one_that_it_starts_with(tmp_path):
    arguments = ["lab", "cloning", "--families", "search", "--arms", "gru-vectors-reinforced", "--quick"]
    arguments += ["--seeds", "0", "--output", str(tmp_path)]
    assert main(arguments) == 0
    runs = json.loads((tmp_path / "cloning.json").read_text())["families"]["search"]["runs"]
    numbers = {run["arm"]: run["numbers"] for run in runs}
    assert 0 <= numbers["gru-vectors"]["recalled_of_1"] <= 1
    assert numbers["gru-vectors-reinforced"]["parameters"] == numbers["gru-vectors"]["parameters"]
