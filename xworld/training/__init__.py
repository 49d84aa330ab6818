"""Training by PPO over episodes of many trials. Start with `learners/ppo.py`; `run/loop.py` is the host's side."""

from xworld.training.devices.devices import join_processes, use_host_devices
from xworld.training.learners.ppo import PPOConfig
from xworld.training.run.checkpoint import load_config
from xworld.training.run.config import RunConfig
from xworld.training.run.finetune import check_not_fine_tuned, finetune
from xworld.training.run.loop import TrainingDiverged, train
from xworld.training.run.presets import PRESETS

__all__ = [
    "PRESETS",
    "PPOConfig",
    "RunConfig",
    "TrainingDiverged",
    "check_not_fine_tuned",
    "finetune",
    "join_processes",
    "load_config",
    "train",
    "use_host_devices",
]
