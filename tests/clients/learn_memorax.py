"""memorax's PPO learns the tiny universe through the gymnax adapter, with two of its memories."""

import jax
import numpy as np
import optax
import without_loggers  # noqa: F401
from flax import linen as nn
from memorax.algorithms import PPO, PPOConfig
from memorax.networks import MLP, RNN, FeatureExtractor, Memoroid, MinGRUCell, Network, heads
from tiny import ENV, EPISODE, TASKS, conclude

from xworld.adapters.gymnax import GymnaxEnv

SIZE, NUM_ENVS, NUM_STEPS, TOTAL = 64, 64, 2 * EPISODE, 2**18
MEMORIES = {"GRU": lambda: RNN(cell=nn.GRUCell(features=SIZE)), "minGRU": lambda: Memoroid(MinGRUCell(features=SIZE))}

env = GymnaxEnv(TASKS, ENV, observation="one_hot")
config = PPOConfig(
    name="PPO",
    num_envs=NUM_ENVS,
    num_eval_envs=256,
    num_steps=NUM_STEPS,
    gamma=0.95,
    gae_lambda=0.95,
    num_minibatches=4,
    update_epochs=4,
    normalize_advantage=True,
    clip_coef=0.2,
    clip_vloss=True,
    ent_coef=0.01,
    vf_coef=0.5,
)


def episode_return(agent: PPO, key: jax.Array, state: object) -> float:
    """The mean return of an episode, with sampled actions. All episodes are equally long."""
    _, transitions = agent.evaluate(key, state, EPISODE, deterministic=False)
    return float(np.asarray(transitions.reward).mean()) * EPISODE


for name, make_memory in MEMORIES.items():
    features = FeatureExtractor(observation_extractor=MLP(features=(SIZE,)))
    actor = Network(features, make_memory(), heads.Categorical(env.num_actions))
    critic = Network(features, make_memory(), heads.VNetwork())
    optimiser = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(2e-3))
    agent = PPO(config, env, env.default_params, actor, critic, optimiser, optimiser)
    key, state = agent.init(jax.random.key(0))
    before = episode_return(agent, key, state)
    key, state, _ = agent.train(key, state, TOTAL)
    conclude(f"memorax PPO with {name}", before, episode_return(agent, key, state))
