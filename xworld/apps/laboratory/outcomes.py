"""What an experiment keeps in its folder: its options, and what came out of each run, or where the run diverged.

A run leaves `outcome.json` in its folder when it is finished, or `diverged.json`, and is not done again; the baselines
leave an outcome too. Before the first run, `options.json` is written into the experiment's folder: without it, what a
miniature has recorded and trained would be taken for the whole experiment's.
"""

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xworld.apps.laboratory.experiment import BASELINES, Experiment, Job, Outcome
from xworld.base.errors import ConfigError, located
from xworld.base.files import check_folder, parse_json, read_text, write_atomically
from xworld.base.xla.devices import num_cores
from xworld.evaluation import Scores
from xworld.training import TrainingDiverged

OUTCOME, DIVERGED, OPTIONS = "outcome.json", "diverged.json", "options.json"
_DIGITS = 4  # of a return in a file
_CHECK_DIGITS = 16  # hexadecimal, of what tells outcomes apart


def run_job(experiment: Experiment, job: Job) -> None:
    """Does one run, or plays the baselines, and writes what comes out, or where the run diverged."""
    content: dict[str, Any] = {"experiment": experiment.name, "options": options_of(job)}
    try:
        name, found = OUTCOME, _of_baselines(experiment, job) if job.arm == BASELINES else _of_run(experiment, job)
    except TrainingDiverged as error:
        name, found = DIVERGED, {"steps": error.steps, "reason": str(error)}
    text = json.dumps(content | found | {"machine": _machine()}, separators=(",", ":")) + "\n"
    write_atomically(check_folder(job.folder) / name, text.encode())


def read_outcome(experiment: Experiment, job: Job) -> dict[str, Any] | None:
    """What a finished run has written; None if it is not finished.

    Raises:
      ConfigError: it is damaged, of another experiment, or of other options.
    """
    return _read(experiment, job, OUTCOME, ("options", "returns", "machine"))


def read_divergence(experiment: Experiment, job: Job) -> dict[str, Any] | None:
    """After which "steps" a run diverged, and for which "reason"; None if it did not. Errors as of `read_outcome`."""
    return _read(experiment, job, DIVERGED, ("options", "steps", "reason"))


def options_of(job: Job) -> dict[str, Any]:
    """What all runs of an experiment have in common, beside its name."""
    return {"is_quick": job.is_quick, "total_steps": job.total_steps}


def check_options(experiment: Experiment, folder: Path, options: Mapping[str, Any]) -> None:
    """Makes sure that a folder is this experiment's, with these options, if it has a file that says so.

    Raises:
      ConfigError: it is another's, or of other options, or the file is damaged.
    """
    path, here = folder / OPTIONS, {"experiment": experiment.name, **options}
    if not path.exists():  # nothing has begun, or the folder has results alone, whose outcomes have the options
        return
    with located(f"{path} is damaged; remove the folder, or choose another"):
        there = parse_json(read_text(path))
        if not isinstance(there, dict) or there.keys() != here.keys():
            raise ConfigError("It has not what an experiment writes.")
    changed = [f"{name}: {there[name]} there, {value} here" for name, value in here.items() if there[name] != value]
    if changed:
        raise ConfigError(
            f"{folder} was begun with other options ({'; '.join(changed)}). Choose another --output, or the same "
            "options."
        )


def keep_options(experiment: Experiment, folder: Path, options: Mapping[str, Any]) -> None:
    """Writes the file that `check_options` reads."""
    text = json.dumps({"experiment": experiment.name, **options}) + "\n"
    write_atomically(folder / OPTIONS, text.encode())


def checksum(job: Job) -> str:
    """Of the outcome of a finished run: that of one that was removed and trained again is another."""
    return hashlib.sha256(read_text(job.folder / OUTCOME).encode()).hexdigest()[:_CHECK_DIGITS]


def rounded(values: np.ndarray) -> Any:
    """Returns as they stand in files."""
    return np.asarray(values, np.float64).round(_DIGITS).tolist()


def _read(experiment: Experiment, job: Job, name: str, fields: Iterable[str]) -> dict[str, Any] | None:
    path = job.folder / name
    if not path.exists():
        return None
    with located(f"{path} is damaged; remove it, and the run is evaluated again"):
        content = parse_json(read_text(path))
        if not isinstance(content, dict) or not {*fields} <= content.keys():
            raise ConfigError("It has not what a run writes.")
    of_experiment = content.get("experiment", experiment.name)  # older files do not say it
    if of_experiment != experiment.name:
        raise ConfigError(
            f"{job.folder} is a run of the experiment {of_experiment!r}, not of {experiment.name!r}. Choose another "
            "--output."
        )
    if content["options"] != options_of(job):
        raise ConfigError(
            f"{job.folder} was run with other options: {content['options']}, here {options_of(job)}. Choose another "
            "--output, or the same options."
        )
    return content


def _of_baselines(experiment: Experiment, job: Job) -> dict[str, Any]:
    """Returns of other players, and what scores 1; of several exams by name."""
    found = experiment.baselines(job)
    if not isinstance(found, Mapping):
        _check_names(experiment, [found])
        return _of_scores(found)
    _check_names(experiment, found.values())
    return {"returns": {}, "exams": {name: _of_scores(one) for name, one in found.items()}}


def _of_run(experiment: Experiment, job: Job) -> dict[str, Any]:
    """Returns of an arm with a seed, and what else was measured."""
    outcome: Outcome = experiment.run(job)
    content: dict[str, Any] = {"returns": _as_json({job.arm: outcome.returns}), "numbers": dict(outcome.numbers)}
    if outcome.by_task:
        content["by_task"] = {name: rounded(values) for name, values in outcome.by_task.items()}
    if outcome.exams:
        content["exams"] = {name: {"returns": _as_json({job.arm: one})} for name, one in outcome.exams.items()}
    return content


def _check_names(experiment: Experiment, baselines: Iterable[Scores]) -> None:
    """Refuses a player that is called as an arm is: they would be told of as one."""
    for name in {name for scores in baselines for name in scores.returns} & set(experiment.arms):
        raise ConfigError(f"{experiment.name} has an arm {name!r} and a player of that name. Call the arm otherwise.")


def _of_scores(scores: Scores) -> dict[str, Any]:
    returns = {name: {k: rows[0] for k, rows in by_k.items()} for name, by_k in scores.returns.items()}
    reference = {"kind": scores.reference.kind, "best": rounded(scores.reference.best)}
    return {"returns": _as_json(returns), "reference": reference}


def _as_json(returns: Mapping[str, Mapping[int, np.ndarray]]) -> dict[str, dict[str, Any]]:
    """By player and number of trials."""
    return {player: {str(k): rounded(values) for k, values in by_k.items()} for player, by_k in returns.items()}


def _machine() -> dict[str, Any]:
    """What a run was done on."""
    return {
        "device": jax.devices()[0].device_kind,
        "num_devices": jax.device_count(),
        "num_cores": num_cores(),
        "versions": {"python": platform.python_version(), "jax": jax.__version__},
    }
