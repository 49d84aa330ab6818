"""Agents in folders: what is written is read again, whole or not at all, and what cannot be read is said."""

import copy
import dataclasses
import json
import resource
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_rooms import SMALL_AGENT, TinyRooms, env_config

from xworld import ConfigError, Env
from xworld.agents import PRETRAINED, PRETRAINED_DUO, Output, load, make_agent, save
from xworld.agents.return_scale import ReturnScale
from xworld.agents.saved.export import export
from xworld.agents.saved.saved import checkpoint_folder, describe, remove_others
from xworld.agents.saved.trees import read_part, write_parts
from xworld.tasks import preset
from xworld.training import load_config

AGENT = make_agent(SMALL_AGENT, env_config())
PARAMS = jax.jit(AGENT.init)(jax.random.key(0))
OTHER = jax.tree.map(lambda leaf: leaf + 1, PARAMS)


@pytest.fixture
def run(tmp_path) -> Path:
    """The folder of a run with two finished checkpoints, and one that a killed process left."""
    for update in (9, 120):
        parts = {"params": OTHER if update == 120 else PARAMS, "rest": {"update": jnp.int32(update)}}
        write_parts(checkpoint_folder(tmp_path, "last", update), parts, describe(AGENT, AGENT.env_config))
    (tmp_path / "unfinished-checkpoint-130").mkdir()
    return tmp_path


def assert_same(one: object, other: object) -> None:
    for leaf, expected in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(leaf, expected)


def test_a_saved_agent_loads(tmp_path):
    folder = tmp_path / "agents" / "one"
    folder.mkdir(parents=True)
    for params in (OTHER, PARAMS):  # the second takes the place of the first
        save(folder, AGENT, params)
    loaded = load(str(folder))
    assert AGENT.config.dtype == "auto"  # another machine computes as the one where it was saved
    assert loaded.agent == make_agent(dataclasses.replace(AGENT.config, dtype="float32"), AGENT.env_config)
    assert_same(loaded.params, PARAMS)
    assert [path.name for path in folder.parent.iterdir()] == ["one"]


def test_a_deep_copy_of_parameters_has_the_same_structure():
    twin = copy.deepcopy(PARAMS)
    assert jax.tree.structure(twin) == jax.tree.structure(PARAMS)
    assert_same(twin, PARAMS)
    assert not {id(leaf) for leaf in jax.tree.leaves(twin)} & {id(leaf) for leaf in jax.tree.leaves(PARAMS)}


def test_the_newest_checkpoint_of_a_run_loads_and_the_best(run):
    assert_same(load(run).params, OTHER)
    assert_same(load(run / "checkpoint-9").params, PARAMS)
    with pytest.raises(ConfigError, match="has no best agent yet: it was not evaluated. Take the last"):
        load(run, "best")
    shutil.copytree(run / "checkpoint-9", run / "best-9")
    assert_same(load(run, "best").params, PARAMS)
    with pytest.raises(ConfigError, match="is one saved agent. To have the best of a training run, name the run"):
        load(run / "best-9", "best")

    remove_others(run / "checkpoint-120", "last")
    assert {path.name for path in run.iterdir()} == {"best-9", "checkpoint-120"}


def test_parts_keep_dtypes_and_structure(tmp_path):
    tree = {"cache": [jnp.full((2, 3), 0.1, jnp.bfloat16), np.uint8(3)], "flag": np.zeros((), bool)}
    write_parts(tmp_path / "x", {"one": tree, "two": {"a": jnp.int32(1)}}, {"note.txt": "words"})
    assert (tmp_path / "x" / "note.txt").read_text() == "words"
    found = read_part(tmp_path / "x", "one", jax.eval_shape(lambda: tree))
    assert jax.tree.structure(found) == jax.tree.structure(tree)
    assert [leaf.dtype for leaf in jax.tree.leaves(found)] == [jnp.bfloat16, np.uint8, bool]
    assert_same(found, tree)
    with pytest.raises(ConfigError, match="x holds no 'three', only one, two"):
        read_part(tmp_path / "x", "three", tree)
    with pytest.raises(ConfigError, match=r"x does not fit: b is not there in it and should be int32\[2\]"):
        read_part(tmp_path / "x", "two", {"a": jnp.int32(1), "b": jnp.zeros(2, jnp.int32)})


