"""Training is timed in parts, and killed and resumed, in miniature."""

import io
import json
import sys
from pathlib import Path
from subprocess import Popen

import numpy as np
import pytest
from script_fixtures import load
from test_benchmarks import train
from tiny_rooms import SANITY_TASKS, sanity_config

kill_and_resume, train_worker = map(load, ("checks.kill_and_resume", "speed.train_worker"))


@pytest.fixture(scope="module")
def cases():
    config = sanity_config()
    return {
        "training": train_worker.training_case(config, SANITY_TASKS),
        "environment": train_worker.rollout_case(config, SANITY_TASKS, train_worker.ENVIRONMENT),
    }


@pytest.mark.slow
def test_a_run_of_training_is_a_chunk_that_begins_at_all_moments_of_an_episode(cases):
    config, training = sanity_config(), cases["training"]
    current = training.state.actor.env_state.current
    steps = np.asarray(current.trial).astype(int) * 8 + np.asarray(current.time)  # trials of 8 steps, 3 an episode
    counts = np.bincount(steps.reshape(-1), minlength=24)
    assert len(counts) == 24 and (counts > 0).sum() > 15 and counts.max() < 12
    before = int(training.state.update)
    training.run()
    assert training.num_steps == config.updates_per_chunk * config.steps_per_update
    assert int(training.state.update) == before + config.updates_per_chunk
    assert train_worker.memory_of(training)["peak_process_mb"] > 10


@pytest.mark.slow
def test_the_worker_times_all_parts(cases, monkeypatch, capsys):
    setting = train_worker.Setting("gru", "tiny", 64, train_worker.RULESETS, devices=1, updates=2)
    asked = []

    def make_case(config, tasks, name="training"):
        assert (config, len(tasks)) == (train_worker.run_config(setting), 2)
        asked.append(name)
        return cases.get(name, cases["environment"])

    monkeypatch.setattr(train_worker.measure, "use_devices", lambda number: None)  # jax has started
    monkeypatch.setattr(train_worker, "NUM_RULESETS", 2)
    monkeypatch.setattr(train_worker, "training_case", make_case)
    monkeypatch.setattr(train_worker, "rollout_case", make_case)
    monkeypatch.setattr(sys, "argv", ["train_worker.py", json.dumps(vars(setting))])
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n\n"))
    train_worker.main()
    about, *rounds = map(json.loads, capsys.readouterr().out.splitlines())
    assert about["parameters"] > 1000 and about["machine"]["num_devices"] == 1
    assert asked == list(rounds[0]) == ["training", "acting", "environment"] and len(rounds) == 2
    assert train_worker.run_config(setting).steps_per_update == 64 * 32


def test_shares_are_of_the_time_of_training():
    shares = train.shares({"training": 1000.0, "acting": 4000.0, "environment": 10000.0})
    assert shares == pytest.approx({"environment": 0.1, "inference": 0.15, "update": 0.75})


@pytest.mark.slow
def test_rollouts_without_an_agent_do_all_actions_alike(cases):
    case = cases["environment"]
    assert case.num_steps == 10 * sanity_config().steps_per_update
    _, (rollout, _) = case.compiled(case.state, case.inputs)
    steps = rollout.steps
    actions = np.asarray(steps.action)  # of 10 rollouts, summed
    assert actions.mean() / 10 == pytest.approx(3, abs=0.1)  # actions 0 to 6
    np.testing.assert_allclose(steps.log_probability, -10 * np.log(7), rtol=1e-5)


# A run in place of training: a row for each chunk, a state that is saved by a rename; it forgets if told to.
STAND_IN = """
import hashlib, pathlib, sys, time
folder, forgets = pathlib.Path(sys.argv[1]), sys.argv[2] == "True"
folder.mkdir(exist_ok=True)
state = folder / "state"
done, digest = state.read_text().split() if state.exists() else ("0", "")
for chunk in range(int(done), 30):
    digest = hashlib.sha256(f"{digest if not forgets or chunk > int(done) else ''}{chunk}".encode()).hexdigest()
    time.sleep(0.002)
    unfinished = folder / "unfinished-state"
    unfinished.write_text(f"{chunk + 1} {digest}")
    unfinished.rename(state)
    rows = "row\\n" * (chunk + 1)
    (folder / "metrics.jsonl").write_text(rows)
"""


@pytest.mark.parametrize("forgets", [False, True])
def test_a_run_that_is_killed_and_forgets_is_found_out(tmp_path, forgets):
    def start(folder: Path) -> Popen:
        return Popen([sys.executable, "-S", "-c", STAND_IN, str(folder), str(forgets)])

    def result(folder: Path) -> str:
        return (folder / "state").read_text()

    found = kill_and_resume.compare(start, result, tmp_path, num_kills=4, num_chunks=30, seed=0)
    assert found["are_equal"] is not forgets
    rows = [kill["row"] for kill in found["kills"]]
    assert len(rows) == 4 and rows == sorted(set(rows)) and rows[-1] < 27
    assert all(kill["rows_written"] < 30 for kill in found["kills"])


def test_moments_depend_on_the_seed_alone():
    moments = [kill_and_resume.draw_moments(10, 120, seed) for seed in (0, 0, 1)]
    assert moments[0] == moments[1] != moments[2]
    assert all(1 <= row < 108 and 0 <= chunks <= 2 for row, chunks in moments[0])
