"""Evaluation for two: one player in one seat, another in the other; everybody with everybody."""

import json
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from devices_worker import two_agents

from xworld import ConfigError, Env, EnvConfig
from xworld.agents import PairedPolicy
from xworld.apps.commands.main import main
from xworld.core.step.actions import NOOP, PICK_UP, TURN_LEFT, TURN_RIGHT
from xworld.evaluation import CrossPlay, cross_play, cross_play_table, record, tasks_for_two
from xworld.tasks import TaskSet, parse
from xworld.tasks import save as save_tasks

CONFIG = EnvConfig(
    height=5, width=5, num_agents=2, max_objects=1, max_rules=1, max_doors=1, push=False, relations=("hold",)
)
ENV, KEY, LENGTH = Env(CONFIG), jax.random.key(2), 6
PAIR = """
goal = "hold(agent, red ball)"
trial_length = 6
num_trials = 2
facing = "east"
map = \"\"\"
#####
#0b.#
#...#
#..1#
#####
\"\"\"
[legend]
b = "red ball"
"""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Always:
    """One action, in all seats; it remembers how often it acted."""

    action: jax.Array

    def start(self, key, state, briefing):
        return jnp.int32(0)

    def act(self, memory, key, state, timestep):
        return memory + 1, jnp.full(state.last_action.shape, self.action)


def always(action):
    return Always(jnp.int32(action))


@pytest.fixture(scope="module")
def task():
    return parse(PAIR, CONFIG)


@pytest.fixture(scope="module")
def tasks(task):
    return jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), task)


def test_each_plays_its_seat(task):
    """The player's is as asked for; else it is drawn for each episode; who is alone has the only one."""

    def actions(policy, task, key=KEY):
        states, _ = record(ENV, task, policy, key)
        first, *others = np.asarray(states.last_action)[1:].tolist()
        assert all(other == first for other in others)
        return tuple(first)

    left, right = always(TURN_LEFT), always(TURN_RIGHT)
    assert actions(PairedPolicy(left, right, jnp.int32(0)), task) == (TURN_LEFT, TURN_RIGHT)
    assert actions(PairedPolicy(left, right, jnp.int32(1)), task) == (TURN_RIGHT, TURN_LEFT)
    drawn = {actions(PairedPolicy(left, right), task, key) for key in jax.random.split(KEY, 12)}
    assert drawn == {(TURN_LEFT, TURN_RIGHT), (TURN_RIGHT, TURN_LEFT)}
    alone = parse(PAIR.replace("1", "."), CONFIG)
    for seat in (-1, 1):
        assert actions(PairedPolicy(left, right, jnp.int32(seat)), alone) == (TURN_LEFT, NOOP)


def test_cross_play(tasks):
    """Only agent 0 can reach what is asked for, in its first step: from the first step on it is rewarded."""
    found = cross_play(ENV, tasks, {"picks": always(PICK_UP), "idles": always(NOOP)}, KEY, num_repetitions=2)
    np.testing.assert_allclose(found.returns, LENGTH * np.array([[[1] * 3] * 2, [[0] * 3] * 2]))
    np.testing.assert_allclose(found.matrix, [[LENGTH, LENGTH / 2], [LENGTH / 2, 0]])
    assert found.ratio == 1.0
    table = cross_play_table(found)
    assert [column.header for column in table.columns] == ["with", "picks", "idles"] and table.row_count == 2
    assert list(table.columns[2].cells) == ["3.00", "0.00"] and "1.00" in table.caption
    selfish = CrossPlay(("a", "b"), np.array([[[4.0], [1.0]], [[2.0], [2.0]]]))
    assert selfish.ratio == 0.5
    assert np.isnan(CrossPlay(("a", "b"), np.zeros((2, 2, 1))).ratio)


def test_tasks_for_two_are_chosen():
    env, source = two_agents()
    assert len(tasks_for_two(source.tasks).trial_length) == 1
    players = {"one": always(NOOP), "other": always(NOOP)}
    with pytest.raises(ConfigError, match=r"1 of 2 tasks are not for two agents. Choose those that are, as in tasks"):
        cross_play(Env(env), source.tasks, players, KEY)
    with pytest.raises(ConfigError, match="at least two players, not 1"):
        cross_play(Env(env), tasks_for_two(source.tasks), {"one": always(NOOP)}, KEY)
    alone = jax.tree.map(lambda leaf: leaf[1:], source.tasks)
    with pytest.raises(ConfigError, match="None of the tasks is for two agents"):
        tasks_for_two(alone)


@pytest.mark.slow
def test_a_partner_by_the_protocol(tasks, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_tasks(tmp_path / "pair.npz", TaskSet(tasks), CONFIG)
    start = ["evaluate", "--agent", "noop", "--task-set", "pair.npz", "--num-trials", "2", "--repetitions", "2"]
    assert main([*start, "--partner", "random"]) == 0
    content = json.loads((tmp_path / "runs" / "noop-on-pair.npz-with-random" / "scores.json").read_text())
    assert list(content["scores"]) == ["noop with random"]
    assert "noop with random: score of the last trial" in capsys.readouterr().out
    (about,) = content["players"].values() if isinstance(content["players"], dict) else content["players"]
    assert about["partner"]["name"] == "random"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pretrained", "--partner", "random"], "--partner goes with --task-set"),
        (
            ["noop", "--task-set", "probes:memory", "--partner", "random"],
            "is 1, so that there is no other seat. Choose tasks",
        ),
        (
            ["noop", "--task-set", "probes:memory", "--partner", "noop", "--demonstrator", "expert"],
            "--partner and --demonstrator exclude each other",
        ),
    ],
)
def test_bad_partners_are_one_line(arguments, message, capsys):
    assert main(["evaluate", "--agent", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
