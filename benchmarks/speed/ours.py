"""Cases of this simulator: steps alone, and with automatic reset to new tasks."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import measure
from benchmarks.measure import Case
from xworld import Env, State, Task, TimeStep, VectorEnv
from xworld.core import vector
from xworld.core.types import TaskSource
from xworld.core.vector import VectorState

STEPS_PER_REFILL = 250  # half an episode, so that no environment runs out of prepared tasks
SPREAD, TOGETHER = "ends spread", "ends together"  # when the episodes of a batch end


def step_case(labels: dict[str, Any], env: Env, tasks: Task, num_steps: int, devices: int) -> Case:
    """Steps of one environment for each of the stacked tasks; after the end of its episode it stands still."""

    def run(states: State, actions: jax.Array) -> tuple[State, TimeStep]:
        def step(states: State, actions: jax.Array) -> tuple[State, TimeStep]:
            # The batch is in the last axis of the state and in the first of the timestep, as in `VectorEnv`.
            states, timestep = env.step(states, actions.T)
            return states, vector.batch_first(timestep)

        return measure.scan(step, states, actions)

    num_envs = tasks.trial_length.shape[0]
    keys = jax.random.split(jax.random.key(0), num_envs)
    states = jax.jit(jax.vmap(lambda key, task: env.reset(key, task)[0], out_axes=-1))(keys, tasks)
    actions = measure.draw_actions(devices, num_steps, num_envs, env.config.num_agents)
    return measure.make_case(labels, run, split_last(states, devices), actions, num_envs * num_steps)


def reset_cases(
    labels: dict[str, Any],
    env: Env,
    tasks: TaskSource,
    num_envs: int,
    num_steps: int,
    devices: int,
    episode_length: int,
    ends: Sequence[str] = (SPREAD,),
    reads_final: bool = True,
) -> list[Case]:
    """`VectorEnv.step`, and `VectorEnv.refill` every 250 steps.

    One case for each of `ends`: the episodes that run at the start, of `episode_length` steps, end all together, or
    evenly spread over so many steps. `reads_final` says whether the final observations, which steps alone do not have,
    are read as all other outputs are.
    """
    vec = VectorEnv(env, num_envs // devices)

    def run(carry: tuple[VectorState, jax.Array], inputs: tuple[jax.Array, TaskSource]):
        actions, tasks = inputs

        def step(state: VectorState, actions: jax.Array) -> tuple[VectorState, Any]:
            state, timestep = vec.step(state, actions)
            return state, (timestep if reads_final else dataclasses.replace(timestep, final_observation=None))

        def roll_out(carry: tuple[VectorState, jax.Array], actions: jax.Array):
            state, key = carry
            key, refill_key = jax.random.split(key)
            state, outputs = measure.scan(step, vec.refill(state, refill_key, tasks), actions)
            return (state, key), outputs

        per_refill = min(STEPS_PER_REFILL, num_steps)
        return measure.scan(roll_out, carry, actions.reshape(-1, per_refill, *actions.shape[1:]))

    # A device's share at a time: how a state is laid out is `VectorEnv`'s own business.
    reset = jax.jit(lambda tasks, first: vec.reset(jax.random.key(0), tasks, first)[0])
    parts = [reset(tasks, jnp.int32(device * vec.num_envs)) for device in range(devices)]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)
    time = (jnp.arange(num_envs) * episode_length // num_envs).astype(jnp.uint16).reshape(-1, devices).T
    spread = dataclasses.replace(together, current=dataclasses.replace(together.current, time=time))
    keys = jax.random.split(jax.random.key(1), devices)
    starts = [({SPREAD: spread, TOGETHER: together}[when], keys) for when in ends]
    actions = measure.draw_actions(devices, num_steps, num_envs, env.config.num_agents)
    copies = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (devices, *jnp.shape(leaf))), tasks)
    first = measure.make_case({**labels, "ends": ends[0]}, run, starts[0], (actions, copies), num_envs * num_steps)
    return [first, *(first.again({**labels, "ends": when}, at) for when, at in zip(ends[1:], starts[1:], strict=True))]


def split_last(tree: Any, parts: int) -> Any:
    """[..., B] leaves as [parts, ..., B / parts]."""

    def split(leaf: jax.Array) -> jax.Array:
        return jnp.moveaxis(leaf.reshape(*leaf.shape[:-1], parts, leaf.shape[-1] // parts), -2, 0)

    return jax.tree.map(split, tree)
