"""Reductions over the first axis, written as chains of operations.

With the batch in the last axis, a chain over slots is vector instructions over environments, where XLA's CPU compiler
makes a scalar loop of a reduction. What is reduced is there before the chain begins: each is `apart`. XLA would make
what it has yet to compute a function that the chain calls once a slot, and LLVM then cannot tell that its output is
none of its inputs. It asks at run time whether they overlap, generously, and takes scalar code where buffers happen to
be neighbours: one and the same step was a third slower in one program than in the next.
"""

import functools
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from xworld.base.xla.fusion import apart

NOT_FOUND = 255


def count_slots(num_slots: int, like: jax.Array) -> jax.Array:
    """[num_slots, 1, ...] uint8: 0, 1, 2, ... along the first axis, to compare with what has the axes of `like`."""
    return jax.lax.broadcasted_iota(jnp.uint8, (num_slots, *(1,) * like.ndim), 0)


def combine_bits(values: Sequence[jax.Array]) -> jax.Array:
    """[...]: the bitwise OR of some [...] values, booleans or integers."""
    return functools.reduce(operator.or_, values)


@apart
def combine_slots(values: jax.Array) -> jax.Array:
    """[...]: the bitwise OR over the slots of [X, ...] values, booleans or integers."""
    return combine_bits(list(values))


@apart
def first_slot(flags: jax.Array) -> jax.Array:
    """[...] uint8: the lowest index whose flag is set, or 255 if none is. `flags` is [X, ...] bool, X at most 255."""
    found = jnp.full(flags.shape[1:], NOT_FOUND, jnp.uint8)
    for index in reversed(range(flags.shape[0])):
        found = jnp.where(flags[index], jnp.uint8(index), found)
    return found


def pick_slot(flags: jax.Array, values: jax.Array) -> jax.Array:
    """[...]: the value where a flag is set, 0 if none is; at most one may be set. [X, ...] flags and integers."""
    return combine_slots(jnp.where(flags, values, 0))
