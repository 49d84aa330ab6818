"""Who plays what: an order of the probes of each participant's own, and numbers of trials that are balanced.

All of it is made from hashes, so that it is the same for ever on every machine.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from xworld.apps.study.config import MAX_TRIALS, PRACTICE, PROBES, Study
from xworld.base.checks import check_fields, check_number, check_seed, check_whole, check_word


@dataclass(frozen=True)
class Item:
    """A task that a participant plays."""

    part: str  # "practice" or "probes"
    number: int  # of the task in that part of the study, from 0
    name: str  # of the task
    num_trials: int
    seed: int  # of the episode, uint32
    seconds: float  # time limit of a trial
    seat: int  # of the (first) person, among the agents that there are

    def __post_init__(self) -> None:
        check_fields(self, ("part",), partial(check_word, known=(PRACTICE, PROBES)), "Item")
        check_fields(self, ("number", "seat"), partial(check_whole, low=0), "Item")
        check_fields(self, ("num_trials",), partial(check_whole, low=1, high=MAX_TRIALS), "Item")
        check_fields(self, ("seed",), lambda name, value: check_seed(value, name), "Item")
        check_fields(self, ("seconds",), partial(check_number, low=0), "Item")


def make_schedule(study: Study, participant: str, rotation: int) -> tuple[Item, ...]:
    """What a participant plays: practice as it stands in the study, then all probes in an order of their own.

    A Latin square decides the numbers of trials. The study's seed puts the probes in some order; the probe at place p
    there has the number of trials at place (p + rotation) mod K of the study's K. So a participant meets all K about
    equally often, and a probe is met with each of them once in any K rotations that follow each other. In tasks for two
    the seats take turns.

    Args:
      study: the study.
      participant: their id.
      rotation: a row of the square, see `next_rotation`.
    """
    size = len(study.probes)
    places = _shuffle(size, study.seed)
    order = _shuffle(size, study.seed, participant)
    numbers = [(PRACTICE, number, 0) for number in range(len(study.practice))]
    numbers += [(PROBES, number, places.index(number) + rotation) for number in order]
    schedule = []
    for place, (part, number, turn) in enumerate(numbers, start=_hash(study.seed, participant, "seat") % 2):
        one = study.tasks(part)[number]
        schedule.append(
            Item(
                part=part,
                number=number,
                name=one.name,
                num_trials=one.num_trials[turn % len(one.num_trials)],
                seed=_hash(study.seed, participant, part, number) % 2**32,
                seconds=study.seconds(one.task),
                seat=place % len(one.present),
            )
        )
    return tuple(schedule)


def next_rotation(study: Study, taken: Sequence[int]) -> int:
    """The row of the square for the next participant: the first of those that the fewest have `taken`."""
    return min(range(len(study.probes[0].num_trials)), key=lambda rotation: taken.count(rotation))


def _shuffle(size: int, *words: object) -> list[int]:
    return sorted(range(size), key=lambda number: _hash(*words, "order", number))


def _hash(*words: object) -> int:
    return int.from_bytes(hashlib.sha256("\n".join(map(str, words)).encode()).digest())
