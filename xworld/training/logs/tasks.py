"""What is trained on: means over the tasks of an update, which become columns of a run's files."""

import jax
import jax.numpy as jnp

from xworld.base.xla.devices import AXIS
from xworld.core.types import TaskSource
from xworld.tasks.variants.anatomy import task_info
from xworld.training.curriculum.curriculum import Telling
from xworld.training.learners.learner import Metrics
from xworld.training.rollouts.episodes import task_ids
from xworld.training.rollouts.rollout import Rollout

TASK_COLUMNS = tuple(
    f"task_{name}" for name in ("firings", "hidden_rules", "dead_ends", "objects", "trial_length", "trials", "age")
)


def task_metrics(rollout: Rollout, before: TaskSource, after: TaskSource) -> Metrics:
    """Means over all devices' tasks, each counting as much as the steps that are learned from it; and `metrics()`.

    NaN where nothing is learned from.

    Args:
      rollout: what was played.
      before: where its tasks came from, which still knows the age of those that `after` has thrown out.
      after: the same once it has seen the rollout.
    """
    steps = rollout.steps
    is_next, weight = steps.is_next_task, steps.weight.sum(-1)  # [T, B]
    weights = jnp.stack([jnp.where(is_next, 0, weight).sum(0), jnp.where(is_next, weight, 0).sum(0)])  # [2, B]
    played = jax.tree.map(lambda *leaves: jnp.stack(leaves), *rollout.context.tasks)
    info = jax.vmap(jax.vmap(task_info))(played)
    values = (
        info.num_firings,
        info.num_hidden_rules,
        info.num_dead_ends,
        info.num_objects,
        played.trial_length,
        played.num_trials,
        before.age(task_ids(played)) if isinstance(before, Telling) else jnp.zeros_like(weights),
    )
    total = jax.lax.psum(weights.sum(), AXIS)
    sums = jax.lax.psum([(weights * value).sum() for value in values], AXIS)
    means = [jnp.where(total > 0, value / jnp.maximum(total, 1), jnp.nan) for value in sums]
    told = after.metrics() if isinstance(after, Telling) else {}
    return dict(zip(TASK_COLUMNS, means, strict=True)) | {f"curriculum_{name}": told[name] for name in told}
