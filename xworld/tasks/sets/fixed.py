"""Test sets: tasks to compare agents on, fixed for ever by a version, and held out from every training pool.

A version is a universe (a preset with the test split) and a number of tasks; task i is that of world id i and game
id i. Tests pin the hash of its content.
"""

from dataclasses import dataclass
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.errors import ConfigError, did_you_mean
from xworld.tasks.sets.named import PRESETS
from xworld.tasks.sets.task_set import TaskSet
from xworld.tasks.universe.universe import TaskInfo, Universe


@dataclass(frozen=True)
class Version:
    """What a test set is."""

    universe: Universe  # of the test split
    num_tasks: int


VERSIONS: dict[str, Version] = {
    "v2": Version(PRESETS["ada"].with_split("test"), 1000),
    "s1": Version(PRESETS["s"].with_split("test"), 500),
}


def test_set(version: str) -> TaskSet:
    """The tasks of a test set; they are made for `test_set_universe(version).env_config`.

    Raises:
      ConfigError: an unknown version.
    """
    return test_set_with_info(version)[0]


def test_set_with_info(version: str) -> tuple[TaskSet, TaskInfo]:
    """The tasks of a test set, and what is known about them, stacked alike.

    Raises:
      ConfigError: an unknown version.
    """
    return _make(_find(version))


def test_set_universe(version: str) -> Universe:
    """The universe whose tasks these are. Training on its training split, `with_split("train")`, is fair.

    Raises:
      ConfigError: an unknown version.
    """
    return _find(version).universe


@cache
def _make(version: Version) -> tuple[TaskSet, TaskInfo]:
    ids = np.arange(version.num_tasks)
    tasks, info = jax.tree.map(jnp.asarray, version.universe.stacked(ids, ids))
    return TaskSet(tasks), info


def _find(version: str) -> Version:
    if version not in VERSIONS:
        raise ConfigError(f"There is no test set {version!r}. {did_you_mean(version, VERSIONS)}")
    return VERSIONS[version]
