"""Every script of the benchmarks that checks or estimates runs at tiny size, and says what it should."""

import json
import subprocess
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from evaluation_tasks import ENV, make_tasks
from habit_network import Habit
from script_fixtures import HAS_PEER, ROOT, load
from test_training_benchmarks import STAND_IN
from tiny_rooms import TinyRooms, env_config, sanity_config

import xworld
from xworld import Env
from xworld.agents import LoadedAgent
from xworld.agents.return_scale import ReturnScale
from xworld.tasks import TaskCollection, TaskInfo, Universe


@pytest.mark.skipif(not HAS_PEER, reason="walks through both simulators need xminigrid")
def test_import_of_the_peers_rulesets(run, monkeypatch, tmp_path):
    script = load("checks.xland_import")
    monkeypatch.setattr(script, "RESULTS", tmp_path / "found.json")
    monkeypatch.setattr(script, "WORLD_NAMES", script.WORLD_NAMES[:1])
    run("checks.xland_import", "--rulesets", 8, "--walks", 4, "--steps", 5)
    found = json.loads((tmp_path / "found.json").read_text())
    assert [bar["value"] for bar in found["bars"]] == [0, 0]


def test_calibration(run, monkeypatch, tmp_path):
    page = tmp_path / "tasks.md"
    page.write_text((ROOT / "docs" / "tasks.md").read_text())

    def infos(universe):  # of tasks that a test samples and compares with the same means
        fields = {name: jnp.int32(2) for name in TaskInfo.__dataclass_fields__}
        return lambda world_id, game_id: (None, TaskInfo(**fields | {"num_dead_ends": game_id % 2}))

    monkeypatch.setattr(Universe, "task_with_info", property(infos))
    run("checks.calibration", "--presets", "ada", "--num-tasks", 8, "--output", tmp_path / "found.json", "--page", page)
    found = json.loads((tmp_path / "found.json").read_text())
    assert [result["mean"]["dead ends"] for result in found["results"]] == [0.5, 0.5]
    assert "| dead ends | 0.81 | 0.50 ± 0.35 (-38%) |" in page.read_text()


@pytest.mark.slow
def test_advantages(run, monkeypatch):
    script, env = load("checks.advantages"), Env(env_config())
    tasks = jax.device_get(jax.vmap(TinyRooms().sample)(jax.random.split(jax.random.key(0), 20)))
    agent = Habit()
    played = LoadedAgent(agent, agent.init(jax.random.key(0)), ReturnScale.start(), env.config)
    monkeypatch.setattr(script, "load", lambda run: played)
    monkeypatch.setattr(script, "load_config", lambda run: sanity_config())
    monkeypatch.setattr(
        script,
        "tasks_by_name",
        lambda name: types.SimpleNamespace(collect=TaskCollection(name, env, tasks).first),
    )
    plans = types.SimpleNamespace(mean_returns=np.arange(20.0))
    monkeypatch.setattr(script, "Expert", lambda env: types.SimpleNamespace(plan_all=lambda tasks: plans))
    _, printed = run("checks.advantages", "runs/mine", "--num-tasks", 20)
    found = json.loads(printed)
    assert found["mean_best_return"] == [4 * (2 * part + 0.5) for part in range(10)]
    assert found["share_of_steps"] == [0.1] * 10 and abs(sum(found["share_of_advantages"]) - 1) < 0.01

    monkeypatch.setattr(played, "return_scale", None)
    with pytest.raises(SystemExit, match="has no return scale"):
        run("checks.advantages", "runs/mine", "--num-tasks", 20)

    is_there = np.ones((10, 4), bool)
    advantages = np.tile([1.0, -1.0, 1.0, -1.0], (10, 1))
    advantages[3] *= 5
    best = np.where(np.arange(10) == 3, 100, np.arange(10))
    assert script.shares(advantages, is_there, best)["share_of_advantages"] == [0.071] * 9 + [0.357]


def test_splits(run, monkeypatch):
    script = load("checks.splits")

    def draw(universe, ids):  # numbers in place of games and worlds, each drawn twice
        return ids[:, None] // 2, jnp.asarray(ids // 2, jnp.uint32) * jnp.uint32(2654435769)

    monkeypatch.setattr(script, "draw_games", draw)
    monkeypatch.setattr(script, "draw_worlds", draw)
    _, printed = run("checks.splits", "--presets", "trivial", "--number", 400)
    rows = [json.loads(line) for line in printed.splitlines()]
    assert [row["what"] for row in rows] == ["games", "worlds"]
    for row in rows:
        assert sum(row["num_different"].values()) == 200 and min(row["num_different"].values()) > 0
        assert row["num_in_two_splits"] == 0


