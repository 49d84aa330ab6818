"""Windows for tests, driven by keys through their own loop: real ones under Xvfb where that is, else SDL's dummy."""

import contextlib
import os
import shutil
import subprocess

import pygame
import pytest

from xworld.apps.play import Bindings, Controller, Settings, Window
from xworld.apps.play.bindings import KEYS
from xworld.rendering.drawing.canvas import to_array
from xworld.tasks import config_for

ROOM = '''
goal = "hold(agent, black cube)"
rules = ["hold(agent, purple ball) -> black cube"]
hidden = "all"
trial_length = 6
num_trials = 2
facing = "east"
map = """
#####
#0b.#
#...#
#####
"""
[legend]
b = "purple ball"
'''
CONFIG = config_for(ROOM)
PICK_AND_WAIT = ["period", *["down"] * 5]  # a trial of the room: the ball becomes the cube, and pays on all steps


@pytest.fixture(scope="module")
def display(tmp_path_factory):
    """A real X server without a screen, if Xvfb is there; SDL's dummy driver else."""
    program = shutil.which("Xvfb")
    if program is None:
        yield "dummy"
        return
    read, write = os.pipe()
    command = [program, "-displayfd", str(write), "-screen", "0", "1920x1200x24", "-nolisten", "tcp", "-noreset"]
    with (
        subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        os.close(write)
        with open(read) as number:
            patch.setenv("DISPLAY", f":{number.readline().strip()}")
        patch.setenv("SDL_VIDEODRIVER", "x11")
        pygame.display.quit()
        yield "x11"
        pygame.display.quit()
        server.terminate()


@pytest.fixture
def window(display):
    with contextlib.closing(Window((800, 600))) as window:
        assert pygame.display.get_driver() == display
        yield window


@pytest.fixture
def room(tmp_path):
    path = tmp_path / "room.toml"
    path.write_text(ROOM)
    return path


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time


@pytest.fixture
def begin(window, tmp_path):
    """Makes controllers that are shown in the window for the first time, and closes them in the end."""
    controllers = []

    def begin_one(source, clock=None, bindings=None, **settings):
        settings = Settings(output=tmp_path / "played", **settings)
        controllers.append(Controller(source, settings, bindings or Bindings(), clock or Clock()))
        window.start(controllers[-1])
        return controllers[-1]

    yield begin_one
    for controller in controllers:
        controller.close()


def press(window, controller, *names):
    """Presses keys, and lets the loop turn until it has seen them all; False once the window is done."""
    for name in names:
        pygame.event.post(pygame.Event(pygame.KEYDOWN, key=KEYS[name]))
    goes_on = True
    while goes_on and pygame.event.peek(pygame.KEYDOWN):
        goes_on = window.turn(controller)
    return goes_on


def pixels(window):
    return to_array(pygame.display.get_surface())