def test_where_there_is_no_agent(tmp_path):
    (tmp_path / "file").write_text("")
    for path, message in [
        (tmp_path, "holds no agent: there is no checkpoint of a training run in it"),
        (tmp_path / "nowhere", "nowhere does not exist. Name the folder of a training run or of a saved agent"),
        (tmp_path / "file", "file is a file. Name the folder"),
    ]:
        with pytest.raises(ConfigError, match=message):
            load(path)
    with pytest.raises(ConfigError, match="which is 'first'; write 'last' or 'best'"):
        load(tmp_path, "first")
    with pytest.raises(ConfigError, match="exists and holds no saved agent. Choose another folder"):
        save(tmp_path, AGENT, PARAMS)
    assert (tmp_path / "file").exists()


def test_an_agent_takes_the_place_of_an_agent_only(tmp_path):
    folder = tmp_path / "mine"
    save(folder, AGENT, PARAMS)
    save(folder, AGENT, OTHER)
    (folder / "notes.txt").write_text("kept")
    with pytest.raises(ConfigError, match="holds notes.txt, which is no part of a saved agent and would be lost"):
        save(folder, AGENT, PARAMS)
    assert (folder / "notes.txt").read_text() == "kept"
    assert_same(load(folder).params, OTHER)


def test_damage_is_named(run):
    folder = run / "checkpoint-120"
    description = (folder / "agent.json").read_text()
    for text in ("", description.replace("32", "33")):
        (folder / "agent.json").write_text(text)
        with pytest.raises(ConfigError, match="checkpoint-120 is damaged: agent.json is not as it was written"):
            load(run)
    (folder / "agent.json").write_text(description)
    for file in [path for path in (folder / "rest").rglob("*") if path.is_file()]:
        file.write_bytes(b"")
    assert_same(load(run).params, OTHER)  # which does not need the rest
    with pytest.raises(ConfigError, match="checkpoint-120 is damaged: rest.* is not as it was written"):
        read_part(folder, "rest", {"update": jnp.int32(1)})
    (folder / "agent.json").unlink()
    with pytest.raises(ConfigError, match="checkpoint-120 is damaged: agent.json is missing"):
        load(run)


def test_an_agent_of_another_version_is_named(tmp_path):
    values = json.loads(describe(AGENT, AGENT.env_config)["agent.json"])
    for changed, message in [
        (values | {"shoes": 2}, "has no field 'shoes'"),
        ({"agent": values["agent"]}, "has no 'env'; write it"),
    ]:
        write_parts(tmp_path / "x", {"params": PARAMS}, {"agent.json": json.dumps(changed)})
        with pytest.raises(ConfigError, match=f"x holds no agent that can be read. .*{message}"):
            load(tmp_path / "x")
    wider = json.loads(json.dumps(values))
    wider["agent"]["memory_size"] = 64
    write_parts(tmp_path / "x", {"params": PARAMS}, {"agent.json": json.dumps(wider)})
    with pytest.raises(ConfigError, match="x does not fit: .* Use it with the configuration and the version"):
        load(tmp_path / "x")


def test_a_manifest_with_backslashes_checks_nothing_and_is_refused(run):
    folder = run / "checkpoint-120"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert not any("\\" in name for name in manifest["files"])
    manifest["files"] = {name.replace("/", "\\"): digest for name, digest in manifest["files"].items()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match="checkpoint-120 is damaged: manifest.json names no file of params"):
        load(run)


def test_files_that_the_manifest_does_not_name_are_refused(run):
    (run / "checkpoint-120" / "params" / "more").write_bytes(b"")
    with pytest.raises(ConfigError, match="checkpoint-120 is damaged: params/more is not in manifest.json"):
        load(run)


def test_an_agent_is_saved_where_a_link_leads(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    for params in (OTHER, PARAMS):
        save(tmp_path / "link", AGENT, params)
    assert (tmp_path / "link").is_symlink()
    assert_same(load(tmp_path / "disk").params, PARAMS)


def test_an_agent_is_saved_where_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(".", AGENT, PARAMS)
    assert_same(load(".").params, PARAMS)
    with pytest.raises(ConfigError, match="is where you are, and it is not empty"):
        save(".", AGENT, OTHER)
    assert_same(load(tmp_path).params, PARAMS)
    assert not any(path.name.startswith("unfinished") for path in tmp_path.parent.iterdir())


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save("~/mine", AGENT, PARAMS)
    assert_same(load("~/mine").params, PARAMS)
    assert (tmp_path / "mine").is_dir()


def test_a_full_disk_loses_nothing(run, monkeypatch):
    def save_again() -> None:
        write_parts(run / "checkpoint-120", {"params": PARAMS, "big": np.zeros(10**6, np.float32)})

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, limits[1]))
    try:
        with pytest.raises(ConfigError, match="checkpoint-120 cannot be written: File too large. Make room for 5 MB"):
            save_again()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    # Where the disk fills up while orbax writes, it says so in its own way.
    monkeypatch.setattr("orbax.checkpoint.StandardCheckpointer.save", _out_of_space)
    with pytest.raises(ConfigError, match="cannot be written: No space left on device .what it was doing."):
        save_again()
    assert_same(load(run).params, OTHER)
    assert not (run / "unfinished-checkpoint-120").exists()
    with pytest.raises(ConfigError, match="cannot be written"):
        write_parts(Path("/proc/xworld"), {"params": PARAMS})  # read-only for everybody


