"""Gated DeltaNet against the delta rule in plain Python, step by step and in chunks."""

import dataclasses
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xworld.agents import AgentConfig
from xworld.agents.network.memory import delta_rule
from xworld.agents.network.memory.delta_rule import CHUNK, Steps
from xworld.agents.network.memory.gated_delta import GatedDeltaNet

LENGTH = 2 * CHUNK + 5  # two borders of chunks, and a last chunk that is not full
# Episodes begin at a border, a step before and after it, twice in a chunk, with the rollout, and never.
RESETS = [(CHUNK,), (CHUNK - 1,), (CHUNK + 1, 2 * CHUNK), (3, 9, 2 * CHUNK - 1), (0,), ()]
SEQUENCES, HEADS, KEYS, VALUES = len(RESETS), 2, 5, 3


def plain_rule(matrix: np.ndarray, steps: Steps) -> tuple[np.ndarray, np.ndarray]:
    """What is read, and the matrices, which lie as [values, keys] here, as in the paper."""
    read = np.zeros(steps.value.shape)
    after = np.zeros(matrix.shape)
    for n, h in np.ndindex(*matrix.shape[:2]):
        stored = matrix[n, h].T
        for t in range(len(read)):
            key, value, b = steps.key[t, n, h], steps.value[t, n, h], steps.strength[t, n, h]
            decay = 0 if steps.is_reset[t, n] else np.exp(steps.log_decay[t, n, h])
            stored = decay * stored @ (np.eye(KEYS) - b * np.outer(key, key)) + b * np.outer(value, key)
            read[t, n, h] = stored @ steps.query[t, n, h]
        after[n, h] = stored.T
    return read, after


def make_steps(is_alike: bool = False) -> tuple[np.ndarray, Steps]:
    """A matrix to start with, and steps. If they are alike, all keys nearly are, and all strengths are the greatest."""
    draw = np.random.default_rng(0)
    key = draw.normal(size=(LENGTH, SEQUENCES, HEADS, KEYS))
    if is_alike:
        key = key[:1] + 0.01 * key
    is_reset = np.zeros((LENGTH, SEQUENCES), bool)
    for sequence, times in enumerate(RESETS):
        is_reset[list(times), sequence] = True
    steps = Steps(
        query=draw.normal(size=key.shape),
        key=key / np.linalg.norm(key, axis=-1, keepdims=True),
        value=draw.normal(size=(*key.shape[:3], VALUES)),
        log_decay=-0.2 * draw.random(key.shape[:3]),
        strength=np.where(is_alike, 2.0, 2 * draw.random(key.shape[:3])),
        is_reset=is_reset,
    )
    return draw.normal(size=(SEQUENCES, HEADS, KEYS, VALUES)), jax.tree.map(_single, steps)


def _single(leaf: np.ndarray) -> np.ndarray:
    return leaf if leaf.dtype == bool else leaf.astype(np.float32)


def one_by_one(matrix: jax.Array, steps: Steps) -> tuple[jax.Array, jax.Array]:
    def advance(matrix: jax.Array, step: Steps) -> tuple[jax.Array, jax.Array]:
        read, matrix = delta_rule.advance_once(matrix, step)
        return matrix, read

    matrix, read = jax.lax.scan(advance, matrix, steps)
    return read, matrix


@pytest.mark.parametrize("length", [CHUNK - 1, CHUNK, CHUNK + 1, LENGTH])
def test_chunks_are_the_rule(length):
    matrix, steps = make_steps()
    steps = jax.tree.map(operator.itemgetter(slice(length)), steps)
    expected_read, expected = plain_rule(matrix, steps)
    read, after = jax.jit(delta_rule.unroll)(matrix, steps)
    np.testing.assert_allclose(read, expected_read, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-5)


