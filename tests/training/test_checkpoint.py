import dataclasses
import json
import resource
import shutil
import signal
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
from tiny_rooms import SANITY_TASKS, sanity_config

from xworld import ConfigError
from xworld.agents import load as load_agent
from xworld.agents import make_agent
from xworld.agents.saved.saved import describe
from xworld.tasks import TaskSet
from xworld.training import RunConfig, TrainingDiverged, load_config, train
from xworld.training.devices.sharding import fetch
from xworld.training.logs.metrics import MetricsWriter, check_known, check_new
from xworld.training.run.checkpoint import all_parts, load, save, save_config
from xworld.training.run.trainer import TrainState, make_trainer

CONFIG = sanity_config()
UPDATES = [10, 20, 30, 40, 50, 60]


def run(folder: Path, config: RunConfig = CONFIG, **options: object) -> bool:
    return train(config, folder, tasks=SANITY_TASKS, show_progress=False, **options)


def loaded_state(folder: Path) -> TrainState:
    trainer = make_trainer(CONFIG)
    given = trainer.given(SANITY_TASKS)
    return load(folder, jax.eval_shape(trainer.start, given), given, CONFIG)[0]


def state_in(folder: Path) -> dict[str, np.ndarray]:
    state = loaded_state(folder)
    state = dataclasses.replace(state, key=jax.random.key_data(state.key))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(state)}


