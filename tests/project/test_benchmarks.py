import dataclasses
import os
import random
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from script_fixtures import ROOT, load

from xworld import Env, EnvConfig
from xworld.core import kinds
from xworld.core.step.relations import NEVER
from xworld.tasks import TaskSet

NUM_ENVS = 8
EPISODE = 20

compare_commits, gpu_estimate, hlo_cost, measure, ours, report, rulesets, scaling, train, versus = map(
    load,
    (
        "speed.compare_commits",
        "estimate.gpu_estimate",
        "estimate.hlo_cost",
        "measure",
        "speed.ours",
        "report",
        "peer.rulesets",
        "speed.scaling",
        "speed.train",
        "speed.vs_xland_minigrid",
    ),
)


@pytest.fixture(scope="module")
def env():
    return Env(EnvConfig(height=9, width=9, max_objects=13, max_rules=9, max_doors=1, relations=("touch", "hold")))


@pytest.fixture(scope="module")
def tasks(env):
    draw = random.Random(0)
    drawn = [rulesets.draw_ruleset(draw) for _ in range(NUM_ENVS)]
    stacked = rulesets.make_tasks(env.config, rulesets.World(1, 9), drawn)
    return jax.tree.map(jnp.asarray, stacked)


@pytest.mark.parametrize("num_rules, num_objects", [(9, 13), (8, 8), (32, 16), (16, 32)])
def test_rulesets_have_as_many_rules_and_objects_as_asked(num_rules, num_objects):
    draw = random.Random(0)
    for _ in range(50):
        ruleset = rulesets.draw_ruleset(draw, num_rules, num_objects)
        assert len(ruleset.rules) == num_rules
        assert len(ruleset.kinds) == num_objects


@pytest.mark.parametrize("world", rulesets.WORLDS, ids=lambda world: world.name)
def test_worlds_are_those_of_the_peer(world):
    config = EnvConfig(height=world.side, width=world.side, max_objects=13, max_rules=9, num_agents=2)
    draw = random.Random(0)
    tasks = rulesets.make_tasks(config, world, [rulesets.draw_ruleset(draw) for _ in range(3)])
    assert ((tasks.terrain >> 4 == kinds.DOOR).sum((1, 2)) == world.num_doors).all()
    assert ((tasks.object_kind != 0).sum(1) == rulesets.NUM_OBJECTS).all()
    assert ((tasks.rules.relation != NEVER).sum(1) == rulesets.NUM_RULES).all()
    assert (tasks.agent_position < world.side).all()


def test_scan_adds_up_every_number_put_out():
    outputs = {"a": jnp.arange(6, dtype=jnp.uint8).reshape(3, 2), "b": jnp.arange(4.0), "c": jnp.ones((), bool)}
    state, totals = measure.scan(lambda state, x: (state + x, outputs), jnp.int32(0), jnp.arange(5))
    assert state == 10
    for name, leaf in outputs.items():
        np.testing.assert_array_equal(totals[name], 5 * np.asarray(leaf, np.float32).ravel())


def test_steps_are_counted_and_carried_on(env, tasks):
    case = ours.step_case({"case": "step"}, env, tasks, num_steps=10, devices=1)
    assert case.num_steps == 10 * NUM_ENVS
    (result,) = measure.measure([case], repetitions=1)
    assert result["case"] == "step"
    rates = result["steps_per_s"]
    assert 0 < rates["min"] <= rates["median"] <= rates["max"]
    assert (case.state.time == 20).all()  # once to warm up, and once measured


@pytest.mark.slow
def test_episodes_end_together_or_spread_and_go_on_to_new_tasks(env, tasks):
    short = dataclasses.replace(tasks, trial_length=jnp.full(NUM_ENVS, EPISODE, jnp.uint16))
    spread, together = ours.reset_cases(
        {"case": "reset"}, env, TaskSet(short), NUM_ENVS, 12, 1, EPISODE, ends=(ours.SPREAD, ours.TOGETHER)
    )
    assert spread.labels["ends"] != together.labels["ends"]
    before = np.asarray(together.state[0].current.task.object_kind)
    for case in (spread, together):
        case.run()
    assert (together.state[0].current.time == 12).all()
    assert len(np.unique(np.asarray(spread.state[0].current.time))) == NUM_ENVS
    together.run()
    assert (together.state[0].current.time == 24 - EPISODE).all()
    assert (np.asarray(together.state[0].current.task.object_kind) != before).any()


def test_split_last_keeps_environments_in_order():
    parts = ours.split_last(jnp.arange(12).reshape(2, 6), 3)
    np.testing.assert_array_equal(parts, [[[0, 1], [6, 7]], [[2, 3], [8, 9]], [[4, 5], [10, 11]]])


def test_the_load_of_a_machine_is_that_from_before(monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (-1.0, -1.0, -1.0))  # as if measuring had changed it
    assert measure.machine()["load_before"] >= 0


def rate(median, **labels):
    return {**labels, "devices": 2, "compile_s": 1.0, "steps_per_s": {"median": median, "min": median, "max": median}}


