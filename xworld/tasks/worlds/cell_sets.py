"""Sets of cells as bits, which makes the geometry of placement a handful of integer operations a row.

A set over an H x W grid is [H, K] words: cell (r, c) is bit c % N of word (r, c // N). In a grid less than
16 wide words have N = 16 bits, of which a vector register holds twice as many, else 32. Sets are combined with `&`, `|`
and `~`. Rows and columns are int32 scalars; rows outside the grid are in no box.
"""

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np

from xworld.base.hashing import Word, below
from xworld.base.xla.fusion import apart
from xworld.tasks import chance


def word_bits(cells: jax.Array) -> int:
    """Bits in a word of the set."""
    return cells.dtype.itemsize * 8


def pack(mask: jax.Array) -> jax.Array:
    """The set of the cells that are true in a [H, W] bool mask."""
    height, width = mask.shape
    like = empty(height, width)
    words, word = like.shape[1], word_bits(like)
    bits = jnp.pad(mask, ((0, 0), (0, words * word - width))).reshape(height, words, word)
    return (bits.astype(like.dtype) << np.arange(word, dtype=like.dtype)).sum(axis=-1, dtype=like.dtype)


def unpack(cells: jax.Array, width: int) -> jax.Array:
    """[H, W] bool mask of the set."""
    bits = (cells[:, :, None] >> np.arange(word_bits(cells), dtype=cells.dtype)) & 1
    return bits.reshape(cells.shape[0], -1)[:, :width] != 0


