"""Cross-play of an experiment's runs: the agents of each arm, and some of all arms. Stops, and goes on."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xworld.apps.laboratory.experiment import ALL_ARMS, Experiment, Job
from xworld.apps.laboratory.outcomes import checksum, options_of, rounded
from xworld.base.errors import ConfigError, located
from xworld.base.files import parse_json, read_text, write_atomically
from xworld.base.xla.devices import num_cores, use_devices
from xworld.evaluation import CrossPlay
from xworld.evaluation.scores.store import ReturnsStore

_PAIRS = "cross-play"  # the folder of what pairs of agents earn, by family
_OF_EACH_ARM = 2  # agents that play with those of other arms


def agent_name(job: Job) -> str:
    """`ARM SEED CHECKSUM`, what a run's agent is called in a store: one that was trained again has another name."""
    return f"{job.arm} {job.seed} {checksum(job)}"


def play_all(experiment: Experiment, folder: Path, runs: Sequence[Job], *, can_play: bool) -> dict[str, CrossPlay]:
    """How the runs of each arm play with each other, and two of each arm with those of the others.

    What came out is kept in a file, and what two earn as soon as they have played: one that was stopped goes on. What
    is not kept is left out if it cannot be played, or if a run has no agent any more, as in a folder of results alone.

    Args:
      experiment: whose.
      folder: of the experiment.
      runs: finished ones.
      can_play: whether what is not kept is played.

    Raises:
      ConfigError: such a file is damaged.
    """
    found: dict[str, CrossPlay] = {}
    for title, group in _groups(experiment, runs).items():
        path = folder / f"{title.replace(', ', '-').replace(' ', '-')}-cross-play.json"
        about = {
            "runs": [job.folder.name for job in group],
            "outcomes": [checksum(job) for job in group],
            **options_of(group[0]),
        }
        played = _read(path, about)
        if played is None and can_play:
            played = _play(experiment, group, path, about)
        if played is not None:
            found[title] = played
    return found


def _groups(experiment: Experiment, runs: Sequence[Job]) -> dict[str, list[Job]]:
    """By title, the runs that play with each other: those of an arm, and the first two of all arms."""
    of_arms: dict[str, list[Job]] = {}
    of_all: dict[str, list[Job]] = {}
    for job in runs if experiment.cross_play is not None else ():
        prefix = f"{job.family}, " if len(experiment.families) > 1 else ""
        of_arm = of_arms.setdefault(f"{prefix}{job.arm}", [])
        of_arm.append(job)
        if len(of_arm) <= _OF_EACH_ARM:
            of_all.setdefault(f"{prefix}{ALL_ARMS}", []).append(job)
    several = {title: group for title, group in of_arms.items() if len(group) > 1}
    return several | {title: group for title, group in of_all.items() if len({job.arm for job in group}) > 1}


def _play(experiment: Experiment, group: Sequence[Job], path: Path, about: Mapping[str, Any]) -> CrossPlay | None:
    """What the runs' agents earn with each other, kept in a file; None, with a line that says why, if one is gone."""
    assert experiment.cross_play is not None  # or there would be no groups
    print(f"{path.stem} begins.", flush=True)
    use_devices(num_cores())
    about_store = {"experiment": experiment.name, **options_of(group[0])}
    store = ReturnsStore(path.parent / _PAIRS / group[0].family, about_store)
    try:
        played = experiment.cross_play(group, store)
    except ConfigError as error:
        print(f"{path.stem} is left out: {error}", flush=True)
        return None
    played = dataclasses.replace(played, names=tuple(f"{job.arm} {job.seed}" for job in group))
    content = {**about, "players": played.names, "measure": played.measure, "returns": rounded(played.returns)}
    write_atomically(path, (json.dumps(content, separators=(",", ":")) + "\n").encode())
    return _read(path, about)  # as every later report has it, with as many digits


def _read(path: Path, about: Mapping[str, Any]) -> CrossPlay | None:
    """What a file has of these runs; None if there is none, or it is of others, or of agents that are gone."""
    if not path.exists():
        return None
    with located(f"{path} is damaged; remove it, and it is played again"):
        content = parse_json(read_text(path))
        if not isinstance(content, dict) or not {"players", "measure", "returns"} <= content.keys():
            raise ConfigError("It has not what cross-play writes.")
    if {name: content.get(name) for name in about} != about:
        if content.get("runs") == about["runs"]:
            print(f"{path.name} is of runs that have been trained again since, and is not used.", flush=True)
        return None
    return CrossPlay(tuple(content["players"]), np.array(content["returns"]), content["measure"])
