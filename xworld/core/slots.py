"""Reductions over the first axis, written as chains of operations.

With the batch in the last axis, a chain over slots is vector instructions over environments, where XLA's CPU compiler
makes a scalar loop of a reduction.
"""

import functools
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp

NOT_FOUND = 255


def count_slots(num_slots: int, like: jax.Array) -> jax.Array:
    """[num_slots, 1, ...] uint8: 0, 1, 2, ... along the first axis, to compare with what has the axes of `like`."""
    return jax.lax.broadcasted_iota(jnp.uint8, (num_slots, *(1,) * like.ndim), 0)


def combine_bits(values: Sequence[jax.Array] | jax.Array) -> jax.Array:
    """[...]: the bitwise OR of X values [X, ...], booleans or integers."""
    return functools.reduce(operator.or_, list(values))


def first_slot(flags: jax.Array) -> jax.Array:
    """[...] uint8: the lowest index whose flag is set, or 255 if none is. `flags` is [X, ...] bool, X at most 255."""
    found = jnp.full(flags.shape[1:], NOT_FOUND, jnp.uint8)
    for index in reversed(range(flags.shape[0])):
        found = jnp.where(flags[index], jnp.uint8(index), found)
    return found


def pick_slot(flags: jax.Array, values: jax.Array) -> jax.Array:
    """[...]: the value where a flag is set, 0 if none is; at most one may be set. [X, ...] flags and integers."""
    return combine_bits(jnp.where(flags, values, 0))
