"""The searcher: a player with a simple plan and perfect sight, to measure learned agents against."""

import dataclasses
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from xworld.agents.scripted.paths import (
    FAR,
    cells_of,
    costs_after_moves,
    in_front,
    pose_costs,
    storable_terrain,
    walkable_terrain,
)
from xworld.core.step.actions import NOOP, PICK_UP, PUT_DOWN, TURN_RIGHT
from xworld.core.types import HAND, NOWHERE, Briefing, State, TimeStep


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SearcherMemory:
    """What the searcher found out about the object slots."""

    picked: jax.Array  # [] int32, slot that its last action picked up, or -1
    winner: jax.Array  # [] int32, slot whose pick was rewarded, or -1
    is_wrong: jax.Array  # [N] bool, slots whose pick was not rewarded
    became: jax.Array  # [N] uint8, the kind that a pick made of each, 0 for not known; only where goals change


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Searcher:
    """Picks up the nearest untried object, and the next one if that was not rewarded.

    It sees all objects and walls, but does not know the rules. "Nearest" counts actions. A wrong object goes back to
    where it was. When the goal holds, it waits for the trial's end. Closed doors stop it, and it never pushes. Agents
    other than the first do nothing. Where every trial has a goal of its own, it remembers what each object became, and
    picks up the one that became what the goal asks for.
    """

    remembers: bool = field(default=True, metadata={"static": True})  # knowledge lasts from trial to trial

    def start(self, key: jax.Array, state: State, briefing: Briefing) -> SearcherMemory:
        """Nothing has been tried."""
        none, num_slots = jnp.int32(-1), state.object_kind.shape
        return SearcherMemory(none, none, is_wrong=jnp.zeros(num_slots, bool), became=jnp.zeros(num_slots, jnp.uint8))

    def act(
        self, memory: SearcherMemory, key: jax.Array, state: State, timestep: TimeStep
    ) -> tuple[SearcherMemory, jax.Array]:
        """The next step on the shortest way to the nearest object worth a try."""
        memory = self._learn(memory, state, timestep)
        winner, is_wrong, is_rewarded = memory.winner, memory.is_wrong, timestep.reward[0] > 0
        slots = jnp.arange(is_wrong.shape[0])
        scene, task = state.scene, state.task
        row, column, direction = scene.agent_row[0], scene.agent_column[0], scene.agent_direction[0]
        objects = cells_of(scene.object_row, scene.object_column, task.terrain.shape)  # [N, H, W]
        others = cells_of(scene.agent_row[1:], scene.agent_column[1:], task.terrain.shape)
        is_free = ~objects.any(axis=0) & ~others.any(axis=0)

        is_loose = (scene.object_row < NOWHERE) & (scene.object_frozen == 0)
        is_worth_a_try = is_loose & jnp.where(winner >= 0, slots == winner, ~is_wrong)
        targets = (objects & is_worth_a_try[:, None, None]).any(axis=0)
        is_walkable = walkable_terrain(task, scene.door_state) & is_free
        finish = jnp.where(in_front(targets), 1, FAR).astype(jnp.uint16)
        costs = pose_costs(is_walkable, finish)
        # In the order of the action codes: forward, turn right, turn left, pick up.
        after = jnp.concatenate([costs_after_moves(costs, is_walkable), finish[None] - 1])[:, row, column, direction]
        seek = jnp.where(costs[row, column, direction] < FAR, after.argmin(), NOOP)

        can_put_down = in_front(storable_terrain(task) & is_free)[row, column, direction]
        is_holding = (scene.object_row == HAND).any()
        action = jnp.where(is_holding, jnp.where(can_put_down, PUT_DOWN, TURN_RIGHT), seek)
        action = jnp.where(is_rewarded & ~timestep.is_trial_first, NOOP, action)

        is_ahead = in_front(objects)[:, row, column, direction]  # [N], at most one
        picked = jnp.where((action == PICK_UP) & is_ahead.any(), is_ahead.argmax(), -1)
        actions = jnp.full(state.last_action.shape, NOOP, jnp.int32).at[0].set(action)
        return dataclasses.replace(memory, picked=picked.astype(jnp.int32)), actions

    def _learn(self, memory: SearcherMemory, state: State, timestep: TimeStep) -> SearcherMemory:
        """What is known once the last pick's reward has come, or once it is seen what the pick made."""
        slots, has_picked = jnp.arange(memory.is_wrong.shape[0]), memory.picked >= 0
        if timestep.observation.goal is not None:
            # At a trial's first view what the last pick made is gone again.
            is_seen = has_picked & (slots == memory.picked) & ~timestep.is_trial_first
            became = jnp.where(is_seen, state.scene.object_kind, memory.became)
            if not self.remembers:
                became = jnp.where(timestep.is_trial_first, 0, became)
            wanted = timestep.observation.goal[0, ..., 2:4].reshape(-1)  # kinds, and 0 for padding
            is_right = (became != 0) & (became[:, None] == wanted).any(axis=1)
            winner = jnp.where(is_right.any(), is_right.argmax(), -1).astype(jnp.int32)
            return SearcherMemory(memory.picked, winner, is_wrong=(became != 0) & ~is_right, became=became)
        # The reward of a trial's last pick comes with the next trial's first view: learn from it before anything else.
        is_rewarded = timestep.reward[0] > 0
        winner = jnp.where(has_picked & is_rewarded, memory.picked, memory.winner)
        is_wrong = memory.is_wrong | (has_picked & ~is_rewarded & (slots == memory.picked))
        if not self.remembers:
            winner = jnp.where(timestep.is_trial_first, -1, winner)
            is_wrong &= ~timestep.is_trial_first
        return dataclasses.replace(memory, winner=winner, is_wrong=is_wrong)
