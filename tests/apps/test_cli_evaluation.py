"""`xworld evaluate --task-set` and `xworld finetune`: what they write, how they go on, and what they refuse."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from evaluation_tasks import CONFIG, make_tasks
from tiny_rooms import SANITY_TASKS, SMALL_AGENT, sanity_config

from xworld import ConfigError
from xworld.agents import load, make_agent
from xworld.agents import save as save_agent
from xworld.apps.commands.evaluate import Evaluate
from xworld.apps.commands.main import main
from xworld.base.configs import to_json
from xworld.base.digest import digest
from xworld.evaluation import SweepConfig
from xworld.evaluation.scores.store import ReturnsStore
from xworld.tasks import TaskCollection, TaskSet, save, tasks_by_name
from xworld.tasks.sets.by_name import Stacked
from xworld.training import finetune, train

ROOM = '''
goal = "hold(agent, black cube)"
rules = ["hold(agent, purple ball) -> black cube"]
hidden = "all"
trial_length = 6
map = """
#####
#0.b#
#...#
#####
"""
[legend]
b = "purple ball"
'''
FEW = ("--repetitions", "3", "--num-trials", "1", "2")
ONE = ("--repetitions", "3", "--num-trials", "2")  # one number of trials, which is compiled once


@pytest.fixture
def room(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "room.toml"
    path.write_text(ROOM)
    return path


def _refused(capsys, *arguments: object) -> str:
    """The one line that a refused command prints."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("xworld: ") and captured.err.count("\n") == 1
    return captured.err


