"""The gated delta rule (Yang et al. 2025): a matrix in which values are stored by key, a step or a chunk at a time.

S_t = a_t S_{t-1} + u_t k_t^T  with  u_t = b_t (v_t - a_t S_{t-1} k_t),  read by o_t = S_t q_t

A step forgets a share 1 - a of all there is, and moves what is stored under its key a share b towards its value.
Matrices are kept as [keys, values], which is S transposed.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

CHUNK = 16  # steps that are solved for at once


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Steps:
    """What the rule takes at each of T timesteps, of N sequences and H heads."""

    query: jax.Array  # [T, N, H, K] float32
    key: jax.Array  # [T, N, H, K] float32, of length at most 1
    value: jax.Array  # [T, N, H, V] float32
    log_decay: jax.Array  # [T, N, H] float32, log a, at most 0
    strength: jax.Array  # [T, N, H] float32, b, from 0 to 2: above 1 it goes beyond the value
    is_reset: jax.Array  # [T, N] bool, whether all that is stored is forgotten first


def advance_once(matrix: jax.Array, step: Steps) -> tuple[jax.Array, jax.Array]:
    """[N, H, V] what one timestep reads, and the [N, H, K, V] matrix after it; `step` has no axis of time."""
    decay = jnp.where(step.is_reset[:, None], 0.0, jnp.exp(step.log_decay))
    matrix = decay[..., None, None] * matrix
    stored = (step.key[..., None] * matrix).sum(-2)
    update = step.strength[..., None] * (step.value - stored)
    matrix = matrix + step.key[..., None] * update[..., None, :]
    return (step.query[..., None] * matrix).sum(-2), matrix


def unroll(matrix: jax.Array, steps: Steps) -> tuple[jax.Array, jax.Array]:
    """[T, N, H, V] what timesteps read, and the [N, H, K, V] matrix after them.

    It is what `advance_once` gives step by step, up to rounding. The updates u of a chunk of C steps solve

    (I + A) u = b (v - G S k)  with  A_ts = b_t D_ts (k_t . k_s) for s < t, and 0 elsewhere

    where S is the matrix before the chunk, G_t the decay until step t, and D_ts that after step s, both 0 if an episode
    begins between. So u is linear in S: all chunks are solved at once, and only S is scanned over them (the WY form of
    Yang et al. 2025, section 3.3).
    """
    length = len(steps.query)
    size = min(CHUNK, length)
    query, key, value = (_chunks(leaf, size) for leaf in (steps.query, steps.key, steps.value))
    log_decay, strength = (_chunks(leaf[..., None], size) for leaf in (steps.log_decay, steps.strength))
    since_start, since_step = _decays(log_decay[..., 0], _chunks(steps.is_reset[..., None, None], size)[..., 0])

    overlaps = since_step * (strength * key @ jnp.swapaxes(key, -1, -2))
    known = strength * jnp.concatenate([value, since_start * key], axis=-1)
    solved = unit_triangular_inverse(jnp.tril(overlaps, -1)) @ known
    own, of_matrix = jnp.split(solved, [value.shape[-1]], axis=-1)
    looks = since_step * (query @ jnp.swapaxes(key, -1, -2))
    written = jnp.swapaxes(since_step[..., -1, :, None] * key, -1, -2)

    def advance(matrix: jax.Array, chunk: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        own, of_matrix, query, looks, written, decay = chunk
        update = own - of_matrix @ matrix
        return decay * matrix + written @ update, query @ matrix + looks @ update

    chunks = own, of_matrix, since_start * query, looks, written, since_start[..., -1:, :]
    matrix, read = jax.lax.scan(advance, matrix, chunks)
    read = jnp.moveaxis(read, 3, 1)
    return read.reshape(-1, *read.shape[2:])[:length], matrix


def _chunks(leaf: jax.Array, size: int) -> jax.Array:
    """[T / C, N, H, C, X] from [T, N, H, X]; the steps that fill up the last chunk are zeros: they change nothing."""
    num_chunks = -(-len(leaf) // size)
    leaf = jnp.pad(leaf, [(0, num_chunks * size - len(leaf)), (0, 0), (0, 0), (0, 0)])
    return jnp.moveaxis(leaf.reshape(num_chunks, size, *leaf.shape[1:]), 1, 3)


def _decays(log_decay: jax.Array, is_reset: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What is left of what was there before the chunk, and of what each step wrote.

    Args:
      log_decay: [..., H, C] float32.
      is_reset: [..., 1, C] bool.

    Returns:
      [..., H, C, 1] until each step, and [..., H, C, C] until step t (the last but one axis), from step s on.
    """
    episode = jnp.cumsum(is_reset, axis=-1)
    is_before = (episode[..., :, None] == episode[..., None, :]) & np.tri(is_reset.shape[-1], dtype=bool)
    log_decay = jnp.where(is_reset, 0.0, log_decay)
    # Sums over an episode's steps alone: of an earlier episode not even a rounding error is in them.
    total = jnp.where(is_before, log_decay[..., None, :], 0.0).sum(-1)
    since_step = jnp.exp(jnp.where(is_before, total[..., :, None] - total[..., None, :], -jnp.inf))
    return jnp.where(episode == 0, jnp.exp(total), 0.0)[..., None], since_step


@jax.custom_vjp
def unit_triangular_inverse(lower: jax.Array) -> jax.Array:
    """[..., C, C] the inverse of I + `lower`, which is 0 on the diagonal and above it.

    Blocks on the diagonal are inverted, of 1, 2, 4, ... rows: with p and q the inverses of P and Q, that of
    [[P, 0], [R, Q]] is [[p, 0], [-q R p, q]]. So rounding errors stay as small as those of substitution, where a power
    series of `lower` has terms of millions that cancel.
    """
    size = lower.shape[-1]
    inverse = jnp.eye(size, dtype=lower.dtype) - jnp.where(_is_below(size, 1), lower, 0.0)
    width = 2
    while width < size:
        inverse = inverse - inverse @ jnp.where(_is_below(size, width), lower, 0.0) @ inverse
        width *= 2
    return inverse


def _is_below(size: int, width: int) -> np.ndarray:
    """[C, C] bool, the R of all blocks of `width` rows."""
    block = np.arange(size) // width
    return (block[:, None] == block + 1) & (block % 2 == 0)


def _forward(lower: jax.Array) -> tuple[jax.Array, jax.Array]:
    inverse = unit_triangular_inverse(lower)
    return inverse, inverse


def _backward(inverse: jax.Array, gradient: jax.Array) -> tuple[jax.Array]:
    transposed = jnp.swapaxes(inverse, -1, -2)
    return (-(transposed @ gradient @ transposed),)


unit_triangular_inverse.defvjp(_forward, _backward)
