"""Episodes that are made only where the ones before are over."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xworld.adapters.episodes import _AT_ONCE, start_where

SIZE = 20  # more than are made at once
KEYS = jax.random.split(jax.random.key(0), SIZE)
ENDED = {"number": -1 - jnp.arange(SIZE), "row": -jnp.ones((SIZE, 2))}
GIVEN = {"least": jnp.arange(SIZE), "row": jnp.arange(2 * SIZE).reshape(SIZE, 2) / 2}
OVER = {"none": [], "one": [13], "some": [2, 3, 19], "most": [*range(1, 19)], "all": [*range(SIZE)]}


def make(key, given):
    return {"number": given["least"] + jax.random.randint(key, (), 0, 1000), "row": given["row"] * 3}


start = start_where(make)


def plainly(is_over, key, given, ended):
    return jax.tree.map(lambda new, old: jnp.where(is_over, new, old), make(key, given), ended)


def pick(tree, at):
    return jax.tree.map(lambda leaf: leaf[at], tree)


@pytest.mark.parametrize("flags", [(0, 0, 0, 0), (0, 0, None, 0), (0, 0, {"least": 0, "row": None}, None)])
def test_a_batch_is_what_each_would_be(flags):
    """Whatever is the same for all of them is given once."""
    assert SIZE > _AT_ONCE and SIZE % _AT_ONCE
    given = {name: leaf if _of(flags[2], name) == 0 else leaf[4] for name, leaf in GIVEN.items()}
    ended = ENDED if flags[3] == 0 else pick(ENDED, 4)
    together, expected = (jax.jit(jax.vmap(one, in_axes=flags)) for one in (start, plainly))
    for places in OVER.values():
        is_over = np.isin(np.arange(SIZE), places)
        arguments = is_over, KEYS, given, ended
        jax.tree.map(np.testing.assert_array_equal, together(*arguments), expected(*arguments))


def _of(flag, name):
    return flag[name] if isinstance(flag, dict) else flag


def test_one_is_made_or_stays():
    single = jax.jit(start)
    for is_over in (True, False):
        arguments = is_over, KEYS[3], pick(GIVEN, 3), pick(ENDED, 3)
        jax.tree.map(np.testing.assert_array_equal, single(*arguments), plainly(*arguments))
