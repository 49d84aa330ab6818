"""Sharding: environments over the mesh; parameters replicated, or sharded between updates (ZeRO's first stage).

Sharded parameters are gathered for an update: between updates a device keeps only its part of them, and of the
optimiser's state all the time.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from xworld.base.xla.devices import AXIS

T = TypeVar("T")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Sharded:
    """A part of a learner's state that is sharded as parameters are: each device keeps its part of every array."""

    value: Any


def specs_of(tree: Any, num_devices: int, *, is_sharded: bool) -> Any:
    """The `PartitionSpec` of each leaf: along its first axis that the devices divide, or the same on all devices."""

    def spec(leaf: jax.ShapeDtypeStruct) -> P:
        axis = _axis(leaf.shape, num_devices) if is_sharded else None
        return P() if axis is None else P(*(None,) * axis, AXIS)

    return jax.tree.map(spec, tree)


def specs_of_marked(tree: Any, num_devices: int, *, is_sharded: bool) -> Any:
    """The `PartitionSpec` of each leaf: as `specs_of` within a `Sharded`, elsewhere the same on all devices."""

    def spec(node: Any) -> Any:
        return specs_of(node, num_devices, is_sharded=is_sharded) if isinstance(node, Sharded) else P()

    return jax.tree.map(spec, tree, is_leaf=lambda node: isinstance(node, Sharded))


def gather(tree: T, specs: Any) -> T:
    """On a device: whole leaves from its parts."""

    def whole(leaf: jax.Array, spec: P) -> jax.Array:
        return jax.lax.all_gather(leaf, AXIS, axis=len(spec) - 1, tiled=True) if len(spec) else leaf

    return jax.tree.map(whole, tree, specs)


def gather_batch(tree: T) -> T:
    """On a device: arrays of all environments, first axis, from those of its own."""
    return jax.tree.map(lambda leaf: jax.lax.all_gather(leaf, AXIS, axis=0, tiled=True), tree)


def own_part(tree: T, specs: Any) -> T:
    """On a device: its parts of whole leaves."""

    def part(leaf: jax.Array, spec: P) -> jax.Array:
        if not len(spec):
            return leaf
        axis = len(spec) - 1
        size = leaf.shape[axis] // jax.lax.axis_size(AXIS)
        return jax.lax.dynamic_slice_in_dim(leaf, jax.lax.axis_index(AXIS) * size, size, axis)

    return jax.tree.map(part, tree, specs)


def place(tree: T, mesh: Mesh, specs: Any) -> T:
    """Arrays in the host's memory, the same in every process, onto the devices."""

    def put(leaf: Any, spec: P) -> jax.Array:
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(put(jax.random.key_data(leaf), spec))
        leaf = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, NamedSharding(mesh, spec), lambda index: leaf[index])

    return jax.tree.map(put, tree, specs)


def fetch(tree: T) -> T:
    """Whole arrays in the host's memory, in every process. Keys become their data."""

    def get(leaf: Any) -> np.ndarray:
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable and not leaf.is_fully_replicated:
            return multihost_utils.process_allgather(leaf, tiled=True)
        return np.asarray(leaf)

    return jax.tree.map(get, tree)


def _axis(shape: tuple[int, ...], num_devices: int) -> int | None:
    """The first axis that divides into parts of more than one entry."""
    return next((axis for axis, size in enumerate(shape) if size > num_devices and size % num_devices == 0), None)
