"""Trying tasks out between two updates: who does it, on how many devices, and who is told."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax

from xworld.agents import Agent, Params
from xworld.base.errors import ConfigError
from xworld.base.xla.devices import AXIS
from xworld.core.env import Env
from xworld.core.types import Task
from xworld.core.vector import VectorEnv
from xworld.training.curriculum.curriculum import Searching
from xworld.training.curriculum.followed import td_errors
from xworld.training.devices.sharding import gather_batch
from xworld.training.learners.learner import Judge, Learner
from xworld.training.rollouts.demonstrators import Demonstrators
from xworld.training.rollouts.partners import Partners, seated
from xworld.training.rollouts.try_out import Scouts, Search, note, play_scouts, start_scouts
from xworld.training.run.config import RunConfig
from xworld.training.run.given import Given


@dataclass(frozen=True)
class Scouting:
    """Trying tasks out, on one device of the mesh axis `AXIS`."""

    agent: Agent
    learner: Learner
    vec: VectorEnv  # with this device's share of the environments that try tasks out
    plan: Search

    @property
    def first_index(self) -> jax.Array:
        """[] int32, of this device's first environment among all that try tasks out."""
        return jax.lax.axis_index(AXIS) * self.vec.num_envs

    def start(self, key: jax.Array, given: Given) -> Scouts:
        """Scouts with tasks of the curriculum's choice."""
        source = _Proposals(_searching(given))
        return start_scouts(self.agent, self.vec, key, source, self.plan, self.first_index, beside(given))

    def search(
        self, key: jax.Array, params: Params, learner_state: Any, scouts: Scouts, given: Given
    ) -> tuple[Scouts, Given]:
        """Tries tasks out with whole parameters, and tells the curriculum."""
        play_key, judge_key = jax.random.split(key)
        curriculum = _searching(given)
        scouts, rollout = play_scouts(
            self.agent,
            params,
            self.vec,
            scouts,
            play_key,
            _Proposals(curriculum),
            self.plan,
            self.first_index,
            beside(given),
        )
        if not isinstance(self.learner, Judge):
            raise ConfigError(
                f"{type(self.learner).__name__} cannot say how wrong it is where it does not learn, which trying tasks "
                "out needs. Give it a method `signals` (`xworld.training.Judge`), or use a curriculum without a search."
            )
        scouts, tried = note(scouts, rollout, td_errors(self.learner.signals(learner_state, rollout)))
        return scouts, dataclasses.replace(given, tasks=curriculum.judge(judge_key, gather_batch(tried)))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Proposals:
    """A source of the tasks that a curriculum wants to be tried out."""

    curriculum: Searching

    def sample(self, key: jax.Array) -> Task:
        """A task, for a JAX key."""
        return self.curriculum.propose(key)


def beside(given: Given) -> Partners | None:
    """Who plays along when a task is tried out: nobody in the learner's own place, as a demonstrator does."""
    return None if isinstance(given.partners, Demonstrators) else seated(given.partners)


def _searching(given: Given) -> Searching:
    if not isinstance(given.tasks, Searching):
        raise ConfigError(
            f"RunConfig.curriculum has tasks tried out, but {type(given.tasks).__name__} proposes none. Make the tasks "
            "by `RunConfig.curriculum.make`."
        )
    return given.tasks


def make_scouting(config: RunConfig, agent: Agent, learner: Learner, num_devices: int) -> Scouting | None:
    """What tries tasks out for the run's curriculum, on each device; None where it tries none."""
    plan = config.search
    if plan is None:
        return None
    vec = VectorEnv(Env(config.env), plan.num_envs // num_devices, plan.num_episodes)
    return Scouting(agent, learner, vec, plan)
