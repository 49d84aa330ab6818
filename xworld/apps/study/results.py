"""What the people of a study did, from their records: who counts, and what they earned in every trial."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

import numpy as np

from xworld.apps.study.config import PROBES
from xworld.apps.study.record import Record, find_folders, read_record
from xworld.base.errors import ConfigError
from xworld.core.env import Env
from xworld.core.types import Task
from xworld.histories import History


@dataclass(frozen=True)
class Episode:
    """A probe task that a person finished."""

    participant: str
    partner: str | None  # who played beside them
    number: int  # of the probe in the study
    name: str
    returns: tuple[float, ...]  # of each trial, mean over the agents that there are
    reading_seconds: float  # before all trials together
    playing_seconds: float  # in them
    num_timed_out: int  # trials of which the time was up before the steps were
    num_resumed: int  # how often it was gone on with after a stop, once a trial of it had begun


@dataclass(frozen=True)
class LeftOut:
    """A record that does not count, and why."""

    folder: str
    reason: str


@dataclass(frozen=True)
class People:
    """What the people who count did."""

    title: str  # of the study
    digest: str  # of the study
    participants: tuple[str, ...]  # who count
    statuses: dict[str, int]  # of all records of the study that can be read, how many have which status
    left_out: tuple[LeftOut, ...]
    episodes: tuple[Episode, ...]
    tasks: dict[int, tuple[Env, Task]]  # by number, all that anybody finished


def read_people(
    folders: Sequence[Path], study: str | None = None, exclude: Sequence[str] = (), *, unfinished: bool = False
) -> People:
    """What is in the folders of a study.

    Args:
      folders: of participants, or with many of these.
      study: digest of the study whose records count; without it that of which there are most, of equals the first.
      exclude: ids of participants who do not count.
      unfinished: whether the tasks count that were finished by people who have not finished the study.

    Raises:
      ConfigError: a folder has no records, or nobody who counts has finished a task; or an id that there is not.
    """
    left_out: list[LeftOut] = []
    records: list[Record] = []
    for folder in dict.fromkeys(path for parent in folders for path in find_folders(parent)):
        try:
            records.append(read_record(folder))
        except ConfigError as error:
            left_out.append(LeftOut(str(folder), str(error)))
    digests = Counter(record.digest for record in records)
    digest = study or next((name for name, _ in digests.most_common(1)), "")
    for name in exclude:
        if name not in {record.participant for record in records}:
            raise ConfigError(f"--exclude: there is no participant {name!r}.")

    episodes: list[Episode] = []
    tasks: dict[int, tuple[Env, Task]] = {}
    counted: dict[str, Record] = {}
    for record in records:
        try:
            reason = _reason_to_leave_out(record, digest, exclude, counted, unfinished)
            found = [] if reason else _episodes(record)
        except ConfigError as error:
            reason, found = str(error), []
        if reason:
            left_out.append(LeftOut(str(record.folder), reason))
            continue
        counted[record.participant] = record
        for episode, history in found:
            episodes.append(episode)
            tasks.setdefault(episode.number, (Env(history.header.config), history.header.task))
    if not episodes:
        reasons = "; ".join(f"{one.folder}: {one.reason}" for one in left_out)
        raise ConfigError(f"Nobody who counts has finished a probe task. {reasons}")
    of_study = [record for record in records if record.digest == digest]
    return People(
        title=of_study[0].title,
        digest=digest,
        participants=tuple(counted),
        statuses=dict(Counter(record.status for record in of_study)),
        left_out=tuple(left_out),
        episodes=tuple(episodes),
        tasks=dict(sorted(tasks.items())),
    )


def _reason_to_leave_out(
    record: Record, digest: str, exclude: Sequence[str], counted: dict[str, Record], unfinished: bool
) -> str:
    """Why a record does not count, or ""."""
    if record.digest != digest:
        return f"it is of another study, or the study's file was changed: hash {record.digest[:12]}, not {digest[:12]}"
    if record.participant in exclude:
        return "excluded by --exclude"
    if record.participant in counted:
        return f"{record.participant} is in {counted[record.participant].folder} already"
    if record.status == "declined":
        return "declined"
    if record.status == "unfinished" and not unfinished:
        return "not finished; --unfinished counts what was"
    return ""


def _episodes(record: Record) -> list[tuple[Episode, History]]:
    """The probe tasks that were finished, with their histories."""
    found = []
    for place, item in enumerate(record.schedule):
        history = record.history(place)
        if history is None:
            if record.status == "finished":
                raise ConfigError(f"{record.history_path(place)} is missing, and the study was finished.")
            continue
        length = int(history.header.task.trial_length)
        if len(history.steps) < length * item.num_trials:
            if record.status == "finished":
                raise ConfigError(f"{record.history_path(place)} is cut off, and the study was finished.")
            continue
        if item.part != PROBES:
            continue
        num_agents = int(history.header.task.is_present.sum())
        rewards = (history.rewards.sum(axis=1) / num_agents).reshape(item.num_trials, length)
        last = np.nan_to_num(history.times.reshape(item.num_trials, length)[:, -1])
        episode = Episode(
            participant=record.participant,
            partner=record.partner,
            number=item.number,
            name=item.name,
            returns=tuple(rewards.sum(axis=1).tolist()),
            reading_seconds=round(sum(read["seconds"] for read in record.happened("read", place=place)), 3),
            playing_seconds=round(float(np.minimum(last, item.seconds).sum()), 3),
            num_timed_out=int((last >= item.seconds).sum()),
            num_resumed=_count_resumed(record, place),
        )
        found.append((episode, history))
    return found


def _count_resumed(record: Record, place: int) -> int:
    """How often a task was gone on with. Who stops before its first trial begins has interrupted nothing of it."""
    events = [event["event"] for event in record.events if event.get("place") == place]
    return [*dropwhile(lambda event: event != "read", events)].count("resumed")
