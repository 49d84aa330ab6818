"""Gradients that are written out are those that JAX finds by itself."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xworld.agents import AgentConfig
from xworld.agents.network.linear import multiply
from xworld.agents.network.memory import gru_attention
from xworld.agents.network.memory.gru import recur
from xworld.agents.network.memory.memory import empty_memory, make_memory, unroll_in_windows

LENGTH, BATCH, SIZE = 7, (3, 2), 5
WINDOW = 3  # of which an unroll is not a multiple
RECURRENT = {"gru": AgentConfig(encoder_size=4, memory_size=SIZE)} | {
    name: AgentConfig(encoder_size=4, memory=name, memory_size=SIZE, num_heads=2, num_kept=3, keep_every=2)
    for name in ("gru_attention", "gru_txl")
}
RECURRENT["gated_delta"] = AgentConfig(
    encoder_size=4, memory="gated_delta", memory_size=SIZE, num_heads=1, num_layers=1, feed_forward_size=6
)


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


def test_a_gru_with_attention_has_the_gradient_of_its_steps(monkeypatch):
    draw, config = np.random.default_rng(4), RECURRENT["gru_attention"]
    graph, params = nnx.split(make_memory(config, nnx.Rngs(0)))
    rough = jax.tree.map(lambda leaf: leaf + 0.3 * draw.normal(size=leaf.shape).astype(np.float32), params)
    length, num_envs = 3 * LENGTH, 4  # of an episode more is kept than there is room for
    inputs = jnp.asarray(draw.normal(size=(length, num_envs, config.input_size)), jnp.float32)
    weights = jnp.asarray(draw.normal(size=(length, num_envs, SIZE)), jnp.float32)
    is_reset = jnp.asarray(draw.random((length, num_envs)) < 0.1).at[:, 0].set(False)
    assert is_reset.any()
    start = nnx.merge(graph, rough).unroll(empty_memory(config, num_envs), inputs[:5], is_reset[:5])[1]

    def gradients():
        def total(params, inputs, hidden, read):
            memory = dataclasses.replace(start, hidden=hidden, read=read)
            outputs, memory = nnx.merge(graph, params).unroll(memory, inputs, is_reset)
            return (weights * outputs).sum() + memory.activations.sum()

        return jax.jit(jax.grad(total, (0, 1, 2, 3)))(rough, inputs, start.hidden, start.read)

    found = gradients()
    monkeypatch.setattr(gru_attention, "_recur", gru_attention._recur.fun)
    for one, expected in zip(jax.tree.leaves(found), jax.tree.leaves(gradients()), strict=True):
        assert abs(expected).max() > 0.01
        np.testing.assert_allclose(one, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "windows"),
    [
        ("gru", (None, LENGTH, WINDOW, 1)),
        ("gru_txl", (None, WINDOW)),
        pytest.param("gru_attention", (None, WINDOW), marks=pytest.mark.slow),  # quicker: the others
        pytest.param("gated_delta", (None, WINDOW), marks=pytest.mark.slow),
    ],
)
def test_no_gradient_goes_back_beyond_a_window(name, windows):
    config = RECURRENT[name]
    draw = np.random.default_rng(3)
    graph, params = nnx.split(make_memory(config, nnx.Rngs(0)))
    rough = jax.tree.map(lambda leaf: leaf + 0.3 * draw.normal(size=leaf.shape).astype(np.float32), params)
    module = nnx.merge(graph, rough)  # fresh, some of what looks back adds 0
    inputs = jnp.asarray(draw.normal(size=(LENGTH, 1, config.input_size)), jnp.float32)
    memory, is_reset = empty_memory(config, 1), jnp.zeros((LENGTH, 1), bool)

    def outputs(window, inputs, hidden):
        if name == "gated_delta":
            start = dataclasses.replace(memory, matrices=(hidden,))
        else:
            start = hidden if name == "gru" else dataclasses.replace(memory, hidden=hidden)
        return unroll_in_windows(module, window, start, inputs, is_reset)[0]

    @functools.partial(jax.jit, static_argnums=0)
    def compute(window, *arrays):
        unroll = functools.partial(outputs, window)
        return unroll(*arrays), jax.jacobian(unroll, (0, 1))(*arrays)

    hidden = memory if name == "gru" else memory.matrices[0] if name == "gated_delta" else memory.hidden
    plain, _ = compute(None, inputs, hidden)
    for window in windows:
        found, (to_inputs, to_hidden) = compute(window, inputs, hidden)
        np.testing.assert_allclose(found, plain, rtol=1e-5, atol=1e-6)
        time, size = np.arange(LENGTH), window or LENGTH
        expected = (time[:, None] >= time) & (time[:, None] // size == time // size)
        np.testing.assert_array_equal(abs(to_inputs).sum((1, 2, 4, 5)) > 0, expected)
        assert (abs(to_hidden).sum() > 0) == (size == LENGTH)  # of a rollout's first step memory is data anyway
