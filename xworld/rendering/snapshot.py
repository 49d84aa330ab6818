"""What a picture shows of a state, gathered on the device in one call and copied to the host once."""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.checks import check_whole
from xworld.base.errors import ConfigError
from xworld.core.config import EnvConfig
from xworld.core.env import Env
from xworld.core.step.goals import goals_of_trial, num_goals, write_goal
from xworld.core.step.view import OUT_OF_VIEW, look, view_cell
from xworld.core.types import NOWHERE, State


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Snapshot:
    """One state, as one agent sees it and is told about it."""

    terrain: jax.Array  # [H, W] uint8, with door states in the type: 5 open, 6 closed, 7 locked
    is_visible: jax.Array  # [H, W] bool, whether the agent sees the cell
    agent_position: jax.Array  # [A, 2] int32, (-1, -1) when absent
    agent_direction: jax.Array  # [A] uint8
    agent_held: jax.Array  # [A] uint8, kind in the hand, 0 for none
    object_kind: jax.Array  # [N] uint8
    object_position: jax.Array  # [N, 2] int32, (-1, -1) when held or absent
    object_frozen: jax.Array  # [N] uint8
    trial: jax.Array  # [] uint16
    time: jax.Array  # [] uint16
    num_trials: jax.Array  # [] uint16
    trial_length: jax.Array  # [] uint16
    num_goals: jax.Array  # [] uint8, of which every trial has one
    goal: jax.Array  # [C, L, 5] uint8, of this trial, as in a `Briefing`
    rules: jax.Array  # [R, 7] uint8, as the agent is told them
    true_rules: jax.Array  # [R, 7] uint8, as they are


def take_snapshot(env: Env, state: State, agent: int) -> Snapshot:
    """The snapshot of a state of one environment, with numpy arrays.

    Raises:
      ConfigError: a batch of states, a state of another configuration, or an agent that `env` does not have.
    """
    config = env.config
    if state.trial.ndim != 0:
        raise ConfigError(
            f"A picture shows one environment, and this state is a batch of shape {state.trial.shape}. "
            "Pick one: jax.tree.map(lambda leaf: leaf[0], state)."
        )
    if state.task.terrain.shape != (config.height, config.width):
        raise ConfigError(
            f"The state's grid is {state.task.terrain.shape}, the environment's is {(config.height, config.width)}. "
            "Draw it with the environment it comes from."
        )
    check_agent(config, agent)
    return jax.device_get(_gather(env, state, jnp.uint8(agent)))


def only_seen(snapshot: Snapshot) -> Snapshot:
    """The snapshot with nothing in the cells that its agent does not see."""
    is_seen = np.asarray(snapshot.is_visible)

    changes: dict[str, Any] = {"terrain": np.where(is_seen, snapshot.terrain, 0)}
    for name in ("agent_position", "object_position"):
        position = np.asarray(getattr(snapshot, name))
        changes[name] = np.where(is_seen[position[:, 0], position[:, 1], None], position, -1)
    return dataclasses.replace(snapshot, **changes)


def check_agent(config: EnvConfig, agent: int) -> None:
    """Raises a `ConfigError` for an agent that the environment does not have."""
    check_whole("agent", agent, 0, config.num_agents - 1)


@partial(jax.jit, static_argnums=0)
def _gather(env: Env, state: State, agent: jax.Array) -> Snapshot:
    task, scene = state.task, state.scene
    slot = state.agent_held
    briefing = env.briefing(task)
    rules = task.rules
    true_rules = [rules.relation, rules.directions, rules.first, rules.second]
    return Snapshot(
        terrain=task.terrain.at[task.door_position[:, 0], task.door_position[:, 1]].add(
            scene.door_state << 4, mode="drop"
        ),
        is_visible=_visible_cells(env.config, state, agent),
        agent_position=state.agent_position,
        agent_direction=scene.agent_direction,
        agent_held=jnp.where(slot >= 0, scene.object_kind[slot], 0),
        object_kind=scene.object_kind,
        object_position=state.object_position,
        object_frozen=scene.object_frozen,
        trial=state.trial,
        time=state.time,
        num_trials=task.num_trials,
        trial_length=task.trial_length,
        num_goals=num_goals(task),
        goal=write_goal(goals_of_trial(task, state.seed, state.trial))[agent],
        rules=briefing.rules[agent],
        true_rules=jnp.concatenate([jnp.stack(true_rules, axis=-1), rules.products], axis=-1),
    )


def _visible_cells(config: EnvConfig, state: State, agent: jax.Array) -> jax.Array:
    """[H, W] bool: the cells that are in the agent's view and visible there; none for an absent agent."""
    scene, shape = state.scene, state.task.terrain.shape
    row, column, direction = scene.agent_row[agent], scene.agent_column[agent], scene.agent_direction[agent]
    _, is_visible = look(config, state.task, scene.door_state, row, column, direction)  # [V * V]
    cell_row, cell_column = (jax.lax.broadcasted_iota(jnp.uint8, shape, axis).reshape(-1) for axis in (0, 1))
    place = view_cell(config, row, column, direction, cell_row, cell_column)  # [H * W]
    is_seen = (place != OUT_OF_VIEW) & is_visible[jnp.minimum(place, len(is_visible) - 1)]
    return is_seen.reshape(shape) & (row != NOWHERE)
