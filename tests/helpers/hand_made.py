"""Hand-made tasks and episodes, of which curricula are told."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from tiny_rooms import SANITY_TASKS

from xworld.core.types import Observation
from xworld.training import Sizes
from xworld.training.curriculum.archive import Archive
from xworld.training.rollouts.episodes import Episodes
from xworld.training.rollouts.rollout import Steps

SIZES = Sizes(num_envs=4, num_groups=1, rollout_length=8, trial_length=(4, 4), num_trials=(1, 3))
TWO_ENVS = dataclasses.replace(SIZES, num_envs=2)
CLOCK = jnp.int32


def task_set(num_tasks):
    """Tasks with the ids 0, 1, ..., and 1 to 3 trials in turn."""
    tasks = jax.vmap(SANITY_TASKS.sample)(jax.random.split(jax.random.key(0), num_tasks))
    index = jnp.arange(num_tasks, dtype=jnp.int32)
    trials = (index % 3 + 1).astype(jnp.uint16)
    return dataclasses.replace(tasks, game_id=index, world_id=0 * index, num_trials=trials)


TASKS = task_set(12)
HOST_TASKS = jax.device_get(TASKS)


# Compiled as a whole: one after the other, operations take longer to compile.
insert, follow = jax.jit(Archive.insert), jax.jit(Archive.follow)
update = jax.jit(lambda rule, seen: rule.update(None, seen))
judge = jax.jit(lambda rule, tried: rule.judge(None, tried))
sample = jax.jit(lambda rule, keys: jax.vmap(rule.sample)(keys))


def pick(index):
    return jax.tree.map(lambda leaf: leaf[np.asarray(index)], HOST_TASKS)


def episodes(index, returns=0.0, errors=0.0, finished=1, moved_on=True):
    """Episodes of tasks [B, 2] by their ids."""
    index = np.asarray(index)

    def fill(value, dtype):
        return np.broadcast_to(np.asarray(value, dtype), index.shape)

    errors = fill(errors, np.float32)
    return Episodes(
        task=pick(index),
        has_moved_on=np.broadcast_to(np.asarray(moved_on, bool), len(index)),
        num_finished=fill(finished, np.int32),
        return_=fill(returns, np.float32),
        error=errors,
        episode_error=errors,
    )


def steps_of(time_left, trial, reward, is_next, ids, discount, length=3, weight=1.0):
    """Steps of one agent, from [T, B] of each; the weight may be one for all."""
    shape = np.shape(time_left)
    view = jnp.ones((*shape, 1, 1, 1, 3), jnp.uint8)
    nothing = jnp.zeros((*shape, 1), jnp.uint8)
    number = jnp.asarray(trial, jnp.int32)
    observation = Observation(
        view=view, held=nothing, direction=nothing, last_action=nothing, last_reward=nothing.astype(jnp.float32),
        trial=number, trials_left=1 - number, time_left=jnp.asarray(time_left, jnp.int32),
        trial_length=jnp.full(shape, length, jnp.int32),
    )  # fmt: skip
    value = jnp.zeros((*shape, 1))
    ids = jnp.asarray(ids, jnp.int32)
    return Steps(
        weight=jnp.broadcast_to(jnp.asarray(weight, jnp.float32), shape)[..., None],
        task_id=jnp.stack([0 * ids, ids], -1), observation=observation,
        is_reset=jnp.zeros(shape, bool), is_next_task=jnp.asarray(is_next, bool), action=value.astype(jnp.int32),
        log_probability=value, value=value, reward=jnp.asarray(reward, jnp.float32)[..., None],
        discount=jnp.asarray(discount, jnp.float32),
    )  # fmt: skip


def held(archive):
    """Ids and scores of the tasks that an archive holds."""
    is_filled = np.asarray(archive.is_filled)
    return dict(zip(archive.tasks.game_id[is_filled].tolist(), archive.score[is_filled].tolist(), strict=True))
