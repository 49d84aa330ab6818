"""Draws the pictures of the window in play.md: python docs/tools/draw_play.py."""

import tempfile
from pathlib import Path

from xworld.agents import Expert
from xworld.apps.play import Bindings, Controller, Settings, find_source
from xworld.apps.play.bindings import ACTIONS, KEYS
from xworld.rendering import save_picture
from xworld.rendering.drawing.canvas import to_array

TASK = "crafting_tree_visible"
IMAGES = Path(__file__).parents[1] / "images"
SIZE = 800, 600
NUM_STEPS = 26  # so that rules have fired


def main() -> None:
    """Draws a task that is played, the keys, and the expert that is watched."""
    with tempfile.TemporaryDirectory() as folder:
        bindings = Bindings()
        controller = Controller(find_source(TASK), Settings(output=Path(folder)), bindings)
        state = controller.session.turn.state
        plan = Expert(controller.session.env).plan(state.task, state.agent_direction.tolist())
        assert plan is not None
        for action in plan.actions[:NUM_STEPS, 0]:
            controller.press(KEYS[bindings.first[ACTIONS[action]]])
        _draw(controller, "play.png")
        controller.press(KEYS[bindings.commands["help"]])
        _draw(controller, "play_keys.png")
        controller.close()
        watched = Controller(find_source(TASK), Settings(output=Path(folder), watch="expert"), bindings)
        for _ in range(NUM_STEPS):
            watched.press(KEYS[bindings.watching["step"]])
        _draw(watched, "play_watch.png")
        watched.close()


def _draw(controller: Controller, name: str) -> None:
    print(save_picture(to_array(controller.draw(SIZE)), IMAGES / name))


if __name__ == "__main__":
    main()
