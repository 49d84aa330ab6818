"""The curricula that a run can be configured with, by name. Whoever adds one adds a line to `CURRICULA`."""

from typing import Protocol

from xworld.core.types import TaskSource
from xworld.training.curriculum.rules.accel import AccelConfig
from xworld.training.curriculum.rules.learnability import LearnabilityConfig
from xworld.training.curriculum.rules.noop import NoopConfig
from xworld.training.curriculum.rules.plr import PLRConfig
from xworld.training.curriculum.rules.progress import ProgressConfig
from xworld.training.curriculum.rules.uniform import UniformConfig
from xworld.training.curriculum.sizes import Sizes
from xworld.training.rollouts.try_out import Search


class CurriculumConfig(Protocol):
    """What decides which tasks are trained on: a frozen dataclass of plain values."""

    def search(self, sizes: Sizes) -> Search | None:
        """How much is tried out between two updates; None for nothing."""
        ...

    def make(self, source: TaskSource, sizes: Sizes) -> TaskSource:
        """The curriculum of new tasks from a source, before the first update; `Searching` if there is a search.

        Raises:
          ConfigError: it is not for such tasks, or there are too few.
        """
        ...


CURRICULA: dict[str, type[CurriculumConfig]] = {
    "uniform": UniformConfig,
    "noop": NoopConfig,
    "plr": PLRConfig,
    "learnability": LearnabilityConfig,
    "progress": ProgressConfig,
    "accel": AccelConfig,
}
