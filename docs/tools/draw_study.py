"""Draws the pictures of study.md: python docs/tools/draw_study.py. The participants in the figure are made up."""

import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np

from xworld.agents import Expert
from xworld.apps.play import Bindings
from xworld.apps.play.bindings import ACTIONS, KEYS
from xworld.apps.study import Sitting, find_study, open_record
from xworld.apps.study.report import ReportConfig, make_report
from xworld.apps.study.sitting import AGREE, CONSENT, END, FEEDBACK, GO_ON, PLAYING, READING
from xworld.rendering import save_picture
from xworld.rendering.drawing.canvas import to_array

IMAGES = Path(__file__).parents[1] / "images"
SIZE = 800, 600
SIZE_FOR_TWO = 1000, 600
FIRST_STEPS = [("up", "w"), ("up", "d"), ("left", "w"), ("up",)]  # of both people; the second is to choose
NUM_PARTICIPANTS = 4
DRAWN = CONSENT, READING, PLAYING, FEEDBACK
DRAWN_STEP = 26  # of the first practice task, so that something has happened
SECONDS_TO_READ, SECONDS_TO_ACT = 20.0, 0.6


class Clock:
    """Seconds that pass when they are told to."""

    seconds = 0.0

    def __call__(self) -> float:
        """What time it is."""
        return self.seconds


def main() -> None:
    """Draws what the first of some made-up participants sees, and the figure of the report about all of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_two(folder / "two")
        for number in range(NUM_PARTICIPANTS):
            take_part(folder, f"P{number}", IMAGES if number == 0 else None)
        make_report([folder], ReportConfig(num_repetitions=10), folder / "report", folder / "best")
        picture = (folder / "report" / "people.png").read_bytes()
        (IMAGES / "study_people.png").write_bytes(picture)


def draw_two(folder: Path) -> None:
    """What two people see in a trial."""
    study, bindings, clock = find_study("two"), Bindings(), Clock()
    record = open_record(study, "P1", folder, "person")
    with closing(Sitting(study, record, bindings, folder / "best", clock)) as sitting:
        while sitting.stage != PLAYING:
            sitting.note_shown(sitting.draw(SIZE_FOR_TWO))
            clock.seconds += SECONDS_TO_READ
            sitting.press(KEYS[AGREE if sitting.stage == CONSENT else GO_ON])
        for keys in FIRST_STEPS:
            for name in keys:
                sitting.press(KEYS[name])
        print(save_picture(to_array(sitting.draw(SIZE_FOR_TWO)), IMAGES / "study_two.png"))


def take_part(folder: Path, participant: str, images: Path | None, size: tuple[int, int] = SIZE) -> None:
    """Plays the expert's plan in some trials, more often in later ones, and wanders about in the others."""
    study, bindings, clock = find_study("small"), Bindings(), Clock()
    generator = np.random.default_rng(int(participant[1:]))
    record = open_record(study, participant, folder)
    with closing(Sitting(study, record, bindings, folder / "best", clock)) as sitting:

        def show(stage: str) -> None:
            picture = sitting.draw(size)
            sitting.note_shown(picture)
            if images and stage in DRAWN and sitting.item.number == 0 and sitting.item.part == "practice":
                print(save_picture(to_array(picture), images / f"study_{stage}.png"))

        while sitting.stage != END:
            show(sitting.stage)
            if sitting.stage == PLAYING:
                for number, key in enumerate(_keys(sitting, bindings, generator)):
                    if number == DRAWN_STEP:
                        show(PLAYING)
                    clock.seconds += SECONDS_TO_ACT
                    sitting.press(KEYS[key])
            else:
                clock.seconds += SECONDS_TO_READ
                sitting.press(KEYS[AGREE if sitting.stage == CONSENT else GO_ON])


def _keys(sitting: Sitting, bindings: Bindings, generator: np.random.Generator) -> list[str]:
    """The keys for a trial."""
    state = sitting.session.turn.state
    is_practice = sitting.item.part == "practice"
    if is_practice or generator.random() < 0.3 + 0.3 * sitting.trial:
        plan = Expert(sitting.session.env).plan(state.task, state.agent_direction.tolist())
        assert plan is not None
        actions = plan.actions[:, 0]
    else:
        actions = generator.integers(0, 6, int(state.task.trial_length))
    return [bindings.first[ACTIONS[action]] for action in actions]


if __name__ == "__main__":
    main()
