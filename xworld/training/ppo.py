"""PPO over rollouts that span trials and episodes: one update, as a pure function, on each of the mesh's devices."""

from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax

from xworld.agents import Agent, Params, distribution
from xworld.errors import ConfigError
from xworld.training.losses import clipped_surrogate, value_loss, weighted_mean
from xworld.training.returns import generalised_advantage
from xworld.training.rollout import Actor, Context, Steps, TrialReturns, collect, is_present, start_actor
from xworld.vector import TaskSource, VectorEnv

T = TypeVar("T")

AXIS = "envs"  # of the device mesh; every device has its share of the environments


@dataclass(frozen=True)
class PPOConfig:
    """Hyper-parameters of learning, all static. Two schedules fall linearly over the run.

    Raises:
      ConfigError: a value out of range.
    """

    rollout_length: int = 48  # steps between updates; best a whole episode
    num_epochs: int = 2  # passes over a rollout
    num_minibatches: int = 8  # parts of the environments that each get a gradient step; whole sequences
    learning_rate: float = 3e-3  # of Adam, at the start ...
    final_learning_rate: float = 3e-4  # ... and at the end
    entropy_weight: float = 0.02  # bonus for trying things, at the start ...
    final_entropy_weight: float = 0.003  # ... and at the end
    discount: float = 0.99  # per step, across trials
    lambda_: float = 0.95  # of GAE
    clip: float = 0.2  # how far the probability ratio may leave 1
    value_weight: float = 0.5  # of the value loss
    reward_scale: float = 0.1  # rewards are multiplied by it, so that values stay near 1
    max_gradient_norm: float = 0.5  # larger gradients are scaled down to it

    def __post_init__(self) -> None:
        for name in ("rollout_length", "num_epochs", "num_minibatches"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"PPOConfig.{name} is {value!r}; write a whole number of at least 1.")
        for name in ("discount", "lambda_"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"PPOConfig.{name} is {getattr(self, name)}; write a number from 0 to 1.")
        for name in ("learning_rate", "clip", "reward_scale", "max_gradient_norm"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"PPOConfig.{name} is {getattr(self, name)}; write a number above 0.")
        for name in ("final_learning_rate", "entropy_weight", "final_entropy_weight", "value_weight"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"PPOConfig.{name} is {getattr(self, name)}; write a number of at least 0.")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """All that a run needs to go on; what a checkpoint holds."""

    params: Params
    optimiser: Any  # optax state
    actor: Actor  # of one device
    key: jax.Array  # [] random key, the same on all devices
    update: jax.Array  # [] int32, updates done


Metrics = dict[str, jax.Array]  # [] float32 each, but [NUM_TRIAL_COLUMNS + 1] "trial_sums" and "trial_counts"


