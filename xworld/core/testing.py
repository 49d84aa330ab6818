"""`check_env`: does an environment keep its promises on a task of yours? Call it in your own tests."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.errors import ConfigError
from xworld.core import kinds
from xworld.core.config import RELATIONS, EnvConfig
from xworld.core.env import Env
from xworld.core.step.goals import num_goals
from xworld.core.types import MAX_HIDDEN_KINDS, NOWHERE, NUM_RELATIONS, RANDOM_FACING, State, Task, TimeStep

_STEPS_AFTER_THE_END = 3
_NOOP = 6

Array = jax.Array | np.ndarray  # what was fetched from the device is numpy, though it is annotated as JAX's


class CheckError(AssertionError):
    """An environment did something that its contract rules out."""


def check_env(env: Env, task: Task, *, key: jax.Array | None = None, num_steps: int | None = None) -> None:
    """Plays `task` with random actions and checks the promises that can be checked from outside.

    Shapes and types; that steps and trials are counted right and trials start as the task says; that nothing stands
    where it may not; that objects come and go by rules only; rewards, discounts, observations and goals. Goals, rules
    and pushing are not worked out again: whether a goal holds that pays, or the right rule fires, is not checked.

    Args:
      env: the environment.
      task: one task, not a batch.
      key: decides directions and actions; key 0 if none is given.
      num_steps: how many steps to take; if none is given, a whole episode and three steps more.

    Raises:
      ConfigError: the task does not fit the environment.
      CheckError: the environment breaks its contract; says how, and after which step.
    """
    check_task(env.config, task)
    key = jax.random.key(0) if key is None else key
    _check_types(env, key, task)
    if num_steps is None:
        num_steps = int(task.trial_length) * int(task.num_trials) + _STEPS_AFTER_THE_END
    states, timesteps = jax.device_get(_play(env, key, task, num_steps))
    task = jax.device_get(task)
    _check_times(task, states, timesteps)
    _check_rewards(task, states, timesteps)
    _check_places(task, states)
    _check_changes(task, states, timesteps)
    _check_observations(env.config, task, states, timesteps)


def check_task(config: EnvConfig, task: Task) -> None:
    """Checks that a task fits a configuration and starts in an order that the rules of the world allow.

    Raises:
      ConfigError: it does not; says what is wrong and what to do.
    """
    for name, leaf in _leaves(task).items():
        shape, dtype = _task_leaves(config)[name]
        if np.shape(leaf) != shape or leaf.dtype != dtype:
            raise ConfigError(
                f"task.{name} is {leaf.dtype}{list(np.shape(leaf))} where {np.dtype(dtype)}{list(shape)} is needed. "
                "Build the task with the configuration of this environment."
            )
    task = jax.device_get(task)
    for name in ("trial_length", "num_trials"):
        if getattr(task, name) < 1:
            raise ConfigError(f"task.{name} is {getattr(task, name)}; write at least 1.")
    for name, codes in (("rules", task.rules.relation), ("goals", task.goals.relation)):
        for code in np.unique(codes[codes != 0]).tolist():
            if code > len(RELATIONS) or RELATIONS[code - 1] not in config.relations:
                raise ConfigError(
                    f"task.{name} has relation {code}, but EnvConfig.relations has only {', '.join(config.relations)}."
                )
    _check_codes(task)
    _check_start(task)


def _check_codes(task: Task) -> None:
    """Raises a ConfigError unless terrain, kinds, directions and states at the start are codes that there are."""
    kind, colour = task.terrain >> 4, task.terrain & 15
    num_colours = np.where((kind == kinds.FLOOR) | (kind == kinds.DOOR), len(kinds.COLOURS), 1)
    objects = [code == kinds.NOTHING or kinds.is_object_kind(code) for code in task.object_kind.tolist()]
    known = {
        "terrain": (kind < len(kinds.TERRAIN_TYPES)) & (colour < num_colours),
        "door_state": task.door_state <= kinds.LOCKED,
        "agent_facing": task.agent_facing <= RANDOM_FACING,
        "object_kind": np.array(objects, bool),
        "object_frozen": task.object_frozen <= 1,
    }
    for name, is_known in known.items():
        for code in getattr(task, name)[~np.asarray(is_known)].tolist():
            raise ConfigError(f"task.{name} has {code}, which is none of its codes; docs/contract.md lists them.")


def _check_start(task: Task) -> None:
    doors = task.door_position[task.door_position[:, 0] < NOWHERE].tolist()
    if sorted(doors) != np.argwhere(task.terrain >> 4 == kinds.DOOR).tolist():
        raise ConfigError(f"task.door_position is {doors}; list every door cell of task.terrain once, and no other.")
    if not task.is_present.any():
        raise ConfigError("The task has no agent; place at least one.")
    if ((task.object_kind == 0) != (task.object_position[:, 0] >= NOWHERE)).any():
        raise ConfigError("task.object_kind has to be 0 in the slots whose object_position is NOWHERE, and only there.")
    if task.object_frozen[task.object_kind == 0].any():
        raise ConfigError("task.object_frozen has to be 0 in empty slots; what is produced into them is not frozen.")
    agents = [(f"agent {i}", cell, (kinds.FLOOR, kinds.DOOR)) for i, cell in enumerate(task.agent_position.tolist())]
    objects = [
        (f"object {i}", cell, (kinds.FLOOR, kinds.COUNTER)) for i, cell in enumerate(task.object_position.tolist())
    ]
    shut = task.door_position[task.door_state != kinds.OPEN].tolist()
    for name, (row, column), _ in agents:
        if row < NOWHERE and [row, column] in shut:
            raise ConfigError(f"The task places {name} in a shut door, at row {row}, column {column}; open the door.")
    taken: dict[tuple[int, int], str] = {}
    for name, (row, column), types in agents + objects:
        if row >= NOWHERE:
            continue
        if (
            row >= task.terrain.shape[0]
            or column >= task.terrain.shape[1]
            or task.terrain[row, column] >> 4 not in types
        ):
            allowed = " or ".join(kinds.TERRAIN_TYPES[type_] for type_ in types)
            raise ConfigError(f"The task places {name} at row {row}, column {column}; put it on {allowed}.")
        if (row, column) in taken:
            raise ConfigError(f"The task places {name} where {taken[row, column]} is, at row {row}, column {column}.")
        taken[row, column] = name


def _check_types(env: Env, key: jax.Array, task: Task) -> None:
    """Raises CheckError unless reset and step hand out what `TimeStep` says, and states of one type."""
    state, first = jax.eval_shape(env.reset, key, task)
    actions = jax.ShapeDtypeStruct((env.config.num_agents,), jnp.int32)
    next_state, later = jax.eval_shape(env.step, state, actions)
    next_leaves = _leaves(next_state)
    if _leaves(state).keys() != next_leaves.keys():
        raise CheckError("step returns a state of another structure than reset.")
    for name, leaf in _leaves(state).items():
        if (leaf.shape, leaf.dtype) != (next_leaves[name].shape, next_leaves[name].dtype):
            raise CheckError(f"state.{name} is {leaf} after reset but {next_leaves[name]} after step.")
    for function, timestep in (("reset", first), ("step", later)):
        leaves = _leaves(timestep)
        for name, (shape, dtype) in _timestep_leaves(env.config).items():
            if name not in leaves or (leaves[name].shape, leaves[name].dtype) != (shape, dtype):
                promised = f"{np.dtype(dtype)}{list(shape)}"
                raise CheckError(f"timestep.{name} of {function} is {leaves.get(name)}, not {promised}.")


def _task_leaves(config: EnvConfig) -> dict[str, tuple[tuple[int, ...], type]]:
    """Shape and type of every array of a task."""
    agents, objects, rules, doors = config.num_agents, config.max_objects, config.max_rules, config.max_doors
    several = (config.max_goals,) if config.max_goals > 1 else ()
    literals = (*several, agents, config.goal_clauses, config.goal_literals)
    return {
        "terrain": ((config.height, config.width), np.uint8),
        "door_position": ((doors, 2), np.uint8),
        "door_state": ((doors,), np.uint8),
        "agent_position": ((agents, 2), np.uint8),
        "agent_facing": ((agents,), np.uint8),
        "object_kind": ((objects,), np.uint8),
        "object_position": ((objects, 2), np.uint8),
        "object_frozen": ((objects,), np.uint8),
        **{f"goals.{name}": (literals, np.uint8) for name in ("relation", "directions", "first", "second", "negated")},
        **{f"rules.{name}": ((rules,), np.uint8) for name in ("relation", "directions", "first", "second")},
        "rules.products": ((rules, 3), np.uint8),
        "hidden.rules": ((agents, rules), np.bool_),
        "hidden.kinds": ((agents, MAX_HIDDEN_KINDS), np.uint8),
        "hidden.relations": ((agents, NUM_RELATIONS), np.uint8),
        "trial_length": ((), np.uint16),
        "num_trials": ((), np.uint16),
        "world_id": ((), np.int32),
        "game_id": ((), np.int32),
    }


def _timestep_leaves(config: EnvConfig) -> dict[str, tuple[tuple[int, ...], type]]:
    """Shape and type of every array of a timestep."""
    agents, size = config.num_agents, config.view_size
    goal = (agents, config.goal_clauses, config.goal_literals, 5)
    told = {"observation.goal": (goal, np.uint8)} if config.max_goals > 1 else {}
    return {
        "observation.view": ((agents, size, size, 3), np.uint8),
        **{f"observation.{name}": ((agents,), np.uint8) for name in ("held", "direction", "last_action")},
        "observation.last_reward": ((agents,), np.float32),
        **{f"observation.{name}": ((), np.int32) for name in ("trial", "trials_left", "time_left", "trial_length")},
        "reward": ((agents,), np.float32),
        "discount": ((), np.float32),
        **{name: ((), np.bool_) for name in ("is_first", "is_trial_first", "is_last")},
        "event": ((), np.int32),
        **told,
    }


@functools.partial(jax.jit, static_argnums=(0, 3))
def _play(env: Env, key: jax.Array, task: Task, num_steps: int) -> tuple[State, TimeStep]:
    """The states and timesteps of the first steps of an episode with random actions, [num_steps + 1, ...]."""
    reset_key, action_key = jax.random.split(key)
    first = env.reset(reset_key, task)
    actions = jax.random.randint(action_key, (num_steps, env.config.num_agents), -1, env.num_actions + 1, jnp.int32)

    def step(state: State, actions: jax.Array) -> tuple[State, tuple[State, TimeStep]]:
        state, timestep = env.step(state, actions)
        return state, (state, timestep)

    later = jax.lax.scan(step, first[0], actions)[1]
    return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, later)


def _check_times(task: Task, states: State, timesteps: TimeStep) -> None:
    """Steps, trials and the end of the episode are counted right."""
    length, num_trials = int(task.trial_length), int(task.num_trials)
    step = np.arange(len(timesteps.reward))
    is_over = step >= length * num_trials
    trial = np.minimum(step // length, num_trials - 1)
    time = np.where(is_over, length, step - trial * length)
    observation = timesteps.observation
    _require(timesteps.is_first == (step == 0), "is_first is true at reset and never else")
    _require(timesteps.is_last == is_over, "is_last is true from the end of the last trial on")
    _require(timesteps.is_trial_first == ((time == 0) & ~is_over), "is_trial_first is true when a trial starts")
    _require(timesteps.discount == np.where(is_over, 0, 1), "discount is 1, and 0 when the episode is over")
    _require((states.trial == trial) & (observation.trial == trial), "trial counts the trials that are over")
    _require(states.time == time, "time counts the steps taken in the trial")
    _require(observation.trials_left == num_trials - trial - 1, "trials_left counts the trials to come")
    _require(observation.time_left == length - time, "time_left counts the steps to come in the trial")
    _require(observation.trial_length == length, "trial_length is the task's")


def _check_rewards(task: Task, states: State, timesteps: TimeStep) -> None:
    reward, is_absent = timesteps.reward, ~task.is_present
    was_over = np.concatenate([[False], timesteps.is_last[:-1]])
    _require((reward == 0) | (reward == 1), "a reward is 0 or 1")
    _require(reward[:, is_absent] == 0, "an absent agent has reward 0")
    _require((reward == 0) | ~was_over[:, None], "no reward is paid after the end")
    _require(timesteps.observation.last_reward[~was_over] == reward[~was_over], "last_reward is the step's reward")
    _require((timesteps.event == 0) | ~was_over, "no rule fires after the end")
    is_rule = np.concatenate([[True], task.rules.relation != 0])
    is_known = (timesteps.event >= 0) & (timesteps.event < len(is_rule))
    _require(is_known, "event is 0 or the number of a rule")
    _require(is_rule[timesteps.event], "a rule that fires is not padding")


def _check_places(task: Task, states: State) -> None:
    """Everything is where it may be, and nothing shares a cell."""
    terrain = task.terrain >> 4
    doors = task.door_position[:, 0] < NOWHERE
    rows, columns = task.door_position[doors].T
    is_walkable = np.broadcast_to(terrain == kinds.FLOOR, (len(states.time), *terrain.shape)).copy()
    is_walkable[:, rows, columns] = states.door_state[:, doors] == kinds.OPEN
    can_hold = np.broadcast_to((terrain == kinds.FLOOR) | (terrain == kinds.COUNTER), is_walkable.shape)
    agents, objects = np.asarray(states.agent_position), np.asarray(states.object_position)
    _require(_lookup(is_walkable, agents), "agents stand only where they can walk")
    _require(_lookup(can_hold, objects), "objects lie only where they can")
    _require((agents[:, :, 0] < 0) == (agents[:1, :, 0] < 0), "agents neither come nor go")

    cells = np.concatenate([agents, objects], axis=1)
    is_somewhere = cells[:, :, 0] >= 0
    nowhere = -1 - np.arange(cells.shape[1])  # differs from thing to thing
    codes = np.sort(np.where(is_somewhere, cells[:, :, 0] * terrain.shape[1] + cells[:, :, 1], nowhere), axis=1)
    _require(codes[:, 1:] != codes[:, :-1], "two things are never in one cell")

    held = np.asarray(states.agent_held)
    num_holders = (held[:, :, None] == np.arange(objects.shape[1])).sum(axis=1)
    is_object = states.object_kind != 0
    _require((objects[:, :, 0] >= 0) + num_holders == is_object, "an object is in one cell or one hand")


def _check_changes(task: Task, states: State, timesteps: TimeStep) -> None:
    """Objects change by rules only, frozen ones keep their place, and trials start as the task says."""
    starts = timesteps.is_trial_first
    kind, new_kind = states.object_kind[:-1], states.object_kind[1:]
    inside, event = ~starts[1:], timesteps.event[1:]
    products = np.concatenate([np.zeros((1, 3), np.uint8), task.rules.products])[event]
    is_product = (new_kind[:, :, None] == products[:, None, :]).any(-1) | (new_kind == 0)
    may_change = (event > 0)[:, None] & is_product
    _require((kind == new_kind) | may_change | ~inside[:, None], "objects come, go and change by rules only", after=1)
    stays = (kind != 0) & (new_kind != 0) & inside[:, None]
    frozen, new_frozen = states.object_frozen[:-1], states.object_frozen[1:]
    _require((frozen == new_frozen) | ~stays, "an object stays frozen or loose", after=1)
    place = np.asarray(states.object_position)
    has_moved = (place[:-1] != place[1:]).any(-1)
    _require(~has_moved | ~stays | (frozen == 0), "frozen objects stay where they are", after=1)

    first = np.asarray(states.object_kind)[starts]
    _require(first == task.object_kind, "trials start with the task's objects", starts)
    positions = {
        "object": (states.object_position, task.object_position),
        "agent": (states.agent_position, task.agent_position),
    }
    for name, (position, placed) in positions.items():
        wanted = np.where(placed < NOWHERE, placed.astype(int), -1)
        _require(np.asarray(position)[starts] == wanted, f"trials start with every {name} in its place", starts)
    _require(states.door_state[starts] == task.door_state, "trials start with doors as they were", starts)
    facing = np.where(task.agent_facing == RANDOM_FACING, states.agent_direction[starts], task.agent_facing)
    _require(states.agent_direction[starts] == facing, "agents face the way that the task fixes", starts)


def _check_observations(config: EnvConfig, task: Task, states: State, timesteps: TimeStep) -> None:
    observation, size = timesteps.observation, config.view_size
    is_absent = ~task.is_present
    _require(observation.view[:, is_absent] == 0, "an absent agent sees nothing")
    _require(observation.direction == states.agent_direction, "direction is the agent's")
    held = np.asarray(states.agent_held)
    in_hand = np.where(held >= 0, np.take_along_axis(np.asarray(states.object_kind), np.maximum(held, 0), axis=1), 0)
    _require(observation.held == in_hand, "held is the kind in the agent's hand")
    below = observation.view[:, ~is_absent, size - 1, size // 2]
    rows, columns = np.moveaxis(np.asarray(states.agent_position)[:, ~is_absent], -1, 0)
    _require(below[..., 0] == task.terrain[rows, columns], "an agent sees what it stands on")
    _require(below[..., 1:] == 0, "an agent does not see itself")
    _require(observation.last_action <= _NOOP, "last_action is one of the actions")
    _require(observation.last_action[:1] == _NOOP, "last_action is noop at reset")
    if observation.goal is not None:
        _check_goals(task, states, np.asarray(observation.goal))


def _check_goals(task: Task, states: State, goal: np.ndarray) -> None:
    """[T, A, C, L, 5] `goal` is one of the task's, and the same through a trial."""
    fields = [task.goals.relation, task.goals.directions, task.goals.first, task.goals.second, task.goals.negated]
    known = np.stack(fields, axis=-1)[: int(num_goals(task))]  # [G, A, C, L, 5]
    is_known = (goal[:, None] == known).all(axis=(2, 3, 4, 5)).any(axis=1)
    _require(is_known, "a trial's goal is one of the task's")
    goes_on = states.trial[1:] == states.trial[:-1]
    stays = (goal[1:] == goal[:-1]).all(axis=(1, 2, 3, 4))
    _require(stays | ~goes_on, "a trial keeps its goal", after=1)


def _require(holds: Array, promise: str, where: Array | None = None, after: int = 0) -> None:
    """Raises CheckError unless `holds` is all true.

    Args:
      holds: [T, ...]; its first axis are steps.
      promise: what should be true.
      where: [T'] bool, which T steps of all these are; all if none is given.
      after: the first step.
    """
    broken = np.flatnonzero(~np.asarray(holds).reshape(len(holds), -1).all(axis=1))
    if broken.size:
        step = broken[0] + after if where is None else np.flatnonzero(where)[broken[0]]
        raise CheckError(f"After step {step} it is not true that {promise}.")


def _lookup(grid: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """[T, X] bool: what [T, H, W] `grid` says of [T, X, 2] cells; true for things that are in none."""
    height, width = grid.shape[1:]
    rows, columns = cells[:, :, 0], cells[:, :, 1]
    is_inside = (rows < height) & (columns < width)
    at = np.arange(len(grid))[:, None], np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    return (rows < 0) | (is_inside & grid[at])


def _leaves(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by name, as in "rules.relation"."""
    return {jax.tree_util.keystr(path).lstrip("."): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
