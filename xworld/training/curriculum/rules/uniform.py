"""`uniform`: every task is a new one."""

from dataclasses import dataclass

from xworld.core.types import TaskSource
from xworld.training.curriculum.sizes import Sizes
from xworld.training.rollouts.try_out import Search


@dataclass(frozen=True)
class UniformConfig:
    """Tasks as their source gives them, whatever becomes of them. Nothing is tried out."""

    def search(self, sizes: Sizes) -> Search | None:
        """None."""
        return None

    def make(self, source: TaskSource, sizes: Sizes) -> TaskSource:
        """The source."""
        return source
