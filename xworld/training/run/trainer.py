"""A run's compiled functions: PPO on all devices of all processes, environments shared out over a mesh."""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from xworld.agents import Agent, Params, make_agent
from xworld.core.env import Env
from xworld.core.types import TaskSource
from xworld.core.vector import VectorEnv
from xworld.training.devices.sharding import AXIS, gather, make_mesh, own_part, place, specs_of
from xworld.training.learners.ppo import PPO, Metrics, TrainState, optimiser
from xworld.training.run.config import RunConfig


@dataclass(frozen=True)
class Trainer:
    """The functions of a run, made by `make_trainer`. Compiled at their first call."""

    agent: Agent
    start: jax.stages.Wrapped  # tasks -> the state before the first update
    chunk: jax.stages.Wrapped  # state, tasks -> state, [updates_per_chunk, ...] metrics
    place: Callable[[TrainState], TrainState]  # a state in the host's memory onto the devices
    whole_params: Callable[[Params], Params]  # a state's parameters, all of them on every device
    with_params: Callable[[TrainState, Params], TrainState]  # a state with other parameters, given whole


@functools.lru_cache(maxsize=4)
def make_trainer(config: RunConfig, agent: Agent | None = None) -> Trainer:
    """A trainer on all devices of all processes. Equal arguments share one, and what it compiled.

    `chunk` gives its argument's memory away: use what it returns.

    Args:
      config: the run.
      agent: hashable, with the methods of `Agent`, in place of the one that the configuration describes.

    Raises:
      ConfigError: the environments do not divide into equal minibatches on each device.
    """
    mesh = make_mesh()
    num_devices = mesh.size
    config.check_devices(num_devices)
    agent = make_agent(config.agent, config.env) if agent is None else agent
    params = jax.eval_shape(agent.init, jax.random.key(0))
    split = functools.partial(specs_of, num_devices=num_devices, is_shared_out=config.shard_params)
    split_params, split_optimiser = split(params), split(jax.eval_shape(optimiser().init, params))
    replicated: Any = P()
    shared_out: Any = P(AXIS)
    specs = TrainState(
        params=split_params,
        optimiser=split_optimiser,
        actor=shared_out,
        return_scale=replicated,
        key=replicated,
        update=replicated,
    )
    ppo = PPO(
        config=config.ppo,
        agent=agent,
        vec=VectorEnv(Env(config.env), config.num_envs // num_devices),
        num_groups=config.num_groups // num_devices,
        num_updates=config.num_updates,
        param_specs=split_params,
        optimiser_specs=split_optimiser,
    )

    def start(tasks: TaskSource) -> TrainState:
        params_key, key = jax.random.split(jax.random.key(config.seed))
        return _batch_first(ppo.start(agent.init(params_key), key, tasks))

    def chunk(state: TrainState, tasks: TaskSource) -> tuple[TrainState, Metrics]:
        def update(state: TrainState, _: None) -> tuple[TrainState, Metrics]:
            return ppo.update(state, tasks)

        state, metrics = jax.lax.scan(update, _batch_last(state), length=config.updates_per_chunk)
        return _batch_first(state), metrics

    # The simulator's loops start from constants, which the check of what varies over devices would refuse.
    shard = functools.partial(jax.shard_map, mesh=mesh, check_vma=False)
    whole = shard(functools.partial(gather, specs=split_params), in_specs=(split_params,), out_specs=P())
    parts = shard(functools.partial(own_part, specs=split_params), in_specs=P(), out_specs=split_params)

    def with_params(state: TrainState, params: Params) -> TrainState:
        return dataclasses.replace(state, params=jax.jit(parts)(jax.tree.map(jnp.asarray, params)))

    return Trainer(
        agent=agent,
        start=jax.jit(shard(start, in_specs=P(), out_specs=specs)),
        chunk=jax.jit(shard(chunk, in_specs=(specs, P()), out_specs=(specs, P())), donate_argnums=0),
        place=lambda state: place(state, mesh, _spread(specs, state)),
        whole_params=jax.jit(whole),
        with_params=with_params,
    )


def _spread(specs: TrainState, state: TrainState) -> Any:
    """A spec for each leaf of the state, from one for each part of it."""
    return jax.tree.map(
        lambda spec, part: jax.tree.map(lambda _: spec, part), specs, state, is_leaf=lambda node: isinstance(node, P)
    )


def _batch_first(state: TrainState) -> TrainState:
    """With the environments in every array's first axis, the one that devices share; `_batch_last` takes it back."""
    return _move_batch(state, -1, 0)


def _batch_last(state: TrainState) -> TrainState:
    return _move_batch(state, 0, -1)


def _move_batch(state: TrainState, source: int, target: int) -> TrainState:
    env_state = state.actor.env_state
    current = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, source, target), env_state.current)
    env_state = dataclasses.replace(env_state, current=current)
    return dataclasses.replace(state, actor=dataclasses.replace(state.actor, env_state=env_state))
