"""The learners that a run can be configured with, by name. Whoever adds one adds a line to `LEARNERS`."""

from typing import Protocol

from xworld.agents import Agent
from xworld.training.learners.learner import Learner
from xworld.training.learners.ppo import PPOConfig


class LearnerConfig(Protocol):
    """Hyper-parameters of a learner: a frozen dataclass of plain values, tuples, and dataclasses of such."""

    @property
    def rollout_length(self) -> int:
        """Steps of each environment between two updates."""
        ...

    @property
    def num_minibatches(self) -> int:
        """Parts into which the environments of each group have to divide; 1 if they need not."""
        ...

    def make(self, agent: Agent) -> Learner:
        """The learner with these hyper-parameters."""
        ...


LEARNERS: dict[str, type[LearnerConfig]] = {"ppo": PPOConfig}
