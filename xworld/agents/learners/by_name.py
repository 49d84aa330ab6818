"""The learners that have a name."""

from xworld.agents.learners.scripted import ScriptedLearner
from xworld.agents.learners.tabular import ActorCritic, QLearner, check_one_agent
from xworld.core.config import EnvConfig

LEARNERS = ("q-learner", "reinforce", "scripted-learner")
Learner = QLearner | ActorCritic | ScriptedLearner


def make_learner(name: str, config: EnvConfig, max_trial_length: int) -> Learner:
    """The learner of a name, with the settings that it has by default.

    Raises:
      ConfigError: the environment has more than one agent.
    """
    check_one_agent(config)
    if name == "scripted-learner":
        return ScriptedLearner()
    kind = {"q-learner": QLearner, "reinforce": ActorCritic}[name]
    return kind(config.height, config.width, max_trial_length)
