"""Training over episodes of many trials. Start with `run/trainer.py`, whose `update` is the whole idea."""

from xworld.base.xla.devices import use_host_devices
from xworld.training.curriculum.configs import CURRICULA, CurriculumConfig
from xworld.training.curriculum.curriculum import Curriculum, Keeping, Searching, Telling
from xworld.training.curriculum.rules.accel import AccelConfig
from xworld.training.curriculum.rules.learnability import LearnabilityConfig
from xworld.training.curriculum.rules.noop import NoopConfig
from xworld.training.curriculum.rules.plr import PLRConfig
from xworld.training.curriculum.rules.progress import ProgressConfig
from xworld.training.curriculum.rules.uniform import UniformConfig
from xworld.training.curriculum.sizes import Sizes
from xworld.training.devices.devices import join_processes
from xworld.training.imitation.config import ImitateConfig
from xworld.training.imitation.imitate import imitate
from xworld.training.imitation.kept import read_heads
from xworld.training.imitation.learner import Imitation, ImitationConfig
from xworld.training.learners.configs import LEARNERS, LearnerConfig
from xworld.training.learners.learner import Batch, Judge, Learner, Report, Trained, add_terms
from xworld.training.learners.optimiser import OptimiserConfig
from xworld.training.learners.plasticity import PlasticityConfig
from xworld.training.learners.ppo import PPOConfig
from xworld.training.learners.terms.inference import TaskInference
from xworld.training.learners.terms.kept import read_teacher, read_teaching, save_teacher
from xworld.training.learners.terms.prediction import Prediction
from xworld.training.learners.terms.teacher import Teacher, TeachingConfig, make_teacher
from xworld.training.learners.terms.term import Advice, Evaluated, Guidance, Term
from xworld.training.logs.loggers import Logger
from xworld.training.logs.metrics import TrainingDiverged, mean_row
from xworld.training.partners.configs import PARTNERS, PartnersConfig, SelfConfig
from xworld.training.partners.fixed import FixedConfig
from xworld.training.partners.noisy_self import NoisySelfConfig
from xworld.training.partners.pool import PoolConfig
from xworld.training.rollouts.demonstrators import Demonstrators, make_demonstrators
from xworld.training.rollouts.episodes import Episodes
from xworld.training.rollouts.partners import Changing, Partners, Scene
from xworld.training.rollouts.rollout import Rollout, Steps, unroll
from xworld.training.rollouts.try_out import Search
from xworld.training.run.checkpoint import load_config
from xworld.training.run.config import RunConfig
from xworld.training.run.finetune import check_not_fine_tuned, finetune
from xworld.training.run.given import Given
from xworld.training.run.loop import train
from xworld.training.run.presets import PRESETS
from xworld.training.run.trainer import Trainer, make_trainer

__all__ = [
    "CURRICULA",
    "LEARNERS",
    "PARTNERS",
    "PRESETS",
    "AccelConfig",
    "Advice",
    "Batch",
    "Changing",
    "Curriculum",
    "CurriculumConfig",
    "Demonstrators",
    "Episodes",
    "Evaluated",
    "FixedConfig",
    "Given",
    "Guidance",
    "ImitateConfig",
    "Imitation",
    "ImitationConfig",
    "Judge",
    "Keeping",
    "LearnabilityConfig",
    "Learner",
    "LearnerConfig",
    "Logger",
    "NoisySelfConfig",
    "NoopConfig",
    "OptimiserConfig",
    "PLRConfig",
    "PPOConfig",
    "Partners",
    "PartnersConfig",
    "PlasticityConfig",
    "PoolConfig",
    "Prediction",
    "ProgressConfig",
    "Report",
    "Rollout",
    "RunConfig",
    "Scene",
    "Search",
    "Searching",
    "SelfConfig",
    "Sizes",
    "Steps",
    "TaskInference",
    "Teacher",
    "Telling",
    "Term",
    "TeachingConfig",
    "Trained",
    "Trainer",
    "TrainingDiverged",
    "UniformConfig",
    "add_terms",
    "check_not_fine_tuned",
    "finetune",
    "imitate",
    "join_processes",
    "load_config",
    "make_demonstrators",
    "make_teacher",
    "make_trainer",
    "mean_row",
    "read_heads",
    "read_teacher",
    "read_teaching",
    "save_teacher",
    "train",
    "unroll",
    "use_host_devices",
]