@pytest.mark.slow
def test_expert(run, monkeypatch, tmp_path):
    class Rooms(TinyRooms):
        def sample_with_info(self, key):
            return self.sample(key), TaskInfo(**dict.fromkeys(TaskInfo.__dataclass_fields__, jnp.int32(1)))

    monkeypatch.setattr(xworld, "make", lambda name: Env(env_config()))
    monkeypatch.setattr(xworld, "make_universe", lambda name: Rooms())
    path, page = tmp_path / "expert.json", tmp_path / "expert.md"
    page.write_text((ROOT / "docs" / "expert.md").read_text())
    arguments = ("--tasks", 3, "--preset", "trivial", "--tiny", 2, "--output", path, "--page", page)
    run("checks.expert", *arguments)
    first = path.read_bytes()
    found = json.loads(first)
    assert found["trivial"]["solved"] == 1 and found["trivial"]["plans_that_do_not_earn_what_they_claim"] == 0
    assert sum(found["tiny"]["tasks"].values()) == 2 and "| `trivial` | 3 | 100.00 |" in page.read_text()
    run("checks.expert", *arguments)
    assert path.read_bytes() == first  # what is there is not measured again


def test_xworld_s(run, monkeypatch, tmp_path):
    script, page = load("checks.xworld_s"), tmp_path / "xworld-s.md"
    page.write_text((ROOT / "docs" / "xworld-s.md").read_text())
    tasks = jax.device_get(make_tasks(8))
    info = TaskInfo(**dict.fromkeys(TaskInfo.__dataclass_fields__, np.arange(8) % 2))
    collection = TaskCollection("rooms", ENV, tasks, info=info)
    monkeypatch.setattr(script, "tasks_by_name", lambda name: types.SimpleNamespace(collect=collection.first))
    monkeypatch.setattr(script, "SCRIPTED", ("noop",))
    monkeypatch.setattr(script, "NUM_REPETITIONS", 1)
    run("checks.xworld_s", "--num-tasks", 8, "--output", tmp_path / "found.json", "--page", page)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["expert"]["solved"] == 1 and [row["num_tasks"] for row in found["time"]["by_firings"]] == [4, 4]
    (noop,) = found["players"]
    assert noop["name"] == "noop" and noop["score"]["mean"]["value"] == 0
    assert "Of 8 tasks `s:validation` the expert solves 100.0%" in page.read_text()


@pytest.mark.parametrize("forgets", [False, True])
def test_kill_and_resume(run, monkeypatch, forgets):
    script, popen = load("checks.kill_and_resume"), subprocess.Popen

    def start(command, **options):  # a run in place of training
        assert "--continue-if-started" in command
        return popen([sys.executable, "-S", "-c", STAND_IN, command[-1], str(forgets)])

    monkeypatch.setattr(script.subprocess, "Popen", start)
    monkeypatch.setattr(script, "parameters", lambda folder: (folder / "state").read_text())
    returned, printed = run("checks.kill_and_resume", "--kills", 2, "--chunks", 30)
    assert returned == forgets and json.loads(printed)["are_equal"] is not forgets


@pytest.mark.slow
def test_oracle_hour(run, monkeypatch):
    monkeypatch.setattr(load("checks.oracle_hour"), "EXAMPLES_PER_ROUND", 5)
    returned, printed = run("checks.oracle_hour", "--minutes", 1e-6, "--seed", 0)
    found = json.loads(printed)
    assert returned == 0 and found["rounds"] == 1 and found["examples_in_which"]["examples"] >= 5
    assert found["failed"] is None


@pytest.mark.slow
def test_gpu_estimate(run, monkeypatch, tmp_path):
    monkeypatch.setattr(load("speed.scaling"), "NUM_TASKS", 2)
    path = tmp_path / "estimate.json"
    run("estimate.gpu_estimate", "--output", path)
    for row in json.loads(path.read_text())["results"]:
        assert row["kernels"] > 1 and row["bytes_as_compiled"] > row["bytes_one_kernel"] > 100
        assert np.all(np.diff([point["one_kernel"] for point in row["steps_per_s"]]) > 0)


def test_every_script_is_run():
    """A module with a `main` is a script. One needs the peer's repository; the worker and the report have own tests."""
    here = Path(__file__).parent
    files = ("test_speed_scripts.py", "test_check_scripts.py", "test_training_benchmarks.py")
    text = "".join((here / name).read_text() for name in files)
    scripts = [path for path in (ROOT / "benchmarks").rglob("*.py") if "\ndef main(" in path.read_text()]
    names = {".".join(path.relative_to(ROOT / "benchmarks").with_suffix("").parts) for path in scripts}
    not_run = {name for name in names if f'run("{name}"' not in text}
    assert not_run <= {"peer.trainer", "report", "speed.train_worker"}