def own_exam(agent: object, tasks: object, row: dict[str, float]) -> dict[str, float]:
    """In place of tasks of one's own that are played at each evaluation: half the number of updates."""
    return {"own_exam": row["update"] / 2}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of an undisturbed run; what was heard of its evaluations is checked here."""
    folder, heard = tmp_path_factory.mktemp("run") / "undisturbed", []

    def hear(*what):
        heard.append(what)
        return own_exam(*what)

    assert run(folder, loggers=["tensorboard"], on_evaluation=hear, columns=["own_exam"])
    rows = [row for row in MetricsWriter.read(folder) if not np.isnan(row["seen_last_trial"])]
    assert [row["own_exam"] for row in rows] == [10, 20, 30]
    assert [row["seen_last_trial"] for *_, row in heard] == pytest.approx([row["seen_last_trial"] for row in rows])
    agent, tasks, _ = heard[-1]
    last = load_agent(folder)
    chex.assert_trees_all_equal((agent.params, agent.return_scale), (last.params, last.return_scale))
    assert len(tasks.num_trials) == CONFIG.num_evaluation_tasks
    return folder


def best_update(folder: Path) -> int:
    """The update after which the agent did best, the first of several."""
    rows = [row for row in MetricsWriter.read(folder) if not np.isnan(row["seen_last_trial"])]
    return int(max(rows, key=lambda row: row["seen_last_trial"])["update"])


def test_a_run_leaves_everything_in_its_folder(finished):
    assert sorted(path.name for path in finished.iterdir()) == [
        f"best-{best_update(finished)}", "checkpoint-60", "config.json", "given.json", "metrics.csv", "metrics.jsonl",
        "tensorboard",
    ]  # fmt: skip
    assert load_config(finished) == CONFIG
    rows = MetricsWriter.read(finished)
    assert [row["update"] for row in rows] == UPDATES
    assert rows[-1]["steps"] == CONFIG.total_steps
    assert all(np.isfinite(row["return_last_trial"]) and row["steps_per_second"] > 0 for row in rows[1:])
    assert np.isnan(rows[0]["return_trial_4"])  # tasks have three trials
    lines = (finished / "metrics.csv").read_text().splitlines()
    assert lines[0] == ",".join(rows[0]) and len(lines) == 1 + len(UPDATES)
    evaluated = [row["update"] for row in rows if not np.isnan(row["seen_last_trial"])]
    assert evaluated == [20, 40, 60]
    assert rows[-1]["seen_last_trial"] == rows[-1]["seen_trial_3"] > 2 / 8  # of a trial's steps
    mean_progress = 4.5 / 59  # of updates 0 to 9 of 60
    np.testing.assert_allclose(rows[0]["learning_rate"], 6e-3 + (3e-4 - 6e-3) * mean_progress, rtol=1e-5)


@pytest.fixture
def handler(number):
    """What the signal does before the run: not nothing, as in jobs that a shell has put into the background."""
    before = signal.signal(number, signal.default_int_handler)
    yield signal.getsignal(number)
    signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_an_interrupted_run_goes_on_bit_for_bit(finished, tmp_path, number, handler):

    def interrupt(row: dict[str, float]) -> None:
        if row["update"] == 30:  # no checkpoint is due here
            signal.raise_signal(number)

    folder, exam = tmp_path / "run", {"on_evaluation": own_exam, "columns": ["own_exam"]}
    assert not run(folder, on_row=interrupt, **exam)
    assert signal.getsignal(number) is handler
    assert [row["update"] for row in MetricsWriter.read(folder)] == UPDATES[:3]
    # As a process that was killed after its last checkpoint would leave it: a later row, and one cut short.
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(dict.fromkeys(MetricsWriter.read(finished)[0], 40.0)) + '\n{"update": 40')
    assert run(folder, resume=True, **exam)

    expected, found = state_in(finished), state_in(folder)
    assert list(expected) == list(found)
    for name, leaf in expected.items():
        np.testing.assert_array_equal(found[name], leaf, err_msg=name)
    for row, expected_row in zip(MetricsWriter.read(folder), MetricsWriter.read(finished), strict=True):
        for name in set(expected_row) - {"seconds", "steps_per_second"}:
            np.testing.assert_equal(row[name], expected_row[name])


def test_parameters_load_without_the_rest(finished):
    loaded = load_agent(finished)
    expected = {name: leaf for name, leaf in state_in(finished).items() if name.startswith(".params")}
    for leaf, other in zip(jax.tree.leaves(loaded.params), expected.values(), strict=True):
        np.testing.assert_array_equal(leaf, other)
    assert loaded.agent.start_memory(3).shape == (3, 1, CONFIG.agent.memory_size)


def test_a_finished_run_that_is_resumed_does_nothing(finished):
    before = state_in(finished)
    assert run(finished, resume=True)
    after = state_in(finished)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_columns_of_ones_own_are_named_once():
    with pytest.raises(ConfigError, match="columns has 'loss', which every run has. Write another name"):
        check_new(["own_exam", "loss"], ["steps", "loss"])
    with pytest.raises(ConfigError, match="on_evaluation gave 'own_exan', which is none of columns"):
        check_known({"own_exam": 1.0, "own_exan": 2.0}, ["own_exam"])


def test_divergence_stops_and_keeps_the_checkpoint(tmp_path):
    def interrupt(row: dict[str, float]) -> None:
        signal.raise_signal(signal.SIGTERM)

    folder = tmp_path / "run"
    assert not run(folder, on_row=interrupt)
    state = loaded_state(folder)
    huge = jax.tree.map(lambda leaf: leaf + np.float32(1e30), state.params)
    parts = fetch(all_parts(dataclasses.replace(state, params=huge), make_trainer(CONFIG).given(SANITY_TASKS)))
    save(folder, "last", 10, parts, describe(make_trainer(CONFIG).agent, CONFIG.env))
    words = r"The checkpoint of update 10 is kept. Try a lower learner.learning_rate"
    with pytest.raises(TrainingDiverged, match=words) as raised:
        run(folder, resume=True)
    assert raised.value.steps > 10 * CONFIG.steps_per_update
    assert all((leaf == 1e30).all() for leaf in jax.tree.leaves(load_agent(folder).params))
    assert [row["update"] for row in MetricsWriter.read(folder)] == [10]


def test_a_run_can_be_made_longer_and_not_shorter(finished):
    """The checkpoint of a finished run is where a longer one goes on."""
    trainer = make_trainer(CONFIG)
    given = trainer.given(SANITY_TASKS)
    like = jax.eval_shape(trainer.start, given)
    longer, shorter = (dataclasses.replace(CONFIG, total_steps=steps) for steps in (10 * CONFIG.total_steps, 1))
    state, _ = load(finished, like, given, longer)
    assert state.update == CONFIG.num_updates < longer.num_updates
    with pytest.raises(ConfigError, match=r"of another configuration \(total_steps: [0-9]+ -> 1\)"):
        load(finished, like, given, shorter)


def test_parameters_of_another_network_are_refused_before_the_folder_is_taken(tmp_path):
    larger = make_agent(dataclasses.replace(CONFIG.agent, head_size=2 * CONFIG.agent.head_size), CONFIG.env)
    params = jax.eval_shape(larger.init, jax.random.key(0))
    with pytest.raises(ConfigError, match="params are not those of the network: its layers have other names"):
        run(tmp_path / "run", params=params)
    assert not (tmp_path / "run").exists()


def test_resume_refuses_another_configuration(finished):
    other = dataclasses.replace(CONFIG, seed=1, learner=dataclasses.replace(CONFIG.learner, clip=0.1))
    with pytest.raises(ConfigError, match=r"of another configuration \(learner.clip: 0.2 -> 0.1; seed: 0 -> 1\)"):
        run(finished, other, resume=True)


def test_resume_refuses_other_evaluation_tasks(finished, tmp_path):
    """Or the best agent on the tasks before would be compared with the next one on others."""
    few, others = (
        TaskSet.from_source(SANITY_TASKS, jax.random.key(seed), CONFIG.num_evaluation_tasks).tasks for seed in (0, 1)
    )
    assert not run(tmp_path / "run", evaluation_tasks=few, on_row=lambda row: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(ConfigError, match=r"evaluation_tasks: [0-9a-f]{16} there, [0-9a-f]{16} here\)\. Give"):
        run(tmp_path / "run", evaluation_tasks=others, resume=True)
    with pytest.raises(ConfigError, match=r"evaluation_tasks: [0-9a-f]{16} there, None here"):
        run(tmp_path / "run", resume=True)
    with pytest.raises(ConfigError, match=r"evaluation_tasks: None there, [0-9a-f]{16} here"):
        run(finished, evaluation_tasks=few, resume=True)


def test_missing_runs_and_checkpoints_are_named(tmp_path):
    with pytest.raises(ConfigError, match="holds no training run: there is no config.json in it"):
        run(tmp_path / "nothing", resume=True)
    assert not (tmp_path / "nothing").exists()
    save_config(tmp_path, CONFIG, {})
    with pytest.raises(ConfigError, match="has no checkpoint"):
        load(tmp_path, None, None, CONFIG)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="config.json cannot be read. This is not JSON"):
        load_config(tmp_path)


def test_truncated_checkpoints_are_named(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    for part, attempt in (("params", lambda: load_agent(folder)), ("rest", lambda: run(folder, resume=True))):
        largest = max((folder / "checkpoint-60" / part).rglob("*"), key=lambda path: path.stat().st_size)
        whole = largest.read_bytes()
        largest.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ConfigError, match=f"checkpoint-60 is damaged: {part}.*{largest.name} is not as it was"):
            attempt()
        largest.write_bytes(whole)
    for part in ("params", "manifest.json"):
        (folder / "checkpoint-60" / part).rename(tmp_path / part)
        with pytest.raises(ConfigError, match="checkpoint-60 is damaged: .*(No such file|is missing)"):
            load_agent(folder)


def test_output_folders_are_checked_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is not empty. Resume the run in it, or choose another folder"):
        run(tmp_path)
    with pytest.raises(ConfigError, match="cannot be written to: Not a directory"):
        run(tmp_path / "file" / "run")
    with pytest.raises(ConfigError, match="cannot be written to"):
        run(Path("/proc/xworld"))  # read-only for everybody


def test_a_full_disk_is_noticed_before_training(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(ConfigError, match="cannot be written to: File too large. .* make room for 4 MB"):
            run(tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
