"""The searcher: a player with a simple plan and perfect sight, to measure learned agents against."""

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


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Searcher:
    """Picks up the nearest untried object, and the next one if that was not rewarded.

    It sees all objects and walls, but does not know the rules. "Nearest" counts actions. A wrong object goes back to
    where it was. When the goal holds, it waits for the trial's end. Closed doors stop it, and it never pushes. Agents
    other than the first do nothing.
    """

    remembers: bool = field(default=True, metadata={"static": True})  # knowledge lasts from trial to trial

    def start(self, key: jax.Array, state: State, briefing: Briefing) -> SearcherMemory:
        """Nothing has been tried."""
        none = jnp.int32(-1)
        return SearcherMemory(picked=none, winner=none, is_wrong=jnp.zeros(state.object_kind.shape, bool))

    def act(
        self, memory: SearcherMemory, key: jax.Array, state: State, timestep: TimeStep
    ) -> tuple[SearcherMemory, jax.Array]:
        """The next step on the shortest way to the nearest object worth a try."""
        is_rewarded = timestep.reward[0] > 0
        slots = jnp.arange(memory.is_wrong.shape[0])
        # The reward of a trial's last pick comes with the next trial's first view: learn from it before anything else.
        has_picked = memory.picked >= 0
        winner = jnp.where(has_picked & is_rewarded, memory.picked, memory.winner)
        is_wrong = memory.is_wrong | (has_picked & ~is_rewarded & (slots == memory.picked))
        if not self.remembers:
            winner = jnp.where(timestep.is_trial_first, -1, winner)
            is_wrong &= ~timestep.is_trial_first

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
        return SearcherMemory(picked=picked.astype(jnp.int32), winner=winner, is_wrong=is_wrong), actions
