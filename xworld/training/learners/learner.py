"""The seam between a rollout and what is learned from it: `Learner`, what it gets, and what it reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from xworld.agents import Output, Params
from xworld.agents.return_scale import ReturnScale
from xworld.base.errors import ConfigError
from xworld.base.xla.devices import AXIS
from xworld.base.xla.shapes import shapes
from xworld.training.learners.terms.term import Advice, Guidance, Term
from xworld.training.rollouts.rollout import Rollout, Steps

Metrics = dict[str, jax.Array]  # [] float32 each; all of them become columns of the run's files


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Trained:
    """All that gradients change."""

    agent: Params
    heads: tuple[Any, ...]  # for each term, its own parameters


def check_params(params: Params, own: Params) -> None:
    """Raises ConfigError unless `params`, to start with, can take the place of the network's `own`."""
    if shapes(params) != shapes(own):
        raise ConfigError(
            "params are not those of the network: its layers have other names or shapes. Give those of an agent with "
            "the same AgentConfig and EnvConfig."
        )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Report:
    """What a learner says of an update."""

    metrics: Metrics  # the same on all devices; "loss" and "gradient_norm" among them, which stop a run that diverges
    signals: dict[str, jax.Array]  # [T, B, A] of this device, by name, for curricula: "advantage", "td_error", ...


class Learner(Protocol):
    """How parameters change with experience. Static and hashable; all that changes is in its state.

    One that is a `Judge` too can be used with curricula that try tasks out. All methods run on each device of the mesh
    axis `AXIS`, on that device's environments.
    """

    def __hash__(self) -> int: ...

    @property
    def rollout_length(self) -> int:
        """Steps of each environment between two updates."""
        ...

    def start(self, trained: Trained, key: jax.Array) -> Any:
        """Its own state before the first update: a pytree, the same on all devices.

        What is in a `Sharded` is split over the devices where the run shards parameters.
        """
        ...

    def learn(
        self,
        trained: Trained,
        state: Any,
        rollout: Rollout,
        extras: Sequence[Any],
        terms: Sequence[Term],
        key: jax.Array,
        progress: jax.Array,
        batch: "Batch",
    ) -> tuple[Trained, Any, Report]:
        """One update.

        Args:
          trained: whole parameters, the same on all devices; so are those returned.
          state: from `start` or the last update.
          rollout: of this device's environments.
          extras: for each term, what its `follow` gave for this rollout.
          terms: further losses.
          key: the same on all devices.
          progress: [] float32, share of the run's updates that are done; 1 at the last.
          batch: how environments lie on the devices.
        """
        ...


@runtime_checkable
class Judge(Protocol):
    """A learner that says of any rollout what it says of one that it learns from."""

    def signals(self, state: Any, rollout: Rollout) -> dict[str, jax.Array]:
        """[T, B, A] by name, as in `Report.signals`: "td_error" among them.

        Args:
          state: the learner's own.
          rollout: of this device, played with the parameters that are trained.
        """
        ...


@dataclass(frozen=True)
class Batch:
    """How a run's environments lie on the devices, and what learners compute over all of them."""

    num_envs: int  # of this device
    num_groups: int  # of environments on this device; those of a group are shuffled among themselves
    is_sharded: bool = False  # whether a device keeps only its part of parameters and moments between updates

    @property
    def first_index(self) -> jax.Array:
        """[] int32, of this device's first environment in the whole batch."""
        return jax.lax.axis_index(AXIS) * self.num_envs

    def mean(self, values: jax.Array, weights: jax.Array) -> jax.Array:
        """[] the mean over all devices, each value counting as much as its weight; 0 where nothing counts.

        Not for losses: on a mesh the gradient of a sum over devices is the sum of all devices' gradients.
        """
        total, weight = jax.lax.psum(((values * weights).sum(), weights.sum()), AXIS)
        return total / jnp.maximum(weight, 1)

    def variance(self, values: jax.Array, weights: jax.Array) -> jax.Array:
        """[] the variance over all devices."""
        return self.mean(jnp.square(values - self.mean(values, weights)), weights)

    def minibatches(self, key: jax.Array, num_epochs: int, num_parts: int) -> jax.Array:
        """[num_epochs * num_parts, envs] int32: this device's environments of each minibatch, shuffled in every epoch.

        Each group gives every minibatch as many environments, so that these are the same on any number of devices.
        """
        size = self.num_envs // self.num_groups
        first = jax.lax.axis_index(AXIS) * self.num_groups

        def shuffle(key: jax.Array, group: jax.Array) -> jax.Array:
            return jax.random.permutation(jax.random.fold_in(key, first + group), size) + group * size

        keys, groups = jax.random.split(key, num_epochs), jnp.arange(self.num_groups)
        shuffled = jax.vmap(jax.vmap(shuffle, in_axes=(None, 0)), in_axes=(0, None))(keys, groups)
        parted = shuffled.reshape(num_epochs, self.num_groups, num_parts, size // num_parts)
        return jnp.moveaxis(parted, 2, 1).reshape(num_epochs * num_parts, -1)


def add_terms(
    terms: Sequence[Term],
    heads: Sequence[Any],
    output: Output,
    steps: Steps,
    extras: Sequence[Any],
    weights: jax.Array,
    progress: jax.Array,
) -> tuple[jax.Array | float, Metrics]:
    """The sum of all terms' losses [T, B, A] times `weights`, and each one's as a metric.

    On a device it is that device's share of the mean, if the weights add up to 1 over all devices.
    """
    losses = [
        (weights * term.loss(own, output, steps, extra, progress)).sum()
        for term, own, extra in zip(terms, heads, extras, strict=True)
    ]
    return sum(losses, 0.0), {f"term_{term.name}": loss for term, loss in zip(terms, losses, strict=True)}


def in_values(terms: Sequence[Term], extras: Sequence[Any], scale: ReturnScale) -> tuple[Any, ...]:
    """The extras of all terms, those of an `Advice` with returns as values that `scale` normalises."""
    return tuple(
        term.in_values(extra, scale) if isinstance(term, Advice) else extra
        for term, extra in zip(terms, extras, strict=True)
    )


def guidance(terms: Sequence[Term], progress: jax.Array) -> tuple[Guidance | None, Metrics]:
    """What all terms that are an `Advice` ask in an update, None where there are none; and the weight of each.

    Factors of the policy gradient are multiplied, coefficients of the L2 penalty added.
    """
    asked = [(term.name, term.guide(progress)) for term in terms if isinstance(term, Advice)]
    weights = {f"weight_{name}": one.weight for name, one in asked}
    total: Guidance | None = None
    for _, one in asked:
        total = one if total is None else Guidance(total.weight + one.weight, total.own * one.own, total.l2 + one.l2)
    return total, weights
