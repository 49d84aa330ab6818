"""Write a task as text, let the expert play it, and film it."""

import jax

import xworld
from xworld.agents import Expert, make_expert_policy
from xworld.evaluation import evaluate, record
from xworld.rendering import episode_frames, save_animation

TEXT = '''
goal = "hold(agent, black cube)"
rules = ["hold(agent, purple ball) -> black cube"]
hidden = "all"
trial_length = 20
num_trials = 2
map = """
#########
#0..#...#
#...#.b.#
#.......#
#...#.c.#
#########
"""
[legend]
b = "purple ball"
c = "yellow cube"
'''

env = xworld.Env(xworld.tasks.config_for(TEXT))
task = xworld.tasks.parse(TEXT, env.config)
tasks = jax.tree.map(lambda leaf: leaf[None], task)  # a batch of one
player = make_expert_policy(Expert(env), tasks)
print("return of each trial:", evaluate(env, tasks, player, jax.random.key(0)).returns[0])
states, timesteps = record(env, task, player, jax.random.key(0))
print("wrote", save_animation(episode_frames(env, states, timesteps), "task.gif"))
