"""The rules of the curricula on hand-made episodes."""

import dataclasses
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hand_made import CLOCK, SIZES, TASKS, TWO_ENVS, episodes, held, insert, judge, pick, sample, update
from tiny_rooms import SANITY_TASKS

from xworld import ConfigError, EnvConfig
from xworld.base.xla.devices import AXIS
from xworld.tasks import TaskPool, TaskSet, parse, preset
from xworld.training import (
    AccelConfig,
    LearnabilityConfig,
    NoopConfig,
    PLRConfig,
    ProgressConfig,
)
from xworld.training.curriculum.archive import Archive
from xworld.training.curriculum.followed import numbered, td_errors
from xworld.training.curriculum.rules.accel import Accel
from xworld.training.curriculum.rules.learnability import learnability
from xworld.training.curriculum.rules.noop import is_admitted
from xworld.training.curriculum.rules.plr import Moments
from xworld.training.curriculum.rules.progress import _weigh, cell_of, progress
from xworld.training.logs.tasks import task_metrics


@pytest.mark.parametrize(
    ("returns", "idle", "expected"),
    [
        ([0.1] + [0] * 9, [0, 0], True),  # one of ten above doing nothing
        ([0] * 10, [0, 0], False),  # nothing to see
        ([0.01] + [0] * 9, [0, 0], True),  # at the margin
        ([0.0099] + [0] * 9, [0, 0], False),
        ([0.4] * 5 + [0] * 5, [0, 0], True),  # five high ones
        ([0.4] * 6 + [0] * 4, [0, 0], False),
        ([0.39] * 6 + [0] * 4, [0, 0], True),  # nearly high
        ([0.3] * 10, [0, 0], False),  # all the same
        ([0.3] * 7 + [0.2] * 3, [0.3, 0.3], True),  # three below doing nothing
        ([0.3] * 8 + [0.2] * 2, [0.3, 0.3], False),
        ([0.3] * 7 + [0.2] * 3, [0.3, 0.2], False),  # not below the worst of doing nothing
        ([0.2] * 9 + [0.0], [0.3, 0.1], False),  # not above the best of it
        ([1.0] + [0] * 9, [1.2, 0], False),  # doing nothing pays too much
        ([0] * 10, [1.1, 1.1], True),  # as much as it may; three are below
        ([0] * 10, [1.1 + 1e-6, 1.1], False),
    ],
)
def test_who_passes_adas_filter(returns, idle, expected):
    # A spread of 0 where all returns are the same: there the other thresholds decide.
    config = NoopConfig(spread=0.0) if max(idle) > 1 else NoopConfig()
    decide = is_admitted(config, jnp.array(returns, jnp.float32), jnp.array(idle, jnp.float32))
    assert bool(decide) == expected


@pytest.mark.parametrize(("highest", "expected"), [(0.25, True), (0.2499, False), (0.2501, True)])
def test_returns_must_be_apart_to_pass_the_filter(highest, expected):
    """All ten are above doing nothing by more than the margin, and none is high: their spread alone decides."""
    config = NoopConfig(spread=0.125)
    returns = jnp.array([highest] + [0.125] * 9, jnp.float32)
    assert bool(is_admitted(config, returns, jnp.zeros(2))) == expected


@pytest.mark.parametrize("clock", [0, 2_000_000])
def test_the_filter_admits_waits_and_is_done(clock):
    config = NoopConfig(num_episodes=2, num_idle_episodes=1, num_training_episodes=3, capacity=2)
    rule = config.make(TaskSet(TASKS), SIZES)
    assert rule.source.tasks.game_id.tolist() == list(range(12))
    rule = update(dataclasses.replace(rule, clock=CLOCK(clock)), episodes([[0, 1]]))

    def tried(*rows):  # of three environments each: two play, one does not
        tasks = [[task, 11] for task, _ in rows for _ in range(3)]
        found = episodes(tasks, [[value, 0] for _, values in rows for value in values], finished=[[1, 0]] * len(tasks))
        cut = jax.vmap(jax.vmap(lambda key: rule.propose(key)))(jax.random.split(jax.random.key(0), (len(tasks), 2)))
        task = dataclasses.replace(cut, game_id=found.task.game_id, whole_trials=found.task.num_trials)
        return dataclasses.replace(found, task=task)

    assert rule.propose(jax.random.key(1)).num_trials == 1
    rule = judge(rule, tried((4, [0.2, 0, 0]), (5, [0, 0, 0]), (6, [0, 0.3, 0])))
    assert set(held(rule.archive)) == {4, 6} and float(rule.admitted) == pytest.approx(2 / 3)
    assert rule.plays_left.tolist() == [3, 3]
    trials = dict(zip(rule.archive.tasks.game_id.tolist(), rule.archive.tasks.num_trials.tolist(), strict=True))
    assert trials == {4: 2, 6: 1}  # the whole task is trained on

    rule = update(rule, episodes([[4, 4], [4, 6]], finished=[[1, 1], [1, 0]], moved_on=[1, 0]))
    left = dict(zip(rule.archive.tasks.game_id.tolist(), rule.plays_left.tolist(), strict=True))
    assert left == {4: 0, 6: 2}  # three episodes of 4 are done; one environment will play 6
    draws = sample(rule, jax.random.split(jax.random.key(2), 50))
    assert set(draws.game_id.tolist()) == {6}
    rule = judge(rule, tried((7, [0.2, 0, 0])))
    assert set(held(rule.archive)) == {6, 7}  # what is done makes room, what waits does not
    rule = judge(rule, tried((8, [0.2, 0, 0])))
    assert set(held(rule.archive)) == {6, 7}


