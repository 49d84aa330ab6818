"""Dense layers whose gradients are products of matrices in the order that a CPU multiplies fast."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx


@jax.custom_vjp
def multiply(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    """[..., O] products of [..., I] inputs with an [I, O] kernel."""
    return inputs @ kernel


def _forward(inputs: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return inputs @ kernel, (inputs, kernel)


def _backward(saved: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    inputs, kernel = saved
    return gradient @ kernel.T, kernel_gradient(inputs, gradient)


multiply.defvjp(_forward, _backward)


def kernel_gradient(inputs: jax.Array, gradient: jax.Array) -> jax.Array:
    """[I, O] a kernel's gradient, from the [..., I] inputs and the [..., O] gradient of the outputs.

    JAX would make its transpose, [O, I], and turn it: XLA's CPU code for that is slow.
    """
    return jnp.einsum("mi,mo->io", inputs.reshape(-1, inputs.shape[-1]), gradient.reshape(-1, gradient.shape[-1]))


def _dot_general(inputs: jax.Array, kernel: jax.Array, *_: Any, **__: Any) -> jax.Array:
    """`multiply` as `nnx.Linear` calls it: it always multiplies the last axis with the first."""
    return multiply(inputs, kernel)


Linear = functools.partial(nnx.Linear, dot_general=_dot_general)
