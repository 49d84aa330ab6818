"""`Partners`: who plays the seats that the learner does not play."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax

from xworld.agents import Params
from xworld.core.types import Briefing, Observation


@dataclass(frozen=True)
class Scene:
    """What partners get to see in a step."""

    observation: Observation  # [B, ...], of all agents
    is_first: jax.Array  # [B] bool, whether an episode begins; or their part in it does, in a run's first step
    own: jax.Array  # [B, A] int32, what the learner would do in each seat: its own memory has played along in all


class Partners(Protocol):
    """Players of some of the agents in each environment. A pytree: their parameters are data.

    What they do is no step of the learner's: its `Steps.weight` is 0.
    """

    def start(self, num_envs: int) -> Any:
        """What they carry from step to step, arrays [num_envs, ...]: their memory, and who sits where."""
        ...

    def encode_briefing(self, briefing: Briefing) -> Any:
        """[B, ...] what they are told, from [B, ...] briefings; called once a rollout for this and the next task."""
        ...

    def act(self, carry: Any, keys: jax.Array, scene: Scene, told: Any) -> tuple[Any, jax.Array, jax.Array]:
        """One step.

        Args:
          carry: from `start` or the last step.
          keys: [B] random keys, other than the learner's.
          scene: what there is to see.
          told: from `encode_briefing`, of the tasks that are played.

        Returns:
          The next carry, [B, A] int32 actions, and [B, A] bool, which seats are theirs.
        """
        ...


@runtime_checkable
class Changing(Protocol):
    """Partners that change along a run, such as a pool of snapshots. A pytree, which is in the run's checkpoint.

    It is the same on all devices; both methods run on each device of the mesh axis `AXIS`.
    """

    def follow(self, key: jax.Array, params: Params, update: jax.Array) -> "Changing":
        """What it is from now on, of the same shapes. Called before each update.

        Args:
          key: the same on all devices.
          params: of the learner, whole.
          update: [] int32, updates done.
        """
        ...

    def players(self) -> Partners:
        """Who plays this device's environments until the next update."""
        ...


@runtime_checkable
class Informed(Protocol):
    """Partners who may be told what is hidden from the learner."""

    is_told_all: bool  # whether nothing is hidden in the briefings that they get


def seated(partners: Partners | Changing | None) -> Partners | None:
    """Who plays until the next update."""
    return partners.players() if isinstance(partners, Changing) else partners
