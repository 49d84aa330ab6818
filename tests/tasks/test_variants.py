"""What is read off a task is what its generator knows."""

import jax
import numpy as np
import pytest

from xworld.tasks import preset
from xworld.tasks.variants.anatomy import task_info


@pytest.mark.parametrize("name", ["s", pytest.param("ada-two-player", marks=pytest.mark.slow)])
def test_what_is_read_off_a_task_is_what_the_generator_knows(name):
    universe = preset(name)
    keys = jax.random.split(jax.random.key(3), 1000)
    tasks, known = jax.jit(jax.vmap(universe.sample_with_info))(keys)
    found = jax.jit(jax.vmap(task_info))(tasks)
    for field in type(known).__dataclass_fields__:
        np.testing.assert_array_equal(getattr(found, field), getattr(known, field), err_msg=field)
    assert (known.num_dead_ends > 0).any() and (known.num_firings > 1).any() and (known.num_hidden_rules > 0).any()
