"""A study: what people are told, and which tasks they play. It is read from a TOML file, as docs/study.md says."""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xworld.apps.play.controller import PERSON
from xworld.apps.play.drawing import VIEWS
from xworld.base.checks import check_whole
from xworld.base.errors import ConfigError, did_you_mean, located
from xworld.base.files import as_path, parse_toml, read_text
from xworld.core.env import Env
from xworld.core.types import Task
from xworld.histories import SUFFIX
from xworld.rendering.drawing.canvas import unknown_signs
from xworld.tasks import tasks_by_name, to_text
from xworld.tasks.sets.by_name import Sampled

PRACTICE, PROBES = "practice", "probes"
_MOST_SKIPPED = 50  # generated tasks for another number of agents, for each that is taken
MAX_TRIALS, _MAX_SEED, _MAX_SECONDS = 100, 2**32 - 1, 24 * 3600
_FIELDS = (
    *("title", "consent", "consent_file", "instructions", "instructions_file", "num_trials"),
    *("seconds_per_step", "seconds_per_trial", "view", "seed", "partners", PRACTICE, PROBES),
)


@dataclass(frozen=True)
class StudyTask:
    """A task of a study."""

    name: str  # what it is called where it is from
    env: Env
    task: Task
    num_trials: tuple[int, ...]  # a participant plays it with one of these

    @property
    def present(self) -> list[int]:
        """The agents that there are."""
        return np.flatnonzero(self.task.is_present).tolist()

    def people(self, seat: int, num_people: int) -> tuple[int, ...]:
        """The agents that people play: the first of them the one in a seat, the second the one after it."""
        present = self.present
        return (*present[seat:], *present[:seat])[:num_people]


