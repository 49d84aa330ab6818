"""The window of `xworld play`, driven by key events through its own loop."""

import dataclasses
import importlib.util
import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import probe_scripts_one
import probe_scripts_two
import pygame
import pytest
from probe_player import perform
from tiny_rooms import SMALL_AGENT
from window_fixtures import CONFIG, PICK_AND_WAIT, Clock, pixels, press

from xworld import ConfigError, Env
from xworld.agents import make_agent, save
from xworld.apps.commands.main import main
from xworld.apps.play import Bindings, Window, find_source, read_bindings
from xworld.apps.play.bindings import ACTIONS, KEYS
from xworld.apps.play.drawing import draw_meanwhile
from xworld.apps.play.window import names_of
from xworld.core.step.actions import NOOP
from xworld.histories import history_of, play_actions, read_history, replay, write_history
from xworld.tasks import TaskCollection, TaskSet, probe
from xworld.tasks.sets.by_name import Stacked

pytestmark = pytest.mark.usefixtures("display")


def keys_for(actions, num_people):
    """The keys for [T][A] actions."""
    tables = (Bindings().first, Bindings().second)[:num_people]
    return [table[ACTIONS[action]] for acts in actions for table, action in zip(tables, acts, strict=True)]


def one_trial(name):
    """A probe with one trial, in which all agents face north unless it says otherwise."""
    one = probe(name)
    task = one.task()
    facing = jnp.where(task.agent_facing == 4, 0, task.agent_facing).astype(jnp.uint8)
    return one, dataclasses.replace(task, agent_facing=facing, num_trials=jnp.uint16(1))


def alone(env, task, name):
    """One task, as `find_source` gives tasks."""
    return Stacked(TaskCollection(name, env, TaskSet.from_tasks([task]).tasks, (name,)))


def expected_file(path, env, task, actions, players, name):
    """The history of actions that are played with `Env.step`, by people for whom no time passes."""
    history = history_of(env, *play_actions(env, task, 0, np.array(actions, np.uint8)), players, name)
    steps = tuple(dataclasses.replace(step, time=0.0) for step in history.steps)
    return write_history(path, dataclasses.replace(history, steps=steps)).read_bytes()


@pytest.mark.parametrize("name", ["two_doors", "wrong_pair_disappears", "irreversible_production"])
def test_a_person_solves_a_probe(window, begin, tmp_path, name):
    one, task = one_trial(name)
    play = probe_scripts_one.SCRIPTS[name][0]
    actions = perform(one, task, play.script).actions
    env, keys = Env(one.config), keys_for(actions, 1)
    controller = begin(alone(env, task, name))

    half = len(keys) // 2
    press(window, controller, *keys[:half])
    press(window, controller, "p")
    paused = pixels(window)
    press(window, controller, *keys[half : half + 3])  # nothing happens meanwhile
    assert (pixels(window) == paused).all()
    press(window, controller, "p")
    pygame.event.post(pygame.Event(pygame.VIDEORESIZE, w=1000, h=700, size=(1000, 700)))
    window.turn(controller)
    assert window.size == (1000, 700)
    assert press(window, controller, *keys[half:])
    assert controller.session.is_over and controller.session.turn.returns[-1][0] == play.pays
    assert not press(window, controller, "up", "escape")
    controller.close()

    (path,) = (tmp_path / "played").iterdir()
    assert path.name == f"{name}-001.jsonl"
    assert path.read_bytes() == expected_file(tmp_path / "e.jsonl", env, task, actions, ["person"], name)
    fired = read_history(path).events
    assert tuple(dict.fromkeys(fired[fired > 0] - 1)) == play.fires


