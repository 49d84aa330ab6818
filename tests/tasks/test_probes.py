"""The probe tasks: their solutions and traps, played in the plain-Python world and replayed in the simulator."""

import dataclasses
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import jax
import numpy as np
import oracle
import probe_scripts_one
import probe_scripts_two
import pytest
from probe_player import Performance, can_get_beside, can_still_pay, cells_of, perform

import xworld
from xworld import ConfigError, Env, EnvConfig, Task
from xworld.apps.commands.main import main
from xworld.core.kinds import PLACEHOLDER
from xworld.core.step.relations import HIDDEN_RULE
from xworld.core.types import RANDOM_FACING
from xworld.tasks import Probe, TaskSet, probe, probes
from xworld.tasks.sets.probes import GROUPS, SHAPES, read_probe

DOCS = Path(__file__).parents[2] / "docs"
SCRIPTS = probe_scripts_one.SCRIPTS | probe_scripts_two.SCRIPTS
ALL_TIME = np.uint16(400)  # steps in which everything can be done
PAYS_AT_FIRST = {"dont_act": 40, "dont_peek": 40, "protect_the_egg": 10}  # by doing nothing
ONE_ALONE = {"information_asymmetry": (0, 44), "information_asymmetry_repeatable": (0, 73)}  # who guesses right


@dataclass(frozen=True)
class Replay:
    """The scripts of all probes of a shape, P in all, in the simulator; after the end of a trial nothing is done."""

    names: list[str]  # [P], of the probes; solution first
    performances: list[Performance]  # [P]
    rules: np.ndarray  # [P, A, R, 7] as agents are told
    first_views: np.ndarray  # [P, A, V, V, 3]
    views: np.ndarray  # [T, P, A, V, V, 3]
    rewards: np.ndarray  # [T, P, A]
    events: np.ndarray  # [T, P]
    idle_returns: np.ndarray  # [4, Q, A] of doing nothing in each of Q probes, facing north, east, south or west
    idle_events: np.ndarray  # [T, 4, Q]

    def index(self, name: str) -> int:
        """That of a probe's solution."""
        return self.names.index(name)


@cache
def replay(shape: str) -> Replay:
    config = SHAPES[shape]
    env, chosen = Env(config), [one for one in probes() if one.config == config]
    names = [one.name for one in chosen for _ in SCRIPTS[one.name]]
    tasks = [_one_trial(probe(name)) for name in names]
    scripts = [play.script for one in chosen for play in SCRIPTS[one.name]]
    performances = [
        perform(probe(name), task, script) for name, task, script in zip(names, tasks, scripts, strict=True)
    ]
    tasks += [_one_trial(one, facing) for facing in range(4) for one in chosen]
    actions = np.full((ALL_TIME, len(tasks), config.num_agents), oracle.NOOP, np.uint8)
    for index, performance in enumerate(performances):
        actions[: len(performance.actions), index] = performance.actions

    @jax.jit
    def run(tasks: Task, actions: jax.Array):
        def step(state, actions):
            state, timestep = jax.vmap(env.step)(state, actions)
            return state, (timestep.observation.view, timestep.reward, timestep.event)

        state, timestep = jax.vmap(env.reset, in_axes=(None, 0))(jax.random.key(0), tasks)
        return jax.vmap(env.briefing)(tasks).rules, timestep.observation.view, jax.lax.scan(step, state, actions)[1]

    rules, first_views, (views, rewards, events) = jax.device_get(run(_stack(tasks), actions))
    num = len(names)
    return Replay(
        names=names,
        performances=performances,
        rules=rules[:num],
        first_views=first_views[:num],
        views=views[:, :num],
        rewards=rewards[:, :num],
        events=events[:, :num],
        idle_returns=rewards[:, num:].sum(axis=0).reshape(4, len(chosen), -1),
        idle_events=events[:, num:].reshape(-1, 4, len(chosen)),
    )


def _one_trial(one: Probe, facing: int = 0) -> Task:
    """The task with one trial, in which agents face one way at first unless the task says otherwise."""
    task = jax.tree.map(np.asarray, one.task())
    is_random = task.agent_facing == RANDOM_FACING
    agent_facing = np.where(is_random, np.uint8(facing), task.agent_facing)
    return dataclasses.replace(task, num_trials=np.uint16(1), agent_facing=agent_facing)


def _stack(tasks: list[Task]) -> Task:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *tasks)


def _is_same(a: Task, b: Task) -> bool:
    return all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))


SLOW = ("two_player",)  # quicker: the others


