"""The optimiser: Adam on a clipped gradient; where parameters are sharded, each device steps its part (ZeRO-1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax

from xworld.base.checks import check_fields, check_number
from xworld.base.errors import ConfigError, did_you_mean
from xworld.base.xla.devices import AXIS
from xworld.training.devices.sharding import Sharded, gather, own_part, specs_of
from xworld.training.learners.learner import Batch

T = TypeVar("T")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Moments:
    """What Adam knows of the gradients so far."""

    count: jax.Array  # [] int32, steps
    mu: Any  # means of gradients, like the parameters
    nu: Any  # means of their squares
    ages: Any  # int32, like the parameters: steps since each of them started anew; () where none ever does


@dataclass(frozen=True)
class OptimiserConfig:
    """Adam's hyper-parameters (Kingma and Ba 2015; with weight decay, Loshchilov and Hutter 2019).

    Raises:
      ConfigError: a value out of range.
    """

    beta1: float = 0.9  # decay of the mean of gradients
    beta2: float = 0.999  # decay of the mean of squared gradients
    eps: float = 1e-8  # added to the root of the latter
    weight_decay: float = 0.0  # share of the parameters that a step of learning rate 1 takes away
    max_gradient_norm: float = 0.5  # larger gradients are scaled down to it
    # parts of the network that stay as they begin, such as ("observation", "briefing"): all that has one of these names
    frozen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check = partial(check_fields, self, owner="OptimiserConfig")
        check(("beta1", "beta2"), partial(check_number, low=0, high=1, excludes_high=True))
        check(("eps", "max_gradient_norm"), partial(check_number, low=0, excludes_low=True))
        check(("weight_decay",), partial(check_number, low=0))
        check(("frozen",), _check_names)

    def start(self, params: Any, *, forgets: bool = False) -> Sharded:
        """The `Moments` before the first step, of whole parameters.

        Args:
          params: any pytree of float arrays, whole.
          forgets: whether some of them may start anew; see `forget`.

        Raises:
          ConfigError: nothing has a name that `frozen` has.
        """
        known = {name for path, _ in jax.tree_util.tree_leaves_with_path(params) for name in _names(path)}
        for name in self.frozen:
            if name not in known:
                raise ConfigError(
                    f"OptimiserConfig.frozen has {name!r}, no part's name. {did_you_mean(name, sorted(known))}"
                )
        ages = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.int32), params) if forgets else ()
        first: Any = self._adam().init(params)
        return Sharded(Moments(first.count, first.mu, first.nu, ages))

    def step(
        self, params: T, state: Sharded, gradient: T, learning_rate: jax.Array, batch: Batch
    ) -> tuple[T, Sharded, jax.Array]:
        """Whole parameters after a step, the next moments, and the [] norm of the gradient before it was clipped.

        Args:
          params: any pytree of float arrays, whole.
          state: this device's part of the `Moments`.
          gradient: of the whole parameters, the same on all devices.
          learning_rate: [].
          batch: how parameters lie on the devices.
        """
        specs = specs_of(params, jax.lax.axis_size(AXIS), is_sharded=batch.is_sharded)
        gradient = self._without_frozen(gradient)
        norm = optax.tree.norm(gradient)
        scale = jnp.minimum(1, self.max_gradient_norm / jnp.maximum(norm, 1e-12))
        own_gradient = own_part(jax.tree.map(lambda leaf: leaf * scale, gradient), specs)
        old = state.value
        adam: Any = optax.ScaleByAdamState(old.count, old.mu, old.nu)
        own_step, adam = self._adam().update(own_gradient, adam)
        ages = jax.tree.map(lambda age: age + 1, old.ages)
        if jax.tree.leaves(ages):
            own_step = jax.tree.map(partial(self._of_age, count=adam.count), own_step, ages)
        change = gather(own_step, specs)
        if self.weight_decay:
            change = self._without_frozen(
                jax.tree.map(lambda step, old: step + self.weight_decay * old, change, params)
            )
        params = jax.tree.map(lambda old, step: old - learning_rate * step, params, change)
        return params, Sharded(Moments(adam.count, adam.mu, adam.nu, ages)), norm

    def forget(self, state: Sharded, params: T, is_new: T, batch: Batch) -> Sharded:
        """The moments with 0 where parameters started anew: Adam goes on with these as with those of a first step.

        Args:
          state: this device's part of the `Moments`, of parameters that may start anew.
          params: whole.
          is_new: bools of the same shapes, whole.
          batch: how parameters lie on the devices.
        """
        specs = specs_of(params, jax.lax.axis_size(AXIS), is_sharded=batch.is_sharded)
        is_own = own_part(is_new, specs)
        old = state.value
        mean, square, ages = (
            jax.tree.map(lambda is_new, leaf: jnp.where(is_new, 0, leaf), is_own, tree)
            for tree in (old.mu, old.nu, old.ages)
        )
        return Sharded(Moments(old.count, mean, square, ages))

    def _of_age(self, step: jax.Array, age: jax.Array, count: jax.Array) -> jax.Array:
        """A step that was corrected as the `count`-th, corrected as that of parameters of this age."""

        def correction(steps: jax.Array) -> jax.Array:
            return jnp.sqrt(1 - self.beta2**steps) / (1 - self.beta1**steps)

        return step * correction(age) / correction(count)

    def _without_frozen(self, change: T) -> T:
        """Of parameters, without what would change frozen ones."""

        def change_of(path: Sequence[Any], leaf: jax.Array) -> jax.Array:
            return leaf if set(self.frozen).isdisjoint(_names(path)) else jnp.zeros_like(leaf)

        return jax.tree_util.tree_map_with_path(change_of, change) if self.frozen else change

    def _adam(self) -> optax.GradientTransformation:
        return optax.scale_by_adam(self.beta1, self.beta2, self.eps)


def _check_names(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, tuple | list) and all(isinstance(part, str) for part in value):
        return tuple(value)
    raise ConfigError(f"{name} is {value!r}; write names of parts of the network, such as ('memory',).")


def _names(path: Sequence[Any]) -> list[str]:
    """What the parts are called that lead to a leaf of a pytree, but for places in lists."""
    names = (getattr(key, "key", getattr(key, "name", None)) for key in path)
    return [name for name in names if isinstance(name, str)]
