"""Runs an experiment: its arms times its seeds, one after the other or side by side. Stops, and goes on.

A run leaves `outcome.json` in its folder when it is finished, and is not done again; the baselines leave one too.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xworld.apps.laboratory.experiment import ALL_ARMS, BASELINES, Experiment, Job, Outcome, run_name
from xworld.apps.laboratory.report.write import write_report
from xworld.base.checks import check_set, check_whole
from xworld.base.errors import ConfigError, located
from xworld.base.files import check_folder, locked, parse_json, read_text, write_atomically
from xworld.base.xla.devices import num_cores, use_devices
from xworld.evaluation import CrossPlay, Scores
from xworld.evaluation.scores.store import ReturnsStore

_OUTCOME = "outcome.json"
_PAIRS = "cross-play"  # the folder of what pairs of agents earn, by family
_DIGITS = 4  # of a return in a file
_OF_EACH_ARM = 2  # agents that play with those of other arms
_SECONDS_BETWEEN_LOOKS = 0.2


def run_experiment(
    experiment: Experiment,
    folder: Path,
    *,
    families: Sequence[str] = (),
    arms: Sequence[str] = (),
    seeds: Sequence[int] = (),
    is_quick: bool = False,
    total_steps: int | None = None,
    num_jobs: int = 1,
    is_report_only: bool = False,
) -> dict[str, Any]:
    """Does all runs that are not finished, and writes a table, a figure and a page of all that were asked for.

    Args:
      experiment: what is done.
      folder: made if it is not there; each run has a folder in it.
      families: some of the experiment's; by default all.
      arms: likewise.
      seeds: of all arms; by default those that the experiment has for each, in miniature the first of them.
      is_quick: in miniature.
      total_steps: environment steps of each run, in place of the experiment's own.
      num_jobs: runs side by side, each in a process with its share of the cores.
      is_report_only: nothing is run; the report is of what is finished.

    Returns:
      The content of the JSON file.

    Raises:
      ConfigError: an unknown family or arm, a number that cannot be, a folder of other options, or a run that failed.
      KeyboardInterrupt: stopped by a signal; what was done is kept.
    """
    families = check_set("--families", tuple(families) or experiment.families, experiment.families)
    arms = check_set("--arms", tuple(arms) or experiment.arms, experiment.arms)
    needed = {*arms, *(experiment.needs[arm] for arm in arms if arm in experiment.needs)}
    arms = tuple(arm for arm in experiment.arms if arm in needed)  # whatever their order: the first is compared with
    seeds = [check_whole("A seed", seed, 0, 2**32 - 1) for seed in dict.fromkeys(seeds)]
    check_whole("--jobs", num_jobs, 1)
    if total_steps is not None:
        check_whole("--total-steps", total_steps, 1)
    folder = check_folder(folder)
    jobs = _jobs(experiment, folder, families, arms, seeds, is_quick, total_steps)
    with locked(folder):
        if is_report_only:
            jobs = _finished(experiment, folder, jobs)
        else:
            _do(experiment, jobs, num_jobs)
        found = [(job, outcome) for job in jobs if (outcome := _read(experiment, job)) is not None]
        cross_plays = _cross_plays(experiment, folder, jobs, can_play=not is_report_only)
        return write_report(experiment, folder, found, cross_plays)


def _jobs(
    experiment: Experiment,
    folder: Path,
    families: Sequence[str],
    arms: Sequence[str],
    seeds: Sequence[int],
    is_quick: bool,
    total_steps: int | None,
) -> list[Job]:
    """A run for each family, arm of it and seed, and one for each family's baselines.

    Raises:
      ConfigError: a family has none of the arms.
    """
    jobs: list[Job] = []
    for family in families:
        prefix = f"{family}-" if len(experiment.families) > 1 else ""
        seeds_of = {
            arm: seeds or experiment.seeds_for(family, arm)[: 1 if is_quick else None]
            for arm in arms
            if experiment.has(family, arm)
        }
        jobs += [
            Job(family, arm, seed, folder / f"{prefix}{run_name(arm, seed)}", is_quick, total_steps)
            for seed in dict.fromkeys(chain(*seeds_of.values()))  # so that a part of them already compares all arms
            for arm, of_arm in seeds_of.items()
            if seed in of_arm
        ]
        if not jobs or jobs[-1].family != family:
            raise ConfigError(f"The family {family!r} has none of the arms {list(arms)}. Leave it or them out.")
        jobs.append(Job(family, BASELINES, 0, folder / f"{prefix}{BASELINES}", is_quick))
    return jobs


def _finished(experiment: Experiment, folder: Path, jobs: Sequence[Job]) -> list[Job]:
    """Those that are finished, of families of which a run and the baselines are.

    Raises:
      ConfigError: there are none.
    """
    done = [job for job in jobs if _read(experiment, job) is not None]
    played = {job.family for job in done if job.arm == BASELINES}
    trained = {job.family for job in done if job.arm != BASELINES}
    found = [job for job in done if job.family in played & trained]
    if not found:
        raise ConfigError(
            f"{folder} has no finished run of {experiment.name} and its tasks' baselines. Leave --report-only out."
        )
    return found


def _do(experiment: Experiment, jobs: Sequence[Job], num_jobs: int) -> None:
    """Does the runs that are not done yet."""
    pending = [job for job in jobs if _read(experiment, job) is None]
    if num_jobs > 1 and len(pending) > 1:
        _run_side_by_side(experiment, pending, num_jobs)
    else:
        use_devices(num_cores())
        for job in pending:
            print(f"{job.folder.name} begins.", flush=True)
            run_job(experiment, job)


def run_job(experiment: Experiment, job: Job) -> None:
    """Does one run, or plays the baselines, and writes what comes out."""
    content: dict[str, Any] = {"experiment": experiment.name, "options": _options(job)}
    if job.arm == BASELINES:
        found = experiment.baselines(job)
        _check_names(experiment, found.values() if isinstance(found, Mapping) else (found,))
        content |= {"returns": {}} if isinstance(found, Mapping) else _of_baselines(found)
        exams = {name: _of_baselines(one) for name, one in found.items()} if isinstance(found, Mapping) else {}
    else:
        outcome: Outcome = experiment.run(job)
        content |= {"returns": _as_json({job.arm: outcome.returns}), "numbers": dict(outcome.numbers)}
        by_task = {name: _rounded(values) for name, values in outcome.by_task.items()}
        content |= {"by_task": by_task} if by_task else {}
        exams = {name: {"returns": _as_json({job.arm: returns})} for name, returns in outcome.exams.items()}
    content |= {"exams": exams} if exams else {}
    content["machine"] = _machine()
    text = json.dumps(content, separators=(",", ":")) + "\n"
    write_atomically(check_folder(job.folder) / _OUTCOME, text.encode())


def _check_names(experiment: Experiment, baselines: Iterable[Scores]) -> None:
    """Refuses a player that is called as an arm is: they would be told of as one."""
    for name in {name for scores in baselines for name in scores.returns} & set(experiment.arms):
        raise ConfigError(f"{experiment.name} has an arm {name!r} and a player of that name. Call the arm otherwise.")


def _of_baselines(scores: Scores) -> dict[str, Any]:
    """Returns of other players, and what scores 1."""
    returns = {name: {k: rows[0] for k, rows in by_k.items()} for name, by_k in scores.returns.items()}
    reference = {"kind": scores.reference.kind, "best": _rounded(scores.reference.best)}
    return {"returns": _as_json(returns), "reference": reference}


def _as_json(returns: Mapping[str, Mapping[int, np.ndarray]]) -> dict[str, dict[str, Any]]:
    """By player and number of trials."""
    return {player: {str(k): _rounded(values) for k, values in by_k.items()} for player, by_k in returns.items()}


def _cross_plays(experiment: Experiment, folder: Path, jobs: Sequence[Job], *, can_play: bool) -> dict[str, CrossPlay]:
    """How the runs of each arm play with each other, and two of each arm with those of the others.

    What came out is kept in a file, and what two earn as soon as they have played: one that was stopped goes on. What
    is not kept is left out if it cannot be played, or if a run has no agent any more, as in a folder of results alone.

    Raises:
      ConfigError: such a file is damaged.
    """
    found: dict[str, CrossPlay] = {}
    for title, runs in _groups(experiment, jobs).items():
        path = folder / f"{title.replace(', ', '-').replace(' ', '-')}-cross-play.json"
        about = {"runs": [job.folder.name for job in runs], **_options(runs[0])}
        played = _read_cross_play(path, about)
        if played is None and can_play:
            played = _play_together(experiment, runs, path, about)
        if played is not None:
            found[title] = played
    return found


def _play_together(
    experiment: Experiment, runs: Sequence[Job], path: Path, about: Mapping[str, Any]
) -> CrossPlay | None:
    """What the runs' agents earn with each other, kept in a file; None, with a line that says why, if one is gone."""
    assert experiment.cross_play is not None  # or there would be no groups
    print(f"{path.stem} begins.", flush=True)
    use_devices(num_cores())
    store = ReturnsStore(path.parent / _PAIRS / runs[0].family, {"experiment": experiment.name, **_options(runs[0])})
    try:
        played = experiment.cross_play(runs, store)
    except ConfigError as error:
        print(f"{path.stem} is left out: {error}", flush=True)
        return None
    content = {**about, "players": played.names, "measure": played.measure, "returns": _rounded(played.returns)}
    write_atomically(path, (json.dumps(content, separators=(",", ":")) + "\n").encode())
    return _read_cross_play(path, about)  # as every later report has it, with as many digits


