"""Step a thousand environments, each with its own task, inside one compiled scan."""

import jax

import xworld

env = xworld.make("rooms4-13x13", relations=("touch", "near", "hold"))
vec = xworld.VectorEnv(env, num_envs=1024)
universe = xworld.tasks.Universe(env.config)


@jax.jit
def rollout(state, key):
    """A hundred random steps, and then new tasks wherever one was used."""

    def step(state, key):
        actions = jax.random.randint(key, (vec.num_envs, 1), 0, env.num_actions)
        state, timestep = vec.step(state, actions)
        return state, (timestep.reward.sum(), timestep.is_last.sum())

    state, (rewards, ends) = jax.lax.scan(step, state, jax.random.split(key, 100))
    return vec.refill(state, key, universe), rewards.sum(), ends.sum()


state, timestep = jax.jit(vec.reset)(jax.random.key(0), universe)
for index in range(3):
    state, reward, ends = rollout(state, jax.random.key(index))
    print(f"{100 * vec.num_envs} steps: reward {float(reward):.0f}, {int(ends)} episodes ended")
