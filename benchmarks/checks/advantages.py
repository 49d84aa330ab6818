"""Whether tasks that pay much crowd out the others in what an agent learns from: one scale normalises all advantages.

    python -m benchmarks.checks.advantages runs/s

Plays tasks with a trained agent, and prints as JSON the share that each tenth of the tasks, by the best return of an
episode, has in the sum of the absolute normalised advantages, beside its share of the steps. With more than half of the
sum in the highest tenth, rewards should be divided by the length of a trial.
"""

import argparse
import json
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xworld.agents import AgentPolicy, Expert, LoadedAgent, load
from xworld.core.env import Env
from xworld.core.types import Task
from xworld.tasks import tasks_by_name
from xworld.training import load_config
from xworld.training.learners.returns import generalised_advantage

NUM_PARTS = 10


def main() -> None:
    """Plays and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", help="folder of a training run")
    parser.add_argument("--tasks", default="s:validation", help="their name")
    parser.add_argument("--num-tasks", type=int, default=500)
    arguments = parser.parse_args()
    collection, loaded = tasks_by_name(arguments.tasks).collect(arguments.num_tasks), load(arguments.run)
    if loaded.return_scale is None:
        raise SystemExit(f"The agent in {arguments.run} has no return scale: name the folder of a training run.")
    learner, tasks = load_config(arguments.run).learner, collection.tasks
    played = play(collection.env, tasks, loaded, learner.discount, learner.lambda_)
    best = Expert(collection.env).plan_all(tasks).mean_returns * tasks.num_trials
    print(json.dumps({"run": arguments.run, "tasks": arguments.tasks, **shares(*played, best)}))


def play(env: Env, tasks: Task, loaded: LoadedAgent, discount: float, lambda_: float) -> tuple[np.ndarray, np.ndarray]:
    """[num_tasks, T] advantages of one episode of each task, in units of reward, and bool, which steps there are."""
    policy, scale = AgentPolicy(loaded.params, loaded.agent), loaded.return_scale
    num_steps = int((np.asarray(tasks.trial_length, np.int64) * np.asarray(tasks.num_trials)).max())

    @jax.jit
    @jax.vmap
    def episode(task: Task, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        state, timestep = env.reset(key, task)
        memory = policy.start(key, state, env.briefing(task))

        def step(carry: Any, step_key: jax.Array) -> Any:
            state, timestep, memory, is_over = carry
            memory, actions, _, value = policy.decide(memory, step_key, state, timestep)
            state, timestep = env.step(state, actions)
            taken = timestep.reward, value, jnp.where(is_over, 0, timestep.discount), ~is_over
            return (state, timestep, memory, is_over | timestep.is_last), taken

        carry = state, timestep, memory, jnp.bool_(False)
        _, (rewards, values, discounts, is_there) = jax.lax.scan(step, carry, jax.random.split(key, num_steps))
        values = jnp.concatenate([scale.to_returns(values), jnp.zeros_like(values[:1])])
        gae = partial(generalised_advantage, rewards, values, discount * discounts[:, None])
        return gae(lambda_).mean(axis=1), is_there

    keys = jax.random.split(jax.random.key(0), len(tasks.trial_length))
    advantages, is_there = jax.device_get(episode(jax.tree.map(jnp.asarray, tasks), keys))
    return advantages, is_there


def shares(advantages: np.ndarray, is_there: np.ndarray, best: np.ndarray) -> dict[str, Any]:
    """By tenth of the best return, the highest last: of the sum of absolute normalised advantages, and of the steps."""
    known = advantages[is_there]
    weights = np.abs((advantages - known.mean()) / known.std()) * is_there
    parts = np.array_split(np.argsort(best, kind="stable"), NUM_PARTS)
    return {
        "mean_best_return": [round(float(best[part].mean()), 1) for part in parts],
        "share_of_advantages": [round(float(weights[part].sum() / weights.sum()), 3) for part in parts],
        "share_of_steps": [round(float(is_there[part].sum() / is_there.sum()), 3) for part in parts],
    }


if __name__ == "__main__":
    main()