def test_two_people_on_one_keyboard(window, begin, tmp_path):
    name = "coordinated_exchange"
    one, task = one_trial(name)
    play = probe_scripts_two.SCRIPTS[name][0]
    actions = perform(one, task, play.script).actions
    env = Env(one.config)
    controller = begin(alone(env, task, name))
    assert "the first is agent0's, the second agent1's" in controller.message
    assert controller.keys[0] == "Up and W - forward      Right and D - turn right"
    press(window, controller, "up", "up")  # the first has changed his mind; the second has not chosen
    assert len(controller.session.turns) == 1
    keys = keys_for(actions, 2)
    keys[:2] = keys[1::-1]  # whoever is first
    press(window, controller, *keys)
    assert (controller.session.turn.returns[-1] == play.pays).all()
    controller.close()
    (path,) = (tmp_path / "played").iterdir()
    assert path.read_bytes() == expected_file(tmp_path / "e.jsonl", env, task, actions, ["person"] * 2, name)


def test_undo_restart_and_the_next_trial(window, begin, room, tmp_path):
    clock = Clock()
    controller = begin(find_source(str(room)), clock, history=tmp_path / "mine.jsonl")
    first = pixels(window)
    clock.time = 2.0
    press(window, controller, "e", "u", "right", "u", "u")
    assert (pixels(window) == first).all()
    clock.time = 3.0
    press(window, controller, "p")
    clock.time = 10.0
    press(window, controller, "p", *PICK_AND_WAIT)
    assert controller.session.is_between_trials
    press(window, controller, "down", "up")  # the next trial begins when the person says so
    assert len(controller.session.turns) == 7
    clock.time = 20.0
    press(window, controller, "return")
    clock.time = 21.5
    press(window, controller, "left")
    assert [float(trial[0]) for trial in controller.session.turn.returns] == [6.0, 0.0]
    press(window, controller, "r", "up", "escape")
    controller.close()
    history = read_history(tmp_path / "mine.jsonl")
    assert history.times.tolist() == [3.0] * 6 + [1.5]
    assert history.actions[:, 0].tolist() == [3, *[NOOP] * 5, 2]
    assert read_history(tmp_path / "mine-2.jsonl").actions.tolist() == [[0]]
    replay(history)


def test_what_is_shown_can_be_changed(window, begin, room, tmp_path):
    controller = begin(find_source(str(room)))
    assert controller.keys[1] == "Left or A - turn left      . or E - pick up"
    start = pixels(window)
    seen = [start]
    for key in ("v", "v", "m", "h"):
        press(window, controller, key)
        assert all((pixels(window) != other).any() for other in seen)
        seen.append(pixels(window))
    press(window, controller, "up")  # closes the help, and nothing else
    assert len(controller.session.turns) == 1
    press(window, controller, "m", "v", "n")
    assert "last task" in controller.message
    assert (pixels(window) != start).any()
    assert controller.draw((320, 240)).get_size() == (320, 240)
    press(window, controller, "tab")
    assert (pixels(window) == start).all()
    press(window, controller, "period", "period")  # takes the ball, and then there is none to take
    assert controller.message == "Pick up: nothing happened, and a step has passed."
    press(window, controller, "down")
    assert controller.message == ""


def test_the_keys_can_be_read_while_a_task_is_prepared(window):
    seen = [pixels(window)]

    def prepare():
        seen.append(pixels(window))
        raise ConfigError("There is no task.")

    for is_played in (True, False):
        with pytest.raises(ConfigError, match="There is no task"):
            window.play(prepare, partial(draw_meanwhile, bindings=Bindings(), is_played=is_played))
    empty, played, watched = ((picture > 100).any(axis=-1) for picture in seen)  # where there are letters
    assert empty.any(axis=1).mean() < 0.1 and watched.any(axis=1).mean() > 0.4
    assert (watched != played).any()  # those who watch have other keys


def test_a_window_that_is_closed_while_a_task_is_prepared(window, begin, room, monkeypatch):
    controller, said = begin(find_source(str(room))), []
    monkeypatch.setattr(window, "_show", lambda picture, words="": said.append(words))
    monkeypatch.setattr(window, "start", lambda content: pytest.fail("it goes on"))

    def prepare():
        pygame.event.post(pygame.Event(pygame.QUIT))
        until = time.monotonic() + 20
        while not any("Closing" in words for words in said) and time.monotonic() < until:
            time.sleep(0.01)
        return controller

    window.play(prepare)
    assert said[-1].startswith("Closing as soon as this is done: ")
    pygame.event.clear()


