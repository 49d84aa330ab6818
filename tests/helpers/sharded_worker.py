"""A process of its own with several devices: a sharded batch of environments beside one that is whole."""

import sys

import jax
import numpy as np

import xworld
from xworld.base.xla import devices

TASK = """
goal = "hold(agent, red ball)"
trial_length = {length}
map = "0b."
[legend]
b = "red ball"
"""


def main(num_cores: int) -> None:
    """Plays both, and prints how many leaves and steps were the same, and on how many devices they lay."""
    devices.num_cores = lambda: num_cores  # whatever this machine has
    print(xworld.use_all_cores(), xworld.use_all_cores())
    env = xworld.Env(xworld.EnvConfig(height=1, width=3, max_objects=1, max_rules=1, max_doors=1, view_size=3))
    tasks = xworld.tasks.TaskSet.from_tasks([xworld.tasks.parse(TASK.format(length=n), env.config) for n in (2, 3, 5)])
    for wrong in (0, 3 * num_cores + 1):
        try:
            xworld.ShardedVectorEnv(env, wrong)
        except xworld.ConfigError as error:
            print(error)
    print([devices.make_mesh_for(batch).size for batch in (1, 6, num_cores, 3 * num_cores + 1, 5 * num_cores)])
    histories, shardings = [], set()
    for vec in (xworld.VectorEnv(env, 3 * num_cores), xworld.ShardedVectorEnv(env, 3 * num_cores)):
        reset, step, refill = jax.jit(vec.reset), jax.jit(vec.step), jax.jit(vec.refill)
        state, timestep = reset(jax.random.key(0), tasks)
        history = [timestep]
        for number in range(12):
            actions = np.random.default_rng(number).integers(0, 7, (vec.num_envs, 1), np.int32)
            state, timestep = step(state, actions)
            history += [timestep, jax.jit(vec.states)(state), jax.jit(vec.briefings)(state)]
            if number % 4 == 3:
                state = refill(state, jax.random.key(number), tasks)
                history.append(state)
        histories.append(jax.device_get(history))
        shardings.add(len(timestep.reward.sharding.device_set))
    jax.tree.map(np.testing.assert_array_equal, *histories)
    print("the same", sorted(shardings))


if __name__ == "__main__":
    main(int(sys.argv[1]))