@pytest.mark.slow  # quicker: `test_evaluate_writes_scores_and_plots`
def test_evaluate_on_a_task_file(room, tmp_path, capsys, monkeypatch):
    arguments = ["evaluate", "--agent", "expert", "--task-set", str(room), *FEW]
    assert main(arguments) == 0
    folder = tmp_path / "runs" / "expert-on-room.toml"
    assert "percentile" in capsys.readouterr().out
    names = {path.name for path in folder.iterdir()}
    assert names == {"returns", "scores.json", "report.html", "replay-best.gif", "replay-best.jsonl"}
    first = (folder / "scores.json").read_bytes()
    content = json.loads(first)
    (task,) = content["tasks"]
    returns = np.concatenate([np.ravel(values) for values in task["return_by_trial"]["expert"].values()])
    assert task["name"] == "room" and (returns >= 3).all() and (returns <= 5).all()
    # A step and a pick from a start that faces east: five of six steps pay. The turns come before that.
    assert task["best"] == np.mean([5 - turns for turns in (1, 0, 1, 2)])
    assert len(list((tmp_path / "runs" / "best-returns").iterdir())) == 1

    assert main([*arguments, "--output", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "scores.json").read_bytes() == first
    capsys.readouterr()

    monkeypatch.setattr("xworld.evaluation.scores.sweep.play_batch", _interrupt)
    assert main([*arguments, "--seed", "1", "--output", str(tmp_path / "stopped")]) == 130
    assert "the same command goes on" in capsys.readouterr().out
    assert "holds another evaluation (seed: 0 there, 1 here)" in _refused(capsys, *arguments, "--seed", "1")
    tuned = ("--normalise-by", tmp_path / "again", "--task-set", "probes:memory", "--num-tasks", "1")
    assert "is of other tasks" in _refused(capsys, "evaluate", "--agent", "random", *tuned)


def _interrupt(*_, **__):
    raise KeyboardInterrupt


def test_what_is_of_another_evaluation_is_refused_before_anything_is_planned(room, tmp_path, capsys, monkeypatch):
    for planning in ("xworld.agents.players.plan_policy", "xworld.evaluation.reference.expert_reference"):
        monkeypatch.setattr(planning, _interrupt)

    def refusal(agent, *options):
        return _refused(capsys, "evaluate", "--agent", agent, "--task-set", room, *options)

    collection = tasks_by_name(str(room), 0).collect()
    (tmp_path / "other.json").write_text('{"schema": "xworld.scores/2", "scores": {"agent": {}}, "tasks": []}')
    assert "nowhere cannot be read" in refusal("expert", "--normalise-by", "nowhere")
    assert "other.json is of other tasks" in refusal("expert", "--normalise-by", "other.json")
    task_set = {"name": collection.name, "content_hash": collection.content_hash}
    about = {"player": {"name": "random", "digest": "of another"}, "task_set": task_set}
    env = dataclasses.asdict(collection.env.config)
    ReturnsStore(tmp_path / "kept", SweepConfig().kept_with({**about, "env": env}))
    into = ("--output", "kept")
    assert "kept holds another evaluation (player.name: random there, expert here)" in refusal("expert", *into)
    assert "(player.name: random there, expert here; seed: 0 there, 1 here)" in refusal("expert", *into, "--seed", "1")
    assert "(player.partner" not in refusal("random", *into)
    assert "holds another evaluation (player.digest: of another there" in refusal("random", *into)
    assert not (tmp_path / "runs").exists()


def test_other_ways_to_play_and_to_score_have_folders_of_their_own(room, tmp_path):
    collection, run = tasks_by_name(str(room), 0).collect(), tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{}")
    ways = [{"which": which, "greedy": greedy} for which in (None, "best") for greedy in (False, True)]
    folders = [Evaluate(str(run), task_set=str(room), **way)._folders(collection) for way in ways]
    assert len(set(folders)) == len(ways) and folders[0] == (run / "on-room.toml",) * 2
    assert Evaluate(str(run), which="last", normalise_by="expert")._folders(collection) == folders[0]
    other = Evaluate(str(run), normalise_by="runs/a")._folders(collection)  # the same returns, scored otherwise
    assert other == (run / "on-room.toml", run / "on-room.toml-normalised-by-runs-a")


def test_finetune_goes_on_only_from_the_agent_that_it_began_with(tmp_path, monkeypatch):
    config, begun = sanity_config(), []

    def stopped(config, folder, *, resume, on_start, **options):
        begun.append(resume)
        if not resume:
            folder.mkdir()
            on_start()
        return False

    monkeypatch.setattr("xworld.training.run.finetune.train", stopped)
    agent = make_agent(SMALL_AGENT, config.env)
    for seed in (0, 1):
        save_agent(tmp_path / f"seed{seed}", agent, agent.init(jax.random.key(seed)))
    about, tasks = {"name": "rooms"}, TaskSet.from_source(SANITY_TASKS, jax.random.key(3), 2).tasks
    for _ in range(2):
        assert not finetune(tmp_path / "seed0", config, tasks, about, tmp_path / "tuned")
    assert begun == [False, True]
    with pytest.raises(ConfigError, match=r"began with another agent \(digest \w{16} there, \w{16} here\)"):
        finetune(tmp_path / "seed1", config, tasks, about, tmp_path / "tuned")
    with pytest.raises(ConfigError, match="trains on other tasks"):
        finetune(tmp_path / "seed0", config, tasks, {"name": "halls"}, tmp_path / "tuned")


def test_who_has_fine_tuned_is_told_how_to_play_the_same_tasks(tmp_path, capsys, monkeypatch):
    config, tasks = sanity_config(), TaskSet.from_source(SANITY_TASKS, jax.random.key(3), 2).tasks
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text(to_json(config))
    _serve(monkeypatch, TaskCollection("rooms", None, tasks), config)
    monkeypatch.setattr("xworld.training.finetune", lambda *args, **options: True)
    options = ["--task-set", "rooms", "--num-tasks", "1", "--seed", "3"]
    assert main(["finetune", str(tmp_path / "base"), *options]) == 0
    assert capsys.readouterr().out.endswith(f" {' '.join(options)}\n")


@pytest.mark.slow  # `test_own_network` has `finetune` too
def test_finetune_goes_on_from_a_run_and_its_scores_normalise(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, run = sanity_config(), tmp_path / "runs" / "base"
    source = TaskSet.from_source(SANITY_TASKS, jax.random.key(3), 4)
    assert train(config, run, tasks=source, show_progress=False)  # compiled once for both
    collection = TaskCollection("four rooms", None, source.tasks)
    _serve(monkeypatch, collection, config)
    arguments = ["finetune", str(run), "--task-set", "four"]
    assert main(arguments) == 0
    tuned = tmp_path / "runs" / "base-tuned-on-four-rooms"
    assert f"xworld evaluate --agent {tuned}" in capsys.readouterr().out
    before, after = (load(folder).params for folder in (run, tuned))
    distance = [float(np.abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, (before, after)), strict=True)]
    assert 0 < max(distance) < 1  # it learned, and began where the run ended
    rows = (tuned / "metrics.csv").read_text().splitlines()
    fresh = (run / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("return_trial_1")
    assert float(rows[1].split(",")[column]) > 1.5 * float(fresh[1].split(",")[column])

    assert main(arguments) == 0  # it is finished, and nothing happens
    assert (tuned / "metrics.csv").read_text().splitlines() == rows
    assert "xworld finetune" in _refused(capsys, "train", "--resume", tuned)
    refusal = _refused(capsys, "evaluate", "--agent", tuned)
    assert "was fine-tuned on four rooms: no task is held out. Name tasks to play by --task-set" in refusal
    of_all = dataclasses.replace(config, universe=dataclasses.replace(config.universe, split="all"))
    (run / "config.json").write_text(to_json(of_all))
    assert "was trained on the split 'all' of its universe" in _refused(capsys, "evaluate", "--agent", run)
    (run / "config.json").write_text(to_json(config))
    other = TaskCollection("four rooms", None, source.tasks).first(2)
    _serve(monkeypatch, other, config)
    assert "trains on other tasks" in _refused(capsys, *arguments)

    _serve(monkeypatch, collection, config)
    best = tmp_path / "best.json"
    tasks = [{"last_return_by_half": {"1": [1.0, 1.0], "2": [best_return] * 2}} for best_return in (2, 4, 0, 8)]
    task_set = {"name": "four rooms", "content_hash": collection.content_hash}
    content = {"task_set": task_set, "protocol": {"num_repetitions": 2}, "scores": {"agent": {}}, "tasks": tasks}
    best.write_text(json.dumps({"schema": "xworld.scores/2", **content}))
    assert (
        main(["evaluate", "--agent", str(tuned), "--task-set", "four", *ONE, "--greedy", "--normalise-by", "best.json"])
        == 0
    )
    name = "greedy-on-four-rooms-normalised-by-best.json"
    content = json.loads((tuned / name / "scores.json").read_text())
    assert [task["best"] for task in content["tasks"]] == [2, 4, 1, 8]
    for task in content["tasks"]:
        assert task["score"]["agent"]["2"] == pytest.approx(task["return_by_trial"]["agent"]["2"][1] / task["best"])
    assert content["reference"]["kind"].endswith("trained on the tasks")
    # The best of a run has a place of its own; an agent that is no run's is evaluated outside its folder.
    same = ("--task-set", "four", *ONE, "--greedy", "--normalise-by", "best.json")
    (checkpoint,) = tuned.glob("best-*")
    assert main(["evaluate", "--agent", str(tuned), "--which", "best", *same]) == 0
    assert main(["evaluate", "--agent", f"runs/{tuned.name}/{checkpoint.name}", *same]) == 0
    alone = tmp_path / "runs" / f"runs-{tuned.name}-{checkpoint.name}-{name}"
    one, other = ((folder / "scores.json").read_bytes() for folder in (tuned / f"best-{name}", alone))
    assert one == other
    player = content["players"]["agent"]
    assert player["is_greedy"] and player["config"]["memory_size"] == config.agent.memory_size


@pytest.mark.parametrize("suffix", [".npz", ".toml"])
def test_saved_sets_by_name(tmp_path, suffix, capsys):
    tasks = TaskSet(make_tasks(7))
    path = save(tmp_path / f"mine{suffix}", tasks, CONFIG)
    collection = tasks_by_name(str(path)).collect()
    assert (collection.name, collection.env.config) == (path.name, CONFIG)
    assert collection.content_hash == digest(tasks.tasks)
    assert set(collection.features["num_rules"]) == {1}  # nothing is known but what the arrays say
    assert len(tasks_by_name(str(path)).collect(2).tasks.trial_length) == 2
    path.write_text("format = 'xworld tasks 0'")
    assert "Write one with xworld.tasks.save" in _refused(capsys, "evaluate", "--agent", "random", "--task-set", path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["random"], "--agent random goes with --task-set"),
        (["random", "--task-set", "v9"], "No tasks are called 'v9'. Write an environment, such as"),
        (["random", "--task-set", "rooms4-13x31"], "Did you mean 'rooms4-13x13'?"),
        (["random", "--task-set", "probes"], "are for 3 environments. Write one of: probes:one_player, probes:nav"),
        (["searcher without memory", "--task-set", "probes:memory"], "Did you mean 'searcher-without-memory'?"),
        (["random", "--task-set", "nowhere.npz"], "nowhere.npz cannot be read"),
        (["random", "--task-set", "probes:crafted"], "Did you mean 'crafting'?"),
        (["random", "--task-set", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["rando", "--task-set", "probes:memory"], "Did you mean 'random'?"),
        (["random", "--task-set", "probes:memory", "--num-tasks", "100"], "write 1 to 2"),
        (["random", "--task-set", "probes:memory", "--num-trials", "3", "2"], "rising"),
        (["random", "--task-set", "probes:memory", "--repetitions", "0"], "num_repetitions is 0"),
        (["random", "--task-set", "probes:memory", "--greedy"], "--greedy is for trained agents"),
        (["expert", "--task-set", "probes:memory", "--which", "best"], "--which is for trained agents"),
        (["random", "--task-set", "probes:memory", "--normalise-by", "nowhere"], "cannot be read"),
        (["somewhere", "--repetitions", "3"], "--repetitions goes with --task-set"),
        (["somewhere", "--best-returns", "runs/best"], "--best-returns goes with --task-set"),
        (
            ["random", "--task-set", "probes:memory", "--normalise-by", "runs/a", "--best-returns", "runs/best"],
            "--best-returns is for the expert's returns, and --normalise-by runs/a for another's. Leave one out.",
        ),
        (["somewhere", "--num-trials", "3", "5"], "Several numbers of trials"),
    ],
)
def test_evaluations_that_cannot_be_meant(capsys, arguments, words):
    assert words in _refused(capsys, "evaluate", "--agent", *arguments)


def _serve(monkeypatch, collection, config):
    """Makes every set of tasks the given one."""
    from xworld import Env

    served = TaskCollection(collection.name, Env(config.env), collection.tasks)
    monkeypatch.setattr("xworld.tasks.tasks_by_name", lambda *_: Stacked(served))
