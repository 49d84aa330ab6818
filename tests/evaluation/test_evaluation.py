import dataclasses
import itertools
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
    Reference,
    Scores,
    compare,
    difference,
    draw_learning_curve,
    episode_key,
    estimate,
    evaluate,
    gain,
    most_telling,
    normalise,
    record,
    sample_tasks,
    summarise,
    telling_episode,
    trials_table,
    write_comparison,
)
from xworld.evaluation.episodes import record_episode
from xworld.evaluation.report.look import spread_out
from xworld.evaluation.scores.statistics import count_scored
from xworld.evaluation.scores.summary import _compare

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


def test_scores_are_means_of_ratios():
    returns, best = np.array([[1.0, 4.0], [6.0, 6.0]]), np.array([[2.0, 4.0], [6.0, 8.0]])
    np.testing.assert_array_equal(normalise(returns, best), [[0.5, 1.0], [1.0, 0.75]])
    np.testing.assert_array_equal(normalise(returns[None], best).mean(1), [[0.75, 0.875]])
    # Where nothing can be earned there is no score, and the task counts nowhere.
    scores = normalise(returns[None], np.array([[2.0, 4.0], [6.0, 0.0]]))
    np.testing.assert_array_equal(scores, [[[0.5, 1.0], [np.nan, np.nan]]])
    np.testing.assert_array_equal(estimate(scores).mean, [0.5, 1.0])
    np.testing.assert_array_equal(most_telling(scores[0]), [0, 1])
    np.testing.assert_array_equal(count_scored(np.array([[2.0, 4.0], [6.0, 0.0], [0.0, 1.0]])), [2, 1])
    with pytest.raises(ConfigError, match="one task that has a score"):
        estimate(scores[:, 1:])
    with pytest.raises(ConfigError, match="same tasks"):
        normalise(returns, best[:1])


def test_intervals_against_known_values():
    generator = np.random.default_rng(0)
    scores = generator.normal(0.5, 0.2, (1, 400, 3))
    points = estimate(scores)
    np.testing.assert_allclose(points.mean, scores[0].mean(0))
    half = 1.966 * scores[0].std(0, ddof=1) / 20  # Student's t for 400 tasks
    np.testing.assert_allclose(points.high - points.mean, half, rtol=1e-3)
    np.testing.assert_allclose(points.mean - points.low, half, rtol=1e-3)

    constant = estimate(np.full((3, 10), 0.25))
    np.testing.assert_allclose([constant.low, constant.mean, constant.high], 0.25)
    # Seeds that differ by 0.4 in all tasks: the interval over tasks has no width, and t of 1 degree of freedom is 12.7.
    differing = estimate(np.stack([np.full(50, 0.2), np.full(50, 0.6)]))
    np.testing.assert_allclose([differing.low, differing.mean, differing.high], [-2.1412, 0.4, 2.9412], rtol=1e-4)
    one_task = estimate(np.array([[0.2], [0.4], [0.6]]))
    np.testing.assert_allclose(one_task.high, 0.4 + 4.30265 * 0.2 / 3**0.5, rtol=1e-5)
    alone = estimate(np.array([[0.3]]))
    assert alone.low == alone.mean == alone.high == 0.3
    with pytest.raises(ConfigError, match="at least one seed"):
        estimate(np.zeros((0, 5)))


def draw_scores(generator, num_cases, num_seeds, by_task, of_seed):
    """[num_seeds, num_tasks, num_cases] scores with the mean 0; every case has a seed's effect of its own."""
    effects = of_seed * generator.normal(size=(num_seeds, 1, num_cases))
    return effects + by_task + 0.3 * generator.normal(size=(num_seeds, len(by_task), num_cases))


