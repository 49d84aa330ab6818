"""Train our agent in a loop of your own, compiled whole as in PureJaxRL: REINFORCE on one task, for a few seconds."""

import functools

import jax
import jax.numpy as jnp
import optax

import xworld
from xworld.agents import AgentConfig, distribution, make_agent

TEXT = '''
goal = "hold(agent, red ball)"
trial_length = 10
num_trials = 2
map = """
#####
#0..#
#...#
#..b#
#####
"""
[legend]
b = "red ball"
'''
NUM_ENVS, EPISODE, NUM_UPDATES, PRINT_EVERY = 64, 20, 80, 20

# Only what the task needs is compiled in.
env = xworld.Env(xworld.EnvConfig(height=5, width=5, max_objects=1, max_rules=1, push=False, relations=("hold",)))
vec = xworld.VectorEnv(env, NUM_ENVS)
tasks = xworld.tasks.TaskSet.from_tasks([xworld.tasks.parse(TEXT, env.config)])
agent = make_agent(AgentConfig(embedding_size=8, encoder_size=32, memory_size=32, head_size=32), env.config)
optimiser = optax.adam(1e-2)


def play(params, key):
    """An episode in every environment: what was seen, [T, B, ...], and what was done and paid."""
    reset_key, act_key = jax.random.split(key)
    state, timestep = vec.reset(reset_key, tasks)
    told = agent.encode_briefing(params, vec.briefings(state)[0])

    def step(carry, key):
        state, timestep, memory = carry
        is_reset = agent.is_reset(timestep)
        output = agent.step(params, timestep.observation, told, memory, is_reset)
        action = distribution.sample(key, output.logits)
        state, after = vec.step(state, action)
        return (state, after, output.memory), (timestep.observation, is_reset, action, after.reward)

    carry = state, timestep, agent.start_memory(NUM_ENVS)
    return told, jax.lax.scan(step, carry, jax.random.split(act_key, EPISODE))[1]


def loss(params, told, episode):
    """Minus the log-probability of each action, times what was paid after it, compared with the other environments."""
    observation, is_reset, action, reward = episode
    to_go = jnp.cumsum(reward[::-1], axis=0)[::-1]  # [T, B, A]
    advantage = (to_go - to_go.mean(1, keepdims=True)) / (to_go.std() + 1e-6)
    told = jnp.broadcast_to(told, (EPISODE, *told.shape))
    logits = agent.unroll(params, observation, told, agent.start_memory(NUM_ENVS), is_reset).logits
    log_probability = distribution.log_probability(logits, action)
    return -(log_probability * advantage + 0.01 * distribution.entropy(logits)).mean()


def update(carry, key):
    """Plays and takes one step of gradient descent; puts out the mean return."""
    params, optimiser_state = carry
    told, episode = play(params, key)
    gradient = jax.grad(loss)(params, told, episode)
    change, optimiser_state = optimiser.update(gradient, optimiser_state, params)
    return (optax.apply_updates(params, change), optimiser_state), episode[-1].sum() / NUM_ENVS


params = jax.jit(agent.init)(jax.random.key(0))
carry = params, optimiser.init(params)
train = jax.jit(functools.partial(jax.lax.scan, update))
for keys in jax.random.split(jax.random.key(1), (NUM_UPDATES // PRINT_EVERY, PRINT_EVERY)):
    carry, returns = train(carry, keys)
    print(f"return of an episode: {returns.mean():.2f} of {EPISODE}")
