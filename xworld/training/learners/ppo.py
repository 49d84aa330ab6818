"""PPO over rollouts that span trials and episodes: a `Learner`.

An update's result does not depend on how many devices there are, but for the order in which floats are added: chance is
each environment's own, minibatches are drawn from fixed groups of environments, and every mean is over all devices.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from xworld.agents import Agent, AgentConfig, distribution
from xworld.agents.return_scale import ReturnScale
from xworld.base.checks import check_fields, check_number, check_whole
from xworld.base.errors import ConfigError, did_you_mean
from xworld.base.xla.devices import AXIS
from xworld.training.devices.sharding import Sharded
from xworld.training.learners.learner import Batch, Metrics, Report, Trained, add_terms, guidance, in_values
from xworld.training.learners.losses import clipped_surrogate, value_loss
from xworld.training.learners.optimiser import OptimiserConfig
from xworld.training.learners.plasticity import Activity, PlasticityConfig, PlasticityState, measure, renew
from xworld.training.learners.plasticity import activity as find_activity
from xworld.training.learners.plasticity import start as start_plasticity
from xworld.training.learners.returns import generalised_advantage, rewards_to_go
from xworld.training.learners.schedules import SHAPES, anneal, warm_up
from xworld.training.learners.terms.term import Guidance, Term
from xworld.training.rollouts.rollout import Rollout, Steps, unroll

_OF_LAST_EPOCH = ("kl", "clip_fraction")  # how far the policy has moved by then; at first it has not

OLD_OUTPUTS = ("auto", "acting", "unroll")
_LEAST_DEVIATION = 1e-2  # floor of the advantages' standard deviation, in rewards: without reward there is only noise


@dataclass(frozen=True)
class PPOConfig:
    """Hyper-parameters of learning, all static.

    Raises:
      ConfigError: a value out of range, or parts that are frozen beside others that start anew.
    """

    rollout_length: int = 48  # steps between updates; best a whole episode
    num_epochs: int = 2  # passes over a rollout
    num_minibatches: int = 8  # parts of the environments that each get a gradient step; whole sequences
    learning_rate: float = 3e-3  # of Adam, at the start ...
    final_learning_rate: float = 3e-4  # ... and at the end
    warm_up: float = 0.0  # fraction of the run over which the learning rate warms up linearly
    entropy_weight: float = 0.02  # bonus for trying things, at the start ...
    final_entropy_weight: float = 0.003  # ... and at the end
    schedule: str = "linear"  # or "cosine": the way from the first values to the last
    discount: float = 0.99  # per step, across trials
    lambda_: float = 0.95  # of GAE
    clip: float = 0.2  # how far the probability ratio may leave 1
    value_weight: float = 0.5  # of the value loss
    return_decay: float = 0.99  # of the running moments by which returns are normalised, per update
    old_outputs: str = "auto"  # probabilities and values of "acting", or of one more "unroll" (see `PPO`)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    plasticity: PlasticityConfig = field(default_factory=PlasticityConfig)

    def __post_init__(self) -> None:
        check = partial(check_fields, self, owner="PPOConfig")
        above_0 = partial(check_number, low=0, excludes_low=True)
        check(("rollout_length", "num_epochs", "num_minibatches"), partial(check_whole, low=1))
        check(("discount", "lambda_", "warm_up"), partial(check_number, low=0, high=1))
        check(("return_decay",), partial(check_number, low=0, high=1, excludes_high=True))
        check(("learning_rate", "clip"), above_0)
        check(
            ("final_learning_rate", "entropy_weight", "final_entropy_weight", "value_weight"),
            partial(check_number, low=0),
        )
        for name, known in (("schedule", SHAPES), ("old_outputs", OLD_OUTPUTS)):
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(f"PPOConfig.{name} is {value!r}. {did_you_mean(str(value), known)}")
        if self.optimiser.frozen and self.plasticity.changes:
            raise ConfigError(
                "PPOConfig.optimiser.frozen keeps parts of the network as they begin, and plasticity starts some anew. "
                "Leave one of the two out."
            )

    def make(self, agent: Agent) -> "PPO":
        """The learner with these hyper-parameters."""
        self.plasticity.check(agent)
        return PPO(self, agent)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class PPOState:
    """What PPO carries from one update to the next."""

    moments: Sharded  # Adam's
    return_scale: ReturnScale
    plasticity: PlasticityState | tuple[()] = ()  # () where nothing starts anew


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Data:
    """What an update learns from, minibatch by minibatch."""

    rollout: Rollout
    extras: tuple[Any, ...]
    advantages: jax.Array  # [T, B, A], of mean 0 and variance 1
    targets: jax.Array  # [T, B, A], normalised returns


@dataclass(frozen=True)
class PPO:
    """Proximal policy optimisation (Schulman et al. 2017), with normalised returns and further losses.

    The old log-probabilities and values are those that acting gave, or of one unroll with the parameters that acted.
    These are the same but for rounding. In bfloat16, or on an accelerator, rounding is as large as what an update
    changes, so that "auto" is "acting" in float32 on a CPU only.
    """

    config: PPOConfig
    agent: Agent

    @property
    def rollout_length(self) -> int:
        """Steps between updates."""
        return self.config.rollout_length

    def start(self, trained: Trained, key: jax.Array) -> PPOState:
        """Fresh moments; values are returns until returns were seen."""
        plasticity = start_plasticity(self.config.plasticity, trained.agent)
        moments = self.config.optimiser.start(trained, forgets=self.config.plasticity.changes)
        return PPOState(moments, ReturnScale.start(), plasticity)

    def learn(
        self,
        trained: Trained,
        state: PPOState,
        rollout: Rollout,
        extras: Sequence[Any],
        terms: Sequence[Term],
        key: jax.Array,
        progress: jax.Array,
        batch: Batch,
    ) -> tuple[Trained, PPOState, Report]:
        """`num_epochs` passes over a rollout, in minibatches of whole sequences.

        A rollout in which nothing is learned from, on any device, leaves the parameters and the state as they are.
        """
        before = trained, state
        if self._unrolls_first:
            rollout = self._with_outputs(trained, rollout)
        signals = self.signals(state, rollout)
        advantages, returns = signals["advantage"], signals["return"]
        weights = rollout.steps.weight
        return_scale = state.return_scale.update(
            batch.mean(returns, weights), batch.variance(returns, weights), self.config.return_decay
        )
        normalised = _normalise(advantages, weights, batch)
        extras = in_values(terms, extras, return_scale)
        data = _Data(rollout, extras, normalised, return_scale.to_values(returns))
        learning_rate, entropy_weight = self._schedule(progress)
        guide, weights_of_terms = guidance(terms, progress)

        def descend(carry: tuple[Trained, Sharded], envs: jax.Array) -> tuple[tuple[Trained, Sharded], Any]:
            trained, moments = carry
            part = _take(data, envs)
            loss = partial(self._loss, terms=terms, guide=guide, entropy_weight=entropy_weight, progress=progress)
            gradient, found = jax.grad(loss, has_aux=True)(trained, part)
            gradient, (metrics, activity) = jax.lax.psum((gradient, found), AXIS)
            optimiser = self.config.optimiser
            trained, moments, norm = optimiser.step(trained, moments, gradient, learning_rate, batch)
            return (trained, moments), (metrics | {"gradient_norm": norm}, activity)

        order = batch.minibatches(key, self.config.num_epochs, self.config.num_minibatches)
        (trained, moments), (metrics, activity) = jax.lax.scan(descend, (trained, state.moments), order)
        num_last = self.config.num_minibatches
        last_epoch = {name: metrics[name][-num_last:] for name in _OF_LAST_EPOCH}
        metrics = jax.tree.map(jnp.mean, metrics | last_epoch)
        activity = jax.tree.map(lambda leaf: leaf[-num_last:].mean(0), activity)
        metrics |= measure(self.config.plasticity, activity)
        state = dataclasses.replace(state, moments=moments)
        trained, state = self._renewed(trained, state, activity, jax.random.fold_in(key, 1), progress, batch)
        expected = state.return_scale.to_returns(rollout.steps.value)
        metrics |= weights_of_terms | {
            "learning_rate": learning_rate,
            "entropy_weight": entropy_weight,
            "explained_variance": _explained_variance(expected, rollout.steps, self.config.discount, batch),
        }
        after = trained, dataclasses.replace(state, return_scale=return_scale)
        is_learned_from = jax.lax.psum(weights.sum(), AXIS) > 0
        trained, state = jax.tree.map(partial(jnp.where, is_learned_from), after, before)
        return trained, state, Report(metrics, signals)

    def signals(self, state: PPOState, rollout: Rollout) -> dict[str, jax.Array]:
        """[T, B, A] each: "advantage", "return" that the value should have foreseen, "td_error" of one step."""
        steps = rollout.steps
        values = state.return_scale.to_returns(jnp.concatenate([steps.value, rollout.context.last_value[None]]))
        discounts = self.config.discount * steps.discount[..., None]
        advantages = generalised_advantage(steps.reward, values, discounts, self.config.lambda_)
        errors = steps.reward + discounts * values[1:] - values[:-1]
        return {"advantage": advantages, "return": advantages + values[:-1], "td_error": errors}

    @property
    def _unrolls_first(self) -> bool:
        """Whether old log-probabilities and values are computed again as learning computes them."""
        if self.config.old_outputs != "auto":
            return self.config.old_outputs == "unroll"
        config = getattr(self.agent, "config", None)  # a network of one's own may have none
        is_float32 = not isinstance(config, AgentConfig) or config.compute_dtype == jnp.float32
        return jax.default_backend() != "cpu" or not is_float32

    def _with_outputs(self, trained: Trained, rollout: Rollout) -> Rollout:
        """The rollout with log-probabilities and values of one unroll."""
        steps, output = rollout.steps, unroll(self.agent, trained.agent, rollout)
        log_probability = distribution.log_probability(output.logits, steps.action)
        steps = dataclasses.replace(steps, log_probability=log_probability, value=output.value)
        return dataclasses.replace(rollout, steps=steps)

    def _renewed(
        self,
        trained: Trained,
        state: PPOState,
        activity: Activity,
        key: jax.Array,
        progress: jax.Array,
        batch: Batch,
    ) -> tuple[Trained, PPOState]:
        """With the parameters that start anew after this update, if any do, and without their moments."""
        old = state.plasticity
        if not isinstance(old, PlasticityState):
            return trained, state
        params, is_new, plasticity = renew(
            self.config.plasticity, self.agent, trained.agent, old, activity, key, progress
        )
        trained = Trained(params, trained.heads)
        is_not = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, bool), trained.heads)
        moments = self.config.optimiser.forget(state.moments, trained, Trained(is_new, is_not), batch)
        return trained, dataclasses.replace(state, moments=moments, plasticity=plasticity)

    def _schedule(self, progress: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[] learning rate and weight of the entropy."""
        config = self.config
        rate = anneal(config.learning_rate, config.final_learning_rate, progress, config.schedule)
        entropy_weight = anneal(config.entropy_weight, config.final_entropy_weight, progress, config.schedule)
        return warm_up(progress, config.warm_up) * rate, entropy_weight

    def _loss(
        self,
        trained: Trained,
        data: _Data,
        *,
        terms: Sequence[Term],
        guide: Guidance | None,
        entropy_weight: jax.Array,
        progress: jax.Array,
    ) -> tuple[jax.Array, tuple[Metrics, Activity]]:
        """This device's share of the loss, of the metrics and of the units' activity: added up they are means.

        The metric "policy_loss" is whole, whatever part of it an `Advice` leaves.
        """
        steps, output = data.rollout.steps, unroll(self.agent, trained.agent, data.rollout)
        log_ratio = distribution.log_probability(output.logits, steps.action) - steps.log_probability
        log_ratio = jnp.where(steps.weight > 0, log_ratio, 0.0)  # 0 times a ratio that is infinite would be NaN
        weights = steps.weight / jnp.maximum(jax.lax.psum(steps.weight.sum(), AXIS), 1)
        policy = (weights * clipped_surrogate(log_ratio, data.advantages, self.config.clip)).sum()
        value = (weights * value_loss(output.value, data.targets)).sum()
        entropy = (weights * distribution.entropy(output.logits)).sum()
        added, of_terms = add_terms(terms, trained.heads, output, steps, data.extras, weights, progress)
        own = policy if guide is None else guide.own * policy
        loss = own + self.config.value_weight * value - entropy_weight * entropy + added
        if guide is not None:
            squares = optax.tree.norm(trained.agent, squared=True)
            loss += 0.5 * guide.l2 * squares / jax.lax.axis_size(AXIS)
        metrics = of_terms | {
            "loss": loss,
            "policy_loss": policy,
            "value_loss": value,
            "entropy": entropy,
            "kl": (weights * (jnp.expm1(log_ratio) - log_ratio)).sum(),  # Schulman's estimator, never negative
            "clip_fraction": (weights * (jnp.abs(jnp.expm1(log_ratio)) > self.config.clip)).sum(),
        }
        return loss, (metrics, find_activity(self.config.plasticity, trained.agent, output, weights))


