"""How soon the window shows a task, how fast it is, and what it costs when nothing happens, as JSON.

    python -m benchmarks.speed.window --size 800 600

Needs a display; `xvfb-run` gives one without a screen. The first run fills the user's cache, and is slow. The times of
the start are counted from the start of this process; processor time is what counts where other work goes on.
"""

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.load import LOAD_BEFORE

if TYPE_CHECKING:
    from xworld.apps.play import Controller, Window

START = time.monotonic()  # before what takes long to import, which therefore is imported inside
IDLE_S = 10.0  # for which nothing happens
NUM_STEPS = 200


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="crafting_tree_visible", help="what `xworld play` takes")
    parser.add_argument("--size", type=int, nargs=2, default=(800, 600), help="of the window, in pixels")
    arguments = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    import pygame

    from xworld.apps.play import Bindings, Controller, Settings, Window, find_source
    from xworld.base.xla.cache import keep_compiled

    keep_compiled()
    source = find_source(arguments.task)
    opened = contextlib.closing(Window(tuple(arguments.size)))
    with tempfile.TemporaryDirectory() as folder, opened as window:
        marks = {"preparing_frame": _mark()}
        controller = window.work("", lambda: Controller(source, Settings(output=Path(folder)), Bindings()))
        window.redraw(controller)
        marks["first_frame"] = _mark()
        window.start(controller)
        marks["first_step_is_ready"] = _mark()
        result = {"start": marks, "idle": _idle(window, controller), "playing": _play(window, controller)}
        about = {"task": arguments.task, "size": arguments.size, "driver": pygame.display.get_driver()}
        versions = {"jax": jax.__version__, "pygame": pygame.version.ver, "cores": os.cpu_count()}
        controller.close()
    print(json.dumps({**about, **versions, "load_before": LOAD_BEFORE, **result}, indent=1))


def _mark() -> dict[str, float]:
    """Time since the start, and processor time of this process, in seconds."""
    return {"seconds": round(time.monotonic() - START, 2), "processor_seconds": round(time.process_time(), 2)}


def _idle(window: "Window", controller: "Controller") -> dict[str, float]:
    """The share of a core that is used while nothing happens."""
    start, used = time.monotonic(), time.process_time()
    while time.monotonic() < start + IDLE_S:
        window.turn(controller)
    share = (time.process_time() - used) / (time.monotonic() - start)
    return {"percent_of_a_core": round(100 * share, 2)}


def _play(window: "Window", controller: "Controller") -> dict[str, float]:
    """Steps and their frames, one key after the other."""
    import pygame

    from xworld.apps.play.bindings import KEYS

    seconds, used = [], time.process_time()
    for number in range(NUM_STEPS):
        key = "up" if number % 3 else "left"
        pygame.event.post(
            pygame.Event(pygame.KEYDOWN, key=KEYS["return" if controller.session.is_between_trials else key])
        )
        start = time.monotonic()
        while pygame.event.peek(pygame.KEYDOWN):
            window.turn(controller)
        seconds.append(time.monotonic() - start)
    used = time.process_time() - used
    return {
        "frames_a_second": round(1 / statistics.median(seconds), 1),
        "frames_a_processor_second": round(NUM_STEPS / used, 1),
        "slowest_ms": round(1000 * max(seconds), 1),
    }


if __name__ == "__main__":
    main()
