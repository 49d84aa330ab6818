"""What runs over lanes gives what `jax.vmap` gives, and short arrays are read and written as numpy does it."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import xworld
from xworld.base.xla import lanes
from xworld.base.xla.fusion import apart
from xworld.base.xla.lanes import over_lanes, vectorise
from xworld.base.xla.lookup import put, take

NUM_LANES = 16


def arithmetic(x, y):
    """Whatever turns, cuts and adds up arrays, with constants and scalars between."""
    table = jnp.stack([x, x[::-1] * 2, jnp.concatenate([x[1:], jnp.ones(1, x.dtype)])])
    turned = jnp.pad(table.T.reshape(2, -1), ((0, 0), (1, 0)), constant_values=7)
    sums = jnp.cumsum(turned, axis=1), jnp.cumsum(turned, axis=0, dtype=jnp.int32)
    return sums, turned.max(axis=(0, 1)), (table > y).any(axis=0), jnp.where(y > 3, table, x[0]), jnp.arange(3) + y


def reading(x, y):
    """Reads and writes at places that differ, and that do not."""
    return x[y % 5], x[jnp.array([3, 1])], x.at[y % 4].set(9), x[jnp.array([y % 4, 2])], jax.lax.clz(x), jnp.sort(x)


def loops(x, y):
    """Loops of as many rounds in every lane, and of different numbers of them."""
    total, halves = jax.lax.scan(lambda carry, row: (carry + row * y, carry // 2), y, x)
    counted = jax.lax.fori_loop(0, 3, lambda i, carry: carry.at[i].set(carry[i] + y), x)
    shifted = jax.lax.while_loop(lambda carry: carry[0] < y % 7, lambda carry: (carry[0] + 2, carry[1] >> 1), (0, x))
    return total, halves, counted, shifted, jax.lax.cond(y > 20, lambda: x + 1, lambda: x * 2)


def retries(x, y):
    """A loop of scalars, of which few lanes need many rounds."""
    limit = jnp.where(y % 9 == 0, y, 1)
    return jax.lax.while_loop(
        lambda carry: carry[0] < limit, lambda carry: (carry[0] + 1, carry[1] ^ (carry[0] + y)), (0, y)
    )


def retries_of_arrays(x, y):
    """The same, of an array beside a scalar."""
    return jax.lax.while_loop(
        lambda carry: carry[0] % 9 != 0, lambda carry: (carry[0] + 1, carry[1] + carry[0]), (y, jnp.zeros(3, int))
    )


def units(x, y):
    """Units in units."""
    inner = apart(lambda values: values * y + 1)
    return apart(lambda values: (inner(values).sum(), values[0]))(x), apart(lambda: np.arange(3))()


@pytest.mark.parametrize("function", [arithmetic, reading, loops, retries, retries_of_arrays, units])
def test_lanes_are_what_vmap_gives(function):
    random = np.random.default_rng(0)
    x, y = random.integers(0, 50, (4, NUM_LANES), np.int32), random.integers(0, 50, NUM_LANES, np.int32)
    expected = jax.jit(jax.vmap(function, in_axes=-1, out_axes=-1))(x, y)
    found = jax.jit(over_lanes(function))(x, y)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for leaf, wanted in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert leaf.dtype == wanted.dtype
        np.testing.assert_array_equal(leaf, wanted)


def test_vectorised_functions_take_any_batch():
    call = vectorise(lambda a, b: {"sum": a + b, "row": jnp.arange(3) * a})
    assert call(jnp.int32(2), jnp.int32(5))["row"].tolist() == [0, 2, 4]
    a, b = np.arange(6, dtype=np.int32).reshape(2, 3), np.array([10, 20, 30], np.int32)
    found = jax.vmap(jax.vmap(call), in_axes=(0, None))(a, b)
    np.testing.assert_array_equal(found["sum"], a + b)
    np.testing.assert_array_equal(found["row"], a[..., None] * np.arange(3))
    assert jax.vmap(call, in_axes=(None, 0), out_axes=-1)(jnp.int32(1), b)["row"].shape == (3, 3)


@pytest.mark.parametrize("size", [4, 300])
def test_lookup(size):
    values = np.arange(4, dtype=np.uint8) + 5
    assert take(values, np.array([[3, 0], [-2, 9]])).tolist() == [[8, 5], [5, 8]]
    assert int(take(values > 6, jnp.int32(2))) == 1
    into = np.full((size, 2), 9, np.uint8)
    found = put(jnp.asarray([[1, 2], [3, 4], [0, 0], [5, 6]]), jnp.asarray([2, -1, 0, size]), jnp.asarray(into))
    into[[2, 0]] = [[1, 2], [0, 0]]
    np.testing.assert_array_equal(found, into)


def forget():
    """What was traced and warned of before."""
    lanes._warn_once.cache_clear()
    lanes._unit.cache_clear()


@pytest.mark.parametrize("primitive", ["scan", "while", "jit", "reduce_sum", "gather", "add"])
@pytest.mark.parametrize("function", [loops, retries, reading, units])
def test_operations_of_another_jax_run_as_vmap_does_them(function, primitive, monkeypatch):
    monkeypatch.setitem(lanes._PARAMETERS, primitive, {frozenset({"unheard_of"})})
    forget()
    x, y = np.arange(4 * NUM_LANES, dtype=np.int32).reshape(4, NUM_LANES) % 50, np.arange(NUM_LANES, dtype=np.int32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = jax.jit(lambda x, y: (over_lanes(function)(x, y), over_lanes(function)(x, y)))(x, y)
    of_lanes = [str(one.message) for one in caught if "xworld" in str(one.message)]
    assert len(of_lanes) <= 1 and all(f"'{primitive}'" in message for message in of_lanes)
    is_used = primitive in str(jax.make_jaxpr(function)(x[:, 0], y[0]))
    assert (
        len(of_lanes) == 1 or not is_used or primitive == "jit"
    )  # a jaxpr is printed with the names of what is jitted
    expected = jax.vmap(function, in_axes=-1, out_axes=-1)(x, y)
    jax.tree.map(np.testing.assert_array_equal, found, (expected, expected))


@pytest.mark.parametrize("broken", ["_apply", "_scan_parts", "_shape"])
def test_traces_that_cannot_be_read_run_under_vmap(broken, monkeypatch):
    def fail(*_):
        raise AttributeError("gone")

    monkeypatch.setattr(lanes, broken, fail)
    forget()
    x, y = np.ones((4, NUM_LANES), np.int32), np.arange(NUM_LANES, dtype=np.int32)
    with pytest.warns(UserWarning, match="Tasks are the same"):
        found = over_lanes(loops)(x, y)
    jax.tree.map(np.testing.assert_array_equal, found, jax.vmap(loops, in_axes=-1, out_axes=-1)(x, y))


def test_this_jax_is_known():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jax.make_jaxpr(jax.vmap(xworld.make_universe("ada").sample))(jax.random.split(jax.random.key(0), 3))
