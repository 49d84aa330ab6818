"""Tasks that come with the package are those of its universes."""

import jax
import numpy as np
import pytest

import xworld
from xworld.tasks import starters
from xworld.tasks.sets.starters.starters import NUM_TASKS, generate

NAMES = xworld.environment_names()


@pytest.mark.parametrize("name", NAMES)
def test_every_environment_has_some(name):
    tasks = starters(name)  # of this environment's configuration, and as they were written, or it would refuse
    assert len(tasks) == NUM_TASKS
    np.testing.assert_array_equal(tasks.tasks.world_id, np.arange(NUM_TASKS))
    np.testing.assert_array_equal(tasks.tasks.game_id, np.arange(NUM_TASKS))


def test_they_are_what_the_universe_makes():
    jax.tree.map(np.testing.assert_array_equal, generate("trivial").tasks, starters("trivial").tasks)


def test_they_have_a_name_in_every_command():
    collection = xworld.tasks.tasks_by_name("trivial:starters").collect()
    jax.tree.map(np.testing.assert_array_equal, collection.tasks, starters("trivial").tasks)
    assert collection.task_names[3] == "trivial:train:3:3"
    assert collection.env == xworld.make("trivial")
    with pytest.raises(xworld.ConfigError, match="No tasks of 'trivia' come with the package"):
        xworld.tasks.tasks_by_name("trivia:starters")


def test_unknown_names_are_refused():
    with pytest.raises(xworld.ConfigError, match="No tasks of 'trivia' come with the package. Did you mean 'trivial'?"):
        starters("trivia")
