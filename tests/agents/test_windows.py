"""A memory that learns in windows is the memory that acts, wherever episodes, windows and blocks begin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xworld.agents import MEMORIES, AgentConfig
from xworld.agents.network.memory import transformer_xl
from xworld.agents.network.memory.memory import empty_memory, make_memory, unroll_in_windows

WINDOW, LENGTH, ACTED = 4, 13, 3  # steps; the unroll begins when some have been acted, so that rings have turned
BEGINNINGS = ((), (WINDOW - 1,), (WINDOW,), (WINDOW + 1,), (1, 2 * WINDOW - 1), (2 * WINDOW, 2 * WINDOW + 1))
SIZES = {"encoder_size": 4, "memory_size": 8}
HEADS = SIZES | {"num_heads": 2}
LAYERS = HEADS | {"num_layers": 2, "feed_forward_size": 6}
KEPT = HEADS | {"num_kept": 2, "keep_every": 2, "gradient_window": WINDOW}
CONFIGS = {
    "gru": AgentConfig(**SIZES, gradient_window=WINDOW),
    "gru_attention": AgentConfig(**KEPT, memory="gru_attention"),
    "gru_txl": AgentConfig(**KEPT, memory="gru_txl", kept_size=3, feed_forward_size=6),
    "transformer_xl": AgentConfig(**LAYERS, memory="transformer_xl", window=WINDOW, cache_size=5),
    "gated_delta": AgentConfig(**LAYERS, memory="gated_delta", gradient_window=WINDOW),
}


@pytest.mark.parametrize(("name", "block"), [*((name, None) for name in MEMORIES), ("transformer_xl", 3)])
def test_windows_and_blocks_change_nothing_wherever_episodes_begin(name, block, monkeypatch):
    if block is not None:
        monkeypatch.setattr(transformer_xl, "_BLOCK", block)  # steps that look back at once: fewer than a window
    config, draw = CONFIGS[name], np.random.default_rng(0)
    graph, params = nnx.split(make_memory(config, nnx.Rngs(0)))
    rough = jax.tree.map(lambda leaf: leaf + 0.3 * draw.normal(size=leaf.shape).astype(np.float32), params)
    module = nnx.merge(graph, rough)  # fresh, some of what looks back adds 0
    num_envs, length = len(BEGINNINGS), ACTED + LENGTH
    inputs = jnp.asarray(draw.normal(size=(length, num_envs, config.input_size)), jnp.float32)
    is_reset = np.zeros((length, num_envs), bool)
    for env, times in enumerate(BEGINNINGS):
        is_reset[np.array(times, int) + ACTED, env] = True

    def act(memory, now):
        outputs, memory = module.unroll(memory, *(leaf[None] for leaf in now))
        return memory, (outputs[0], memory)

    @jax.jit
    def both(inputs, is_reset):
        _, (acted, memories) = jax.lax.scan(act, empty_memory(config, num_envs), (inputs, is_reset))
        start = jax.tree.map(lambda leaf: leaf[ACTED - 1], memories)
        learned, end = unroll_in_windows(module, config.gradient_window, start, inputs[ACTED:], is_reset[ACTED:])
        after = [module.unroll(one, inputs[:1], is_reset[:1])[0] for one in (end, jax.tree.map(last, memories))]
        return acted[ACTED:], learned, after

    acted, learned, after = both(inputs, jnp.asarray(is_reset))
    np.testing.assert_allclose(learned, acted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(*after, rtol=1e-5, atol=1e-5)  # and they remember the same
    without, _, _ = both(inputs, jnp.zeros_like(is_reset))
    assert (abs(without - acted).max((0, 2)) > 1e-3).tolist() == [bool(times) for times in BEGINNINGS]


def last(leaf: jax.Array) -> jax.Array:
    return leaf[-1]
