"""Every script of the benchmarks runs at tiny size, and says what it should. What takes long stands in.

What they time is traced, and not compiled (`traced`), and of tiny rooms (`tiny_cases`): numbers of so few steps mean
nothing. Tests of the parts, beside this file, compile a few of them.
"""

import dataclasses
import importlib.util
import io
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
from test_benchmarks import ROOT, load
from test_training_benchmarks import STAND_IN
from tiny_rooms import SANITY_TASKS, TinyRooms, env_config, sanity_config
from window_fixtures import ROOM

import xworld
from xworld import Env
from xworld.agents import MEMORIES, LoadedAgent
from xworld.agents.return_scale import ReturnScale
from xworld.tasks import TaskCollection, TaskInfo, Universe

measure = load("measure")
HAS_PEER = importlib.util.find_spec("xminigrid") is not None


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a script of the benchmarks with arguments; gives what it returns, and what it prints as JSON."""
    monkeypatch.setattr(measure, "use_devices", lambda number: None)  # jax has started

    def run_one(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        returned = load(name).main()
        return returned, capsys.readouterr().out

    return run_one


class Traced:
    """In place of a compiled function: gives zeros of the shapes that it would give."""

    def __init__(self, shapes):
        self._shapes = shapes

    def __call__(self, *arguments):
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), self._shapes)

    def memory_analysis(self):
        return None


@pytest.fixture
def traced(monkeypatch):
    """Has the benchmarks trace what they would compile."""

    def trace(labels, function, *arguments):
        return Traced(jax.eval_shape(function, *arguments)), 0.0

    monkeypatch.setattr(measure, "compile_timed", trace)


_CASES = {}  # of tiny rooms, the same for all that ask


@pytest.fixture
def tiny_cases(traced, monkeypatch):
    """Cases of this simulator are of tiny rooms, whatever environment is asked for."""
    ours, env = load("speed.ours"), Env(env_config())
    reset_cases, step_case = ours.reset_cases, ours.step_case

    def make_reset_cases(labels, env_, tasks, *sizes, ends=(ours.SPREAD,), reads_final=True):
        if "reset" not in _CASES:
            (_CASES["reset"],) = reset_cases(labels, env, TinyRooms(), 16, 250, 1, 250)
        return [dataclasses.replace(_CASES["reset"], labels={**labels, "ends": when}) for when in ends]

    def make_step_case(labels, env_, tasks, *sizes):
        if "step" not in _CASES:
            some = jax.jit(jax.vmap(TinyRooms().sample))(jax.random.split(jax.random.key(0), 16))
            _CASES["step"] = step_case(labels, env, some, 250, 1)
        return dataclasses.replace(_CASES["step"], labels=labels)

    monkeypatch.setattr(ours, "reset_cases", make_reset_cases)
    monkeypatch.setattr(ours, "step_case", make_step_case)
    monkeypatch.setattr(load("speed.scaling"), "NUM_TASKS", 2)


@pytest.mark.slow
def test_scaling(run, tiny_cases, tmp_path):
    path = tmp_path / "scaling.json"
    run("speed.scaling", "--sweeps", "environments", "--environments", 16, "--repetitions", 1, "--output", path)
    found = json.loads(path.read_text())
    assert {(row["physics"], row["sweep"]) for row in found["results"]} == {
        (physics, sweep) for physics in ("touch and hold", "everything on") for sweep in ("usual", "environments")
    }
    assert {row["bar"] for row in found["bars"]} >= {"seconds to compile the rollout", "bytes of state and task"}


def test_a_commit_is_timed(run, tiny_cases, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n\n"))
    _, printed = run("speed.commit_worker", ROOT, 16, 1)
    ready, *rounds = map(json.loads, printed.splitlines())
    assert set(ready) == set(rounds[0]) == {"touch and hold", "everything on"}
    assert len(rounds) == 2 and min(rounds[0].values()) > 0


# In place of what times a commit.
TIMES = """
import json, sys
print(json.dumps({{"a case": 1.0}}), flush=True)
for _ in sys.stdin:
    print(json.dumps({{"a case": {}, "{} alone": 1.0}}), flush=True)
