"""Make a replay: play a list of actions in a task, and film what came of it, with what is hidden shown."""

import jax
import jax.numpy as jnp

import xworld
from xworld.rendering import episode_frames, save_animation

TEXT = '''
goal = "hold(agent, green star)"
rules = ["hold(agent, red ball) -> green star"]
hidden = "all"
trial_length = 6
num_trials = 2
facing = "east"
map = """
#######
#0..b.#
#....c#
#######
"""
[legend]
b = "red ball"
c = "blue cube"
'''
FORWARD, RIGHT, LEFT, PICK_UP, PUT_DOWN, TOGGLE, NOOP = range(7)
ACTIONS = [RIGHT, FORWARD, LEFT, FORWARD, NOOP, NOOP, FORWARD, FORWARD, PICK_UP, NOOP, NOOP, NOOP]  # of two trials

env = xworld.Env(xworld.EnvConfig(height=4, width=7, max_objects=2, max_rules=1, push=False, relations=("hold",)))
task = xworld.tasks.parse(TEXT, env.config)


@jax.jit
def play(key, actions):
    """All states and timesteps of an episode, those of `reset` first."""

    def step(state, action):
        state, timestep = env.step(state, action[None])  # one agent
        return state, (state, timestep)

    first = env.reset(key, task)
    _, rest = jax.lax.scan(step, first[0], actions)
    return jax.tree.map(lambda one, many: jnp.concatenate([one[None], many]), first, rest)


states, timesteps = jax.device_get(play(jax.random.key(0), jnp.array(ACTIONS)))
for action, reward, event in zip(ACTIONS, timesteps.reward[1:, 0], timesteps.event[1:], strict=True):
    print(f"action {action}: reward {reward:g}", f"(rule {event - 1} fired)" if event else "")
print("wrote", save_animation(episode_frames(env, states, timesteps, reveal=True), "replay.gif", fps=4))