def test_nothing_is_drawn_while_nothing_happens(window, begin, room, tmp_path, monkeypatch):
    controller = begin(find_source(str(room)))
    window.turn(controller)
    monkeypatch.setattr(controller, "draw", lambda size: pytest.fail("drawn"))
    assert window.turn(controller) and window.turn(controller)


def test_pictures_and_films(window, begin, room, tmp_path):
    controller = begin(find_source(str(room)))
    press(window, controller, "x")
    assert controller.message.endswith("room-001.png")
    shown = pixels(window)
    press(window, controller, "g", "right", "left", "e", "u", "g")
    assert controller.message.endswith("room-001.gif")
    press(window, controller, "g", "up")
    controller.close()  # what was being recorded is saved
    with PIL.Image.open(tmp_path / "played" / "room-001.png") as picture:
        assert picture.size == window.size == (800, 600)
        # But for the line that says so, the picture is what is in the window.
        assert (np.asarray(picture) != shown).any(axis=(1, 2)).mean() < 0.1
    for name in ("room-001.gif", "room-002.gif"):
        with PIL.Image.open(tmp_path / "played" / name) as film:
            assert film.n_frames > 1


def test_time_passes_by_itself(window, begin, room, tmp_path):
    clock = Clock()
    controller = begin(find_source(str(room)), clock, pace=4.0)
    press(window, controller, "e", "right")  # the last of them counts
    assert len(controller.session.turns) == 1 and controller.seconds_to_tick() == 0.25
    clock.time = 0.25
    window.turn(controller)
    clock.time = 0.5
    window.turn(controller)
    assert [int(turn.state.last_action[0]) for turn in controller.session.turns] == [NOOP, 1, NOOP]
    press(window, controller, "p")
    assert controller.seconds_to_tick() is None


@pytest.fixture(scope="module")
def agent_folder(tmp_path_factory):
    """A saved agent for the room; fresh, but not quite indifferent."""
    folder = tmp_path_factory.mktemp("agents") / "fresh"
    agent = make_agent(SMALL_AGENT, CONFIG)
    params = jax.tree.map(lambda leaf: leaf * 3, jax.jit(agent.init)(jax.random.key(0)))
    save(folder, agent, params)
    return folder


def test_an_agent_is_watched_forwards_and_backwards(window, begin, room, tmp_path, agent_folder):
    clock = Clock()
    controller = begin(find_source(str(room)), clock, watch=str(agent_folder))
    assert controller.is_watching and controller.look.shows_thoughts
    shown = [pixels(window)]
    for _ in range(8):
        press(window, controller, "right", "up")  # nobody plays: "up" does nothing
        shown.append(pixels(window))
    assert len({picture.tobytes() for picture in shown}) == 9
    thought = controller.session.turn.thought
    assert thought.probabilities.sum() == pytest.approx(1) and np.isfinite(thought.values).all()
    for picture in shown[-2::-1]:
        press(window, controller, "left")
        assert (pixels(window) == picture).all()
    press(window, controller, "end")
    assert (pixels(window) == shown[8]).all()
    press(window, controller, "home", "t")
    assert (pixels(window) != shown[0]).any()
    press(window, controller, "t", "space")
    for number in range(1, 20):
        clock.time = 0.2 * number + 0.01
        window.turn(controller)
    assert controller.session.is_over
    controller.close()

    (path,) = (tmp_path / "played").iterdir()
    history = read_history(path)
    assert history.header.players == ("agent",) and len(history.steps) == 12
    again = begin(find_source(str(path)), watch=str(agent_folder))
    press(window, again, *["right"] * 8)
    assert (again.session.turn.thought.probabilities == thought.probabilities).all()
    press(window, again, *["right"] * 9)
    assert again.session.is_over and len(again.session.turns) == 13
    press(window, again, "n", "left", "home")
    assert len(again.session.turns) == 1
    again.close()
    assert list((tmp_path / "played").iterdir()) == [path]  # watching writes nothing


