"""Agents that remember: networks as pure functions, with the memory passed in and out. Start with `agent.py`."""

from xworld.agents.agent import Agent, Params, make_agent
from xworld.agents.config import AgentConfig

__all__ = ["Agent", "AgentConfig", "Params", "make_agent"]
