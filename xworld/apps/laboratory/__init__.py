"""The laboratory: experiments that train agents and draw one figure. Start with `experiment.py`."""

from xworld.apps.laboratory.experiment import Experiment, Job, Outcome, experiment_by_name, known_experiments
from xworld.apps.laboratory.runner import run_experiment
from xworld.apps.laboratory.training import Exam, SweepExam, train_to_end

__all__ = [
    "Exam",
    "Experiment",
    "Job",
    "Outcome",
    "SweepExam",
    "experiment_by_name",
    "known_experiments",
    "run_experiment",
    "train_to_end",
]
