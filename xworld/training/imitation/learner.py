"""Imitation: a `Learner` that raises the probability of what was done along recorded steps, whoever did it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from xworld.agents import Agent, distribution
from xworld.base.checks import check_fields, check_number, check_whole
from xworld.base.errors import ConfigError, did_you_mean
from xworld.base.xla.devices import AXIS
from xworld.training.devices.sharding import Sharded
from xworld.training.learners.learner import Batch, Metrics, Report, Trained, add_terms
from xworld.training.learners.optimiser import OptimiserConfig
from xworld.training.learners.schedules import SHAPES, anneal, warm_up
from xworld.training.learners.terms.term import Term
from xworld.training.rollouts.rollout import Rollout, unroll


@dataclass(frozen=True)
class ImitationConfig:
    """Hyper-parameters of imitation, all static.

    Raises:
      ConfigError: a value out of range.
    """

    window: int = 160  # steps in a row that are learned from at once
    batch_size: int = 16  # windows of an update
    num_updates: int = 2000
    learning_rate: float = 3e-3  # of Adam, at the start ...
    final_learning_rate: float = 0.0  # ... and at the end
    warm_up: float = 0.05  # fraction of the updates over which the learning rate warms up linearly
    schedule: str = "cosine"  # or "linear": the way from the first rate to the last
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(beta2=0.99, weight_decay=1e-3, max_gradient_norm=1.0)
    )

    def __post_init__(self) -> None:
        check = partial(check_fields, self, owner="ImitationConfig")
        check(("window", "batch_size", "num_updates"), partial(check_whole, low=1))
        check(("learning_rate",), partial(check_number, low=0, excludes_low=True))
        check(("final_learning_rate",), partial(check_number, low=0))
        check(("warm_up",), partial(check_number, low=0, high=1))
        if self.schedule not in SHAPES:
            raise ConfigError(
                f"ImitationConfig.schedule is {self.schedule!r}. {did_you_mean(str(self.schedule), SHAPES)}"
            )

    def make(self, agent: Agent) -> "Imitation":
        """The learner with these hyper-parameters."""
        return Imitation(self, agent)


@dataclass(frozen=True)
class Imitation:
    """Maximum likelihood of the rollout's actions, at every step that has a weight. One step of Adam an update."""

    config: ImitationConfig
    agent: Agent

    @property
    def rollout_length(self) -> int:
        """Steps of a window."""
        return self.config.window

    def start(self, trained: Trained, key: jax.Array) -> Sharded:
        """Fresh moments."""
        return self.config.optimiser.start(trained)

    def learn(
        self,
        trained: Trained,
        state: Sharded,
        rollout: Rollout,
        extras: Sequence[Any],
        terms: Sequence[Term],
        key: jax.Array,
        progress: jax.Array,
        batch: Batch,
    ) -> tuple[Trained, Sharded, Report]:
        """A step down the gradient of the mean negative log-likelihood."""
        config = self.config
        rate = warm_up(progress, config.warm_up) * anneal(
            config.learning_rate, config.final_learning_rate, progress, config.schedule
        )
        gradient, metrics = jax.grad(self._loss, has_aux=True)(trained, rollout, extras, terms, progress)
        gradient, metrics = jax.lax.psum((gradient, metrics), AXIS)
        trained, moments, norm = config.optimiser.step(trained, state, gradient, rate, batch)
        return trained, moments, Report(metrics | {"gradient_norm": norm, "learning_rate": rate}, {})

    def _loss(
        self, trained: Trained, rollout: Rollout, extras: Sequence[Any], terms: Sequence[Term], progress: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        """This device's share of the loss and of the metrics: added up over the devices they are means."""
        steps, output = rollout.steps, unroll(self.agent, trained.agent, rollout)
        weights = steps.weight / jnp.maximum(jax.lax.psum(steps.weight.sum(), AXIS), 1)
        likelihood = distribution.log_probability(output.logits, steps.action)
        added, of_terms = add_terms(terms, trained.heads, output, steps, extras, weights, progress)
        loss = -(weights * likelihood).sum() + added
        is_likeliest = output.logits.argmax(-1) == steps.action
        return loss, of_terms | {"loss": loss, "agreement": (weights * is_likeliest).sum()}
