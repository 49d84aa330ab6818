"""Sets of cells as bits, which makes the geometry of placement a handful of integer operations a row.

A set over an H x W grid is [H, K] uint32 with K = ceil(W / 32): cell (r, c) is bit c % 32 of word (r, c // 32). Sets
are combined with `&`, `|` and `~`. Rows and columns are int32 scalars; rows outside the grid are in no box.
"""

import functools
import operator

import jax
import jax.numpy as jnp

from xworld.core.hashing import below

WORD_BITS = 32


def num_words(width: int) -> int:
    """Words in a row."""
    return -(-width // WORD_BITS)


def pack(mask: jax.Array) -> jax.Array:
    """The set of the cells that are true in a [H, W] bool mask."""
    height, width = mask.shape
    words = num_words(width)
    bits = jnp.pad(mask, ((0, 0), (0, words * WORD_BITS - width))).reshape(height, words, WORD_BITS)
    return (bits.astype(jnp.uint32) << jnp.arange(WORD_BITS, dtype=jnp.uint32)).sum(axis=-1, dtype=jnp.uint32)


def box(like: jax.Array, top: jax.Array, bottom: jax.Array, left: jax.Array, right: jax.Array) -> jax.Array:
    """The cells from row `top` to `bottom` and column `left` to `right`, all included, in a grid as that of `like`."""
    rows = jnp.arange(like.shape[0])
    offset = jnp.arange(like.shape[1]) * WORD_BITS
    columns = _bits_below(right + 1 - offset) & ~_bits_below(left - offset)  # [K]
    return jnp.where(((rows >= top) & (rows <= bottom))[:, None], columns[None, :], jnp.uint32(0))


def point(like: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
    """The set of one cell of the grid; nothing for a row outside it."""
    rows, words = jnp.arange(like.shape[0]), jnp.arange(like.shape[1])
    bit = jnp.uint32(1) << (column % WORD_BITS).astype(jnp.uint32)
    return jnp.where((rows == row)[:, None] & (words == column // WORD_BITS), bit, jnp.uint32(0))


def neighbours(cells: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """The cells whose neighbour in the north, east, south, west is in the set."""
    nothing = jnp.zeros_like(cells[:1])
    north = jnp.concatenate([nothing, cells[:-1]])
    south = jnp.concatenate([cells[1:], nothing])
    return north, _shift_west(cells), south, _shift_east(cells)


def spread(cells: jax.Array) -> jax.Array:
    """The cells that have a neighbour in the set."""
    return functools.reduce(operator.or_, neighbours(cells))


def interior(cells: jax.Array) -> jax.Array:
    """The cells of the set all of whose eight neighbours are in it."""
    rows = cells & _shift_west(cells) & _shift_east(cells)
    north, _, south, _ = neighbours(rows)
    return rows & north & south


def dispensable(free: jax.Array, lying: jax.Array) -> jax.Array:
    """The free cells that can be blocked, any one of them, with the others still connected as before.

    Blocking a cell is harmless when its free neighbours are connected within the ring of eight cells around it. Nor may
    what lies somewhere already (`lying`, not free) lose its last free neighbour, so that it can be reached.
    """
    north, east, south, west = neighbours(free)
    north_east, south_east = _shift_west(north), _shift_west(south)
    north_west, south_west = _shift_east(north), _shift_east(south)
    edges = [north, east, south, west]
    links = [north & north_east & east, east & south_east & south, south & south_west & west, west & north_west & north]
    one, two, three, four = _at_least(edges)
    one_link, two_links, three_links, _ = _at_least(links)
    # A path of free neighbours has one link less than it has cells.
    is_connected = one & (~two | one_link) & (~three | two_links) & (~four | three_links)
    return free & is_connected & ~spread(lying & one & ~two)


def pick(cells: jax.Array, bits: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A cell of the set, uniformly: its row, its column, and whether there is one (else the others mean nothing)."""
    counts = jax.lax.population_count(cells).reshape(-1)
    up_to = jnp.cumsum(counts)
    n = below(bits, up_to[-1])
    index = (up_to <= n).sum(dtype=jnp.int32)
    is_word = jnp.arange(counts.shape[0]) == index
    word = jnp.where(is_word, cells.reshape(-1), 0).sum(dtype=jnp.uint32)
    n = n - jnp.where(is_word, up_to - counts, 0).sum(dtype=jnp.uint32)
    row, column = index // cells.shape[1], index % cells.shape[1] * WORD_BITS
    for width in (16, 8, 4, 2, 1):  # is the n-th bit in the lower half of what is left of the word?
        low = jax.lax.population_count(word & jnp.uint32((1 << width) - 1))
        is_high = n >= low
        word = jnp.where(is_high, word >> width, word)
        n = jnp.where(is_high, n - low, n)
        column += jnp.where(is_high, width, 0)
    return row, column, up_to[-1] > 0


def _bits_below(count: jax.Array) -> jax.Array:
    """uint32 with the lowest `count` bits set: none for a negative count, all from 32 on."""
    shift = jnp.clip(count, 0, WORD_BITS - 1).astype(jnp.uint32)
    return jnp.where(count >= WORD_BITS, jnp.uint32(0xFFFFFFFF), (jnp.uint32(1) << shift) - jnp.uint32(1))


def _shift_west(cells: jax.Array) -> jax.Array:
    """Every cell moved one column to the west."""
    moved = cells >> 1
    if cells.shape[1] > 1:
        moved |= jnp.pad(cells[:, 1:] << (WORD_BITS - 1), ((0, 0), (0, 1)))
    return moved


def _shift_east(cells: jax.Array) -> jax.Array:
    """Every cell moved one column to the east."""
    moved = cells << 1
    if cells.shape[1] > 1:
        moved |= jnp.pad(cells[:, :-1] >> (WORD_BITS - 1), ((0, 0), (1, 0)))
    return moved


def _at_least(sets: list[jax.Array]) -> list[jax.Array]:
    """The cells that are in at least 1, 2, 3, 4 of four sets."""
    counts = [jnp.zeros_like(sets[0])] * 4
    for cells in sets:
        for index in (3, 2, 1):
            counts[index] = counts[index] | (counts[index - 1] & cells)
        counts[0] = counts[0] | cells
    return counts