@pytest.mark.parametrize("shape", [pytest.param(s, marks=pytest.mark.slow) if s in SLOW else s for s in SHAPES])
def test_solutions_pay_and_traps_work(shape):
    config, played = SHAPES[shape], replay(shape)
    for name in dict.fromkeys(played.names):
        plays, start = SCRIPTS[name], played.index(name)
        performances = played.performances[start : start + len(plays)]
        assert len(plays) > 1, name
        for number, (play, performance) in enumerate(zip(plays, performances, strict=True)):
            where = name, play.script
            length = len(performance.actions)
            assert played.rewards[:length, start + number].tolist() == performance.rewards, where
            assert played.events[:length, start + number].tolist() == performance.events, where
            assert not played.rewards[length:, start + number].any(), where
            pays = play.pays if isinstance(play.pays, tuple) else (play.pays,) * config.num_agents
            assert (performance.returns, performance.fires) == (pays, play.fires), where
            if number == 0:
                continue
            assert sum(performance.returns) < sum(performances[0].returns), where
            assert can_still_pay(performance.world) != play.is_dead, where
            if play.is_late:
                task = dataclasses.replace(_one_trial(probe(name)), trial_length=ALL_TIME)
                assert sum(performance.returns) == 0 < sum(perform(probe(name), task, play.script).returns), where


@pytest.mark.parametrize(
    "shape", [pytest.param(shape, marks=pytest.mark.slow) if shape == "two_player" else shape for shape in SHAPES]
)
def test_nothing_happens_by_itself(shape):
    played = replay(shape)
    for index, name in enumerate(dict.fromkeys(played.names)):
        assert (played.idle_returns[:, index] == PAYS_AT_FIRST.get(name, 0)).all(), name
        assert not played.idle_events[..., index].any() or name == "protect_the_egg", name


def test_half_of_a_solution_earns_nothing():
    for one in probes(num_agents=2):
        alone = [perform(one, _one_trial(one), SCRIPTS[one.name][0].script, only_agent=agent) for agent in (0, 1)]
        assert tuple(performance.returns[0] for performance in alone) == ONE_ALONE.get(one.name, (0, 0)), one.name


@pytest.mark.parametrize(
    "one", [one for one in probes("joint_production") if "coordinated" in one.name], ids=lambda one: one.name
)
@pytest.mark.parametrize("idle_agent", [0, 1])
def test_coordinated_production_needs_both_hands(one, idle_agent):
    world = oracle.start(one.config, _one_trial(one), [0, 0])
    assert can_still_pay(world)
    assert not can_still_pay(world, idle_agent)


@pytest.mark.parametrize("name", probe_scripts_two.APART)
def test_walls_keep_agents_from_what_the_other_has(name):
    one, task = probe(name), _one_trial(probe(name))
    for agent, characters in enumerate(probe_scripts_two.APART[name]):
        for cell in (cell for character in characters for cell in cells_of(one, character)):
            assert not can_get_beside(one.config, task, agent, cell), (agent, cell)
            assert can_get_beside(one.config, task, 1 - agent, cell), (agent, cell)


def test_same_signatures_look_alike_until_something_is_done():
    played = replay("one_player")
    same = [name for name in SCRIPTS if name.startswith("same_signature_")]
    assert len(same) == 4
    first = played.index(same[0])
    for index in map(played.index, same[1:]):
        assert np.array_equal(played.first_views[index], played.first_views[first])
        assert np.array_equal(played.rules[index], played.rules[first])
        alike = dataclasses.replace(probe(same[0]).task(), rules=probe(played.names[index]).task().rules)
        assert _is_same(alike, probe(played.names[index]).task()) and not _is_same(alike, probe(same[0]).task())


@pytest.mark.parametrize("name", ["object_permanence_yellow", "object_permanence_black"])
def test_both_balls_are_seen_at_first_and_not_from_where_ways_part(name):
    played, balls = replay("one_player"), {int(kind) for kind in probe(name).task().object_kind if kind}
    index = played.index(name)
    assert len(balls) == 2
    assert balls <= set(played.first_views[index, ..., 1].ravel().tolist())
    to_the_fork = played.performances[index].actions.index([0]) + 2  # having turned round, and two steps forward
    assert balls.isdisjoint(played.views[2:to_the_fork, index, ..., 1].ravel().tolist())


def test_the_teaser_is_seen_from_the_start():
    played = replay("navigation")
    cube = probe("navigation_with_a_teaser").task().goals.second.item()
    assert cube in played.first_views[played.index("navigation_with_a_teaser"), ..., 1]


