"""What an agent's values mean: normalised returns, and the running moments that normalise them."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

_LEAST_DEVIATION = 1e-2  # floor of the returns' standard deviation


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ReturnScale:
    """Running moments of the returns, by which they become what the network's values are: of mean 0 and variance 1.

    Exponential averages over updates, bias-corrected, as in Adam.
    """

    mean: jax.Array  # [] float32, times `weight`
    mean_square: jax.Array  # [] float32, times `weight`
    weight: jax.Array  # [] float32, 1 less the share of the beginning in the averages

    @staticmethod
    def start() -> "ReturnScale":
        """Nothing seen: values are returns."""
        return ReturnScale(*jnp.zeros((3,), jnp.float32))

    def update(self, mean: jax.Array, mean_square: jax.Array, decay: float) -> "ReturnScale":
        """With one update's mean return and mean squared return."""
        old = (self.mean, self.mean_square, self.weight)
        new = (mean, mean_square, jnp.float32(1))
        return ReturnScale(*(decay * a + (1 - decay) * b for a, b in zip(old, new, strict=True)))

    def to_returns(self, values: jax.Array) -> jax.Array:
        """[...] returns from [...] values."""
        mean, deviation = self._moments()
        return values * deviation + mean

    def to_values(self, returns: jax.Array) -> jax.Array:
        """[...] values from [...] returns."""
        mean, deviation = self._moments()
        return (returns - mean) / deviation

    def _moments(self) -> tuple[jax.Array, jax.Array]:
        weight = jnp.maximum(self.weight, 1e-8)
        mean, mean_square = self.mean / weight, self.mean_square / weight
        deviation = jnp.maximum(jnp.sqrt(jnp.maximum(mean_square - mean**2, 0)), _LEAST_DEVIATION)
        return mean, jnp.where(self.weight > 0, deviation, 1.0)
