"""The record of a participant: a folder with a journal and a history for each task that was begun.

The journal is a file of JSON lines: the first says who takes part in what, the others what happened and when.
"""

import dataclasses
import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xworld.apps.study.config import Study, check_partner
from xworld.apps.study.schedule import Item, make_schedule, next_rotation
from xworld.base.configs import from_json
from xworld.base.errors import ConfigError
from xworld.base.files import parse_json
from xworld.base.lines import LineWriter, read_lines
from xworld.histories import History, read_history

JOURNAL = "journal.jsonl"
_FORMAT = "xworld study 1"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_TWO_NAMES = re.compile(r"[A-Z][a-z]+[_-]?[A-Z][a-z]+")


@dataclass(frozen=True)
class Record:
    """What is known of a participant."""

    folder: Path
    title: str  # of the study
    digest: str  # of the study
    participant: str
    partner: str | None  # who plays beside them, as the study calls them; None in tasks for one
    rotation: int
    schedule: tuple[Item, ...]
    events: tuple[
        dict[str, Any], ...
    ]  # the lines of the journal after the first: "event", "at", and what belongs to it

    def history_path(self, place: int) -> Path:
        """Where the history of a task of the schedule is, if it was begun."""
        item = self.schedule[place]
        name = re.sub(r"[^A-Za-z0-9_.]+", "-", item.name).strip("-")
        return self.folder / f"{place + 1:02d}-{item.part}-{name}.jsonl"

    def history(self, place: int) -> History | None:
        """What was played of a task of the schedule; None if it was not begun.

        Raises:
          ConfigError: the file is damaged, or of something else.
        """
        path, item = self.history_path(place), self.schedule[place]
        if not path.exists() or not read_lines(path):
            return None
        found = read_history(path)
        expected = item.name, item.seed, item.num_trials
        if (found.header.task_name, found.header.seed, int(found.header.task.num_trials)) != expected:
            raise ConfigError(f"{path} is the history of something else than {JOURNAL} says.")
        return found

    def happened(self, event: str, **about: object) -> list[dict[str, Any]]:
        """The events of that name with these entries, in order."""
        return [
            line
            for line in self.events
            if line["event"] == event and all(line.get(name) == value for name, value in about.items())
        ]

    def read_again(self) -> "Record":
        """The record as it is by now."""
        return read_record(self.folder)

    @property
    def status(self) -> str:
        """How far they came: "declined", "finished", or "unfinished"."""
        for status in ("declined", "finished"):
            if self.happened(status):
                return status
        return "unfinished"


def make_id() -> str:
    """A participant's id that says nothing about them."""
    return f"p-{secrets.randbelow(10**8):08}"


def check_id(name: str) -> str:
    """The id, if it is one that does not say who the participant is.

    Raises:
      ConfigError: it looks like an e-mail address or a name, or cannot be the name of a folder.
    """
    hint = "Write letters, digits, - and _ that tell nobody who it is, with a digit among them, such as P07."
    if "@" in name:
        raise ConfigError(f"--participant: {name!r} looks like an e-mail address. {hint}")
    if not any(letter.isdecimal() for letter in name) or _TWO_NAMES.search(name) or re.search(r"\w\s+\w", name):
        raise ConfigError(f"--participant: {name!r} looks like somebody's name. {hint}")
    if not _ID.fullmatch(name):
        raise ConfigError(f"--participant: {name!r} is no id. {hint}")
    return name


