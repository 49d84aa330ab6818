"""Exhaustive search over the simulator's own steps: whether a task can be done better than claimed."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from xworld import Env, State, Task
from xworld.core.step.actions import NUM_ACTIONS

BATCH = 512  # states that are tried at once
MOST = 400_000  # states of one search


class TooLarge(Exception):
    """There are more states than can be looked at."""


def can_earn_more(env: Env, task: Task, return_: int) -> bool:
    """Whether any actions of one agent earn more than `return_` in a trial of a task that fixes the direction.

    All states that can be reached are visited, layer by layer in time, but for those from which even a reward on every
    step that is left would not be enough.
    """
    state = start(env, task)
    leaves, tree = jax.tree.flatten(state.scene)
    shapes = [leaf.shape for leaf in leaves]
    assert all(leaf.dtype == np.uint8 for leaf in leaves)
    rows = np.concatenate([np.asarray(leaf).reshape(-1) for leaf in leaves])[None]
    earned, length, num_states = np.zeros(1, int), int(task.trial_length), 0
    for time in range(length):
        following, gains = [], []
        for first in range(0, len(rows), BATCH):
            part = rows[first : first + BATCH]
            padded = np.resize(part, (BATCH, part.shape[1]))
            after, rewards = try_all_actions(env, tuple(shapes), tree, state, padded)
            following.append(np.asarray(after)[: len(part)].reshape(-1, part.shape[1]))
            gains.append(
                (earned[first : first + BATCH, None] + np.asarray(rewards)[: len(part)].astype(int)).reshape(-1)
            )
        rows, earned = np.concatenate(following), np.concatenate(gains)
        if (earned > return_).any():
            return True
        is_hopeful = earned + length - time - 1 > return_
        rows, earned = rows[is_hopeful], earned[is_hopeful]
        # Of equal states the one that earned most is enough.
        order = np.argsort(-earned, kind="stable")
        rows, earned = rows[order], earned[order]
        rows, index = np.unique(rows, axis=0, return_index=True)
        earned = earned[index]
        num_states += len(rows)
        if num_states > MOST:
            raise TooLarge
        if not len(rows):
            return False
    return False


@partial(jax.jit, static_argnums=0)
def start(env: Env, task: Task) -> State:
    return env.reset_from_seed(jnp.uint32(0), task)[0]


@partial(jax.jit, static_argnums=(0, 1, 2))
def try_all_actions(env: Env, shapes, tree, state: State, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """[F, 7, bytes] scenes and [F, 7] rewards of agent 0 after every action from each of F scenes."""
    sizes = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]

    def take(row: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
        parts = [part.reshape(shape) for part, shape in zip(jnp.split(row, sizes), shapes, strict=True)]
        scene = jax.tree.unflatten(tree, parts)
        # Never the last step of the trial, after which things would be put back.
        task = dataclasses.replace(state.task, trial_length=jnp.uint16(60_000))
        after, timestep = env.step(dataclasses.replace(state, scene=scene, task=task), action[None])
        return jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(after.scene)]), timestep.reward[0]

    return jax.vmap(lambda row: jax.vmap(partial(take, row))(jnp.arange(NUM_ACTIONS)))(rows)