def versus_results():
    world = "R4-13x13"
    results = [
        rate(100, world=world, system=versus.PEER, case=versus.STEP),
        rate(200, world=world, system=versus.PEER, case=versus.STEP),
        rate(50, world=world, system=versus.PEER, case=versus.SAME_RULESETS),
        rate(10000, world=world, system=versus.OURS, case=versus.STEP),
        rate(8000, world=world, system=versus.OURS, case=versus.SAME_RULESETS, ends=ours.SPREAD),
        rate(7500, world=world, system=versus.OURS, case=versus.NEW_TASKS, ends=ours.SPREAD),
        rate(6000, world=world, system=versus.EVERYTHING, case=versus.STEP),
        rate(5000, world=world, system=versus.EVERYTHING, case=versus.NEW_TASKS, ends=ours.SPREAD),
    ]
    return {
        "benchmark": "vs_xland_minigrid",
        "machine": measure.machine(),
        "sizes": {"num_envs": 1024},
        "results": results,
        "ratios": versus.ratios(results),
        "reset_cost": versus.reset_cost(results),
    }


def test_ratios_are_to_the_faster_way_of_the_peer():
    results = versus_results()
    found = {(row["system"], row["case"]): (row["ratio"], row.get("floor")) for row in results["ratios"]}
    assert found == {
        (versus.OURS, versus.STEP): (50.0, None),
        (versus.OURS, versus.SAME_RULESETS): (160.0, 30),
        (versus.OURS, versus.NEW_TASKS): (150.0, 30),
        (versus.EVERYTHING, versus.STEP): (30.0, None),
        (versus.EVERYTHING, versus.NEW_TASKS): (100.0, 15),
    }
    assert [row["percent"] for row in results["reset_cost"]] == [25.0, 33.3, 20.0]


def scaling_results():
    results = []
    for physics in (scaling.NEEDED, scaling.EVERYTHING):
        for sweep, sizes, median in (
            ("usual", {}, 1000),
            ("grid", {"grid": 9}, 1100),
            ("grid", {"grid": 25}, 900),
            ("rules", {"rules": 32}, 400),
        ):
            labels = {"physics": physics, "sweep": sweep, **vars(scaling.Sizes(**sizes))}
            results.append({**rate(median, **labels), "bytes_per_environment": 600})
    compiling = {physics: {"step": 5.0, "rollout": 31.0} for physics in (scaling.NEEDED, scaling.EVERYTHING)}
    return {
        "benchmark": "scaling",
        "machine": measure.machine(),
        "sizes": {"repetitions": 5},
        "results": results,
        "costs": scaling.costs(results),
        "bars": scaling.bars(results, compiling),
    }


@pytest.mark.parametrize("grid", scaling.SWEEPS["grid"])
def test_scaling_has_tasks_of_every_size(grid, monkeypatch):
    monkeypatch.setattr(scaling, "NUM_TASKS", 2)
    sizes = scaling.Sizes(grid=grid)
    tasks = scaling.make_set(scaling.env_config(scaling.EVERYTHING, sizes), sizes)
    assert tasks.terrain.shape == (2, grid, grid)


def test_scaling_bars_say_what_is_met():
    bars = {row["bar"]: (row["value"], row["is_met"]) for row in scaling_results()["bars"]}
    assert bars == {
        "25x25 over 9x9": (1.22, False),
        "32 rules over 16": (2.5, False),
        "seconds to compile the step": (5.0, True),
        "seconds to compile the rollout": (31.0, False),
        "bytes of state and task": (600, True),
    }


def test_cost_of_a_program_counts_loops_as_often_as_they_run():
    def cost(rounds):
        def run(x):
            return jax.lax.fori_loop(0, rounds, lambda _, x: jnp.sin(x) * 2, x)

        return hlo_cost.program_cost(jax.jit(run).lower(jnp.zeros(4096)).compile().as_text())

    some, more = cost(10), cost(30)
    assert 10 <= some.kernels < 60
    assert some.bytes >= 10 * 2 * 4 * 4096
    assert more.bytes / some.bytes == pytest.approx(3, rel=0.2)
    assert more.operations / some.operations == pytest.approx(3, rel=0.2)


def test_estimate_is_bound_by_memory_arithmetic_or_launches():
    assert gpu_estimate.bound(10**6, 4800, 1, 0) == pytest.approx(1e9)
    assert gpu_estimate.bound(10**6, 1, gpu_estimate.OPERATIONS_PER_S / 1e8, 0) == pytest.approx(1e8)
    assert gpu_estimate.bound(1000, 0, 0, 100) == pytest.approx(1000 / (100 * gpu_estimate.LAUNCH_S))