def _take(data: _Data, envs: jax.Array) -> _Data:
    """The sequences of some environments."""
    context = jax.tree.map(lambda leaf: jnp.take(leaf, envs, 0), data.rollout.context)
    steps, extras, advantages, targets = jax.tree.map(
        lambda leaf: jnp.take(leaf, envs, 1), (data.rollout.steps, data.extras, data.advantages, data.targets)
    )
    return _Data(Rollout(steps, context), extras, advantages, targets)


def _normalise(values: jax.Array, weights: jax.Array, batch: Batch) -> jax.Array:
    """Values with mean 0 and variance 1 over all devices; of less where they hardly vary."""
    deviation = jnp.maximum(jnp.sqrt(batch.variance(values, weights)), _LEAST_DEVIATION)
    return (values - batch.mean(values, weights)) / deviation


def _explained_variance(values: jax.Array, steps: Steps, discount: float, batch: Batch) -> jax.Array:
    """[] 1 for values that foresee what is earned from here to the episode's end, 0 for constant ones.

    Of episodes that end within the rollout, since of others it is not known; NaN where there are none.
    """
    is_last = jnp.broadcast_to(steps.discount[..., None] == 0, steps.reward.shape)
    earned, is_known = rewards_to_go(steps.reward, jnp.where(is_last, 0, discount), is_last)
    weights = steps.weight * is_known
    error, spread = batch.variance(earned - values, weights), batch.variance(earned, weights)
    return jnp.where(jax.lax.psum(weights.sum(), AXIS) > 0, 1 - error / jnp.maximum(spread, 1e-8), jnp.nan)