def test_a_history_that_was_changed_is_told(window, begin, room, tmp_path):
    controller = begin(find_source(str(room)))
    press(window, controller, "e")
    controller.close()
    (path,) = (tmp_path / "played").iterdir()
    path.write_text(path.read_text().replace('"event": 1', '"event": 0'))
    controller = begin(find_source(str(path)))
    with pytest.raises(ConfigError, match="Step 1 has"):
        press(window, controller, "right")


def test_a_person_plays_beside_a_player(window, begin, tmp_path):
    one, task = one_trial("coordinated_exchange")
    source = alone(Env(one.config), task, "exchange")
    controller = begin(source, partner="random", play_as=(1,))
    press(window, controller, *["a"] * 4, "t", "left")
    controller.close()
    (path,) = (tmp_path / "played").iterdir()
    history = read_history(path)
    assert history.header.players == ("random", "person")
    assert history.actions[:, 1].tolist() == [2] * 5
    assert len(set(history.actions[:, 0].tolist())) > 1
    controller = begin(source, partner="noop")
    press(window, controller, "up", "u", "up")
    controller.close()
    history = read_history(tmp_path / "played" / "exchange-002.jsonl")
    assert history.header.players == ("person", "noop") and history.actions.tolist() == [[0, NOOP]]


def test_other_keys(window, begin, room, tmp_path):
    path = tmp_path / "keys.toml"
    path.write_text('[first]\npick_up = "space"\n[commands]\nquit = "f10"\n')
    controller = begin(find_source(str(room)), bindings=read_bindings(path))
    press(window, controller, "period")
    assert len(controller.session.turns) == 1
    press(window, controller, "space")
    assert controller.session.turn.returns[-1] == 1
    assert not press(window, controller, "f10")


