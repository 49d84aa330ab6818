"""Advantages and returns along rollouts that span many trials."""

from typing import Any

import jax
import jax.numpy as jnp


def generalised_advantage(rewards: jax.Array, values: jax.Array, discounts: jax.Array, lambda_: float) -> jax.Array:
    """[T, ...] advantages, by GAE(lambda).

    A_t = sum_l (prod_{k<l} discount_{t+k} * lambda) * (r_{t+l} + discount_{t+l} * v_{t+l+1} - v_{t+l})
    Source: Schulman et al. 2016, eq. 16. It runs on across trial boundaries, where what was learnt in one trial pays
    in the next, and stops only at a discount of 0.

    Args:
      rewards: [T, ...], reward received after action t.
      values: [T + 1, ...], value of the observation before action t; the last row bootstraps.
      discounts: [T, ...], gamma, or 0 where the episode ended with step t. Trials do not end it.
      lambda_: 0 for one-step errors, 1 for whole returns.
    """
    errors = rewards + discounts * values[1:] - values[:-1]

    def accumulate(following: jax.Array, inputs: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        error, discount = inputs
        advantage = error + discount * lambda_ * following
        return advantage, advantage

    _, advantages = jax.lax.scan(accumulate, jnp.zeros_like(errors[0]), (errors, discounts), reverse=True)
    return advantages


def rewards_to_go(rewards: jax.Array, discounts: jax.Array, is_last: jax.Array) -> tuple[jax.Array, jax.Array]:
    """[T, ...] discounted rewards from every step to the end of its episode, and [T, ...] bool where it is reached.

    Args:
      rewards: [T, ...], reward received after action t.
      discounts: [T, ...], gamma, or 0 where the episode ended with step t.
      is_last: [T, ...] bool, whether it did.
    """

    def accumulate(following: tuple[jax.Array, jax.Array], inputs: tuple[jax.Array, ...]) -> tuple[Any, Any]:
        total, is_reached = following
        reward, discount, is_end = inputs
        here = reward + discount * total, is_end | is_reached
        return here, here

    start = jnp.zeros_like(rewards[0]), jnp.zeros_like(is_last[0])
    return jax.lax.scan(accumulate, start, (rewards, discounts, is_last), reverse=True)[1]
