"""Who demonstrates: the demonstrator of a prompted agent by its name, and the tasks that it shows."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from xworld.agents.expert.policy import task_hash
from xworld.agents.players import Player, check_same_physics, make_player, player_by_name
from xworld.agents.policy import AgentPolicy, Policy
from xworld.agents.prompted import PromptedElsewherePolicy, PromptedPolicy, RecordedPolicy
from xworld.base.errors import ConfigError
from xworld.core.env import Env
from xworld.core.types import Task
from xworld.histories import SUFFIX, History, read_history, start_episode
from xworld.tasks import TaskCollection

PROMPTED = "prompted"  # the player's name


def prompt(
    player: Player, collection: TaskCollection, name: str, *, of_another_task: bool = False, show_progress: bool = False
) -> tuple[Player, TaskCollection]:
    """The player whose first trial somebody else plays, and the tasks; other than before only with a history.

    With a history of the one task, every trial begins with the agents facing as the history's first trial did, so that
    its actions do what they did.

    Args:
      player: a trained agent.
      collection: the tasks that are played.
      name: of the demonstrator, as of any player; or a file with a history of the task.
      of_another_task: whether each task's demonstration is of the task after it: the control.
      show_progress: whether to draw a progress bar while an expert plans.

    Raises:
      ConfigError: the player is no trained agent, there is no such demonstrator, or it cannot show these tasks.
    """
    agent = player.policy
    if not isinstance(agent, AgentPolicy):
        raise ConfigError(f"Only a trained agent can be shown something, not {player.name}. Name a run by --agent.")
    if name.endswith(SUFFIX):
        if of_another_task:
            raise ConfigError(f"{name} is a history of one task: it shows no other. Name a player as demonstrator.")
        policy, collection = _recorded(Path(name), collection)
        demonstrator = make_player(Path(name).name, policy)
        return _prompted(player, PromptedPolicy(agent, policy), demonstrator, "same"), collection
    env, tasks = collection.env, collection.tasks
    if not of_another_task:
        demonstrator = player_by_name(name, env, tasks, show_progress=show_progress)
        return _prompted(player, PromptedPolicy(agent, demonstrator.policy), demonstrator, "same"), collection
    others = next_tasks(tasks)
    demonstrator = player_by_name(name, env, others, show_progress=show_progress)
    hashes = jax.jit(jax.vmap(task_hash))(tasks)
    elsewhere = PromptedElsewherePolicy(agent, demonstrator.policy, hashes, jax.tree.map(jnp.asarray, others), env)
    return _prompted(player, elsewhere, demonstrator, "next"), collection


def next_tasks(tasks: Task) -> Task:
    """For each of stacked tasks the one after it, of the last the first, with trials as long as its own.

    Raises:
      ConfigError: there is one task only.
    """
    if len(tasks.trial_length) < 2:
        raise ConfigError("There is one task only, so that none can be shown in its place. Play a set of tasks.")
    others = jax.tree.map(lambda leaf: np.roll(np.asarray(leaf), -1, axis=0), tasks)
    return dataclasses.replace(others, trial_length=np.asarray(tasks.trial_length))


def _prompted(player: Player, policy: Policy, demonstrator: Player, task: str) -> Player:
    return Player(PROMPTED, policy, {**player.about, "demonstrator": demonstrator.about, "demonstrated_task": task})


def _recorded(path: Path, collection: TaskCollection) -> tuple[RecordedPolicy, TaskCollection]:
    """The first trial of a history as a policy, and its task, in which all trials begin as that one did."""
    history = read_history(path)
    check_same_physics(history.header.config, collection.env.config)
    _check_task(path, history, collection.tasks)
    length = int(history.header.task.trial_length)
    if len(history.steps) < length:
        raise ConfigError(
            f"{path} ends after {len(history.steps)} of the {length} steps of its first trial. Record the whole trial."
        )
    state, _ = start_episode(Env(history.header.config), history.header.seed, history.header.task)
    facing = np.asarray(state.agent_direction)[None]
    tasks = dataclasses.replace(collection.tasks, agent_facing=jnp.asarray(facing, jnp.uint8))
    changed = dataclasses.replace(collection, tasks=tasks)
    return RecordedPolicy(jnp.asarray(history.actions[:length])), changed


def _check_task(path: Path, history: History, tasks: Task) -> None:
    """Raises ConfigError unless there is one task, the history's, with one goal."""
    if len(tasks.trial_length) != 1:
        raise ConfigError(
            f"{path} is a history of one task, and there are {len(tasks.trial_length)}. Name its task by --task-set."
        )
    task = jax.tree.map(lambda leaf: leaf[0], tasks)
    if int(task_hash(task)) != int(task_hash(history.header.task)):
        raise ConfigError(f"{path} is a history of another task. Name its task by --task-set.")
    if task.has_several_goals:
        raise ConfigError(f"The task of {path} has several goals, of which a trial has one: what it shows may not do.")
