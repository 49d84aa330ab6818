"""`Term`: a loss of one's own beside the learner's, such as a teacher's advice or a prediction."""

from typing import Any, Protocol

import jax

from xworld.agents import Output
from xworld.training.rollouts.rollout import Rollout, Steps


class Term(Protocol):
    """A loss over the steps of a rollout. A pytree: its leaves, a teacher's parameters say, are constants of learning.

    A term adds nothing up and calls no collective: the learner weights its losses by `Steps.weight`, and takes the mean
    over all devices.
    """

    @property
    def name(self) -> str:
        """What the metric is called, after "term_"; other than those of the terms beside it. Static."""
        ...

    def init(self, key: jax.Array, output: Output) -> Any:
        """Parameters of its own that are trained with the agent's, such as a head; () for none.

        Args:
          key: of its own.
          output: of one step, as `jax.ShapeDtypeStruct`s: `output.features.shape[-1]` is how many features there are.
        """
        ...

    def start(self, num_envs: int) -> Any:
        """What it carries from one rollout to the next: arrays [num_envs, ...], such as a teacher's memory."""
        ...

    def follow(self, carry: Any, rollout: Rollout) -> tuple[Any, Any]:
        """Once a rollout, before learning: the next carry, and [T, B, ...] arrays for `loss`, or () for none."""
        ...

    def loss(self, own: Any, output: Output, steps: Steps, extra: Any, progress: jax.Array) -> jax.Array:
        """[T, B, A] losses, weighted as the term likes.

        Args:
          own: its trained parameters, from `init`.
          output: of the agent along the steps, of which the gradient is taken.
          steps: those of a minibatch of environments.
          extra: what `follow` gave, for the same environments.
          progress: [] float32, share of the run that is done.
        """
        ...
