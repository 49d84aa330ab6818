"""Tasks by name: every form of a name, what it stands for, and what is said of names of nothing."""

import os

import jax
import numpy as np
import pytest

from xworld import ConfigError, Env, make_universe
from xworld.base.configs import to_json
from xworld.base.digest import digest
from xworld.tasks import TaskSet, probe, save, tasks_by_name, to_text
from xworld.training import PRESETS

TRIVIAL = make_universe("trivial", split="test")


@pytest.fixture(scope="module")
def held_out():
    return tasks_by_name("trivial", seed=3).collect(3)


def _same(one, other):
    return digest(one) == digest(other)


@pytest.mark.slow
def test_an_environment_is_its_held_out_tasks(held_out):
    assert held_out.env == Env(TRIVIAL.env_config)
    one_by_one = [TRIVIAL.sample(key) for key in jax.random.split(jax.random.key(3), 3)]
    assert _same(held_out.tasks, TaskSet.from_tasks(one_by_one).tasks)
    # One by one they are the same, whatever their number, and each has a name.
    env, task, name = tasks_by_name("trivial", seed=3).task(2)
    assert env == held_out.env and _same(task, jax.tree.map(lambda leaf: leaf[2], held_out.tasks))
    assert name == f"trivial:{task.world_id}:{task.game_id}"
    source = tasks_by_name(name, seed=4)
    assert _same(source.task(0)[1], task) and source.task(0)[2] == name and source.task(1) is None
    assert source.collect().features["num_firings"].tolist() == held_out.features["num_firings"][2:].tolist()
    assert not _same(tasks_by_name("trivial", seed=4).task(2)[1], task)


def test_more_tasks_begin_with_the_same(held_out):
    """Also those that do not fill the blocks in which tasks are made."""
    source = tasks_by_name("trivial", seed=3)
    many = source.collect(130)
    assert _same(many.first(3).tasks, held_out.tasks) and many.tasks.terrain.shape == (130, 9, 9)
    for number in (127, 128, 129):
        assert _same(source.task(number)[1], jax.tree.map(lambda leaf, n=number: leaf[n], many.tasks))


@pytest.mark.parametrize(
    ("worlds", "games", "words"),
    [
        ([], [], "world_ids is an array"),
        ([[1]], [[1]], "write a row of one or more whole numbers"),
        ([1.0], [1], "world_ids is an array"),
        ([1], [-1], "game_ids is -1"),
        ([2**31], [1], "world_ids is 2147483648"),
        ([1, 2], [1], "2 world_ids and 1 game_ids"),
    ],
)
def test_ids_that_name_no_tasks_are_refused(worlds, games, words):
    with pytest.raises(ConfigError, match=words):
        TRIVIAL.stacked(np.array(worlds), np.array(games))


def test_another_split_is_named():
    of_train = make_universe("trivial").task(3, 14)
    _, task, name = tasks_by_name("trivial:train:3:14").task(0)
    assert _same(task, of_train) and name == "trivial:train:3:14"
    assert not _same(tasks_by_name("trivial:3:14").task(0)[1], of_train)
    assert tasks_by_name("trivial:all").universe.config.split == "all"


def test_a_run_is_its_held_out_tasks(tmp_path):
    config = PRESETS["smoke"]()
    (tmp_path / "config.json").write_text(to_json(config))
    found = tasks_by_name(str(tmp_path))
    assert found.universe.env_config == config.env and found.universe.config.split == "test"
    assert found.universe.with_split("train").config == config.universe


def test_probes_are_one_or_many():
    (one,) = tasks_by_name("two_doors").collect().task_names
    assert one == "two_doors" and tasks_by_name("two_doors").task(1) is None
    assert _same(tasks_by_name("two_doors").task(0)[1], probe("two_doors").task())
    assert [tasks_by_name("probes:memory").task(number)[2][:6] for number in range(2)] == ["object"] * 2
    assert tasks_by_name("probes:one_player").collect().tasks.terrain.shape[1:] == (13, 13)
    assert len(tasks_by_name("probes:crafting").collect(2).task_names) == 2
    assert tasks_by_name("probes").task(40) is not None and tasks_by_name("probes").task(1000) is None


def test_a_files_name_that_is_no_text_is_escaped(tmp_path):
    path = tmp_path / os.fsdecode(b"\xd0\xb0\xff.toml")
    path.write_text(probe("two_doors").text)
    found = tasks_by_name(str(path))
    assert found.collect().name == "а\\udcff.toml" and found.task(0)[2] == "а\\udcff"


def test_files_have_a_task_or_a_set(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(probe("two_doors").text)
    env, task, name = tasks_by_name(str(path)).task(0)
    assert name == "mine" and to_text(task) == to_text(probe("two_doors").task(env.config))
    config = probe("two_doors").config
    tasks = TaskSet.from_tasks([probe(name).task() for name in ("two_doors", "spacer_tool")])
    found = tasks_by_name(str(save(tmp_path / "two.npz", tasks, config)))
    assert found.task(1)[2] == "two.npz-1" and found.task(2) is None
    assert _same(found.collect(1).tasks, jax.tree.map(lambda leaf: np.asarray(leaf)[:1], tasks.tasks))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rooms4-13x31", "Did you mean 'rooms4-13x13'"),
        ("two_dors", "Did you mean 'two_doors'"),
        ("probs:memory", "Did you mean 'probes:memory'"),
        ("probes:memry", "Did you mean 'memory'"),
        ("xxxxxxxx", r"Write an environment, such as .*; a test set \(v2"),
        ("trivial:tset", "Write trivial, trivial:train, or trivial:WORLD:GAME"),
        ("trivial:3", "Write trivial, trivial:train, or trivial:WORLD:GAME"),
        ("trivial:3:2147483648", r"below 2\^31"),
        ("nowhere.npz", "nowhere.npz cannot be read"),
    ],
)
def test_names_of_nothing(name, words):
    with pytest.raises(ConfigError, match=words):
        tasks_by_name(name)


def test_folders_without_a_run_and_too_few_tasks(tmp_path):
    with pytest.raises(ConfigError, match="without a training run"):
        tasks_by_name(str(tmp_path))
    with pytest.raises(ConfigError, match="3 environments. Write one of: probes:one_player"):
        tasks_by_name("probes").collect()
    with pytest.raises(ConfigError, match="write 1 to 2"):
        tasks_by_name("probes:memory").collect(100)
    with pytest.raises(ConfigError, match="write a whole number from 1 to 1000000"):
        tasks_by_name("trivial").collect(0)
