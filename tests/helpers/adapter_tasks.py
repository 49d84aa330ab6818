"""Tasks for the tests of adapters: the smallest there are, for one agent and for two, and a source that counts."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

import xworld
from xworld import Env, Task
from xworld.tasks import TaskSet

# One step from the goal, so that a test earns something; two trials of four steps.
ALONE = """
goal = "hold(agent, red ball)"
rules = ["touch(red ball, blue cube) -> red ball"]
hidden = "all"
trial_length = 4
num_trials = 2
facing = "north"
map = '''
#####
#.b.#
#.0.#
#c+.#
#####
'''
[legend]
b = "red ball"
c = "frozen blue cube"
"""
# The same with a goal drawn anew in every trial.
CHANGING = ALONE.replace('goal = "hold(agent, red ball)"', 'goal = ["hold(agent, red ball)", "near(agent, blue cube)"]')
TOGETHER = """
goals = ["hold(agent0, red ball)", "hold(agent1, red ball)"]
trial_length = 5
num_trials = 2
facing = "north"
map = '''
#####
#.b.#
#.01#
#...#
#####
'''
[legend]
b = "red ball"
"""
BOTH_GOALS = 'goals = ["hold(agent0, red ball)", "hold(agent1, red ball)"]'
WITHOUT_THE_SECOND = TOGETHER.replace(BOTH_GOALS, 'goal = "hold(agent, red ball)"').replace("01#", "0.#")
PICK_UP, NOOP = 3, 6


def make(text: str, num_agents: int | None = None) -> tuple[Env, Task]:
    """The task of a text, and an environment for it."""
    config = xworld.tasks.config_for(text)
    if num_agents is not None:
        config = xworld.EnvConfig(**{**vars(config), "num_agents": num_agents})
    return Env(config), xworld.tasks.parse(text, config)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Numbered:
    """One of some tasks, with a number drawn from the key as its world id."""

    tasks: TaskSet

    def sample(self, key: jax.Array) -> Task:
        """A task with another number."""
        number = (jax.random.bits(key, dtype=jnp.uint32) >> 1).astype(jnp.int32)
        return xworld.Task(**{**vars(self.tasks.task(number % len(self.tasks))), "world_id": number})


def numbered(*texts: str) -> tuple[Env, Numbered]:
    """Tasks of one configuration."""
    env, first = make(texts[0])
    return env, Numbered(TaskSet.from_tasks([first, *(xworld.tasks.parse(text, env.config) for text in texts[1:])]))
