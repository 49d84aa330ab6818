"""A task for two of which all is known: who faces the ball picks it up in the first step; and players of one action."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from xworld import Env, EnvConfig

CONFIG = EnvConfig(
    height=5, width=5, num_agents=2, max_objects=1, max_rules=1, max_doors=1, push=False, relations=("hold",)
)
ENV, KEY, LENGTH = Env(CONFIG), jax.random.key(2), 6
PAIR = """
goal = "hold(agent, red ball)"
trial_length = 6
num_trials = 2
facing = "east"
map = \"\"\"
#####
#0b.#
#...#
#..1#
#####
\"\"\"
[legend]
b = "red ball"
"""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Always:
    """One action, in all seats; it remembers how often it acted."""

    action: jax.Array

    def start(self, key, state, briefing):
        return jnp.int32(0)

    def act(self, memory, key, state, timestep):
        return memory + 1, jnp.full(state.last_action.shape, self.action)


def always(action):
    return Always(jnp.int32(action))
