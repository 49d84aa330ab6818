"""Step one environment: sample a task, read what the agent is told, act at random, watch the rules fire."""

import jax

import xworld

env = xworld.make("rooms1-9x9")
universe = xworld.make_universe("rooms1-9x9", trial_length=(100, 100), num_trials=(2, 2))
task = universe.sample(jax.random.key(0))

goal, rules = xworld.tasks.briefing_text(env.briefing(task))
print("goal:", goal)
for rule in rules:
    print("rule:", rule)

step = jax.jit(env.step)
state, timestep = jax.jit(env.reset)(jax.random.key(1), task)
key = jax.random.key(2)
while not timestep.is_last:
    key, action_key = jax.random.split(key)
    state, timestep = step(state, jax.random.randint(action_key, (1,), 0, env.num_actions))
    if timestep.event:
        print(f"trial {int(state.trial)}, step {int(state.time)}: rule {int(timestep.event) - 1} fired")
    if timestep.is_trial_first:
        print(f"trial {int(state.trial)} begins")
print("the episode is over")