@pytest.mark.parametrize(("num_seeds", "of_seed"), [(1, 0.0), *itertools.product((3, 5, 10), (0.0, 0.02, 0.07, 0.2))])
def test_intervals_cover(num_seeds, of_seed):
    """Of 95 % intervals at least 93 % hold the truth, few seeds or many; with one seed, if seeds do not differ."""
    generator = np.random.default_rng(num_seeds)
    num_cases, num_tasks = 1500, 60
    by_task = 0.35 * generator.normal(size=(num_tasks, num_cases))
    found = estimate(draw_scores(generator, num_cases, num_seeds, by_task, of_seed))
    assert ((found.low <= 0) & (found.high >= 0)).mean() >= 0.93
    # Of two players, one with other seeds or with one alone, who find the same tasks hard.
    for num_others, of_others in ((3, of_seed), (1, 0.0)):
        found = difference(
            draw_scores(generator, num_cases, num_seeds, by_task, of_seed),
            draw_scores(generator, num_cases, num_others, by_task, of_others),
        )
        assert ((found.low <= 0) & (found.high >= 0)).mean() >= 0.93
    if of_seed == 0 and num_seeds >= 5:  # nor are they much too wide
        exact = 1.96 * (0.35**2 / num_tasks + 0.3**2 / (num_tasks * num_seeds)) ** 0.5
        found = estimate(draw_scores(generator, num_cases, num_seeds, by_task, of_seed))
        assert np.median(found.high - found.mean) < 1.15 * exact


def test_differences_are_paired():
    generator = np.random.default_rng(0)
    by_task = generator.normal(size=40)
    one, other = by_task + 0.1 * generator.normal(size=(3, 40)), by_task + 0.1 * generator.normal(size=(2, 40))
    same = difference(one, one)
    assert same.low < same.mean == 0 < same.high
    found, back = difference(one + 0.5, other), difference(other, one + 0.5)
    np.testing.assert_allclose(found.mean, 0.5 + one.mean() - other.mean())
    np.testing.assert_allclose([back.low, back.high], [-found.high, -found.low])
    alone, whole = difference(one[:1] + 0.5, other[:1]), estimate(one[:1])
    assert alone.high - alone.low < 0.1 < 0.4 < whole.high - whole.low  # what tasks have in common is gone
    paired = estimate(one[:1] + 0.5 - other[:1])
    np.testing.assert_allclose([alone.low, alone.high], [paired.low, paired.high])
    one[:, 3] = other[:, 5] = np.nan
    found, rest = difference(one, other), np.delete(np.arange(40), [3, 5])
    np.testing.assert_allclose(found.mean, (one[:, rest].mean() - other[:, rest].mean()))
    with pytest.raises(ConfigError, match="same tasks"):
        difference(one, other[:, :9])
    with pytest.raises(ConfigError, match="of both players"):
        difference(np.array([[1.0, np.nan]]), np.array([[np.nan, 1.0]]))


def test_gain_and_the_most_telling_episode():
    scores = np.array([[0.0, 1, 0.5], [0.2, 1, 1], [0, 0.5, 1], [0, 1, 1], [0, 1, 1]])
    np.testing.assert_allclose(gain(scores), [0.5, 0.8, 1, 1, 1])
    np.testing.assert_array_equal(most_telling(scores), [3, 4, 2, 1, 0])


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


@pytest.mark.parametrize(("num_trials", "shown"), [(5, [1, 2, 3, 4, 5]), (13, [1, 2, 5, 13])])
def test_the_table_fits_a_terminal(num_trials, shown, tmp_path):
    returns = np.random.default_rng(0).uniform(0, 5, (2, 20, num_trials))
    played = {"searcher-without-memory": {num_trials: returns}, "agent": {num_trials: returns + 5}}
    content = summarise(Scores(played, Reference("ten", np.full(20, 10.0))))
    console = Console(width=80, record=True, file=(tmp_path / "table.txt").open("w"))
    console.print(trials_table(content))
    console.file.close()
    table = console.export_text()
    assert all(word in table for word in ("searcher", "without", "memory")) and "…" not in table
    header = " ".join(table.partition("─")[0].splitlines()[1:])  # below the title
    assert "minus" in header
    assert [int(word) for word in header.split() if word.isdigit()] == shown


def test_bounds_of_ten_and_more_keep_their_digits():
    returns = np.array([10.4, 10.6, 10.5, 10.5]).reshape(1, 4, 1)
    content = summarise(Scores({"agent": {1: returns}}, Reference("one", np.ones(4))))
    (_, cell, *_) = ([*column.cells][0] for column in trials_table(content).columns)
    assert cell == "10.50\n[dim]10.37~10.63[/dim]"