def test_environments_that_draw_at_once_are_spread_over_what_is_admitted():
    config = NoopConfig(num_training_episodes=30, capacity=12, most_at_once=4)
    rule = config.make(TaskSet(TASKS), SIZES)
    archive = insert(rule.archive, TASKS, jnp.zeros(12), jnp.arange(12) < 8, CLOCK(1))  # six are done, two wait
    done = jnp.where(jnp.arange(12) < 6, 30, jnp.array([0] * 6 + [10, 28] + [0] * 4))
    playing = jnp.zeros(12, jnp.int32).at[6].set(1)
    archive = dataclasses.replace(archive, num_episodes=done.astype(jnp.int32), num_playing=playing)
    ids = archive.tasks.game_id.tolist()[:8]

    def counts(num_drawn):
        now = dataclasses.replace(rule, archive=archive, num_drawn=jnp.float32(num_drawn))
        drawn = sample(now, jax.random.split(jax.random.key(7), 1000)).game_id
        assert not now.weights[8:].any()
        return now.weights[:8], np.bincount(drawn, minlength=12)[ids] * num_drawn / 1000

    weights, found = counts(5)  # those that wait are enough
    np.testing.assert_allclose(weights, [0] * 6 + [3, 2])
    np.testing.assert_allclose(found, weights, atol=0.3)
    weights, found = counts(17)
    np.testing.assert_allclose(weights, [2] * 6 + [3, 2])
    np.testing.assert_allclose(found, weights, atol=0.6)
    weights, found = counts(100)  # 29 of admitted ones, no more than four of any, and 71 new ones
    np.testing.assert_allclose(weights, [4] * 6 + [3, 2])
    np.testing.assert_allclose(found - weights, 71 / 12, atol=2.5)


def test_moments_are_kept_for_each_number_of_trials():
    decay, moments = 0.9, Moments.start(3)
    batches = [([1, 1, 2, 9], [0.5, 1.5, 4.0, 7.0], [1, 1, 1, 1]), ([1, 2, 2, 3], [2.5, 6.0, 100.0, 9.0], [1, 1, 0, 1])]
    weight, total, squares = np.zeros(3), np.zeros(3), np.zeros(3)
    for trials, errors, is_seen in batches:
        moments = moments.update(jnp.array(trials), jnp.array(errors), jnp.array(is_seen, bool), decay)
        rows = [(min(k, 3) - 1, x) for k, x, seen in zip(trials, errors, is_seen, strict=True) if seen]
        for k in range(3):
            own = [x for of, x in rows if of == k]
            keep = decay ** len(own)
            weight[k] = keep * weight[k] + len(own)
            total[k] = keep * total[k] + sum(own)
            squares[k] = keep * squares[k] + sum(x * x for x in own)
    mean = total / weight
    deviation = np.sqrt(squares / weight - mean**2)
    found = moments.normalise(jnp.array([1, 2, 3, 7]), jnp.array([2.0, 2.0, 2.0, 2.0]))
    place = np.array([0, 1, 2, 2])
    np.testing.assert_allclose(found, (2 - mean[place]) / deviation[place], rtol=1e-4)
    single = Moments.start(1).update(jnp.array([4]), jnp.array([3.0]), jnp.ones(1, bool), decay)
    assert single.normalise(jnp.array([4]), jnp.array([3.0])).tolist() == [0.0]  # one value is its own mean


