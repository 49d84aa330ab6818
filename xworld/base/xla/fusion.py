"""Where the compiler has to stop fusing.

XLA's CPU compiler fuses what makes a value into whatever reads it, and so computes it again for every element that is
made of it: harmless after a few operations, ruinous after many. What crosses the border of a call is computed once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np
from jax.experimental.xla_metadata import set_xla_metadata

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
UNIT = "unit"  # by what name the trace of a function calls what is `apart` in it


def apart(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """`function`, compiled on a CPU as a unit of its own. Other backends fuse as they see fit.

    Calls with arrays of the same shapes and otherwise equal arguments, which have to be hashable, share one trace.
    """

    @partial(jax.jit, static_argnums=0)
    def unit(frame: "_Frame", arrays: list[jax.Array]) -> Result:
        args, kwargs = frame.fill(arrays)
        with set_xla_metadata(inlineable="true"):  # what is called inside
            return function(*args, **kwargs)

    @wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if jax.default_backend() != "cpu":
            return function(*args, **kwargs)
        leaves, structure = jax.tree.flatten((args, kwargs))
        is_array = tuple(isinstance(leaf, jax.Array) for leaf in leaves)
        arrays = [leaf for leaf, is_one in zip(leaves, is_array, strict=True) if is_one]
        fixed = tuple(_fix(leaf) for leaf, is_one in zip(leaves, is_array, strict=True) if not is_one)
        with set_xla_metadata(inlineable="false"):
            return unit(_Frame(structure, is_array, fixed), arrays)

    return call


@dataclass(frozen=True)
class _Constant:
    """A NumPy array, hashable: as an argument it would be no constant to the compiler."""

    content: bytes
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class _Frame:
    """The arguments of a call without their arrays."""

    structure: Any  # of the arguments
    is_array: tuple[bool, ...]  # for each leaf
    fixed: tuple[tuple[type, Any], ...]  # the other leaves

    def fill(self, arrays: list[jax.Array]) -> tuple[Any, Any]:
        """Positional and named arguments with these arrays."""
        array, fixed = iter(arrays), iter(self.fixed)
        leaves = [next(array) if is_array else _restore(next(fixed)) for is_array in self.is_array]
        return jax.tree.unflatten(self.structure, leaves)


def _fix(leaf: Any) -> tuple[type, Any]:
    """Of a class with it: 1, 1.0 and True are equal."""
    if isinstance(leaf, np.ndarray):
        return np.ndarray, _Constant(leaf.tobytes(), leaf.dtype.str, leaf.shape)
    return type(leaf), leaf


def _restore(fixed: tuple[type, Any]) -> Any:
    leaf = fixed[1]
    if isinstance(leaf, _Constant):
        return np.frombuffer(leaf.content, leaf.dtype).reshape(leaf.shape)
    return leaf
