"""Training by PPO over episodes of many trials. Start with `ppo.py`; `loop.py` is the host's side."""

from xworld.training.checkpoint import load_config
from xworld.training.config import RunConfig
from xworld.training.devices import join_processes, use_host_devices
from xworld.training.finetune import check_not_fine_tuned, finetune
from xworld.training.loop import TrainingDiverged, train
from xworld.training.ppo import PPOConfig
from xworld.training.presets import PRESETS

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
