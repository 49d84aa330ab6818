"""An experiment without training: what a run earns is known, and each run says in a file that it was done."""

import time

import numpy as np

from xworld import ConfigError
from xworld.apps.laboratory import Experiment, Job, Outcome
from xworld.evaluation import Reference, Scores
from xworld.training import TrainingDiverged
from xworld.training.stopping import stop_signals

TASKS = np.linspace(1, 2, 6)[:, None] * np.ones(3)  # [6, 3] what the expert earns


def run(job: Job) -> Outcome:
    """Half of what the expert earns, or a quarter; the run counts how often it was done."""
    if job.arm == "low" and job.seed == 13:
        raise ConfigError("13 brings bad luck.")
    if job.seed == 14 or (job.arm, job.seed) == ("high", 15):
        raise TrainingDiverged("The loss is nan. Try something else.", 2500)
    job.folder.mkdir(parents=True, exist_ok=True)
    if job.seed == 17:
        _wait_and_save(job)
    count = job.folder / "count"
    count.write_text(str(int(count.read_text()) + 1 if count.exists() else 1))
    share = {"high": 0.5, "low": 0.25}[job.arm] + job.seed / 100 - (job.family == "hard") / 5
    return Outcome({3: share * TASKS}, {"luck": job.seed})


def _wait_and_save(job: Job) -> None:
    """Waits until it is asked to stop; saving takes a while."""
    with stop_signals() as stop:
        (job.folder / "begun").touch()
        while not stop.is_set():  # a signal inside `stop.wait`, which sets it, can hang
            time.sleep(0.05)
        time.sleep(1)
        (job.folder / "saved").touch()
    raise KeyboardInterrupt


EXPERIMENT = Experiment(
    name="toy",
    question="Is <high> above low?",
    arms=("high", "low"),
    seeds=(0, 2),
    cost="nothing",
    run=run,
    baselines=lambda job: Scores(
        {"noop": {3: 0 * TASKS[None]}, "expert": {3: TASKS[None]}}, Reference("the expert", TASKS)
    ),
)