def test_steps_are_the_rule():
    matrix, steps = make_steps()
    for found, expected in zip(jax.jit(one_by_one)(matrix, steps), plain_rule(matrix, steps), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_keys_that_are_all_alike_lose_no_precision():
    """Powers of what a chunk is solved with then have entries of almost a million."""
    matrix, steps = make_steps(is_alike=True)
    overlaps = np.tril(2 * steps.key[:CHUNK, 0, 0] @ steps.key[:CHUNK, 0, 0].T, -1)
    assert np.linalg.matrix_power(overlaps, CHUNK // 2).max() > 5e5
    for found, expected in zip(jax.jit(delta_rule.unroll)(matrix, steps), plain_rule(matrix, steps), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5 * abs(expected).max())


def test_chunks_have_the_gradient_of_steps():
    matrix, steps = make_steps()
    draw = np.random.default_rng(1)
    weights = draw.normal(size=steps.value.shape), draw.normal(size=matrix.shape)

    def gradients(unroll):
        def total(matrix, leaves):
            outputs = unroll(matrix, dataclasses.replace(steps, **leaves))
            return sum((weight * output).sum() for weight, output in zip(weights, outputs, strict=True))

        leaves = {name: getattr(steps, name) for name in ("query", "key", "value", "log_decay", "strength")}
        return jax.jit(jax.grad(total, (0, 1)))(matrix, leaves)

    found, expected = gradients(delta_rule.unroll), gradients(one_by_one)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert abs(other).max() > 0.1
        np.testing.assert_allclose(one, other, atol=1e-5 * abs(other).max())


CONFIG = AgentConfig(encoder_size=4, memory="gated_delta", memory_size=8, num_heads=2, feed_forward_size=6)


def module_of(config: AgentConfig, is_rough: bool = True) -> GatedDeltaNet:
    """With parameters that make every part of it matter, or with fresh ones."""
    graph, params = nnx.split(GatedDeltaNet(config, nnx.Rngs(0)))
    draw = np.random.default_rng(1)
    if is_rough:
        params = jax.tree.map(lambda leaf: leaf + 0.3 * draw.normal(size=leaf.shape).astype(np.float32), params)
    return nnx.merge(graph, params)


@pytest.fixture(scope="module")
def sequences() -> tuple[jax.Array, jax.Array]:
    """[T, N, E] inputs and [T, N] bool."""
    inputs = np.random.default_rng(2).normal(size=(LENGTH, SEQUENCES, CONFIG.input_size)).astype(np.float32)
    return jnp.asarray(inputs), jnp.asarray(make_steps()[1].is_reset)


def through(module, memory, inputs, is_reset):
    """As `unroll`, one step after the other."""

    def advance(memory, step):
        outputs, memory = module.unroll(memory, *jax.tree.map(lambda leaf: leaf[None], step))
        return memory, outputs[0]

    memory, outputs = jax.lax.scan(advance, memory, (inputs, is_reset))
    return outputs, memory


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_unroll_is_its_steps_whatever_was_remembered(sequences, dtype):
    config = dataclasses.replace(CONFIG, dtype=dtype)
    module, draw = module_of(config), np.random.default_rng(3)
    memory = jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(size=leaf.shape), leaf.dtype), GatedDeltaNet.empty(config, SEQUENCES)
    )
    outputs, after = jax.jit(module.unroll)(memory, *sequences)
    step_outputs, step_after = jax.jit(lambda *leaves: through(module, *leaves))(memory, *sequences)
    tolerance = 1e-5 if dtype == "float32" else 0.1
    np.testing.assert_allclose(step_outputs, outputs, rtol=tolerance, atol=tolerance)
    for one, other in zip(jax.tree.leaves(step_after), jax.tree.leaves(after), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one.astype(np.float32), other.astype(np.float32), atol=tolerance)
    assert {leaf.dtype.name for leaf in after.matrices} == {"float32"}
    assert {leaf.dtype.name for leaf in after.recent} == {dtype}


def test_of_another_episode_nothing_is_left(sequences):
    """Not in outputs, and not in what is remembered: bit for bit, though it was in the same chunk."""
    inputs, is_reset = sequences
    unroll, empty = jax.jit(module_of(CONFIG).unroll), GatedDeltaNet.empty(CONFIG, SEQUENCES)
    outputs, after = unroll(empty, inputs, is_reset)
    episode = np.cumsum(is_reset, axis=0)
    is_of_last = episode == episode[-1]
    other = jnp.where(is_of_last[..., None], inputs, inputs + 1)
    other_outputs, other_after = unroll(jax.tree.map(lambda leaf: leaf + 1, empty), other, is_reset)
    is_there = np.asarray([bool(times) for times in RESETS])
    began_here = is_of_last & is_there
    np.testing.assert_array_equal(other_outputs[began_here], outputs[began_here])
    for one, two in zip(jax.tree.leaves(other_after), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(one[is_there], two[is_there])
    for one, two in zip(other_after.matrices, after.matrices, strict=True):
        assert (one[~is_there] != two[~is_there]).any()
    assert (other_outputs[~is_of_last] != outputs[~is_of_last]).any(-1).all()


def test_it_begins_without_a_memory(sequences):
    inputs, is_reset = sequences
    module = module_of(CONFIG, is_rough=False)
    outputs, _ = jax.jit(module.unroll)(GatedDeltaNet.empty(CONFIG, SEQUENCES), inputs, is_reset)
    np.testing.assert_allclose(outputs, module.norm(module.input(inputs)), atol=1e-5)