def test_the_command_plays(room, tmp_path, monkeypatch, capsys):
    start = Window.start

    def start_and_quit(window, controller):
        start(window, controller)
        for key in ("e", "escape"):
            pygame.event.post(pygame.Event(pygame.KEYDOWN, key=KEYS[key]))

    monkeypatch.setattr(Window, "start", start_and_quit)
    monkeypatch.chdir(tmp_path)
    assert main(["play", str(room), "--size", "640", "480", "--view", "seen", "--reveal"]) == 0
    assert read_history("runs/play/room-001.jsonl").rewards.tolist() == [[1.0]]
    assert main(["render", "runs/play/room-001.jsonl"]) == 0
    with PIL.Image.open(tmp_path / "runs" / "play" / "room-001.gif") as film:
        assert film.n_frames > 1
    assert main(["play", str(room), "--history", "runs/play/room-001.jsonl"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["play", str(room), "--size", "200", "480"]) == 2
    assert "200 x 480; write 320 x 240 to 16384" in capsys.readouterr().err


def test_the_benchmark_measures(display, room, monkeypatch, capsys):
    path = Path(__file__).parents[2] / "benchmarks" / "speed" / "window.py"
    spec = importlib.util.spec_from_file_location("window_benchmark", path)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    monkeypatch.setattr(benchmark, "IDLE_S", 0.01)
    monkeypatch.setattr(benchmark, "NUM_STEPS", 15)
    monkeypatch.setattr(sys, "argv", ["window.py", "--task", str(room)])
    benchmark.main()
    measured = json.loads(capsys.readouterr().out)
    assert measured["driver"] == display and measured["size"] == [800, 600]
    assert measured["playing"]["frames_a_processor_second"] > 0


def test_no_display_and_no_pygame(room, monkeypatch, capsys):
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    monkeypatch.setenv("DISPLAY", ":987")
    assert main(["play", str(room)]) == 2
    assert "There is no display to open a window on" in capsys.readouterr().err
    code = "import sys; sys.modules['pygame'] = None; "
    code += "from xworld.apps.commands.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, "play", str(room)], capture_output=True, text=True)
    assert done.returncode == 2 and "pip install 'xworld[play]'" in done.stderr


class Pressed:
    """Content of a window that notes what was pressed."""

    def __init__(self):
        self.is_done, self.keys = False, []

    def press(self, *keys):
        self.keys.append(keys)

    def draw(self, size):
        self.size = size
        return pygame.Surface(size)

    def note_shown(self, picture):
        return False

    def seconds_to_tick(self):
        return None

    def tick(self):
        return False


@pytest.mark.parametrize(
    ("event", "agent_and_action"),
    [
        ({"key": 0x44E, "unicode": "\u044e", "scancode": pygame.KSCAN_PERIOD}, (0, 3)),  # Russian: pick up
        ({"key": 0x3B4, "unicode": "\u03b4", "scancode": pygame.KSCAN_D}, (1, 1)),  # Greek: the second turns right
        ({"key": pygame.K_7, "unicode": "/", "scancode": pygame.KSCAN_7}, (0, 5)),  # German: Shift and 7
        ({"key": pygame.K_MINUS, "unicode": "-", "scancode": pygame.KSCAN_SLASH}, (0, 5)),  # German: by its place
        ({"key": pygame.K_SEMICOLON, "unicode": ".", "scancode": pygame.KSCAN_COMMA}, (0, 3)),  # French: with Shift
        ({"key": pygame.K_SEMICOLON, "unicode": ";", "scancode": pygame.KSCAN_COMMA}, (0, 4)),  # French: by its place
        ({"key": pygame.K_a, "unicode": "a", "scancode": pygame.KSCAN_Q}, (1, 2)),  # French: a letter is that letter
        ({"key": pygame.K_UP}, (0, 0)),
        ({"key": pygame.K_z, "unicode": "z"}, None),
    ],
)
def test_keys_of_every_layout_mean_something(event, agent_and_action):
    found = [Bindings().action(key, 2) for key in names_of(pygame.Event(pygame.KEYDOWN, event))]
    assert next((one for one in found if one is not None), None) == agent_and_action


def test_a_key_that_is_held_is_pressed_again_but_never_piles_up(window, monkeypatch):
    content, now = Pressed(), [100.0]
    monkeypatch.setattr("xworld.apps.play.window.time.monotonic", lambda: now[0])
    held = dict.fromkeys([pygame.K_UP], True)
    monkeypatch.setattr(pygame.key, "get_pressed", lambda: held)

    def turn(seconds, event=None):
        now[0] += seconds
        if event is not None:
            pygame.event.post(pygame.Event(event, key=pygame.K_UP))
        pygame.event.post(pygame.Event(pygame.WINDOWEXPOSED))  # so that no turn waits
        window.turn(content)
        return len(content.keys)

    pygame.event.clear()
    assert turn(0, pygame.KEYDOWN) == 1
    assert [turn(0.2), turn(0.2), turn(0.05), turn(0.1)] == [1, 2, 2, 3]
    assert turn(30) == 4  # what took long
    assert turn(30, pygame.KEYUP) == 4 and turn(5) == 4
    assert turn(0, pygame.KEYDOWN) == 5
    held[pygame.K_UP] = False  # its end was not told
    assert turn(5) == 5


def test_a_small_window_stays_the_same(window, monkeypatch):
    content, made = Pressed(), []
    monkeypatch.setattr(pygame.display, "set_mode", lambda *arguments: made.append(arguments))
    small = pygame.Surface((200, 150))
    monkeypatch.setattr(pygame.display, "get_surface", lambda: small)
    pygame.event.post(pygame.Event(pygame.VIDEORESIZE, w=200, h=150, size=(200, 150)))
    for _ in range(3):
        pygame.event.post(pygame.Event(pygame.WINDOWEXPOSED))
        window.turn(content)
    assert not made and window.size == (200, 150)
    assert content.size == (320, 240)  # what is drawn is cut off
