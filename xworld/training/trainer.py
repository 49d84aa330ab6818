"""A run's compiled functions: PPO on all devices, environments shared out, parameters the same everywhere."""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from xworld.agents import Agent, make_agent
from xworld.core.env import Env
from xworld.training.config import RunConfig
from xworld.training.ppo import AXIS, PPO, Metrics, TrainState
from xworld.vector import TaskSource, VectorEnv

# Actors have a leading axis of devices; the rest is the same on all.
_PLACEMENTS: dict[str, Any] = {"params": P(), "optimiser": P(), "actor": P(AXIS), "key": P(), "update": P()}
_SPECS = TrainState(**_PLACEMENTS)


@dataclass(frozen=True)
class Trainer:
    """The functions of a run, made by `make_trainer`. Compiled at their first call."""

    agent: Agent
    start: jax.stages.Wrapped  # tasks -> the state before the first update
    chunk: jax.stages.Wrapped  # state, tasks -> state, [updates_per_chunk, ...] metrics
    place: Callable[[TrainState], TrainState]  # a state in the host's memory onto the devices


@functools.lru_cache(maxsize=4)
def make_trainer(config: RunConfig) -> Trainer:
    """A trainer on all devices of the process. Equal configurations share one, and what it compiled.

    `chunk` gives its argument's memory away: use what it returns.

    Raises:
      ConfigError: the environments do not divide into equal minibatches on each device.
    """
    num_devices = jax.device_count()
    config.check_devices(num_devices)
    mesh = jax.make_mesh((num_devices,), (AXIS,))
    agent = make_agent(config.agent, config.env)
    vec = VectorEnv(Env(config.env), config.num_envs // num_devices)
    ppo = PPO(config.ppo, agent, vec, config.num_updates)

    def start(tasks: TaskSource) -> TrainState:
        params_key, key = jax.random.split(jax.random.key(config.seed))
        return _widen(ppo.start(agent.init(params_key), key, tasks))

    def chunk(state: TrainState, tasks: TaskSource) -> tuple[TrainState, Metrics]:
        def update(state: TrainState, _: None) -> tuple[TrainState, Metrics]:
            return ppo.update(state, tasks)

        state, metrics = jax.lax.scan(update, _narrow(state), length=config.updates_per_chunk)
        return _widen(state), metrics

    # The simulator's loops start from constants, which the check of what varies over devices would refuse.
    shard = functools.partial(jax.shard_map, mesh=mesh, check_vma=False)
    return Trainer(
        agent=agent,
        start=jax.jit(shard(start, in_specs=P(), out_specs=_SPECS)),
        chunk=jax.jit(shard(chunk, in_specs=(_SPECS, P()), out_specs=(_SPECS, P())), donate_argnums=0),
        place=functools.partial(_place, mesh=mesh),
    )


def _widen(state: TrainState) -> TrainState:
    """Gives one device's actor a leading axis of one device; `_narrow` takes it away."""
    return dataclasses.replace(state, actor=jax.tree.map(lambda leaf: leaf[None], state.actor))


def _narrow(state: TrainState) -> TrainState:
    return dataclasses.replace(state, actor=jax.tree.map(lambda leaf: leaf[0], state.actor))


def _place(state: TrainState, mesh: Mesh) -> TrainState:
    return jax.device_put(state, jax.tree.map(functools.partial(NamedSharding, mesh), _SPECS))
