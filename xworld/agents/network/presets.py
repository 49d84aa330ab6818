"""Named sizes of agents: three with any memory, two of them for small machines, and those of AdA."""

import dataclasses

from xworld.agents.network.config import MEMORIES, AgentConfig
from xworld.base.errors import ConfigError, did_you_mean

# AdA's transformers (arXiv 2301.07608), all of 6 layers: width and number of heads. Feed-forward is 4 times as wide.
_ADA = {
    "ada-6m": (288, 6),
    "ada-23m": (576, 12),
    "ada-42m": (768, 24),
    "ada-57m": (896, 28),
    "ada-75m": (1024, 32),
    "ada-169m": (1536, 32),
    "ada-265m": (1920, 40),
}
AGENT_PRESETS = ("mini", "tiny", "small", *_ADA)


def agent_preset(name: str, memory: str = "transformer_xl") -> AgentConfig:
    """The agent of a size: "mini" has 0.15 million parameters, "tiny" 0.3, "small" 3.6; the rest are AdA's.

    Raises:
      ConfigError: an unknown name or memory, or an AdA size of another memory than "transformer_xl".
    """
    for what, word, known in (("agent preset", name, AGENT_PRESETS), ("memory", memory, MEMORIES)):
        if word not in known:
            raise ConfigError(f"There is no {what} {word!r}. {did_you_mean(word, known)}")
    if name == "mini":
        return _mini(memory)
    if name == "tiny":
        return _tiny(memory)
    if name == "small":
        return _small(memory)
    if memory != "transformer_xl":
        raise ConfigError(
            f"{name} is a size of AdA's transformers. Write memory='transformer_xl', or 'mini', 'tiny' or 'small'."
        )
    size, num_heads = _ADA[name]
    return AgentConfig(
        encoder_size=size,
        briefing_size=256,
        memory=memory,
        memory_size=size,
        head_size=256,
        num_heads=num_heads,
        num_layers=6,
        feed_forward_size=4 * size,
        window=80,
        cache_size=300,
    )


def _mini(memory: str) -> AgentConfig:
    common = AgentConfig(embedding_size=8, encoder_size=64)
    if memory == "transformer_xl":
        return dataclasses.replace(
            common, memory=memory, memory_size=64, num_heads=2, feed_forward_size=256, window=96, cache_size=96
        )
    if memory == "gated_delta":
        return dataclasses.replace(common, memory=memory, memory_size=64, feed_forward_size=192)
    if memory != "gru":  # keeps what happened in as many steps as two layers of the transformer look back
        common = dataclasses.replace(common, memory=memory, num_heads=2, num_kept=40, keep_every=4)
        if memory == "gru_attention":
            return dataclasses.replace(common, memory_size=88)
        return dataclasses.replace(common, memory_size=88, feed_forward_size=128)
    return dataclasses.replace(common, memory=memory, memory_size=144)


def _tiny(memory: str) -> AgentConfig:
    if memory == "transformer_xl":
        return AgentConfig(embedding_size=8, memory=memory, memory_size=96, num_heads=3, feed_forward_size=384)
    common = AgentConfig(embedding_size=8, memory=memory)
    if memory == "gated_delta":
        return dataclasses.replace(common, memory_size=96, num_heads=6, feed_forward_size=320)
    if memory == "gru":
        return dataclasses.replace(common, memory_size=208)
    common = dataclasses.replace(common, memory_size=132, num_heads=2)
    return common if memory == "gru_attention" else dataclasses.replace(common, feed_forward_size=192)


def _small(memory: str) -> AgentConfig:
    if memory == "transformer_xl":
        return AgentConfig(
            encoder_size=256,
            briefing_size=128,
            memory=memory,
            memory_size=256,
            head_size=128,
            num_heads=8,
            num_layers=4,
            feed_forward_size=1024,
            cache_size=300,
        )
    common = AgentConfig(encoder_size=256, briefing_size=128, memory=memory, head_size=128)
    if memory == "gated_delta":
        return dataclasses.replace(common, memory_size=256, num_heads=8, num_layers=4, feed_forward_size=896)
    return dataclasses.replace(common, memory_size={"gru": 896, "gru_attention": 452, "gru_txl": 464}[memory])
