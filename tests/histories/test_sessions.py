"""Data sets of the histories that people leave."""

import json

import numpy as np
import pytest

from xworld import Env
from xworld.apps.commands.main import main
from xworld.histories import Dataset, history_of, play_actions, write_history
from xworld.tasks import config_for, parse

TEXT = '''
goal = "hold(agent, red ball)"
trial_length = 6
num_trials = 2
map = """
#####
#0b.#
#...#
#####
"""
[legend]
b = "red ball"
'''
COLOURS = ("blue", "green")
CONFIG = config_for(TEXT)
ENV = Env(CONFIG)
LENGTHS = (12, 12, 7)  # of these the last is not over


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A folder with those of two people; the first two histories are of one task."""
    folder, chance = tmp_path_factory.mktemp("study"), np.random.default_rng(0)
    for number, length in enumerate(LENGTHS):
        task = parse(TEXT.replace("red", COLOURS[number // 2]), CONFIG)
        actions = chance.integers(5, size=(length, 1))
        states, timesteps = play_actions(ENV, task, 100 + number, actions)
        history = history_of(ENV, states, timesteps, players=["person"], task_name=f"task {number}")
        path = folder / f"person{number // 2}" / f"{number}.jsonl"
        path.parent.mkdir(exist_ok=True)
        write_history(path, history)
    (folder / "person0" / "journal.jsonl").write_text(json.dumps({"format": "something else"}) + "\n")
    return folder


def test_histories_become_a_data_set(played, tmp_path, capsys):
    assert main(["import", str(played), "--output", str(tmp_path / "data")]) == 0
    assert "3 episodes with 31 steps" in capsys.readouterr().out
    data = Dataset(tmp_path / "data")
    about = data.header.about
    assert about["files"] == ["person0/0.jsonl", "person0/1.jsonl", "person1/2.jsonl"]
    assert about["task_names"] == ["task 0", "task 1", "task 2"] and data.header.players == ("person",)
    assert data.lengths(np.arange(3)).tolist() == list(LENGTHS)
    assert data.task_ids(np.arange(3))[:, 0].tolist() == [0, 0, 1]
    assert data.seeds(np.arange(3)).tolist() == [100, 101, 102]


def test_what_is_not_so_is_told(played, tmp_path, capsys):
    path = played / "person1" / "2.jsonl"
    lines = path.read_text().splitlines()
    changed = json.loads(lines[3]) | {"event": 1}
    (tmp_path / "one.jsonl").write_text("\n".join([*lines[:3], json.dumps(changed)]) + "\n")
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "empty.jsonl").write_text(lines[0] + "\n")
    other = json.loads(lines[0])
    other["config"]["max_objects"] += 1
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "0.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "two" / "1.jsonl").write_text("\n".join([json.dumps(other), *lines[1:]]) + "\n")
    rows = {"one.jsonl": "Step 3 has rewards", "none": "no histories with steps", "two": "is of another environment"}
    for name, words in rows.items():
        assert main(["import", str(tmp_path / name), "--output", str(tmp_path / "data")]) == 2
        complaint = capsys.readouterr().err
        assert words in complaint and complaint.count("\n") == 1, complaint
    assert {path.name for path in tmp_path.iterdir()} == set(rows)  # nothing is left of what was begun
