"""A scripted participant, who goes through a small study by key events. As a script it is killed in the middle.

python study_player.py STUDY FOLDER PARTICIPANT NUM_KEYS
"""

import os
import signal
import sys
from pathlib import Path

from window_fixtures import ROOM, Clock, press

from xworld.apps.play import Bindings, Window
from xworld.apps.study import Sitting, find_study, open_record
from xworld.apps.study.sitting import CONSENT, PLAYING

LENGTH = 6  # of trials
NUM_PROBES = 5
STUDY = """
title = "Rooms"
seed = 3
seconds_per_step = 10
num_trials = [1, 2]
consent_file = "consent.txt"
instructions = '''
Reach the goal.
'''
[[practice]]
source = "practice0.toml"
number = 1
num_trials = 1
[[practice]]
source = "practice1.toml"
num_trials = 1
[[practice]]
source = "practice2.toml"
num_trials = 2
"""


def write_study(folder: Path, room: str = ROOM) -> Path:
    """The file of a study of 3 practice tasks and 5 probes, all of which are the same room."""
    (folder / "consent.txt").write_text("Your keys are recorded.\n")
    rooms = [*(f"practice{n}" for n in range(3)), *(f"probe{n}" for n in range(NUM_PROBES))]
    for name in rooms:
        (folder / f"{name}.toml").write_text(room)
    probes = "".join(f'[[probes]]\nsource = "{name}.toml"\n' for name in rooms[3:])
    path = folder / "rooms.toml"
    path.write_text(STUDY + probes)
    return path


def sit(study_file: Path, output: Path, participant: str, clock: Clock) -> Sitting:
    """A sitting of a participant, who may have been there before."""
    study = find_study(str(study_file))
    return Sitting(study, open_record(study, participant, output), Bindings(), output.parent / "best", clock)


def next_key(sitting: Sitting) -> str:
    """What the participant presses: with one trial the ball is taken late, with two in the second trial at once."""
    if sitting.stage == CONSENT:
        return "y"
    if sitting.stage != PLAYING:
        return "return"
    step = (len(sitting.session.turns) - 1) % LENGTH
    when = 3 if sitting.item.num_trials == 1 else 0 if sitting.trial == 1 else LENGTH
    return "period" if step == when else "down"


def go_through(window: Window, sitting: Sitting, clock: Clock, num_keys: int = 10_000) -> bool:
    """Presses keys, a second after the other, until the study is done or there were so many; whether it goes on."""
    goes_on = True
    while goes_on and num_keys:
        clock.time += 1.0
        goes_on = press(window, sitting, next_key(sitting))
        num_keys -= 1
    return goes_on


if __name__ == "__main__":
    file, folder, name, number = sys.argv[1:]
    window, clock = Window((640, 480)), Clock()
    sitting = sit(Path(file), Path(folder), name, clock)
    window.start(sitting)
    assert go_through(window, sitting, clock, int(number))
    print(sitting.stage, len(sitting.session.turns) - 1, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