def test_commits_are_judged_by_the_median_of_paired_rounds():
    rounds = [({"a": 100, "b": 10}, {"a": 80, "b": 11}), ({"a": 50, "b": 10}, {"a": 44, "b": 9})]
    rounds.append(({"a": 100, "b": 10}, {"a": 10, "b": 10}))
    assert compare_commits.judge(rounds, limit=0.9) == [
        {"case": "a", "ratio": 0.8, "min": 0.1, "max": 0.88, "passes": False},
        {"case": "b", "ratio": 1.0, "min": 0.9, "max": 1.1, "passes": True},
    ]
    missing = {"case": "a", "ratio": None, "passes": False}
    assert compare_commits.judge([({"a": 100}, {"new": 80})], limit=0.9) == [missing]


def train_results():
    about = {"machine": measure.machine(), "parameters": 300_000, "compile_s": 20.5, "peak_process_mb": 900.0}
    ours = [{"training": 9000.0, "acting": 22500.0, "environment": 90000.0}]
    row = {"memory": "gru", "size": "tiny", "environments": 256, "tasks": "generated", "devices": 2}
    versus_rows = [
        train.result({"system": train.OURS} | row, about, ours),
        train.result({"system": train.PEER} | row | {"tasks": "rulesets", "devices": 1}, about, [{"training": 2000.0}]),
    ]
    slower = [{"training": 6750.0, "acting": 22500.0, "environment": 90000.0}]
    own_rows = [train.result(row, about | {"xla_temporary_mb": 80.5}, rounds) for rounds in (ours, ours + slower * 2)]
    ratio = ratio_at(256)
    start = {"machine": about["machine"], "sizes": {"repetitions": 3}}
    return {
        "train": {"benchmark": "train", **start, "results": own_rows},
        "train_vs_peer": {"benchmark": "train_vs_peer", **start, "results": versus_rows, "ratios": [ratio]},
    }


ROUNDS = [{"training": rate} for rate in (900.0, 800.0, 1000.0)]
PEER_ROUNDS = [[{"training": 200.0}] * 3, [{"training": 100.0}] * 3]  # on one device, and on two


def ratio_at(environments):
    one = train.Setting("gru", train.PEER_SIZE, environments, "generated", 2, 1)
    return train.ratio(one, ROUNDS, PEER_ROUNDS)


def test_training_is_compared_round_by_round_with_the_faster_way_of_the_peer():
    found = {"median": 4.5, "min": 4.0, "max": 5.0}
    assert ratio_at(256)["ratio"] == found
    assert ratio_at(256)["is_met"]
    assert not ratio_at(1024)["is_met"]
    assert "is_met" not in ratio_at(512)


def test_peer_has_to_be_where_it_is_said_to_be(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py", "--peer", str(tmp_path)])
    with pytest.raises(SystemExit):
        train.main()
    assert "no train_meta_task.py" in capsys.readouterr().err


def test_report_fills_the_page_from_results(tmp_path, monkeypatch):
    results = tmp_path / "results"
    results.mkdir()
    made = {"vs_xland_minigrid-1024": versus_results(), "scaling": scaling_results()}
    for name, data in (made | train_results()).items():
        measure.write(results / f"{name}.json", data)
    page = tmp_path / "speed.md"
    page.write_text((ROOT / "docs" / "speed.md").read_text())
    monkeypatch.setattr(sys, "argv", ["report.py", "--results", str(results), "--page", str(page)])
    report.main()
    text = page.read_text()
    assert "| R4-13x13 | xworld | auto-reset, newly generated tasks | ends spread | 150.0 | 30 |" in text
    assert "| 25x25 over 9x9 | touch and hold | 1.22 | 1.2 | no |" in text
    assert "| gru | tiny | 300,000 | 256 | 1.00 | 1.00 | 1.00 | 10.0 | 30.0 | 60.0 | 20.5 | 900.0 | 80.5 |" in text
    assert "| gru | tiny | 300,000 | 256 | 0.75 | 0.75 | 1.00 | 7.5 | 22.5 | 70.0 | 20.5 | 900.0 | 80.5 |" in text
    assert "| GRU 256 | 256 | generated | 4.5 | 4.0 | 5.0 | 4 | yes |" in text
    assert "| XLand-MiniGrid | rulesets | 256 | 1 | 300,000 | 2,000 | 2,000 | 2,000 |  | 20.5 | 900.0 |" in text
    assert "run `python -m benchmarks.speed.tasks`" in text
    for name in ("vs_xland_minigrid-1024", "scaling", "train"):
        assert f"results/{name}.png" in text
        assert (results / f"{name}.png").stat().st_size > 10_000
    report.main()
    assert page.read_text() == text


def test_page_names_scripts_and_sections_that_exist():
    text = (ROOT / "docs" / "speed.md").read_text()
    for script in re.findall(r"python -m (benchmarks(?:\.\w+)+)", text):
        assert (ROOT / script.replace(".", "/")).with_suffix(".py").exists()
    assert set(re.findall(r"<!-- results: (\w+) -->", text)) == {
        "vs_xland_minigrid",
        "adapters",
        "first_steps",
        "scaling",
        "tasks",
        "gpu_estimate",
        "train",
        "train_vs_peer",
    }
