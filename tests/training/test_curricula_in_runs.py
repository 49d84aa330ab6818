"""Runs with a curriculum: what is tried out counts, a run goes on bit for bit, on any number of devices."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest
from devices_worker import curriculum_config, known_tasks, small_curricula
from test_devices import assert_same_run, finish, start
from test_seams import assert_same

from xworld import ConfigError
from xworld.tasks import TaskSet, to_text
from xworld.training import (
    CURRICULA,
    PLRConfig,
    Search,
    Sizes,
    UniformConfig,
    make_trainer,
    train,
)
from xworld.training.logs.kept_tasks import NUM_TASKS, read_kept_tasks
from xworld.training.logs.metrics import MetricsWriter
from xworld.training.logs.tasks import TASK_COLUMNS
from xworld.training.run.checkpoint import load
from xworld.training.run.given import make_source
from xworld.training.run.presets import s, smoke

CONFIG = curriculum_config()


def with_curriculum(curriculum, config=CONFIG):
    config = dataclasses.replace(config, curriculum=curriculum)
    return dataclasses.replace(config, total_steps=4 * config.steps_per_update)


def loaded(folder, config, tasks):
    trainer = make_trainer(config)
    given = trainer.given(make_source(config, tasks))
    state, given = load(folder, jax.eval_shape(trainer.start, given), given, config)
    return dataclasses.replace(state, key=jax.random.key_data(state.key)), given.tasks


def stopped_and_gone_on(folder, config, tasks):
    def stop(row):
        raise KeyboardInterrupt  # after the first checkpoint, as if killed

    with pytest.raises(KeyboardInterrupt):
        train(config, folder, tasks=tasks, show_progress=False, on_row=stop)
    assert train(config, folder, tasks=tasks, show_progress=False, resume=True)
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("curricula") / "run"
    assert train(CONFIG, folder, tasks=known_tasks(), show_progress=False)
    return folder


@pytest.mark.slow
def test_all_that_is_tried_out_counts(alone):
    search = CONFIG.search
    assert search == Search(num_envs=32, length=16) and CONFIG.steps_per_update == 64 * 16 + 32 * 16
    rows = MetricsWriter.read(alone)
    assert [row["steps"] for row in rows] == [2 * CONFIG.steps_per_update, 4 * CONFIG.steps_per_update]
    assert set(TASK_COLUMNS) < set(rows[0])
    assert [row["task_trial_length"] for row in rows] == [6, 6] and rows[0]["task_trials"] == 2
    assert rows[-1]["task_firings"] == 1 and rows[-1]["task_age"] > 0
    assert rows[-1]["curriculum_filled"] > rows[0]["curriculum_filled"] >= 4


@pytest.mark.slow
def test_a_run_with_a_curriculum_goes_on_bit_for_bit(alone, tmp_path):
    tasks = known_tasks()
    assert_same(
        loaded(stopped_and_gone_on(tmp_path / "run", CONFIG, tasks), CONFIG, tasks), loaded(alone, CONFIG, tasks)
    )
    _, curriculum = loaded(alone, CONFIG, tasks)
    assert curriculum.clock == 4 and (curriculum.moments.weight > 0).any()


def test_a_run_shows_what_its_curriculum_keeps(alone):
    kept = read_kept_tasks(alone)
    assert list(kept) == [4 * CONFIG.steps_per_update]  # it is evaluated once, at its end
    _, curriculum = loaded(alone, CONFIG, known_tasks())
    (texts,) = kept.values()
    expected = [to_text(curriculum.archive.task(place)) for place in range(NUM_TASKS)]
    assert list(texts) == expected and len(set(texts)) > 1


def test_a_run_goes_on_with_no_other_curriculum(alone):
    with pytest.raises(ConfigError, match=r"tasks: PrioritisedReplay of TaskSet \(.*\) there, TaskSet \(.*\) here"):
        train(with_curriculum(UniformConfig()), alone, tasks=known_tasks(), resume=True, show_progress=False)
    others = known_tasks().tasks
    others = TaskSet(dataclasses.replace(others, trial_length=others.trial_length + 1))
    with pytest.raises(ConfigError, match=r"of TaskSet \(tasks \w{16}\) there, .* of TaskSet \(tasks \w{16}\) here"):
        train(CONFIG, alone, tasks=others, resume=True, show_progress=False)
    other = dataclasses.replace(CONFIG, curriculum=dataclasses.replace(CONFIG.curriculum, staleness=0.3))
    with pytest.raises(ConfigError, match="curriculum.staleness: 0.2 -> 0.3"):
        train(other, alone, tasks=known_tasks(), resume=True, show_progress=False)


@pytest.mark.slow  # `test_devices` has the same of a run without a curriculum
def test_eight_devices_do_the_same_and_one_goes_on(alone, tmp_path):
    folder = tmp_path / "run"
    finish(start(folder, num_devices=8, total_devices=8, curriculum="plr", stops=True))
    assert train(CONFIG, folder, tasks=known_tasks(), resume=True, show_progress=False)
    assert_same_run(folder, alone)
    (_, found), (_, expected) = (loaded(path, CONFIG, known_tasks()) for path in (folder, alone))
    assert set(found.archive.tasks.game_id.tolist()) == set(expected.archive.tasks.game_id.tolist())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["noop", "learnability", "progress"])
def test_eight_devices_do_the_same_with_each_curriculum(name, tmp_path):
    alone, folder = tmp_path / "alone", tmp_path / "run"
    config, tasks = curriculum_config(name), known_tasks()
    assert train(config, alone, tasks=tasks, show_progress=False)
    finish(start(folder, num_devices=8, total_devices=8, curriculum=name))
    assert_same_run(folder, alone)


@pytest.mark.slow
def test_what_is_tried_out_changes_nothing_in_what_is_learned():
    """Until the archive is used, the run is that of uniform tasks, bit for bit; and nothing compiles anew."""
    tasks, params = known_tasks(), []
    for curriculum in (UniformConfig(), PLRConfig(capacity=96, min_filled=96)):
        config = with_curriculum(curriculum)
        trainer = make_trainer(config)
        given = trainer.given(make_source(config, tasks))
        state = trainer.start(given)
        for _ in range(2):
            state, given, *_ = trainer.chunk(state, given)
        assert trainer.chunk._cache_size() == 1
        params.append(state.params)
    assert int(given.tasks.archive.num_filled) > 0 and not given.tasks.is_ready
    assert_same(*params)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["noop", "learnability", "progress", "accel"])
def test_each_curriculum_runs_and_goes_on(name, tmp_path):
    tasks = None if name == "accel" else known_tasks()
    config = with_curriculum(
        small_curricula()[name], dataclasses.replace(smoke(), chunks_per_checkpoint=1) if tasks is None else CONFIG
    )
    assert train(config, tmp_path / "run", tasks=tasks, show_progress=False)
    again = stopped_and_gone_on(tmp_path / "again", config, tasks)
    assert_same(loaded(again, config, tasks), loaded(tmp_path / "run", config, tasks))
    rows = MetricsWriter.read(tmp_path / "run")
    assert any(column.startswith("curriculum_") for column in rows[0])
    assert all(np.isfinite(rows[-1][column]) for column in TASK_COLUMNS)
    assert name != "accel" or rows[-1]["curriculum_edited"] > 0
    assert read_kept_tasks(again) == read_kept_tasks(tmp_path / "run")


def test_the_benchmark_has_sensible_searches():
    """Shares of steps that are tried out, near those asked for, and the same on up to eight devices."""
    shares = {}
    for name, kind in CURRICULA.items():
        config = dataclasses.replace(s(), curriculum=kind())
        search = config.search
        shares[name] = 0.0 if search is None else search.num_steps / config.steps_per_update
        assert search is None or (search.num_envs % (8 * search.num_episodes) == 0 and search.length == 40)
        assert config.num_updates * config.steps_per_update >= config.total_steps
    assert shares["uniform"] == shares["progress"] == 0
    assert shares["plr"] == shares["accel"] == pytest.approx(0.318, abs=0.01)
    assert shares["learnability"] == pytest.approx(0.3, abs=0.01) and shares["noop"] == pytest.approx(0.24, abs=0.01)


def test_one_curriculum_is_enough():
    tasks = known_tasks()
    own = PLRConfig(capacity=64, min_filled=4).make(tasks, CONFIG.sizes)
    with pytest.raises(ConfigError, match="but the tasks are a curriculum already .PrioritisedReplay."):
        make_source(CONFIG, own)
    with pytest.raises(
        ConfigError, match="has tasks tried out .PrioritisedReplay., and only RunConfig.curriculum plans"
    ):
        make_source(with_curriculum(UniformConfig()), own)
    plain = PLRConfig(capacity=64, min_filled=4, is_robust=False).make(tasks, CONFIG.sizes)  # which tries nothing out
    assert make_source(with_curriculum(UniformConfig()), plain) is plain
    assert isinstance(CONFIG.sizes, Sizes)
