"""Evaluation for two: one player in one seat, another in the other; everybody with everybody."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from devices_worker import two_agents
from pair_tasks import CONFIG, ENV, KEY, LENGTH, PAIR, always

from xworld import ConfigError, Env
from xworld.agents import PairedPolicy
from xworld.apps.commands.main import main
from xworld.apps.examining.crossing import CrossPlaying
from xworld.core.step.actions import NOOP, PICK_UP, TURN_LEFT, TURN_RIGHT
from xworld.evaluation import CrossPlay, cross_play, cross_play_table, evaluate, record, scores, tasks_for_two
from xworld.tasks import TaskCollection, TaskSet, parse
from xworld.tasks import save as save_tasks
from xworld.tasks.sets.by_name import GENERATED_FEATURES


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
    assert list(table.columns[2].cells) == ["3.00", "0.00"] and "1.00 (1.00 to 1.00 over tasks)" in table.caption
    selfish = CrossPlay(("a", "b"), np.array([[[4.0], [1.0]], [[2.0], [2.0]]]))
    assert selfish.ratio == 0.5
    nothing = CrossPlay(("a", "b"), np.zeros((2, 2, 1)))
    assert np.isnan(nothing.ratio) and nothing.describe()["ratio"] == {"value": None, "low": None, "high": None}


def test_scores_of_cross_play_are_shares_of_the_best_and_their_ratio_has_an_interval_over_tasks():
    returns = np.array([[[4.0, 8, 3], [1, 4, 3]], [[3, 4, 3], [4, 8, 3]]])
    found = CrossPlay(("a", "b"), returns).to_scores(np.array([4.0, 8, 0]))
    np.testing.assert_allclose(found.matrix, [[1, 0.5], [0.5, 1]])  # the third task has no score
    described = found.describe()
    assert described["measure"] == "score" and described["num_tasks"] == 2
    assert described["by_seat"] == [[1, 0.375], [0.625, 1]]
    assert described["with_others"] == 0.5 and described["with_themselves"] == 1
    assert described["ratio"] == {"value": 0.5, "low": 0.5, "high": 0.5}  # the same in both tasks
    low, high = CrossPlay(("a", "b"), returns[..., :2]).ratio_interval
    assert low == high == 0.5
    low, high = CrossPlay(("a", "b"), returns).ratio_interval
    assert 0.5 <= low < 11 / 15 < high == 1
    with pytest.raises(ConfigError, match="There are 3 tasks, and 2 best returns"):
        CrossPlay(("a", "b"), returns).to_scores(np.ones(2))
    with pytest.raises(ConfigError, match="No return above 0 is known for any of the 3 tasks"):
        CrossPlay(("a", "b"), returns).to_scores(np.zeros(3))


def test_ratios_are_compared_by_task_and_over_seeds():
    names, generator = ("a", "b"), np.random.default_rng(0)
    hard = generator.uniform(0.5, 1.5, 50)
    alike, apart = np.eye(2)[..., None] * hard, (1 - np.eye(2))[..., None] * hard
    found = CrossPlay(names, alike + 0.8 * apart).ratio_minus(CrossPlay(names, alike + 0.5 * apart))
    assert [found.low, found.mean, found.high] == pytest.approx([0.3] * 3)  # in every task alike
    nothing = CrossPlay(names, np.zeros((2, 2, 50)))
    assert np.isnan(nothing.ratio_minus(nothing).mean)
    with pytest.raises(ConfigError, match="Ratios over 50 and over 3 tasks have no difference"):
        nothing.ratio_minus(CrossPlay(names, np.zeros((2, 2, 3))))


def test_the_interval_of_a_difference_of_ratios_covers():
    """Four seeds of two kinds of agents: those of one earn .8, of the other .6 of what they earn with themselves."""
    generator, num_draws, covered = np.random.default_rng(0), 200, 0
    is_self = np.eye(4)[..., None]
    for _ in range(num_draws):
        hard, kinds = generator.normal(0, 0.3, 60), []
        for ratio in (0.8, 0.6):
            seeds = generator.normal(0, 0.05, 4)
            mean = is_self + (1 - is_self) * ratio + (seeds[:, None] + seeds)[..., None] + hard * (0.5 + is_self / 2)
            kinds.append(CrossPlay(("a", "b", "c", "d"), mean + generator.normal(0, 0.2, (4, 4, 60))))
        found = kinds[0].ratio_minus(kinds[1])
        covered += found.low <= 0.2 <= found.high
    assert covered / num_draws >= 0.92


def test_the_command_writes_the_matrix_goes_on_where_it_stopped_and_refuses_others(
    tasks, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    save_tasks(tmp_path / "pair.npz", TaskSet(tasks), CONFIG)
    arguments = ["cross-play", "noop", "expert", "--task-set", "pair.npz", "--num-trials", "1"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "Score of the last trial" in printed and "Wrote cross-play.json and cross-play.png" in printed
    folder = tmp_path / "runs" / "cross-play-of-noop-and-expert-on-pair.npz"
    content = json.loads((folder / "cross-play.json").read_text())
    assert content["about"]["expert"]["name"] == "expert" and content["num_trials"] == 1
    np.testing.assert_allclose(content["cross_play"]["matrix"], [[0, 0.5], [0.5, 1]], atol=1e-6)
    assert (folder / "cross-play.png").read_bytes()[:4] == b"\x89PNG"

    written = (folder / "cross-play.json").read_bytes()
    (last,) = (folder / "returns").glob("expert-with-expert-*.npy")
    last.unlink()  # as if it had been stopped before the last pair was played
    begun = []

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(scores.cross_play, "evaluate", stop)
    assert main(arguments) == 130
    assert f"Stopped. What was played is kept in runs/{folder.name}" in capsys.readouterr().out
    monkeypatch.setattr(
        scores.cross_play, "evaluate", lambda *given, **named: begun.append(1) or evaluate(*given, **named)
    )
    assert main(arguments) == 0
    assert begun == [1] and last.exists() and (folder / "cross-play.json").read_bytes() == written
    for planning in ("xworld.agents.players.plan_policy", "xworld.evaluation.expert_reference"):
        monkeypatch.setattr(planning, stop)
    capsys.readouterr()
    assert main([*arguments, "--seed", "1"]) == 2
    assert "holds another evaluation (seed: 0 there, 1 here)" in capsys.readouterr().err


def test_other_players_on_the_same_tasks_have_a_folder_of_their_own():
    collection = SimpleNamespace(name="pair.npz")
    for first, second in (("noop", "random"), ("random", "noop"), ("noop", "expert")):
        name = CrossPlaying((first, second))._folder_name(collection)
        assert name == f"cross-play-of-{first}-and-{second}-on-pair.npz"
    many = [CrossPlaying(tuple(f"runs/{start}-{i}" for i in range(40)))._folder_name(collection) for start in "ab"]
    assert all(name.startswith("cross-play-of-40-players-") and len(name) < 100 for name in many)
    best = CrossPlaying(("noop", "runs/a"), which="best")._folder_name(collection)
    assert many[0] != many[1] and best == "cross-play-of-best-noop-and-runs-a-on-pair.npz"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["noop"], "Cross-play needs at least two players, not 1. Add one."),
        (["noop", "random", "noop"], "noop is there twice; each player also plays with itself. Write each once."),
        (["noop", "expert", "--which", "best"], "--which is for trained agents, and none of the players is one. Leave"),
        (["noop", "random"], "noop is no run with tasks of its own. Name a set of tasks: --task-set."),
        (["noop", "random", "--task-set", "probes:memory"], "None of the tasks is for two agents"),
    ],
)
def test_bad_cross_play_is_one_line(arguments, message, capsys):
    assert main(["cross-play", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_tasks_for_two_are_chosen():
    env, source = two_agents()
    assert len(tasks_for_two(source.tasks).trial_length) == 1
    players = {"one": always(NOOP), "other": always(NOOP)}
    with pytest.raises(ConfigError, match=r"1 of 2 tasks are for one agent. Choose those for two, as in tasks"):
        cross_play(Env(env), source.tasks, players, KEY)
    with pytest.raises(ConfigError, match="at least two players, not 1"):
        cross_play(Env(env), tasks_for_two(source.tasks), {"one": always(NOOP)}, KEY)
    alone = jax.tree.map(lambda leaf: leaf[1:], source.tasks)
    with pytest.raises(ConfigError, match="None of the tasks is for two agents"):
        tasks_for_two(alone)


def test_tasks_are_told_apart_by_how_many_agents_they_ask(task):
    config, of_two = two_agents()  # rules about things alone, and the same for one
    assert TaskCollection("made", Env(config), of_two.tasks).features["agents_asked"].tolist() == [1, 0]
    info = SimpleNamespace(num_players=np.array([1, 2, 2]), needs_both=np.array([False, False, True]))
    info.__dict__.update(dict.fromkeys(GENERATED_FEATURES, np.arange(3)))
    assert TaskCollection("generated", ENV, None, info=info).features["agents_asked"].tolist() == [0, 1, 2]
    both = jax.tree.map(lambda leaf: leaf[None], task)  # only the first can, but a goal that is not about one of them
    assert TaskCollection("pair", ENV, both).features["agents_asked"].tolist() == [1]


@pytest.mark.slow
def test_a_partner_by_the_protocol(tasks, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_tasks(tmp_path / "pair.npz", TaskSet(tasks), CONFIG)
    start = ["evaluate", "--agent", "noop", "--task-set", "pair.npz", "--num-trials", "2", "--repetitions", "2"]
    assert main([*start, "--partner", "random"]) == 0
    assert main([*start, "--partner", "expert", "--seat", "1"]) == 0
    named = tmp_path / "runs" / "noop-on-pair.npz-with-expert-in-seat-1"
    seated = json.loads((named / "scores.json").read_text())
    (of_seated,) = seated["scores"].items()
    assert of_seated[0] == "noop with expert, in seat 1"
    assert of_seated[1]["2"]["last"]["mean"]["value"] == 1  # the expert is in the seat that can
    content = json.loads((tmp_path / "runs" / "noop-on-pair.npz-with-random" / "scores.json").read_text())
    assert list(content["scores"]) == ["noop with random"]
    printed = capsys.readouterr().out
    assert "noop with random: score of the last trial" in printed and "What was done in a trial" in printed
    assert [(group["value"], group["num_tasks"]) for group in content["breakdown"]["agents_asked"]] == [(1, 3)]
    assert "for two" in printed
    done = content["cooperation"]
    assert done["num_tasks"] == 3 and done["player"]["waiting"] == 1 and done["partner"]["waiting"] < 0.9
    assert done["partner"]["handled"] > 0 and done["player"]["share_of_work"] == 0
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
        (["noop", "--task-set", "probes:two_player", "--seat", "0"], "--seat goes with --partner. Name who plays"),
        (
            ["noop", "--task-set", "probes:two_player", "--partner", "noop", "--seat", "2"],
            "--seat is 2",
        ),
    ],
)
def test_bad_partners_are_one_line(arguments, message, capsys):
    assert main(["evaluate", "--agent", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
