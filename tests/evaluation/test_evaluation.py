"""Players on tasks: the same episodes whatever the batch, their comparison, and the report of it."""

import dataclasses
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluation_tasks import (
    BATCH_SIZE,
    CONFIG,
    ENV,
    KEY,
    NUM_TRIALS,
    TRIAL_LENGTH,
    join,
    make_room,
    make_tasks,
    stack,
    take,
)
from rich.console import Console

from xworld import ConfigError, Env
from xworld.agents import AgentConfig, AgentPolicy, NoopPolicy, RandomPolicy, Searcher, make_agent
from xworld.agents.players import EXPERT, SCRIPTED
from xworld.base.files import check_folder
from xworld.evaluation import (
    compare,
    difference,
    draw_learning_curve,
    episode_key,
    evaluate,
    record,
    sample_tasks,
    summarise,
    telling_episode,
    trials_table,
    write_comparison,
)
from xworld.evaluation.episodes import record_episode
from xworld.evaluation.report.look import spread_out

NUM_TASKS = BATCH_SIZE
EMPTY = "0....|.....|.....|.....|....."


@pytest.fixture(scope="module")
def tasks():
    return make_tasks(NUM_TASKS)


@pytest.fixture(scope="module")
def agent():
    agent = make_agent(
        AgentConfig(embedding_size=4, encoder_size=8, briefing_size=8, memory_size=8, head_size=8), CONFIG
    )
    params = jax.jit(agent.init)(jax.random.key(1))
    # Large random weights, so that the policy has preferences and what it remembers matters.
    params = jax.tree.map(lambda leaf: leaf + 0.5 * jax.random.normal(KEY, leaf.shape), params)
    return AgentPolicy(params, agent)


@pytest.fixture(scope="module")
def comparison(tasks, agent):
    other = dataclasses.replace(agent, params=jax.tree.map(jnp.negative, agent.params))
    return compare(ENV, tasks, [agent, other], KEY)


