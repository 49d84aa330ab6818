import dataclasses
import json

import jax
import numpy as np
import pytest

import xworld
from xworld import ConfigError, EnvConfig
from xworld.base.digest import digest
from xworld.tasks import TaskSet, load, load_config, parse, save

CONFIG = EnvConfig(height=3, width=5, num_agents=2, max_objects=4, max_rules=2, max_doors=1)
TEXT = """
goal = "touch(red ball, agent1)"
rules = ["near(agent, red key) -> red ball, blue hex, blue hex"]
hidden = {{ agent0 = "all", agent1 = ["kind: red key"] }}
trial_length = {}
world_id = 7
map = '''
#####
#0kD1
#####
'''
[legend]
k = "frozen red key"
D = "locked red door"
"""


@pytest.fixture(scope="module")
def tasks():
    return TaskSet.from_tasks([parse(TEXT.format(length), CONFIG) for length in (5, 60, 700)])


@pytest.fixture(params=[".npz", ".toml"])
def path(request, tasks, tmp_path):
    return save(tmp_path / "new" / f"tasks{request.param}", tasks, CONFIG)


def test_what_is_saved_is_loaded(path, tasks):
    assert load_config(path) == CONFIG
    loaded = load(path, CONFIG)
    assert digest(loaded.tasks) == digest(tasks.tasks) and len(loaded) == 3
    assert [file.name for file in path.parent.iterdir()] == [path.name], "nothing else is left"
    before = path.read_bytes()
    assert save(path, loaded, CONFIG).read_bytes() == before


def test_as_many_floors_as_there_are_is_readable_text(tmp_path):
    """No legend has a quote, three of which would end the text."""
    floors = "".join("abcdefghi"[index] * 3 for index in range(9))
    colours = ("red", "green", "blue", "purple", "yellow", "pink", "cyan", "white", "orange")
    legend = [f'{letter} = "{colour} floor"' for letter, colour in zip("abcdefghi", colours, strict=True)]
    config = EnvConfig(height=1, width=28, max_objects=1, max_rules=1, max_doors=1)
    text = "\n".join(['goal = "on(agent, red floor)"', f'map = "0{floors}"', "[legend]", *legend])
    tasks = TaskSet.from_tasks([parse(text, config)])
    assert digest(load(save(tmp_path / "floors.toml", tasks, config), config).tasks) == digest(tasks.tasks)


def test_another_configuration_is_refused(path, tasks):
    other = dataclasses.replace(CONFIG, view_size=7, push=False)
    with pytest.raises(ConfigError, match=r"view_size 5 \(here 7\), push True \(here False\)"):
        load(path, other)
    with pytest.raises(ConfigError, match=r"object_kind is uint8 \(3, 4\), not uint8 \(3, 9\)"):
        save(path, tasks, dataclasses.replace(CONFIG, max_objects=9))