def test_replay_trains_on_new_tasks_until_its_archive_is_filled_and_then_on_the_fittest():
    config = PLRConfig(capacity=5, min_filled=5, temperature=0.01, staleness=0.0, is_per_trials=False)
    rule = config.make(TaskSet(TASKS), SIZES)
    keys = jax.random.split(jax.random.key(0), 100)
    assert len(set(sample(rule, keys).game_id.tolist())) > 8
    errors = [[0.1, 0.5], [0.2, 0.3]]
    rule = judge(rule, episodes([[1, 2], [3, 4]], errors=errors))
    assert not bool(rule.is_ready)
    rule = update(rule, episodes([[6, 7], [8, 9]], errors=[[0.9, 0], [0, 0]], finished=[[1, 0], [0, 0]]))
    assert bool(rule.is_ready) and set(held(rule.archive)) == {1, 2, 3, 4, 6}
    assert list(held(rule.archive)) == [6, 2, 4, 3, 1]  # best first
    assert set(sample(rule, keys).game_id.tolist()) == {6}
    # Ranks 1 and 2 alone have a chance worth naming at this temperature: 2^-100.
    rule = judge(rule, episodes([[10, 11]], errors=[[0.05, 0.95]]))
    assert 11 in held(rule.archive) and 1 not in held(rule.archive) and 10 not in held(rule.archive)
    assert rule.metrics()["filled"] == 5


def test_replay_mixes_ranks_with_staleness_as_plain_python_does():
    share, temperature, clock = 0.2, 0.5, 9
    rule = PLRConfig(capacity=6, min_filled=1, staleness=share, temperature=temperature).make(TaskSet(TASKS), SIZES)
    scores, played = [3.0, 2.0, 1.0, 0.5], [9, 4, 1, 7]
    archive = insert(rule.archive, pick([1, 2, 3, 4]), jnp.array(scores), jnp.ones(4, bool), CLOCK(1))
    archive = dataclasses.replace(archive, played=jnp.array([*played, 0, 0], jnp.int32))
    found = dataclasses.replace(rule, clock=CLOCK(clock), archive=archive).weights
    by_rank = [(1 / rank) ** (1 / temperature) for rank in (1, 2, 3, 4)]
    ages = [clock - when for when in played]
    expected = [
        (1 - share) * rank / sum(by_rank) + share * age / sum(ages) for rank, age in zip(by_rank, ages, strict=True)
    ]
    np.testing.assert_allclose(found, [*expected, 0, 0], rtol=1e-5)
    assert sum(expected) == pytest.approx(1)


def test_the_plain_form_trains_on_new_tasks_too_and_tries_nothing_out():
    config = PLRConfig(capacity=4, min_filled=4, replay=0.5, is_robust=False)
    assert config.search(SIZES) is None
    rule = update(config.make(TaskSet(TASKS), SIZES), episodes([[0, 1], [2, 3]], errors=[[4, 3], [2, 1]]))
    drawn = sample(rule, jax.random.split(jax.random.key(3), 600)).game_id
    share = float((drawn < 4).mean())
    assert share == pytest.approx(0.5 + 0.5 * 4 / 12, abs=0.08)


def test_edits_that_are_fit_enter_the_archive():
    config = AccelConfig(capacity=4, min_filled=2)
    rule = Accel(**config.parts(TaskSet(TASKS), SIZES))  # without a generator, which only edits need
    rule = judge(rule, episodes([[0, 1], [2, 3]], errors=[[4, 3], [2, 1]]))
    assert rule.metrics()["edited"] == 0
    tried = episodes([[4, 5], [6, 7]], errors=[[5, 4.5], [0.5, 6]])
    edited = dataclasses.replace(tried.task, world_id=np.array([[-1, -1], [-1, 0]], np.int32))
    rule = judge(rule, dataclasses.replace(tried, task=edited))
    assert set(held(rule.archive)) == {4, 5, 7, 0} and rule.metrics()["edited"] == 0.5


def test_fitness_may_be_of_all_trials_and_compared_among_all_tasks():
    seen = dataclasses.replace(episodes([[0, 1]], errors=[[1.0, 2.0]]), episode_error=jnp.array([[5.0, 1.0]]))
    orders = {}
    for fitness in ("last_trial", "all_trials"):
        config = PLRConfig(capacity=4, min_filled=1, fitness=fitness, is_per_trials=False)
        orders[fitness] = list(held(judge(config.make(TaskSet(TASKS), SIZES), seen).archive))
    assert orders == {"last_trial": [1, 0], "all_trials": [0, 1]}


