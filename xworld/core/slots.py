"""Reductions over slots, written out as chains.

With the batch in the last axis, XLA's CPU compiler turns a chain over slots into vector instructions, where a reduction
over the leading axis becomes a scalar loop.
"""

import functools
import operator

import jax
import jax.numpy as jnp


def any_slot(flags: jax.Array) -> jax.Array:
    """`flags.any(axis=0)` for [X, ...] booleans."""
    return functools.reduce(operator.or_, list(flags))


def pick_slot(flags: jax.Array, values: jax.Array) -> jax.Array:
    """The value where a flag is set, 0 if none is; at most one may be set. [X, ...] integers."""
    return functools.reduce(operator.or_, list(jnp.where(flags, values, 0)))


def first_slot(flags: jax.Array) -> jax.Array:
    """The lowest index whose flag is set, or 255 if none is. [X, ...] booleans to uint8."""
    lowest = jnp.full(flags.shape[1:], 255, jnp.uint8)
    for index in reversed(range(flags.shape[0])):
        lowest = jnp.where(flags[index], jnp.uint8(index), lowest)
    return lowest