def _groups(experiment: Experiment, jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """By title, the runs that play with each other: those of an arm, and the first two of all arms."""
    of_arms: dict[str, list[Job]] = {}
    of_all: dict[str, list[Job]] = {}
    for job in jobs if experiment.cross_play is not None else ():
        if job.arm != BASELINES:
            prefix = f"{job.family}, " if len(experiment.families) > 1 else ""
            of_arm = of_arms.setdefault(f"{prefix}{job.arm}", [])
            of_arm.append(job)
            if len(of_arm) <= _OF_EACH_ARM:
                of_all.setdefault(f"{prefix}{ALL_ARMS}", []).append(job)
    several = {title: runs for title, runs in of_arms.items() if len(runs) > 1}
    return several | {title: runs for title, runs in of_all.items() if len({job.arm for job in runs}) > 1}


def _read_cross_play(path: Path, about: Mapping[str, Any]) -> CrossPlay | None:
    """What a file has of these runs; None if there is none, or it is of others."""
    if not path.exists():
        return None
    with located(f"{path} is damaged; remove it, and it is played again"):
        content = parse_json(read_text(path))
        if not isinstance(content, dict) or not {"players", "measure", "returns"} <= content.keys():
            raise ConfigError("It has not what cross-play writes.")
    if {name: content.get(name) for name in about} != about:
        return None
    return CrossPlay(tuple(content["players"]), np.array(content["returns"]), content["measure"])


def _rounded(values: np.ndarray) -> Any:
    return np.asarray(values, np.float64).round(_DIGITS).tolist()


def _read(experiment: Experiment, job: Job) -> dict[str, Any] | None:
    """What a finished run has written; None if it is not finished.

    Raises:
      ConfigError: it is damaged, of another experiment, or of other options.
    """
    path = job.folder / _OUTCOME
    if not path.exists():
        return None
    with located(f"{path} is damaged; remove it, and the run is evaluated again"):
        content = parse_json(read_text(path))
        if not isinstance(content, dict) or not {"options", "returns", "machine"} <= content.keys():
            raise ConfigError("It has not what a run writes.")
    of_experiment = content.get("experiment", experiment.name)  # older files do not say it
    if of_experiment != experiment.name:
        raise ConfigError(
            f"{job.folder} is a run of the experiment {of_experiment!r}, not of {experiment.name!r}. Choose another "
            "--output."
        )
    if content["options"] != _options(job):
        raise ConfigError(
            f"{job.folder} was run with other options: {content['options']}, here {_options(job)}. Choose another "
            "--output, or the same options."
        )
    return content


def _options(job: Job) -> dict[str, Any]:
    return {"is_quick": job.is_quick, "total_steps": job.total_steps}


def _machine() -> dict[str, Any]:
    """What a run was done on."""
    return {
        "device": jax.devices()[0].device_kind,
        "num_devices": jax.device_count(),
        "num_cores": num_cores(),
        "versions": {"python": platform.python_version(), "jax": jax.__version__},
    }


@dataclass(frozen=True)
class _Process:
    """A job in a process of its own."""

    job: Job
    log: Path
    process: "subprocess.Popen[bytes]"
    place: int  # which share of the cores it has


def _run_side_by_side(experiment: Experiment, pending: Sequence[Job], num_jobs: int) -> None:
    """`num_jobs` processes at a time; a signal from the terminal reaches them too, and they save."""
    waiting, running = list(pending), list[_Process]()
    try:
        while waiting or running:
            places = sorted(set(range(num_jobs)) - {one.place for one in running})
            while places and (job := next((one for one in waiting if _is_ready(experiment, one)), None)):
                waiting.remove(job)
                running.append(_start(experiment, job, places.pop(0), num_jobs))
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            for one in [one for one in running if one.process.poll() is not None]:
                running.remove(one)
                _check(experiment, one)
    finally:
        for one in running:
            one.process.terminate()  # training saves before it ends
        for one in running:
            one.process.wait()


def _is_ready(experiment: Experiment, job: Job) -> bool:
    """Whether the run that it needs is finished, if it needs one."""
    needed = experiment.needs.get(job.arm)
    return needed is None or (job.beside(needed) / _OUTCOME).exists()


def _start(experiment: Experiment, job: Job, place: int, num_jobs: int) -> _Process:
    log = job.folder.with_name(f"{job.folder.name}.log")
    words = experiment.run.__module__, job.family, job.arm, job.seed, job.folder, job.is_quick, job.total_steps or 0
    print(f"{job.folder.name} begins; {log} says how it goes.", flush=True)
    with _cores(place, num_jobs), log.open("wb") as file:
        command = [sys.executable, "-m", "xworld.apps.laboratory.worker", *map(str, words)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    return _Process(job, log, process, place)


def _check(experiment: Experiment, one: _Process) -> None:
    """Makes sure that a process that has ended has done its run."""
    if _read(experiment, one.job) is None:
        lines = one.log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        raise ConfigError(f"{one.job.folder.name} ended without an outcome: {last.strip()} See {one.log}.")
    print(f"{one.job.folder.name} is finished.", flush=True)


@contextmanager
def _cores(place: int, num_jobs: int) -> Iterator[None]:
    """Processes started inside get their share of the cores. Only Linux can do that; elsewhere they share all."""
    if not hasattr(os, "sched_setaffinity") or num_cores() < num_jobs:
        yield
        return
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[place::num_jobs])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