@pytest.mark.parametrize(
    "shape", ["one_player", pytest.param("two_player", marks=pytest.mark.slow)]
)  # quicker: the other
def test_briefings_hide_what_the_names_say(shape):
    played = replay(shape)
    for name in dict.fromkeys(played.names):
        rules = played.rules[played.index(name)]
        is_hidden, is_rule = rules[..., 0] == HIDDEN_RULE, rules[..., 0] != 0
        if name.endswith("_visible"):
            assert is_rule.any() and not is_hidden.any(), name
            if name != "crafting_tree_visible":  # of which the hidden version has a rule more
                twin = probe(name.removesuffix("_visible"))
                assert _is_same(dataclasses.replace(twin.task(), hidden=probe(name).task().hidden), probe(name).task())
        elif name.endswith("_partly_hidden"):
            assert not is_hidden.any(), name
            for told in rules:
                assert np.unique(told[:, 2:][told[:, 2:] // 16 == PLACEHOLDER]).size == 2, name
        elif name.startswith("information_"):
            assert not is_hidden[0].any() and (is_hidden[1] == is_rule[1]).all(), name
        elif name == "crafting_tree_with_shortcut":
            assert tuple(np.flatnonzero(is_hidden)) == SCRIPTS[name][0].fires
        else:
            assert (is_hidden == is_rule).all(), name


def test_there_are_as_many_as_in_the_paper():
    assert len(probes(num_agents=1)) == 30
    assert len(probes(num_agents=2)) == 28
    assert len(probes()) == len({one.title for one in probes()}) == len({one.text for one in probes()}) == 58
    assert set(SCRIPTS) == {one.name for one in probes()}


def test_groups_have_one_shape():
    assert [one.group for one in probes()] == [group for group in GROUPS for _ in probes(group)]
    for group in GROUPS:
        assert len({one.config for one in probes(group)}) == 1


def test_probes_batch_together():
    assert len(TaskSet.from_tasks([one.task() for one in probes("kitchen")])) == 6
    large = SHAPES["navigation"]
    assert _stack([one.task(large) for one in probes(num_agents=1)]).terrain.shape == (30, large.height, large.width)


def test_tasks_survive_in_text():
    for one in probes():
        assert _is_same(xworld.tasks.parse(xworld.tasks.to_text(one.task()), one.config), one.task()), one.name


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="Did you mean 'spacer_tool'"):
        probe("spacertool")
    with pytest.raises(ConfigError, match="'kitchens' is an unknown group of probe tasks. Did you mean 'kitchen'"):
        probes("kitchens")
    with pytest.raises(ConfigError, match="no such probe tasks for 3 agents"):
        probes(num_agents=3)
    with pytest.raises(ConfigError, match="do not fit"):
        probe("pyramid_in_a_haystack").task(EnvConfig(max_objects=13))


def test_files_must_say_what_they_are_about():
    text = probe("spacer_tool").text
    assert read_probe("spacer_tool", text, EnvConfig()) == probe("spacer_tool")
    for wrong in (text.replace("# tests:", "# test:"), text.partition("\n")[2], "", "\n" + text):
        with pytest.raises(ConfigError, match="Probe mine: the comments at the top"):
            read_probe("mine", wrong, EnvConfig())
    with pytest.raises(ConfigError, match="Probe mine: 'tool' is an unknown group"):
        read_probe("mine", text.replace("# group: tools", "# group: tool"), EnvConfig())


def test_command_lists_and_shows_probes(capsys, tmp_path):
    assert main(["tasks", "probes"]) == 0
    listed = capsys.readouterr().out
    assert all(f"  {one.name}: {one.idea}\n" in listed for one in probes())
    assert main(["tasks", "probes", "--group", "memory"]) == 0
    assert capsys.readouterr().out in listed
    assert main(["tasks", "probes", "--show", "two_doors"]) == 0
    shown = tmp_path / "two_doors.toml"
    shown.write_text(capsys.readouterr().out)
    assert main(["tasks", "check", str(shown)]) == 0
    for wrong in (["--show", "nothing"], ["--group", "nothing"], ["--group", "memory", "--show", "two_doors"]):
        capsys.readouterr()
        assert main(["tasks", "probes", *wrong]) == 2
        assert capsys.readouterr().err.startswith("xworld: ")


def test_the_documented_lists_are_what_the_files_say():
    page, films = ((DOCS / name).read_text() for name in ("probes.md", "two-player-probes.md"))
    draw = run_path(str(DOCS / "tools" / "probes" / "draw.py"))
    assert (draw["with_list"](page), draw["with_films"](films)) == (page, films)
    assert {file.stem for file in (DOCS / "images" / "probes").iterdir()} == set(GROUPS)


def test_scores_in_the_documented_table_are_shares_and_what_nobody_solved_counts_nowhere():
    names = SimpleNamespace(task_names=("one", "two", "three"))
    returns = {"a": np.array([2.0, 1, 7]), "b": np.array([1.0, 4, 7])}
    table = run_path(str(DOCS / "tools" / "probes" / "tabulate.py"))["table"](names, np.array([4.0, 4, 0]), returns)
    assert table.strip().splitlines()[2:] == [
        "| `one` | 4.0 | 0.50 | 0.25 |",
        "| `two` | 4.0 | 0.25 | 1.00 |",
        "| `three` | none found |  |  |",
        "| **mean** | | **0.38** | **0.62** |",
        "| **at half or above** | | 1 | 1 |",
    ]