def test_damage_is_noticed(path):
    content = path.read_bytes()
    for cut in (0, 10, len(content) // 2, len(content) - 3):
        path.write_bytes(content[:cut])
        with pytest.raises(ConfigError, match="damaged|no file of format|content_hash|no tasks|config has not"):
            load(path, CONFIG)
    path.unlink()
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(path, CONFIG)


def test_changed_tasks_are_noticed(tasks, tmp_path):
    path = save(tmp_path / "tasks.toml", tasks, CONFIG)
    text = path.read_text().replace("trial_length = 60", "trial_length = 61")
    path.write_text(text)
    with pytest.raises(ConfigError, match="other tasks than its content_hash says.*leave content_hash out"):
        load(path, CONFIG)
    path.write_text("".join(line for line in text.splitlines(True) if not line.startswith("content_hash")))
    assert load(path, CONFIG).tasks.trial_length.tolist() == [5, 61, 700]
    path.write_text(text.replace("red ball", "red bal"))
    with pytest.raises(ConfigError, match=r"tasks\[0\]: .*red bal"):
        load(path, CONFIG)

    path = save(tmp_path / "tasks.npz", tasks, CONFIG)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    for name, change, message in (
        ("trial_length", arrays["trial_length"] + np.uint16(1), "other tasks than its content_hash says"),
        ("object_kind", arrays["object_kind"][:, :2], r"object_kind is uint8 \(3, 2\), not uint8 \(3, 4\)"),
        ("extra", np.zeros(1), "it has the arrays"),
        ("header", np.array(json.dumps({"format": "xworld tasks 0"})), "no file of format 'xworld tasks 1'"),
        ("header", np.array({"a": 1}, object), "damaged, or no task set"),  # a pickle, which is not run
    ):
        np.savez(path, **(arrays | {name: change}))
        with pytest.raises(ConfigError, match=message):
            load(path, CONFIG)


def test_sets_of_no_tasks(tasks, tmp_path):
    nothing = TaskSet(jax.tree.map(lambda leaf: leaf[:0], tasks.tasks))
    for name in ("tasks.npz", "tasks.toml"):
        with pytest.raises(ConfigError, match="There are no tasks to write"):
            save(tmp_path / name, nothing, CONFIG)
    path = save(tmp_path / "tasks.npz", tasks, CONFIG)
    with np.load(path) as file:
        header = json.loads(str(file["header"]))
        arrays = {name: file[name][:0] for name in file.files if name != "header"}
    np.savez(path, header=np.array(json.dumps(header | {"content_hash": digest(nothing.tasks)})), **arrays)
    with pytest.raises(ConfigError, match="has no tasks"):
        load(path, CONFIG)


def test_bad_names(tasks, tmp_path):
    for name in ("tasks", "tasks.pkl"):
        with pytest.raises(ConfigError, match=r"ends in \.npz or \.toml"):
            save(tmp_path / name, tasks, CONFIG)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        save(tmp_path / "file" / "tasks.npz", tasks, CONFIG)


# The content of test sets: if it has to change, there is a new version.
HASH_OF_V2 = "d566eb8673bc007febcf538b9ef1f929c94fcf6cfc8db3c8a5f738d75c4aa60d"
HASH_OF_S1 = "437d8f9adb6d2f0990845c32595ccaaf9ab32e4aef909d7538369f74703b49f6"


@pytest.mark.slow  # quicker: `test_the_benchmark_stays_what_it_is`
def test_the_test_set_of_ada_stays_what_it_is():
    tasks, info = xworld.tasks.test_set_with_info("v2")
    assert digest(tasks.tasks) == HASH_OF_V2
    assert len(tasks) == 1000 and tasks.tasks.world_id.tolist() == list(range(1000)) == tasks.tasks.game_id.tolist()
    assert info.num_firings.shape == (1000,) and 1.5 < info.num_firings.mean() < 2.1
    universe = xworld.tasks.test_set_universe("v2")
    assert universe.config.split == "test" and universe.with_split("train") == xworld.tasks.preset("ada")
    collection = xworld.tasks.tasks_by_name("v2").collect(7)
    assert (collection.name, collection.env.config) == ("v2", universe.env_config)
    assert collection.tasks.game_id.tolist() == list(range(7))
    np.testing.assert_array_equal(collection.features["num_firings"], info.num_firings[:7])


def test_the_benchmark_stays_what_it_is():
    benchmark = xworld.tasks.test_set("s1").tasks
    assert digest(benchmark) == HASH_OF_S1
    assert benchmark.world_id.tolist() == list(range(500)) == benchmark.game_id.tolist()
    assert xworld.tasks.test_set_universe("s1").with_split("train") == xworld.tasks.preset("s")
    with pytest.raises(ConfigError, match="no test set 'v3'. Write one of: v2"):
        xworld.tasks.test_set("v3")
    with pytest.raises(ConfigError, match="No preset is called 'medum'. Did you mean 'medium'"):
        xworld.tasks.preset("medum")
