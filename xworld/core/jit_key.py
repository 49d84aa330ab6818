"""Telling trees of different classes apart in `jit`."""

from typing import Any

import jax


def jit_key(tree: Any) -> tuple[type, str]:
    """What tells a tree's code from another's: a static argument for a jitted function that takes trees of any class.

    JAX compares trees of registered dataclasses without their classes: of two with equal fields one is now and then
    given to what was compiled for the other, whenever the few bits of a hash that `jit` looks up first agree.
    """
    return type(tree), str(jax.tree.structure(tree))  # with the names of classes inside it
