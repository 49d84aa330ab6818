"""Telling trees of different classes apart in `jit`."""

from typing import Any

import jax


def jit_key(tree: Any) -> tuple[Any, ...]:
    """The classes in a tree: a static argument for a jitted function that takes trees of any class.

    JAX 0.10 compares trees of registered dataclasses without their classes: of two with equal fields one is now and
    then given to what was compiled for the other, whenever the few bits of a hash that `jit` looks up first agree.
    """
    return _classes(jax.tree.structure(tree))


def _classes(structure: jax.tree_util.PyTreeDef) -> tuple[Any, ...]:
    node = structure.node_data()  # a class and what is static of it; None for a leaf
    return (node and node[0], *map(_classes, structure.children()))
