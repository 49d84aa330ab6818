"""Studies for two: a person with another, and a person with a player, who take turns in the seats; and their report."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from window_fixtures import Clock, press

from xworld import ConfigError
from xworld.agents.players import EXPERT, NOOP, RANDOM, player_by_name
from xworld.apps.commands.main import main
from xworld.apps.play import Bindings, Window, drawing
from xworld.apps.play.drawing import Look
from xworld.apps.study import Sitting, find_study, make_schedule, open_record, parse_study, read_record
from xworld.apps.study.sitting import CONSENT, END, FEEDBACK, PLAYING, READING
from xworld.evaluation.scores.summary import _between_people
from xworld.histories import replay
from xworld.rendering.scene import draw_grid
from xworld.rendering.snapshot import take_snapshot
from xworld.tasks import TaskSet, tasks_by_name

pytestmark = pytest.mark.usefixtures("display")

LENGTH = 6
# The second agent, who can do nothing for itself, is paid while the first holds the ball.
ROOM = """
goals = ["hold(agent0, red ball)", "hold(agent0, red ball)"]
trial_length = 6
num_trials = 2
facing = "north"
map = '''
#####
#.b.#
#.01#
#####
'''
[legend]
b = "red ball"
"""
STUDY = """
title = "Rooms for two"
seconds_per_step = 10
num_trials = [1, 2]
consent = "Your keys are recorded."
instructions = "Reach the goal."
partners = ["person", "random"]
practice = [{ source = "room.toml", num_trials = 1 }]
probes = [{ source = "room.toml" }, { source = "other.toml" }]
"""


@pytest.fixture(scope="module")
def study_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    for name in ("room", "other"):
        (folder / f"{name}.toml").write_text(ROOM)
    (folder / "two.toml").write_text(STUDY)
    return folder / "two.toml"


@contextlib.contextmanager
def sitting_of(study_file, output, participant, partner=None, clock=None):
    study = find_study(str(study_file))
    record = open_record(study, participant, output, partner)
    with contextlib.closing(Sitting(study, record, Bindings(), output.parent / "best", clock or Clock())) as sitting:
        yield sitting


def keys_of_a_step(sitting):
    """The ball is taken at once by who plays agent 0; a person who plays agent 1 waits."""
    is_first = (len(sitting.session.turns) - 1) % LENGTH == 0
    keys = {0: ("period", "e") if is_first else ("down", "s"), 1: ("down", "s")}
    return [keys[agent][person] for person, agent in enumerate(sitting.people)]


def go_through(window, sitting, clock, num_trials=100):
    """Plays so many trials, or to the end; the stages that were shown."""
    stages = []
    while sitting.stage != END and num_trials:
        clock.time += 1.0
        stages.append(sitting.stage)
        if sitting.stage == PLAYING:
            press(window, sitting, *keys_of_a_step(sitting))
            num_trials -= sitting.stage != PLAYING
        else:
            press(window, sitting, "y" if sitting.stage == CONSENT else "return")
    return stages


def test_two_people_see_what_either_sees(window, begin):
    """The probe's agents stand on both sides of a wall of counters, and look away from each other."""
    source = tasks_by_name("two_machines", 0)
    drawn = {}
    for people in ((0, 1), (0,), (1,)):
        partner = None if len(people) == 2 else "noop"
        controller = begin(source, play_as=people, partner=partner, look=Look(view="seen"))
        shown = [take_snapshot(controller.session.env, controller.session.turn.state, agent) for agent in people]
        drawn[people] = seen_cells(controller.session, controller.look)
        assert (drawn[people] == np.any([one.is_visible for one in shown], axis=0)).all()
    assert (drawn[0, 1] == drawn[0,] | drawn[1,]).all() and (drawn[0,] != drawn[1,]).any()


def seen_cells(session, look):
    """What the window draws bright."""
    found = []

    def keep(snapshot, *rest, **options):
        found.append(snapshot.is_visible)
        return draw_grid(snapshot, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "draw_grid", keep)
        drawing.draw_window((640, 480), session, look, drawing.Words("", "", ""), Bindings())
    return found[0]


@pytest.fixture(scope="module")
def sessions(study_file, tmp_path_factory, display):
    output = tmp_path_factory.mktemp("two") / "sessions"
    with contextlib.closing(Window((640, 480))) as window:
        for participant, partner in (("P1", "person"), ("P2", "random"), ("P3", "person"), ("P4", "random")):
            clock = Clock()
            with sitting_of(study_file, output, participant, partner, clock) as sitting:
                window.start(sitting)
                go_through(window, sitting, clock)
    return output


