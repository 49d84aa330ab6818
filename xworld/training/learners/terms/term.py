"""`Term`: a loss of one's own beside the learner's, such as a teacher's advice or a prediction.

A term may do more: be an `Advice`, which the learner follows in place of what it finds by itself, or `Evaluated`, which
changes with how the student does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import jax

from xworld.agents import Agent, Output, Params
from xworld.agents.return_scale import ReturnScale
from xworld.base.errors import ConfigError
from xworld.training.rollouts.rollout import Rollout, Steps

T = TypeVar("T")
ScoreOf = Callable[[Agent, Params], float]  # return of the last trial divided by its length, mean over validation tasks


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


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Guidance:
    """What an `Advice` asks of the learner in one update; [] float32 each."""

    weight: jax.Array  # of the advice, which is reported
    own: jax.Array  # factor of the learner's own policy gradient
    l2: jax.Array  # coefficient of half the squared norm of the agent's parameters, in the loss


@runtime_checkable
class Advice(Protocol):
    """A term that knows what the learner tries to find out. A learner that knows of it asks; others add `loss` only."""

    def in_values(self, extra: Any, scale: ReturnScale) -> Any:
        """What `follow` gave, with returns turned into values as the learner normalises them in this update."""
        ...

    def guide(self, progress: jax.Array) -> Guidance:
        """What it asks in an update, at this share of the run."""
        ...


@runtime_checkable
class Evaluated(Protocol):
    """A term that changes between chunks, with the score of the run's evaluations on its validation tasks.

    What it is after an evaluation is made again from the scores in the run's files when the run goes on.
    """

    def measured(self, score_of: "ScoreOf") -> Any:
        """The term before the run begins or goes on, with what it has to know of the evaluations."""
        ...

    def evaluated(self, score: float, progress: float) -> Any:
        """The term after an evaluation.

        Args:
          score: of the agent that is trained: return of the last trial divided by its length, mean over tasks.
          progress: share of the run's updates that are done.
        """
        ...


def check_names(terms: Sequence[Term]) -> None:
    """Raises ConfigError if two terms have one name, under which only one of them would be reported."""
    names = [term.name for term in terms]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"{names.count(name)} terms have the name {name!r}, by which metrics are told apart. Give each a name "
                "of its own, a teacher by make_teacher(name=...)."
            )


def measured(terms: tuple[T, ...], score_of: ScoreOf) -> tuple[T, ...]:
    """The terms before a run begins or goes on."""
    return tuple(term.measured(score_of) if isinstance(term, Evaluated) else term for term in terms)


def evaluated(terms: tuple[T, ...], score: float, progress: float) -> tuple[T, ...]:
    """The terms after the agent that is trained was evaluated."""
    return tuple(term.evaluated(score, progress) if isinstance(term, Evaluated) else term for term in terms)
