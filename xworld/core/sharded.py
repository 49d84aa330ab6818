"""`ShardedVectorEnv`: a `VectorEnv` whose environments are shared out to all devices."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
from jax.sharding import PartitionSpec as P

from xworld.base.checks import check_fields, check_whole
from xworld.base.errors import ConfigError
from xworld.base.xla.devices import AXIS, make_mesh
from xworld.core.env import Env
from xworld.core.types import Briefing, State, TaskSource
from xworld.core.vector import VectorEnv, VectorState, VectorTimeStep

_BY_ENV: Any = P(AXIS)  # num_envs is the first axis


@dataclass(frozen=True)
class ShardedVectorEnv:
    """`num_envs` environments, an equal share on each device of all processes. Pure, jit- and scan-able.

    Methods, arguments and results are those of a `VectorEnv` of as many environments, without `num_sharing` and
    `first_index`; otherwise only where the numbers lie differs. GPUs and TPU cores are devices; a CPU is one unless
    `xworld.use_all_cores()` comes before anything else.

    Raises:
      ConfigError: the devices do not divide the environments.
    """

    env: Env
    num_envs: int

    def __post_init__(self) -> None:
        check_fields(self, ["num_envs"], partial(check_whole, low=1))
        num_devices = make_mesh().size
        if self.num_envs % num_devices:
            raise ConfigError(
                f"num_envs is {self.num_envs}, which {num_devices} devices do not divide. Write a multiple of "
                f"{num_devices}, such as {-(-self.num_envs // num_devices) * num_devices}."
            )

    @property
    def share(self) -> VectorEnv:
        """The environments of one device."""
        return VectorEnv(self.env, self.num_envs // make_mesh().size)

    def reset(self, key: jax.Array, tasks: TaskSource) -> tuple[VectorState, VectorTimeStep]:
        """See `VectorEnv.reset`."""
        share = self.share

        def reset(key: jax.Array, tasks: TaskSource) -> tuple[VectorState, VectorTimeStep]:
            return share.reset(key, tasks, _first_index(share))

        shapes = jax.eval_shape(share.reset, key, tasks)[0]
        return _on_devices(reset, (P(), P()), (_specs(shapes), _BY_ENV))(key, tasks)

    def step(self, state: VectorState, actions: jax.Array) -> tuple[VectorState, VectorTimeStep]:
        """See `VectorEnv.step`."""
        specs = _specs(state)
        return _on_devices(self.share.step, (specs, _BY_ENV), (specs, _BY_ENV))(state, actions)

    def refill(self, state: VectorState, key: jax.Array, tasks: TaskSource) -> VectorState:
        """See `VectorEnv.refill`."""
        share, specs = self.share, _specs(state)

        def refill(state: VectorState, key: jax.Array, tasks: TaskSource) -> VectorState:
            return share.refill(state, key, tasks, _first_index(share))

        return _on_devices(refill, (specs, P(), P()), specs)(state, key, tasks)

    def states(self, state: VectorState) -> State:
        """See `VectorEnv.states`."""
        return _on_devices(self.share.states, (_specs(state),), _BY_ENV)(state)

    def briefings(self, state: VectorState) -> tuple[Briefing, Briefing]:
        """See `VectorEnv.briefings`."""
        return _on_devices(self.share.briefings, (_specs(state),), _BY_ENV)(state)


def _on_devices(function: Callable[..., Any], in_specs: Any, out_specs: Any) -> Callable[..., Any]:
    # The simulator's loops start from constants, which the check of what varies over devices would refuse.
    return jax.shard_map(function, mesh=make_mesh(), in_specs=in_specs, out_specs=out_specs, check_vma=False)


def _first_index(share: VectorEnv) -> jax.Array:
    return jax.lax.axis_index(AXIS) * share.num_envs


def _specs(state: VectorState) -> VectorState:
    """Of each leaf: current states have the environments last."""
    last = jax.tree.map(lambda leaf: P(*(None,) * (leaf.ndim - 1), AXIS), state.current)
    return VectorState(current=last, prepared=_BY_ENV, first_observation=_BY_ENV, is_ready=_BY_ENV)
