"""Every script that measures speed runs at tiny size, and says what it should. What takes long stands in.

What they time is traced, and not compiled (`traced`), and of tiny rooms (`tiny_cases`): numbers of so few steps mean
nothing. Tests of the parts, beside this file, compile a few of them.
"""

import dataclasses
import io
import json
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import pytest
from evaluation_tasks import make_tasks
from script_fixtures import HAS_PEER, ROOT, load
from tiny_rooms import SANITY_TASKS, TinyRooms, env_config
from window_fixtures import ROOM

import xworld
from xworld import Env
from xworld.agents import MEMORIES

measure = load("measure")


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