def _out_of_space(*arguments: object) -> None:
    raise ValueError("No space left on device\n(what it was doing)")


def test_an_exported_agent_takes_a_place_only_if_it_is_small_enough(run, monkeypatch):
    for name in ("config.json", "given.json", "metrics.csv"):
        (run / name).write_text("of the run")
    output = run / "exported"
    save(output, AGENT, PARAMS)
    before = sorted(output.rglob("*"))
    monkeypatch.setattr("xworld.agents.saved.export.MOST_BYTES", 1000)
    with pytest.raises(ConfigError, match=r"MB; at most 0 MB come with a package"):
        export(run, output)
    assert sorted(output.rglob("*")) == before and not (run / "unfinished-exported").exists()
    monkeypatch.undo()
    for place in (run, run.parent):
        with pytest.raises(ConfigError, match="is to be replaced, and the run is in it"):
            export(run, place)
    assert_same(load(run).params, OTHER)
    export(run, output)
    assert_same(load(output).params, OTHER)
    assert {path.name for path in output.iterdir()} == {"config.json", "given.json", "metrics.csv", "checkpoint-120"}


@pytest.mark.parametrize("folder", [PRETRAINED, PRETRAINED_DUO], ids=["pretrained", "pretrained-duo"])
def test_agents_that_come_with_the_package_load_and_are_small(folder):
    config, loaded = load_config(folder), load(folder)
    assert (loaded.config, loaded.env_config) == (dataclasses.replace(config.agent, dtype="float32"), config.env)
    assert loaded.return_scale is not None
    assert (folder / "metrics.csv").is_file()  # for the learning curve
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1_000_000
    assert not any(str(Path.home()).encode() in path.read_bytes() for path in files)


def test_agents_that_come_with_the_package_are_of_the_environments_that_are_said():
    for folder, name in ((PRETRAINED, "memory"), (PRETRAINED_DUO, "duo")):
        universe = preset(name)
        config = load_config(folder)
        assert (config.env, config.universe) == (universe.env_config, universe.config)


class Mine:
    """A network of one's own."""

    def init(self, key):
        return {"scale": jnp.ones(3)}

    def start_memory(self, *batch):
        return jnp.zeros((*batch, 1, 2))

    def encode_briefing(self, params, briefing):
        return briefing.agent_id[..., None]

    def is_reset(self, timestep):
        return timestep.is_first

    def step(self, params, observation, told, memory, is_reset):
        shape = observation.held.shape
        logits = jnp.zeros((*shape, 7)).at[..., 3].set(params["scale"].sum())
        return Output(logits, jnp.full(shape, 0.5), memory, memory + 1)


class Another(Mine):
    """Of the same shapes, but another one."""


def test_a_network_of_ones_own_is_not_taken_for_another(tmp_path):
    scale = ReturnScale.start().update(jnp.float32(4), jnp.float32(9), decay=0.9)  # of mean 4 and deviation 3
    save(tmp_path / "mine", Mine(), {"scale": jnp.full(3, 2.0)}, scale, AGENT.env_config)
    with pytest.raises(ConfigError, match=r"a network of one's own, .*Mine. Give it by --network module:function"):
        load(tmp_path / "mine")
    with pytest.raises(ConfigError, match=r"holds an agent with .*Mine, not with .*Another"):
        load(tmp_path / "mine", agent=Another())
    loaded = load(tmp_path / "mine", agent=Mine())
    assert loaded.env_config == AGENT.env_config and loaded.params["scale"].tolist() == [2, 2, 2]
    env = Env(AGENT.env_config)
    task = TinyRooms().sample(jax.random.key(0))
    loaded.start(env.briefing(task), is_greedy=True)
    assert loaded.act(env.reset(jax.random.key(0), task)[1].observation).tolist() == [3]
    np.testing.assert_allclose(loaded.value, [4 + 0.5 * 3], rtol=1e-5)  # in units of reward
