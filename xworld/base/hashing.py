"""A small counter-based integer hash: the only source of chance in steps and in tasks.

It is a few integer operations, the same on every device and for ever, which no library sampler promises.
"""

from functools import reduce

import jax
import jax.numpy as jnp

Word = jax.Array | int


def _mix(h: jax.Array) -> jax.Array:
    """The finaliser of MurmurHash3: every input bit changes every output bit with probability about 1/2."""
    h = (h ^ (h >> 16)) * jnp.uint32(0x85EBCA6B)
    h = (h ^ (h >> 13)) * jnp.uint32(0xC2B2AE35)
    return h ^ (h >> 16)


def hash_words(*words: Word) -> jax.Array:
    """A uint32 that depends on all `words` and on their order; integers or arrays that broadcast."""

    def absorb(h: jax.Array, word: Word) -> jax.Array:
        return _mix((h ^ jnp.asarray(word).astype(jnp.uint32)) + jnp.uint32(0x9E3779B9))

    return reduce(absorb, words, jnp.uint32(0x243F6A88))


def below(bits: jax.Array, bound: Word) -> jax.Array:
    """Maps uint32 `bits` to uint32 in [0, bound), bound at most 2^16 (multiply-shift, without floats)."""
    return ((bits >> 16) * jnp.asarray(bound).astype(jnp.uint32)) >> 16