"""


def test_commits_are_compared_each_by_its_own_worker(run, tmp_path, monkeypatch):
    compare_commits, repository = load("speed.compare_commits"), tmp_path / "repository"
    repository.mkdir()
    monkeypatch.setattr(compare_commits, "ROOT", repository)

    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *arguments], cwd=repository, check=True, capture_output=True)

    git("init")
    (repository / "readme").write_text("before there was a worker")
    for place, rate in ((None, 0), ("commit_worker.py", 100.0), ("speed/commit_worker.py", 80.0)):
        if place is not None:
            path = repository / "benchmarks" / place
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(TIMES.format(rate, place))
        git("add", ".")
        git("commit", "-m", str(place))
    sizes = ("--repetitions", 2, "--num-envs", 16)
    returned, printed = run("speed.compare_commits", "HEAD~1", "--limit", 0.9, *sizes)
    found = json.loads(printed)
    assert found["cases"] == [
        {"case": "a case", "ratio": 0.8, "min": 0.8, "max": 0.8, "passes": False},
        {"case": "commit_worker.py alone", "ratio": None, "passes": False},
    ]
    assert returned == 1 and found["head"] == "working tree"
    assert run("speed.compare_commits", "HEAD", "--head", "HEAD", *sizes)[0] == 0
    with pytest.raises(SystemExit, match="HEAD~2 cannot be timed: it has no commit_worker.py. The oldest commit"):
        run("speed.compare_commits", "HEAD~2")
    with pytest.raises(SystemExit, match="git has no 'no-such-commit'"):
        run("speed.compare_commits", "no-such-commit")


def test_tasks(run, traced, monkeypatch, tmp_path):
    script, path = load("speed.tasks"), tmp_path / "tasks.json"
    monkeypatch.setattr("xworld.tasks.TaskPool", lambda universe, *sizes: TinyRooms())
    if not HAS_PEER:
        monkeypatch.setattr(script, "measure_peer", lambda seconds: {"rulesets_per_s": 0.5})
    run("speed.tasks", "--batch", 16, "--repetitions", 1, "--peer-seconds", 0.1, "--output", path)
    found = json.loads(path.read_text())
    assert found["results"][0]["tasks_per_run"] == 16 and found["ratio"] > 0
    assert [bar["limit"] for bar in found["bars"]] == [50_000, 1.1]


@pytest.mark.slow
def test_curricula(run, traced, monkeypatch, tmp_path):
    script, path = load("speed.curricula"), tmp_path / "curricula.json"
    kinds = {name: script.CURRICULA[name] for name in ("uniform", "noop", "progress")}
    monkeypatch.setattr(script, "CURRICULA", kinds)
    run("speed.curricula", "--preset", "smoke", "--repetitions", 1, "--output", path)
    found = json.loads(path.read_text())
    assert [bar["bar"].partition(":")[0] for bar in found["bars"]] == ["columns of tasks", "noop", "progress"]
    assert {"training update", "noop: draw", "progress: draw"} < set(found["seconds"])


def test_partners(run, monkeypatch, tmp_path):
    script, path = load("speed.partners"), tmp_path / "partners.json"
    trained = []

    def stand_in(config, name, tasks):  # a minute each to compile
        trained.append((name, type(config.partners).__name__, config.updates_per_chunk))
        return lambda: jnp.zeros(1)

    monkeypatch.setattr(script, "training", stand_in)
    monkeypatch.setattr(script, "sample_tasks", lambda universe, key, number: make_tasks(3))
    run("speed.partners", "--repetitions", 2, "--output", path)
    found = json.loads(path.read_text())
    kinds = ["SelfConfig", "NoisySelfConfig", "PoolConfig", "FixedConfig"]
    assert trained == [(name, kind, 8) for name, kind in zip(("self", *found["times_self"]), kinds, strict=True)]
    assert [(bar["bar"], bar["limit"]) for bar in found["bars"]] == [
        ("noisy-self, times self", 1.15),
        ("pool, times self", 1.35),
    ]


def test_first_steps(run, monkeypatch, tmp_path):
    script, path = load("speed.first_steps"), tmp_path / "first.json"
    ran = []

    def stand_in(code):  # processes that compile take half a minute each
        ran.append(code)
        assert "open('" not in code or (tmp_path / "first.toml").exists()
        return (2.0, "0.01\n") if "perf_counter" in code else (4.0, "")

    monkeypatch.setattr(script, "time_script", stand_in)
    run("speed.first_steps", "--repetitions", 2, "--output", path)
    rows = json.loads(path.read_text())["results"]
    assert len(ran) == 10 and [row["seconds"] for row in rows] == [4, 4, 4, 4, 2, 0.01]
    for code in ran[:5]:
        compile(code, "script", "exec")
    assert not (tmp_path / "first.toml").exists()
    (text,) = load("report")._first_steps_tables(json.loads(path.read_text()))
    assert "| 0.50 |" in text


@pytest.mark.slow
def test_histories(run, monkeypatch, tmp_path):
    script, path = load("speed.histories"), tmp_path / "histories.json"
    monkeypatch.setattr(xworld, "make", lambda name: Env(env_config(side=5)))
    monkeypatch.setattr(xworld, "make_universe", lambda name: SANITY_TASKS)
    monkeypatch.setattr(script, "NUM_TASKS", 2)
    sizes = ("--histories", 2, "--steps", 16, "--batch", 4, "--window", 8, "--devices", 1, "--repetitions", 1)
    run("speed.histories", *sizes, "--output", path)
    found = json.loads(path.read_text())
    assert {(row["what"], row["from"]) for row in found["results"]} == {
        (what, where) for what in ("whole histories", "windows") for where in ("derived", "stored")
    }
    assert all(row["steps_per_s"]["median"] > 0 for row in found["results"])
    assert [bar["limit"] for bar in found["bars"]] == [3_000_000, 5, 1.3]


@pytest.mark.slow
def test_large_dataset(run, monkeypatch, tmp_path):
    script, path = load("speed.large_dataset"), tmp_path / "large.json"
    monkeypatch.setattr(xworld, "make", lambda name: Env(env_config(side=5)))
    monkeypatch.setattr(xworld, "make_universe", lambda name: SANITY_TASKS)
    for name, value in {"NUM_TASKS": 2, "STEPS_AT_A_TIME": 200, "NUM_WINDOWS": 2, "WINDOW": 8}.items():
        monkeypatch.setattr(script, name, value)
    run("speed.large_dataset", "--steps", 1e3, "--episode", 20, "--batches", 10, "--folder", tmp_path, "--output", path)
    found = json.loads(path.read_text())
    assert (found["sizes"]["steps"], found["sizes"]["episodes"]) == (1000, 50)
    assert len(found["results"]["memory_mb"]) == 5 + 10 and min(found["results"]["memory_mb"]) > 0
    assert found["results"]["written_steps_per_s"] > 0 and found["results"]["drawn_steps_per_s"] > 0


@pytest.mark.slow
def test_adapters(run, traced, monkeypatch, tmp_path):
    script, path = load("speed.adapters"), tmp_path / "adapters.json"
    monkeypatch.setattr(xworld, "make", lambda name: Env(env_config(side=5)))
    monkeypatch.setattr(xworld, "make_universe", lambda name: SANITY_TASKS)
    for name, value in {"GYMNAX_ENVS": 2, "GYMNASIUM_ENVS": 2, "NUM_TASKS": 2, "REFILL_EVERY": 2}.items():
        monkeypatch.setattr(script, name, value)
    monkeypatch.setattr(script, "FORMS", {"flat": ("flat", True)})
    run("speed.adapters", "--steps", 4, "--repetitions", 1, "--output", path)
    results = json.loads(path.read_text())
    found = {(row["system"], row["loop"]): row for row in results["results"]}
    assert set(found) == {
        *((system, "scan") for system in ("VectorEnv", "gymnax, vmap", "gymnax, batched")),
        *((system, "Python") for system in ("VectorEnv", "gymnasium")),
    }
    assert found["VectorEnv", "Python"]["of_vector_env"]["Python"]["median"] == 1
    page = "<!-- results: adapters -->\n<!-- end -->"
    assert "| 2 | scan | gymnax, batched | flat |" in load("report").fill(page, {"adapters": results}, "results")
    assert all(row["steps_per_s"]["median"] > 0 for row in found.values())


def test_versus_the_peer(run, tiny_cases, monkeypatch, tmp_path):
    versus, path = load("speed.vs_xland_minigrid"), tmp_path / "versus.json"
    if not HAS_PEER:

        def make_case(labels, world, encoded, num_steps, devices, has_reset):
            return measure.Case(labels, num_steps * encoded, lambda state, inputs: (state, inputs), 0.0, 0, 0)

        stand_in = types.ModuleType("simulator")
        stand_in.stack_rulesets, stand_in.make_case = len, make_case
        monkeypatch.setitem(sys.modules, "benchmarks.peer.simulator", stand_in)
        monkeypatch.setattr(sys.modules["benchmarks.peer"], "simulator", stand_in, raising=False)
    sizes = ("--num-envs", 16, "--steps", 250, "--peer-steps", 2, "--repetitions", 1, "--devices", 1)
    run("speed.vs_xland_minigrid", *sizes, "--worlds", "R1-9x9", "--output", path)
    found = json.loads(path.read_text())
    cases = {(row["system"], row["case"].removesuffix(versus.FINAL)) for row in found["results"]}
    assert cases == {
        *((system, versus.STEP) for system in (versus.OURS, versus.EVERYTHING, versus.PEER)),
        *((system, versus.SAME_RULESETS) for system in (versus.OURS, versus.PEER)),
        *((system, versus.NEW_TASKS) for system in (versus.OURS, versus.EVERYTHING)),
    }
    assert len(found["ratios"]) == 14 and len(found["reset_cost"]) == 12


@pytest.mark.skipif(not HAS_PEER, reason="walks through both simulators need xminigrid")
def test_import_of_the_peers_rulesets(run, monkeypatch, tmp_path):
    script = load("checks.xland_import")
    monkeypatch.setattr(script, "RESULTS", tmp_path / "found.json")
    monkeypatch.setattr(script, "WORLD_NAMES", script.WORLD_NAMES[:1])
    run("checks.xland_import", "--rulesets", 8, "--walks", 4, "--steps", 5)
    found = json.loads((tmp_path / "found.json").read_text())
    assert [bar["value"] for bar in found["bars"]] == [0, 0]


class Rates:
    """In place of a process that trains."""

    ready = {"machine": {"backend": "cpu"}, "compile_s": 1.0, "parameters": 1}

    def __init__(self, script, arguments, **options):
        self._is_peer = script == "peer/trainer.py"
        assert (ROOT / "benchmarks" / script).exists() and json.loads(arguments[-1])["environments"] == 64

    def run(self):
        return {"training": 1.0} if self._is_peer else {"training": 4.0, "acting": 8.0, "environment": 40.0}

    def stop(self):
        pass


def test_train(run, monkeypatch, tmp_path):
    monkeypatch.setattr(load("speed.train"), "Worker", Rates)
    (tmp_path / "train_meta_task.py").touch()
    sizes = ("--environments", 64, "--repetitions", 2)
    for peer, name, num_rows in (
        ((), "train", len(MEMORIES)),
        (("--peer", tmp_path), "train_vs_peer", 5),
    ):
        run("speed.train", "--sizes", "tiny", *sizes, *peer, "--output", tmp_path / "train.json")
        found = json.loads((tmp_path / "train.json").read_text())
        assert found["benchmark"] == name and len(found["results"]) == num_rows
    assert [row["ratio"]["median"] for row in found["ratios"]] == [4.0] * 3


@pytest.mark.slow
def test_window(run, monkeypatch, tmp_path):
    script = load("speed.window")
    monkeypatch.setattr(script, "IDLE_S", 0.05)
    monkeypatch.setattr(script, "NUM_STEPS", 8)  # over the end of a trial
    (tmp_path / "room.toml").write_text(ROOM)
    _, printed = run("speed.window", "--task", tmp_path / "room.toml", "--size", 400, 300)
    found = json.loads(printed)
    assert found["playing"]["frames_a_second"] > 0 and found["size"] == [400, 300]


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
    """A module with a `main` is a script. One needs the peer's repository, and the report has a test of its own."""
    here = Path(__file__).parent
    text = Path(__file__).read_text() + (here / "test_training_benchmarks.py").read_text()
    scripts = [path for path in (ROOT / "benchmarks").rglob("*.py") if "\ndef main(" in path.read_text()]
    names = {".".join(path.relative_to(ROOT / "benchmarks").with_suffix("").parts) for path in scripts}
    not_run = {name for name in names if f'"{name}"' not in text}
    assert not_run <= {"peer.trainer", "report"}
