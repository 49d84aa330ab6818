"""`RunConfig`: everything that decides what a training run does."""

from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

from xworld.agents import AgentConfig
from xworld.base.checks import check_bool, check_fields, check_whole
from xworld.base.configs import OneOf
from xworld.base.errors import ConfigError
from xworld.core.config import EnvConfig
from xworld.tasks import UniverseConfig
from xworld.training.curriculum.configs import CURRICULA, CurriculumConfig
from xworld.training.curriculum.rules.uniform import UniformConfig
from xworld.training.curriculum.sizes import Sizes
from xworld.training.learners.configs import LEARNERS, LearnerConfig
from xworld.training.learners.ppo import PPOConfig
from xworld.training.partners.configs import PARTNERS, PartnersConfig, SelfConfig
from xworld.training.rollouts.try_out import Search


@dataclass(frozen=True)
class RunConfig:
    """A training run. Equal configurations on equal devices give equal parameters.

    Raises:
      ConfigError: a count below 1, a learner that is not in `LEARNERS`, a curriculum that is not in `CURRICULA`,
        partners that are not in `PARTNERS`, or minibatches that do not divide the environments.
    """

    env: EnvConfig = field(default_factory=EnvConfig)
    universe: UniverseConfig = field(default_factory=UniverseConfig)
    agent: AgentConfig = field(default_factory=AgentConfig)
    learner: Annotated[LearnerConfig, OneOf(LEARNERS)] = field(default_factory=PPOConfig)
    curriculum: Annotated[CurriculumConfig, OneOf(CURRICULA)] = field(default_factory=UniformConfig)
    partners: Annotated[PartnersConfig, OneOf(PARTNERS)] = field(default_factory=SelfConfig)
    seed: int = 0  # of parameters, tasks and actions; below 2^32
    num_envs: int = 256  # on all devices together
    num_groups: int = 8  # of environments; on any number of devices that divides it, a run does the same
    shard_params: bool = False  # whether each device keeps only its part of the parameters and of Adam's moments
    total_steps: int = 20_000_000  # of all environments, those that try tasks out as well; rounded up to whole chunks
    updates_per_chunk: int = 20  # between two looks at the metrics; a chunk runs without the host
    chunks_per_checkpoint: int = 10
    chunks_per_evaluation: int = 10  # on the validation split; the best parameters by these are kept as well
    num_evaluation_tasks: int = 256  # always the same

    def __post_init__(self) -> None:
        check = partial(check_fields, self, owner="RunConfig")
        check(("seed",), partial(check_whole, low=0, high=2**32 - 1))
        check(("shard_params",), check_bool)
        counts = (
            "num_envs", "num_groups", "total_steps", "updates_per_chunk", "chunks_per_checkpoint",
            "chunks_per_evaluation", "num_evaluation_tasks",
        )  # fmt: skip
        check(counts, partial(check_whole, low=1))
        OneOf(LEARNERS).name_of(self.learner, "RunConfig.learner")
        OneOf(CURRICULA).name_of(self.curriculum, "RunConfig.curriculum")
        OneOf(PARTNERS).name_of(self.partners, "RunConfig.partners")
        self.check_devices(1)

    @property
    def steps_per_update(self) -> int:
        """Environment steps between two updates, those in which tasks are tried out included."""
        search = self.search
        return self.num_envs * self.learner.rollout_length + (0 if search is None else search.num_steps)

    @property
    def search(self) -> Search | None:
        """What the curriculum tries out between two updates."""
        return self.curriculum.search(self.sizes)

    @property
    def sizes(self) -> Sizes:
        """What the curriculum is told of the run."""
        return Sizes(
            num_envs=self.num_envs,
            num_groups=self.num_groups,
            rollout_length=self.learner.rollout_length,
            trial_length=self.universe.trial_length,
            num_trials=self.universe.num_trials,
        )

    @property
    def num_chunks(self) -> int:
        """Chunks in the run."""
        return -(-self.total_steps // (self.steps_per_update * self.updates_per_chunk))

    @property
    def num_updates(self) -> int:
        """Updates in the run."""
        return self.num_chunks * self.updates_per_chunk

    @property
    def short_sight(self) -> str:
        """What to say where the universe's trials are longer than rewards count, else nothing."""
        discount, longest = getattr(self.learner, "discount", 1.0), self.universe.trial_length[1]
        if longest * (1 - discount) <= 1:
            return ""
        return (
            f"The discount of {discount} looks {1 / (1 - discount):.0f} steps ahead, and trials have up to {longest}: "
            f"what pays in the next trial hardly counts. Maybe --learner.discount {1 - 0.5 / longest:.4f}."
        )

    def check_devices(self, num_devices: int) -> None:
        """Refuses a number of devices that the environments cannot be shared out to.

        Raises:
          ConfigError: devices do not divide the groups, or these do not divide into equal minibatches.
        """
        if self.num_groups % num_devices:
            nearest = -(-self.num_groups // num_devices) * num_devices
            raise ConfigError(
                f"{self.num_groups} groups of environments cannot be shared out to {num_devices} devices. Make "
                f"num_groups a multiple of {num_devices}, such as {nearest}; or use fewer devices."
            )
        parts = self.num_groups * self.learner.num_minibatches
        if self.num_envs % parts:
            nearest = -(-self.num_envs // parts) * parts
            raise ConfigError(
                f"{self.num_envs} environments do not divide into {self.learner.num_minibatches} minibatches of each "
                f"of {self.num_groups} groups. Make num_envs a multiple of {parts}, such as {nearest}."
            )