def test_scores_above_1_are_counted_and_clipped():
    """An expert that earns 1 at the end of a short trial, and an agent that earns 3."""
    returns = {"agent": {1: np.array([[[3.0], [0.5], [1.0]]])}, "expert": {1: np.ones((1, 3, 1))}}
    content = summarise(Scores(returns, Reference("the expert", np.array([[1.0], [1.0], [0.0]]))))
    agent, expert = (content["scores"][name]["1"]["last"] for name in ("agent", "expert"))
    assert (agent["mean"]["value"], agent["mean_clipped"]["value"]) == (1.75, 0.75)
    assert (agent["share_above_1"]["value"], expert["share_above_1"]["value"]) == (0.5, 0)
    assert content["num_scored"] == {"1": 2}
    assert "agent is above 1 in 50.0% of tasks; mean clipped at 1: 0.75" in trials_table(content).caption
    assert "one training seed" in trials_table(content).caption  # and two say more
    content["scores"]["agent"]["1"]["num_rows"] = 2
    assert "one training seed" not in trials_table(content).caption


def test_a_reference_of_single_trials_says_how_many_tasks_are_scored_with_fewer():
    best = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    scores = Scores({"agent": {3: np.ones((1, 3, 3))}}, Reference("the expert", best))
    assert scores.num_scored == {1: 3, 2: 2, 3: 1}
    assert scores.is_scored(2).tolist() == [True, False, True] and np.isnan(scores.score("agent", 3)[0, 1:]).all()


def test_people_are_a_player_who_plays_some_of_the_tasks():
    """Two people, each with half of the tasks, and a player who played them all once."""
    people = np.full((2, 4, 1), np.nan)
    people[0, :2], people[1, 2:] = 1.0, 3.0
    scores = Scores({"people": {1: people}, "random": {1: np.ones((1, 4, 1))}}, Reference("five", np.full(4, 5.0)))
    content = summarise(scores)
    found, random = (content["scores"][name]["1"] for name in ("people", "random"))
    assert (found["num_rows"], found["num_tasks"], found["last"]["mean"]["value"]) == (2, 4, pytest.approx(0.4))
    assert found["last"]["mean"]["low"] < 0 < 0.8 < found["last"]["mean"]["high"]  # two people tell little
    assert random["difference"]["value"] == pytest.approx(-0.2)
    assert random["difference"]["low"] < -0.2 < random["difference"]["high"]


def test_who_has_no_score_on_the_tasks_of_a_difference_does_not_count_in_it():
    """Three people with a task each; then others who have played none of these."""
    few = np.full((3, 4, 1), np.nan)
    few[range(3), range(3), 0] = 0.2, 0.9, 0.5
    others = np.full((27, 4, 1), np.nan)
    others[:13, 3] = 0.7
    agent = np.array([0.6, 0.8, 0.7, np.nan])[None, :, None]
    for rows, row in ((few, agent), (few[:1], agent[:, [0, 3, 3, 3]]), (few, few[::-1])):
        found = _compare(row, rows, "people")
        assert found is not None and not np.isnan([found["low"], found["high"]]).any()
        assert _compare(row, np.concatenate([rows, others]), "people") == found
        turned = _compare(np.concatenate([others, rows]), row, "agent")
        assert turned is not None and turned["low"] == pytest.approx(-found["high"])


def test_a_zero_of_somebody_without_a_score_counts_among_the_zeros():
    """Of two tasks one has a reference; each is played by one person."""
    people = np.array([[[0.5], [np.nan]], [[np.nan], [0.3]], [[np.nan], [np.nan]]])
    content = summarise(Scores({"people": {1: people}}, Reference("one", np.array([1.0, 0.0]))))
    found = content["scores"]["people"]["1"]
    assert (found["num_rows"], found["num_tasks"], found["last"]["mean"]["value"]) == (1, 1, 0.5)
    assert found["last_with_zeros"]["mean"]["value"] == 0.25 and found["last_with_zeros"]["share_at_0"]["value"] == 0.5
    assert found["return"]["value"] == [pytest.approx(0.4)]


def test_scores_that_cannot_be_meant():
    with pytest.raises(ConfigError, match="no returns"):
        Scores({}, Reference("nobody", np.ones(3)))
    with pytest.raises(ConfigError, match=r"with 2 trials have the shape \[1, 3, 1\]"):
        Scores({"agent": {2: np.ones((1, 3, 1))}}, Reference("nobody", np.ones(3)))


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
