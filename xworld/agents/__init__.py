"""Who acts: networks that remember, scripted players, the expert. Start with `policy.py`."""

from xworld.agents.expert.expert import Expert, NoPlan, Plan, PlanTable
from xworld.agents.expert.policy import ExpertPolicy, make_expert_policy
from xworld.agents.learners.by_name import LEARNERS, Learner, make_learner
from xworld.agents.learners.scripted import ScriptedLearner
from xworld.agents.learners.stopping import Stopping, has_reached
from xworld.agents.learners.tabular import ActorCritic, QLearner
from xworld.agents.network import distribution as distribution
from xworld.agents.network.agent import Agent, Output, Params, make_agent
from xworld.agents.network.config import MEMORIES, AgentConfig
from xworld.agents.network.memory.memory import Memory
from xworld.agents.network.presets import AGENT_PRESETS, agent_preset
from xworld.agents.players import Player, make_player, player_by_name
from xworld.agents.policy import AgentPolicy, Decider, NoopPolicy, PairedPolicy, Policy, RandomPolicy
from xworld.agents.saved.loaded import LoadedAgent
from xworld.agents.saved.saved import PRETRAINED, PRETRAINED_DUO, load
from xworld.agents.saved.saved import save_agent as save
from xworld.agents.scripted.searcher import Searcher

__all__ = [
    "AGENT_PRESETS",
    "LEARNERS",
    "MEMORIES",
    "PRETRAINED",
    "PRETRAINED_DUO",
    "ActorCritic",
    "Agent",
    "AgentConfig",
    "AgentPolicy",
    "Decider",
    "Expert",
    "ExpertPolicy",
    "Learner",
    "LoadedAgent",
    "Memory",
    "NoPlan",
    "NoopPolicy",
    "Output",
    "PairedPolicy",
    "Params",
    "Plan",
    "PlanTable",
    "Player",
    "Policy",
    "QLearner",
    "RandomPolicy",
    "ScriptedLearner",
    "Searcher",
    "Stopping",
    "agent_preset",
    "has_reached",
    "load",
    "make_agent",
    "make_expert_policy",
    "make_learner",
    "make_player",
    "player_by_name",
    "save",
]
