"""Runs an experiment: its arms times its seeds, one after the other or side by side. Stops, and goes on.

A run that is finished, or has diverged, is not done again; `outcomes.py` has the files that say so.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from xworld.apps.laboratory.crossing import play_all
from xworld.apps.laboratory.experiment import BASELINES, Experiment, Job, run_name
from xworld.apps.laboratory.outcomes import (
    DIVERGED,
    OUTCOME,
    check_options,
    keep_options,
    read_divergence,
    read_outcome,
    run_job,
)
from xworld.apps.laboratory.report.missing import describe_missing
from xworld.apps.laboratory.report.write import write_report
from xworld.base.checks import check_set, check_whole
from xworld.base.errors import ConfigError
from xworld.base.files import check_folder, locked
from xworld.base.xla.devices import num_cores, use_devices
from xworld.training.stopping import stop_signals

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

    A run that diverges says so in a file, and the others go on; the report tells of what is not in its scores.

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
      ConfigError: an unknown family or arm, a number that cannot be, a folder of other options, or a run that failed;
        or nothing is finished, of a report only.
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
        if experiment.why_no_steps is not None:
            raise ConfigError(f"{experiment.why_no_steps}. Leave --total-steps out.")
    folder = check_folder(folder)
    jobs = _jobs(experiment, folder, families, arms, seeds, is_quick, total_steps)
    options = {"is_quick": is_quick, "total_steps": total_steps}
    with locked(folder):
        check_options(experiment, folder, options)
        if not is_report_only:
            pending = [job for job in jobs if not _is_over(experiment, job)]
            if pending:
                keep_options(experiment, folder, options)
            _do(experiment, pending, num_jobs)
        return _report(experiment, folder, jobs, can_play=not is_report_only)


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


def _is_over(experiment: Experiment, job: Job) -> bool:
    """Whether a run is finished, or has diverged."""
    return read_outcome(experiment, job) is not None or read_divergence(experiment, job) is not None


def _report(experiment: Experiment, folder: Path, jobs: Sequence[Job], *, can_play: bool) -> dict[str, Any]:
    """Writes the report of those that are finished, of families of which a run and the baselines are.

    Raises:
      ConfigError: there are none, and none diverged.
    """
    done = {job: outcome for job in jobs if (outcome := read_outcome(experiment, job)) is not None}
    rest = [job for job in jobs if job not in done]
    diverged = {job: found for job in rest if (found := read_divergence(experiment, job)) is not None}
    played = {job.family for job in done if job.arm == BASELINES}
    trained = {job.family for job in done if job.arm != BASELINES}
    kept = [(job, outcome) for job, outcome in done.items() if job.family in played & trained]
    if not kept and not diverged:
        raise ConfigError(
            f"{folder} has no finished run of {experiment.name} and its tasks' baselines. Leave --report-only out."
        )
    runs = [job for job, _ in kept if job.arm != BASELINES]
    cross_plays = play_all(experiment, folder, runs, can_play=can_play)
    missing = describe_missing(experiment, jobs, list(done), diverged)
    return write_report(experiment, folder, kept, cross_plays, missing)


def _do(experiment: Experiment, pending: Sequence[Job], num_jobs: int) -> None:
    """Does the runs that are not done yet. Those that need a run that diverged are left out."""
    if num_jobs > 1 and len(pending) > 1:
        _run_side_by_side(experiment, pending, num_jobs)
        return
    use_devices(num_cores())
    for job in pending:
        if not _is_ready(experiment, job):
            _leave_out(experiment, job)
            continue
        print(f"{job.folder.name} begins.", flush=True)
        run_job(experiment, job)
        if read_outcome(experiment, job) is None:
            _say_diverged(job)


def _leave_out(experiment: Experiment, job: Job) -> None:
    print(f"{job.folder.name} is left out: it needs {job.beside(experiment.needs[job.arm]).name}.", flush=True)


def _say_diverged(job: Job) -> None:
    print(f"{job.folder.name} diverged; {job.folder / DIVERGED} says how.", flush=True)


@dataclass(frozen=True)
class _Process:
    """A job in a process of its own."""

    job: Job
    log: Path
    process: "subprocess.Popen[bytes]"
    place: int  # which share of the cores it has


def _run_side_by_side(experiment: Experiment, pending: Sequence[Job], num_jobs: int) -> None:
    """`num_jobs` processes at a time. A signal asks them once to stop, and they save; again, and they end at once."""
    waiting, running = list(pending), list[_Process]()
    with stop_signals() as stop:
        try:
            while waiting or running:
                places = sorted(set(range(num_jobs)) - {one.place for one in running})
                while places and (job := next((one for one in waiting if _is_ready(experiment, one)), None)):
                    waiting.remove(job)
                    running.append(_start(experiment, job, places.pop(0), num_jobs))
                if not running:  # what is waited for has diverged
                    break
                time.sleep(_SECONDS_BETWEEN_LOOKS)  # a signal inside `stop.wait`, which sets it, can hang
                if stop.is_set():
                    raise KeyboardInterrupt
                for one in [one for one in running if one.process.poll() is not None]:
                    running.remove(one)
                    _check(experiment, one)
        finally:
            try:
                _end(running)  # training saves before it ends
            except KeyboardInterrupt:
                _end(running)
                raise
    for job in waiting:
        _leave_out(experiment, job)


def _end(running: Sequence[_Process]) -> None:
    for one in running:
        one.process.terminate()
    for one in running:
        one.process.wait()


def _is_ready(experiment: Experiment, job: Job) -> bool:
    """Whether the run that it needs is finished, if it needs one."""
    needed = experiment.needs.get(job.arm)
    return needed is None or (job.beside(needed) / OUTCOME).exists()


def _start(experiment: Experiment, job: Job, place: int, num_jobs: int) -> _Process:
    log = job.folder.with_name(f"{job.folder.name}.log")
    words = experiment.run.__module__, job.family, job.arm, job.seed, job.folder, job.is_quick, job.total_steps or 0
    print(f"{job.folder.name} begins; {log} says how it goes.", flush=True)
    with _cores(place, num_jobs), log.open("wb") as file:
        command = [sys.executable, "-m", "xworld.apps.laboratory.worker", *map(str, words)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    return _Process(job, log, process, place)


def _check(experiment: Experiment, one: _Process) -> None:
    """Makes sure that a process that has ended has done its run, as far as that goes."""
    if not _is_over(experiment, one.job):
        lines = one.log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        raise ConfigError(f"{one.job.folder.name} ended without an outcome: {last.strip()} See {one.log}.")
    if read_outcome(experiment, one.job) is None:
        _say_diverged(one.job)
    else:
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