def test_learnability_is_a_variance_and_blocks_take_turns():
    assert float(learnability(jnp.array([0.0, 1, 0, 1]))) == 0.25
    np.testing.assert_allclose(learnability(jnp.array([0.0] * 7 + [1])), 7 / 64)
    assert float(learnability(jnp.full(8, 0.3))) == 0
    config = LearnabilityConfig(capacity=2, updates_per_refresh=2, num_episodes=2, replay=1.0)
    rule = config.make(TaskSet(TASKS), SIZES)

    def block(rule, *rows):
        tasks = [[task, 11] for task, *_ in rows for _ in range(2)]
        returns = [[value, 0] for _, *values in rows for value in values]
        finished = [[1, 0]] * len(tasks)
        rule = update(rule, episodes([[0, 1]]))
        return judge(rule, episodes(tasks, returns, finished=finished))

    rule = block(rule, (1, 0, 1), (2, 0.2, 0.2))
    assert held(rule.kept) == {} and held(rule.found) == {1: 0.25}  # what always ends alike is not learnable
    rule = block(rule, (3, 0, 0.5), (4, 0, 0.8))
    assert set(held(rule.kept)) == {1, 4} and held(rule.found) == {}
    assert set(sample(rule, jax.random.split(jax.random.key(0), 50)).game_id.tolist()) == {1, 4}
    rule = block(rule, (5, 0, 1), (6, 0, 0.5))
    assert set(held(rule.kept)) == {1, 4}
    unfinished = episodes([[7, 11]] * 2, [[0, 0], [1, 0]], finished=[[1, 0], [0, 0]])
    assert set(held(judge(rule, unfinished).found)) == {5, 6}


def test_progress_is_made_where_returns_change():
    assert float(progress(jnp.array(0.5), jnp.array(0.5), 0.1)) == 0
    assert float(progress(jnp.array(0.2), jnp.array(0.1), 0.1)) == pytest.approx(
        0.2 * 0.9 / (0.2 + 0.1 * 0.6) - 0.1 * 0.9 / (0.1 + 0.1 * 0.8)
    )
    rule = ProgressConfig(capacity=8, fast_rate=0.5, slow_rate=0.1).make(TaskSet(TASKS), TWO_ENVS)
    keys = jax.random.split(jax.random.key(0), 200)
    rule = update(rule, episodes([[0, 1], [2, 3]], returns=0.0))
    assert rule.weights.tolist() == [0] * 8  # no progress anywhere: all tasks are new ones
    assert len(set(sample(rule, keys).game_id.tolist())) > 8
    rule = update(rule, episodes([[0, 1], [2, 3]], returns=[[1.0, 0], [0, 0]], finished=[[1, 0], [0, 0]]))
    (cell,) = np.nonzero(np.asarray(rule.fast))[0]
    np.testing.assert_allclose([rule.fast[cell], rule.slow[cell]], [0.5, 0.1], rtol=1e-5)
    drawn = sample(rule, keys).game_id
    assert float((drawn < 4).mean()) == pytest.approx(0.75 + 0.25 / 3, abs=0.08)


def chain(num_firings, num_hidden):
    """A task of so many rules one after the other, the first of them hidden."""
    kinds = [f"{colour} cube" for colour in ("red", "green", "blue", "purple", "yellow", "grey")]
    rules = [f"hold(agent, {kinds[place + 1]}) -> {kinds[place]}" for place in range(num_firings)]
    lines = [f'goal = "hold(agent, {kinds[0]})"', f"rules = {json.dumps(rules)}", f"hidden = {list(range(num_hidden))}"]
    lines += ['map = """', "....", "b..0", "....", '"""', "[legend]", f'b = "{kinds[num_firings]}"']
    return parse("\n".join(lines), EnvConfig(height=3, width=4, max_objects=2, max_rules=5, max_doors=1))


def test_cells_are_drawn_by_their_progress_and_their_tasks_equally():
    sorts = [(0, 0), (1, 0), (1, 1), (2, 2), (5, 5), (1, 0)]
    tasks = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(chain(*sort) for sort in sorts))
    tasks = dataclasses.replace(tasks, game_id=jnp.arange(6, dtype=jnp.int32))
    cells = jax.jit(jax.vmap(cell_of))(tasks)
    assert cells.tolist() == [0, 3, 4, 8, 14, 3]  # 3 for each firing, and hidden ones; 5 of either count as the most
    pool = insert(Archive.start(TaskSet(tasks), 8), tasks, jnp.zeros(6), jnp.arange(6) != 4, CLOCK(1))
    found = jnp.zeros(15).at[jnp.array([3, 4, 8, 14])].set(jnp.array([0.3, 0.1, 0.2, 0.9]))
    weights = jax.jit(_weigh)(pool, found)
    of_task = dict(zip(pool.tasks.game_id.tolist()[:5], weights.tolist()[:5], strict=True))
    assert of_task == pytest.approx({0: 0, 1: 0.15, 2: 0.1, 3: 0.2, 5: 0.15})  # two share what their cell has
    assert weights[5:].tolist() == [0, 0, 0]


