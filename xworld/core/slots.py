"""Reductions over slots, in forms that XLA's CPU compiler turns into vector instructions.

With the batch in the last axis, a chain of operations over slots vectorises, where a reduction over the leading axis
becomes a scalar loop. But whatever is not behind a loop is computed again for every element of what uses it: harmless
after a few operations, ruinous after many. `walk_slots` is both, a chain and a loop.
"""

import functools
import operator
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

Carry = TypeVar("Carry")
Values = TypeVar("Values")


def any_slot(flags: jax.Array) -> jax.Array:
    """`flags.any(axis=0)` for [X, ...] booleans, as a chain."""
    return functools.reduce(operator.or_, list(flags))


def walk_slots(visit: Callable[[Carry, Values, jax.Array], Carry], carry: Carry, values: Values) -> Carry:
    """`carry` after `visit(carry, values[x], x)` for x = 0, 1, ..., X - 1. `values` is a tree of [X, ...] arrays.

    The loop has two rounds, the least that the compiler does not undo; an odd slot is visited after it.
    """
    num_slots = jax.tree.leaves(values)[0].shape[0]
    half = num_slots // 2

    def visit_half(step: jax.Array, carry: Carry) -> Carry:
        start = step * half
        part = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, half), values)
        for offset in range(half):
            value = jax.tree.map(operator.itemgetter(offset), part)
            carry = visit(carry, value, (start + offset).astype(jnp.uint8))
        return carry

    carry = jax.lax.fori_loop(0, 2, visit_half, carry)
    if num_slots % 2:
        carry = visit(carry, jax.tree.map(operator.itemgetter(-1), values), jnp.uint8(num_slots - 1))
    return carry


def first_slot(flags: jax.Array) -> jax.Array:
    """[] uint8: the lowest index whose flag is set, or 255 if none is. `flags` is [X] bool, X at most 255."""

    def visit(lowest: jax.Array, flag: jax.Array, index: jax.Array) -> jax.Array:
        return jnp.where((lowest == 255) & flag, index, lowest)

    return walk_slots(visit, jnp.uint8(255), flags)


def pick_slot(flags: jax.Array, values: jax.Array) -> jax.Array:
    """The value where a flag is set, 0 if none is; at most one may be set. [X, ...] integers."""
    return functools.reduce(operator.or_, list(jnp.where(flags, values, 0)))


def settle(value: Carry, *alternatives: tuple[jax.Array, Carry]) -> Carry:
    """`value`, or the last of the two or more alternatives (condition, value) whose [] bool condition holds.

    A loop, so that what follows reads the result instead of working it out once per use.
    """
    conditions = jnp.stack([condition for condition, _ in alternatives])
    values = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[value for _, value in alternatives])

    def consider(step: jax.Array, value: Carry) -> Carry:
        return jax.tree.map(lambda new, old: jnp.where(conditions[step], new[step], old), values, value)

    return jax.lax.fori_loop(0, len(alternatives), consider, value)
