"""Agents that remember: networks as pure functions, with the memory passed in and out. Start with `agent.py`."""

from xworld.agents.agent import Agent, Output, Params, make_agent
from xworld.agents.config import MEMORIES, AgentConfig
from xworld.agents.loaded import LoadedAgent
from xworld.agents.memory import Memory
from xworld.agents.presets import AGENT_PRESETS, agent_preset
from xworld.agents.saved import PRETRAINED, load
from xworld.agents.saved import save_agent as save

__all__ = [
    "AGENT_PRESETS",
    "MEMORIES",
    "PRETRAINED",
    "Agent",
    "AgentConfig",
    "LoadedAgent",
    "Memory",
    "Output",
    "Params",
    "agent_preset",
    "load",
    "make_agent",
    "save",
]
