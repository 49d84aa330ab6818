"""The best that is possible on tasks of getting hold of one thing, by a player that knows the hidden rules."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from xworld.core import kinds
from xworld.core.actions import NOOP
from xworld.core.env import Env
from xworld.core.relations import HOLD
from xworld.core.types import HAND, NOWHERE, Briefing, State, Task, TimeStep
from xworld.errors import ConfigError
from xworld.evaluation.paths import FAR, cells_of, costs_after_moves, in_front, storable_terrain, walkable_terrain
from xworld.evaluation.protocol import check_tasks

_AGENT = kinds.agent_kind(0)


def make_best_possible(env: Env, tasks: Task) -> "BestPossible":
    """The best policy for stacked `tasks` ([num_tasks, ...] leaves) of `env`, once it is sure to know them.

    Raises:
      ConfigError: the tasks are not for `env`, or `refusal(tasks)` has something to say.
    """
    check_tasks(env, tasks)
    reason = refusal(tasks)
    if reason is not None:
        raise ConfigError(f"The best possible return is not known: {reason}")
    return BestPossible()


def refusal(tasks: Task) -> str | None:
    """Why `BestPossible` cannot play some of the stacked `tasks`, or None if it can play all of them.

    It plays one agent in worlds without doors. The goal is `hold(agent, G)`; G lies about, or the only rule (if there
    is any) is `hold(agent, X) -> G`.
    """
    goals, rules = jax.device_get(tasks.goals), jax.device_get(tasks.rules)
    if (np.asarray(tasks.agent_position)[:, 1:] != NOWHERE).any() or (
        np.asarray(tasks.agent_position)[:, 0] == NOWHERE
    ).any():
        return "a task has not exactly agent 0. Use tasks for one agent."
    if (np.asarray(tasks.door_position) != NOWHERE).any():
        return "a task has doors. Use worlds of one room."

    fields = ("relation", "directions", "first", "second", "negated")
    goal = np.stack([getattr(goals, name) for name in fields], axis=-1)[:, 0]  # [n, C, L, 5]
    expected = np.zeros_like(goal)
    expected[:, 0, 1:, 4] = 1  # literals that pad a clause are true, clauses that pad a goal are false
    expected[:, 0, 0] = goal[:, 0, 0]
    wanted = goal[:, 0, 0]
    is_hold = (wanted[:, 0] == HOLD) & (wanted[:, 2] == _AGENT) & (wanted[:, 4] == 0)
    if not (is_hold.all() and (goal == expected).all()):
        return "a goal is not hold(agent, G). Use such goals."

    is_rule = rules.relation != 0
    makes_it = (rules.relation == HOLD) & (rules.first == _AGENT) & (rules.products[..., 0] == wanted[:, None, 3])
    if (is_rule.sum(axis=1) > 1).any() or (is_rule & ~makes_it).any():
        return "a task has rules other than one hold(agent, X) -> G. Use chains of at most one rule, and no dead ends."
    return None


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Plan:
    """Actions to take, and how many are left, for every pose while at most one object is not where it started.

    P = H * W cells numbered row by row. A slot that cannot be moved stands for "nothing was moved".
    """

    lying_costs: jax.Array  # [N, P, H, W, 4] uint16, with empty hands while object n lies in cell p
    lying_actions: jax.Array  # [N, P, H, W, 4] uint8
    held_costs: jax.Array  # [N, H, W, 4] uint16, while object n is in the hand
    held_actions: jax.Array  # [N, H, W, 4] uint8
    is_target: jax.Array  # [N] bool, slots whose pick fulfils the goal


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class BestPossible:
    """Gets hold of G in the fewest actions, and keeps it. Only for tasks that `make_best_possible` accepts.

    It never pushes, so with `EnvConfig.push` it is the best that is possible without.

    The way may lead around the objects, or carry *one* of them out of the way. Plans that carry off two are not looked
    for; an exhaustive search over rooms full of objects found none that was shorter (see docs/evaluation.md).
    """

    def start(self, key: jax.Array, state: State, briefing: Briefing) -> Plan:
        """Plans for all poses; the layout is the same in every trial."""
        return _make_plan(state.task)

    def act(self, memory: Plan, key: jax.Array, state: State, timestep: TimeStep) -> tuple[Plan, jax.Array]:
        """The plan's next action; noop with the target in the hand, or when there is no way to it."""
        scene, task = state.scene, state.task
        width = task.terrain.shape[1]
        row, column, direction = scene.agent_row[0], scene.agent_column[0], scene.agent_direction[0]
        slots = jnp.arange(memory.is_target.shape[0])
        is_held = scene.object_row == HAND
        is_on_ground = scene.object_row < NOWHERE
        cell = jnp.where(is_on_ground, scene.object_row.astype(jnp.int32) * width + scene.object_column, 0)

        lying = memory.lying_costs[slots, cell, row, column, direction]
        costs = jnp.where(is_held, memory.held_costs[:, row, column, direction], lying)  # [N]
        actions = jnp.where(
            is_held,
            memory.held_actions[:, row, column, direction],
            memory.lying_actions[slots, cell, row, column, direction],
        )
        is_moved = is_held | (scene.object_row != task.object_position[:, 0])
        is_moved |= scene.object_column != task.object_position[:, 1]
        followed = jnp.where(is_moved == is_moved.any(), costs, FAR + 1).argmin()  # the moved one's plan, if any
        is_done = (is_held & memory.is_target).any() | (costs[followed] >= FAR)
        action = jnp.where(is_done, NOOP, actions[followed])
        return memory, jnp.full(state.last_action.shape, NOOP).at[0].set(action)


