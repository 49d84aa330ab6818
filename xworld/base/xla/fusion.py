"""Where the compiler has to stop fusing.

XLA's CPU compiler fuses what makes a value into whatever reads it, and so computes it again for every element that is
made of it: harmless after a few operations, ruinous after many. What crosses the border of a call is computed once.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import jax
from jax.experimental.xla_metadata import set_xla_metadata

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
UNIT = "unit"  # by what name the trace of a function calls what is `apart` in it


def apart(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """`function`, compiled on a CPU as a unit of its own. Other backends fuse as they see fit."""

    @wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if jax.default_backend() != "cpu":
            return function(*args, **kwargs)

        @jax.jit
        def unit() -> Result:
            with set_xla_metadata(inlineable="true"):  # what is called inside
                return function(*args, **kwargs)

        with set_xla_metadata(inlineable="false"):
            return unit()

    return call
