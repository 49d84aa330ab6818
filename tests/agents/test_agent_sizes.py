"""Sizes of agents: what is refused, and how many parameters the presets have."""

import jax
import pytest

from xworld import ConfigError, EnvConfig
from xworld.agents import AGENT_PRESETS, MEMORIES, AgentConfig, agent_preset, make_agent


def test_sizes_are_checked():
    with pytest.raises(ConfigError, match="AgentConfig.memory_size is 0; write a whole number of at least 1"):
        AgentConfig(memory_size=0)
    with pytest.raises(ConfigError, match="clear_memory_at_trials is 1; write True or False"):
        AgentConfig(clear_memory_at_trials=1)
    with pytest.raises(ConfigError, match="AgentConfig.window is 0; write a whole number of at least 1"):
        AgentConfig(memory="transformer_xl", window=0)
    with pytest.raises(ConfigError, match="AgentConfig.gradient_window is 0; write a whole number of at least 1"):
        AgentConfig(gradient_window=0)
    with pytest.raises(ConfigError, match="gradient_window is 8, but memory .transformer_xl. has no gradient_window"):
        AgentConfig(memory="transformer_xl", gradient_window=8)
    with pytest.raises(ConfigError, match="memory_size is 100, which 8 heads do not divide. .* such as 104"):
        AgentConfig(memory="transformer_xl", memory_size=100, num_heads=8)
    with pytest.raises(ConfigError, match="memory_size is 20, which 8 heads do not divide. .* such as 24"):
        AgentConfig(memory="gated_delta", memory_size=20, num_heads=8)
    with pytest.raises(ConfigError, match="num_kept is 8, but memory 'gated_delta' has no num_kept"):
        AgentConfig(memory="gated_delta", num_kept=8)
    with pytest.raises(ConfigError, match="kept_size is 200; write a whole number from 1 to 128"):
        AgentConfig(memory="gru_txl", kept_size=200)
    with pytest.raises(ConfigError, match="trials_told is 2, but sees_trial_number is False"):
        AgentConfig(trials_told=2, sees_trial_number=False)
    with pytest.raises(ConfigError, match="kept_size is 8, but memory 'gru_attention' has no kept_size"):
        AgentConfig(memory="gru_attention", kept_size=8)
    with pytest.raises(ConfigError, match="cache_size is 64, but memory 'gru' has no cache_size"):
        AgentConfig(cache_size=64)
    with pytest.raises(
        ConfigError,
        match="memory is 'lstm'. Write one of: gru, gru_attention, gru_txl, transformer_xl, gated_delta",
    ):
        AgentConfig(memory="lstm")
    with pytest.raises(ConfigError, match="AgentConfig.dtype is 'float23'. Did you mean 'float32'"):
        AgentConfig(dtype="float23")
    with pytest.raises(ConfigError, match="feed_forward_size is 1; write a whole number of at least 2"):
        AgentConfig(memory="transformer_xl", feed_forward_size=1)


def num_parameters(config: AgentConfig) -> tuple[int, int]:
    """Of the whole agent, and of the layers of its transformer if it has one. Nothing is allocated."""
    params = jax.eval_shape(make_agent(config, EnvConfig()).init, jax.random.key(0))
    layers = params["memory"]["layers"] if config.memory == "transformer_xl" else ()
    return tuple(sum(leaf.size for leaf in jax.tree.leaves(tree)) for tree in (params, layers))


@pytest.mark.slow
def test_small_presets_have_the_same_size_with_every_memory():
    for memory in MEMORIES:
        assert num_parameters(agent_preset("mini", memory))[0] == pytest.approx(0.15e6, rel=0.05)
        assert num_parameters(agent_preset("tiny", memory))[0] == pytest.approx(0.31e6, rel=0.03)
        assert num_parameters(agent_preset("small", memory))[0] == pytest.approx(3.6e6, rel=0.03)


@pytest.mark.parametrize("name", [name for name in AGENT_PRESETS if name.startswith("ada")])
def test_large_presets_are_transformers_of_adas_sizes(name):
    millions = int(name.removeprefix("ada-").removesuffix("m"))
    config = agent_preset(name)
    _, num_layers_parameters = num_parameters(config)
    assert abs(num_layers_parameters / 1e6 - millions) < 1.1  # biases and convolutions are ours
    assert (config.window, config.cache_size, config.num_layers) == (80, 300, 6)
    assert config.memory_size // config.num_heads in (32, 48)


def test_unknown_presets_are_refused():
    with pytest.raises(ConfigError, match="no agent preset 'ada-6'. Did you mean 'ada-6m'"):
        agent_preset("ada-6")
    with pytest.raises(ConfigError, match="no memory 'gru_atention'. Did you mean 'gru_attention'"):
        agent_preset("tiny", "gru_atention")
    with pytest.raises(ConfigError, match="ada-6m is a size of AdA's transformers"):
        agent_preset("ada-6m", "gru")
