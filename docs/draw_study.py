"""Draws the pictures of study.md: python docs/draw_study.py."""

import tempfile
from contextlib import closing
from pathlib import Path

from xworld.evaluation import Expert
from xworld.play import Bindings
from xworld.play.bindings import ACTIONS, KEYS
from xworld.rendering import save_picture
from xworld.rendering.canvas import to_array
from xworld.study import Sitting, find_study, open_record
from xworld.study.sitting import AGREE, GO_ON, PLAYING

IMAGES = Path(__file__).parent / "images"
SIZE = 800, 600
NUM_STEPS = 26  # of the first practice task, so that something has happened


class Clock:
    """Seconds that pass when they are told to."""

    seconds = 0.0

    def __call__(self) -> float:
        """What time it is."""
        return self.seconds


def main(images: Path = IMAGES, size: tuple[int, int] = SIZE) -> None:
    """Draws consent, reading, playing and feedback of the small study."""
    study, bindings, clock = find_study("small"), Bindings(), Clock()
    with tempfile.TemporaryDirectory() as name:
        record = open_record(study, "P1", Path(name))
        with closing(Sitting(study, record, bindings, Path(name, "best"), clock)) as sitting:

            def draw(name: str) -> None:
                picture = sitting.draw(size)
                sitting.note_shown(picture)
                print(save_picture(to_array(picture), images / name))

            def press(key: str, seconds: float) -> None:
                clock.seconds += seconds
                sitting.press(KEYS[key])

            draw("study_consent.png")
            press(AGREE, 60)
            while sitting.stage != PLAYING:
                draw(f"study_{sitting.stage}.png")
                press(GO_ON, 30)
            sitting.note_shown(sitting.draw(size))
            state = sitting.session.turn.state
            plan = Expert(sitting.session.env).plan(state.task, state.agent_direction.tolist())
            assert plan is not None
            for number, action in enumerate(plan.actions[:, 0]):
                if number == NUM_STEPS:
                    draw("study_playing.png")
                press(bindings.first[ACTIONS[action]], 0.6)
            draw("study_feedback.png")


if __name__ == "__main__":
    main()