def _make_plan(task: Task) -> Plan:
    """Relaxes the costs of all poses and of all places of one moved object together, until nothing changes."""
    height, width = task.terrain.shape
    num_cells = height * width
    row, column = task.object_position[:, 0], task.object_position[:, 1]
    wanted = task.goals.second[0, 0, 0]
    source = jnp.where(task.rules.relation == HOLD, task.rules.second, 0).max()  # X, or nothing: 0
    is_movable = (row != NOWHERE) & (task.object_frozen == 0)
    is_target = is_movable & ((task.object_kind == wanted) | (task.object_kind == source))
    is_movable &= ~is_target

    objects = cells_of(row, column, task.terrain.shape)  # [N, H, W]
    is_here = jnp.eye(num_cells, dtype=bool).reshape(num_cells, height, width)  # [P, H, W]
    faces = in_front(is_here)  # [P, H, W, 4]
    movable = is_movable[:, None, None]
    # Cells without an object once n is taken away, and then with n in cell p.
    is_clear = ~(objects.any(axis=0) & ~(objects & movable))  # [N, H, W]
    is_clear_but_p = is_clear[:, None] & ~(is_here & movable[:, None])  # [N, P, H, W]
    lying_walkable = walkable_terrain(task, task.door_state) & is_clear_but_p
    held_walkable = walkable_terrain(task, task.door_state) & is_clear
    can_put = (storable_terrain(task) & is_clear & movable).reshape(-1, num_cells)  # [N, P]
    targets = (objects & is_target[:, None, None]).any(axis=0)
    finish = jnp.where(in_front(targets), 1, FAR).astype(jnp.uint16)

    def costs_after(lying: jax.Array, held: jax.Array) -> tuple[jax.Array, jax.Array]:
        """What remains after each action, by action code: [4, N, P, H, W, 4] lying, [5, N, H, W, 4] held."""
        take = jnp.where(faces & movable[:, None, :, :, None], held[:, None], FAR).astype(jnp.uint16)
        take = jnp.minimum(take, finish - 1)
        put = jnp.where(faces & can_put[:, :, None, None, None], lying, FAR).min(axis=1).astype(jnp.uint16)
        no_take = jnp.full_like(put, FAR)
        return (
            jnp.concatenate([costs_after_moves(lying, lying_walkable), take[None]]),
            jnp.concatenate([costs_after_moves(held, held_walkable), no_take[None], put[None]]),
        )

    def improve(carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        lying, held, _ = carry
        lying_after, held_after = costs_after(lying, held)
        better_lying = jnp.minimum(lying, lying_after.min(axis=0) + 1)
        better_held = jnp.minimum(held, held_after.min(axis=0) + 1)
        return better_lying, better_held, (better_lying != lying).any() | (better_held != held).any()

    num_objects = row.shape[0]
    lying = jnp.full((num_objects, num_cells, height, width, 4), FAR, jnp.uint16)
    held = jnp.full((num_objects, height, width, 4), FAR, jnp.uint16)
    lying, held, _ = jax.lax.while_loop(lambda carry: carry[2], improve, (lying, held, jnp.asarray(True)))
    lying_after, held_after = costs_after(lying, held)
    return Plan(
        lying_costs=lying,
        lying_actions=lying_after.argmin(axis=0).astype(jnp.uint8),
        held_costs=held,
        held_actions=held_after.argmin(axis=0).astype(jnp.uint8),
        is_target=is_target,
    )