def test_a_step_waits_for_both_people(study_file, tmp_path, window):
    clock = Clock()
    with sitting_of(study_file, tmp_path / "out", "P1", "person", clock) as sitting:
        window.start(sitting)
        shown = []
        while sitting.stage != PLAYING:
            clock.time += 1.0
            shown.append((sitting.stage, sitting._page))
            press(window, sitting, "y" if sitting.stage == CONSENT else "return")
        assert shown[-2:] == [(READING, 0), (READING, 1)]  # a page for each of them
        press(window, sitting, "up", "up")
        assert len(sitting.session.turns) == 1 and set(sitting.session.choices) == {sitting.people[0]}
        press(window, sitting, "w")
        assert len(sitting.session.turns) == 2 and not sitting.session.choices
        clock.time += 10 * LENGTH  # the time is up
        assert sitting.tick() and sitting.stage == FEEDBACK
        assert "First person: It held on 0 of 6 steps." in sitting._feedback()


def test_seats_take_turns(sessions, study_file):
    for name, partner in (("P1", "person"), ("P2", "random")):
        record = read_record(sessions / name)
        assert (record.partner, record.status) == (partner, "finished")
        seats = [item.seat for item in record.schedule]
        assert seats in ([0, 1, 0], [1, 0, 1])
        for place, seat in enumerate(seats):
            history = record.history(place)
            people = ("person", "person") if partner == "person" else ("person", "random")[:: 1 if seat == 0 else -1]
            assert history.header.players == people
            replay(history)
            if partner == "random" and seat == 1:
                assert (history.actions[:, 1] == history.actions[0, 1]).all()  # the person waits
                assert len(np.unique(history.actions[:, 0])) > 2
            else:
                assert (history.rewards == 1).all()
    starts = {make_schedule(find_study(str(study_file)), f"P{number}", 0)[0].seat for number in range(20)}
    assert starts == {0, 1}


def test_who_stops_goes_on_with_the_same_partner(study_file, sessions, tmp_path, window):
    output, clock = tmp_path / "out", Clock()
    with sitting_of(study_file, output, "P2", "random", clock) as sitting:
        window.start(sitting)
        go_through(window, sitting, clock, 1)
        while sitting.stage != PLAYING:
            clock.time += 1.0
            press(window, sitting, "return")
        press(window, sitting, *keys_of_a_step(sitting))
        press(window, sitting, *keys_of_a_step(sitting))
    with pytest.raises(ConfigError, match="--partner is person, and P2 has begun with random"):
        open_record(find_study(str(study_file)), "P2", output, "person")
    journal = output / "P2" / "journal.jsonl"
    as_it_was = journal.read_text()
    journal.write_text(as_it_was.replace('"name": "random"', '"name": "noop"'))
    with pytest.raises(ConfigError, match="random is another player than when P2 began this task"):
        sitting_of(study_file, output, "P2").__enter__()
    journal.write_text(as_it_was)
    with sitting_of(study_file, output, "P2", clock=clock) as sitting:
        window.start(sitting)
        assert len(sitting.session.turns) == 3
        go_through(window, sitting, clock)
    for path in sorted((sessions / "P2").glob("*-*.jsonl")):  # as if nobody had stopped
        assert actions(path) == actions(output / "P2" / path.name)


def actions(path):
    return [json.loads(line)["actions"] for line in path.read_text().splitlines()[1:]]


def test_the_report_compares_partners(sessions, tmp_path, capsys):
    command = ["study", "report", str(sessions), "--output", str(tmp_path / "report"), "--repetitions", "2"]
    assert main([*command, "--best-returns", str(tmp_path / "best")]) == 0
    content = json.loads((tmp_path / "report" / "scores.json").read_text())
    names = ("people with people", "people with random", RANDOM, NOOP, EXPERT)
    assert tuple(content["scores"]) == names
    scores = {name: of_player["1"]["last"]["mean"]["value"] for name, of_player in content["scores"].items()}
    assert scores["people with people"] == scores[EXPERT] == 1 > scores["people with random"] >= scores[NOOP] == 0
    found = content["scores"]["people with random"]["1"]["difference"]
    assert found["to"] == "people with people" and found["low"] < found["value"] < 0
    page = (tmp_path / "report" / "report.html").read_text()
    assert "With 1 trials people with random score -" in page and "beside people with people" in page


def test_intervals_between_people_cover():
    generator, hits, num_cases = np.random.default_rng(0), 0, 100
    for _ in range(num_cases):
        of_tasks = 0.35 * generator.normal(size=(1, 30, 1))
        groups = []
        for num_people in (4, 7):
            values = of_tasks + 0.3 * generator.normal(size=(num_people, 1, 1))
            values = values + 0.3 * generator.normal(size=(num_people, 30, 1))
            values[::2, ::3] = np.nan
            groups.append(values)
        found = _between_people(*groups)
        hits += found.low[0] <= 0 <= found.high[0]
        back = _between_people(*groups[::-1])
        assert found.mean == pytest.approx(-back.mean) and found.low == pytest.approx(-back.high)
    assert hits >= 0.9 * num_cases


