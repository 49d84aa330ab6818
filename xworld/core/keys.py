"""Random keys as they come from outside."""

import jax
import numpy as np

from xworld.base.errors import ConfigError


def as_key(key: jax.Array) -> jax.Array:
    """A typed key, also for an old-style one: `jax.random.PRNGKey(0)` gives what `jax.random.key(0)` gives.

    Raises:
      ConfigError: it is no single key.
    """
    dtype = getattr(key, "dtype", None)
    if dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key) and key.shape == ():
        return key
    if dtype == np.uint32 and key.ndim == 1:
        try:
            return jax.random.wrap_key_data(key)
        except TypeError:  # so many words are no key of the default generator
            pass
    what = repr(key) if dtype is None else f"an array {dtype}{list(key.shape)}"
    raise ConfigError(f"The key is {what}; write jax.random.key(0), with a seed of your own, or one of its splits.")
