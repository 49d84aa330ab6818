"""`LoadedAgent`: a trained agent for anyone's loop."""

from dataclasses import dataclass

from xworld.agents.agent import Agent, Params


@dataclass(frozen=True)
class LoadedAgent:
    """An agent with its parameters."""

    agent: Agent
    params: Params