def test_noop_earns_what_a_task_pays_by_itself(tasks):
    rooms = [
        make_room(EMPTY, goal='"not hold(agent, black cube)"', rules="[]", trial_length=7, num_trials=2),
        make_room(EMPTY, goal='"hold(agent, black cube)"', rules="[]", trial_length=5, num_trials=3),
        make_room(EMPTY, goal='"not hold(agent, black cube)"', rules="[]", trial_length=6, num_trials=1),
    ]
    rooms = join(stack(rooms), jax.tree.map(lambda leaf: leaf[3:], tasks))
    played = evaluate(ENV, rooms, NoopPolicy(), KEY)
    np.testing.assert_array_equal(played.returns[:4], [[7, 7, 0, 0], [0, 0, 0, 0], [6, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(played.is_played[:4].sum(1), [2, 3, 1, 4])
    assert played.is_played[:, 0].all()
    longer = evaluate(ENV, rooms, NoopPolicy(), KEY, num_trials=4)
    np.testing.assert_array_equal(longer.returns[:3], [[7] * 4, [0] * 4, [6] * 4])
    assert longer.is_played.all()


def test_the_random_policy_takes_every_action():
    state = SimpleNamespace(last_action=jnp.zeros(2))
    actions = jax.vmap(lambda key: RandomPolicy().act((), key, state, None)[1])(jax.random.split(KEY, 700))
    assert actions.shape == (700, 2)
    counts = np.bincount(np.asarray(actions).ravel())
    assert counts.shape == (7,) and (np.abs(counts - 200) < 60).all()  # more than four standard deviations


@pytest.mark.slow
def test_the_key_decides_and_the_batch_size_does_not(tasks, agent):
    one = evaluate(ENV, tasks, RandomPolicy(), KEY, batch_size=12).returns
    np.testing.assert_array_equal(evaluate(ENV, tasks, RandomPolicy(), KEY, batch_size=12).returns, one)
    np.testing.assert_array_equal(evaluate(ENV, tasks, RandomPolicy(), KEY).returns, one)
    assert (evaluate(ENV, tasks, RandomPolicy(), jax.random.key(6), batch_size=12).returns != one).any()


def test_a_recorded_episode_is_the_evaluated_one(tasks, agent, comparison):
    for index in (8, 9):
        states, timesteps = record(ENV, take(tasks, index), agent, episode_key(KEY, index))
        assert timesteps.reward.shape == (NUM_TRIALS * TRIAL_LENGTH + 1, 1)
        rewards = np.asarray(timesteps.reward)[1:, 0].reshape(NUM_TRIALS, TRIAL_LENGTH)
        np.testing.assert_array_equal(rewards.sum(1), comparison.returns["agent"][NUM_TRIALS][0, index])
        assert bool(timesteps.is_first[0]) and bool(timesteps.is_last[-1])
        assert int(states.trial[-1]) == NUM_TRIALS - 1


def test_the_agent_policy_acts_by_the_agents_logits(tasks, agent):
    task = take(tasks, 10)
    states, timesteps = record(ENV, task, agent, episode_key(KEY, 10))
    told = jax.jit(agent.agent.encode_briefing)(agent.params, ENV.briefing(task))
    unroll, logits = jax.jit(agent.agent.unroll), {}
    for clears in (False, True):
        policy = dataclasses.replace(agent, is_greedy=True, clear_memory_at_trials=clears)
        is_reset = timesteps.is_first | (timesteps.is_trial_first & clears)
        memory = agent.agent.start_memory()
        logits[clears] = np.asarray(unroll(agent.params, timesteps.observation, told, memory, is_reset).logits)

        memory = jax.jit(policy.start)(KEY, take(states, 0), ENV.briefing(task))
        step = jax.jit(policy.act)
        for index in range(TRIAL_LENGTH + 5):
            memory, actions = step(memory, KEY, take(states, index), take(timesteps, index))
            runner_up, best = np.sort(logits[clears][index, 0])[-2:]
            assert actions.shape == (1,)
            assert best - runner_up < 1e-4 or actions[0] == logits[clears][index, 0].argmax()
    assert np.allclose(logits[False][:TRIAL_LENGTH], logits[True][:TRIAL_LENGTH], atol=1e-5)
    assert not np.allclose(logits[False][TRIAL_LENGTH], logits[True][TRIAL_LENGTH])  # the memory is gone
    assert len(set(logits[False][:, 0].argmax(-1).tolist())) > 1  # or the test says little


def test_sample_tasks_stacks_what_a_source_gives():
    class Source:
        def sample(self, key):
            return dataclasses.replace(make_room(EMPTY, rules="[]"), game_id=jax.random.randint(key, (), 0, 1000))

    tasks = sample_tasks(Source(), KEY, 5)
    assert tasks.terrain.shape == (5, 7, 7)
    assert len(set(np.asarray(tasks.game_id).tolist())) > 1
    with pytest.raises(ConfigError, match="number of tasks is 0"):
        sample_tasks(Source(), KEY, 0)


def test_the_telling_episode_shows_a_mistake_first_and_none_in_the_end(tasks, comparison, monkeypatch):
    scores, compiled = comparison.score("searcher")[0], set()

    def record_and_note(env, num_steps, *arguments):
        compiled.add(num_steps)
        return record_episode(env, num_steps, *arguments)

    monkeypatch.setattr("xworld.evaluation.scores.comparison.record_episode", record_and_note)
    index, states, timesteps = telling_episode(ENV, tasks, Searcher(), KEY, scores)
    again, _, _ = telling_episode(ENV, tasks, Searcher(), KEY, scores)
    assert index == again and scores[index, 0] < scores[index, -1] == 1
    is_wrong = (np.asarray(states.agent_held)[:, 0] >= 0) & (np.asarray(timesteps.reward)[:, 0] == 0)
    trial = np.asarray(states.trial)
    assert is_wrong[trial == 0].any() and not is_wrong[trial == NUM_TRIALS - 1].any()

    others = dataclasses.replace(tasks, trial_length=tasks.trial_length.at[index].set(TRIAL_LENGTH - 1))
    shorter, _, timesteps = telling_episode(ENV, others, Searcher(), KEY, scores)
    assert shorter == index
    assert (
        np.flatnonzero(timesteps.is_last).tolist() == [len(timesteps.is_last) - 1] == [(TRIAL_LENGTH - 1) * NUM_TRIALS]
    )
    assert compiled == {TRIAL_LENGTH * NUM_TRIALS}


def test_compare_plays_everybody_on_the_same_tasks(comparison):
    names = ["agent", "random", "noop", "searcher-without-memory", "searcher", "expert"]
    assert list(comparison.returns) == names and comparison.num_trials == (NUM_TRIALS,)
    assert comparison.score("agent").shape == (2, NUM_TASKS, NUM_TRIALS)
    assert (comparison.score("expert") == 1).all() and (comparison.score("noop") == 0).all()
    assert comparison.num_scored == {k: NUM_TASKS for k in range(1, NUM_TRIALS + 1)}
    assert all(comparison.score(name).max() <= 1 for name in names)
    assert {*SCRIPTED, EXPERT} == set(names) - {"agent"}  # as on the command line


def test_tasks_without_a_plan_have_no_score(tasks):
    rooms = join(stack([make_room(EMPTY)]), jax.tree.map(lambda leaf: leaf[1:], tasks))  # no red ball in the first
    comparison = compare(ENV, rooms, [], KEY, show_progress=True)
    assert comparison.num_scored[NUM_TRIALS] == NUM_TASKS - 1
    random = comparison.score("random")[0]
    assert np.isnan(random[0]).all() and not np.isnan(random[1:]).any()
    content = summarise(comparison)
    assert "1 tasks have none" in trials_table(content).caption
    zeros, without = (content["scores"]["expert"]["4"][name]["mean"] for name in ("last_with_zeros", "last"))
    assert (zeros["value"], without["value"]) == (pytest.approx((NUM_TASKS - 1) / NUM_TASKS), 1)


def test_the_report(comparison, tmp_path):
    metrics = tmp_path / "metrics.csv"
    rows = [f"{step},{0.001 * step},{0.002 * step}," for step in range(0, 2000, 100)]
    metrics.write_text("steps,return_trial_1,return_trial_2,return_trial_3\n" + "\n".join(rows) + "\n")
    folder = tmp_path / "new" / "report"
    content = write_comparison(folder, comparison, {"command": "xworld evaluate runs/demo"}, metrics)

    assert json.loads((folder / "scores.json").read_text()) == content
    assert content["schema"] == "xworld.scores/2" and list(content["players"]) == list(content["scores"])
    assert content["num_tasks"] == NUM_TASKS and content["reference"]["num_tasks_without"] == 0
    assert content["about"]["command"] == "xworld evaluate runs/demo"
    agent, score = content["scores"]["agent"][str(NUM_TRIALS)], comparison.score("agent")
    np.testing.assert_allclose(agent["score"]["value"], score.mean((0, 1)))
    np.testing.assert_allclose(agent["return"]["value"], comparison.returns["agent"][4].mean((0, 1)), rtol=1e-6)
    np.testing.assert_allclose(agent["gain"]["value"], agent["score"]["value"][-1] - agent["score"]["value"][0])
    assert "difference" not in agent
    less = content["scores"]["random"][str(NUM_TRIALS)]["difference"]
    expected = difference(comparison.score("random")[..., -1], score[..., -1])
    assert less == {"to": "agent", "value": expected.mean, "low": expected.low, "high": expected.high}
    assert agent["num_rows"] == len(agent["score_by_row"]) == 2
    last = {part: agent["score"][part][-1] for part in ("value", "low", "high")}
    assert agent["last"]["mean"] == pytest.approx(last) and agent["last_with_zeros"] == agent["last"]
    first = content["tasks"][0]
    assert first["score"]["agent"]["4"] == pytest.approx(score[:, 0, -1].mean())
    assert len(first["best"]) == len(first["return_by_trial"]["agent"]["4"]) == NUM_TRIALS
    for name in ("scores.png", "learning_curve.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")

    console = Console(width=200, record=True, file=(tmp_path / "table.txt").open("w"))
    console.print(trials_table(content))
    console.file.close()
    table = console.export_text()
    assert "1.00" in table and all(name.partition("-")[0] in table for name in comparison.returns)
    assert summarise(comparison).items() <= content.items()


def test_reports_that_cannot_be_written(comparison, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigError, match="cannot be written to"):
        write_comparison(file, comparison, {})
    with pytest.raises(ConfigError, match="Choose another folder"):
        check_folder(file / "below")
    (tmp_path / "scores.json").mkdir()
    with pytest.raises(ConfigError, match="scores.json cannot be written"):
        write_comparison(tmp_path, comparison, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("", "has no rows"),
        ("steps,loss\n1,2\n", "has no rows with"),
        ("steps,return_trial_1\n1,two\n", "not numbers"),
        ("steps,return_trial_1\n1,\n", "no finished trial"),
    ],
)
def test_metrics_that_are_none(text, message, tmp_path):
    path = tmp_path / "metrics.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        draw_learning_curve(path)


def test_labels_keep_their_distance_and_order():
    heights = [0.0, 0.01, 0.5, 0.95, 0.99, 1.0]
    spread = spread_out(heights, gap=0.05)
    assert (np.diff(spread) >= 0.05 - 1e-9).all()
    assert spread[2] == 0.5 and np.abs(np.subtract(spread, heights)).max() < 0.06


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"num_trials": 0}, "num_trials is 0"),
        ({"num_trials": 65536}, "num_trials is 65536"),
    ],
)
def test_evaluate_refuses(tasks, arguments, message):
    with pytest.raises(ConfigError, match=message):
        evaluate(ENV, tasks, NoopPolicy(), KEY, **arguments)


def test_evaluate_and_compare_refuse_tasks_that_do_not_fit(tasks):
    with pytest.raises(ConfigError, match="leading axis"):
        evaluate(ENV, take(tasks, 0), NoopPolicy(), KEY)
    with pytest.raises(ConfigError, match="leading axis"):
        evaluate(ENV, jax.tree.map(lambda leaf: leaf[:0], tasks), NoopPolicy(), KEY)
    with pytest.raises(ConfigError, match="its width is 7, EnvConfig.width is 9"):
        evaluate(Env(dataclasses.replace(CONFIG, width=9)), tasks, NoopPolicy(), KEY)
    different = dataclasses.replace(tasks, num_trials=jnp.arange(1, NUM_TASKS + 1, dtype=jnp.uint16))
    with pytest.raises(ConfigError, match="1 to 32 trials"):
        compare(ENV, different, [], KEY)
