"""Train a network of your own by our PPO: a plain recurrent one in bare jax, on one task, for a few seconds.

An agent is any hashable object with the six methods below; arrays have leading batch axes, then the agent axis A.
"""

import jax
import jax.numpy as jnp

import xworld
from xworld.agents import Output
from xworld.training import PPOConfig, RunConfig, make_trainer, mean_row

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
SIZE = 32
SHAPES = {"see": (26, SIZE), "recall": (SIZE, SIZE), "policy": (SIZE, 7), "value": (SIZE, 1)}  # of the parameters


class PlainRNN:
    """Sees where in its view there is something, and whether it holds something; is not told anything."""

    def init(self, key):
        """Fresh parameters, any pytree."""
        normal, keys = jax.nn.initializers.lecun_normal(), jax.random.split(key, len(SHAPES))
        return {name: normal(key, shape) for key, (name, shape) in zip(keys, SHAPES.items(), strict=True)}

    def start_memory(self, *batch):
        """The empty memory, any pytree of arrays [*batch, A, ...]."""
        return jnp.zeros((*batch, 1, SIZE))

    def is_reset(self, timestep):
        """Whether the memory is emptied before a timestep: with a new task, but not with a new trial."""
        return timestep.is_first

    def encode_briefing(self, params, briefing):
        """[..., A, E] what it is told, once an episode."""
        return jnp.zeros((*briefing.agent_id.shape, 1))

    def step(self, params, observation, told, memory, is_reset):
        """Logits [..., A, 7], values [..., A], features [..., A, M] that the two are made of, and the next memory."""
        cells = observation.view[..., 1] > 0
        inputs = jnp.concatenate([cells.reshape(*cells.shape[:-2], -1), observation.held[..., None] > 0], axis=-1)
        memory = jnp.where(is_reset[..., None, None], 0, memory)
        memory = jnp.tanh(inputs @ params["see"] + memory @ params["recall"])
        return Output(memory @ params["policy"], (memory @ params["value"])[..., 0], memory, memory)

    def unroll(self, params, observation, told, memory, is_reset):
        """The same for [T, ...] timesteps."""

        def step(memory, inputs):
            output = self.step(params, inputs[0], inputs[1], memory, inputs[2])
            return output.memory, output

        memory, outputs = jax.lax.scan(step, memory, (observation, told, is_reset))
        return Output(outputs.logits, outputs.value, outputs.features, memory)


env_config = xworld.EnvConfig(height=5, width=5, max_objects=1, max_rules=1, push=False, relations=("hold",))
tasks = xworld.tasks.TaskSet.from_tasks([xworld.tasks.parse(TEXT, env_config)])
ppo = PPOConfig(rollout_length=20, learning_rate=1e-2)
config = RunConfig(env=env_config, learner=ppo, num_envs=64, total_steps=80 * 64 * 20)
trainer = make_trainer(config, PlainRNN())
given = trainer.given(tasks)
state = trainer.start(given)
for _ in range(config.num_chunks):
    state, given, metrics, _ = trainer.chunk(state, given)
    row = mean_row(metrics)
    print(f"return {row['return_trial_1']:.2f} of 10 in the first trial, {row['return_last_trial']:.2f} in the last")
