"""Evaluate players on a set of tasks, as shares of what the expert earns, and plot the scores of each trial."""

import jax
import matplotlib.pyplot as plt

import xworld
from xworld.agents import Expert, RandomPolicy, Searcher
from xworld.evaluation import estimate, evaluate

TEXT = '''
goal = "hold(agent, {goal} star)"
rules = ["hold(agent, {right} ball) -> {goal} star"]
hidden = "all"
trial_length = 12
num_trials = 3
facing = "north"
map = """
#####
#0.b#
#...#
#a.c#
#####
"""
[legend]
a = "red ball"
b = "blue ball"
c = "pink ball"
'''
env = xworld.Env(xworld.EnvConfig(height=5, width=5, max_objects=3, max_rules=1, push=False, relations=("hold",)))
pairs = [(goal, right) for goal in ("green", "white") for right in ("red", "blue", "pink")]
texts = [TEXT.format(goal=goal, right=right) for goal, right in pairs]
tasks = xworld.tasks.TaskSet.from_tasks([xworld.tasks.parse(text, env.config) for text in texts]).tasks

best = Expert(env).best_returns(tasks)  # [num_tasks], of one trial
players = {"random": RandomPolicy(), "searcher": Searcher(remembers=True)}  # of a run: AgentPolicy(params, agent)
figure, axes = plt.subplots()
for name, policy in players.items():
    scores = evaluate(env, tasks, policy, jax.random.key(0)).returns / best[:, None]  # [num_tasks, num_trials]
    result = estimate(scores[None])  # of one seed; mean and 95 % interval over tasks
    print(f"{name}:", ", ".join(f"{score:.2f}" for score in result.mean))
    axes.plot([1, 2, 3], result.mean, label=name, marker="o")
    axes.fill_between([1, 2, 3], result.low, result.high, alpha=0.2)
axes.set(xlabel="trial", ylabel="score", xticks=[1, 2, 3], ylim=(0, None))
axes.legend()
figure.savefig("scores.png")
print("wrote scores.png")
