"""Agents that remember: networks as pure functions, with the memory passed in and out. Start with `agent.py`."""

from xworld.agents.agent import Agent, Params, make_agent
from xworld.agents.config import MEMORIES, AgentConfig
from xworld.agents.memory import Memory
from xworld.agents.presets import AGENT_PRESETS, agent_preset

__all__ = [
    "AGENT_PRESETS",
    "MEMORIES",
    "Agent",
    "AgentConfig",
    "Memory",
    "Params",
    "agent_preset",
    "make_agent",
]