@dataclass(frozen=True)
class Study:
    """What a participant goes through."""

    title: str
    consent: str  # text to agree to
    instructions: str  # text
    practice: tuple[StudyTask, ...]  # in this order, with feedback
    probes: tuple[StudyTask, ...]  # in an order of each participant's own, without
    seconds_per_step: float | None  # the time limit of a trial is this times its length ...
    seconds_per_trial: float | None  # ... or this; one of them is None
    view: str  # one of `VIEWS`: how much of the world a participant sees
    seed: int  # decides orders, numbers of trials and directions
    # who may play beside a participant: `PERSON`, or a player's name, with what `player_by_name` takes for it; of a
    # study of tasks for one nobody
    partners: Mapping[str, str]

    def tasks(self, part: str) -> tuple[StudyTask, ...]:
        """Those of "practice" or of "probes"."""
        return self.practice if part == PRACTICE else self.probes

    def seconds(self, task: Task) -> float:
        """The time limit of a trial."""
        if self.seconds_per_step is not None:
            return round(self.seconds_per_step * int(task.trial_length), 3)
        return self.seconds_per_trial or 0.0

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that a participant meets, as hexadecimal digits, wherever the study was read from."""
        tasks = {
            part: [
                [one.name, dataclasses.asdict(one.env.config), to_text(one.task), one.num_trials]
                for one in self.tasks(part)
            ]
            for part in (PRACTICE, PROBES)
        }
        texts = {"title": self.title, "consent": self.consent, "instructions": self.instructions}
        limits = {"step": self.seconds_per_step, "trial": self.seconds_per_trial, "view": self.view, "seed": self.seed}
        partners = list(self.partners)
        return hashlib.sha256(json.dumps([texts, limits, tasks, partners], sort_keys=True).encode()).hexdigest()


def study_names() -> tuple[str, ...]:
    """The studies that come with xworld."""
    return tuple(sorted(file.name.removesuffix(".toml") for file in _shipped().iterdir()))


def study_text(name: str) -> str:
    """The file of a study that comes with xworld.

    Raises:
      ConfigError: none is called so.
    """
    if name not in study_names():
        raise ConfigError(f"No study is called {name!r}. {did_you_mean(name, study_names())} Or name a .toml file.")
    return (_shipped() / f"{name}.toml").read_text(encoding="utf-8")


def find_study(name: str) -> Study:
    """The study in a TOML file, or one that comes with xworld, by its name.

    Raises:
      ConfigError: there is none, or its file has a mistake.
    """
    path = as_path(name)
    if path.suffix != ".toml":
        return parse_study(study_text(name), Path())
    text = read_text(path, "Name the file of a study.")
    with located(name):
        return parse_study(text, path.parent)


def check_signs(study: Study) -> None:
    """Makes sure that participants can read everything.

    Raises:
      ConfigError: a text has signs that the window's font cannot draw.
    """
    for name in ("title", "consent", "instructions"):
        unknown = unknown_signs(getattr(study, name))
        if unknown:
            raise ConfigError(
                f"{name} has signs that the window's font cannot draw: {' '.join(unknown[:20])}. Write it in Latin, "
                "Greek or Cyrillic letters, without pictures and arrows."
            )


def check_partner(study: Study, partner: str | None) -> None:
    """Makes sure that who plays beside a participant can play in the environments of all tasks.

    Args:
      study: what is gone through.
      partner: one of the study's, None in a study of tasks for one.

    Raises:
      ConfigError: the partner cannot be had, or plays in other environments.
    """
    from xworld.agents.players import EXPERT, player_by_name

    if partner in (None, PERSON, EXPERT):
        return
    tasks = {one.env.config: one for one in (*study.practice, *study.probes)}.values()  # one of each environment
    with located(f"partners: {partner}"):
        for one in tasks:
            task = jax.tree.map(lambda leaf: np.asarray(leaf)[None], one.task)
            player_by_name(study.partners[partner], one.env, task)


def parse_study(text: str, folder: Path) -> Study:
    """The study that the text of a file describes.

    Args:
      text: TOML.
      folder: from where the files are named that it names.

    Raises:
      ConfigError: a mistake in it, or in a file that it names.
    """
    table = parse_toml(text)
    _check_known(table, _FIELDS)
    seed = check_whole("seed", table.get("seed", 0), 0, _MAX_SEED)
    view = table.get("view", "seen")
    if view not in VIEWS:
        raise ConfigError(f"view is {view!r}. {did_you_mean(str(view), VIEWS)}")
    limits = {name: _seconds(table, name) for name in ("seconds_per_step", "seconds_per_trial")}
    if list(limits.values()).count(None) != 1:
        raise ConfigError("Write either seconds_per_step or seconds_per_trial: trials have one time limit.")
    num_trials = table.get("num_trials")
    wanted = "write the numbers of trials of probes, as [1, 2, 3, 5, 8]."
    if not isinstance(num_trials, list) or not num_trials:
        raise ConfigError(f"num_trials is {num_trials!r}; {wanted}")
    of_probes = tuple(check_whole("num_trials", number, 1, MAX_TRIALS) for number in num_trials)
    if len(set(of_probes)) < len(of_probes):
        raise ConfigError(f"num_trials is {num_trials!r}, with one twice; {wanted}")
    practice = table.get(PRACTICE, [])
    partners = _read_partners(table["partners"], folder) if "partners" in table else {}
    where = folder, seed, 2 if partners else 1
    return Study(
        title=_text(table, "title"),
        consent=_text_or_file(table, "consent", folder),
        instructions=_text_or_file(table, "instructions", folder),
        practice=_read_tasks(practice, PRACTICE, None, where) if practice else (),
        probes=_read_tasks(table.get(PROBES), PROBES, of_probes, where),
        **limits,
        view=view,
        seed=seed,
        partners=partners,
    )


def _read_partners(names: Any, folder: Path) -> dict[str, str]:
    """Who may play beside a participant, by the names that the file has; folders are looked for from its own."""
    from xworld.agents.players import PRETRAINED_DUO, SEARCHER, SEARCHER_WITHOUT_MEMORY, agent_folder

    wanted = f'write who may play beside a participant, as ["{PERSON}", "{PRETRAINED_DUO}"].'
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"partners is {names!r}; {wanted}")
    if len(set(names)) < len(names):
        raise ConfigError(f"partners is {names!r}, with one twice; {wanted}")
    found = {}
    for name in names:
        if name in (SEARCHER, SEARCHER_WITHOUT_MEMORY):
            raise ConfigError(f"partners: a {name} moves the first agent only. Name another player.")
        found[name] = str(folder / name) if (folder / name).exists() else name
        path = None if name == PERSON else agent_folder(found[name])
        if path is not None and not path.exists():
            raise ConfigError(f"partners: there is no player and no folder {name!r}; {wanted}")
    return found


def _read_tasks(
    entries: Any, part: str, num_trials: tuple[int, ...] | None, where: tuple[Path, int, int]
) -> tuple[StudyTask, ...]:
    """The tasks of [[practice]] or [[probes]]; those of practice have their own numbers of trials.

    Args:
      entries: the tables.
      part: "practice" or "probes".
      num_trials: of each probe.
      where: the folder of the file, the study's seed, and for how many agents tasks are.
    """
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(f'{part} is {entries!r}; write one or more tables [[{part}]] with source = "...".')
    found: list[StudyTask] = []
    for number, entry in enumerate(entries, start=1):
        with located(f"[[{part}]] number {number}"):
            _check_known(entry, ("source", "number") if num_trials else ("source", "number", "num_trials"))
            of_entry = num_trials
            if num_trials is None and "num_trials" in entry:
                of_entry = (check_whole("num_trials", entry["num_trials"], 1, MAX_TRIALS),)
            size = check_whole("number", entry.get("number", 1), 1, 10_000)
            found += _take(_text(entry, "source"), size, of_entry, where)
    return tuple(found)


def _take(name: str, size: int, num_trials: tuple[int, ...] | None, where: tuple[Path, int, int]) -> list[StudyTask]:
    """The first tasks of a source; of an environment that has tasks for one and for two, those for as many as asked."""
    folder, seed, num_agents = where
    suffix = Path(name).suffix
    if suffix == SUFFIX:
        raise ConfigError(f"{name} is a history, which has been played already. Name tasks.")
    source = tasks_by_name(str(folder / name) if suffix in (".toml", ".npz") else name, seed)
    taken: list[StudyTask] = []
    for number in itertools.count():
        if len(taken) == size:
            return taken
        found = source.task(number)
        if found is None:
            raise ConfigError(f"number is {size}, but {name} has {number} tasks only.")
        env, task, task_name = found
        num_present = int(task.is_present.sum())
        if num_present == num_agents:
            taken.append(StudyTask(task_name, env, task, num_trials or (int(task.num_trials),)))
        elif not isinstance(source, Sampled) or number >= _MOST_SKIPPED * size:
            advice = "Name tasks for two, or leave partners out." if num_agents == 2 else "Name tasks for one."
            if num_agents == 1 and num_present == 2:
                advice = 'Name tasks for one, or write who plays the other, as partners = ["person"].'
            raise ConfigError(f"{task_name} is for {num_present} agents, the study for {num_agents}. {advice}")
    raise AssertionError("numbers have no end")


def _check_known(table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in table:
        if name not in known:
            raise ConfigError(f"There is no field {name!r}. {did_you_mean(name, known)}")


def _text(table: Mapping[str, Any], name: str) -> str:
    value = table.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{name} is {'missing' if value is None else repr(value)}; write a text.")
    return value.strip()


def _text_or_file(table: Mapping[str, Any], name: str, folder: Path) -> str:
    if (name in table) == (f"{name}_file" in table):
        raise ConfigError(f"Write either {name}, a text, or {name}_file, the name of a file with it.")
    if name in table:
        return _text(table, name)
    text = read_text(folder / _text(table, f"{name}_file"), f"Write in {name}_file which file it is.")
    return _text({f"{name}_file": text}, f"{name}_file")


def _seconds(table: Mapping[str, Any], name: str) -> float | None:
    value = table.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= _MAX_SECONDS:
        raise ConfigError(f"{name} is {value!r}; write a number of seconds above 0, a day at most.")
    return float(value)


def _shipped() -> Any:
    return resources.files("xworld.apps.study") / "studies"