def test_a_task_that_left_the_pool_does_not_come_back_while_it_is_played():
    rule = ProgressConfig(capacity=4).make(TaskSet(TASKS), TWO_ENVS)
    rule = update(rule, episodes([[0, 1], [2, 3]], moved_on=[1, 0]))
    assert set(held(rule.pool)) == {0, 1, 2, 3}
    rule = update(rule, episodes([[1, 4], [2, 3]], moved_on=[0, 0]))  # 4 was drawn
    assert set(held(rule.pool)) == {0, 1, 2, 4}
    rule = update(rule, episodes([[1, 4], [2, 3]], moved_on=[0, 1]))
    assert set(held(rule.pool)) == {0, 1, 2, 4}  # 3 is no new task
    rule = update(rule, episodes([[1, 4], [3, 5]], moved_on=[0, 0]))  # it is played; 5 was drawn
    assert held(rule.pool) == {0: 1, 1: 1, 4: 2, 5: 4}
    ids = jnp.array([[0, 0], [0, 3], [0, 4], [0, 5]], jnp.int32)
    assert rule.age(ids).tolist() == [3, 0, 2, 0]


class Aged:
    """Stands in for a curriculum that found all tasks so many updates ago."""

    def __init__(self, age):
        self.num_updates = age

    def age(self, task_id):
        return jnp.full(task_id.shape[:-1], self.num_updates, jnp.float32)

    def metrics(self):
        return {"filled": jnp.float32(self.num_updates)}


def test_tasks_that_were_thrown_out_keep_the_age_at_which_they_were_played():
    played = jax.tree.map(lambda leaf: leaf[:2], TASKS)
    steps = SimpleNamespace(is_next_task=jnp.zeros((3, 2), bool), weight=jnp.ones((3, 2, 1)))
    rollout = SimpleNamespace(steps=steps, context=SimpleNamespace(tasks=(played, played)))

    def measure(_):
        return task_metrics(rollout, Aged(5), Aged(0))

    metrics = jax.vmap(measure, axis_name=AXIS)(jnp.zeros(1))
    assert metrics["task_age"] == 5 and metrics["curriculum_filled"] == 0


# What cannot be meant


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PLRConfig(replay=1.2), "PLRConfig.replay is 1.2; write a number from above 0 to below 1"),
        (lambda: PLRConfig(replay=0), "PLRConfig.replay is 0.0; write a number from above 0"),
        (lambda: PLRConfig(min_filled=1001), "PLRConfig.min_filled is 1001, more than the capacity of 1000"),
        (lambda: PLRConfig(fitness="first_trial"), "PLRConfig.fitness: 'first_trial' is unknown"),
        (lambda: AccelConfig(edited=-0.1), "AccelConfig.edited is -0.1; write a number from 0 to 1"),
        (lambda: AccelConfig(is_robust=False), "AccelConfig.is_robust is False"),
        (lambda: ProgressConfig(uniform=0.2), "ProgressConfig.uniform is 0.2; write a number from 0.25 to 1"),
        (lambda: ProgressConfig(slow_rate=0.005), "ProgressConfig.slow_rate is 0.005, not below"),
        (lambda: LearnabilityConfig(num_episodes=1), "LearnabilityConfig.num_episodes is 1; write a whole number"),
        (lambda: LearnabilityConfig(search_share=1.0), "LearnabilityConfig.search_share is 1.0"),
        (lambda: NoopConfig(least_above=11, least_below=11), "nothing would be admitted"),
        (lambda: PLRConfig(capacity=3, min_filled=3).make(TaskSet(TASKS), SIZES), "less than the 4 environments"),
        (lambda: PLRConfig().make(TaskSet(TASKS), SIZES), "PLRConfig.capacity is 1000, but there are only 12 tasks"),
        (lambda: NoopConfig().make(TaskPool(preset("s"), 5, 5), SIZES), "capacity is 256, but there are only 25"),
        (lambda: AccelConfig(capacity=5, min_filled=5).make(TaskSet(TASKS), SIZES), "but TaskSet has none"),
        (lambda: numbered(SANITY_TASKS), "The tasks of TinyRooms have no ids"),
        (lambda: td_errors({"return": jnp.zeros(1)}), "needs the learner's one-step errors, but it reports return"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_line(make, message):
    with pytest.raises(ConfigError, match=message) as error:
        make()
    assert "\n" not in str(error.value)
