"""Reading and writing short arrays at drawn places, by comparing.

A gather or a scatter is a scalar loop on a CPU. To compare every place with every index is more operations, but they
are vector instructions over `lanes`.
"""

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.xla.fusion import apart


@apart
def take(values: jax.Array | np.ndarray, index: jax.Array | np.ndarray) -> jax.Array:
    """`values[index]` for [n] values, n at most 255, and indices of any shape; the nearest for one outside."""
    values = jnp.asarray(values)
    num_values = values.shape[0]
    nearest = jnp.clip(index, 0, num_values - 1).astype(jnp.uint8)
    is_here = nearest[..., None] == np.arange(num_values, dtype=np.uint8)
    return _union(jnp.where(is_here, values, jnp.zeros_like(values)), is_here.ndim - 1)


@apart
def put(values: jax.Array, place: jax.Array, into: jax.Array) -> jax.Array:
    """[n, ...] `into` with [k, ...] values written over what is at [k] different places; nothing for one outside.

    n is less than 2^16.
    """
    size = into.shape[0]
    outside = 255 if size <= 255 else 2**16 - 1
    # In as few bits as there may be, to take few vector registers.
    short = jnp.where((place >= 0) & (place < size), place, outside).astype(jnp.uint8 if size <= 255 else jnp.uint16)
    is_here = short[:, None] == np.arange(size, dtype=short.dtype)  # [k, n]
    is_here = is_here.reshape(*is_here.shape, *[1] * (into.ndim - 1))
    values = values.astype(into.dtype)[:, None]
    return jnp.where(is_here.any(axis=0), _union(jnp.where(is_here, values, jnp.zeros_like(values)), 0), into)


def _union(values: jax.Array, axis: int) -> jax.Array:
    return jax.lax.reduce_or(values, (axis,))
