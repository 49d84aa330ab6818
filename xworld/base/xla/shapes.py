"""What a pytree is made of, to be compared with another's."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp


def shapes(tree: Any) -> tuple[Any, list[Any]]:
    """A pytree's structure, and its leaves' shapes and dtypes."""
    leaves, structure = jax.tree.flatten(jax.eval_shape(partial(jax.tree.map, jnp.asarray), tree))
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]
