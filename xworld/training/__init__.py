"""Training over episodes of many trials. Start with `run/trainer.py`, whose `update` is the whole idea."""

from xworld.base.xla.devices import use_host_devices
from xworld.training.curriculum.curriculum import Curriculum
from xworld.training.devices.devices import join_processes
from xworld.training.learners.configs import LEARNERS, LearnerConfig
from xworld.training.learners.learner import Batch, Learner, Report, Trained, add_terms
from xworld.training.learners.optimiser import OptimiserConfig
from xworld.training.learners.ppo import PPOConfig
from xworld.training.learners.terms.prediction import Prediction
from xworld.training.learners.terms.teacher import Teacher
from xworld.training.learners.terms.term import Term
from xworld.training.logs.loggers import Logger
from xworld.training.logs.metrics import mean_row
from xworld.training.rollouts.partners import Partners
from xworld.training.rollouts.rollout import Rollout, Steps, unroll
from xworld.training.run.checkpoint import load_config
from xworld.training.run.config import RunConfig
from xworld.training.run.finetune import check_not_fine_tuned, finetune
from xworld.training.run.given import Given
from xworld.training.run.loop import TrainingDiverged, train
from xworld.training.run.presets import PRESETS
from xworld.training.run.trainer import Trainer, make_trainer

__all__ = [
    "LEARNERS",
    "PRESETS",
    "Batch",
    "Curriculum",
    "Given",
    "Learner",
    "LearnerConfig",
    "Logger",
    "OptimiserConfig",
    "PPOConfig",
    "Partners",
    "Prediction",
    "Report",
    "Rollout",
    "RunConfig",
    "Steps",
    "Teacher",
    "Term",
    "Trained",
    "Trainer",
    "TrainingDiverged",
    "add_terms",
    "check_not_fine_tuned",
    "finetune",
    "join_processes",
    "load_config",
    "make_trainer",
    "mean_row",
    "train",
    "unroll",
    "use_host_devices",
]