@dataclass(frozen=True)
class PPO:
    """The learner of one device, one of many on the mesh axis `AXIS`. Static; all that changes is in `TrainState`."""

    config: PPOConfig
    agent: Agent
    vec: VectorEnv  # with this device's share of the environments
    num_updates: int  # in the whole run, for the schedules

    def start(self, params: Params, key: jax.Array, tasks: TaskSource) -> TrainState:
        """The state before the first update. `params` and `key` are the same on all devices."""
        key, reset_key = jax.random.split(key)
        actor = start_actor(self.agent, self.vec, jax.random.fold_in(reset_key, jax.lax.axis_index(AXIS)), tasks)
        return TrainState(params, self._optimiser().init(params), actor, key, jnp.int32(0))

    def update(self, state: TrainState, tasks: TaskSource) -> tuple[TrainState, Metrics]:
        """One rollout, and `num_epochs` passes over it in minibatches."""
        key, update_key = jax.random.split(state.key)
        act_key, shuffle_key = jax.random.split(jax.random.fold_in(update_key, jax.lax.axis_index(AXIS)))
        actor, steps, context, trials = collect(
            self.agent, state.params, self.vec, state.actor, act_key, tasks, self.config.rollout_length
        )
        advantages, targets = self._advantages(steps, context.last_value)
        normalised = _normalise(advantages, is_present(steps.observation))

        progress = state.update / max(self.num_updates - 1, 1)
        learning_rate = linear(self.config.learning_rate, self.config.final_learning_rate, progress)
        entropy_weight = linear(self.config.entropy_weight, self.config.final_entropy_weight, progress)
        order = self._minibatches(shuffle_key)  # [epochs * minibatches, envs]

        def descend(carry: tuple[Params, Any], envs: jax.Array) -> tuple[tuple[Params, Any], Metrics]:
            params, optimiser = carry
            batch, batch_advantages, batch_targets = _take(1, (steps, normalised, targets), envs)
            batch_context = _take(0, context, envs)
            gradient, metrics = jax.grad(self._loss, has_aux=True)(
                params, batch, batch_context, batch_advantages, batch_targets, entropy_weight
            )
            gradient, metrics = jax.lax.pmean((gradient, metrics), AXIS)
            step, optimiser = self._optimiser().update(gradient, optimiser, params)
            params = jax.tree.map(lambda old, change: old - learning_rate * change, params, step)
            return (params, optimiser), metrics | {"gradient_norm": optax.tree.norm(gradient)}

        (params, optimiser), metrics = jax.lax.scan(descend, (state.params, state.optimiser), order)
        metrics = jax.tree.map(jnp.mean, metrics)
        metrics |= {"learning_rate": learning_rate, "entropy_weight": entropy_weight}
        metrics |= {"explained_variance": _explained_variance(steps.value, targets)}
        metrics |= _sum_trials(trials)
        return TrainState(params, optimiser, actor, key, state.update + 1), metrics

    def _loss(
        self,
        params: Params,
        steps: Steps,
        context: Context,
        advantages: jax.Array,
        targets: jax.Array,
        entropy_weight: jax.Array,
    ) -> tuple[jax.Array, Metrics]:
        told_now, told_next = (self.agent.encode_briefing(params, briefing) for briefing in context.briefings)
        told = jnp.where(steps.is_next_task[..., None, None], told_next, told_now)
        logits, values, _ = self.agent.unroll(params, steps.observation, told, context.memory, steps.is_reset)
        log_ratio = distribution.log_probability(logits, steps.action) - steps.log_probability
        weights = is_present(steps.observation)
        policy = weighted_mean(clipped_surrogate(log_ratio, advantages, self.config.clip), weights)
        value = weighted_mean(value_loss(values, targets), weights)
        entropy = weighted_mean(distribution.entropy(logits), weights)
        loss = policy + self.config.value_weight * value - entropy_weight * entropy
        return loss, {
            "loss": loss,
            "policy_loss": policy,
            "value_loss": value,
            "entropy": entropy,
            "kl": weighted_mean(jnp.expm1(log_ratio) - log_ratio, weights),  # Schulman's estimator, never negative
            "clip_fraction": weighted_mean(jnp.abs(jnp.expm1(log_ratio)) > self.config.clip, weights),
        }

    def _advantages(self, steps: Steps, last_value: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[T, B, A] advantages, and the targets of the values."""
        values = jnp.concatenate([steps.value, last_value[None]])
        discounts = self.config.discount * steps.discount[..., None]
        rewards = self.config.reward_scale * steps.reward
        advantages = generalised_advantage(rewards, values, discounts, self.config.lambda_)
        return advantages, advantages + steps.value

    def _minibatches(self, key: jax.Array) -> jax.Array:
        """[epochs * minibatches, envs] int32: the environments of each minibatch, shuffled anew in every epoch."""
        keys = jax.random.split(key, self.config.num_epochs)
        shuffled = jax.vmap(lambda key: jax.random.permutation(key, self.vec.num_envs))(keys)
        return shuffled.reshape(self.config.num_epochs * self.config.num_minibatches, -1)

    def _optimiser(self) -> optax.GradientTransformation:
        return optax.chain(
            optax.clip_by_global_norm(self.config.max_gradient_norm),
            optax.scale_by_adam(eps=1e-5),
        )


def linear(start: float, end: float, progress: jax.Array) -> jax.Array:
    """The value on the line from `start` at progress 0 to `end` at progress 1; beyond, `end`."""
    return start + (end - start) * jnp.clip(progress, 0.0, 1.0)


def _take(axis: int, tree: T, envs: jax.Array) -> T:
    """The sequences of some environments, which are along `axis` of every leaf."""
    return jax.tree.map(lambda leaf: jnp.take(leaf, envs, axis), tree)


def _normalise(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Values with mean 0 and variance 1 over all devices."""
    mean, variance = _moments(values, weights)
    return (values - mean) * jax.lax.rsqrt(variance + 1e-8)


def _moments(values: jax.Array, weights: jax.Array) -> tuple[jax.Array, jax.Array]:
    """[] mean and variance over all devices."""
    mean = jax.lax.pmean(weighted_mean(values, weights), AXIS)
    return mean, jax.lax.pmean(weighted_mean(jnp.square(values - mean), weights), AXIS)


def _explained_variance(values: jax.Array, targets: jax.Array) -> jax.Array:
    """[] 1 for values that foresee their targets, 0 for constant ones."""
    ones = jnp.ones_like(values)
    _, error_variance = _moments(targets - values, ones)
    _, variance = _moments(targets, ones)
    return 1 - error_variance / jnp.maximum(variance, 1e-8)


def _sum_trials(trials: TrialReturns) -> Metrics:
    sums, counts = jax.lax.psum((trials.sums, trials.counts), AXIS)
    return {"trial_sums": sums, "trial_counts": counts}
