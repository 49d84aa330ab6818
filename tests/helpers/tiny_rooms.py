"""A source of tiny tasks for tests: one room, three objects, a hidden rule that says which of them is the right one."""

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from xworld import EnvConfig, Task
from xworld.agents import AgentConfig
from xworld.core import kinds
from xworld.core.step.relations import HOLD
from xworld.core.types import NOWHERE, RANDOM_FACING, Goals, Hidden, Rules
from xworld.training import PPOConfig, RunConfig

SMALL_AGENT = AgentConfig(embedding_size=8, encoder_size=32, briefing_size=8, memory_size=32, head_size=32)


def env_config(side: int = 7) -> EnvConfig:
    return EnvConfig(height=side, width=side, max_objects=3, max_rules=1, max_doors=1, push=False, relations=("hold",))


@jax.tree_util.register_static
@dataclass(frozen=True)
class TinyRooms:
    """`hold(agent, X) -> G` with goal `hold(agent, G)`: X is one of three objects of random kinds, and hidden.

    With `num_candidates` 1 there is nothing to find out, and the task is a bandit-like sanity check.
    """

    side: int = 7
    num_candidates: int = 3
    trial_length: int = 12
    num_trials: int = 4

    def sample(self, key: jax.Array) -> Task:
        cell_key, kind_key = jax.random.split(key)
        inner = self.side - 2
        cells = jax.random.permutation(cell_key, inner * inner)[: self.num_candidates + 1]
        places = jnp.stack([cells // inner + 1, cells % inner + 1], axis=-1).astype(jnp.uint8)
        palette = jnp.array([shape * 16 + colour for shape in range(1, 5) for colour in range(5)], jnp.uint8)
        drawn = jax.random.permutation(kind_key, palette)[: self.num_candidates + 1]
        is_slot = jnp.arange(3) < self.num_candidates
        rows, columns = jnp.indices((self.side, self.side))
        is_wall = (rows % (self.side - 1) == 0) | (columns % (self.side - 1) == 0)
        agent, made = kinds.agent_kind(0), drawn[-1]
        pad = 3 - self.num_candidates
        return Task(
            terrain=jnp.where(is_wall, kinds.WALL * 16, kinds.BLACK_FLOOR).astype(jnp.uint8),
            door_position=jnp.full((1, 2), NOWHERE, jnp.uint8),
            door_state=_byte(0),
            agent_position=places[:1],
            agent_facing=_byte(RANDOM_FACING),
            object_kind=jnp.where(is_slot, jnp.pad(drawn[:-1], (0, pad)), 0).astype(jnp.uint8),
            object_position=jnp.pad(places[1:], ((0, pad), (0, 0)), constant_values=NOWHERE),
            object_frozen=jnp.zeros(3, jnp.uint8),
            goals=Goals(
                relation=jnp.full((1, 1, 1), HOLD, jnp.uint8),
                directions=jnp.zeros((1, 1, 1), jnp.uint8),
                first=jnp.full((1, 1, 1), agent, jnp.uint8),
                second=made.reshape(1, 1, 1),
                negated=jnp.zeros((1, 1, 1), jnp.uint8),
            ),
            rules=Rules(
                relation=_byte(HOLD),
                directions=_byte(0),
                first=_byte(agent),
                second=drawn[:1],
                products=jnp.stack([made, jnp.uint8(0), jnp.uint8(0)])[None],
            ),
            hidden=Hidden(
                rules=jnp.ones((1, 1), bool),
                kinds=jnp.zeros((1, 16), jnp.uint8),
                relations=jnp.zeros((1, 5), jnp.uint8),
            ),
            trial_length=jnp.uint16(self.trial_length),
            num_trials=jnp.uint16(self.num_trials),
            world_id=jnp.int32(-1),
            game_id=jnp.int32(-1),
        )


@jax.tree_util.register_static
@dataclass(frozen=True)
class TinyRoomsOfTwoGoals(TinyRooms):
    """The same rooms where a trial asks for what the hidden rule makes, or for the first of the objects itself."""

    def sample(self, key: jax.Array) -> Task:
        task = super().sample(key)
        other = dataclasses.replace(task.goals, second=jnp.full_like(task.goals.second, task.object_kind[0]))
        return dataclasses.replace(task, goals=jax.tree.map(lambda *pair: jnp.stack(pair), task.goals, other))


def _byte(value: int) -> jax.Array:
    return jnp.array([value], jnp.uint8)


# One object in a small room: pick it up. Tasks and run of the tests of training, so that all compile the same code.
SANITY_TASKS = TinyRooms(side=5, num_candidates=1, trial_length=8, num_trials=3)


# What the memories need beside the sizes of the smallest agent.
_OF_MEMORY: dict[str, dict[str, int]] = {
    "gru": {},
    "gru_attention": {"num_heads": 2, "num_kept": 6, "keep_every": 4},
    "gru_txl": {"num_heads": 2, "num_kept": 6, "keep_every": 4, "feed_forward_size": 64},
    "transformer_xl": {"num_heads": 2, "feed_forward_size": 64, "window": 8, "cache_size": 24},
    "gated_delta": {"num_heads": 2, "feed_forward_size": 64},
}


def sanity_config(memory: str = "gru") -> RunConfig:
    """A run that learns `SANITY_TASKS` in seconds. Its rollouts of 16 steps are not in step with episodes of 24."""
    return RunConfig(
        env=env_config(side=5),
        agent=dataclasses.replace(SMALL_AGENT, memory=memory, **_OF_MEMORY[memory]),
        learner=PPOConfig(rollout_length=16, num_minibatches=4, learning_rate=6e-3),
        num_envs=64,
        num_evaluation_tasks=32,
        total_steps=60 * 64 * 16,
        updates_per_chunk=10,
        chunks_per_checkpoint=2,
        chunks_per_evaluation=2,
    )