def open_record(
    study: Study,
    participant: str,
    output: Path,
    partner: str | None = None,
    now: Callable[[], float] = time.time,
) -> Record:
    """The record of a participant, to be gone on with; a new one if there is none in the folder `output`.

    Args:
      study: what is gone through.
      participant: their id; two people who play together have one.
      output: folder of the participants' folders.
      partner: one of those of the study; None if there is one only, or none, or to go on.
      now: seconds since 1970.

    Raises:
      ConfigError: the record is damaged, of another study, with another partner, or of somebody who has declined or
        finished; or it cannot be written; or a partner is not the study's, or missing, or cannot play its tasks.
    """
    folder = output / check_id(participant)
    path = folder / JOURNAL
    is_new = not path.exists() or not read_lines(path)  # nothing was written before the first line
    if is_new:
        if any(folder.glob("*.jsonl")) and not path.exists():
            raise ConfigError(f"{folder} has histories but no {JOURNAL}. Put it back, or move the folder away.")
        partner = _find_partner(study, partner)
        check_partner(study, partner)
        # A square is of one study's tasks, beside one partner.
        others = [other for other in _others(output) if (other.digest, other.partner) == (study.digest, partner)]
        taken = [other.rotation for other in others if other.status != "declined"]
        rotation = next_rotation(study, taken)
        begun = {
            "event": "began",
            "at": round(now(), 3),
            "format": _FORMAT,
            "title": study.title,
            "study": study.digest,
            "participant": participant,
            "partner": partner,
            "rotation": rotation,
            "schedule": [dataclasses.asdict(item) for item in make_schedule(study, participant, rotation)],
        }
        journal = LineWriter(path)
        journal.write(begun)
        journal.close()
    record = read_record(folder)
    if record.digest != study.digest:
        raise ConfigError(
            f"{folder} is of another study, or the study's file was changed since {participant} began (hash "
            f"{record.digest[:12]} there, {study.digest[:12]} here). Take the study as it was, or another --output."
        )
    if partner not in (None, record.partner):
        raise ConfigError(f"--partner is {partner}, and {participant} has begun with {record.partner}. Leave it out.")
    if record.status != "unfinished":
        raise ConfigError(f"{participant} has {record.status} already. Take another id for another participant.")
    if not is_new:
        check_partner(study, record.partner)
    return record


def _find_partner(study: Study, partner: str | None) -> str | None:
    """The partner of a new participant."""
    known = list(study.partners)
    if partner is None and len(known) < 2:
        return known[0] if known else None
    if not known:
        raise ConfigError(f"--partner is {partner}, and the study has tasks for one. Leave it out.")
    if partner not in known:
        raise ConfigError(f"--partner is {partner}; write one of those of the study: {', '.join(known)}.")
    return partner


def read_record(folder: Path) -> Record:
    """The record in a participant's folder.

    Raises:
      ConfigError: there is no journal, or it is damaged.
    """
    path = folder / JOURNAL
    lines: list[dict[str, Any]] = []
    try:
        for line in read_lines(path):
            lines.append(_read_event(line))
        if not lines:
            raise ValueError("it has no whole line")
        first = lines[0]
        if first.get("format") != _FORMAT:
            raise ValueError(f"its format is {first.get('format')!r}, and this version reads {_FORMAT!r}")
        return Record(
            folder=folder,
            title=str(first["title"]),
            digest=str(first["study"]),
            participant=str(first["participant"]),
            partner=None if first["partner"] is None else str(first["partner"]),
            rotation=int(first["rotation"]),
            schedule=tuple(from_json(Item, json.dumps(item)) for item in first["schedule"]),
            events=tuple(lines[1:]),
        )
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        if isinstance(error, ConfigError) and not path.exists():
            raise
        reason = f"there is no {error}" if isinstance(error, KeyError) else str(error).rstrip(".")
        raise ConfigError(f"{path}, after {len(lines)} good lines, is damaged: {reason}.") from error


def _read_event(line: bytes) -> dict[str, Any]:
    content = parse_json(line)
    if not isinstance(content, dict) or not isinstance(content["event"], str):
        raise ValueError(f"{content!r} is no event")
    if not isinstance(content["at"], float | int):
        raise ValueError(f"at is {content['at']!r}, no number")
    return content


def find_folders(folder: Path) -> list[Path]:
    """A participant's folder, or those in a folder of them, sorted.

    Raises:
      ConfigError: it is neither.
    """
    if (folder / JOURNAL).exists():
        return [folder]
    found = sorted(path for path in folder.glob("*") if any(path.glob("*.jsonl")))
    if not found:
        raise ConfigError(f"{folder} has no sessions in it. Name a folder that `xworld study run` has written.")
    return found


def _others(output: Path) -> list[Record]:
    """The records that can be read in a folder."""
    found = []
    for path in sorted(output.glob(f"*/{JOURNAL}")):
        try:
            found.append(read_record(path.parent))
        except ConfigError:  # the report says so
            continue
    return found
