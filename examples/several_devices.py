"""Train on several devices: environments are shared out, gradients added up. Two CPU cores serve as two devices here.

The policy is one layer of weights. `xworld.training.train` does the same with all that belongs to a real agent.
"""

import functools

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, PartitionSpec

import xworld
from xworld.training import use_host_devices

TEXT = '''
goal = "hold(agent, red ball)"
trial_length = 20
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
FLOOR = 22  # black
NUM_ENVS, EPISODE, NUM_UPDATES = 256, 20, 120  # environments on all devices together

use_host_devices(2)  # before jax starts; on GPUs and TPUs nothing has to be said
mesh = Mesh(jax.devices(), "envs")
env = xworld.Env(xworld.EnvConfig(height=5, width=5, max_objects=1, max_rules=1, push=False, relations=("hold",)))
optimiser = optax.adam(0.05)
vec = xworld.VectorEnv(env, NUM_ENVS // mesh.size)
tasks = xworld.tasks.TaskSet.from_tasks([xworld.tasks.parse(TEXT, env.config)])


def logits_of(params, observation):
    """[..., A, 7] from where in the view there is an object or no floor, and whether the hand holds something."""
    cells = jnp.stack([observation.view[..., 1] > 0, observation.view[..., 0] != FLOOR], axis=-1)
    hand = observation.held[..., None] > 0
    return jnp.concatenate([cells.reshape(*hand.shape[:-1], -1), hand], axis=-1) @ params


def update(carry, key):
    """An episode in each environment of this device, and a step up the gradient that all devices make together."""
    params, optimiser_state = carry
    reset_key, act_key = jax.random.split(jax.random.fold_in(key, jax.lax.axis_index("envs")))

    def step(carry, key):
        state, observation = carry
        action = jax.random.categorical(key, logits_of(params, observation))
        state, after = vec.step(state, action)
        return (state, after.observation), (observation, action, after.reward)

    state, timestep = vec.reset(reset_key, tasks)
    carry = state, timestep.observation
    observation, action, reward = jax.lax.scan(step, carry, jax.random.split(act_key, EPISODE))[1]
    to_go = jnp.cumsum(reward[::-1], axis=0)[::-1]  # [T, B, A]
    advantage = (to_go - to_go.mean(1, keepdims=True)) / (to_go.std() + 1e-6)

    def gain(params):
        chosen = jax.nn.one_hot(action, 7) * jax.nn.log_softmax(logits_of(params, observation))
        return (chosen.sum(-1) * advantage).mean()

    gradient, return_ = jax.lax.pmean((jax.grad(gain)(params), reward.sum(0).mean()), "envs")
    change, optimiser_state = optimiser.update(-gradient, optimiser_state)
    return (params + change, optimiser_state), return_


everywhere = PartitionSpec()  # parameters and keys are the same on all devices
shard = functools.partial(jax.shard_map, mesh=mesh, in_specs=everywhere, out_specs=everywhere, check_vma=False)
train = jax.jit(shard(lambda carry, keys: jax.lax.scan(update, carry, keys)))
params = jnp.zeros((51, 7))
carry, returns = train((params, optimiser.init(params)), jax.random.split(jax.random.key(0), NUM_UPDATES))
print(f"{NUM_ENVS} environments on {mesh.size} devices")
for part in returns.reshape(3, -1):
    print(f"return of an episode: {part.mean():.2f} of {EPISODE}")