GOOD = 'title = "t"\nconsent = "c"\ninstructions = "i"\nnum_trials = [1]\nseconds_per_trial = 9\n'
FOR_TWO = "[[probes]]\nsource = 'two_machines'"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            GOOD + "partners = 'person'\n" + FOR_TWO,
            r"partners is 'person'; write .* as \[\"person\", \"pretrained-duo\"\]",
        ),
        (GOOD + "partners = []\n" + FOR_TWO, r"partners is \[\]"),
        (GOOD + "partners = ['noop', 'noop']\n" + FOR_TWO, "with one twice"),
        (GOOD + "partners = ['nop']\n" + FOR_TWO, "there is no player and no folder 'nop'"),
        (GOOD + "partners = ['searcher']\n" + FOR_TWO, "a searcher moves the first agent only"),
        (GOOD + "partners = ['person']\n[[probes]]\nsource = 'two_doors'", "is for 1 agents, the study for 2"),
        (GOOD + FOR_TWO, r"for 2 agents, the study for 1. .* as partners = \[\"person\"\]"),
    ],
)
def test_mistakes_about_partners_are_told(tmp_path, text, words):
    with pytest.raises(ConfigError, match=words):
        parse_study(text, tmp_path)


def test_a_partner_is_one_of_the_study(study_file, tmp_path):
    study = find_study(str(study_file))
    with pytest.raises(ConfigError, match="--partner is None; write one of those of the study: person, random"):
        open_record(study, "P1", tmp_path)
    with pytest.raises(ConfigError, match="--partner is noop; write one"):
        open_record(study, "P1", tmp_path, "noop")
    with pytest.raises(ConfigError, match="the study has tasks for one. Leave it out"):
        open_record(find_study("small"), "P1", tmp_path, "person")
    assert list(Path(tmp_path).iterdir()) == []


@pytest.mark.parametrize(
    ("partner", "words"),
    [
        ("no_module:player", "partners: no_module:player: no_module:player cannot be had"),
        ("pretrained", "partners: pretrained: The agent was trained in another environment"),
        ("q-learner", "partners: q-learner: "),
    ],
)
def test_partners_are_checked_before_a_participant_is_asked_for_consent(study_file, tmp_path, capsys, partner, words):
    path = study_file.with_name("other-partners.toml")
    path.write_text(STUDY.replace('"random"', f'"{partner}"'))
    run = ["study", "run", str(path), "--participant", "P1", "--partner", partner, "--output", str(tmp_path)]
    assert main(run) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and list(tmp_path.iterdir()) == []


def test_partners_that_a_participant_does_not_meet_are_not_checked(study_file, tmp_path):
    text, bad = STUDY.replace('"person", "random"', '"noop", "no_module:player"'), "partners: no_module:player: "
    path = study_file.with_name("one-is-gone.toml")
    path.write_text(text)
    study = find_study(str(path))
    assert open_record(study, "P1", tmp_path, "noop").partner == "noop"
    assert open_record(study, "P1", tmp_path).partner == "noop"  # goes on
    with pytest.raises(ConfigError, match=bad):
        open_record(study, "P2", tmp_path, "no_module:player")
    journal = tmp_path / "P1" / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"partner": "noop"', '"partner": "no_module:player"'))
    with pytest.raises(ConfigError, match=bad):  # as if the module was removed since P1 began
        open_record(study, "P1", tmp_path)


@pytest.mark.slow
def test_the_study_duo_has_tasks_for_two_and_an_agent_that_plays_them():
    study = find_study("duo")
    tasks = [*study.practice, *study.probes]
    assert len(study.probes) == 20 and all(np.asarray(one.task.is_present).all() for one in tasks)
    assert all(not name.startswith("duo:train") for name in (one.name for one in study.probes))  # as it was trained on
    player = player_by_name("pretrained-duo", tasks[0].env, TaskSet.from_tasks([one.task for one in tasks]).tasks)
    assert set(study.partners) == {"person", "pretrained-duo", "noop"} and player.name == "agent"


@pytest.mark.slow
def test_a_person_plays_beside_the_agent_of_the_study_duo(tmp_path, window):
    record = open_record(find_study("duo"), "P1", tmp_path / "sessions", "pretrained-duo")
    clock = Clock()
    with contextlib.closing(Sitting(find_study("duo"), record, Bindings(), tmp_path / "best", clock)) as sitting:
        while sitting.stage != FEEDBACK:
            clock.time += 0.1
            press(window, sitting, {CONSENT: "y", PLAYING: "down"}.get(sitting.stage, "return"))
        agent = 1 - sitting.people[0]
        places = {tuple(np.asarray(turn.state.agent_position)[agent]) for turn in sitting.session.turns}
        assert len(places) > 1  # it walks about while the person waits
