"""What users give to a run: terms, curricula and partners that change nothing, and some that change a lot."""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from xworld.core.step.actions import NUM_ACTIONS
from xworld.core.types import Task, TaskSource
from xworld.tasks import TaskSet


@jax.tree_util.register_static
@dataclass(frozen=True)
class Zero:
    """A term that is always 0."""

    name: str = "zero"

    def init(self, key, output):
        return {"unused": jnp.ones(output.features.shape[-1])}

    def start(self, num_envs):
        return jnp.zeros(num_envs)

    def follow(self, carry, rollout):
        return carry + 1, rollout.steps.reward

    def loss(self, own, output, steps, extra, progress):
        return 0 * extra


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Constant:
    """A curriculum that looks on, and never changes."""

    tasks: TaskSource

    def sample(self, key):
        return self.tasks.sample(key)

    def start(self, num_envs):
        return jnp.zeros(num_envs)

    def is_learned_from(self, task_id):
        return jnp.ones(task_id.shape[:-1], bool)

    def follow(self, carry, rollout, signals):
        return carry + signals["advantage"].sum((0, 2)), rollout.steps.reward.sum((0, 2))

    def update(self, key, seen):
        return self


@jax.tree_util.register_static
@dataclass(frozen=True)
class Nobody:
    """Partners that play no seat."""

    def start(self, num_envs):
        return jnp.zeros(num_envs)

    def encode_briefing(self, briefing):
        return briefing.agent_id

    def act(self, carry, keys, scene, told):
        return carry + 1, jnp.zeros(told.shape, jnp.int32), jnp.zeros(told.shape, bool)


@jax.tree_util.register_static
@dataclass(frozen=True)
class RandomPartners:
    """In every other environment they play the last agent, at random."""

    def start(self, num_envs):
        return jnp.arange(num_envs) % 2 == 1

    def encode_briefing(self, briefing):
        return briefing.agent_id

    def act(self, carry, keys, scene, told):
        num_agents = told.shape[-1]
        actions = jax.vmap(lambda key: jax.random.randint(key, (num_agents,), 0, NUM_ACTIONS, jnp.int32))(keys)
        return carry, actions, carry[:, None] & (jnp.arange(num_agents) == num_agents - 1)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Favourites:
    """Of a set of tasks, known by their game's id, those come more often that paid more. One is never learned from."""

    tasks: TaskSet
    weights: jax.Array  # [num_tasks], above 0

    @classmethod
    def start_with(cls, source: TaskSource, num_tasks: int) -> "Favourites":
        tasks = TaskSet.from_source(source, jax.random.key(5), num_tasks).tasks
        numbered = dataclasses.replace(tasks, game_id=jnp.arange(num_tasks, dtype=jnp.int32))
        return cls(TaskSet(numbered), jnp.ones(num_tasks))

    def sample(self, key) -> Task:
        return self.tasks.task(jax.random.choice(key, len(self.tasks), p=self.weights / self.weights.sum()))

    def start(self, num_envs):
        return jnp.zeros(num_envs)

    def is_learned_from(self, task_id):
        return task_id[..., 1] != 0

    def follow(self, carry, rollout, signals):
        steps = rollout.steps
        return carry, {"task": steps.task_id[0, :, 1], "surprise": jnp.abs(signals["advantage"]).mean((0, 2))}

    def update(self, key, seen):
        shares = jnp.zeros_like(self.weights).at[seen["task"]].add(seen["surprise"])
        noise = jax.random.uniform(key, self.weights.shape)
        return dataclasses.replace(self, weights=0.9 * self.weights + 0.1 * (shares + noise))
