"""rejax's PPO learns the tiny universe through the gymnax adapter."""

import jax
import numpy as np
from rejax import PPO
from tiny import ENV, TASKS, conclude

from xworld.adapters.gymnax import GymnaxEnv

env = GymnaxEnv(TASKS, ENV, observation="one_hot")
learner = PPO.create(
    env=env,
    env_params=env.default_params,
    agent_kwargs={"activation": "relu", "hidden_layer_sizes": (64, 64)},
    num_envs=64,
    num_steps=32,
    num_minibatches=4,
    num_epochs=4,
    learning_rate=2e-3,
    gamma=0.95,
    ent_coef=0.01,
    max_grad_norm=0.5,
    total_timesteps=2**18,
    eval_freq=2**18,
)
_, (_, returns) = jax.jit(learner.train)(jax.random.key(0))
before, after = np.asarray(returns).mean(axis=1)
conclude("rejax PPO", before, after)
