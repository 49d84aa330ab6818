"""Independent PPO with shared parameters, in the style of JaxMARL's baselines, learns through the JaxMARL adapter.

JaxMARL's package has no trainers, so this one is ours; environment and wrapper are driven as its baselines do it, with
their shapes of actions and infos. Each of two agents is paid for holding the object of its goal.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from adapter_tasks import TOGETHER, make
from jaxmarl.wrappers.baselines import LogWrapper
from tiny import conclude

from xworld.adapters.jaxmarl import JaxMARLEnv

NUM_ENVS, NUM_STEPS, NUM_UPDATES, NUM_EPOCHS, NUM_MINIBATCHES = 64, 20, 60, 4, 4
GAMMA, LAMBDA, CLIP, ENTROPY = 0.95, 0.95, 0.2, 0.01
EPISODE, FIRST, LAST = 10, 2, 10  # steps of an episode; how many updates' returns are compared


class Network(nn.Module):
    """Logits and value of a flat observation."""

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = nn.relu(nn.Dense(64)(x))
        return nn.Dense(7)(nn.relu(nn.Dense(64)(x))), nn.Dense(1)(nn.relu(nn.Dense(64)(x)))[..., 0]


class Step(NamedTuple):
    """A step of all actors, [NUM_ENVS * num_agents] each; then of all steps, [NUM_STEPS, ...]."""

    observation: jax.Array
    action: jax.Array
    log_probability: jax.Array
    value: jax.Array
    reward: jax.Array
    done: jax.Array


task_env, task = make(TOGETHER.replace("#...#", "#b..#"))  # one for each
env = LogWrapper(JaxMARLEnv(task, task_env, observation="one_hot"))
network, optimiser = Network(), optax.chain(optax.clip_by_global_norm(0.5), optax.adam(2e-3))


def stack(of_agents: dict[str, jax.Array]) -> jax.Array:
    """[num_agents * NUM_ENVS, ...] of a dict of [NUM_ENVS, ...]."""
    return jnp.concatenate([of_agents[agent] for agent in env.agents])


def act(carry: tuple, _: None) -> tuple[tuple, tuple[Step, Any]]:
    """One step of all environments."""
    params, seen, state, key = carry
    key, action_key, step_key = jax.random.split(key, 3)
    logits, value = network.apply(params, seen)
    action = jax.random.categorical(action_key, logits)
    log_probability = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], axis=-1)[:, 0]
    actions = dict(zip(env.agents, action.reshape(len(env.agents), NUM_ENVS, 1), strict=True))
    result = jax.vmap(env.step)(jax.random.split(step_key, NUM_ENVS), state, actions)
    observations, state, rewards, dones, infos = result
    infos = jax.tree.map(lambda leaf: leaf.reshape(NUM_ENVS * env.num_agents), infos)
    step = Step(seen, action, log_probability, value, stack(rewards), stack(dones))
    return (params, stack(observations), state, key), (step, infos["returned_episode_returns"])


def advantages_of(steps: Step, last_value: jax.Array) -> jax.Array:
    """Generalised advantages, [NUM_STEPS, actors]."""

    def back(carry: tuple[jax.Array, jax.Array], step: Step) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        advantage, next_value = carry
        alive = 1 - step.done
        error = step.reward + GAMMA * alive * next_value - step.value
        advantage = error + GAMMA * LAMBDA * alive * advantage
        return (advantage, step.value), advantage

    return jax.lax.scan(back, (jnp.zeros_like(last_value), last_value), steps, reverse=True)[1]


def loss_of(params: Any, steps: Step, advantages: jax.Array, targets: jax.Array) -> jax.Array:
    """PPO's loss of a minibatch."""
    logits, value = network.apply(params, steps.observation)
    log_probabilities = jax.nn.log_softmax(logits)
    chosen = jnp.take_along_axis(log_probabilities, steps.action[:, None], axis=-1)[:, 0]
    ratio = jnp.exp(chosen - steps.log_probability)
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    gain = jnp.minimum(ratio * advantages, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * advantages).mean()
    entropy = -(jnp.exp(log_probabilities) * log_probabilities).sum(axis=-1).mean()
    return jnp.square(value - targets).mean() / 2 - gain - ENTROPY * entropy


def update(carry: tuple, _: None) -> tuple[tuple, jax.Array]:
    """A rollout, and some epochs of learning from it. Puts out the mean return of the episodes that ended."""
    params, optimiser_state, seen, state, key = carry
    (_, seen, state, key), (steps, returns) = jax.lax.scan(act, (params, seen, state, key), length=NUM_STEPS)
    advantages = advantages_of(steps, network.apply(params, seen)[1])
    data = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), (steps, advantages, advantages + steps.value))

    def learn(carry: tuple, key: jax.Array) -> tuple[tuple, None]:
        order = jax.random.permutation(key, data[1].shape[0]).reshape(NUM_MINIBATCHES, -1)

        def one(carry: tuple, index: jax.Array) -> tuple[tuple, None]:
            params, optimiser_state = carry
            gradients = jax.grad(loss_of)(params, *jax.tree.map(lambda leaf: leaf[index], data))
            changes, optimiser_state = optimiser.update(gradients, optimiser_state, params)
            return (optax.apply_updates(params, changes), optimiser_state), None

        return jax.lax.scan(one, carry, order)[0], None

    key, *epoch_keys = jax.random.split(key, 1 + NUM_EPOCHS)
    (params, optimiser_state), _ = jax.lax.scan(learn, (params, optimiser_state), jnp.stack(epoch_keys))
    return (params, optimiser_state, seen, state, key), returns[-1].mean()


@jax.jit
def train(key: jax.Array) -> jax.Array:
    """[NUM_UPDATES] mean returns of an agent's last episode."""
    key, reset_key, network_key = jax.random.split(key, 3)
    observations, state = jax.vmap(env.reset)(jax.random.split(reset_key, NUM_ENVS))
    seen = stack(observations)
    params = network.init(network_key, seen)
    return jax.lax.scan(update, (params, optimiser.init(params), seen, state, key), length=NUM_UPDATES)[1]


returns = train(jax.random.key(0))
conclude("IPPO in JaxMARL's style", float(returns[:FIRST].mean()), float(returns[-LAST:].mean()), EPISODE)
