"""Studies: who plays what, a study that is killed twice and goes on, what is refused, and the report."""

import contextlib
import csv
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pygame
import pytest
import study_player
from habit_network import Habit
from scipy.special import ndtri
from study_player import LENGTH, NUM_PROBES, go_through, sit, write_study
from window_fixtures import CONFIG, ROOM, Clock, press

from xworld import ConfigError
from xworld.agents import save
from xworld.apps.commands.main import main
from xworld.apps.play import Window
from xworld.apps.play.bindings import KEYS
from xworld.apps.study import check_id, find_study, make_id, make_schedule, next_rotation, parse_study, read_record
from xworld.apps.study.results import Episode, People, _count_resumed
from xworld.apps.study.scores import find_scores
from xworld.apps.study.sitting import FEEDBACK, PLAYING, READING
from xworld.core.step.actions import NOOP
from xworld.core.step.goals import goal_id
from xworld.evaluation import SweepConfig
from xworld.evaluation.scores.statistics import crossed_interval, estimate, interval, share_interval
from xworld.evaluation.scores.summary import STATISTICS
from xworld.histories import replay

pytestmark = pytest.mark.usefixtures("display")


@pytest.fixture(scope="module")
def study_file(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def killed(study_file, tmp_path_factory, display):
    """The folder of a study in which P1 was killed, abandoned, and went on to the end; and what the first kill left."""
    output = tmp_path_factory.mktemp("killed") / "sessions"
    command = [sys.executable, study_player.__file__, study_file, output, "P1", "38"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    stage, steps = done.stdout.split()[-2:]
    assert stage == PLAYING and int(steps) % LENGTH > 0  # in the middle of a trial
    files = {path.name: path.read_bytes() for path in (output / "P1").iterdir()}
    with contextlib.closing(Window((640, 480))) as window:
        clock = Clock()
        abandoned = sit(study_file, output, "P1", clock)
        assert abandoned.stage == READING and len(abandoned.session.turns) - 1 == int(steps)
        window.start(abandoned)
        assert go_through(window, abandoned, clock, 20)
        clock = Clock()
        sitting = sit(study_file, output, "P1", clock)
        window.start(sitting)
        assert not go_through(window, sitting, clock)
        sitting.close()
        abandoned.close()  # long after, so that it changed nothing meanwhile
    return output, files


@pytest.fixture(scope="module")
def sessions(killed, study_file, display):
    """The folder with P1, who was killed twice, and P2, who was not."""
    output, _ = killed
    with contextlib.closing(Window((640, 480))) as window:
        clock = Clock()
        with contextlib.closing(sit(study_file, output, "P2", clock)) as sitting:
            window.start(sitting)
            assert not go_through(window, sitting, clock)
    return output


def test_nothing_is_lost_or_doubled(killed):
    output, before = killed
    record = read_record(output / "P1")
    assert record.status == "finished" and [item.part for item in record.schedule].count("probes") == NUM_PROBES
    for name, content in before.items():
        assert (output / "P1" / name).read_bytes().startswith(content)
    assert len(record.happened("resumed")) == 2 and all(event["gap"] >= 0 for event in record.happened("resumed"))
    assert len(record.happened("consented")) == len(record.happened("instructed")) == 1
    read = [(event["place"], event["trial"]) for event in record.events if event["event"] == "read"]
    resumed = [(event["place"], event["trial"]) for event in record.happened("resumed")]
    trials = [(place, trial) for place, item in enumerate(record.schedule) for trial in range(item.num_trials)]
    assert sorted(read) == sorted(trials + [at for at in resumed if read.count(at) > 1])
    for place, item in enumerate(record.schedule):
        history = record.history(place)
        expected = np.full((item.num_trials, LENGTH), NOOP)
        expected[-1, 3 if item.num_trials == 1 else 0] = 3
        assert history.actions[:, 0].tolist() == expected.reshape(-1).tolist()
        assert (np.diff(history.times.reshape(item.num_trials, LENGTH), axis=1) > 0).all()
        replay(history)
    assert len(list((output / "P1").iterdir())) == 1 + len(record.schedule)


def test_a_study_that_is_not_interrupted(sessions):
    one, two = (read_record(sessions / name) for name in ("P1", "P2"))
    assert not two.happened("resumed") and not two.happened("stopped")
    assert {one.rotation, two.rotation} == {0, 1}
    probes = [{item.number: item.num_trials for item in record.schedule[3:]} for record in (one, two)]
    assert all({probes[0][number], probes[1][number]} == {1, 2} for number in range(NUM_PROBES))
    assert [event["seconds"] for event in two.happened("read")] == [1.0] * len(two.happened("read"))
    assert [(event["place"], event["trial"]) for event in two.happened("feedback")] == [(0, 0), (1, 0), (2, 0), (2, 1)]


def test_time_is_up_and_a_closed_window(study_file, tmp_path, window):
    clock = Clock()
    sitting = sit(study_file, tmp_path / "out", "P1", clock)
    window.start(sitting)
    assert go_through(window, sitting, clock, 3) and sitting.stage == PLAYING
    clock.time += 0.5
    assert sitting.seconds_to_tick() == 0.5 and not sitting.tick()
    clock.time += 0.5
    assert sitting.tick()  # another number of seconds
    press(window, sitting, "period")
    clock.time += 10
    pygame.event.post(pygame.Event(pygame.QUIT))
    assert not window.turn(sitting)
    sitting.close()

    clock = Clock()
    sitting = sit(study_file, tmp_path / "out", "P1", clock)
    window.start(sitting)
    (stop,) = read_record(tmp_path / "out" / "P1").happened("stopped")
    assert (stop["seconds"], stop["step"]) == (11.0, 1)
    clock.time += 1000  # nothing is timed meanwhile
    press(window, sitting, "return")
    assert sitting.seconds_to_tick() == 1.0
    clock.time += 48.9
    press(window, sitting, "down")
    clock.time += 0.2
    press(window, sitting, "right")  # too late
    assert sitting.stage == FEEDBACK
    sitting.close()
    history = read_record(tmp_path / "out" / "P1").history(0)
    assert history.actions[:, 0].tolist() == [3, *[NOOP] * 5] and history.rewards.sum() == LENGTH
    assert history.times.tolist() == [1.0, 59.9, *[60.1] * 4]


@pytest.mark.slow
def test_after_a_trial_it_says_what_the_goal_of_that_trial_was(tmp_path, window):
    goals = ("hold(agent, black cube)", "hold(agent, purple ball)")
    room = ROOM.replace('goal = "hold(agent, black cube)"', f"goal = {list(goals)}")
    clock, said = Clock(), []
    with contextlib.closing(sit(write_study(tmp_path, room), tmp_path / "out", "P1", clock)) as sitting:
        window.start(sitting)
        while len(said) < 4 and go_through(window, sitting, clock, 1):
            if sitting.stage == FEEDBACK and (not said or sitting._feedback() != said[-1][1]):
                turn = sitting.session.turns[-2].state
                said.append((goals[int(goal_id(turn.task, turn.seed, turn.trial))], sitting._feedback()))
    assert len(said) == 4 and all(f"The goal was: {goal}." in text for goal, text in said)
    assert "may have another goal" in said[2][1] and "may have another goal" not in said[3][1]


def test_keys_do_not_run_together_in_the_instructions(study_file, tmp_path, window):
    """Pages of text keep the ends of lines, but no other space between words."""
    clock = Clock()
    with contextlib.closing(sit(study_file, tmp_path / "out", "P1", clock)) as sitting:
        window.start(sitting)
        clock.time += 1
        press(window, sitting, "y")
        lines = sitting._text()[1].splitlines()
    assert {", or Q - put down", "/ or F - open or close a door"} < set(lines)
    assert all(line == " ".join(line.split()) for line in lines)


def test_a_page_that_was_just_shown_is_not_left(study_file, tmp_path, window):
    with contextlib.closing(sit(study_file, tmp_path / "out", "P1", Clock())) as sitting:
        window.start(sitting)
        press(window, sitting, "y")
        assert not read_record(tmp_path / "out" / "P1").happened("consented")
        for size in ((320, 240), (800, 600), (1920, 1080)):
            assert sitting.draw(size).get_size() == size


@pytest.mark.slow
def test_the_report_compares_people_with_agents(sessions, study_file, tmp_path, capsys):
    def report(*arguments):
        common = ["--output", tmp_path / "report", "--best-returns", sessions.parent / "best", "--repetitions", "2"]
        assert main([*map(str, ("study", "report", *arguments, *common))]) == 0
        return json.loads((tmp_path / "report" / "scores.json").read_text()), capsys.readouterr().out

    content, out = report(sessions, "--agents", "searcher")
    summary = content["scores"]
    assert list(summary) == ["people", "random", "noop", "expert", "searcher"]
    for k, score in (("1", 0.5), ("2", 1.0)):
        assert summary["people"][k]["last"]["median"] == {"value": score, "low": score, "high": score}
        assert (summary["people"][k]["num_tasks"], summary["people"][k]["num_rows"]) == (NUM_PROBES, 2)
        assert summary["noop"][k]["last"]["mean"]["value"] == 0 and summary["expert"][k]["last"]["mean"]["value"] == 1
    assert summary["people"]["2"]["score"]["value"] == [0.0, 1.0]
    assert "Left out" not in out and "2 participants count (2 finished; 0 left out)" in " ".join(out.split())
    rows = list(csv.DictReader((tmp_path / "report" / "scores.csv").read_text().splitlines()))
    assert len(rows) == 2 * NUM_PROBES + 4 * 2 * NUM_PROBES
    assert {float(row["reading_seconds"]) for row in rows if row["participant"] == "P2"} == {1.0, 2.0}
    assert sum(int(row["num_resumed"]) for row in rows if row["participant"] == "P1") > 0
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("data:image/png") == 2 and "Everybody counts" in page

    # What is damaged or of another study is told in a line, and the rest counts.
    for name in ("P3", "P4", "P5"):
        (sessions / name).mkdir()
        for path in (sessions / "P1").iterdir():
            (sessions / name / path.name).write_bytes(path.read_bytes().replace(b'"P1"', f'"{name}"'.encode()))
    (sessions / "P3" / "journal.jsonl").unlink()
    other = sessions / "P4" / "journal.jsonl"
    other.write_text(re.sub(r'"study": "\w+"', '"study": "0123"', other.read_text()))
    damaged = next((sessions / "P5").glob("*-probes-*"))
    damaged.write_text(damaged.read_text().replace('"rewards": [0.0]', '"rewards": []', 1))
    again, out = report(sessions, sessions / "P2", "--agents", "searcher", "--study", study_file)
    assert again["scores"] == summary
    told = {line.split(": ")[1].rpartition("/")[2]: line for line in out.splitlines() if line.startswith("Left out")}
    assert list(told) == ["P3", "P4", "P5"]
    assert "cannot be read" in told["P3"] and "another study" in told["P4"] and "line 2, is damaged" in told["P5"]
    (sessions / "P6").mkdir()
    for path in sorted((sessions / "P2").iterdir())[:-2]:  # all but the last history and the journal
        (sessions / "P6" / path.name).write_bytes(path.read_bytes())
    *journal, _ = (sessions / "P2" / "journal.jsonl").read_text().replace('"P2"', '"P6"').splitlines(keepends=True)
    (sessions / "P6" / "journal.jsonl").write_text("".join(journal))
    save(tmp_path / "mine", Habit(), Habit().init(jax.random.key(0)), env_config=CONFIG)
    own = "--agents", tmp_path / "mine", "--network", "habit_network:make"
    content, out = report(sessions, "--exclude", "P1", "--unfinished", *own)
    assert list(content["scores"])[-1] == str(tmp_path / "mine")
    assert content["study"]["participants"] == ["P2", "P6"] and "excluded by --exclude" in out
    assert len(content["study"]["episodes"]) == 2 * NUM_PROBES - 1 and content["study"]["statuses"]["unfinished"] == 1


def test_an_unknown_agent_is_refused_before_the_report_plays_anything(study_file, tmp_path, monkeypatch):
    for work in ("expert_reference", "run_sweep"):
        monkeypatch.setattr(f"xworld.apps.study.scores.{work}", lambda *_, **__: pytest.fail("nothing is played"))
    monkeypatch.setattr("xworld.agents.players.plan_policy", lambda *_, **__: pytest.fail("nothing is planned"))
    probe = find_study(str(study_file)).probes[0]
    episode = Episode("P1", None, 0, probe.name, (1.0,), 1.0, 1.0, 0, 0)
    people = People("Rooms", "0", ("P1",), {}, (), (episode,), {0: (probe.env, probe.task)})
    with pytest.raises(ConfigError, match="nobody has no scores on 1 of 1 tasks: There is no folder 'nobody'"):
        find_scores(people, ["nobody"], SweepConfig((1,), 1), tmp_path, tmp_path)


def test_a_task_is_gone_on_with_once_a_trial_of_it_has_begun():
    """Stops: while the first text is read, before any step, between trials; and twice before the next task begins."""
    events = [("resumed", 0), ("read", 0), ("stopped", 0), ("resumed", 0), ("read", 0), ("resumed", 0), ("read", 0)]
    events += [("resumed", 1), ("resumed", 1), ("read", 1)]
    named = [{"event": event, "place": place} for event, place in events]
    record = SimpleNamespace(events=({"event": "consented"}, *named))
    assert [_count_resumed(record, place) for place in range(3)] == [2, 0, 0]


def test_the_command_runs_a_study(study_file, tmp_path, monkeypatch, capsys):
    turn, keys = Window.turn, []

    def press_and_turn(window, content):
        event = pygame.Event(pygame.KEYDOWN, key=KEYS[keys.pop(0)]) if keys else pygame.Event(pygame.QUIT)
        pygame.event.post(event)
        return turn(window, content)

    monkeypatch.setattr(Window, "turn", press_and_turn)
    monkeypatch.setattr("xworld.apps.study.sitting.MIN_SHOWN_S", 0.0)
    own = ["--best-returns", str(tmp_path / "best")]
    run = ["study", "run", str(study_file), "--output", str(tmp_path), *own]
    assert main(run) == 0
    out = capsys.readouterr().out
    assert re.search(r"Participant (p-\d{8})\.(.|\n)*Go on with: .* --participant \1 ", out) and " ".join(own) in out
    keys += ["n", "return"]
    assert main([*run, "--participant", "P1"]) == 0
    assert "P1 has declined" in capsys.readouterr().out
    record = read_record(tmp_path / "P1")
    assert [event["event"] for event in record.events] == ["declined"] and len(list(record.folder.iterdir())) == 1
    assert main([*run, "--participant", "P1"]) == 2
    assert "has declined already" in capsys.readouterr().err
    assert main(["study", "report", str(tmp_path), "--output", str(tmp_path / "report")]) == 2
    error = capsys.readouterr().err
    assert "Nobody who counts" in error and "declined" in error and "not finished" in error


def test_what_changed_is_refused(sessions, study_file, tmp_path):
    for path in study_file.parent.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    changed = tmp_path / study_file.name
    changed.write_text(changed.read_text().replace("seconds_per_step = 10", "seconds_per_step = 9"))
    with pytest.raises(ConfigError, match=r"the study's file was changed since P1 began"):
        sit(changed, sessions, "P1", Clock())
    with pytest.raises(ConfigError, match="P1 has finished already"):
        sit(study_file, sessions, "P1", Clock())
    (tmp_path / "out" / "P9").mkdir(parents=True)
    (tmp_path / "out" / "P9" / "01-practice-a.jsonl").touch()
    with pytest.raises(ConfigError, match=r"histories but no journal.jsonl"):
        sit(study_file, tmp_path / "out", "P9", Clock())


def test_schedules_are_balanced_and_everybodys_own(study_file):
    study = find_study(str(study_file))
    assert study.digest == find_study(str(study_file)).digest
    schedules = [make_schedule(study, f"P{number}", number % 2) for number in range(20)]
    assert schedules[3] == make_schedule(study, "P3", 1)
    orders = {tuple(item.number for item in schedule[3:]) for schedule in schedules}
    assert len(orders) > 15 and all(sorted(order) == list(range(NUM_PROBES)) for order in orders)
    assert len({item.seed for schedule in schedules for item in schedule}) == 20 * 8
    for number in range(NUM_PROBES):
        of_probe = [item.num_trials for schedule in schedules for item in schedule[3:] if item.number == number]
        assert of_probe.count(1) == of_probe.count(2) == 10
    assert all(abs(sum(item.num_trials for item in schedule[3:]) - 7.5) < 1 for schedule in schedules)
    assert next_rotation(study, []) == 0 and next_rotation(study, [0, 1, 0]) == 1


def test_intervals_over_participants_and_tasks():
    values = np.random.default_rng(0).normal(size=(1, 30))
    mean = STATISTICS["mean"]
    assert crossed_interval(values, mean) == pytest.approx(interval(values[0], mean), abs=0.1)
    people = np.repeat(np.arange(10.0)[:, None], 30, axis=1)  # all that differs is who plays
    found = estimate(people)
    assert crossed_interval(people, mean) == pytest.approx((float(found.low), float(found.high)))
    people[::2, ::2] = people[1::2, 1::2] = np.nan
    low, high = crossed_interval(people, mean)
    assert 1.9 < low < 4 < 5 < high < 7.1


@pytest.mark.parametrize("statistic", [STATISTICS["median"], STATISTICS["mean"]], ids=["median", "mean"])
@pytest.mark.parametrize("num_people", [3, 10])
def test_intervals_of_few_people_cover(num_people, statistic):
    generator, hits, num_cases = np.random.default_rng(0), 0, 300
    for _ in range(num_cases):
        values = scores_of_people(generator, num_people)
        low, high = crossed_interval(values, statistic, num_resamples=200)
        hits += low <= 0 <= high
    assert hits >= 0.93 * num_cases


@pytest.mark.parametrize("share", [0.02, 0.2])
@pytest.mark.parametrize("num_people", [3, 10])
def test_intervals_of_shares_of_few_people_cover(num_people, share):
    generator, hits, num_cases = np.random.default_rng(0), 0, 200
    spread = (0.2**2 + 0.35**2 + 0.3**2) ** 0.5
    for _ in range(num_cases):
        values = scores_of_people(generator, num_people)
        is_above = np.where(np.isnan(values), np.nan, values > spread * ndtri(1 - share))
        low, high = share_interval(is_above, num_resamples=100)
        hits += low <= share <= high
    assert hits >= 0.93 * num_cases


def scores_of_people(generator, num_people):
    """[num_people, 30] scores with the mean 0; half of them have not played a third of the tasks."""
    values = 0.2 * generator.normal(size=(num_people, 1)) + 0.35 * generator.normal(size=30)
    values += 0.3 * generator.normal(size=values.shape)
    values[::2, ::3] = np.nan
    return values


@pytest.mark.parametrize("name", ["anna@example.org", "Anna Schmidt", "AnnaSchmidt7", "anna", "p 7", "../p7", ""])
def test_ids_that_say_who_it_is(name):
    with pytest.raises(ConfigError, match="--participant: .* such as P07"):
        check_id(name)
    assert check_id("lab_2-P07") and all(check_id(make_id()) for _ in range(1000))


GOOD = 'title = "t"\nconsent = "c"\ninstructions = "i"\nnum_trials = [1]\nseconds_per_trial = 9\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title =", "not TOML"),
        ("titel = 't'", "no field 'titel'. Did you mean 'title'"),
        (GOOD.replace('"t"', "3"), "title is 3; write a text"),
        (GOOD.replace('"c"', '"c"\nconsent_file = "d"'), "Write either consent, a text, or consent_file"),
        (GOOD.replace('consent = "c"', 'consent_file = "none.txt"'), "none.txt cannot be read"),
        (GOOD + "seconds_per_step = 1", "either seconds_per_step or seconds_per_trial"),
        (GOOD.replace("= 9", "= 0"), "seconds_per_trial is 0; write"),
        (GOOD.replace("[1]", "[]"), "num_trials is \\[\\]"),
        (GOOD.replace("[1]", "[0]"), "num_trials is 0; write a whole number from 1"),
        (GOOD + "view = 'all'", "view is 'all'"),
        (GOOD + "seed = -1", "seed is -1"),
        (GOOD, "write one or more tables \\[\\[probes\\]\\]"),
        (GOOD + "[[probes]]\nsauce = 'two_doors'", "\\[\\[probes\\]\\] number 1: There is no field 'sauce'"),
        (
            GOOD + "[[probes]]\nsource = 'two_dors'",
            "No tasks are called 'two_dors'. Did you mean 'two_doors'",
        ),
        (GOOD + "[[probes]]\nsource = 'probes:memory'\nnumber = 3", "number is 3, but probes:memory has 2"),
        (GOOD + "[[probes]]\nsource = 'two_machines'", "two_machines is for 2 agents"),
        (GOOD + "[[probes]]\nsource = 'two_doors'\nnum_trials = 2", "no field 'num_trials'"),
    ],
)
def test_mistakes_in_a_study_are_told(tmp_path, text, words):
    with pytest.raises(ConfigError, match=words):
        parse_study(text, tmp_path)


def test_a_study_comes_from_its_folder_or_by_name(tmp_path, capsys):
    (tmp_path / "room.toml").write_text(ROOM)
    study = parse_study(GOOD + "[[probes]]\nsource = 'room.toml'", tmp_path)
    assert [one.name for one in study.probes] == ["room"] and study.practice == ()
    assert main(["study", "show"]) == 0
    assert capsys.readouterr().out.split() == ["ada", "duo", "small", "two"]
    assert main(["study", "show", "small"]) == 0
    shown = capsys.readouterr().out
    assert parse_study(shown, Path()).digest == find_study("small").digest
    assert (len(find_study("small").practice), len(find_study("small").probes)) == (3, 5)
    assert main(["study", "run", "smal"]) == 2
    assert "Did you mean 'small'" in capsys.readouterr().err
