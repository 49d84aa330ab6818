"""Gradients that are written out are those that JAX finds by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xworld.agents.network.linear import multiply
from xworld.agents.network.memory.gru import recur

LENGTH, BATCH, SIZE = 7, (3, 2), 5


def plain_recur(kernel, bias, memory, prepared, is_reset):
    outputs = []
    for now, is_first in zip(prepared, is_reset, strict=True):
        memory = jnp.where(is_first, 0.0, memory)
        inputs, recurrent = jnp.split(now, 3, axis=-1), jnp.split(memory @ kernel + bias, 3, axis=-1)
        reset, update = (jax.nn.sigmoid(inputs[i] + recurrent[i]) for i in (0, 1))
        memory = (1 - update) * jnp.tanh(inputs[2] + reset * recurrent[2]) + update * memory
        outputs.append(memory)
    return jnp.stack(outputs)


@pytest.fixture(scope="module")
def arguments() -> tuple[jax.Array, ...]:
    draw = np.random.default_rng(0)
    shapes = (SIZE, 3 * SIZE), (3 * SIZE,), (*BATCH, SIZE), (LENGTH, *BATCH, 3 * SIZE)
    return tuple(jnp.asarray(draw.normal(size=shape), jnp.float32) for shape in shapes)


def test_a_gru_has_the_gradient_of_its_steps(arguments):
    is_reset = jnp.asarray(np.random.default_rng(1).random((LENGTH, *BATCH, 1)) < 0.3)
    weights = jnp.asarray(np.random.default_rng(2).normal(size=(LENGTH, *BATCH, SIZE)), jnp.float32)
    assert is_reset.any() and not is_reset[0].all()

    def gradients(function):
        return jax.jit(jax.grad(lambda *leaves: (weights * function(*leaves, is_reset)).sum(), (0, 1, 2, 3)))(
            *arguments
        )

    np.testing.assert_allclose(recur(*arguments, is_reset), plain_recur(*arguments, is_reset), atol=1e-6)
    for found, expected in zip(gradients(recur), gradients(plain_recur), strict=True):
        assert abs(expected).max() > 0.1
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_product_has_the_gradient_of_a_product(arguments):
    kernel, _, inputs, _ = arguments

    def gradients(function):
        return jax.grad(lambda *pair: jnp.sin(function(*pair)).sum(), (0, 1))(inputs, kernel)

    np.testing.assert_array_equal(multiply(inputs, kernel), inputs @ kernel)
    for found, expected in zip(gradients(multiply), gradients(jnp.matmul), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
