"""Draws from the counter-based hash: the same on every device and for ever, without floats."""

import math
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.checks import check_whole
from xworld.base.errors import ConfigError
from xworld.base.hashing import Word, below, hash_words
from xworld.base.xla.fusion import apart

MAX_ID = 2**31 - 1  # of worlds and games

T = TypeVar("T")

# What is drawn; the first word of every hash, so that the draws have nothing to do with each other.
WORLD, GAME, HIDING, PLACEMENT, WORLD_KIND, FLOOR_COLOURS, CHAIN = range(7)


def as_id(name: str, value: Word) -> jax.Array:
    """[] int32 of an id of a world or a game. Of a JAX array the highest bit is left out.

    Raises:
      ConfigError: a number, not an array, that is no whole one below 2^31; it would be taken for another.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, jax.Array):
        return value.astype(jnp.int32) & MAX_ID
    return jnp.asarray(check_whole(name, value, 0, MAX_ID), jnp.int32)


def as_ids(name: str, values: np.ndarray) -> np.ndarray:
    """[n] int32 of ids of worlds or of games, outside of `jit`.

    Raises:
      ConfigError: there are none, or one is no whole number below 2^31.
    """
    ids = np.asarray(values)
    if ids.ndim != 1 or not ids.size or ids.dtype.kind not in "iu":
        raise ConfigError(f"{name} is an array {ids.shape} of {ids.dtype}; write a row of one or more whole numbers.")
    for edge in (ids.min(), ids.max()):
        check_whole(name, edge.item(), 0, MAX_ID)
    return ids.astype(np.int32)


class Dice:
    """A stream of bits for what ids name, at some attempt. The n-th roll is the same whatever the sizes of the others.

    Rolls are counted while a function is traced, so the order in which its code rolls is part of what an id means.
    """

    def __init__(self, stream: int, attempt: Word, *ids: Word) -> None:
        """Starts at the first roll. `stream` says what the bits are for: one of the constants above."""
        self._state = hash_words(stream, attempt, *ids)  # different for different ids, if there is but one
        self._num_rolls = 0

    def roll(self, *shape: int) -> jax.Array:
        """[*shape] uint32 bits."""
        place = np.arange(math.prod(shape), dtype=np.uint32) + np.uint32(self._num_rolls << 16)
        self._num_rolls += 1
        salt = place * np.uint32(0x9E3779B1)  # odd, so different for different places
        return hash_words(self._state ^ jnp.asarray(salt.reshape(shape)))


def happens(bits: jax.Array, percent: int) -> jax.Array:
    """Bool, true for `percent` of all bits."""
    return below(bits, 100) < percent


def between(bits: jax.Array, low: Word, high: Word) -> jax.Array:
    """int32 from `low` to `high`, both included."""
    low = jnp.asarray(low, jnp.int32)
    return low + below(bits, jnp.asarray(high, jnp.int32) - low + 1).astype(jnp.int32)


@apart
def ranks(keys: jax.Array) -> jax.Array:
    """[n] int32: how many of the keys come before each, in ascending order; equal ones in the order of their index."""
    index = jnp.arange(keys.shape[0])
    is_before = (keys[None, :] < keys[:, None]) | ((keys[None, :] == keys[:, None]) & (index[None, :] < index[:, None]))
    return is_before.sum(axis=1, dtype=jnp.int32)


def shuffle(bits: jax.Array, is_in: jax.Array) -> jax.Array:
    """[n] int32: places in a random order, first those that are in and then the others."""
    return ranks((bits >> 1) | jnp.where(is_in, jnp.uint32(0), jnp.uint32(1 << 31)))


@apart
def nth_true(mask: jax.Array, n: jax.Array) -> jax.Array:
    """[] int32: where the n-th true of a [size] mask is, counted from 0; `size` if there are not so many."""
    return (jnp.cumsum(mask) <= n).sum(dtype=jnp.int32)


def first_right(draw: Callable[[jax.Array], tuple[T, jax.Array]], limit: int) -> tuple[T, jax.Array]:
    """What `draw(attempt)` gives at the first attempt below `limit` that it calls right, and whether there was one."""
    draw = jax.jit(draw)  # so that it is traced once
    shapes = jax.eval_shape(draw, jnp.int32(0))[0]
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def try_next(carry: tuple[jax.Array, jax.Array, T]) -> tuple[jax.Array, jax.Array, T]:
        attempt, _, _ = carry
        value, is_right = draw(attempt)
        return attempt + 1, is_right, value

    _, is_right, value = jax.lax.while_loop(
        lambda carry: ~carry[1] & (carry[0] < limit), try_next, (jnp.int32(0), jnp.asarray(False), nothing)
    )
    return value, is_right