def empty(height: int, width: int) -> jax.Array:
    """The set of no cells of a grid."""
    if width < 16:  # one column more than the grid has: what is drawn beside it may come in
        return jnp.zeros((height, 1), jnp.uint16)
    return jnp.zeros((height, -(-width // 32)), jnp.uint32)


def size(cells: jax.Array) -> jax.Array:
    """[] int32: how many cells are in the set."""
    return jax.lax.population_count(cells).sum(dtype=jnp.int32)


@apart
def everywhere(flags: jax.Array, like: jax.Array) -> jax.Array:
    """[n, 1, 1] words for [n] flags: all bits where true, else none, to take sets or leave them by `&`.

    A set that is selected by a flag is as right, but where bytes choose among words the masks are made for each row.
    """
    none = jnp.zeros((), like.dtype)
    return jnp.where(flags, ~none, none)[:, None, None]


def union(sets: jax.Array) -> jax.Array:
    """What is in any of [n, ...] sets."""
    return jax.lax.reduce_or(sets, (0,))


def sprinkle(dice: chance.Dice, like: jax.Array, percent: int) -> jax.Array:
    """Each bit with a chance of `percent`, to the nearest 256th, in a grid as that of `like`; bits beside it too."""
    share = round(percent * 256 / 100)
    if share in (0, 256):
        return ~jnp.zeros_like(like) if share else jnp.zeros_like(like)
    cells = jnp.zeros_like(like)
    lowest = (share & -share).bit_length() - 1
    for place in range(lowest, 8):  # binary digits of the share: an even chance halves what there is, and adds a half
        bits = dice.roll(*like.shape).astype(like.dtype)
        cells = bits | cells if share >> place & 1 else bits & cells
    return cells


@apart
def box(like: jax.Array, top: Word, bottom: Word, left: Word, right: Word) -> jax.Array:
    """The cells from row `top` to `bottom` and column `left` to `right`, all included, in a grid as that of `like`."""
    rows = _count_rows(like)
    columns = _columns_below(like, right + 1) & ~_columns_below(like, left)  # [K]
    is_in = (rows >= _as_short(top)) & (rows <= _as_short(bottom))
    return jnp.where(is_in[:, None], columns[None, :], jnp.zeros_like(columns))


@apart
def point(like: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
    """The set of one cell of the grid; nothing for a row outside it."""
    columns = column_bits(like, column)
    return jnp.where((_count_rows(like) == _as_short(row))[:, None], columns, jnp.zeros_like(columns))


@apart
def column_bits(like: jax.Array, column: jax.Array) -> jax.Array:
    """[K] words: a row in which one column is in the set, in a grid as that of `like`."""
    word = word_bits(like)
    bit = jnp.ones((), like.dtype) << (column % word).astype(like.dtype)
    return jnp.where(np.arange(like.shape[1]) == column // word, bit, jnp.zeros_like(bit))


def neighbours(cells: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """The cells whose neighbour in the north, east, south, west is in the set."""
    nothing = jnp.zeros_like(cells[:1])
    north = jnp.concatenate([nothing, cells[:-1]])
    south = jnp.concatenate([cells[1:], nothing])
    return north, _shift_west(cells), south, _shift_east(cells)


def spread(cells: jax.Array) -> jax.Array:
    """The cells that have a neighbour in the set."""
    return functools.reduce(operator.or_, neighbours(cells))


def spread_round(cells: jax.Array) -> jax.Array:
    """The cells that are in the set or have one of their eight neighbours in it."""
    rows = cells | _shift_west(cells) | _shift_east(cells)
    north, _, south, _ = neighbours(rows)
    return rows | north | south


def crowded(cells: jax.Array) -> jax.Array:
    """The cells of whose block of 3 x 3, themselves included, at least 5 are in the set."""
    west, east = _shift_east(cells), _shift_west(cells)
    ones, twos = _add(west, cells, east)  # a row of three cells, in binary
    (north_ones, _, south_ones, _), (north_twos, _, south_twos, _) = neighbours(ones), neighbours(twos)
    ones, carried = _add(north_ones, ones, south_ones)
    _, two, three, _ = _at_least([north_twos, twos, south_twos, carried])
    return three | (two & ones)


def flood(cells: jax.Array, start: jax.Array) -> jax.Array:
    """The cells of the set that are connected with `start`, which is part of it."""

    def grow(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        reached, _ = carry
        grown = reached
        for _ in range(4):
            grown = grown | (cells & spread(grown))
        return grown, (grown != reached).any()

    return jax.lax.while_loop(lambda carry: carry[1], grow, (start, jnp.asarray(True)))[0]


@apart
def in_line(opaque: jax.Array, row: jax.Array, column: jax.Array) -> jax.Array:
    """The cells in the row and the column of a cell with nothing opaque between, those that are opaque left out."""
    (height, words), word = opaque.shape, word_bits(opaque)
    rows, offset = jnp.arange(height), jnp.arange(words) * word
    is_row = _count_rows(opaque) == _as_short(row)
    here = union(jnp.where(is_row[:, None], opaque, jnp.zeros_like(opaque)))  # [K], its row
    west, east = here & _columns_below(opaque, column), here & ~_columns_below(opaque, column + 1)
    highest = jnp.where(west != 0, offset + word - 1 - jax.lax.clz(west).astype(jnp.int32), -1).max()
    zeros_below = jax.lax.population_count(~east & (east - 1)).astype(jnp.int32)
    lowest = jnp.where(east != 0, offset + zeros_below, words * word).min()
    is_opaque = ((opaque & column_bits(opaque, column)) != 0).any(axis=1)  # [H], its column
    top = jnp.where(is_opaque & (rows < row), rows, -1).max() + 1
    bottom = jnp.where(is_opaque & (rows > row), rows, height).min() - 1
    return box(opaque, row, row, highest + 1, lowest - 1) | box(opaque, top, bottom, column, column)


@apart
def interior(cells: jax.Array) -> jax.Array:
    """The cells of the set all of whose eight neighbours are in it."""
    rows = cells & _shift_west(cells) & _shift_east(cells)
    north, _, south, _ = neighbours(rows)
    return rows & north & south


@apart
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


@apart
def pick(cells: jax.Array, bits: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A cell of the set, uniformly: its row, its column, and whether there is one (else the others mean nothing)."""
    counts = jax.lax.population_count(cells).astype(jnp.uint32).reshape(-1)
    up_to = jnp.cumsum(counts)
    n = below(bits, up_to[-1])
    index = (up_to <= n).sum(dtype=jnp.int32)
    is_word = jnp.arange(counts.shape[0]) == index
    word = union(jnp.where(is_word, cells.reshape(-1), jnp.zeros_like(cells).reshape(-1))).astype(jnp.uint32)
    n = n - union(jnp.where(is_word, up_to - counts, 0))
    row, column = index // cells.shape[1], index % cells.shape[1] * word_bits(cells)
    for width in (16, 8, 4, 2, 1):  # is the n-th bit in the lower half of what is left of the word?
        low = jax.lax.population_count(word & jnp.uint32((1 << width) - 1))
        is_high = n >= low
        word = jnp.where(is_high, word >> width, word)
        n = jnp.where(is_high, n - low, n)
        column += jnp.where(is_high, width, 0)
    return row, column, up_to[-1] > 0


def _count_rows(like: jax.Array) -> np.ndarray:
    """[H] int16: 0, 1, 2, ..., which takes as many vector registers as the rows of a set themselves."""
    return np.arange(like.shape[0], dtype=np.int16)


def _as_short(number: Word) -> jax.Array:
    """int16 of a row's number."""
    return jnp.asarray(number).astype(jnp.int16)


@apart
def _columns_below(like: jax.Array, column: Word) -> jax.Array:
    """[K] words: a row in which all columns left of one are in the set; none for a negative one."""
    word, one = word_bits(like), jnp.ones((), like.dtype)
    count = column - np.arange(like.shape[1]) * word
    shift = jnp.clip(count, 0, word - 1).astype(like.dtype)
    return jnp.where(count >= word, ~jnp.zeros_like(one), (one << shift) - one)


def _shift_west(cells: jax.Array) -> jax.Array:
    """Every cell moved one column to the west."""
    moved = cells >> 1
    if cells.shape[1] > 1:
        moved |= jnp.pad(cells[:, 1:] << (word_bits(cells) - 1), ((0, 0), (0, 1)))
    return moved


def _shift_east(cells: jax.Array) -> jax.Array:
    """Every cell moved one column to the east."""
    moved = cells << 1
    if cells.shape[1] > 1:
        moved |= jnp.pad(cells[:, :-1] >> (word_bits(cells) - 1), ((0, 0), (1, 0)))
    return moved


def _add(one: jax.Array, two: jax.Array, three: jax.Array) -> tuple[jax.Array, jax.Array]:
    """How many of three sets each cell is in, as binary digits: ones and twos."""
    return one ^ two ^ three, (one & two) | (one & three) | (two & three)


def _at_least(sets: list[jax.Array]) -> list[jax.Array]:
    """The cells that are in at least 1, 2, 3, 4 of four sets."""
    counts = [jnp.zeros_like(sets[0])] * 4
    for cells in sets:
        for index in (3, 2, 1):
            counts[index] = counts[index] | (counts[index - 1] & cells)
        counts[0] = counts[0] | cells
    return counts
