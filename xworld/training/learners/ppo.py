"""PPO over rollouts that span trials and episodes: one update, as a pure function, on each of the mesh's devices.

An update's result does not depend on how many devices there are, but for the order in which floats are added: chance is
each environment's own, minibatches are drawn from fixed groups of environments, and every mean is over all devices.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax

from xworld.agents import Agent, Params, distribution
from xworld.base.errors import ConfigError, did_you_mean
from xworld.core.types import TaskSource
from xworld.core.vector import VectorEnv
from xworld.training.devices.sharding import AXIS, gather, own_part
from xworld.training.learners.losses import ReturnScale, clipped_surrogate, value_loss
from xworld.training.learners.returns import generalised_advantage
from xworld.training.learners.schedules import SHAPES, anneal, warm_up
from xworld.training.rollouts.rollout import Actor, Rollout, Steps, TrialReturns, collect, start_actor, unroll

T = TypeVar("T")


@dataclass(frozen=True)
class PPOConfig:
    """Hyper-parameters of learning, all static.

    Raises:
      ConfigError: a value out of range.
    """

    rollout_length: int = 48  # steps between updates; best a whole episode
    num_epochs: int = 2  # passes over a rollout
    num_minibatches: int = 8  # parts of the environments that each get a gradient step; whole sequences
    learning_rate: float = 3e-3  # of Adam, at the start ...
    final_learning_rate: float = 3e-4  # ... and at the end
    warm_up: float = 0.0  # share of the run in which the learning rate rises from 0 to where it then is
    entropy_weight: float = 0.02  # bonus for trying things, at the start ...
    final_entropy_weight: float = 0.003  # ... and at the end
    schedule: str = "linear"  # or "cosine": the way from the first values to the last
    discount: float = 0.99  # per step, across trials
    lambda_: float = 0.95  # of GAE
    clip: float = 0.2  # how far the probability ratio may leave 1
    value_weight: float = 0.5  # of the value loss
    return_decay: float = 0.99  # of the running moments by which returns are normalised, per update
    max_gradient_norm: float = 0.5  # larger gradients are scaled down to it

    def __post_init__(self) -> None:
        for name in ("rollout_length", "num_epochs", "num_minibatches"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"PPOConfig.{name} is {value!r}; write a whole number of at least 1.")
        for name in ("discount", "lambda_", "warm_up"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"PPOConfig.{name} is {getattr(self, name)}; write a number from 0 to 1.")
        if not 0 <= self.return_decay < 1:
            raise ConfigError(f"PPOConfig.return_decay is {self.return_decay}; write a number from 0 to below 1.")
        for name in ("learning_rate", "clip", "max_gradient_norm"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"PPOConfig.{name} is {getattr(self, name)}; write a number above 0.")
        for name in ("final_learning_rate", "entropy_weight", "final_entropy_weight", "value_weight"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"PPOConfig.{name} is {getattr(self, name)}; write a number of at least 0.")
        if self.schedule not in SHAPES:
            raise ConfigError(f"PPOConfig.schedule is {self.schedule!r}. {did_you_mean(str(self.schedule), SHAPES)}")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """All that a run needs to go on; what a checkpoint holds."""

    params: Params
    optimiser: Any  # optax state
    actor: Actor  # of this device's share of the environments
    return_scale: ReturnScale
    key: jax.Array  # [] random key, the same on all devices
    update: jax.Array  # [] int32, updates done


Metrics = dict[str, jax.Array]  # [] float32 each, but [NUM_TRIAL_COLUMNS + 1] "trial_sums" and "trial_counts"


@dataclass(frozen=True)
class PPO:
    """The learner of one device, one of many on the mesh axis `AXIS`. Static; all that changes is in `TrainState`."""

    config: PPOConfig
    agent: Agent
    vec: VectorEnv  # with this device's share of the environments
    num_groups: int  # of environments on this device; those of a group are shuffled among themselves
    num_updates: int  # in the whole run, for the schedules
    param_specs: Any  # how parameters lie on the devices
    optimiser_specs: Any

    def start(self, params: Params, key: jax.Array, tasks: TaskSource) -> TrainState:
        """The state before the first update. `params`, whole ones, and `key` are the same on all devices."""
        key, reset_key = jax.random.split(key)
        return TrainState(
            params=own_part(params, self.param_specs),
            optimiser=own_part(optimiser().init(params), self.optimiser_specs),
            actor=start_actor(self.agent, self.vec, reset_key, tasks, self._first_index()),
            return_scale=ReturnScale.start(),
            key=key,
            update=jnp.int32(0),
        )

    def update(self, state: TrainState, tasks: TaskSource) -> tuple[TrainState, Metrics]:
        """One rollout, and `num_epochs` passes over it in minibatches."""
        key, act_key, shuffle_key = jax.random.split(state.key, 3)
        params = gather(state.params, self.param_specs)
        actor, rollout, trials = collect(
            self.agent, params, self.vec, state.actor, act_key, tasks, self.config.rollout_length, self._first_index()
        )
        steps, context = rollout.steps, rollout.context
        advantages, returns = self._advantages(steps, context.last_value, state.return_scale)
        weights = steps.weight
        return_scale = state.return_scale.update(
            _mean(returns, weights), _mean(jnp.square(returns), weights), self.config.return_decay
        )
        targets = return_scale.to_values(returns)
        normalised = _normalise(advantages, weights)

        progress = state.update / max(self.num_updates - 1, 1)
        rise = warm_up(progress, self.config.warm_up)
        shape = self.config.schedule
        learning_rate = rise * anneal(self.config.learning_rate, self.config.final_learning_rate, progress, shape)
        entropy_weight = anneal(self.config.entropy_weight, self.config.final_entropy_weight, progress, shape)

        def descend(carry: tuple[Params, Any], envs: jax.Array) -> tuple[tuple[Params, Any], Metrics]:
            params, optimiser_state = carry
            batch, batch_advantages, batch_targets = _take(1, (steps, normalised, targets), envs)
            batch_context = _take(0, context, envs)
            gradient, metrics = jax.grad(self._loss, has_aux=True)(
                params, Rollout(batch, batch_context), batch_advantages, batch_targets, entropy_weight
            )
            gradient, metrics = jax.lax.psum((gradient, metrics), AXIS)
            params, optimiser_state, norm = self._descend(params, optimiser_state, gradient, learning_rate)
            return (params, optimiser_state), metrics | {"gradient_norm": norm}

        order = self._minibatches(shuffle_key)  # [epochs * minibatches, envs]
        (params, optimiser_state), metrics = jax.lax.scan(descend, (params, state.optimiser), order)
        metrics = jax.tree.map(jnp.mean, metrics)
        metrics |= {"learning_rate": learning_rate, "entropy_weight": entropy_weight}
        expected = state.return_scale.to_returns(steps.value)
        metrics |= {"explained_variance": _explained_variance(expected, returns, weights)}
        metrics |= _sum_trials(trials)
        params = own_part(params, self.param_specs)
        return TrainState(params, optimiser_state, actor, return_scale, key, state.update + 1), metrics

    def _loss(
        self,
        params: Params,
        rollout: Rollout,
        advantages: jax.Array,
        targets: jax.Array,
        entropy_weight: jax.Array,
    ) -> tuple[jax.Array, Metrics]:
        """This device's share of the loss and of the metrics: added up over the devices they are means."""
        steps, output = rollout.steps, unroll(self.agent, params, rollout)
        log_ratio = distribution.log_probability(output.logits, steps.action) - steps.log_probability
        weights = steps.weight / jnp.maximum(jax.lax.psum(steps.weight.sum(), AXIS), 1)
        policy = (weights * clipped_surrogate(log_ratio, advantages, self.config.clip)).sum()
        value = (weights * value_loss(output.value, targets)).sum()
        entropy = (weights * distribution.entropy(output.logits)).sum()
        loss = policy + self.config.value_weight * value - entropy_weight * entropy
        return loss, {
            "loss": loss,
            "policy_loss": policy,
            "value_loss": value,
            "entropy": entropy,
            "kl": (weights * (jnp.expm1(log_ratio) - log_ratio)).sum(),  # Schulman's estimator, never negative
            "clip_fraction": (weights * (jnp.abs(jnp.expm1(log_ratio)) > self.config.clip)).sum(),
        }

    def _descend(
        self, params: Params, optimiser_state: Any, gradient: Params, learning_rate: jax.Array
    ) -> tuple[Params, Any, jax.Array]:
        """Parameters, optimiser's state, and the [] norm of the gradient before it was clipped."""
        norm = optax.tree.norm(gradient)
        scale = jnp.minimum(1, self.config.max_gradient_norm / jnp.maximum(norm, 1e-12))
        own = own_part(jax.tree.map(lambda leaf: leaf * scale, gradient), self.param_specs)
        own_step, optimiser_state = optimiser().update(own, optimiser_state)
        step = gather(own_step, self.param_specs)
        return jax.tree.map(lambda old, change: old - learning_rate * change, params, step), optimiser_state, norm

    def _advantages(self, steps: Steps, last_value: jax.Array, scale: ReturnScale) -> tuple[jax.Array, jax.Array]:
        """[T, B, A] advantages, and the returns that the values should have foreseen."""
        values = scale.to_returns(jnp.concatenate([steps.value, last_value[None]]))
        discounts = self.config.discount * steps.discount[..., None]
        advantages = generalised_advantage(steps.reward, values, discounts, self.config.lambda_)
        return advantages, advantages + values[:-1]

    def _minibatches(self, key: jax.Array) -> jax.Array:
        """[epochs * minibatches, envs] int32: the environments of each minibatch, shuffled anew in every epoch.

        Each group gives every minibatch as many environments, so that these are the same on any number of devices.
        """
        epochs, parts, groups = self.config.num_epochs, self.config.num_minibatches, self.num_groups
        size = self.vec.num_envs // groups
        first = jax.lax.axis_index(AXIS) * groups

        def shuffle(key: jax.Array, group: jax.Array) -> jax.Array:
            return jax.random.permutation(jax.random.fold_in(key, first + group), size) + group * size

        keys = jax.random.split(key, epochs)
        shuffled = jax.vmap(jax.vmap(shuffle, in_axes=(None, 0)), in_axes=(0, None))(keys, jnp.arange(groups))
        parted = shuffled.reshape(epochs, groups, parts, size // parts)
        return jnp.moveaxis(parted, 2, 1).reshape(epochs * parts, -1)

    def _first_index(self) -> jax.Array:
        """[] int32, of this device's first environment in the whole batch."""
        return jax.lax.axis_index(AXIS) * self.vec.num_envs


def optimiser() -> optax.GradientTransformation:
    """What a clipped gradient goes through before it is multiplied with the learning rate."""
    return optax.scale_by_adam(eps=1e-5)


def _take(axis: int, tree: T, envs: jax.Array) -> T:
    """The sequences of some environments, which are along `axis` of every leaf."""
    return jax.tree.map(lambda leaf: jnp.take(leaf, envs, axis), tree)


def _mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    """[] the mean over all devices, each value counting as much as its weight; 0 when nothing counts."""
    total, weight = jax.lax.psum(((values * weights).sum(), weights.sum()), AXIS)
    return total / jnp.maximum(weight, 1)


def _variance(values: jax.Array, weights: jax.Array) -> jax.Array:
    """[] the variance over all devices."""
    return _mean(jnp.square(values - _mean(values, weights)), weights)


def _normalise(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Values with mean 0 and variance 1 over all devices."""
    return (values - _mean(values, weights)) * jax.lax.rsqrt(_variance(values, weights) + 1e-8)


def _explained_variance(values: jax.Array, returns: jax.Array, weights: jax.Array) -> jax.Array:
    """[] 1 for values that foresee the returns, 0 for constant ones."""
    return 1 - _variance(returns - values, weights) / jnp.maximum(_variance(returns, weights), 1e-8)


def _sum_trials(trials: TrialReturns) -> Metrics:
    sums, counts = jax.lax.psum((trials.sums, trials.counts), AXIS)
    return {"trial_sums": sums, "trial_counts": counts}
